# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # what is set here is for those that source this
# A package that octo-deploy has no bytes of: its URL and sha256, which targets fetch by octo-fetch.
#
# It promises: what has the package is asked for nothing but that; nothing is deployed anywhere
# until all have it.

# read_package WORD: sets PACKAGE, APP, RELEASE and SHA256; FEED, where it is no file but a URL
read_package() {
  local form='^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\]+/([^?#\]*/)?([^/?#\]+)([?][^#]*)?#sha256='
  form+='([0-9A-Fa-f]{64})$'
  FEED=''
  if [[ ! $1 =~ ^[A-Za-z][A-Za-z0-9+.-]*:// ]]; then
    PACKAGE=$1
    plumb package --sha256 -- "$PACKAGE"
    APP=${ANSWER[0]} RELEASE=${ANSWER[1]} SHA256=${ANSWER[2]}
    return
  fi
  if [[ $1 == *[![:graph:]]* || ! $1 =~ $form ]]; then
    misuse 'the URL: not https://HOST/NAME-VERSION.tar#sha256=HEX'
  fi
  local way=${1%%[?#]*}
  # What octo-fetch refuses costs no job, and no password goes anywhere.
  if [[ ${way#*://} == *//* || $way/ =~ /[.][.]?(/|\;) ||
    ${way,,} =~ %(2e|2f|5c|25|7f|[01].) ]]; then
    misuse "the URL: //, ., .., or one of these as %XX, in its path"
  fi
  [[ $1 =~ $form ]]
  FEED=$1
  SHA256=${BASH_REMATCH[4],,} PACKAGE=${BASH_REMATCH[4],,}
  [[ -z ${GIVEN[--patch-from]:-} ]] ||
    misuse '--patch-from: targets that fetch a package themselves fetch all of it'
  plumb package --named -- "${BASH_REMATCH[2]}"
  APP=${ANSWER[0]} RELEASE=${ANSWER[1]}
}

# fetch_where_missing: sets UNFETCHED to those that don't have it then, where there are any
fetch_where_missing() {
  local name code=0 missing=()
  UNFETCHED=()
  [[ -n $FEED ]] || return 0
  words_of_fetch "${TODO[@]}"
  if [[ -n $DRY_RUN ]]; then
    missing=("${TODO[@]}")
  else
    find_missing
    [[ -z $CAUGHT ]] || return "$CAUGHT"
  fi
  ((${#missing[@]} > 0)) || return 0
  push_changes "${SAYING[@]}" -t "$(listed "${missing[@]}")" run --end "$WORK/%n.fetched" \
    "${FETCH_WORDS[@]}" || code=$?
  ((code != 0)) || return 0
  read_ends "$WORK/" .fetched "${missing[@]}"
  for name in "${missing[@]}"; do
    succeeded "$name" || UNFETCHED+=("$name")
  done
  return "$code"
}

# find_missing: adds to missing who doesn't have it: the others run octo-fetch with it as their
# package, and the rest refuses a job whose package isn't there
find_missing() {
  local name
  for name in "${TODO[@]}"; do
    rm -f -- "$WORK/$name.there" "$WORK/$name.fetched"
  done
  push_changes -q -t "$(listed "${TODO[@]}")" run -p "$SHA256" "${SIGNATURE[@]}" \
    --end "$WORK/%n.there" "${FETCH_WORDS[@]}" >/dev/null 2>&1 || :
  read_ends "$WORK/" .there "${TODO[@]}"
  for name in "${TODO[@]}"; do
    succeeded "$name" || missing+=("$name")
  done
}

# words_of_fetch TARGET…: sets FETCH_WORDS: sent from beside us, or run by name, as octo-release is
words_of_fetch() {
  local name by_name=()
  for name in "$@"; do
    if runs_by_name "$name"; then by_name+=("$name"); fi
  done
  FETCH_WORDS=("$HERE/octo-fetch")
  if ((${#by_name[@]} == $#)); then
    FETCH_WORDS=(--name octo-fetch --)
  elif ((${#by_name[@]} > 0)); then
    FETCH_WORDS=(--installed "$(listed "${by_name[@]}")" "${FETCH_WORDS[@]}")
  fi
  FETCH_WORDS+=("$FEED")
}
