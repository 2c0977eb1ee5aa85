# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is read by the sections
# The other side of the comparisons: sshd with keys of its own, and ssh that reads nothing of
# whoever measures.

# start_sshd [ADDRESS COMMAND…]: sets SSHD, SSH_PORT, HOST, and the words SSH (AES-128-GCM, and
# the exchange of keys that ssh prefers), CURVE (to be said besides: X25519 alone)
start_sshd() {
  local address=${1:-127.0.0.1} tries
  KEYS=$HERE/ssh
  ((EUID != 0)) || mkdir -p /run/sshd
  mkdir -p "$KEYS"
  chmod 711 "$HERE" "$KEYS"
  ssh-keygen -q -t ed25519 -N '' -f "$KEYS/host"
  ssh-keygen -q -t ed25519 -N '' -f "$KEYS/user"
  cp "$KEYS/user.pub" "$KEYS/authorized"
  # sshd can't choose a port by itself: try until one is free.
  for ((tries = 0; tries < 50; tries++)); do
    SSH_PORT=$((20000 + RANDOM % 10000))
    sshd_settings "$address" >"$KEYS/config"
    : >"$KEYS/log"
    "${@:2}" "$(command -v sshd)" -D -e -f "$KEYS/config" 2>"$KEYS/log" &
    SSHD=$!
    until grep -q 'Server listening' "$KEYS/log" || ! kill -0 "$SSHD" 2>/dev/null; do
      sleep 0.02
    done
    if kill -0 "$SSHD" 2>/dev/null; then
      break
    fi
  done
  HOST=$SHELL_USER@$address
  SSH=(-F none -i "$KEYS/user" -o "UserKnownHostsFile=$KEYS/known" -o StrictHostKeyChecking=no
    -o BatchMode=yes -o LogLevel=ERROR -o ControlMaster=no -o ControlPath=none
    -o IdentitiesOnly=yes -o "Port=$SSH_PORT" -c aes128-gcm@openssh.com)
  CURVE=(-o KexAlgorithms=curve25519-sha256)
  ssh "${SSH[@]}" "$HOST" true || { cat "$KEYS/log" >&2; return 69; }
}

sshd_settings() {
  printf '%s\n' "ListenAddress $1:$SSH_PORT" "HostKey $KEYS/host" \
    "AuthorizedKeysFile $KEYS/authorized" 'StrictModes no' 'UsePAM no' \
    'PasswordAuthentication no' 'PermitRootLogin prohibit-password' "PidFile $KEYS/pid" \
    'UseDNS no' 'PrintMotd no' 'PrintLastLog no' 'PermitUserRC no' 'MaxStartups 1000' \
    "Subsystem sftp $(sftp_server)"
}

sftp_server() {
  local path
  for path in /usr/lib{/openssh,exec/openssh,/ssh}/sftp-server; do
    if [[ -x $path ]]; then
      printf '%s' "$path"
      return 0
    fi
  done
  printf internal-sftp
}

# exchange: the exchange of keys that ssh and sshd agree on by themselves
exchange() {
  ssh -o LogLevel=DEBUG1 "${SSH[@]}" "$HOST" true 2>&1 |
    sed -n 's/^debug1: kex: algorithm: //p' | head -n 1 | tr -d '\r'
}

# start_master: one ssh whose connection others use, through $KEYS/master
start_master() {
  ssh "${SSH[@]}" -M -S "$KEYS/master" -o ControlPersist=no -N "$HOST" &
  until ssh -F none -S "$KEYS/master" -O check "$HOST" 2>/dev/null; do
    sleep 0.05
  done
}
