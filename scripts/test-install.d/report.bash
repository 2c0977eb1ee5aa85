# shellcheck shell=bash
# What is said of what was tried: phases with their time, a line a check, and the sum.

# phase TITLE: what follows belongs to it
phase() {
  end_phase
  PHASE=$1
  BEGAN=${EPOCHREALTIME/[.,]/}
  printf '=== %s\n' "$PHASE"
}

end_phase() {
  if [[ -n $PHASE ]]; then
    local took=$((${EPOCHREALTIME/[.,]/} - BEGAN))
    printf '    %s.%s s\n' $((took / 1000000)) $((took / 100000 % 10))
    PHASE=''
  fi
}

passed() {
  PASSED=$((PASSED + 1))
  printf 'ok      %s\n' "$1"
}

# failed TEXT: with what the last command said
failed() {
  FAILED=$((FAILED + 1))
  printf 'FAILED  %s\n' "$1"
  sed 's/^/        | /' "$SCRATCH/said" | tail -n 40
}

# check TEXT COMMAND…: it succeeds, by whatever it is found
check() {
  local text=$1
  shift
  if "$@" >"$SCRATCH/checked" 2>&1; then
    passed "$text"
  else
    failed "$text"
    sed 's/^/        > /' "$SCRATCH/checked" | tail -n 20
  fi
}

# says PATTERN: the last command printed that, an extended regular expression
says() {
  grep -Eq -- "$1" "$SCRATCH/said"
}

not() {
  ! "$@"
}

summary() {
  end_phase
  trap - EXIT
  printf '%s passed, %s failed\n' "$PASSED" "$FAILED"
  ((FAILED == 0))
}
