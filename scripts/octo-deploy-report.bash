# shellcheck shell=bash
# shellcheck disable=SC2004,SC2153 # what octo-deploy set
# How a rollout of octo-deploy ended: for each target that doesn't run the release why, what
# runs there now, and what to type next. Sourced by octo-deploy.
#
# It promises: what a target runs is what its job said when it was over, or, where no job
# said it, what the target says now.

# end_rollout: tells of it; ends with what the failures agree on, else 1
end_rollout() {
  local code=0
  REPORT=''
  report || code=$?
  notify "$code"
  return "$code"
}

# end_before CODE MESSAGE: nothing has changed yet
end_before() {
  REPORT=''
  tell "$2"
  say_what_runs
  if ((${#REFUSED[@]} == 0)); then
    how_to_go_on
  elif ((${#REFUSED[@]} < ${#NAMES[@]})); then
    hint "without them: $(again_with -x "$(joined "${REFUSED[@]}")")"
  fi
  notify "$1"
  exit "$1"
}

# notify_refusals: from now on what ends before a rollout began is told of as well, whatever
# ended it
notify_refusals() {
  # shellcheck disable=SC2016 # expanded when it is over
  clean_up 'tell_refusal; rm -rf -- "$SCRATCH"'
}

tell_refusal() {
  if ((ENDS_WITH == 0)) || [[ -n $DRY_RUN$DIFF ]]; then return 0; fi
  REPORT=$SAID
  notify "$ENDS_WITH" || :
}

# tell MESSAGE: it is of the report
tell() {
  REPORT+=$1$'\n'
  say "$1"
}

report() {
  local name ok=${#DONE[@]} begun=''
  REST=() AGREED=''
  read_states
  read_ends "$WORK/" .end "${NAMES[@]}"
  for name in "${DONE[@]}"; do
    STATES[$name]=healthy
  done
  for name in "${TODO[@]}" "${DOWN[@]}"; do
    [[ ${END_KIND[$name]} =~ ^(none|skipped)$ ]] || begun=1
    [[ ! ${STATES[$name]:-} =~ ^(stuck-)?healthy$ ]] || ok=$((ok + 1))
    if [[ ${STATES[$name]:-} != healthy ]]; then
      REST+=("$name")
    fi
  done
  if ((${#REST[@]} == 0 && CODE == 0)); then
    REPORT="$APP $RELEASE: on $(targets "$ok")"$'\n'
    note "${REPORT%$'\n'}"
    return 0
  elif ((${#REST[@]} == 0)); then
    # A command around the last batch failed, or a signal came behind it.
    tell "$APP $RELEASE: on $(targets "$ok"), and octo-push ended with exit status $CODE"
    return "$CODE"
  fi
  ROLLED=$begun
  find_what_runs "${REST[@]}"
  for name in "${REST[@]}"; do
    report_one "$name"
  done
  tell "$APP $RELEASE: on $ok of $(targets "${#NAMES[@]}")"
  how_to_go_on
  [[ -n $begun || ${#TODO[@]} == 0 ]] || AGREED=$CODE
  agree_with_signal
  return "$AGREED"
}

# report_one TARGET: why it doesn't run it, what it runs, and with what that ends
report_one() {
  local why=${END_MESSAGE[$1]} status=1
  case ${STATES[$1]:-}:${END_KIND[$1]} in
    back-healthy:*) why='went back with its batch' status='' ;;
    back-unhealthy:*) why='not healthy, went back' ;;
    sick-healthy:*) why='went back with its batch, and is not healthy' ;;
    sick-unhealthy:*) why='not healthy, went back, and is not healthy either' ;;
    sick-failed:*)
      why+=', went back, and is not healthy either'
      status=${END_STATUS[$1]}
      ;;
    left-failed:*) why='left alone' status=${END_STATUS[$1]} ;;
    left-*) why='not taken back: left alone' ;;
    stuck-healthy:*) why="stays, can't go back with its batch: $(message_of_way_back "$1")" ;;
    stuck-*) why="still there, can't go back: $(message_of_way_back "$1")" ;;
    unhealthy:*) why='not healthy, and still there' ;;
    *:none | *:skipped) status='' ;;
    *:exit)
      status=${END_CODE[$1]/#0/1}
      why=${why/#exit 0/deployed, and not looked at}
      ;;
    *) status=${END_STATUS[$1]} ;;
  esac
  if [[ ${END_KIND[$1]}:${END_CODE[$1]} == "exit:$EX_TEMPORARY" ]]; then
    read_values "$1" .values
    why='another run is at work there'
    [[ ${VALUES[result]:-} != frozen ]] || why='frozen meanwhile'
  fi
  if is_down "$1"; then
    status=$EX_UNAVAILABLE
    find_silence "$1" "$why"
    why=$SILENCE
  fi
  [[ -z $status ]] || agree "$status"
  tell "$1: $APP $RELEASE: $why${NOW[$1]}"
  if [[ ${END_KIND[$1]} == unknown ]]; then
    hint "$(to_type octo-push "$1" follow "${END_JOB[$1]}")"
  elif [[ ${STATES[$1]:-} == stuck-* ]]; then
    read_values "$1" .values
    # A first deployment has nowhere to go back to, nor has one of the same bytes.
    [[ -z ${VALUES[from]:-} || -n $(reason_of_way_back "$1") ]] ||
      hint "$(to_type octo-rollback "$1" "$APP")"
  fi
}

# message_of_way_back TARGET: octo-release's own words, if it had any; in a shell of its own,
# for the ends of another file
message_of_way_back() (
  read_ends "$WORK/" .back "$1"
  why=$(reason_of_way_back "$1")
  printf '%s' "${why:-${END_MESSAGE[$1]}}"
)

# reason_of_way_back TARGET: why there is none, if there is none
reason_of_way_back() (
  read_values "$1" .back-values
  printf '%s' "${VALUES[reason]:-}"
)

# how_to_go_on: the command that leaves alone what is done, and what is somebody else's by now,
# who is to be asked first; if all that is left couldn't be reached, only what was left out. A
# pipeline that called us has its own
how_to_go_on() {
  local again when='to go on' name others=() words=(--skip-deployed)
  for name in "${REST[@]}"; do
    [[ ${STATES[$name]:-} != left-* ]] || others+=("$name")
  done
  [[ -z $CONTINUE$ONCE_DONE$ROLLED ]] || words=(--continue "$ROLLOUT")
  [[ -z $CATCH_UP ]] || words=(--catch-up "$CATCH_UP")
  if only_down; then
    when='once they answer'
    # The journal has no rollout where there was nothing to do but for these; one that went on
    # has several runs in it.
    [[ ${#TODO[@]} == 0 || -n $CONTINUE ]] || words=(--catch-up "$ROLLOUT")
  elif ((${#others[@]} > 0)); then
    hint "$(to_type octo-status "$(joined "${others[@]}")" "$APP")"
    hint_base "${others[0]}"
    if ((${#others[@]} == ${#REST[@]})); then return 0; fi
    words+=(-x "$(joined "${others[@]}")")
  fi
  again=${OCTO_AGAIN-$(again_with "${words[@]}")}
  [[ -z $again ]] || hint "$when: $again"
}

# only_down: all that is left couldn't be reached
only_down() {
  local name
  ((${#REST[@]} > 0)) || return 1
  for name in "${REST[@]}"; do
    is_down "$name" || return 1
  done
}

# notify CODE: changes nothing about it
notify() {
  local result=failed code=0
  [[ -n $NOTIFY && -z $NOTIFIED ]] || return 0
  NOTIFIED=1
  case $1 in
    0) result=deployed ;;
    129 | 130 | 143) result=cancelled ;;
    *) ! only_down || result=incomplete ;;
  esac
  printf '%s' "$REPORT" >"$SCRATCH/report"
  asks env "OCTO_APP=$APP" "OCTO_VERSION=$RELEASE" "OCTO_ENVIRONMENT=$ENVIRONMENT" \
    "OCTO_ROLLOUT=$ROLLOUT" "OCTO_RESULT=$result" "OCTO_STATUS=$1" \
    timeout -k 5 60 bash -c "$NOTIFY \"\$@\"" "$TOOL" "$result" "$APP" "$RELEASE" \
    <"$SCRATCH/report" >&2 || code=$?
  ((code == 0)) || say "--notify $(quoted "$NOTIFY"): exit status $code"
}
