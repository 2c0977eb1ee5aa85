# shellcheck shell=bash
# What a stranger costs, however many are trusted.

measure_strangers() {
  one_tentacle
  local file=$HERE/bench/config/trusted stranger=$HERE/stranger lines round
  OCTO_CONFIG=$stranger OCTO_STATE=$stranger "$BIN/octo-keys" new >/dev/null
  for round in {1..20}; do
    sed "s/^bench /bench$round /" "$OCTOPUS/config/targets"
  done >"$stranger/targets"
  cp "$file" "$HERE/trusted.1"
  more_trusted "$file" 3000 >"$HERE/trusted.3000"
  more_trusted "$file" 9000 >"$HERE/trusted.9000"
  for ((round = 0; round < ROUNDS; round++)); do
    note "strangers: round $((round + 1)) of $ROUNDS"
    for lines in 1 3000 9000; do
      cat "$HERE/trusted.$lines" >"$file"
      sleep 4 # what changed a moment ago is read each time
      handshakes "strangers-$lines"
    done
  done
  cat <<REPORT

## Strangers

What a handshake with somebody whom the trust file doesn't know costs octo-listen: processor time
divided by handshakes; $ROUNDS rounds of 1000, and of 50 of a pusher who is known, so that no
stranger has to wait.
REPORT
  comparisons
  compare us strangers-3000 '3,000 lines of trust' strangers-1 'one line' 1.1
  compare us strangers-9000 '9,000 lines of trust' strangers-1 'one line' 1.1
}

# more_trusted FILE LINES: what is in it, and others up to so many
more_trusted() {
  cat "$1"
  head -c $((($2 - 1) * 32)) /dev/urandom | od -An -v -tx1 -w32 | tr -d ' ' | sed 's/$/ other/'
}

# handshakes SERIES: 1000 of strangers; adds the listener's microseconds for each
handshakes() {
  local before batch refused stranger=$HERE/stranger
  before=$(cpu_of "${LISTENER[bench]}")
  for batch in {1..50}; do
    # More failures in a row would cost waits.
    refused=$(env OCTO_CONFIG="$stranger" OCTO_STATE="$stranger" "$BIN/octo-push" -a status 2>&1 |
      grep -c "doesn't trust this identity" || true)
    [[ $refused == 20 ]] || { note "strangers: $refused of 20 refused in batch $batch"; return 69; }
    push -t bench status >/dev/null
  done
  add "$1" $((($(cpu_of "${LISTENER[bench]}") - before) / 1000))
}
