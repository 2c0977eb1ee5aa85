# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # what is set here is read by octo-pack, and the other way
# Archives that octo-pack packs again: what their names say, and what is in them, unpacked
# into a private place. Sourced by octo-pack.
#
# It promises: nothing is written but below that place, and no more than the bounds. Archives
# of tar are octo-exec's to read, those of zip octo-pack-zip.bash's.

# shellcheck source=scripts/octo-pack-zip.bash
source "$HERE/octo-pack-zip.bash"

# A version as NuGet and Octopus have it: up to four numbers, what comes before it, a build.
readonly DOTTED='[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*'
readonly SEMANTIC_VERSION="^[0-9]+(\.[0-9]+){0,3}(-$DOTTED)?(\+$DOTTED)?\$"

# read_name FILE: sets NAME and RELEASE. One that can be read in two ways is refused: a
# version that nobody meant would be deployed.
read_name() {
  local name=${1##*/} stem first dotted ours
  case ${name,,} in
    *.tar.gz | *.tar.xz | *.tar.zst) stem=${name%.*.*} ;;
    *) stem=${name%.*} ;;
  esac
  first=$(version_behind '[.-]' "$stem")
  case ${name,,} in
    *.zip | *.nupkg)
      dotted=$(version_behind '[.]' "$stem")
      ours=$first
      ;;
    *.tar | *.tgz | *.tar.gz | *.tar.xz | *.tar.zst)
      dotted=$first
      ours=$(version_behind_dash "$stem")
      # Behind a dash without a digit it is the end of a version with dots, if there is one.
      if [[ $ours != [0-9]* && -n $first ]]; then ours=$first; fi
      ;;
    *)
      say "$(shown "$1"): neither .tar, .tar.gz, .tar.xz, .tar.zst, .zip nor .nupkg"
      hint_name "$1" 'NAME VERSION'
      exit "$EX_DATA"
      ;;
  esac
  if [[ -z $ours ]]; then
    say "$(shown "$1"): no version in its name"
    hint_name "$1" 'NAME VERSION'
    exit "$EX_DATA"
  elif [[ $stem =~ $SEMANTIC_VERSION ]]; then
    say "$(shown "$1"): no application in its name"
    hint_name "$1" "NAME $stem"
    exit "$EX_DATA"
  elif [[ -n $dotted && $dotted != "$ours" ]]; then
    say "$(shown "$1"): its version may be $ours or $dotted"
    hint_name "$1" "$(shown "${stem%?"$ours"}") $ours"
    hint_name "$1" "$(shown "${stem%?"$dotted"}") $dotted"
    exit "$EX_DATA"
  fi
  RELEASE=$ours NAME=${stem%?"$ours"}
}

hint_name() {
  hint "octo-pack $(quoted "$1") $2"
}

# version_behind CHARACTERS STEM: the longest version behind one of these, up to the end
version_behind() {
  local at
  for ((at = 1; at < ${#2}; at++)); do
    # shellcheck disable=SC2053 # it is a pattern
    if [[ ${2:at:1} == $1 && ${2:at+1} =~ $SEMANTIC_VERSION ]]; then
      printf '%s' "${2:at+1}"
      return
    fi
  done
}

# version_behind_dash STEM: by the rule of octo-release
version_behind_dash() {
  local before=${1%%-[0-9]*}
  if [[ $before != "$1" ]]; then
    printf '%s' "${1:${#before}+1}"
  elif [[ $1 == *-* ]]; then
    printf '%s' "${1##*-}"
  fi
}

# unpack ARCHIVE: sets TREE
unpack() {
  local begin=''
  TREE=$WORK/tree
  [[ -r $1 ]] || fail "$EX_DATA" "$(shown "$1"): can't be read"
  IFS= read -r -N 4 begin <"$1" || :
  if [[ ${1,,} == *.zip || ${1,,} == *.nupkg || $begin == $'PK\x03\x04' ]]; then
    unpack_zip "$1"
  else
    unpack_tar "$1"
  fi
  [[ ${1,,} != *.nupkg ]] || leave_out_parts
  TREE=$(cd -P -- "$TREE" && pwd)
}

unpack_tar() {
  local said code=0
  said=$(asks "$OCTO_EXEC" unpack --lost "${BOUNDS[@]}" "$1" "$TREE" 2>&1 >"$WORK/lost-before") ||
    code=$?
  ((code != 0)) || return 0
  printf '%s\n' "${said//octo-exec: /$TOOL: }" >&2
  exit "$code"
}

# leave_out_parts: what NuGet packs for itself, as Octopus leaves it out
leave_out_parts() {
  local path name
  (
    cd -- "$TREE" || exit
    find . -mindepth 1 -maxdepth 3 \( -ipath ./_rels -o -ipath './\[Content_Types\].xml' \
      -o -ipath ./package/services/metadata \) -prune -exec rm -rf -- {} +
    find . -type f \( -iname '*.nuspec' -o -iname '*.nupkg.sha512' \) -exec rm -f -- {} +
    find . -depth -maxdepth 2 \( -ipath ./package -o -ipath ./package/services \) \
      -type d -empty -delete
  )
  # Its names are those of addresses.
  while IFS= read -r -d '' path; do
    name=$(unescaped "${path##*/}." | tr '[:cntrl:]' /)
    name=${name%.}
    [[ $name != */* && $name != . && $name != .. && ! -e ${path%/*}/$name ]] ||
      bad_zip 'a name that leads elsewhere or is there twice' "$(shown "${path#"$TREE/"}")"
    mv -- "$path" "${path%/*}/$name"
  done < <(find "$TREE" -mindepth 1 -depth -name '*%[0-9A-Fa-f][0-9A-Fa-f]*' -print0)
}

# unescaped NAME: %20 is a blank
unescaped() {
  local rest=$1
  while [[ $rest =~ ^([^%]*)%([0-9A-Fa-f]{2})(.*)$ ]]; do
    printf '%s%b' "${BASH_REMATCH[1]}" "\\x${BASH_REMATCH[2]}"
    rest=${BASH_REMATCH[3]}
  done
  printf '%s' "$rest"
}
