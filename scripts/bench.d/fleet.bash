# shellcheck shell=bash
# Fleets: listeners that really run, with a STATE each, beside clush over sshd, and ten thousand
# names of one of them; what a target costs, and what grows.

FLEETS=(10 20 100 300)
COPIED=20

measure_fleet() {
  local number largest=${FLEETS[-1]}
  printf '\n## Fleet\n'
  can ssh sshd clush || return 0
  make_octopus
  # shellcheck disable=SC2153 # of scripts/bench
  PUSH=("$BIN/octo-push" -q)
  other_side
  note "fleet: starting $largest listeners"
  for ((number = 1; number <= largest; number++)); do
    make_tentacle "t$number"
    listen "t$number" "$THERE:0" "${SIDE[@]}"
  done
  for ((number = 1; number <= largest; number++)); do
    # shellcheck disable=SC2046 # a word a tag
    listening "t$number" $(tags_of "$number")
  done
  push -a status >/dev/null
  start_sshd "$THERE" "${SIDE[@]}"
  ssh_hosts "$largest"
  run_on_fleets
  put_to_fleets 1M "${FLEETS[@]}"
  put_to_fleets 10M "$COPIED"
  compare_fleets
  costs_of_fleets
  many_addresses
  in_flight
  what_a_job_leaves
  far_away
}

# other_side: where the targets live: in a network of their own, whose bytes are counted, and in a
# cgroup of their own, where there are such. Sets THERE, and SIDE, how to start what lives there.
# shellcheck disable=SC2034 # costs.bash reads them
other_side() {
  local place=''
  INSIDE=() THERE=127.0.0.1 COUNTERS=''
  if ((EUID == 0)) && command -v ip nsenter >/dev/null; then
    make_network
  fi
  TARGETS_ACCOUNT=''
  if [[ -n $ACCOUNT ]]; then
    TARGETS_ACCOUNT=$ACCOUNT/targets
    mkdir "$TARGETS_ACCOUNT"
    place=$TARGETS_ACCOUNT/cgroup.procs
  fi
  # shellcheck disable=SC2016 # for that shell
  SIDE=(sh -c 'echo $$ >"${1:-/dev/null}"; shift; exec "$@"' sh "$place" "${INSIDE[@]}")
}

# tags_of NUMBER: of which fleets it is
tags_of() {
  local size
  for size in "${FLEETS[@]}"; do
    if (($1 <= size)); then
      printf 'fleet%s ' "$size"
    fi
  done
}

# ssh_hosts NUMBER: t1, t2, … are names of the one sshd, and so are c1, c2, …, to which files are
# copied: those have a key each, by which sshd knows the directory that is theirs.
ssh_hosts() {
  local number key=$KEYS/copy
  # shellcheck disable=SC2153 # machine.bash has HERE
  mkdir -p "$HERE/copies"
  for ((number = 1; number <= $1; number++)); do
    mkdir "$HERE/copies/$number"
    ssh-keygen -q -t ed25519 -N '' -f "$key$number"
    printf 'command="%s -d %s" ' "$(sftp_server)" "$HERE/copies/$number"
    cat "$key$number.pub"
  done >>"$KEYS/authorized"
  chown "$SHELL_USER" "$HERE/copies/"*
  {
    for ((number = 1; number <= $1; number++)); do
      printf 'Host c%s\n  IdentityFile %s\n' "$number" "$key$number"
    done
    printf 'Host t*\n  IdentityFile %s\n' "$KEYS/user"
    printf 'Host *\n'
    printf '  %s\n' "HostName $THERE" "Port $SSH_PORT" "User $SHELL_USER" 'HostKeyAlias bench' \
      'KexAlgorithms curve25519-sha256' 'Ciphers aes128-gcm@openssh.com' 'BatchMode yes' \
      'StrictHostKeyChecking no' "UserKnownHostsFile $KEYS/known.clush" 'LogLevel ERROR' \
      'IdentitiesOnly yes'
  } >"$KEYS/client"
  clush_to 1 true
}

# clush_to N WORD…: on so many hosts
clush_to() {
  clush -q -n -f 64 -o "-F $KEYS/client" -w "t[1-$1]" "${@:2}"
}

run_on_fleets() {
  local size round
  for size in "${FLEETS[@]}"; do
    note "fleet: run on $size"
    for ((round = 0; round <= ROUNDS; round++)); do
      begin_round "$round"
      cost "$size" "octo-run$size" "${PUSH[@]}" -t "fleet$size" -f 64 run -c true
      cost "$size" "clush-run$size" clush -q -n -f 64 -o "-F $KEYS/client" -w "t[1-$size]" -S true
    done
  done
}

# put_to_fleets BYTES SIZE…: a file that is at none of them
put_to_fleets() {
  local file=$HERE/package$1 size round
  head -c "$1" /dev/urandom >"$file"
  chmod 644 "$file"
  # What changed a moment ago is read each time.
  sleep 4
  for size in "${@:2}"; do
    note "fleet: put of $1 to $size"
    for ((round = 0; round <= ROUNDS; round++)); do
      begin_round "$round"
      rm -f "$HERE"/t*/state/packages/[0-9a-f]* "$HERE"/copies/*/package
      sync
      cost "$size" "octo-put$1-$size" "${PUSH[@]}" -t "fleet$size" -f 64 put "$file"
      sync
      cost "$size" "clush-put$1-$size" clush -q -n -f 64 -o "-F $KEYS/client" -w "c[1-$size]" \
        --copy "$file" --dest ./package
      arrived "$file" "$size"
    done
  done
}

# arrived FILE NUMBER: it is whole at each of both
arrived() {
  local number sum
  sum=$(sha256sum "$1")
  for ((number = 1; number <= $2; number++)); do
    cmp "$1" "$HERE/copies/$number/package" >&2
    cmp "$1" "$HERE/t$number/state/packages/${sum%% *}" >&2
  done
}

compare_fleets() {
  local size
  cat <<REPORT

Listeners with an identity and a STATE each on this one machine, with all that they start, beside
clush over one sshd (curve25519-sha256, aes128-gcm), 64 at once with both, $ROUNDS rounds; time of
the whole command divided by targets.
REPORT
  comparisons
  for size in "${FLEETS[@]}"; do
    compare us "octo-run$size" "run true, $size listeners: each" "clush-run$size" clush 0.05
  done
  for size in "${FLEETS[@]}"; do
    compare us "octo-put1M-$size" "put 1 MiB, $size listeners: each" "clush-put1M-$size" \
      'clush --copy' 0.2
  done
  compare us "octo-put10M-$COPIED" "put 10 MiB, $COPIED listeners: each" \
    "clush-put10M-$COPIED" 'clush --copy' 0.2
}

costs_of_fleets() {
  local size number
  cat <<REPORT

What a target costs, by the same rounds: time of the whole command, in all and divided by targets;
processor time of the pusher with all that it starts, and of the targets with all that they start,
and bytes over the wire both ways with all headers, divided by targets, of a round of their own.
Memory is the most of octo-push, or of one process of clush, which starts an ssh for each target.
Medians.
REPORT
  cost_table
  for size in "${FLEETS[@]}"; do
    cost_row "run true" "$size" "octo-run$size"
  done
  for size in "${FLEETS[@]}"; do
    cost_row "clush true" "$size" "clush-run$size"
  done
  for size in "${FLEETS[@]}"; do
    cost_row "put 1 MiB" "$size" "octo-put1M-$size"
  done
  for size in "${FLEETS[@]}"; do
    cost_row "clush --copy 1 MiB" "$size" "clush-put1M-$size"
  done
  cost_row "put 10 MiB" "$COPIED" "octo-put10M-$COPIED"
  cost_row "clush --copy 10 MiB" "$COPIED" "clush-put10M-$COPIED"
  printf '\nWhat grows: one of the largest fleet beside one of the smallest, and two listeners.\n'
  facts
  grown 'run true: time of a target' "octo-run${FLEETS[-1]}" "octo-run${FLEETS[0]}"
  grown "of octo-push's processor" "octo-run${FLEETS[-1]}.pusher" "octo-run${FLEETS[0]}.pusher"
  grown 'put 1 MiB: time of a target' "octo-put1M-${FLEETS[-1]}" "octo-put1M-${FLEETS[0]}"
  grown "of octo-push's processor" "octo-put1M-${FLEETS[-1]}.pusher" \
    "octo-put1M-${FLEETS[0]}.pusher"
  for number in 1 "${FLEETS[-1]}"; do
    fact KiB "octo-listen, number $number: most memory until here (VmHWM)" \
      "$(of_status "${LISTENER[t$number]}" VmHWM)"
    fact KiB 'when nobody is connected (VmRSS)' "$(of_status "${LISTENER[t$number]}" VmRSS)"
    fact KiB "of it its own (RssAnon)" \
      "$(of_status "${LISTENER[t$number]}" RssAnon)"
  done
}
