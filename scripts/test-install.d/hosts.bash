# shellcheck shell=bash
# Two machines: roots of their own, each with its processes, mounts, name and network.

declare -A INIT=()
PATH_OF_HOSTS=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ADDRESS_OF_OCTOPUS=10.0.0.10
ADDRESS_OF_TENTACLE=10.0.0.11

# start_hosts: both anew, as they come from the base, and a cable between them
start_hosts() {
  start_host octopus
  start_host tentacle
  on_network octopus link add eth0 type veth peer name eth0 netns "${INIT[tentacle]}"
  on_network octopus address add "$ADDRESS_OF_OCTOPUS/24" dev eth0
  on_network tentacle address add "$ADDRESS_OF_TENTACLE/24" dev eth0
  local name
  for name in octopus tentacle; do
    on_network "$name" link set lo up
    on_network "$name" link set eth0 up
  done
  as octopus root 'useradd --create-home --home-dir /srv/alice --shell /bin/bash alice'
}

end_hosts() {
  local name
  for name in octopus tentacle; do
    end_host "$name"
  done
}

# on_network NAME WORD…: ip(8) of this machine, on that one's network
on_network() {
  nsenter -t "${INIT[$1]}" -n ip "${@:2}"
}

# start_host NAME: from the base, of which it alone sees what it writes; sets INIT[NAME]
start_host() {
  local here=$SCRATCH/$1
  mkdir -p "$here"/{root,upper,work}
  if ! mount -t overlay overlay "$here/root" \
    -o "lowerdir=$BASE,upperdir=$here/upper,workdir=$here/work" 2>/dev/null; then
    cp -a "$BASE/." "$here/root"
  fi
  rm -f "$here/init"
  unshare --mount --propagation private --uts --ipc --net --pid --fork --kill-child \
    bash -c "$(declare -f first_process); first_process $1 $here" 2>/dev/null &
  until_true test -s "$here/init"
  INIT[$1]=$(<"$here/init")
}

# first_process NAME DIRECTORY: of a machine; bash reaps what others leave behind
first_process() {
  set -euo pipefail
  local self root=$2/root
  # Of the outer namespace, as long as its /proc is here.
  read -r self _ </proc/self/stat
  hostname "$1"
  printf '%s\n' "$1" >"$root/etc/hostname"
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$1" >"$root/etc/hosts"
  : >"$root/etc/resolv.conf"
  mount -t proc proc "$root/proc"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mkdir -m 1777 "$root/run/lock"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  echo "$self" >"$2/init"
  # shellcheck disable=SC2016 # that bash expands it
  exec chroot "$root" /bin/bash -c 'trap : CHLD; sleep infinity & while :; do wait || :; done'
}

# end_host NAME: all its processes with it
end_host() {
  [[ -n ${INIT[$1]:-} ]] || return 0
  kill -KILL "${INIT[$1]}"
  until_true gone "${INIT[$1]}"
  unset "INIT[$1]"
  if mountpoint -q "$SCRATCH/$1/root"; then
    umount "$SCRATCH/$1/root"
  fi
  rm -rf -- "${SCRATCH:?}/$1"
}

gone() {
  [[ ! -e /proc/$1/exe ]]
}

# as NAME USER COMMAND: on that machine, by bash in that user's home, with a login's environment.
# Two minutes are more than any of it takes.
as() {
  local home=/root
  [[ $2 == root ]] || home=/srv/$2
  timeout -k 5 120 nsenter -t "${INIT[$1]}" -m -u -i -n -p -r -w \
    env -i "HOME=$home" "USER=$2" "PATH=$PATH_OF_HOSTS" \
    DEBIAN_FRONTEND=noninteractive \
    setpriv --reuid "$2" --regid "$2" --init-groups \
    bash -c "cd; $3" </dev/null
}

# type_in NAME USER COMMAND: shows it, and runs it; sets STATUS. What it prints is in `said`.
type_in() {
  local prompt='$'
  [[ $2 != root ]] || prompt='#'
  printf '%s%s %s\n' "$1" "$prompt" "$3"
  STATUS=0
  as "$@" >"$SCRATCH/said" 2>&1 || STATUS=$?
}

# step STATUS NAME USER COMMAND: it ends with that status
step() {
  type_in "${@:2}"
  if ((STATUS == $1)); then
    passed "$2: $4"
  else
    failed "$2: $4: exit status $STATUS, not $1"
  fi
}

# until_true COMMAND…: within 30 seconds
until_true() {
  local tries
  for ((tries = 0; tries < 600; tries++)); do
    if "$@" >/dev/null 2>&1; then
      return 0
    fi
    sleep 0.05
  done
  return 1
}
