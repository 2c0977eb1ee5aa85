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
  [[ -z $CATCH_UP$CONTINUE ]] || refuse_overtaken
  refuse_frozen "${TODO[@]}"
  weigh_health
  weigh_unreachable
  find_canaries
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
  if [[ -z $canary || ${#TODO[@]} == 0 ]] || has_canary "${TODO[@]}"; then return 0; fi
  if has_canary "${DOWN[@]}"; then
    say_out_of_reach "${DOWN[@]}"
    say "$SUBJECT: no canary can be reached; $NOTHING"
    say_what_runs
    hint "in another way: $(quoted octo-deploy --help)"
    exit "$EX_UNAVAILABLE"
  fi
  has_canary "${DONE[@]}" ||
    fail "$EX_DATA" "$canary: none of the selected targets is this canary"
  drop_canary
}

# has_canary TARGET…: is one of them?
has_canary() {
  local name
  for name in "$@"; do
    [[ -z ${CANARIES[$name]:-} ]] || return 0
  done
  return 1
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
  local name
  if ((${#TODO[@]} == 0)) || [[ -n $CATCH_UP$ONCE_DONE ]] || ! has_once; then return 0; fi
  ONCE=${TODO[0]}
  for name in "${TODO[@]}"; do
    if has_canary "$name"; then
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
  [[ -z $FEED ]] || return 0
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
    find_silence "$name"
    shows '%s: %s\n' "$name" "$SILENCE"
    return
  fi
  [[ -z ${RELEASED["$name seen"]} ]] || more=', when it was looked at last'
  [[ -z ${RELEASED["$name frozen-until"]} ]] ||
    more+="; frozen until ${RELEASED["$name frozen-until"]}"
  if [[ ${RELEASED["$name sha256"]} == "$SHA256" ]]; then
    shows '%s: %s %s: the same package%s\n' "$name" "$APP" "$RUNNING" "$more"
  else
    set_arrow
    shows '%s: %s: %s %s %s%s\n' "$name" "$APP" "$RUNNING" "$ARROW" "$RELEASE" "$more"
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
