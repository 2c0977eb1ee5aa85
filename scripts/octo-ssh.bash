# shellcheck shell=bash
# What is done on another machine by an ssh that is trusted already, as whoever logs in there,
# or by sudo. Sourced, never run.

# The words that make a command another user's there, and what sudo asks for: once, since it is
# mostly the same everywhere. It is in no argument list and in no file.
BECOME=()
PASSWORD=''

# find_sudo HOST: under --sudo, how
find_sudo() {
  [[ -n $SUDO ]] || return 0
  BECOME=(sudo -n)
  if ssh_to "$1" sudo -n true </dev/null 2>/dev/null; then return 0; fi
  # -k: a password that nobody asks for would be read by the command.
  BECOME=(sudo -k -S -p '')
  if [[ -z $PASSWORD ]]; then
    [[ -t 0 ]] || fail "$EX_REFUSED" \
      "$1: sudo asks for a password there, and this is no terminal; or ssh doesn't get there"
    read -r -s -p "$TOOL: password of sudo on $1: " PASSWORD || :
    printf '\n' >&2
  fi
  ssh_to "$1" "${BECOME[@]}" true < <(printf '%s\n' "$PASSWORD") 2>/dev/null ||
    fail "$EX_REFUSED" "$1: sudo refuses this login, or the password"
}

# ssh_to HOST WORD…: announced by whoever calls
ssh_to() {
  local host=$1
  shift
  ssh -- "$host" "$(quoted "$@")"
}

# asks_at HOST WORD…: runs what only looks
asks_at() {
  local host=$1
  shift
  announce ssh -- "$host" "$(quoted "${BECOME[@]}" "$@")"
  ssh_to "$host" "${BECOME[@]}" "$@" < <(answers_of_sudo)
}

# changes_at HOST INPUT WORD…: runs what changes something, which reads that file; what it says
# is no result
changes_at() {
  local host=$1 input=$2
  shift 2
  if [[ -n $DRY_RUN ]]; then
    shows '%s <%s\n' "$(quoted ssh -- "$host" "$(quoted "${BECOME[@]}" "$@")")" \
      "$(quoted "$input")"
  else
    announce ssh -- "$host" "$(quoted "${BECOME[@]}" "$@")"
    ssh_to "$host" "${BECOME[@]}" "$@" < <(answers_of_sudo && cat -- "$input") >&2
  fi
}

answers_of_sudo() {
  if [[ ${BECOME[*]} == *' -S '* ]]; then printf '%s\n' "$PASSWORD"; fi
}

# confirm QUESTION: does a person want that? Without one, --yes does.
confirm() {
  local answer=''
  [[ -z $YES && -z $DRY_RUN ]] || return 0
  [[ -t 0 ]] || return 1
  read -r -p "$TOOL: $1 [y/N] " answer || printf '\n' >&2
  [[ $answer == [yY]* ]]
}
