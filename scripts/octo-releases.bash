# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # what is learned here is read by the scripts that source this
# What targets say that runs there: `octo-push releases`, which makes no job. Sourced by
# octo-deploy, octo-rollback and octo-promote. SUBJECT is what they are about to change, in
# words, and NOTHING that they have not.
#
# It promises: what a target says is a word in RELEASED, and never a command; of an
# application that is in several directories of a target, that of -b counts, and without -b
# nobody guesses. Where it counts, what nobody has seen yet is looked at before it is taken for
# nothing.

# The columns of `releases --tsv` behind the target.
COLUMNS_OF_RELEASES=(state application revision version sha256 result since by
  last-version last-result last-what back-version back-environment back-names environment
  seen frozen-until frozen-by frozen-why offers base user message names back-sha256 signed)

# The words for octo-release by which it checks what it has deployed.
HEALTH_WORDS=()

# ask_releases APP TARGET…: what these say. RELEASED["TARGET COLUMN"] is empty where there is
# nothing to say; BASES["TARGET"] has the directories that the application is in
ask_releases() {
  local name code=0
  try_releases "$@" || code=$?
  for name in "${@:2}"; do
    # No line at all is octo-push's own trouble.
    [[ -n ${RELEASED["$name state"]} ]] || give_up "$code" "$(<"$SCRATCH/errors")"
  done
}

# try_releases APP TARGET…: the same, but for those that say nothing
try_releases() {
  local app=$1 code=0 words
  shift
  words=(octo-push "${PLACE_OPTIONS[@]}" "${PUSH_OPTIONS[@]}" -q -t "$(listed "$@")"
    releases --tsv "$app")
  # Behind a signal a report is owed perhaps.
  if [[ -n $CAUGHT ]]; then words=(asks "${words[@]}"); else words=(heeds "${words[@]}"); fi
  OCTO_AGAIN='' "${words[@]}" >"$SCRATCH/releases" 2>"$SCRATCH/errors" || code=$?
  [[ -z $CAUGHT || -n $OWED ]] || exit "$CAUGHT"
  forget_releases "$@"
  read_releases <"$SCRATCH/releases"
  return "$code"
}

forget_releases() {
  local name column
  declare -gA RELEASED BASES
  for name in "$@"; do
    BASES[$name]=''
    for column in "${COLUMNS_OF_RELEASES[@]}"; do
      RELEASED["$name $column"]=''
    done
  done
}

read_releases() {
  local fields target index value column is_meant base=$BASE
  local -A real_base=()
  while [[ $base == *//* ]]; do
    base=${base//\/\//\/}
  done
  base=${base%/}
  find_real_bases
  while IFS=$'\t' read -r -a fields; do
    target=${fields[0]}
    [[ -n ${BASES[$target]+asked} ]] || continue
    is_meant=''
    if is_our_base "$target" "${fields[21]:--}"; then is_meant=1; fi
    # Where it was removed, it is nobody's to choose from.
    [[ ${fields[6]:--} != removed || $BASE == /* ]] || is_meant=''
    for index in "${!COLUMNS_OF_RELEASES[@]}"; do
      column=${COLUMNS_OF_RELEASES[index]} value=${fields[index + 1]:--}
      [[ $value != - ]] || continue
      if [[ -n $is_meant || $column =~ ^(state|offers|message|frozen-.*)$ ]]; then
        RELEASED["$target $column"]=$value
      fi
    done
    [[ ${fields[21]:--} == - || ${fields[3]:--} == - || ${fields[6]:--} == removed ]] ||
      BASES[$target]+=" ${fields[21]}"
  done
}

# is_our_base TARGET DIR: as far as it can be told here what -b means there
is_our_base() {
  [[ $2 == - || $BASE != /* || $2 == "$base" || $2 == "${real_base[$1]:-}" ]]
}

# find_real_bases: of the targets that were looked at where -b leads there, through links perhaps
find_real_bases() {
  local name line
  for name in "${!BASES[@]}"; do
    [[ -e $SCRATCH/$name.place ]] || continue
    while IFS= read -r line; do
      line=${line#releases=}
      [[ $line != /* ]] || real_base[$name]=${line%/*}
    done <"$SCRATCH/$name.place"
  done
}

# is_ambiguous TARGET: is the application in several directories, and -b names none?
is_ambiguous() {
  local directories
  read -r -a directories <<<"${BASES[$1]}"
  ((${#directories[@]} > 1)) && [[ $BASE != /* ]]
}

# hint_base TARGET: where it has APP elsewhere than octo-release looks there without a -b
hint_base() {
  local there=${RELEASED["$1 base"]:-}
  read_values "$1" .values
  [[ -z $BASE && -n $there && ${VALUES[releases]:-$there/} != "$there"/* ]] || return 0
  hint "$1: $APP is in $there: $(again_with -b "$there")"
}

# answered TARGET: it said what runs there, be it nothing
answered() {
  [[ ${RELEASED["$1 state"]} =~ ^(answered|empty)$ ]]
}

# is_out_of_reach TARGET: what is printed only is printed for such as well. The report tells of
# it, and so does what refuses.
is_out_of_reach() {
  ! answered "$1" || return 1
  [[ -z $DRY_RUN ]] || say_out_of_reach "$1"
  [[ -z $DRY_RUN ]]
}

# say_out_of_reach TARGET…: why
say_out_of_reach() {
  local name
  for name in "$@"; do
    find_silence "$name"
    say "$name: $SILENCE"
  done
}

# find_silence TARGET [MESSAGE]: sets SILENCE to why nobody knows what it runs; one that answered
# something else was reached
find_silence() {
  local why="can't be reached"
  [[ ${RELEASED["$1 state"]} != unknown ]] || why="doesn't say what it runs"
  SILENCE="$why: ${RELEASED["$1 message"]:-${2:-no answer}}"
}

# revision_on TARGET: sets REVISION
revision_on() {
  REVISION=${RELEASED["$1 revision"]:-none}
}

# running_on TARGET: sets RUNNING to what runs there, in words
running_on() {
  RUNNING=${RELEASED["$1 version"]:-nothing}
  [[ ${RELEASED["$1 result"]:-succeeded} == succeeded ]] || RUNNING+=" (${RELEASED["$1 result"]})"
}

# same_of KEY TARGET…: what is known of each of them, if it is one
same_of() {
  local name same=${RELEASED["${2:-} $1"]:-}
  for name in "${@:2}"; do
    [[ ${RELEASED["$name $1"]:-} == "$same" ]] || return 0
  done
  printf '%s' "$same"
}

# refresh_releases APP TARGET…: where more was journalled than octo-exec has seen, somebody
# works there by hand, or another octopus does: octo-release waits for its lock, as long as
# --lock-wait says, and octo-exec looks again. Without that, what was seen would be
# refused there, time and again. So it is done where octo-exec may have never looked.
refresh_releases() {
  local app=$1 name changed=() unseen=() somewhere='' waiting=()
  shift
  for name in "${NAMES[@]}"; do
    [[ -z ${RELEASED["$name revision"]} ]] || somewhere=1
  done
  for name in "$@"; do
    if [[ ${RELEASED["$name seen"]} == changed-since ]]; then
      changed+=("$name")
    elif may_be_unseen "$name"; then
      unseen+=("$name")
    fi
  done
  if ((${#changed[@]} + ${#unseen[@]} == 0)) || [[ -n $DRY_RUN ]]; then return 0; fi
  ((${#changed[@]} == 0)) ||
    note "$app: changed by others on $(joined "${changed[@]}"): looks again"
  changed+=("${unseen[@]}")
  look_there "$app" "${changed[@]}"
  if ((${#BUSY[@]} > 0 && ${#WAITING[@]} > 0)); then
    note "$app: waiting for somebody else on $(joined "${BUSY[@]}")"
    remember "${BUSY[@]}"
    waiting=("${WAITING[@]}")
    look_there "$app" "${BUSY[@]}"
  fi
  ask_releases "$app" "${changed[@]}"
  ((${#BUSY[@]} > 0)) || return 0
  say "$SUBJECT: somebody else is at work on $(joined "${BUSY[@]}"); $NOTHING"
  say_what_runs
  hint "when that is over: $(again_with --lock-wait 10m)"
  exit "$EX_TEMPORARY"
}

# look_there APP TARGET…: octo-exec looks again, once nobody is at work. Sets BUSY, where
# somebody was for as long as `waiting` says.
look_there() {
  local app=$1 name
  shift
  words_of_release "$@"
  push_changes -q -t "$(listed "$@")" run --end "$SCRATCH/%n.look" \
    --outputs "$SCRATCH/%n.place" "${RELEASE_WORDS[@]}" "${waiting[@]}" recover "$app" >&2 || :
  [[ -z $CAUGHT ]] || exit "$CAUGHT"
  read_ends "$SCRATCH/" .look "$@"
  BUSY=()
  for name in "$@"; do
    # Any other failure the job itself will have, and tell.
    [[ ${END_KIND[$name]}:${END_CODE[$name]} != "exit:$EX_TEMPORARY" ]] || BUSY+=("$name")
  done
}

# remember TARGET…: what these ran before others were waited for, see refuse_changed
remember() {
  local name
  for name in "$@"; do
    answered "$name" || continue
    revision_on "$name"
    running_on "$name"
    printf '%s %s %s\n' "$name" "$REVISION" "$RUNNING" >>"$SCRATCH/remembered" ||
      fail "$EX_IO" "$SCRATCH/remembered: can't write"
  done
}

# may_be_unseen TARGET: nothing is known of it below our -b, which leads elsewhere there by a
# link perhaps, or it was released by hand, or its octo-exec lost what it had kept. Nobody would
# be the first to deploy, but where others have it or all are to go back.
may_be_unseen() {
  if ! answered "$1" || [[ -n ${RELEASED["$1 revision"]} || -e $SCRATCH/$1.look ]]; then
    return 1
  fi
  # A deployment that is refused has no job.
  if [[ -n ${PACKAGE:-} && -z $DESPITE && -n ${RELEASED["$1 frozen-until"]} ]]; then return 1; fi
  [[ -n ${BASES[$1]}$somewhere || -z ${PACKAGE:-} ]]
}

# say_what_runs: on all targets, a line a version
say_what_runs() {
  local name
  local -A on=()
  for name in "${NAMES[@]}"; do
    running_on "$name"
    answered "$name" || RUNNING='?'
    on[$RUNNING]+=${on[$RUNNING]:+,}$name
  done
  for name in "${!on[@]}"; do
    if [[ $name == '?' ]]; then
      say "$APP: what runs is not known on ${on[$name]}"
    else
      say "$APP: as before, $name on ${on[$name]}"
    fi
  done
}

# refuse_denied: of these nobody knows what they run, though they answer
refuse_denied() {
  local name denied=() ambiguous=()
  for name in "${NAMES[@]}"; do
    if [[ ${RELEASED["$name state"]} == refused ]]; then
      denied+=("$name")
      say "$name: ${RELEASED["$name message"]}"
    elif is_ambiguous "$name"; then
      ambiguous+=("$name")
      say "$name: $APP is in${BASES[$name]}"
    fi
  done
  if ((${#denied[@]} > 0)); then
    say "$SUBJECT: $(targets "${#denied[@]}") refused to say what runs; $NOTHING"
    say_what_runs
    hint 'allow=status in their trust files lets you look'
    ((${#denied[@]} == ${#NAMES[@]})) ||
      hint "without them: $(again_with -x "$(joined "${denied[@]}")")"
    exit "$EX_REFUSED"
  fi
  ((${#ambiguous[@]} == 0)) || fail "$EX_DATA" "$APP: name its directory by -b"
}

# weigh_unreachable: within --max-failures and --min-healthy the rollout goes on without them
weigh_unreachable() {
  local healthy=$((${#NAMES[@]} - ${#DOWN[@]})) wanted most why='' words=()
  ((${#DOWN[@]} > 0)) || return 0
  wanted=$(wanted_healthy) most=$(budget)
  if ((${#DOWN[@]} > most)); then
    why+=": --max-failures allows $most"
    words+=(--max-failures "${#DOWN[@]}")
  fi
  if ((healthy > 0 && healthy <= ${wanted:-0})); then
    if [[ -n $why ]]; then why+=', and'; else why=:; fi
    why+=" --min-healthy $wanted spares none"
    words+=(--min-healthy "$((healthy - 1))")
  fi
  [[ -n $why || $healthy == 0 ]] || return 0
  say_out_of_reach "${DOWN[@]}"
  say "$SUBJECT: ${#DOWN[@]} of $(targets "${#NAMES[@]}") can't be reached; $NOTHING$why"
  say_what_runs
  if ((healthy > 0)); then
    hint "to go on without them: $(again_with "${words[@]}")"
    hint "or: $(again_with -x "$(joined "${DOWN[@]}")")"
  fi
  exit "$EX_UNAVAILABLE"
}

# wanted_healthy: how many targets have to be well at any time, by --min-healthy
wanted_healthy() {
  local wanted
  wanted=$(roll_option --min-healthy)
  share_of_all at-least "$wanted"
}

# budget: how many targets may be bad, by --max-failures
budget() {
  local most
  most=$(roll_option --max-failures)
  share_of_all at-most "${most:-0}"
}

# share_of_all at-most|at-least SHARE: prints how many that is
share_of_all() {
  if [[ $2 == *% ]]; then
    plumb share "${#NAMES[@]}" "$@"
    set -- "$1" "${ANSWER[0]}"
  fi
  printf '%s' "$2"
}

# roll_option --NAME: its value, if it is given
roll_option() {
  local index
  for index in "${!ROLL_OPTIONS[@]}"; do
    [[ ${ROLL_OPTIONS[index]} != "$1" ]] || printf '%s' "${ROLL_OPTIONS[index + 1]}"
  done
}

# find_canaries: sets CANARIES, by the names that --canary means now: of a run on record it
# would mean others after the next
find_canaries() {
  local canary name index
  declare -gA CANARIES=()
  canary=$(roll_option --canary)
  [[ -n $canary ]] || return 0
  list_targets -t "$canary"
  for name in "${LISTED[@]}"; do
    CANARIES[$name]=1
  done
  is_fleeting "$canary" || return 0
  for index in "${!ROLL_OPTIONS[@]}"; do
    [[ ${ROLL_OPTIONS[index]} != --canary ]] ||
      ROLL_OPTIONS[index + 1]=$(listed "${!CANARIES[@]}")
  done
}

# tell_revisions OPTION SUFFIX TARGET…: files of what is to be current on each, for --each, with
# the words about health where they would be heard
tell_revisions() {
  local option=$1 suffix=$2 name words
  shift 2
  for name in "$@"; do
    revision_on "$name"
    words=("$option" "$REVISION")
    runs_by_name "$name" || words+=("${HEALTH_WORDS[@]}")
    if [[ -n $DRY_RUN ]]; then
      shows "printf '%%s\\\\0' %s >%s\n" "$(quoted "${words[@]}")" \
        "$(quoted "$WORK/$name.$suffix")"
    else
      printf '%s\0' "${words[@]}" >"$WORK/$name.$suffix" ||
        fail "$EX_IO" "$WORK/$name.$suffix: can't write"
    fi
  done
}

# again_with OPTION [VALUE]…: this command line with that, in place of what it says of it
again_with() {
  local word TYPED=("${TYPED[@]}")
  for word in "$@"; do
    [[ -n $word && -n ${ROW_OF[$word]:-} ]] || continue
    typed_without "$word"
    TYPED=("${KEPT[@]}")
  done
  as_typed "$@" "${SELECTED[@]:CALLERS}" "${NARROWED[@]}" "${KEPT[@]}"
}

# typed_without OPTION [all]: sets KEPT to what was typed, but for that; where it may be repeated,
# only with all
typed_without() {
  local index row=${ROW_OF[$1]}
  KEPT=()
  for ((index = 0; index < ${#TYPED[@]}; index++)); do
    if [[ ${TYPED[index]} == "$1" ]] && [[ -n ${2:-} || ${OPTIONS[row + 3]} != *++ ]]; then
      [[ ${OPTIONS[row + 2]} == - ]] || index=$((index + 1))
    elif [[ ${TYPED[index]} != "--no-${1#--}" ]]; then
      KEPT+=("${TYPED[index]}")
    fi
  done
}

# names_given TARGET: sets GIVEN_NAMES to those of the variables that it gets; octo-vars(1)
# writes a line each, or ends each with NUL
names_given() {
  local file text entries entry
  GIVEN_NAMES=()
  for file in "$WORK/$1.env" "$WORK/$1.secrets"; do
    [[ -e $file ]] || continue
    if IFS= read -r -d '' text <"$file"; then
      mapfile -d '' -t entries <"$file"
    else
      mapfile -t entries <<<"$text"
    fi
    for entry in "${entries[@]}"; do
      [[ ! $entry =~ ^([A-Za-z_][A-Za-z0-9_]*)= ]] || GIVEN_NAMES+=("${BASH_REMATCH[1]}")
    done
  done
}
