# shellcheck shell=bash
# shellcheck disable=SC2004,SC2034,SC2153 # who sources this has the options, and reads what is seen
# What is looked at from here behind a switch: --health-url, --expect and --health-tcp. Sourced
# by octo-batch.bash.
#
# It promises: TRIES rounds over those that aren't well yet, 32 at a time, and one or two
# processes for each look; ten seconds and a MiB are the most that one takes.

# By target: 1 if it is well, else why not; and the version that is looked for, if not RELEASE.
declare -gA WELL=() WHY=() VERSIONS=() HOSTS=()

# check_looking: what contradicts itself, or can't be done from here
check_looking() {
  ((TRIES > 0)) || misuse '--tries 0: one at least'
  [[ -z $EXPECT || -n $URL ]] || misuse '--expect: needs --health-url'
  [[ $EXPECT != *$'\n'* ]] || misuse '--expect: is one line'
  if [[ -n $URL ]] && ! command -v curl >/dev/null; then
    fail "$EX_CONFIGURATION" 'curl: not found; --health-url needs it'
  fi
}

# check_from_here TARGET…: WELL by target where all checks succeed in time, else WHY.
# VERSIONS is what is looked for, if not RELEASE.
check_from_here() {
  local name try rest=("$@") failed
  for name in "$@"; do
    WELL[$name]=1 WHY[$name]=''
  done
  [[ -n $URL$PORT && $# -gt 0 ]] || return 0
  ! looks_at_hosts || read_hosts "$@"
  for ((try = 1; try <= TRIES; try++)); do
    ((try == 1)) || sleep "$INTERVAL"
    try_all "${rest[@]}"
    failed=()
    for name in "${rest[@]}"; do
      [[ -n ${WELL[$name]} ]] || failed+=("$name")
    done
    rest=("${failed[@]}")
    ((${#rest[@]} > 0)) || return 0
  done
}

# try_all TARGET…: once each, 32 at a time, in one or two processes each
try_all() {
  local name
  while (($# > 0)); do
    for name in "${@:1:32}"; do
      WELL[$name]=1
    done
    [[ -z $URL ]] || try_some ask_url "${@:1:32}"
    [[ -z $PORT ]] || try_some ask_port "${@:1:32}"
    [[ -z $EXPECT ]] || find_expected "${@:1:32}"
    shift $(($# < 32 ? $# : 32))
  done
}

# try_some FUNCTION TARGET…: it runs beside us for each of them
try_some() {
  local how=$1 name
  local -A process=()
  shift
  for name in "$@"; do
    "$how" "$name" &
    process[$name]=$!
  done
  for name in "$@"; do
    wait "${process[$name]}" || WELL[$name]='' WHY[$name]=$(why_not "$how" "$name")
  done
}

why_not() {
  if [[ $1 == ask_port ]]; then
    printf '%s port %s: no answer' "${HOSTS[$2]}" "$PORT"
  else
    tail -n 1 -- "$WORK/$2.why" | tr -cd '[:print:]' | grep . ||
      printf '%s: its answer is too long' "$2"
  fi
}

# ask_url TARGET: in a process of its own, which becomes curl; a page is 1 MiB at most
ask_url() {
  local page=/dev/null
  [[ -z $EXPECT ]] || page=$WORK/$1.page
  filled_in "$1" "$URL" in-url
  announce curl -fsS -o "$page" --max-time 10 -- "$FILLED"
  [[ -z $EXPECT ]] || : >"$page"
  ulimit -f 1024
  exec curl -fsS -o "$page" --max-time 10 -- "$FILLED" 2>"$WORK/$1.why"
}

ask_port() {
  # shellcheck disable=SC2016 # for the inner bash
  exec timeout 10 bash -c 'exec 3<>"/dev/tcp/$1/$2"' - "${HOSTS[$1]}" "$PORT" 2>/dev/null
}

# find_expected TARGET…: in the pages of those that answered
find_expected() {
  local name
  for name in "$@"; do
    [[ -n ${WELL[$name]} ]] || continue
    filled_in "$name" "$EXPECT"
    if ! LC_ALL=C grep -qaF -e "$FILLED" -- "$WORK/$name.page"; then
      WELL[$name]='' WHY[$name]="its page has no '$FILLED' in it"
    fi
  done
}

# filled_in TARGET TEXT [in-url]: sets FILLED, the text with %n, %a and %v
filled_in() {
  local host=${HOSTS[$1]:-}
  [[ -z ${3:-} || $host != *:* ]] || host="[$host]"
  FILLED=${2//%n/"$1"}
  FILLED=${FILLED//%a/"$host"}
  FILLED=${FILLED//%v/"${VERSIONS[$1]:-$RELEASE}"}
}

# looks_at_hosts: is a look at a host, and not at a name alone?
looks_at_hosts() {
  [[ -n $PORT || "$URL $EXPECT" == *%a* ]]
}

# expect_hosts TARGET…: before anything is begun: what can't be looked at would be taken back
expect_hosts() {
  ! looks_at_hosts || read_hosts "$@"
}

# read_hosts TARGET…: HOSTS by target
read_hosts() {
  local name
  declare -gA HOSTS=()
  plumb hosts -- "$@"
  for name in "$@"; do
    HOSTS[$name]=${ANSWER[0]}
    ANSWER=("${ANSWER[@]:1}")
  done
}
