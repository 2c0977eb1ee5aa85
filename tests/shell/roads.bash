# shellcheck shell=bash
# Three machines for the tests of roads, each a network of its own: the octopus here, 10.0.0.1;
# one between, 10.0.0.2, for a bastion, a relay or a proxy; the target, 10.0.0.11, whose wall
# drops what the octopus sends to octo-listen's port. All reach each other by wires.
# shellcheck source=tests/shell/pipelines.bash
source "$(dirname "${BASH_SOURCE[0]}")/pipelines.bash"
# shellcheck source=tests/shell/examples.bash
source "$(dirname "${BASH_SOURCE[0]}")/examples.bash"

# apart FUNCTION: in networks and processes of its own: when it ends, however it ends, the
# kernel ends all that it started
apart() {
  needs ip nft nsenter socat unshare
  ((EUID == 0)) || skip 'needs root'
  local own=(unshare --net --pid --fork --kill-child --mount-proc)
  "${own[@]}" nft list ruleset >/dev/null 2>&1 || skip 'needs networks of its own, and nftables'
  "${own[@]}" bash "$SELF" --one "$1"
}

three_machines() {
  trap end_listeners EXIT
  another_network
  local between=$NUMBER target
  BETWEEN=(nsenter "--net=/proc/$between/ns/net")
  another_network
  target=$NUMBER
  THERE=(nsenter "--net=/proc/$target/ns/net")
  ip link set lo up
  "${BETWEEN[@]}" ip link set lo up
  on_target ip link set lo up
  ip link add to-between type veth peer name to-octopus netns "$between"
  ip link add to-target type veth peer name to-octopus netns "$target"
  "${BETWEEN[@]}" ip link add to-target type veth peer name to-between netns "$target"
  plugged to-between 10.0.0.1 10.0.0.2
  plugged to-target 10.0.0.1 10.0.0.11
  "${BETWEEN[@]}" bash -c "$(declare -f plugged); plugged to-octopus 10.0.0.2 10.0.0.1"
  "${BETWEEN[@]}" bash -c "$(declare -f plugged); plugged to-target 10.0.0.2 10.0.0.11"
  on_target bash -c "$(declare -f plugged); plugged to-octopus 10.0.0.11 10.0.0.1"
  on_target bash -c "$(declare -f plugged); plugged to-between 10.0.0.11 10.0.0.2"
  wall
  octo-keys new --name octopus >/dev/null
  mkdir -p web1/srv stubs
  at web1 octo-keys new --name web1 >/dev/null
  trust web1
}

# another_network: NUMBER is a process in it
another_network() {
  unshare --net sleep 1000 &
  NUMBER=$!
  eventually other_network "$NUMBER"
}

other_network() {
  [[ $(readlink "/proc/$1/ns/net") != "$(readlink /proc/self/ns/net)" ]]
}

# plugged WIRE OWN PEER
plugged() {
  ip address add "$2" peer "$3" dev "$1"
  ip link set "$1" up
}

# No function around what goes to the background: its end would not be that of the program.
on_target() {
  "${THERE[@]}" "$@"
}

# The direct road is shut; what comes by any other is counted, and cut by what `cut_after` adds.
wall() {
  on_target nft -f - <<'RULES'
table inet wall {
  counter shut {
  }
  counter came {
  }
  counter cut {
  }
  chain bound {
  }
  chain input {
    type filter hook input priority filter
    iifname "lo" accept
    ip saddr 10.0.0.1 tcp dport 10933 counter name shut drop
    jump bound
    counter name came
  }
}
RULES
}

# counted NAME: so many bytes
counted() {
  on_target nft list counter inet wall "$1" | sed -n 's/.*bytes //p'
}

# cut_after MEGABYTES: so many more go into the target's machine, and then none
cut_after() {
  on_target nft add rule inet wall bound quota over "$1" mbytes counter name cut drop
}

# heal: all may go there again
heal() {
  on_target nft flush chain inet wall bound
}

# direct_is_shut: nobody answers there at octo-listen's port, though somebody listens
direct_is_shut() {
  printf 'web1 10.0.0.11 %s\n' "$(thumbprint web1/config)" >config/direct
  cp config/targets config/kept
  cp config/direct config/targets
  expect 69 octo-push -w 1 -t web1 status
  contains "$ERR" '10.0.0.11:10933: no connection within 1s'
  cp config/kept config/targets
  (($(counted shut) > 0)) || die 'the wall has dropped nothing'
}

# It listens there as it does without options.
web1_listens() {
  OCTO_CONFIG=$PWD/web1/config OCTO_STATE=$PWD/web1/state "${THERE[@]}" octo-listen \
    >web1/listening 2>web1/listen.log &
  eventually grep -q '^listening ' web1/listening
}

# web1_at ADDRESS: to the octopus
web1_at() {
  printf 'web1 %s %s web\n' "$1" "$(thumbprint web1/config)" >config/targets
}

# sshd_at NAME ADDRESS PORT WORDS: an sshd, on the machine of RUNS_SSHD, for root, who is also
# called tunnel; ssh knows it by NAME. SSHD is its process.
sshd_at() {
  local name=$1 address=$2 port=$3 words=$4
  mkdir -p /run/sshd ssh
  [[ -e ssh/key ]] || ssh-keygen -q -t ed25519 -N '' -f ssh/key
  [[ -e ssh/host ]] || ssh-keygen -q -t ed25519 -N '' -f ssh/host
  [[ -e ssh/authorized ]] || cp ssh/key.pub ssh/authorized
  printf '%s\n' "ListenAddress $address:$port" "HostKey $PWD/ssh/host" \
    "AuthorizedKeysFile $PWD/ssh/authorized" 'StrictModes no' 'UsePAM no' 'PidFile none' \
    "$words" >"ssh/$name.conf"
  sshd_runs "$name"
  printf '%s\n' "Host $name" "HostName $address" "Port $port" 'User root' \
    "IdentityFile $PWD/ssh/key" "UserKnownHostsFile $PWD/ssh/known" >>ssh/config
  printf '%s %s\n' "$address" "$(<ssh/host.pub)" >>ssh/known
  # shellcheck disable=SC2016 # the stub's own
  printf '#!/bin/sh\nexec %s -F %s "$@"\n' "$(type -P ssh)" "$PWD/ssh/config" >stubs/ssh
  chmod +x stubs/ssh
}

# sshd_runs NAME: on the machine of RUNS_SSHD; SSHD is its process
sshd_runs() {
  : >"ssh/$1.log"
  "${RUNS_SSHD[@]}" "$(command -v sshd)" -D -e -f "ssh/$1.conf" 2>"ssh/$1.log" &
  # shellcheck disable=SC2034 # for who sources this
  SSHD=$!
  eventually grep -q 'Server listening' "ssh/$1.log"
}

# of_web1: what an sshd has to know that starts octo-listen
of_web1() {
  printf 'SetEnv PATH=%s OCTO_CONFIG=%s OCTO_STATE=%s\n' "$PATH" "$PWD/web1/config" \
    "$PWD/web1/state"
}

# forced_command: the line for our key
forced_command() {
  local line
  line=$(example octo.7 'restrict,command=')
  line=${line/\/usr\/bin\//}
  printf '%s\n' "${line/ssh-ed25519 KEY/$(<ssh/key.pub)}"
}

# port_of_tunnel: the octopus's sshd, as the page has it, for ssh -R to a port
port_of_tunnel() {
  local rule key
  rule=$(example octo.7 'AllowTcpForwarding remote')
  RUNS_SSHD=()
  sshd_at octopus.example 10.0.0.1 22 "${rule/Match User tunnel/Match User root}"
  key=$(example octo.7 'permitlisten=')
  printf '%s\n' "${key/ssh-ed25519 KEY/$(<ssh/key.pub)}" >ssh/authorized
}

# socket_of_tunnel: the same for ssh -R to a path
socket_of_tunnel() {
  local rule
  rule=$(example octo.7 'AllowStreamLocalForwarding remote')
  RUNS_SSHD=()
  sshd_at octopus.example 10.0.0.1 22 "${rule/Match User tunnel/Match User root}"
  mkdir tunnel
}

# What the functions below start in the background is RUNS, the process that is the road.

# tunnel_opens: the target's ssh, as the page's unit has it
tunnel_opens() {
  tunnel_command
  "${THERE[@]}" bash -c "exec $COMMAND" 2>>tunnel.log &
  RUNS=$!
}

# socket_opens: the same, for a path
socket_opens() {
  local words
  words=$(example octo.7 'web1.sock:127.0.0.1')
  words=${words/\/run\/octo/$PWD}
  tunnel_command
  "${THERE[@]}" bash -c "exec ${COMMAND%% -R *} ${words/tunnel@/root@}" 2>>tunnel.log &
  RUNS=$!
}

# tunnel_command: COMMAND is that of the page's unit, with our files and our user
tunnel_command() {
  local unit
  unit=$(example octo.7 'ExecStart=/usr/bin/ssh')
  COMMAND=$(sed -n '/^ExecStart=/,/[^\\]$/{ s/^ExecStart=//; s/\\$//; p }' <<<"$unit" | tr -d '\n')
  COMMAND=${COMMAND/\/usr\/bin\/ssh/$PWD\/stubs\/ssh}
  COMMAND=${COMMAND/\/etc\/octo\/tunnel.hosts/$PWD/ssh/known}
  COMMAND=${COMMAND/\/etc\/octo\/tunnel/$PWD/ssh/key}
  COMMAND=${COMMAND/tunnel@/root@}
}

# inetd_opens, socat_opens: octo-listen a connection at port 443, which the wall lets through
inetd_opens() {
  local line
  line=$(example octo.7 'stream tcp nowait')
  line=${line/\/usr\/bin\/octo-listen/$(type -P octo-listen)}
  printf '%s --config %s --state %s\n' "${line/10933/443}" "$PWD/web1/config" \
    "$PWD/web1/state" >inetd.conf
  "${THERE[@]}" inetd -i -E "$PWD/inetd.conf" 2>inetd.log &
  RUNS=$!
}

socat_opens() {
  local command
  command=$(example octo.7 'nofork')
  command=${command/\/usr\/bin\//}
  OCTO_CONFIG=$PWD/web1/config OCTO_STATE=$PWD/web1/state "${THERE[@]}" \
    bash -c "exec ${command/10933/443}" 2>socat.log &
  RUNS=$!
}

# systemd_opens PORT|PATH: as its socket unit with Accept=yes does
systemd_opens() {
  local command
  command=$(example octo.7 'StandardInput=socket')
  command=$(sed -n 's|^ExecStart=/usr/bin/||p' <<<"$command")
  # shellcheck disable=SC2086 # words of a command
  OCTO_CONFIG=$PWD/web1/config OCTO_STATE=$PWD/web1/state "${THERE[@]}" \
    systemd-socket-activate --accept --inetd -E OCTO_CONFIG -E OCTO_STATE -E PATH \
    -l "$1" $command 2>activate.log &
  RUNS=$!
}

relay_opens() {
  local command
  command=$(example octo.7 'socat TCP-LISTEN:10933,fork,reuseaddr TCP')
  "${BETWEEN[@]}" bash -c "exec $command" &
  RUNS=$!
}

proxy_opens() {
  printf '%s\n' 'Port 3128' 'Listen 10.0.0.2' 'Timeout 60' 'ConnectPort 10933' >proxy.conf
  "${BETWEEN[@]}" tinyproxy -d -c proxy.conf >proxy.log 2>&1 &
  # shellcheck disable=SC2034 # for who sources this
  RUNS=$!
}
