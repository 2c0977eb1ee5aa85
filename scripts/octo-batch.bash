# shellcheck shell=bash
# What octo-deploy and octo-rollback do around each batch: octo-push calls them again as its
# --gate, --before and --after. Behind a batch, targets are looked at from here, and what
# is not well is taken back. Sourced by both.
#
# It promises: a target's state, once written, says what happened to it. healthy: the
# release runs there; failed, unhealthy: it doesn't, or is not well. In front of these: back-
# an earlier one runs again, and is well; sick- it runs, and is not; left- by then somebody
# else's ran, and was left alone; stuck- the bad one is still there. down: not reached. No
# state is one that was not begun. Where a state can't be written, the batch has failed.

# shellcheck source=scripts/octo-looks.bash
source "$HERE/octo-looks.bash"

# batch_is_over TARGET…: looks at a batch. Where more than BUDGET targets of all batches are
# bad, or all of this one, all of it goes back.
batch_is_over() {
  local name all=0 bad=() well=()
  read_states
  look_at "$@"
  for name in "$@"; do
    case ${STATES[$name]:-} in
      healthy) well+=("$name") ;;
      *failed | *unhealthy) bad+=("$name") ;;
    esac
  done
  if ((${#bad[@]} == 0)); then
    goes_on
    return
  fi
  for name in "${!STATES[@]}"; do
    [[ ! ${STATES[$name]} =~ (failed|unhealthy|down)$ ]] || all=$((all + 1))
  done
  if ((all <= BUDGET && ${#well[@]} > 0)); then
    undo "${bad[@]}"
    goes_on
    return
  fi
  undo "${bad[@]}" "${well[@]}"
  return 1
}

# goes_on: nobody has told us to stop, see `heard`
goes_on() {
  [[ ! -e $WORK/stop ]]
}

# look_at TARGET…: their states, from how their jobs ended and what is seen from here
look_at() {
  local name done=() again=()
  read_ends "$WORK/" .end "$@"
  for name in "$@"; do
    case ${END_KIND[$name]}:${END_CODE[$name]}:${END_STATUS[$name]} in
      none:* | skipped:*) ;;
      failed:*:"$EX_UNAVAILABLE") state "$name" down ;;
      exit:0:*)
        read_values "$name" .values
        VERSIONS[$name]=${VALUES[to]:-}
        done+=("$name")
        ;;
      *)
        state "$name" failed
        read_values "$name" .values
        # Where nothing was switched there is nothing to look at behind that.
        [[ ! ${VALUES[result]:-}:${VALUES[to]:-} =~ ^(failed:.|left-alone:) ]] || again+=("$name")
        ;;
    esac
  done
  check_from_here "${done[@]}"
  for name in "${done[@]}"; do
    if [[ -n ${WELL[$name]} ]]; then
      state "$name" healthy
    else
      say "$name: ${WHY[$name]}"
      state "$name" unhealthy
    fi
  done
  look_again .values "${again[@]}"
}

# look_again SUFFIX TARGET…: those on which an earlier release runs again, or somebody else's
look_again() {
  local suffix=$1 name prefix
  shift
  for name in "$@"; do
    read_values "$name" "$suffix"
    VERSIONS[$name]=${VALUES[to]:-}
  done
  check_from_here "$@"
  for name in "$@"; do
    read_values "$name" "$suffix"
    prefix=back
    [[ ${VALUES[result]:-} != left-alone ]] || prefix=left
    if [[ $prefix == back && -z ${WELL[$name]} ]]; then
      say "$name: ${WHY[$name]}"
      prefix=sick
    fi
    state "$name" "$prefix-${STATES[$name]}"
  done
}

# state TARGET STATE: a line at the end
state() {
  printf '%s %s\n' "$1" "$2" 2>/dev/null >>"$WORK/states" ||
    fail "$EX_IO" "$1: its state could not be written"
  STATES[$1]=$2
}

# state_down: of those that are known not to answer, for they are in the budget
state_down() {
  local name
  read_states
  [[ -z $DRY_RUN ]] || return 0
  for name in "${DOWN[@]}"; do
    state "$name" down
  done
}

# read_states: STATES, the last of each target
read_states() {
  local name state
  declare -gA STATES=()
  [[ -e $WORK/states ]] || return 0
  while read -r name state; do
    STATES[$name]=$state
  done <"$WORK/states"
}

# find_what_runs TARGET…: NOW by target, in words
find_what_runs() {
  local name ask=()
  declare -gA NOW=()
  for name in "$@"; do
    NOW[$name]=''
    read_last_values "$name"
    if [[ -n ${VALUES[to]+said} && ${STATES[$name]:-} != left-* ]]; then
      NOW[$name]="; runs ${VALUES[to]:-nothing}"
    elif ! is_down "$name"; then
      ask+=("$name")
    fi
  done
  ((${#ask[@]} > 0)) || return 0
  try_releases "$APP" "${ask[@]}" || :
  for name in "${ask[@]}"; do
    answered "$name" || continue
    running_on "$name"
    NOW[$name]="; runs $RUNNING"
    [[ ${STATES[$name]:-} != left-* || -z ${RELEASED["$name by"]} ]] ||
      NOW[$name]+=" of ${RELEASED["$name by"]} by now"
    [[ -z ${RELEASED["$name seen"]} ]] || NOW[$name]+=', when it was looked at last'
  done
}

# is_down TARGET: it couldn't be reached, before the rollout or in it
is_down() {
  [[ ${STATES[$1]:-} == down || ${END_KIND[$1]}:${END_STATUS[$1]} == failed:$EX_UNAVAILABLE ]] ||
    [[ " ${DOWN[*]} " == *" $1 "* ]]
}

# undo TARGET…: those that took the release now go back to the one before, from what they
# took; one whose deployment failed did so by itself, one that was skipped had it before. What
# was not well is condemned.
undo() {
  local name back=()
  for name in "$@"; do
    read_values "$name" .values
    [[ -n $ROLLBACK && ${VALUES[result]:-} == deployed ]] || continue
    if succeeded "$name"; then
      back+=("$name")
      told_next "$name" --from "${VALUES[revision]:-none#0}"
    fi
  done
  if ((${#back[@]} > 0)); then
    say "$APP $RELEASE: goes back: ${back[*]}"
    run_back .back "${back[@]}" -- rollback "$APP"
    read_ends "$WORK/" .back "${back[@]}"
    settle "${back[@]}"
  fi
  condemn "$@"
}

# told_next TARGET WORD…: what comes next there gets these words of its own
told_next() {
  printf '%s\0' "${@:2}" >"$WORK/$1.words" || fail "$EX_IO" "$WORK/$1.words: can't write"
}

# run_back SUFFIX TARGET… -- WORD…: octo-release there, with the variables of the way there
run_back() {
  local suffix=$1 names=() job=()
  shift
  while [[ $1 != -- ]]; do
    names+=("$1")
    shift
  done
  shift
  words_of_release "${names[@]}"
  [[ ! -e $WORK/${names[0]}.env ]] || job=(-E "$WORK/%n.env" -S "$WORK/%n.secrets")
  label_way_back "$suffix" "${names[@]}"
  push "${SAYING[@]}" -t "$(listed "${names[@]}")" run "${job[@]}" "${LABELS[@]}" \
    --each "$WORK/%n.words" --end "$WORK/%n$suffix" --outputs "$WORK/%n$suffix-values" \
    "${RELEASE_WORDS[@]}" --wait 5m "$@" >&2 || :
}

# label_way_back SUFFIX TARGET…: with the version that they go to, if it is one; or that is
# condemned
label_way_back() {
  local suffix=$1 name version='' from=$RELEASE RELEASE
  shift
  for name in "$@"; do
    read_values "$name" .values
    RELEASE=${VALUES[from]:-}
    if [[ $suffix == .sick ]]; then
      read_condemned "$name"
      RELEASE=${VALUES[to]:-}
    fi
    [[ ${version:=$RELEASE} == "$RELEASE" ]] || version=-
  done
  RELEASE=${version/#-/}
  if [[ $suffix == .sick ]]; then label_jobs unhealthy; else label_jobs back "$from"; fi
}

# settle TARGET…: the states of those that were to go back
settle() {
  local name again=()
  for name in "$@"; do
    read_values "$name" .back-values
    if succeeded "$name" || [[ ${VALUES[result]:-} == left-alone ]]; then
      again+=("$name")
    else
      state "$name" "stuck-${STATES[$name]}"
    fi
  done
  look_again .back-values "${again[@]}"
}

# condemn TARGET…: what is not well from here is no good to go back to, whoever has replaced it
# since, nor to be left alone. An earlier one that runs again behind a failure, or ran already,
# has the mark alone: it did well before, and where the check is wrong, there would be nowhere to
# go back to.
condemn() {
  local name sick=()
  for name in "$@"; do
    [[ ${STATES[$name]:-} =~ ^((stuck-|left-)?unhealthy|sick-.*)$ ]] || continue
    read_condemned "$name"
    # A first deployment that failed has nothing there that could be told of.
    [[ -n ${VALUES[release]:-} ]] || continue
    sick+=("$name")
    if [[ ${STATES[$name]} == sick-* || ${VALUES[result]:-} == skipped ]]; then
      told_next "$name" --release "${VALUES[release]}" --stays-good
    else
      told_next "$name" --release "${VALUES[release]}"
    fi
  done
  ((${#sick[@]} > 0)) || return 0
  run_back .sick "${sick[@]}" -- unhealthy "$APP" 'not well, seen from the octopus'
  read_ends "$WORK/" .sick "${sick[@]}"
  for name in "${sick[@]}"; do
    succeeded "$name" || say "$name: its journal doesn't say so: ${END_MESSAGE[$name]}"
  done
}

# read_condemned TARGET: VALUES of the job that made current what is not well
read_condemned() {
  if [[ ${STATES[$1]} == sick-* ]]; then
    read_last_values "$1"
  else
    read_values "$1" .values
  fi
}

# read_last_values TARGET: VALUES of the last job there that said what is current
read_last_values() {
  read_values "$1" .back-values
  [[ -n ${VALUES[to]+said} ]] || read_values "$1" .values
}

# batch_begins TARGET…: --before
batch_begins() {
  local name lines=''
  for name in "$@"; do
    lines+="$name untouched"$'\n'
  done
  call_out --before "$BEFORE" "$lines" "$@"
}

# batch_ended TARGET…: --after, however it went; what is not well is no argument, so that no
# load goes there
batch_ended() {
  local name state well=() lines=''
  read_states
  read_ends "$WORK/" .end "$@"
  for name in "$@"; do
    state=${STATES[$name]:-unknown}
    [[ ! ${STATES[$name]:-}${END_KIND[$name]} =~ ^(none|skipped)$ ]] || state=untouched
    [[ ! $state =~ ^(healthy|untouched|back-.*|left-.*)$ ]] || well+=("$name")
    lines+="$name $state"$'\n'
  done
  call_out --after "$AFTER" "$lines" "${well[@]}"
}

# call_out OPTION COMMAND STATES NAME…: a command of the user's. octo-push knows but ours, so
# that it is named here where it fails.
call_out() {
  local option=$1 command=$2 states=$3 code=0
  shift 3
  # One word holds 128 KiB at most; octo-push, too, says more than that to nobody.
  ((${#states} < 100000)) || states=''
  asks env -u OCTO_BATCH ${states:+"OCTO_BATCH=$states"} "OCTO_APP=$APP" "OCTO_VERSION=$RELEASE" \
    "OCTO_ROLLOUT=$ROLLOUT" bash -c "$command \"\$@\"" "$TOOL" "$@" 8>&- || code=$?
  ((code == 0)) || say "$option $(quoted "$command"): exit $code"
  return "$code"
}

# await_batch: what an octo-push that was killed had called goes on, and is in the report
await_batch() {
  [[ ! -e $WORK/at-work ]] || flock "$WORK/at-work" true || :
}

# around_batch TARGET…: as octo-push calls us
around_batch() {
  WORK=$OVER$BEGINS$ENDED
  # See await_batch.
  exec 8>>"$WORK/at-work"
  flock -s 8
  keep_identity
  how_to_say
  [[ $BY_NAME != @* ]] || BY_NAME=$(paste -sd, -- "${BY_NAME#@}")
  if [[ -n $OVER ]]; then
    batch_is_over "$@"
  elif [[ -n $BEGINS ]]; then
    batch_begins "$@"
  else
    batch_ended "$@"
  fi
}

# calls_around_batches BUDGET: sets CALLS, the options by which octo-push calls us
calls_around_batches() {
  local name by_name=()
  for name in "${TODO[@]}"; do
    if runs_by_name "$name"; then by_name+=("$name"); fi
  done
  BY_NAME=$(listed "${by_name[@]}")
  CALLS=()
  if [[ -n $BEFORE ]]; then
    command_line --before "$BEFORE" --batch-begins "$WORK"
    CALLS+=(--before "$LINE")
  fi
  command_line --budget "$1" --batch-is-over "$WORK"
  CALLS+=(--gate "$LINE")
  if [[ -n $AFTER ]]; then
    command_line --after "$AFTER" --batch-ended "$WORK"
    CALLS+=(--after "$LINE")
  fi
}

# command_line WORD…: sets LINE, this script with all that it has to know, and these words
command_line() {
  local word words=("$HERE/$TOOL" "${PLACE_OPTIONS[@]}" "${PUSH_OPTIONS[@]}")
  [[ -z $BASE ]] || words+=(-b "$BASE")
  [[ -z $BY_NAME ]] || words+=(--by-name "$BY_NAME")
  [[ -z $URL ]] || words+=(--health-url "$URL")
  [[ -z $EXPECT ]] || words+=(--expect "$EXPECT")
  [[ -z $PORT ]] || words+=(--health-tcp "$PORT")
  [[ -n $ROLLBACK ]] || words+=(--no-rollback)
  [[ -z $VERBOSE ]] || words+=(-v)
  [[ -z $QUIET ]] || words+=(-q)
  [[ -z $ENVIRONMENT ]] || words+=(-e "$ENVIRONMENT")
  words+=(--tries "$TRIES" --interval "$INTERVAL" --rollout "$ROLLOUT" --of "$APP")
  [[ -z $RELEASE ]] || words+=(--release "$RELEASE")
  words+=("$@")
  LINE=''
  for word in "${words[@]}"; do
    [[ -z $DRY_RUN || $word != "$SCRATCH/identity.pem" ]] || word=IDENTITY
    enclose "$word"
    LINE+=${LINE:+ }$ENCLOSED
  done
}

# label_jobs WHAT [FROM]: sets LABELS, by which the journal here tells the application's story:
# deploy, rollback, back, once or unhealthy; and the version that ran before, if it is one
label_jobs() {
  LABELS=(--label "application=$APP" --label "rollout=$ROLLOUT" --label "what=$1")
  [[ -z ${2:-} ]] || LABELS+=(--label "from=$2")
  [[ -z $RELEASE ]] || LABELS+=(--label "version=$RELEASE")
  [[ -z $ENVIRONMENT ]] || LABELS+=(--label "environment=$ENVIRONMENT")
}

# read_values TARGET SUFFIX: VALUES, what octo-release handed back by that job
read_values() {
  local key value
  declare -gA VALUES=()
  [[ -e $WORK/$1$2 ]] || return 0
  while IFS='=' read -r key value; do
    [[ -z $key ]] || VALUES[$key]=${value//[![:print:]]/?}
  done <"$WORK/$1$2"
}
