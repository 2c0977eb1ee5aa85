# shellcheck shell=bash
# shellcheck disable=SC2016 # what is in single quotes is for the machines
# Removed, purged, and what is left on the disk then.

remove_and_purge() {
  phase "$SUITE: remove and purge"
  minimal_pair install_deb
  begin_job
  step 0 tentacle root 'dpkg -r octo'
  check 'tentacle: it names what was started by hand' says 'octo-exec serve still runs: kill'
  check 'tentacle: it names the job' says '[0-9]{8}T[0-9]{6}-'
  check 'tentacle: the job goes on' job_runs
  check 'tentacle: no program is left' there '! ls /usr/bin/octo-* /usr/lib/octo'
  end_job 7
  stop_by_hand
  step 0 tentacle root 'dpkg -P octo'
  check 'tentacle: it says what it keeps' says '/var/lib/octo'
  check 'tentacle: keys and logs are kept' there \
    'ls /etc/octo/identity.pem /etc/octo/trusted /var/lib/octo/audit.log'
  step 0 tentacle root "dpkg -i octo_${VERSION}_amd64.deb"
  start_by_hand
  step 0 octopus alice 'octo-push -t web1 run -c true'
  stop_by_hand
  there 'echo octo octo/purge boolean true | debconf-set-selections'
  step 0 tentacle root 'dpkg -P octo'
  check 'tentacle: it says what else is left' says 'userdel octo'
  step 0 tentacle root 'userdel octo'
  nothing_is_left_on tentacle
  end_hosts
}

walk_of_the_tarball() {
  if [[ -z $TARBALL ]]; then
    note 'not tried: the tarball, there is none beside the package'
    return 0
  fi
  phase "$SUITE: the tarball"
  minimal_pair install_tarball
  step 0 octopus alice 'octo-push -t web1 run -c id'
  check 'octopus: it ran as deploy' says 'uid=[0-9]+\(deploy\)'
  stop_by_hand
  step 0 tentacle root 'octo-*/install --uninstall'
  check 'tentacle: it says what it leaves' says '^left: /var/lib/octo'
  check 'tentacle: keys and logs are kept' there \
    'ls /etc/octo/identity.pem /var/lib/octo/audit.log'
  there 'rm -rf octo-*'
  step 0 tentacle root 'rm -r /etc/octo /var/lib/octo'
  step 0 tentacle root 'userdel octo'
  nothing_is_left_on tentacle
  end_hosts
}

install_tarball() {
  local name
  for name in octopus tentacle; do
    tar -C "$SCRATCH/$name/root/root" --no-same-owner -xf "$TARBALL"
    step 0 "$name" root 'octo-*/install'
  done
  check 'tentacle: it says that there is no user yet' says 'useradd --system octo'
  step 0 tentacle root 'useradd --system octo'
}

stop_by_hand() {
  local programs
  programs=$(programs_there)
  there "kill ${programs//$'\n'/ }"
  until_true programs_ended "$programs"
}

# remember HOST: its disk as it is now
remember() {
  files_of "$1" >"$SCRATCH/$1.before"
}

# nothing_is_left_on HOST: what was on its disk is there as it was, and nothing else
nothing_is_left_on() {
  files_of "$1" >"$SCRATCH/$1.after"
  comm -3 "$SCRATCH/$1.before" "$SCRATCH/$1.after" | sed 's/^\t//; s/\t.*//' | sort -u \
    >"$SCRATCH/said"
  sed 's/^/        left: /' "$SCRATCH/said"
  check "$1: nothing else is left" test ! -s "$SCRATCH/said"
}

# files_of HOST: a line a file, but for what dpkg, apt and useradd keep of their own, root's home,
# and the logs of what was started by hand
files_of() {
  local root=$SCRATCH/$1/root
  find "$root" -xdev \( -path "$root/proc" -o -path "$root/run" -o -path "$root/tmp" \
    -o -path "$root/dev" -o -path "$root/root" -o -path "$root/var/lib/dpkg" \
    -o -path "$root/var/lib/apt" -o -path "$root/var/cache" -o -path "$root/var/log/apt" \
    -o -path "$root/var/log/dpkg.log" -o -path "$root/var/log/octo*" \
    -o -path "$root/etc/passwd-" -o -path "$root/etc/shadow-" -o -path "$root/etc/group-" \
    -o -path "$root/etc/gshadow-" \) -prune -o \
    \( -type f -printf '/%P\t%m %U:%G %s ' -exec sha256sum {} \; -o \
    -printf '/%P\t%m %U:%G %y %l\n' \) | sed 's/\\$//' | LC_ALL=C sort
}

# rpm_has_the_same: files and modes as the package for Debian has, documents apart, which have
# their rules there. No Debian installs an .rpm.
rpm_has_the_same() {
  local rpm
  rpm=$(newest "$(dirname "$DEB")"/octo-*.rpm)
  if [[ -z $rpm ]] || ! command -v rpm >/dev/null; then
    note 'not tried: the .rpm, for want of it, or of the program rpm'
    return 0
  fi
  phase 'the .rpm'
  rpm -qp --queryformat '[%{FILEMODES:perms} %{FILENAMES}\n]' "$rpm" 2>/dev/null | installed_files \
    >"$SCRATCH/rpm"
  dpkg-deb -c "$DEB" | awk '{ print $1, substr($6, 2) }' | installed_files >"$SCRATCH/said"
  check 'it has files' test -s "$SCRATCH/rpm"
  check 'they are those of the package for Debian' diff "$SCRATCH/rpm" "$SCRATCH/said"
}

installed_files() {
  grep -v -e '^d' -e ' /usr/share/doc/' -e ' /usr/share/lintian/' | LC_ALL=C sort
}
