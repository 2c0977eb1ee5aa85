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
