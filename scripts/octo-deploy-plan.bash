# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # the plan is for octo-deploy, which sources this
# What octo-deploy finds out before it begins: what runs where, who can't be reached, who
# refuses, what is frozen, and so which targets there is something to do on.
#
# It promises: nothing was changed where it ends; each reason has its target and the line to
# type next.

# plan: sorts NAMES into TODO, DONE, which run it already, and DOWN, which can't be reached.
# Sets TODO_OPTIONS and ROLL_SELECT, which select the first, and the first with the last.
plan() {
  local name
  TODO=() DONE=() DOWN=() ONCE='' ONCE_DONE=''
  WAITING=()
  ((LOCK_WAIT == 0)) || WAITING=(--wait "$LOCK_WAIT")
  ask_releases "$APP" "${NAMES[@]}"
  refuse_denied
  # What is shown only makes no job.
  [[ -z $DIFF ]] || return 0
  # Nor does what is frozen, where all of it is to be deployed to.
  [[ -n $SKIP$CATCH_UP ]] || refuse_frozen "${NAMES[@]}"
  refresh_releases "$APP" "${NAMES[@]}"
  [[ -z $CATCH_UP ]] || find_left
  [[ -z $CONTINUE ]] || find_done
  for name in "${NAMES[@]}"; do
    if is_out_of_reach "$name"; then
      DOWN+=("$name")
    elif [[ -n $SKIP$CATCH_UP$CONTINUE ]] && runs_it "$name"; then
      DONE+=("$name")
    else
      TODO+=("$name")
    fi
  done
  [[ -z $CATCH_UP ]] || refuse_overtaken
  refuse_frozen "${TODO[@]}"
  weigh_health
  weigh_unreachable
  heed_canary
  select_what_is_to_do
  choose_once
}

# runs_it TARGET: these bytes, as far as octo-exec has looked, and well
runs_it() {
  [[ ${RELEASED["$1 version"]} == "$RELEASE" && ${RELEASED["$1 sha256"]} == "$SHA256" ]] &&
    [[ ${RELEASED["$1 result"]} == succeeded && -z ${RELEASED["$1 seen"]} ]]
}

# refuse_frozen TARGET…: before anything begins, and all of it: half a rollout is what nobody
# asked for. Sets FROZEN to those that are.
refuse_frozen() {
  local name
  FROZEN=()
  for name in "$@"; do
    [[ -n ${RELEASED["$name frozen-until"]} ]] || continue
    FROZEN+=("$name")
    [[ -n $DESPITE ]] || say "$name: $APP: frozen until ${RELEASED["$name frozen-until"]}" \
      "by ${RELEASED["$name frozen-by"]}: ${RELEASED["$name frozen-why"]}"
  done
  [[ -z $DESPITE && ${#FROZEN[@]} != 0 ]] || return 0
  say "$SUBJECT: frozen on ${#FROZEN[@]} of $(targets "${#NAMES[@]}"); $NOTHING"
  say_what_runs
  hint "where the target allows it: $(again_with --despite REASON)"
  ((${#FROZEN[@]} == ${#NAMES[@]})) ||
    hint "without them: $(again_with -x "$(joined "${FROZEN[@]}")")"
  exit "$EX_TEMPORARY"
}

# weigh_health: an installed octo-release takes no command from us, see tell_revisions
weigh_health() {
  local name by_name=()
  [[ -n $HEALTH ]] || return 0
  for name in "${TODO[@]}"; do
    if runs_by_name "$name"; then by_name+=("$name"); fi
  done
  ((${#by_name[@]} > 0)) || return 0
  ((${#by_name[@]} < ${#TODO[@]})) ||
    misuse "--health: all targets run their own octo-release, their CONFIG/apps/$APP says how"
  note "--health: not on $(joined "${by_name[@]}"), whose own CONFIG/apps/$APP says how"
}

# heed_canary: octo-push would stop without one when the package is there already; and where
# all are done it isn't to look for them
heed_canary() {
  local canary
  canary=$(roll_option --canary)
  if [[ -z $canary || ${#TODO[@]} == 0 ]] || has_canary "$canary" "${TODO[@]}"; then return 0; fi
  if has_canary "$canary" "${DOWN[@]}"; then
    say_out_of_reach "${DOWN[@]}"
    say "$SUBJECT: no canary can be reached; $NOTHING"
    say_what_runs
    hint "in another way: $(quoted octo-deploy --help)"
    exit "$EX_UNAVAILABLE"
  fi
  has_canary "$canary" "${DONE[@]}" ||
    fail "$EX_DATA" "$canary: none of the selected targets is this canary"
  drop_canary
}

# has_canary CANARY TARGET…: a name or a tag of one of them
has_canary() {
  local name
  for name in "${@:2}"; do
    if is_canary "$1" "$name"; then return 0; fi
  done
  return 1
}

is_canary() {
  [[ $2 == "$1" || " ${TAGS_OF[$2]} " == *" $1 "* ]]
}

drop_canary() {
  local index kept=()
  for ((index = 0; index < ${#ROLL_OPTIONS[@]}; index++)); do
    if [[ ${ROLL_OPTIONS[index]} == --canary ]]; then
      index=$((index + 1))
    else
      kept+=("${ROLL_OPTIONS[index]}")
    fi
  done
  ROLL_OPTIONS=("${kept[@]}")
  ((${#ROLL_OPTIONS[@]} > 0)) || ROLL_OPTIONS=(--batch 100%)
}

# select_what_is_to_do: sets TODO_OPTIONS, ROLL_SELECT and SHARES: a share of all targets stays
# that share when some are done
select_what_is_to_do() {
  local healthy
  TODO_OPTIONS=("${SELECT_OPTIONS[@]}") ROLL_SELECT=("${SELECT_OPTIONS[@]}") SHARES=()
  if ((${#TODO[@]} < ${#NAMES[@]})); then
    TODO_OPTIONS=(-t "$(listed "${TODO[@]}")")
  fi
  ((${#DONE[@]} > 0)) || return 0
  ROLL_SELECT=(-t "$(listed "${TODO[@]}" "${DOWN[@]}")")
  [[ -z $(roll_option --max-failures) ]] || SHARES+=(--max-failures "$(budget)")
  healthy=$(wanted_healthy)
  [[ -n $healthy ]] || return 0
  healthy=$((healthy - ${#DONE[@]}))
  SHARES+=(--min-healthy "$((healthy > 0 ? healthy : 0))")
}

# share_options: ROLL_OPTIONS with SHARES
share_options() {
  local index share
  for ((share = 0; share < ${#SHARES[@]}; share += 2)); do
    for index in "${!ROLL_OPTIONS[@]}"; do
      [[ ${ROLL_OPTIONS[index]} != "${SHARES[share]}" ]] ||
        ROLL_OPTIONS[index + 1]=${SHARES[share + 1]}
    done
  done
}

# choose_once: ONCE is the target on which the package's once= is to run, the first of all
choose_once() {
  local canary name
  if ((${#TODO[@]} == 0)) || [[ -n $CATCH_UP$ONCE_DONE ]] || ! has_once; then return 0; fi
  ONCE=${TODO[0]}
  canary=$(roll_option --canary)
  for name in "${TODO[@]}"; do
    if [[ -n $canary ]] && is_canary "$canary" "$name"; then
      ONCE=$name
      return
    fi
  done
}

# has_once: does octo.conf of the package name such a hook? Where we can't read the package,
# a target can, and does nothing if there is none. No pipe into a reader that stops early: that
# ends tar by SIGPIPE, which would be taken for no.
has_once() {
  local members member text
  members=$(package_members) || return 0
  for member in octo.conf ./octo.conf; do
    [[ $'\n'$members$'\n' == *$'\n'"$member"$'\n'* ]] || continue
    text=$(member_of_package "$member") || return 0
    [[ $'\n'$text != *$'\n'once=* ]] || return 0
  done
  return 1
}

# member_of_package NAME: what bash can hold of it
member_of_package() {
  tar -xOf "$PACKAGE" -- "$1" 2>/dev/null | tr -d '\0'
}

package_members() {
  tar -tf "$PACKAGE" 2>/dev/null
}

# --- A rollout that goes on, or is caught up with ---

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

# find_done: sets ONCE_DONE if the once= of these bytes has succeeded in that rollout
find_done() {
  local line known=''
  read_journal
  for line in "${LINES[@]}"; do
    [[ $line == *"\"rollout\":\"$CONTINUE\""*"\"version\":\"$RELEASE\""* ]] || continue
    known=1
    [[ $line != *'"kind":"exit","code":0,'*"\"package\":\"$SHA256\""*'"what":"once"'* ]] ||
      ONCE_DONE=1
  done
  [[ -n $known ]] || refuse_unknown "$CONTINUE"
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
# something else runs by now, that is so whatever clocks say.
refuse_overtaken() {
  local name newer
  newer=$(newer_rollouts)
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
  say "$SUBJECT: another rollout came after $CATCH_UP; $NOTHING"
  typed_without --catch-up
  TYPED=("${KEPT[@]}")
  hint "if this is wanted all the same: $(again_with --skip-deployed)"
  exit "$EX_DATA"
}

is_overtaken() {
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

# --- --diff ---

# show_differences: for each target, without a change anywhere
show_differences() {
  local name members hooks='' hook code=0
  members=$(package_members) || members=''
  for hook in PreDeploy.sh Deploy.sh PostDeploy.sh DeployFailed.sh; do
    [[ $'\n'$members$'\n' != *$'\n'?(./)"$hook"$'\n'* ]] || hooks+=" $hook"
  done
  WORK=$SCRATCH/run
  DRY_RUN=''
  mkdir -m 700 -- "$WORK"
  give_variables "${NAMES[@]}"
  for name in "${NAMES[@]}"; do
    show_difference "$name"
    answered "$name" || code=$EX_UNAVAILABLE
  done
  if [[ -z $members ]]; then
    hooks=" can't be read here"
  elif has_once; then
    hooks+=', and once='
  fi
  shows '%s %s: hooks:%s\n' "$APP" "$RELEASE" "${hooks:- none}"
  return "$code"
}

show_difference() {
  local name=$1 more=''
  running_on "$name"
  if ! answered "$name"; then
    shows "%s: can't be reached: %s\n" "$name" "${RELEASED["$name message"]:-no answer}"
    return
  fi
  [[ -z ${RELEASED["$name seen"]} ]] || more=', when it was looked at last'
  [[ -z ${RELEASED["$name frozen-until"]} ]] ||
    more+="; frozen until ${RELEASED["$name frozen-until"]}"
  if [[ ${RELEASED["$name sha256"]} == "$SHA256" ]]; then
    shows '%s: %s %s: the same package%s\n' "$name" "$APP" "$RUNNING" "$more"
  else
    shows '%s: %s: %s → %s%s\n' "$name" "$APP" "$RUNNING" "$RELEASE" "$more"
  fi
  show_names "$name"
}

# show_names TARGET: of variables that it would get, and those that what runs there had
show_names() {
  local name=$1 word is had=" ${RELEASED["$1 names"]//,/ } " gets more='' less=''
  names_given "$name"
  gets=" ${GIVEN_NAMES[*]} "
  # A list that ends in dots is cut: what isn't on it may be given all the same.
  for word in "${GIVEN_NAMES[@]}"; do
    [[ $had == *' ... '* || $had == *" $word "* ]] || more+=" $word"
  done
  for word in $had; do
    [[ $word == ... || $gets == *" $word "* ]] || less+=" $word"
  done
  [[ $had != *' ... '* ]] ||
    shows '%s: variables: too many for all names to be known: what is new is not told\n' "$name"
  [[ -z $more ]] || shows '%s: variables that are new:%s\n' "$name" "$more"
  [[ -z $less ]] || shows '%s: variables that are no more given:%s\n' "$name" "$less"
}
