# shellcheck shell=bash
# Fleets: listeners that really run, with a STATE each, beside clush over sshd; and how much
# memory ten thousand targets take.

FLEETS=(10 20 100 300)
COPIED=20
ADDRESSES=10000

measure_fleet() {
  local number size largest=${FLEETS[-1]} round
  printf '\n## Fleet\n'
  can ssh sshd clush || return 0
  make_octopus
  note "fleet: starting $largest listeners"
  for ((number = 1; number <= largest; number++)); do
    make_tentacle "t$number"
    listen "t$number" 127.0.0.1:0
  done
  for ((number = 1; number <= largest; number++)); do
    # shellcheck disable=SC2046 # a word a tag
    listening "t$number" $(tags_of "$number")
  done
  push -a status >/dev/null
  start_sshd
  ssh_hosts
  cat <<REPORT

Listeners with an identity and a STATE each on this one machine, with all that they start, beside
clush over one sshd (curve25519-sha256, aes128-gcm), 64 at once with both, $ROUNDS rounds; time of
the whole command divided by targets.
REPORT
  for size in "${FLEETS[@]}"; do
    note "fleet: $size"
    for ((round = 0; round < ROUNDS; round++)); do
      timed "octo$size" push -t "fleet$size" -f 64 run -c true
      timed "clush$size" clush_to "$size" -S true
    done
  done
  copy_to_fleet
  comparisons
  for size in "${FLEETS[@]}"; do
    each_of "$size" "octo$size" "clush$size"
    compare us "octo$size" "run true, $size listeners: each" "clush$size" 'clush' 0.05
  done
  each_of "$COPIED" octo-put clush-copy
  compare us octo-put "put 10 MiB, $COPIED listeners: each" clush-copy 'clush --copy' 0.2
  many_addresses
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

# each_of TARGETS SERIES…: what one of them took
each_of() {
  local name
  for name in "${@:2}"; do
    awk -v targets="$1" '{ print $1 / targets }' "$HERE/series/$name" >"$HERE/each"
    mv "$HERE/each" "$HERE/series/$name"
  done
}

# ssh_hosts: t1, t2, … are names of the one sshd. Those of copies have a key each, by which
# sshd knows the directory that is theirs.
ssh_hosts() {
  local number key=$KEYS/copy
  mkdir -p "$HERE/copies"
  for ((number = 1; number <= COPIED; number++)); do
    mkdir "$HERE/copies/$number"
    ssh-keygen -q -t ed25519 -N '' -f "$key$number"
    printf 'command="%s -d %s" ' "$(sftp_server)" "$HERE/copies/$number"
    cat "$key$number.pub"
  done >>"$KEYS/authorized"
  chown "$SHELL_USER" "$HERE/copies/"*
  {
    for ((number = 1; number <= COPIED; number++)); do
      printf 'Host c%s\n  IdentityFile %s\n' "$number" "$key$number"
    done
    printf 'Host t*\n  IdentityFile %s\n' "$KEYS/user"
    printf 'Host *\n'
    printf '  %s\n' 'HostName 127.0.0.1' "Port $SSH_PORT" "User $SHELL_USER" 'HostKeyAlias bench' \
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

copy_to_fleet() {
  local file=$HERE/package round number
  head -c 10M /dev/urandom >"$file"
  chmod 644 "$file"
  note "fleet: put to $COPIED"
  for ((round = 0; round < ROUNDS; round++)); do
    for ((number = 1; number <= COPIED; number++)); do
      rm -f "$HERE/t$number/state/packages/"[0-9a-f]* "$HERE/copies/$number/"*
    done
    sync
    timed octo-put push -t "fleet$COPIED" -f 64 put "$file"
    sync
    timed clush-copy clush -q -n -f 64 -o "-F $KEYS/client" -w "c[1-$COPIED]" --copy "$file" \
      --dest ./package
    for ((number = 1; number <= COPIED; number++)); do
      cmp "$file" "$HERE/copies/$number/package" >&2
    done
  done
}

# many_addresses: what octo-push's page says of so many targets. They are names of one tentacle,
# which answers under each of them and makes one job of it all.
# shellcheck disable=SC2153 # octo.bash has ADDRESS
many_addresses() {
  local number targets=$HERE/many/config/targets
  mkdir -p "$HERE/many"
  cp -a "$OCTOPUS/config" "$HERE/many/config"
  for ((number = 1; number <= ADDRESSES; number++)); do
    printf 'n%s %s %s\n' "$number" "${ADDRESS[t1]}" "$(<"$HERE/t1.thumbprint")"
  done >"$targets"
  note "fleet: $ADDRESSES names of one listener"
  cat <<REPORT

$ADDRESSES names of one tentacle, which answers each of them and makes one job of all; a run with
-f 64 that prints a line, once:
REPORT
  facts
  peak_of_many 'octo-push run' -q
  peak_of_many 'octo-push run --gather' -q --gather
}

# peak_of_many TEXT OPTION…: the most memory of octo-push for all of them
peak_of_many() {
  local peak
  peak=$(OCTO_CONFIG=$HERE/many/config OCTO_STATE=$HERE/many/state python3 - \
    "$BIN/octo-push" -a -f 64 run "${@:2}" -c "echo hello" <<'PROGRAM'
import resource, subprocess, sys, time
start = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(peak, int((time.monotonic() - start) * 1000000))
PROGRAM
  )
  fact KiB "$1: most memory" "${peak% *}"
  fact us "$1: wall time" "${peak#* }"
}
