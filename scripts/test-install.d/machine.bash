# shellcheck shell=bash
# This machine: what it must have, and the namespaces in which all happens and with which all
# ends.

note() {
  printf 'scripts/test-install: %s\n' "$*" >&2
}

# Command, then its Debian package.
programs() {
  cat <<'LIST'
apt-get apt
debootstrap debootstrap
dpkg-deb dpkg
ip iproute2
nsenter util-linux
setpriv util-linux
unshare util-linux
LIST
}

# needs: all that is missing is named before anything happens
needs() {
  local command package missing=()
  PATH=$PATH:/usr/sbin:/sbin
  while read -r command package; do
    command -v "$command" >/dev/null || missing+=("$package")
  done < <(programs)
  [[ -z $BOOT ]] || command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
  [[ -e $KEYRING ]] || missing+=(debian-archive-keyring)
  if ((${#missing[@]} > 0)); then
    note 'missing here:' \
      "apt-get install $(printf '%s\n' "${missing[@]}" | sort -u | paste -sd ' ' -)"
    exit 69
  fi
  if [[ -z $(the_deb) ]]; then
    note 'no package in dist/: scripts/release makes one, or name it with --deb'
    exit 69
  fi
  if ((EUID != 0)); then
    note 'only root can make a system and namespaces: sudo scripts/test-install'
    exit 77
  fi
  if ! unshare --mount --net --pid --fork true 2>/dev/null; then
    note 'this root may make no namespaces'
    exit 77
  fi
}

# the_deb: which package
the_deb() {
  if [[ -n $DEB ]]; then
    printf '%s' "$DEB"
  else
    newest "$TOP"/dist/octo_*.deb
  fi
}

# the_tarball: which tarball; none where there is none beside the package
the_tarball() {
  if [[ -n $TARBALL ]]; then
    printf '%s' "$TARBALL"
  else
    newest "$(dirname "$(the_deb)")"/octo-*.tar.?z
  fi
}

newest() {
  local file newest=''
  for file; do
    if [[ -f $file && (-z $newest || $file -nt $newest) ]]; then newest=$file; fi
  done
  printf '%s' "$newest"
}

# contain OPTION…: this again, in namespaces. Whoever ends this ends that: processes and mounts
# go with their namespaces, and what is left is one directory.
contain() {
  local status=0
  DIRECTORY=$(mktemp -d "${TMPDIR:-/tmp}/octo-install.XXXXXX")
  CONTAINED=''
  trap leave EXIT
  trap 'leave; exit 129' HUP
  trap 'leave; exit 130' INT
  trap 'leave; exit 143' TERM
  # A group of its own: the terminal's Ctrl-C comes here alone.
  set -m
  setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child \
    --mount-proc "$TOP/scripts/test-install" --inside "$DIRECTORY" "$@" </dev/null &
  CONTAINED=$!
  set +m
  wait "$CONTAINED" || status=$?
  return "$status"
}

leave() {
  trap '' HUP INT TERM # another signal stops nothing of it
  trap - EXIT
  if [[ -n $CONTAINED ]]; then
    kill -KILL "$CONTAINED" 2>/dev/null || true
    wait "$CONTAINED" 2>/dev/null || true
  fi
  # Those that end with the namespace may still write for a moment.
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    if forget_cgroups "${DIRECTORY##*/}" && rm -rf -- "$DIRECTORY" 2>/dev/null; then
      return 0
    fi
    sleep 0.05
  done
  rm -rf -- "$DIRECTORY"
}

# shellcheck disable=SC2034 # what report.bash counts with
# inside: the first process of the namespaces
inside() {
  export LC_ALL=C
  umask 022
  unset TMPDIR "${!OCTO_@}"
  PATH=$PATH:/usr/sbin:/sbin
  SCRATCH=$INSIDE
  PASSED=0 FAILED=0 PHASE=''
  trap '(($? == 0)) || broken_off "$BASH_COMMAND"' EXIT
  local free
  free=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
  if ((free > 3000000)); then
    mount -t tmpfs -o mode=755 tmpfs "$SCRATCH"
  fi
  chmod 755 "$SCRATCH"
  if ((${#SUITES[@]} == 0)) && [[ -z $BOOT ]]; then
    SUITES=("$(own_suite)")
  fi
  DEB=$(the_deb)
  TARBALL=$(the_tarball)
  note "package: $DEB"
}

# broken_off COMMAND: something failed of which no check was made
broken_off() {
  note "broken off in ${PHASE:-nothing}: $1"
}

own_suite() {
  local ID='' VERSION_CODENAME=''
  # shellcheck source=/dev/null
  source /etc/os-release
  if [[ $ID == debian && -e /usr/share/debootstrap/scripts/$VERSION_CODENAME ]]; then
    printf '%s' "$VERSION_CODENAME"
  else
    printf bookworm
  fi
}
