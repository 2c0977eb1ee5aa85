# shellcheck shell=bash
# A large file put: new, remembered, there already; and what a script prints.

measure_put() {
  local file=$HERE/random target=$HERE/target round
  printf '\n## Put\n'
  can scp sshd rsync openssl || return 0
  make_file "$file"
  one_tentacle
  start_sshd
  mkdir "$target"
  # scp and rsync write there as the user that ssh lets in.
  chown "$SHELL_USER" "$target"
  local shell="ssh ${SSH[*]}"
  for ((round = 0; round < ROUNDS; round++)); do
    note "put: round $((round + 1)) of $ROUNDS"
    empty
    rm -f "$OCTOPUS/state/digests"
    timed_both new push -t bench put "$file"
    empty
    timed_both scp scp -q "${SSH[@]}" "$file" "$HOST:$target/random"
    empty
    timed remembered push -t bench put "$file"
    empty
    timed scp-sync scp_and_sync "$file" "$target/random"
    rm -f "$OCTOPUS/state/digests"
    push -t bench put "$file"
    rm -f "$OCTOPUS/state/digests"
    timed there push -t bench put "$file"
    timed sha256 openssl dgst -sha256 "$file"
    empty
    timed rsync rsync --fsync -e "$shell" "$file" "$HOST:$target/random"
  done
  cat <<REPORT

A file of $SIZE MiB of random bytes, $ROUNDS rounds, wall time of the whole command; processor time
is of both sides together. Before each: the store empty, the target file removed, and a \`sync\`.
**octo-push's \`ok\` means hashed, verified and fsynced**; scp answers when the bytes are in the
page cache.
REPORT
  comparisons
  compare us new 'put, never seen' scp scp 0.60
  compare_cpu new 'the same, processor' scp scp
  compare us new 'put, never seen' scp-sync 'scp, then sync FILE'
  compare us new 'put, never seen' rsync 'rsync --fsync'
  compare us remembered 'put, its digest remembered' scp scp
  compare_more there 'put, there already and not remembered' sha256 'openssl dgst -sha256' 20000
  peak_of_put "$file"
}

make_file() {
  head -c "${SIZE}M" /dev/urandom >"$1"
  chmod 644 "$1"
  sync "$1"
  # What changed a moment ago is read each time: its digest is remembered later.
  sleep 4
}

scp_and_sync() {
  scp -q "${SSH[@]}" "$1" "$HOST:$2"
  sync "$2"
}

# empty: nothing on the target, and no write-back of the last round in this one
empty() {
  find "$HERE/bench/state/packages" -type f ! -name .lock -delete
  rm -f -- "$HERE/target/"*
  sync
}

# peak_of_put FILE: peaks of listener and pusher. The pusher's is read while it runs, since it
# takes its status with it; the mark only rises.
peak_of_put() {
  local pusher peak=0 word value
  empty
  env OCTO_CONFIG="$OCTOPUS/config" OCTO_STATE="$OCTOPUS/state" \
    "$BIN/octo-push" -q -t bench put "$1" &
  pusher=$!
  while [[ -r /proc/$pusher/status ]]; do
    while read -r word value _; do
      [[ $word != VmHWM: ]] || peak=$value
    done 2>/dev/null <"/proc/$pusher/status" || break
    sleep 0.01
  done
  wait "$pusher"
  facts
  fact KiB 'most memory of octo-push (VmHWM)' "$peak"
  fact KiB 'of octo-listen' "$(of_status "${LISTENER[bench]}" VmHWM)"
}

measure_output() {
  local file=$HERE/random round
  printf '\n## Output\n'
  can ssh sshd || return 0
  make_file "$file"
  one_tentacle
  start_sshd
  for ((round = 0; round < ROUNDS; round++)); do
    note "output: round $((round + 1)) of $ROUNDS"
    sync
    timed_both output octopus "$BIN/octo-push" -t bench run -c "cat $file"
    at bench "$BIN/octo-exec" prune --older 0s --keep 0 >/dev/null
    sync
    timed_both cat ssh "${SSH[@]}" "$HOST" "cat $file"
  done
  cat <<REPORT

A script prints a file of $SIZE MiB, $ROUNDS rounds; the processor time is of both sides together.
**octo-exec keeps all of it in the job's log**; sshd keeps nothing.
REPORT
  comparisons
  compare us output 'run of cat FILE' cat 'ssh cat FILE' 0.9
  compare_cpu output 'the same, processor' cat 'ssh cat FILE'
}
