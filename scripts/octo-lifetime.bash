# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # what is set here is read by the scripts that source it
# What a pipeline has until it ends: a private directory, an identity, the lock over an
# application; and what a signal does meanwhile. Sourced by octo-common.bash.
#
# It promises: a private directory that a trap removes, an identity that survives being a
# pipe, a lock that says who is at work, and a signal that is heard at once.

# scratch: a private directory, on memory where there is some, removed at the end.
# Its lock is held by this process and what it starts: what a killed one left
# behind, an identity perhaps, is known by a lock that is free.
scratch() {
  local base old
  [[ -z $SCRATCH ]] || return 0
  if is_writable "${XDG_RUNTIME_DIR:-}"; then
    base=$XDG_RUNTIME_DIR
  elif is_writable /dev/shm; then
    base=/dev/shm
  else
    base=${TMPDIR:-/tmp}
  fi
  for old in "$base"/octo-pipeline.*/.lock; do
    [[ -f $old && -O ${old%/*} && ! -L ${old%/*} ]] || continue
    # Meanwhile its owner may have removed it.
    flock -n "$old" rm -rf -- "${old%/*}" 2>/dev/null || :
  done
  # shellcheck disable=SC2016 # expanded when it is over
  clean_up '[[ -z $SCRATCH ]] || rm -rf -- "$SCRATCH"'
  SCRATCH=$(make_directory "$base/octo-pipeline.XXXXXXXXXX") ||
    fail "$EX_CREATE" "$base: can't create a private directory"
  exec {SCRATCH_LOCK}>"$SCRATCH/.new"
  flock "$SCRATCH_LOCK"
  mv -- "$SCRATCH/.new" "$SCRATCH/.lock"
}

is_writable() {
  [[ -d $1 && -w $1 ]]
}

# make_directory TEMPLATE: prints its name. A signal waits until that is known to who
# removes it.
make_directory() {
  trap '' HUP INT TERM
  umask 077
  mktemp -d -- "$1"
}

# clean_up COMMAND: runs it at the end, whole: another signal stops nothing of it. One that
# comes when EXIT has just begun would cut that short, so each does it by itself. It finds the
# exit status in ENDS_WITH.
clean_up() {
  local command="trap '' HUP INT TERM; trap - EXIT; $1"
  # shellcheck disable=SC2064 # it is a command in quotes
  {
    trap "ENDS_WITH=\$?; $command" EXIT
    trap "ENDS_WITH=129; $command; exit 129" HUP
    trap "ENDS_WITH=130; $command; exit 130" INT
    trap "ENDS_WITH=143; $command; exit 143" TERM
  }
}

# Whether a report is owed, whatever signal comes.
OWED=''
CAUGHT='' HEARD='' BESIDE=''

# heeds COMMAND…: runs it beside us, for bash would be deaf until its end, and tells it of HUP
# and TERM. Not of INT: a terminal sends that to both, and twice means more than once. Behind a
# signal nothing is begun; CAUGHT is the exit status of the first.
heeds() {
  local code
  trap 'heard HUP 129' HUP
  trap 'heard INT 130' INT
  trap 'heard TERM 143' TERM
  [[ -z $CAUGHT ]] || return "$CAUGHT"
  announce "$@"
  BESIDE=-
  (
    # Beside a shell these are ignored; a trap undoes it, where we ourselves don't ignore them.
    trap : INT QUIT
    trap - INT QUIT
    exec "$@"
  ) <&0 &
  BESIDE=$!
  # One that came before its number was known.
  [[ -z $CAUGHT ]] || pass_on
  HEARD=1
  while [[ -n $HEARD ]]; do
    HEARD='' code=0
    wait "$BESIDE" || code=$?
  done
  BESIDE=''
  return "$code"
}

# heard SIGNAL STATUS: what looks at a batch hears of it as well
heard() {
  HEARD=$1 CAUGHT=${CAUGHT:-$2}
  if [[ -z $BESIDE$OWED ]]; then
    trap '' HUP INT TERM
    exit "$CAUGHT"
  fi
  [[ ! -d ${WORK:-} ]] || : >"$WORK/stop"
  pass_on
}

pass_on() {
  [[ $BESIDE =~ ^[0-9]+$ && $HEARD != INT ]] || return 0
  kill -s "$HEARD" "$BESIDE" 2>/dev/null || :
}

# keep_identity: several octo-push need the identity, a pipe can be read once
keep_identity() {
  local source=$IDENTITY
  [[ -n $IDENTITY ]] || return 0
  if [[ $IDENTITY == - || ! -f $IDENTITY ]]; then
    [[ $source != - ]] || source=/dev/stdin
    scratch
    (umask 077 && cat -- "$source" >"$SCRATCH/identity.pem") ||
      fail "$EX_DATA" "$IDENTITY: can't read the identity"
    IDENTITY=$SCRATCH/identity.pem
  fi
  PUSH_OPTIONS+=(-i "$IDENTITY")
}

# hold_application APP SECONDS: one pipeline at a time over an application, from
# here. The lock is the kernel's and dies with this process. What is called before it waits
# may be a third argument.
hold_application() {
  local app=${1#.} wait=$2 code=0 directory=$STATE/pipelines file=$STATE/pipelines/$1.lock
  [[ -z $DRY_RUN ]] || return 0
  mkdir -p -- "$directory" || fail "$EX_CREATE" "$directory: can't create"
  { exec {APPLICATION_LOCK}<>"$file"; } 2>/dev/null || fail "$EX_CREATE" "$file: can't open"
  if ! flock -n "$APPLICATION_LOCK"; then
    if ((wait == 0)); then
      say "$app: held by $(who_holds "$file")"
      hint '--lock-wait TIME waits for it'
      exit "$EX_TEMPORARY"
    fi
    note "$app: waiting for $(who_holds "$file")"
    ${3:-:}
    heeds flock -w "$wait" "$APPLICATION_LOCK" || code=$?
    [[ -z $CAUGHT ]] || exit "$CAUGHT"
    ((code == 0)) ||
      fail "$EX_TEMPORARY" "$app: still held by $(who_holds "$file")"
  fi
  printf '%s, pid %s, since %s\n' "$TOOL" "$$" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$file"
}

# who_holds FILE: who locked it, and if that was killed, what it had started and goes on
who_holds() {
  local line place number heirs=''
  line=$(one_line "$1")
  printf '%s' "$line"
  [[ $line =~ ,\ pid\ ([0-9]+), && ! -e /proc/${BASH_REMATCH[1]} ]] || return 0
  for place in /proc/[0-9]*/fd/*; do
    [[ $place -ef $1 ]] || continue
    number=${place#/proc/}
    number=${number%%/*}
    # Who only waits for it has it open as well.
    ! grep -qs '^lock:' "/proc/$number/fdinfo/${place##*/}" ||
      heirs+="; still at work: $(one_line "/proc/$number/comm"), pid $number"
  done
  printf ', which is gone%s' "$heirs"
}

refuse_if_held() {
  local file=$STATE/pipelines/$1.hold
  [[ -e $file ]] || return 0
  say "$1: deployments are held: $(one_line "$file")"
  hint "$(quoted octo-lock "${PLACE_OPTIONS[@]}" --release "$1")"
  exit "$EX_TEMPORARY"
}

# one_line FILE: its first bytes, safe to show
one_line() {
  local line
  line=$(head -c 300 -- "$1" | tr '\n' ' ' | tr -cd '[:print:]')
  printf '%s' "${line%"${line##*[! ]}"}"
}
