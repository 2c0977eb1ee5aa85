# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is read by the sections
# This machine while it is measured: programs that have to be there, a user, and what is
# left of all that when the measuring ends, however it ends.

note() {
  printf 'bench: %s\n' "$*" >&2
}

prepare() {
  export LC_ALL=C
  PATH=$PATH:/usr/sbin:/sbin
  umask 022
  # 500 followers take some descriptors each, at both ends.
  ulimit -n "$(ulimit -Hn)"
  FAILED='' SECTION='' MADE_USER='' SCRATCH=''
  NETWORK=octo-bench-$$
  trap clean_up EXIT
  trap 'clean_up; exit 129' HUP
  trap 'clean_up; exit 130' INT
  trap 'clean_up; exit 143' TERM
  install_missing
  if [[ -z $BIN ]]; then
    note 'building the release binaries'
    "$TOP/scripts/build"
    BIN=${CARGO_TARGET_DIR:-$TOP/target}/release
  fi
  # Private, and yet such that sshd's checks of the way to the keys pass.
  SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/octo-bench.XXXXXX")
  chmod 711 "$SCRATCH"
  make_user
}

# Command, then its Debian package.
programs() {
  cat <<'LIST'
clush clustershell
ip iproute2
jq jq
nsenter util-linux
openssl openssl
pgrep procps
python3 python3
rsync rsync
scp openssh-client
sshd openssh-server
strace strace
LIST
}

install_missing() {
  local command package packages=()
  while read -r command package; do
    if ! command -v "$command" >/dev/null; then
      packages+=("$package")
    fi
  done < <(programs)
  if ((${#packages[@]} == 0)); then
    return 0
  fi
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    note "not installed, and this is not root with apt-get: ${packages[*]}"
    return 0
  fi
  note "installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get -q update && apt-get -q install -y --no-install-recommends "${packages[@]}"; } >&2
  then
    note 'they are not all installed: what needs them is not measured'
  fi
}

# make_user: whom ssh and the jobs run as; sets SHELL_USER. root's shell would read start-up
# files, which is no part of ssh; this one's is sh, in a home that is empty.
make_user() {
  SHELL_USER=$(id -un)
  if ((EUID != 0)); then
    return 0
  fi
  if ! id octo-bench >/dev/null 2>&1; then
    mkdir "$SCRATCH/home"
    useradd --system --no-create-home --home-dir "$SCRATCH/home" --shell /bin/sh octo-bench
    MADE_USER=1
    # sshd lets nobody in whose password is locked.
    usermod -p '*' octo-bench
  fi
  SHELL_USER=octo-bench
}

# run_section NAME: a process group of its own, so that nothing of it outlives it, and a
# failure costs one section
run_section() {
  local status=0
  note "$1"
  HERE=$SCRATCH/$1
  mkdir -p "$HERE/series"
  set -m
  section "$1" >"$SCRATCH/$1.md" </dev/null &
  SECTION=$!
  set +m
  wait "$SECTION" || status=$?
  end_section
  if ((status != 0)); then
    FAILED=1
    note "$1 failed"
    printf '\nThe rest of this section failed and is not measured.\n' >>"$SCRATCH/$1.md"
  fi
}

section() {
  trap - EXIT HUP INT TERM
  account
  set -E
  trap 'note "${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND"' ERR
  "measure_$1"
}

# end_section: its daemons, its jobs, its files
end_section() {
  if [[ -n $SECTION ]]; then
    kill -TERM -- "-$SECTION" 2>/dev/null || true
    wait "$SECTION" 2>/dev/null || true
    SECTION=''
    # A listener that gave up its privileges has left the group.
    if [[ -e $HERE/listeners ]]; then
      xargs kill 2>/dev/null <"$HERE/listeners" || true
    fi
    # Jobs are sessions of their own: those that outlast a measurement look for this.
    rm -f "$HERE/go-on"
    wait_for_jobs
    remove "$HERE"
    find /sys/fs/cgroup/{,cpuacct/}"$NETWORK" -depth -type d -exec rmdir {} + 2>/dev/null || true
  fi
  if [[ -e /run/netns/$NETWORK ]]; then
    ip netns del "$NETWORK"
  fi
}

# wait_for_jobs: until nobody is left who was started with a path of the section
wait_for_jobs() {
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    if ! pgrep -f -- "$HERE/" >/dev/null; then
      return 0
    fi
    sleep 0.05
  done
}

# remove DIR: also while somebody who was just ended still writes there
remove() {
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    if rm -rf -- "$1" 2>/dev/null; then
      return 0
    fi
    sleep 0.05
  done
  rm -rf -- "$1"
}

clean_up() {
  trap '' HUP INT TERM # another signal stops nothing of it
  trap - EXIT
  end_section
  # Keys are in it: whatever else fails, it goes.
  if [[ -n $SCRATCH ]]; then
    remove "$SCRATCH"
  fi
  if [[ -n $MADE_USER ]]; then
    remove_user
  fi
}

# remove_user: once the last of its processes, which may be sshd's children, has ended
remove_user() {
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    if userdel octo-bench 2>/dev/null; then
      return 0
    fi
    sleep 0.05
  done
  note 'the user octo-bench stays, it is still in use: userdel octo-bench'
}

# can WORD…: are these programs here, and is this root where it has to be? Else the report
# says what is not measured.
can() {
  local word missing=()
  for word; do
    if [[ $word == root ]]; then
      ((EUID == 0)) || missing+=('root')
    elif ! command -v "$word" >/dev/null; then
      missing+=("$word")
    fi
  done
  if ((${#missing[@]} > 0)); then
    printf '\nNot measured here, for want of: %s.\n' "${missing[*]}"
    return 1
  fi
}
