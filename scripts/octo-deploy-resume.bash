# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # the plan is octo-deploy's, which sources this
# A rollout that goes on, or is caught up with: what the journal here says of it. Sourced by
# octo-deploy.
#
# It promises: what came after that rollout is undone by nobody who goes on with it; a hook that
# runs once is not begun again where it has succeeded, or where nobody knows.

# check_rollout: sets BEGAN, when it began
check_rollout() {
  local option=--catch-up
  BEGAN=$CATCH_UP$CONTINUE
  [[ -n $BEGAN ]] || return 0
  [[ -z $CONTINUE ]] || option=--continue
  [[ $BEGAN =~ ^[0-9]{8}T[0-9]{6}-[a-z2-7]{13}$ ]] ||
    misuse "$option $(quoted "$BEGAN"): not the id of a rollout, as its report has it"
  BEGAN=${BEGAN:0:4}-${BEGAN:4:2}-${BEGAN:6:2}T${BEGAN:9:2}:${BEGAN:11:2}:${BEGAN:13:2}Z
}

# read_journal WORD…: sets LINES to those of the application since it began
read_journal() {
  local told
  told=$(octo-push "${PLACE_OPTIONS[@]}" journal --app "$APP" --since "$BEGAN" --json "$@") || exit
  mapfile -t LINES <<<"$told"
}

refuse_unknown() {
  say "$SUBJECT: the journal here has no rollout $1 of it to these targets; $NOTHING"
  hint "which there are: $(quoted octo-push "${PLACE_OPTIONS[@]}" journal --app "$APP" --story)"
  exit "$EX_DATA"
}

# find_done: sets ONCE_DONE if the once= of these bytes has succeeded in that rollout, and STOOD to
# how its targets stood. Where nobody knows yet how once= ends, it isn't begun a second time.
find_done() {
  local line known='' once='' ended=''
  declare -gA STOOD=() PUT=()
  read_journal
  for line in "${LINES[@]}"; do
    if [[ $line == *"\"rollout\":\"$CONTINUE\""* ]]; then
      [[ $line != *"\"version\":\"$RELEASE\""* ]] || known=1
      read_standing "$line"
      if [[ $line == *"\"package\":\"$SHA256\""* && $line == *'"what":"once"'* ]]; then
        [[ ! $line =~ \"job\":\"([^\"]+)\" ]] || once=${BASH_REMATCH[1]}
      fi
    fi
    # One that was followed later has no package.
    [[ -n $once && $line == *"\"job\":\"$once\""* ]] || continue
    ended=1
    [[ $line != *'"kind":"exit","code":0,'* ]] || ONCE_DONE=1
    [[ ! $line =~ \"kind\":\"(begun|unknown)\" ]] || ended=''
  done
  [[ -n $known ]] || refuse_unknown "$CONTINUE"
  [[ -n $once && -z $ended$ONCE_DONE ]] || return 0
  say "$SUBJECT: how its once= ends is not known; $NOTHING"
  hint "$(quoted octo-push "${PLACE_OPTIONS[@]}" "${PUSH_OPTIONS[@]}" "${SELECT_OPTIONS[@]}" \
    follow "$once")"
  exit "$EX_UNKNOWN"
}

# read_standing LINE: STOOD of its target, where it was deployed or taken back, and PUT, the
# sha256 of what was deployed there
read_standing() {
  local name
  [[ $1 =~ \"target\":\"([^\"]+)\" ]] || return 0
  name=${BASH_REMATCH[1]}
  case $1 in
    *'"what":"back"'*) STOOD[$name]='taken back' ;;
    *'"kind":"exit","code":0,'*'"what":"deploy"'*)
      STOOD[$name]=succeeded
      [[ ! $1 =~ \"package\":\"([^\"]+)\" ]] || PUT[$name]=${BASH_REMATCH[1]}
      ;;
  esac
}

# find_left: sets STOOD by target, how that rollout left it by the journal here. NAMES are those
# that it had succeeded on, or had left out: others are no matter of a command that catches up.
find_left() {
  local name line main='' kept=()
  read_journal --story "${NAMES[@]}"
  for line in "${LINES[@]}"; do
    [[ ${line%%,\"others\":*} != *"\"rollout\":\"$CATCH_UP\""* ]] || main=$line
  done
  # A version that reads as a number has no quotes there.
  if [[ ! ${main%%,\"others\":*} =~ \"version\":\"?"$RELEASE"\"?[,}] ]]; then
    refuse_unknown "$CATCH_UP"
  fi
  read_standings "$main"
  for name in "${NAMES[@]}"; do
    if [[ ${STOOD[$name]:-} =~ ^(succeeded|unreachable|skipped)$ ]]; then
      kept+=("$name")
    else
      say "$name: ${STOOD[$name]:-not} in $CATCH_UP, not left out by it: left alone"
    fi
  done
  ((${#kept[@]} < ${#NAMES[@]})) || return 0
  NAMES=("${kept[@]}")
  SELECT_OPTIONS=(-t "$(listed "${NAMES[@]}")")
  ((${#NAMES[@]} > 0)) || fail "$EX_DATA" "$SUBJECT: nothing was left out by $CATCH_UP; $NOTHING"
}

# read_standings LINE: STOOD by target, as a rollout's line of the journal has it: its own run,
# but for those that another of its runs brought to another version, which is back
read_standings() {
  local others='' other version word name names
  declare -gA STOOD=()
  for word in succeeded failed unreachable unknown skipped; do
    names_in "$word" "${1%%,\"others\":*}"
    for name in "${FOUND_NAMES[@]}"; do
      STOOD[$name]=$word
    done
  done
  [[ $1 != *,\"others\":* ]] || others=${1#*,\"others\":}
  while [[ $others =~ \"version\":([^,]*),(\"succeeded\":[^}]*)\} ]]; do
    other=${BASH_REMATCH[2]} version=${BASH_REMATCH[1]//\"/}
    others=${others#*"$other"}
    [[ $version != "$RELEASE" ]] || continue
    names_in succeeded "$other"
    for name in "${FOUND_NAMES[@]}"; do
      STOOD[$name]='taken back'
    done
  done
}

# names_in WORD TEXT: sets FOUND_NAMES to that list of a run
names_in() {
  FOUND_NAMES=()
  [[ ! $2 =~ \"$1\":\[([^]]*)\] ]] || read -r -a FOUND_NAMES <<<"${BASH_REMATCH[1]//[\",]/ }"
}

# refuse_overtaken: what came after the rollout would be undone. Where it had succeeded and
# something else runs by now, that is so whatever clocks say; where it goes on, only there, for
# what went back by itself is newer, too.
refuse_overtaken() {
  local name newer=''
  [[ -n $CONTINUE ]] || newer=$(newer_rollouts)
  for name in "${TODO[@]}"; do
    is_overtaken "$name" || continue
    running_on "$name"
    newer+="${newer:+$'\n'}$name: runs $RUNNING of ${RELEASED["$name by"]:-nobody} by now"
    newer+="${RELEASED["$name since"]:+, since ${RELEASED["$name since"]}}"
  done
  [[ -n $newer ]] || return 0
  while IFS= read -r name; do
    say "$name"
  done <<<"$newer"
  say "$SUBJECT: another rollout came after $CATCH_UP$CONTINUE; $NOTHING"
  typed_without --catch-up
  TYPED=("${KEPT[@]}")
  typed_without --continue
  TYPED=("${KEPT[@]}")
  hint "if this is wanted all the same: $(again_with --skip-deployed)"
  exit "$EX_DATA"
}

is_overtaken() {
  if [[ -n $CONTINUE ]]; then
    [[ ${STOOD[$1]:-} == succeeded && ${RELEASED["$1 sha256"]} != "${PUT[$1]:-$SHA256}" ]]
    return
  fi
  [[ ${RELEASED["$1 sha256"]} != "$SHA256" ]] &&
    [[ ${STOOD[$1]} == succeeded || ${RELEASED["$1 since"]} > "$BEGAN" ]]
}

# newer_rollouts: says which rollouts over our targets stand behind it in the journal here, which
# has them in the order in which they began, and are complete
newer_rollouts() {
  local line main behind=''
  local who='"time":"([^"]*)".*"version":"?([^",]*)"?.*"by":"([^"]*)"'
  for line in "${LINES[@]}"; do
    main=${line%%,\"others\":*}
    if [[ $main == *"\"rollout\":\"$CATCH_UP\""* ]]; then
      behind=1
    elif [[ -n $behind && $line == *'"complete":true}' && $main =~ $who ]]; then
      printf '%s: %s was rolled out by %s at %s\n' "$APP" "${BASH_REMATCH[2]/#null/another}" \
        "${BASH_REMATCH[3]}" "${BASH_REMATCH[1]}"
    fi
  done
}
