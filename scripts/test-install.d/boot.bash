# shellcheck shell=bash
# shellcheck disable=SC2016 # what is in single quotes is for the machine
# A Debian that systemd boots, octopus and tentacle in one, and the units in it.

boot() {
  make_base bookworm
  phase 'booted: installed, and nothing started'
  add_systemd
  start_machine
  units_after_installing
  units_without_identity
  phase 'booted: started, told, refused'
  units_start
  unit_reloads
  unit_with_a_broken_identity
  journal_has_priorities
  exposure_of_units
  phase 'booted: jobs outlive what started them'
  job_outlives octo-listen
  job_outlives octo-exec
  job_outlives_stops
  upgrade_of_units
  phase 'booted: timers, rotation, an instance'
  timers_run
  logs_rotate
  instance_runs
  phase 'booted: shutdown, remove, purge'
  job_and_shutdown
  job_and_power_cut
  units_are_removed
  power_off
  leave_base
}

# add_systemd: what a server has beyond the bare system
add_systemd() {
  local log=$SCRATCH/apt.log
  {
    chroot "$BASE" apt-get -q update
    DEBIAN_FRONTEND=noninteractive chroot "$BASE" \
      apt-get -q -y --no-install-recommends install systemd-sysv dbus logrotate
  } >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    note 'no systemd is to be had for the machine'
    exit 69
  }
  chroot "$BASE" useradd --create-home --home-dir /srv/alice --shell /bin/bash alice
  chroot "$BASE" useradd --create-home --home-dir /srv/mallory --shell /bin/bash mallory
  chroot "$BASE" useradd --system --create-home deploy
  : >"$BASE/etc/machine-id"
  VERSION=$(dpkg-deb -f "$DEB" Version)
  cp "$DEB" "$BASE/root/octo_${VERSION}_amd64.deb"
}

# start_machine: sets INIT of both, for octopus and tentacle are one here
start_machine() {
  cgroup_of_machine "${SCRATCH##*/}"
  mkdir -p "$CGROUP"
  # In a cgroup below which it is root, whatever this machine itself boots by; its mounts are
  # nobody else's.
  (
    echo "$BASHPID" >"$CGROUP/cgroup.procs"
    exec unshare --cgroup --mount --propagation private --pid --fork --kill-child --mount-proc \
      bash -c '
      mount -t cgroup2 none /sys/fs/cgroup
      mount -t tmpfs -o mode=755 tmpfs /run
      exec systemd-nspawn -q -D "$1" -M tentacle --register=no --keep-unit \
        --private-network --console=pipe --boot' bash "$BASE"
  ) </dev/null >"$SCRATCH/console" 2>&1 &
  NSPAWN=$!
  if ! until_true find_init; then
    cat "$SCRATCH/console" >&2
    note 'the machine does not boot here'
    exit 77
  fi
  check 'tentacle: it has booted' until_true there '
    [[ $(systemctl is-system-running) == @(running|degraded) ]]'
}

# shellcheck disable=SC2034,SC2154 # machine.bash has INIT
# find_init: below unshare is systemd-nspawn, whose child is the first process of a namespace
find_init() {
  local nspawn child children
  read -r nspawn <"/proc/$NSPAWN/task/$NSPAWN/children"
  read -ra children <"/proc/$nspawn/task/$nspawn/children"
  for child in "${children[@]}"; do
    if [[ $(<"/proc/$child/comm") == systemd ]]; then
      INIT[tentacle]=$child INIT[octopus]=$child
      return 0
    fi
  done
  return 1
}

# power_off: as its administrator would
power_off() {
  there 'systemctl poweroff' || true
  # Systemd itself waits a minute and a half for what doesn't end: no job keeps it so long.
  check 'tentacle: it is off' until_true gone "$NSPAWN"
  wait "$NSPAWN" || true
  unset 'INIT[tentacle]' 'INIT[octopus]'
}

# cgroup_of_machine NAME: sets CGROUP
cgroup_of_machine() {
  CGROUP=$(findmnt -rn -t cgroup2 -o TARGET | head -n 1)
  if [[ -z $CGROUP ]]; then
    note 'no cgroup2 is mounted here, which systemd needs'
    exit 77
  fi
  CGROUP=$CGROUP/$1
}

# forget_cgroups NAME: all its processes are gone
forget_cgroups() {
  local at
  at=$(findmnt -rn -t cgroup2 -o TARGET | head -n 1)
  [[ -z $at || ! -d $at/$1 ]] || find "$at/$1" -depth -type d -exec rmdir {} + 2>/dev/null
}

# unhurried: all that happens here within ten seconds is more than systemd lets pass
unhurried() {
  there 'systemctl reset-failed octo-listen octo-exec octo-listen.socket' 2>/dev/null || true
}

active() { there "[[ \$(systemctl is-active $1) == ${2:-active} ]]"; }
main_pid() { there "systemctl show -P MainPID $1"; }

units_after_installing() {
  there 'find /etc/systemd -name "*octo*"' >"$SCRATCH/units.before"
  step 0 tentacle root "dpkg -i octo_${VERSION}_amd64.deb"
  check 'it says what to type' says 'systemctl enable --now octo-exec octo-listen.socket'
  check 'no unit is active' there '
    ! systemctl list-units --no-legend "octo*" | grep .'
  check 'no unit is enabled' there '
    ! systemctl list-unit-files --no-legend "octo*" | awk "\$2 == \"enabled\"" | grep .'
  check 'the user octo can log in nowhere' there '
    getent passwd octo | grep ":/usr/sbin/nologin$"'
  check 'systemd finds no fault in the units' there '
    cd /usr/lib/systemd/system
    for unit in octo-*; do
      real=${unit/@./@10934.}
      systemd-analyze verify --man=no "/usr/lib/systemd/system/$real" || exit
    done'
}

units_without_identity() {
  step 1 tentacle root 'systemctl enable --now octo-exec octo-listen.socket octo-listen'
  there 'systemctl status octo-listen.socket octo-listen' >"$SCRATCH/said" 2>&1 || true
  check 'status says which file is missing' says '/etc/octo/identity.pem was not met'
  check 'nothing listens' not active octo-listen.socket
  check 'octo-exec serves' active octo-exec
}

units_start() {
  step 0 tentacle root 'octo-keys new'
  THUMBPRINT_OF[tentacle]=$(thumbprint <"$SCRATCH/said")
  THUMBPRINT_OF[octopus]=$(as octopus alice 'octo-keys new' | thumbprint)
  as octopus alice \
    "echo 'web1 127.0.0.1 ${THUMBPRINT_OF[tentacle]} web' >~/.config/octo/targets"
  as octopus mallory 'octo-keys new >/dev/null; mkdir -p ~/.config/octo'
  as octopus mallory \
    "echo 'web1 127.0.0.1 ${THUMBPRINT_OF[tentacle]} web' >~/.config/octo/targets"
  step 0 tentacle root 'systemctl start octo-listen.socket'
  check 'the socket alone is active' active octo-listen inactive
  # The first connection starts what answers it.
  step 77 octopus alice 'octo-push -t web1 status'
  check 'the connection started octo-listen' active octo-listen
  there "octo-keys trust -o user=deploy ${THUMBPRINT_OF[octopus]} alice" >/dev/null
  there 'systemctl stop octo-listen octo-listen.socket'
  # Type=notify: when this is through, it listens.
  step 0 tentacle root 'systemctl start octo-listen.socket octo-listen'
  check 'it said that it listens before that was over' there '
    [[ $(systemctl show -P StatusText octo-listen) == listening* ]]'
  step 0 octopus alice 'octo-push -t web1 run -c id'
  check 'a job ran as deploy' says 'uid=[0-9]+\(deploy\)'
  as octopus alice 'mkdir shop; echo shop >shop/page; octo-pack -q shop shop 1.4'
  there 'install -d -o deploy -g deploy /srv/shop'
  step 0 octopus alice 'octo-deploy -t web shop-1.4.tar'
  step 0 octopus alice 'octo-status -t web'
  check 'what was released is looked at' says '1\.4'
  step 0 octopus alice 'octo-push -t web1 audit'
  check 'octo-listen has a network of its own, with nothing in it' there '
    nsenter -t "$(systemctl show -P MainPID octo-listen)" -n cat /proc/net/dev |
      awk "NR > 2 && \$1 != \"lo:\" { exit 1 }"'
}

unit_reloads() {
  local before
  before=$(main_pid octo-listen)
  # What is read anew is told by the credential, which is as it was at the start.
  there 'cp -p /etc/octo/identity.pem /root; echo broken >/etc/octo/identity.pem'
  step 0 tentacle root 'systemctl reload octo-listen'
  check 'the same process goes on' test "$(main_pid octo-listen)" == "$before"
  check 'it is active again' active octo-listen
  step 0 octopus alice 'octo-push -t web1 run -c true'
}

unit_with_a_broken_identity() {
  unhurried
  step 1 tentacle root 'systemctl restart octo-listen'
  check 'it failed' active octo-listen failed
  there 'systemctl status octo-listen' >"$SCRATCH/said" 2>&1 || true
  check 'status shows 78' says 'status=78'
  check 'it is not started again' there '
    [[ $(systemctl show -P NRestarts octo-listen) == 0 ]]'
  check 'status says what is wrong' says 'identity\.pem'
  # Whoever connects has it started: so often as systemd lets pass, and not for ever.
  as octopus alice 'octo-push -w 5s -t web1 status' >/dev/null 2>&1 || true
  check 'the port is closed then' until_true active octo-listen.socket failed
  there 'cp -p /root/identity.pem /etc/octo/identity.pem'
  unhurried
  step 0 tentacle root 'systemctl start octo-listen'
  step 0 octopus alice 'octo-push -t web1 run -c true'
}

journal_has_priorities() {
  step 77 octopus mallory 'octo-push -t web1 run -c id'
  check 'a refusal is a warning' until_true there '
    journalctl -q -u octo-listen -p warning | grep -F 127.0.0.1'
  check 'and no error' not there 'journalctl -q -u octo-listen -p err | grep -F 127.0.0.1'
  check 'a broken identity is an error' there '
    journalctl -q -u octo-listen -p err | grep -F identity.pem'
  check 'that it listens is neither' not there '
    journalctl -q -u octo-listen -p warning | grep listening'
}

# exposure_of_units: the figures of systemd itself
exposure_of_units() {
  there 'systemd-analyze security | grep -E "UNIT|octo"' | sed 's/^/        /' || true
  local unit
  for unit in octo-listen octo-listen@10934; do
    check "$unit: exposed by 2.0 at most" there "
      systemd-analyze security --threshold=20 $unit >/dev/null"
  done
}

# job_outlives UNIT: a restart of it
job_outlives() {
  local before job
  unhurried
  before=$(main_pid "$1")
  begin_job
  job=$(running_job)
  step 0 tentacle root "systemctl restart $1"
  check "$1: another process" test "$(main_pid "$1")" != "$before"
  check 'the job goes on' job_runs
  end_job 7
  check 'its end is recorded' recorded_there "$job" 7
}

# job_outlives_stops: of both, and it ends while nobody is there
job_outlives_stops() {
  local job
  unhurried
  begin_job
  job=$(running_job)
  step 0 tentacle root 'systemctl stop octo-listen octo-listen.socket octo-exec'
  check 'the job goes on' there "octo-exec list | grep -E '^$job +running'"
  there 'touch /tmp/go-on'
  check 'its end is recorded' until_true recorded_there "$job" 7
  step 0 tentacle root 'systemctl start octo-exec octo-listen.socket octo-listen'
  # Who followed has waited, and goes on where it was.
  end_job 7
}

# running_job: the one that runs
running_job() {
  there 'octo-exec list' | awk '$2 == "running" { print $1 }'
}

# recorded_there JOB STATUS
recorded_there() {
  there "grep -qx 'code $2' /var/lib/octo/jobs/$1/end"
}

upgrade_of_units() {
  local before
  unhurried
  before="$(main_pid octo-listen) $(main_pid octo-exec)"
  local tree=$SCRATCH/newer
  dpkg-deb -R "$DEB" "$tree"
  sed -i "s/^Version: .*/Version: $VERSION+newer/" "$tree/DEBIAN/control"
  dpkg-deb -Znone -b "$tree" "$BASE/root/newer.deb" >/dev/null
  rm -rf -- "$tree"
  begin_job
  step 0 tentacle root 'dpkg -i newer.deb'
  check 'what ran was started again' \
    test "$(main_pid octo-listen) $(main_pid octo-exec)" != "$before"
  check 'both are active' there 'systemctl is-active octo-listen octo-exec'
  check 'the job goes on' job_runs
  end_job 7
}

timers_run() {
  step 0 tentacle root 'systemctl enable --now octo-prune.timer octo-check.timer'
  step 0 tentacle root 'systemctl start octo-prune'
  step 0 tentacle root 'systemctl start octo-check'
  there 'cp -p /var/lib/octo/audit.log /root; sed -i "1s/./x/" /var/lib/octo/audit.log'
  step 1 tentacle root 'systemctl start octo-check'
  check 'a log that was changed fails the unit' active octo-check failed
  check 'and is an error' there 'journalctl -q -u octo-check -p err | grep audit.log:1'
  there 'cp -p /root/audit.log /var/lib/octo/audit.log'
  step 0 tentacle root 'systemctl start octo-check'
}

# logs_rotate: several times, with runs in between
logs_rotate() {
  local turn
  for turn in 1 2 3; do
    as octopus alice 'octo-push -t web1 run -c true'
    step 0 tentacle root 'logrotate -f /etc/logrotate.d/octo'
  done
  as octopus alice 'octo-push -t web1 run -c true'
  check "both logs were rotated $turn times" there '
    ls /var/lib/octo/audit.log.3 /var/lib/octo/listen/audit.log.3 \
      /var/lib/octo/audit.log /var/lib/octo/listen/audit.log'
  check "the listener's is its own still" there '
    [[ $(stat -c %U:%a /var/lib/octo/listen/audit.log) == octo:640 ]]'
  step 0 tentacle root 'octo-listen --check-audit'
  step 0 tentacle root 'systemctl start octo-check'
}

# instance_runs: a second tentacle, by the commands of octo-listen(8)
instance_runs() {
  local paths='--config /etc/octo-10934 --state /var/lib/octo-10934'
  step 0 tentacle root 'useradd --system octo-10934'
  step 0 tentacle root "octo-keys $paths new"
  local second
  second=$(thumbprint <"$SCRATCH/said")
  step 0 tentacle root "octo-keys $paths trust -o user=deploy ${THUMBPRINT_OF[octopus]} alice"
  step 0 tentacle root \
    'systemctl enable --now octo-exec@10934 octo-listen@10934.socket octo-listen@10934'
  as octopus alice "echo 'web2 127.0.0.1:10934 $second web' >>~/.config/octo/targets"
  step 0 octopus alice 'octo-push -t web1,web2 run -c id'
  check 'each has recorded its own' there '
    octo-listen --check-audit &&
    octo-listen --config /etc/octo-10934 --state /var/lib/octo-10934 --check-audit'
  check 'one cannot look into the other' there '
    ! setpriv --reuid octo-10934 --regid octo-10934 --clear-groups ls /var/lib/octo/spool'
  step 0 tentacle root \
    'systemctl disable --now octo-exec@10934 octo-listen@10934.socket octo-listen@10934'
  check 'the first goes on' active octo-listen
}

end_followers() {
  there 'for it in /proc/[0-9]*; do
    [[ $(readlink $it/exe) != */octo-push* ]] || kill -KILL ${it##*/}
  done'
  wait "$FOLLOWER" || true
}

# job_and_shutdown: the job is told to end with the machine, and that is recorded
job_and_shutdown() {
  local job
  unhurried
  begin_job
  job=$(running_job)
  # An octopus elsewhere would not be told to end, and this one tries again until then.
  end_followers
  power_off
  start_machine
  check 'both are active after the boot' until_true there '
    systemctl is-active octo-listen octo-exec'
  # All are told at once: the job may be gone before octo-exec ends it.
  type_in octopus alice "octo-push -t web1 follow $job"
  check 'the record says that a signal ended it' test "$STATUS" == 130 -o "$STATUS" == 143
  check 'and so does what is said of it' says 'by a signal|of signal 15'
}

# job_and_power_cut: nothing is told to anybody
job_and_power_cut() {
  local job
  begin_job
  job=$(running_job)
  kill -KILL "$NSPAWN"
  { wait "$NSPAWN" "$FOLLOWER"; } 2>/dev/null || true
  until_true gone "${INIT[tentacle]}"
  start_machine
  check 'both are active after the boot' until_true there '
    systemctl is-active octo-listen octo-exec'
  step 71 octopus alice "octo-push -t web1 follow $job"
  check 'the record says that it was lost' there "octo-exec list | grep -E '^$job +lost'"
}

units_are_removed() {
  local job
  begin_job
  job=$(running_job)
  step 0 tentacle root 'dpkg -r octo'
  check 'it names the job' says "$job"
  check 'no unit is active' there '
    ! systemctl list-units --no-legend "octo-*.service" "octo-*.socket" --state=active | grep .'
  check 'no unit is left enabled' there '! find /etc/systemd -name "*octo*" | grep .'
  end_followers
  there 'touch /tmp/go-on'
  check 'the end of the job is recorded' until_true recorded_there "$job" 7
  step 0 tentacle root 'dpkg -P octo'
  check 'it says what it keeps' says '/var/lib/octo'
  check 'keys and logs are kept' there 'ls /etc/octo/identity.pem /var/lib/octo/audit.log'
}
