# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is read by the scripts that source it
# What octo's pipelines share. Sourced, never run; it sits beside the scripts.
#
# It promises: messages as the tools print them, -n and -v that show what is run, and answers
# about a job's end that come from its record, never from a bare exit status (a script may
# exit with any number of ours). What a file, a time or a name means, `octo-push plumb` says.

readonly EX_USAGE=64 EX_DATA=65 EX_UNAVAILABLE=69 EX_CREATE=73 EX_IO=74
readonly EX_TEMPORARY=75 EX_REFUSED=77 EX_CONFIGURATION=78 EX_UNKNOWN=79

TOOL=${0##*/}
SAID=''
DRY_RUN='' VERBOSE='' QUIET='' SCRATCH='' IDENTITY='' NAMED='' BASE='' BY_NAME=''
SETTINGS=''
# The words that go to every tool, --config and --state; and those that go to every
# octo-push: identity, transport, waiting.
PLACE_OPTIONS=()
TARGETS_OPTION=()
PUSH_OPTIONS=()
# The words that choose targets, those that leave some of them out, and all of these.
SELECTED=()
NARROWED=()
SELECT_OPTIONS=()
# The words that make octo-push roll.
ROLL_OPTIONS=()
# What targets said that runs there, see octo-releases.bash.
declare -A RELEASED=()

# Where this file and the scripts are; who sources it has followed the links that lead here.
HERE=${BASH_SOURCE[0]%/*}

# shellcheck source=scripts/octo-options.bash
source "$HERE/octo-options.bash"
# shellcheck source=scripts/octo-lifetime.bash
source "$HERE/octo-lifetime.bash"
# shellcheck source=scripts/octo-terminal.bash
source "$HERE/octo-terminal.bash"

# The base utilities that each pipeline calls, whatever it is asked for; a script adds its own.
# octo(7), REQUIREMENTS, has them as a table.
NEEDS=(cat date dirname flock grep head mkdir mktemp mv readlink rm tr)

# say MESSAGE…: where nobody can hear it, what is done goes on, and ends with its status
say() {
  SAID+="$*"$'\n'
  complain "$TOOL: $*"
}

hint() {
  complain "$TOOL: hint: $*"
}

# note: what a person wants to see, and cron doesn't
note() {
  if talkative; then say "$@"; fi
}

talkative() {
  [[ -n $VERBOSE || (-z $QUIET && -t 2) ]]
}

# shows FORMAT WORD…: on standard output, which may be full
shows() {
  # shellcheck disable=SC2059 # it is handed on
  printf "$@" 2>/dev/null || fail "$EX_IO" "standard output: can't write"
}

# fail CODE MESSAGE…
fail() {
  local code=$1
  shift
  say "$*"
  exit "$code"
}

# misuse MESSAGE [HINT]
misuse() {
  say "$1"
  [[ -z ${2:-} ]] || hint "$2"
  hint "$TOOL --help"
  exit "$EX_USAGE"
}

# give_up CODE TEXT: ends as a tool ended, with what it said
give_up() {
  SAID+=$2$'\n'
  complain "$2"
  exit "$1"
}

# quoted WORD…: the words as a shell reads them back. A pipe can't be read again:
# an identity that was one has a name in its place.
quoted() {
  local word text=
  for word in "$@"; do
    if [[ $word == */octo-pipeline.??????????/identity.pem ]]; then
      text+=' IDENTITY'
    elif [[ $word == /proc/self/fd/* ]]; then
      text+=' TARGETS'
    elif [[ ${word//[$'\n\t']/} == *[[:cntrl:]]* ]]; then
      text+=" $(printf '%q' "$word")"
    else
      enclose "$word"
      text+=" $ENCLOSED"
    fi
  done
  printf '%s' "${text# }"
}

# enclose WORD: sets ENCLOSED, the word in quotes if it needs them, without a backslash:
# octo-push splits its --gate as a shell does, but for those
enclose() {
  ENCLOSED=$1
  [[ $1 =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || ENCLOSED="'${1//\'/\'\"\'\"\'}'"
}

# announce COMMAND…: under -v
announce() {
  [[ -z $VERBOSE ]] || printf '+ %s\n' "$(quoted "$@")" >&2
}

# asks COMMAND…: runs what only looks
asks() {
  announce "$@"
  "$@"
}

# changes COMMAND…: runs what changes something; -n only prints it
changes() {
  if [[ -n $DRY_RUN ]]; then
    shows '%s\n' "$(quoted "$@")"
  else
    asks "$@"
  fi
}

# push WORD…: octo-push with the options of this pipeline. Where it stopped and how
# to go on, the pipeline says.
push() {
  OCTO_AGAIN='' asks octo-push "${PLACE_OPTIONS[@]}" "${PUSH_OPTIONS[@]}" "$@"
}

push_changes() {
  local words=(octo-push "${PLACE_OPTIONS[@]}" "${PUSH_OPTIONS[@]}" "$@")
  if [[ -n $DRY_RUN ]]; then
    changes "${words[@]}"
  else
    OCTO_AGAIN='' heeds "${words[@]}"
  fi
}

# plumb WORD ARGUMENT…: sets ANSWER to the lines of octo-push's answer, or ends as it does
plumb() {
  local said code=0
  need_tools
  said=$(octo-push plumb --as "$TOOL" "$@" 2>&1) || code=$?
  ((code == 0)) || give_up "$code" "$said"
  mapfile -t ANSWER <<<"$said"
}

# need_tools: what a shell says of a command that it can't find names none of ours
need_tools() {
  command -v octo-push >/dev/null ||
    fail "$EX_CONFIGURATION" "octo-push: not found; it is neither beside us nor in PATH"
}

# need_utilities UTILITY…: what is missing is named before anything happens; no program is
# started to find out
need_utilities() {
  local utility
  for utility; do
    type -P -- "$utility" >/dev/null || fail "$EX_UNAVAILABLE" \
      "$utility: not installed, and $TOOL calls it: of Debian's package $(package_of "$utility")"
  done
}

package_of() {
  case $1 in
    awk) echo 'mawk, or gawk' ;;
    cmp | diff) echo diffutils ;;
    find | xargs) echo findutils ;;
    flock | setpriv | setsid) echo util-linux ;;
    grep | sed | tar) echo "$1" ;;
    ssh) echo openssh-client ;;
    *) echo coreutils ;;
  esac
}

# find_places: sets CONFIG and STATE
find_places() {
  plumb places
  CONFIG=${ANSWER[0]} STATE=${ANSWER[1]}
}

# how_to_say: sets SAYING, the words that keep octo-push as quiet as we are
how_to_say() {
  SAYING=()
  if [[ -n $QUIET || -z $DRY_RUN ]] && ! talkative; then SAYING=(-q); fi
}

# read_ends PREFIX SUFFIX TARGET…: what the files of --end say, PREFIX, target and suffix
# being their names: END_KIND, END_CODE, END_STATUS, END_JOB, END_MESSAGE by target
read_ends() {
  local name kind code status job message lines
  declare -gA END_KIND=() END_CODE=() END_STATUS=() END_JOB=() END_MESSAGE=()
  (($# > 2)) || return 0
  lines=$(end_lines "$@") || exit
  shift 2
  while IFS=$'\t' read -r kind code status job message; do
    name=$1
    shift
    [[ $message != - ]] || message="$kind $code"
    END_KIND[$name]=$kind END_CODE[$name]=$code END_STATUS[$name]=$status
    END_JOB[$name]=$job END_MESSAGE[$name]=$message
  done <<<"$lines"
}

# end_lines PREFIX SUFFIX TARGET…: in a shell of its own, which becomes octo-exec
end_lines() {
  local prefix=$1 suffix=$2 name files=()
  shift 2
  for name in "$@"; do
    files+=("$prefix$name$suffix")
  done
  exec octo-exec end -- "${files[@]}"
}

# succeeded TARGET: as read_ends has read. Of a job that ended well octo-push may still have
# refused the values.
succeeded() {
  [[ ${END_KIND[$1]}:${END_CODE[$1]}:${END_STATUS[$1]} == exit:0:0 ]]
}

# agree STATUS: AGREED is what the whole ends with: what all failures share, else 1
agree() {
  if [[ ${AGREED:=$1} != "$1" ]]; then AGREED=1; fi
}

# agree_with_signal: at the end. One that we were sent says more than what came of it, but for
# an end that nobody knows yet.
agree_with_signal() {
  [[ ${AGREED:-0} != 0 ]] || AGREED=1
  [[ -z $CAUGHT || $AGREED == "$EX_UNKNOWN" ]] || AGREED=$CAUGHT
}

# find_refusals WORD…: sets REFUSED to those of TODO that would not take such a run, and by
# target CODE_OF_NO and WHY_NO. Who can't be reached any more is in the budget.
find_refusals() {
  local name line
  local no='"target":"([^"]*)",.*"kind":"no","code":([0-9]+),.*"message":"(([^"\\]|\\.)*)"'
  local words=(octo-push "${PLACE_OPTIONS[@]}" "${PUSH_OPTIONS[@]}" -q --json)
  REFUSED=()
  declare -gA CODE_OF_NO=() WHY_NO=()
  words+=(-t "$(listed "${TODO[@]}")" run --ask "$@")
  if [[ -n $DRY_RUN ]]; then
    changes "${words[@]}"
    return
  fi
  heeds "${words[@]}" >"$SCRATCH/asked" 2>/dev/null || :
  [[ -z $CAUGHT ]] || exit "$CAUGHT"
  while IFS= read -r line; do
    [[ $line =~ $no ]] || continue
    CODE_OF_NO[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]} WHY_NO[${BASH_REMATCH[1]}]=${BASH_REMATCH[3]}
  done <"$SCRATCH/asked"
  for name in "${TODO[@]}"; do
    [[ -z ${CODE_OF_NO[$name]:-} ]] || REFUSED+=("$name")
  done
}

# words_of_release TARGET…: sets RELEASE_WORDS, by which octo-push runs octo-release there:
# sent from beside us, or by name where the target's sysadmin installed it and lets nothing
# else run. Both may be among them.
words_of_release() {
  local name by_name=()
  RELEASE_WORDS=("$HERE/octo-release")
  for name in "$@"; do
    if runs_by_name "$name"; then by_name+=("$name"); fi
  done
  if ((${#by_name[@]} == $# && $# > 0)); then
    RELEASE_WORDS=(--name octo-release --) # what follows is not of octo-push
  elif [[ ! -r ${RELEASE_WORDS[0]} ]]; then
    hint "install octo's scripts together: they send it to the targets"
    fail "$EX_CONFIGURATION" "${RELEASE_WORDS[0]}: missing: it belongs beside this script"
  elif ((${#by_name[@]} > 0)); then
    RELEASE_WORDS=(--installed "$(listed "${by_name[@]}")" "${RELEASE_WORDS[@]}")
  fi
  [[ -z $BASE ]] || RELEASE_WORDS+=(-b "$BASE")
}

# runs_by_name TARGET: by --named, or as `releases` said there
runs_by_name() {
  local offers=,${RELEASED["$1 offers"]:-},
  [[ -z $NAMED && ,$BY_NAME, != *,"$1",* ]] || return 0
  [[ $offers == *,name:octo-release,* && $offers != *,run,* ]]
}

# to_type TOOL TARGET WORD…: a command about this one, as what was said to us has it
to_type() {
  local tool=$1 index words=("$1" "${PLACE_OPTIONS[@]}")
  for ((index = 0; index < ${#PUSH_OPTIONS[@]}; index += 2)); do
    # Who only asks sends nothing that is worth a bound, and has no option for it.
    [[ $tool == octo-status && ${PUSH_OPTIONS[index]} == --bwlimit ]] ||
      words+=("${PUSH_OPTIONS[@]:index:2}")
  done
  words+=(-t "$2")
  shift 2
  if [[ $tool != octo-push ]]; then
    [[ -z $BASE ]] || words+=(-b "$BASE")
    [[ -z $NAMED || $tool != octo-rollback ]] || words+=(--named)
  fi
  quoted "${words[@]}" "$@"
}

# select_targets: sets NAMES to the selected targets, and SELECT_OPTIONS. What would be another
# selection after each step is replaced by its names, here and in what is said to be typed again
select_targets() {
  ((${#SELECTED[@]} > 0)) || misuse 'no target: name some by -t, or all by -a'
  SELECT_OPTIONS=("${SELECTED[@]}" "${NARROWED[@]}")
  keep_targets
  list_targets "${SELECT_OPTIONS[@]}"
  NAMES=("${LISTED[@]}")
  # Of a few targets a share may be none: the others have them.
  ((${#NAMES[@]} > 0)) || [[ -n ${GIVEN[--shard]:-} ]] ||
    misuse 'no target is left by this selection' 'octo-push targets -a lists what there is'
  if ((${#NAMES[@]} > 0)) && is_fleeting "${SELECT_OPTIONS[@]}"; then
    select_by_name "$(joined "${NAMES[@]}")"
  fi
}

# keep_targets: what programs of CONFIG/targets.d print is the same for all that we call: each
# runs once, and nobody comes or goes in the middle
keep_targets() {
  scratch
  [[ -n ${OCTO_TARGETS_KEPT:-} ]] || mkdir -m 700 -- "$SCRATCH/targets"
  export OCTO_TARGETS_KEPT=${OCTO_TARGETS_KEPT:-$SCRATCH/targets}
}

# list_targets SELECTION…: sets LISTED to their names
list_targets() {
  local words name _
  words=(octo-push "${PLACE_OPTIONS[@]}" "${TARGETS_OPTION[@]}" "$@" targets)
  announce "${words[@]}"
  "${words[@]}" >"$SCRATCH/listed" 2>"$SCRATCH/why" || give_up $? "$(<"$SCRATCH/why")"
  # What a program complained of though it went well.
  [[ -n $QUIET || ! -s $SCRATCH/why ]] || complain "$(<"$SCRATCH/why")"
  LISTED=()
  while read -r name _; do
    LISTED+=("$name")
  done <"$SCRATCH/listed"
}

# named_targets OPTION FILE: all that we call takes its targets from there, a call after the
# other; a pipe can be read once, so that its lines are kept in a file without a name, which is
# called TARGETS in what is printed
named_targets() {
  local kept lines=$2
  [[ -n $2 ]] || misuse "$1: its value is empty"
  if [[ $2 == - || (-e $2 && ! -f $2) ]]; then
    [[ $2 != - ]] || lines=/dev/stdin
    kept=$(mktemp) || fail "$EX_CREATE" "${TMPDIR:-/tmp}: can't create a file"
    cat <"$lines" >"$kept" || fail "$EX_IO" "$1 $2: can't be read"
    exec {TARGETS_FILE}<"$kept"
    rm -f -- "$kept"
    lines=/proc/self/fd/$TARGETS_FILE
  fi
  # What asks octo-push something small, or octo-vars, has no option for it.
  export OCTO_TARGETS=$lines
  TARGETS_OPTION=(--targets "$lines")
  PUSH_OPTIONS+=("${TARGETS_OPTION[@]}")
}

# is_fleeting WORD…: does one of them name a run on record, or a file that does or is read once?
is_fleeting() {
  local word text
  for word in "$@"; do
    text=$word
    if [[ $word == @* ]]; then
      [[ -f ${word#@} ]] || return 0
      text=$(<"${word#@}")
    fi
    [[ $text != *failed:* && $text != *unreachable:* ]] || return 0
  done
  return 1
}

select_by_name() {
  if ((${#1} > 100000)); then
    scratch
    SELECT_OPTIONS=(-t "$(listed "${NAMES[@]}")")
    return
  fi
  SELECT_OPTIONS=(-t "$1")
  SELECTED=("${SELECTED[@]:0:CALLERS}" -t "$1") NARROWED=()
  AGAIN=$(as_typed "${SELECTED[@]:CALLERS}" "${TYPED[@]}")
}

# listed NAME…: for an option of octo-push. One word holds 128 KiB at most, so that many names
# are in a file, which goes with our private directory.
listed() {
  local place=${SCRATCH:-${WORK:-}} text file
  text=$(joined "$@")
  if ((${#text} > 100000)) && [[ -d $place ]]; then
    file=$(mktemp -- "$place/names.XXXXXXXXXX") || fail "$EX_CREATE" "$place: can't create a file"
    printf '%s\n' "$@" >"$file" || fail "$EX_IO" "$file: can't write"
    text=@$file
  fi
  printf '%s' "$text"
}

joined() {
  local IFS=,
  printf '%s' "$*"
}

targets() {
  if (($1 == 1)); then
    printf '1 target'
  else
    printf '%s targets' "$1"
  fi
}

# asking_releases OPTION… -- APP…: sets RELEASES, the command by which octo-push says what
# all selected targets run. It does that alone, so that no pipe need be kept.
asking_releases() {
  ((${#SELECTED[@]} > 0)) || misuse 'no target: name some by -t, or all by -a'
  need_tools
  [[ $IDENTITY != - ]] || IDENTITY=/dev/stdin
  RELEASES=(octo-push "${PLACE_OPTIONS[@]}" "${PUSH_OPTIONS[@]}")
  [[ -z $IDENTITY ]] || RELEASES+=(-i "$IDENTITY")
  [[ -z $LIMIT ]] || RELEASES+=(--limit "$LIMIT")
  if [[ -n $VERBOSE ]]; then RELEASES+=(-v); else RELEASES+=(-q); fi
  RELEASES+=("${SELECTED[@]}" "${NARROWED[@]}" releases)
  [[ -z $BASE ]] || RELEASES+=(--base "$BASE")
  RELEASES+=("$@")
  announce "${RELEASES[@]}"
}

# The tools are beside us or where our link is; cron's PATH doesn't have them.
if ! command -v octo-push >/dev/null; then
  PATH=$PATH:$(cd "$(dirname "$0")" && pwd):$HERE/../../bin
  export PATH
fi
