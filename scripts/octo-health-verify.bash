# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # what is set here is read by octo-common.bash and octo-health
# What `octo-health --verify` does before it asks: jobs of `octo-release verify` on the selected
# targets, one for each application that runs there. Sourced by octo-health.
#
# It promises: whatever runs on a target that answers was compared with what was deployed, or is
# in $SCRATCH/unverified with the reason; a quarter of the time is left to ask in, and what
# isn't over by then is cancelled, so that no job waits there for its approval behind our back.

# shellcheck source=scripts/octo-releases.bash
source "$HERE/octo-releases.bash"

# verify_files OPTION… -- APP…: of these applications, or of all; the options are those of the
# report that will come of it
verify_files() {
  local round=0
  UNTIL=$((TIMEOUT - (TIMEOUT + 3) / 4))
  command -v octo-exec >/dev/null ||
    fail "$EX_CONFIGURATION" "octo-exec: not found; it is neither beside us nor in PATH"
  keep_targets
  keep_identity
  IDENTITY=''
  : >"$SCRATCH/unverified"
  check_report "$@"
  while [[ $1 != -- ]]; do
    shift
  done
  find_places_of_releases "${@:2}"
  while ((${#TODO[@]} > 0)); do
    round=$((round + 1))
    verify_round "$round"
    take_next
  done
}

# check_report OPTION… -- APP…: what is wrong with them is said before anything is begun
check_report() {
  local said code=0
  ask_by "$@"
  said=$("${RELEASES[0]}" --dry-run "${RELEASES[@]:1}" 2>&1 >/dev/null) || code=$?
  ((code == 0)) || give_up "$code" "$said"
}

# ask_by WORD…: sets RELEASES, and leaves it to others to say so
ask_by() {
  local VERBOSE=''
  asking_releases "$@"
}

# find_places_of_releases APP…: PLACES_OF has the directories by target, a line each as DIR and
# APP; TODO has the targets with any. What is selected are their names from now on: our own jobs
# are what failed last, perhaps.
find_places_of_releases() {
  local code=0 fields index name=''
  local -A said
  declare -gA PLACES_OF=()
  TODO=() NAMES=()
  ask_by --tsv --timeout "$(((TIMEOUT + 3) / 4))" -- "$@"
  apart "$SCRATCH/releases" "$SCRATCH/errors" "${RELEASES[@]}" || code=$?
  # No line at all is octo-push's own trouble.
  ((code == 0)) || [[ -s $SCRATCH/releases ]] || give_up "$code" "$(<"$SCRATCH/errors")"
  while IFS=$'\t' read -r -a fields; do
    for index in "${!COLUMNS_OF_RELEASES[@]}"; do
      said[${COLUMNS_OF_RELEASES[index]}]=${fields[index + 1]:--}
    done
    [[ ${fields[0]} == "$name" ]] || NAMES+=("${fields[0]}")
    name=${fields[0]}
    [[ ${said[base]} != - && ${said[revision]} != none ]] || continue
    [[ -n ${PLACES_OF[$name]:-} ]] || TODO+=("$name")
    PLACES_OF[$name]+=${said[base]}$'\t'${said[application]}$'\n'
    RELEASED["$name offers"]=${said[offers]}
  done <"$SCRATCH/releases"
  ((${#NAMES[@]} == 0)) || SELECTED=(-t "$(listed "${NAMES[@]}")") NARROWED=()
}

# apart OUTPUT ERRORS COMMAND…: with these files, which don't get what -v shows
apart() {
  local code=0 verbose=$VERBOSE VERBOSE=''
  [[ -z $verbose ]] || VERBOSE=1 announce "${@:3}"
  OCTO_AGAIN='' heeds "${@:3}" >"$1" 2>"$2" || code=$?
  [[ -z $CAUGHT ]] || exit "$CAUGHT"
  return "$code"
}

# place_of TARGET: sets DIRECTORY and APP to what is its turn
place_of() {
  IFS=$'\t' read -r DIRECTORY APP <<<"${PLACES_OF[$1]%%$'\n'*}"
}

# take_next: the next place of each target is its turn
take_next() {
  local name todo=()
  for name in "${TODO[@]}"; do
    PLACES_OF[$name]=${PLACES_OF[$name]#*$'\n'}
    [[ -z ${PLACES_OF[$name]} ]] || todo+=("$name")
  done
  TODO=("${todo[@]}")
}

# verify_round N: one job on each target of TODO
verify_round() {
  local name left=$((UNTIL - SECONDS)) grace=$(((TIMEOUT + 7) / 8)) files=$SCRATCH/%n.$1 words
  if ((left <= 0)); then
    for name in "${TODO[@]}"; do
      not_verified "$name" "no time was left of --timeout $TIMEOUT"
    done
    return
  fi
  tell_places "$1"
  words_of_places
  words=(octo-push "${PLACE_OPTIONS[@]}" "${PUSH_OPTIONS[@]}" -q -t "$(listed "${TODO[@]}")"
    run --end "$files.end" --outputs "$files.values" --each "$files.each" "${RELEASE_WORDS[@]}")
  # By INT octo-push cancels what isn't over.
  apart /dev/null "$SCRATCH/said" timeout --foreground -s INT -k "$grace" "$left" \
    "${words[@]}" || :
  read_reasons
  read_ends "$SCRATCH/" ".$1.end" "${TODO[@]}"
  for name in "${TODO[@]}"; do
    judge "$name" "$SCRATCH/$name.$1.values" "$left"
  done
}

# words_of_places: as for any job of octo-release; each target has its own -b
words_of_places() {
  local BASE=''
  words_of_release "${TODO[@]}"
}

# tell_places N: files for --each. Where octo-release is run by name, its sysadmin says where.
tell_places() {
  local name words
  for name in "${TODO[@]}"; do
    place_of "$name"
    words=(-q)
    runs_by_name "$name" || words+=(-b "$DIRECTORY")
    printf '%s\0' "${words[@]}" verify "$APP" >"$SCRATCH/$name.$1.each" ||
      fail "$EX_IO" "$SCRATCH/$name.$1.each: can't write"
  done
}

# read_reasons: REASONS has by target what octo-release said last there, but hints; of one target
# alone octo-push doesn't say which. However much it says, it takes us no time.
read_reasons() {
  local line name
  declare -gA REASONS=()
  while IFS= read -r line; do
    name=${TODO[0]}
    if ((${#TODO[@]} > 1)); then
      name=${line%%: *}
      line=${line#*: }
    fi
    [[ $line == 'octo-release: '* && $line != 'octo-release: hint: '* && -n $name ]] || continue
    REASONS[$name]=${line#octo-release: }
  done < <(tail -c 1000000 -- "$SCRATCH/said" | grep -a 'octo-release: ')
}

# judge TARGET VALUES SECONDS: was it compared, with a difference or without? octo-exec has looked
# there only where the job said so.
judge() {
  local name=$1 why
  place_of "$name"
  if [[ ${END_KIND[$name]}:${END_CODE[$name]} =~ ^exit:[01]$ ]]; then
    ! has_line "$2" "releases=${DIRECTORY%/}/$APP" || return 0
    why=${REASONS[$name]:-"octo-release didn't compare $DIRECTORY there"}
  elif [[ ${END_KIND[$name]} =~ ^(cancelled|unknown)$ && $SECONDS -ge $UNTIL ]]; then
    why="not over within ${3}s"
  else
    why=${REASONS[$name]:-${END_MESSAGE[$name]}}
  fi
  not_verified "$name" "$why"
}

# has_line FILE LINE
has_line() {
  local line
  [[ -e $1 ]] || return 1
  while IFS= read -r line; do
    [[ $line != "$2" ]] || return 0
  done <"$1"
  return 1
}

# not_verified TARGET WHY
not_verified() {
  place_of "$1"
  printf '%s\t%s\t%s\t%s\n' "$1" "$DIRECTORY" "$APP" "${2:0:300}" >>"$SCRATCH/unverified" ||
    fail "$EX_IO" "$SCRATCH/unverified: can't write"
}
