# shellcheck shell=bash
# What octo-deploy does behind each batch: it looks at the targets from here, and takes
# back what is not well. Sourced by octo-deploy, which octo-push calls as its --gate.
#
# It promises: a target's state, once written, says what happened to it: healthy,
# unhealthy or failed, with back- or stuck- in front where it was taken back. No state
# is a deployment that was not begun; where one can't be written, the batch has failed.

# batch_is_over DIR BUDGET APP RELEASE TARGET…: looks at a batch. Where more than BUDGET
# targets of all batches are bad, or all of this one, all of it goes back.
batch_is_over() {
  WORK=$1 APP=$3 RELEASE=$4
  local budget=$2 name all=0 bad=() well=()
  shift 4
  keep_identity
  release_words
  how_to_say
  look_at "$@"
  read_states
  for name in "$@"; do
    case ${STATES[$name]:-} in
      healthy) well+=("$name") ;;
      unhealthy | failed) bad+=("$name") ;;
      # A check runs beside us: no failure of it is seen but by what it left.
      *)
        [[ ${END_KIND[$name]} =~ ^(none|skipped)$ ]] ||
          fail "$EX_IO" "$name: its state could not be written"
        ;;
    esac
  done
  ((${#bad[@]} > 0)) || return 0
  for name in "${!STATES[@]}"; do
    [[ ! ${STATES[$name]} =~ ^(failed|(back-|stuck-)?unhealthy)$ ]] || all=$((all + 1))
  done
  if ((all <= budget && ${#well[@]} > 0)); then
    take_back "${bad[@]}"
    return 0
  fi
  take_back "${bad[@]}" "${well[@]}"
  return 1
}

# look_at TARGET…: their states, from how their jobs ended and what is seen from here
look_at() {
  local name running=0
  read_ends "$WORK/" .end "$@"
  read_hosts "$@"
  for name in "$@"; do
    case ${END_KIND[$name]}:${END_CODE[$name]} in
      none:* | skipped:*) ;;
      exit:0)
        if [[ -z $URL$PORT ]]; then
          state "$name" healthy
          continue
        fi
        if ((running == 32)); then
          wait -n || :
          running=$((running - 1))
        fi
        check "$name" &
        running=$((running + 1))
        ;;
      *) state "$name" failed ;;
    esac
  done
  wait
}

# check TARGET: is it well, seen from here?
check() {
  if healthy "$1"; then
    state "$1" healthy
  else
    say "$1: $APP $RELEASE: deployed, but not healthy"
    state "$1" unhealthy
  fi
}

# state TARGET STATE: a line at the end, whole also where several write
state() {
  printf '%s %s\n' "$1" "$2" >>"$WORK/states"
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

# take_back TARGET…: those that took the release now go back to the one before; one
# whose deployment failed did so by itself, one that was skipped had it before
take_back() {
  local name back=()
  [[ -n $ROLLBACK ]] || return 0
  for name in "$@"; do
    if succeeded "$name" && deployed "$name"; then back+=("$name"); fi
  done
  ((${#back[@]} > 0)) || return 0
  say "$APP $RELEASE: goes back: ${back[*]}"
  push "${SAYING[@]}" -t "$(joined "${back[@]}")" run --end "$WORK/%n.back" \
    "${RELEASE_WORDS[@]}" rollback "$APP" >&2 || :
  read_ends "$WORK/" .back "${back[@]}"
  for name in "${back[@]}"; do
    if succeeded "$name"; then
      state "$name" "back-${STATES[$name]}"
    else
      state "$name" "stuck-${STATES[$name]}"
    fi
  done
}

# deployed TARGET: did octo-release say that it made the switch?
deployed() {
  local line
  while IFS= read -r line; do
    [[ $line != result=deployed ]] || return 0
  done <"$WORK/$1.values"
  return 1
}

# read_hosts TARGET…: HOSTS by target, where they are needed
read_hosts() {
  local name
  declare -gA HOSTS=()
  [[ -n $URL$PORT ]] || return 0
  plumb hosts -- "$@"
  for name in "$@"; do
    HOSTS[$name]=${ANSWER[0]}
    ANSWER=("${ANSWER[@]:1}")
  done
}

# healthy TARGET: the checks from here
healthy() {
  local try
  for ((try = 1; try <= TRIES; try++)); do
    ((try == 1)) || sleep "$INTERVAL"
    if url_answers "$1" && port_answers "$1"; then return 0; fi
  done
  say "$1: $(tail -n 1 -- "$WORK/$1.why" | tr -cd '[:print:]')"
  return 1
}

url_answers() {
  local url=$URL host=${HOSTS[$1]}
  [[ -n $URL ]] || return 0
  [[ $host != *:* ]] || host="[$host]"
  url=${url//%n/"$1"}
  url=${url//%a/"$host"}
  asks curl -fsS -o /dev/null --max-time 10 -- "$url" 2>"$WORK/$1.why"
}

port_answers() {
  [[ -n $PORT ]] || return 0
  # shellcheck disable=SC2016 # for the inner bash
  asks timeout 10 bash -c 'exec 3<>"/dev/tcp/$1/$2"' - "${HOSTS[$1]}" "$PORT" 2>/dev/null || {
    printf '%s port %s: no answer\n' "${HOSTS[$1]}" "$PORT" >"$WORK/$1.why"
    return 1
  }
}
