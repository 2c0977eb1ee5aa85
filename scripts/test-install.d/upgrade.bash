# shellcheck shell=bash
# shellcheck disable=SC2016 # what is in single quotes is for the machines
# shellcheck disable=SC2154 # keys of an array that walk.bash declares
# A newer package under a job that runs.

# minimal_pair COMMAND…: two machines, on which that has installed octo; a tentacle that listens
# and has user deploy, and an octopus that it trusts. What the tentacle's disk had before is
# remembered.
minimal_pair() {
  start_hosts
  there 'useradd --system --create-home deploy'
  remember tentacle
  "$@"
  THUMBPRINT_OF[octopus]=$(as octopus alice 'octo-keys new' | thumbprint)
  THUMBPRINT_OF[tentacle]=$(there 'octo-keys new' | thumbprint)
  there "octo-keys trust -o user=deploy ${THUMBPRINT_OF[octopus]} alice" >/dev/null
  as octopus alice \
    "echo 'web1 $ADDRESS_OF_TENTACLE ${THUMBPRINT_OF[tentacle]} web' >~/.config/octo/targets"
  start_by_hand
}

thumbprint() {
  grep -oE '\b[0-9a-f]{64}\b' | head -n 1
}

install_deb() {
  bring_package
  local name
  for name in octopus tentacle; do
    step 0 "$name" root "dpkg -i octo_${VERSION}_amd64.deb"
  done
}

upgrade_under_a_job() {
  phase "$SUITE: upgrade under a running job"
  minimal_pair install_deb
  newer_package
  begin_job
  local old
  old=$(programs_there)
  step 0 tentacle root 'dpkg -i newer.deb'
  check 'tentacle: what listens goes on' test "$(programs_there)" == "$old"
  step 0 octopus alice 'octo-push -t web1 run -c true'
  # What the units do of themselves.
  there "kill ${old//$'\n'/ }"
  check 'tentacle: both end when told' until_true programs_ended "$old"
  check 'tentacle: the job does not' job_runs
  there ': >/var/log/octo-listen.log'
  start_by_hand
  end_job 7
  check 'tentacle: what serves now is the new programs' until_true all_are_new
  begin_job
  check 'tentacle: so is what starts a job' all_are_new
  end_job 7
  check 'tentacle: the audit chains are whole' there 'octo-listen --check-audit'
  end_hosts
}

# newer_package: the same with a higher version, and programs that end in a word
newer_package() {
  local tree=$SCRATCH/newer program
  NEWER=$VERSION+newer
  dpkg-deb -R "$DEB" "$tree"
  sed -i "s/^Version: .*/Version: $NEWER/" "$tree/DEBIAN/control"
  for program in exec keys listen push; do
    printf newer >>"$tree/usr/bin/octo-$program"
  done
  dpkg-deb -Znone -b "$tree" "$SCRATCH/tentacle/root/root/newer.deb" >/dev/null
  rm -rf -- "$tree"
}

# programs_there: the processes of octo-exec serve and octo-listen
programs_there() {
  there 'for it in /proc/[0-9]*; do
    words=$({ tr "\0" " " <$it/cmdline; } 2>/dev/null)
    case $words in
      *octo-exec" serve "* | *octo-listen" "*) echo ${it##*/} ;;
    esac
  done'
}

# all_are_new: of octo's programs that run, but for what the old job left
all_are_new() {
  there 'count=0
    for it in /proc/[0-9]*; do
      [[ $(readlink $it/exe) == */octo-* ]] || continue
      echo "$it: $(readlink $it/exe)"
      tail -c 5 $it/exe | grep -q newer || exit 1
      count=$((count + 1))
    done
    ((count >= 2))'
}

programs_ended() {
  local it
  for it in $1; do
    there "[[ ! -e /proc/$it/exe ]]" || return 1
  done
}

# begin_job: one that ends when it is told; whoever asked for it follows it
begin_job() {
  there 'rm -f /tmp/go-on'
  # What the last one left there is not this one's.
  : >"$SCRATCH/followed"
  as octopus alice 'octo-push -t web1 run -c \
    "echo begun; until [ -e /tmp/go-on ]; do sleep 0.1; done; echo ended; exit 7"' \
    >"$SCRATCH/followed" 2>&1 &
  FOLLOWER=$!
  check 'octopus: a job runs' until_true grep begun "$SCRATCH/followed"
}

job_runs() {
  # Its output is only there at the end.
  kill -0 "$FOLLOWER" && not grep ended "$SCRATCH/followed"
}

# end_job STATUS: it ends now, and the octopus gets to know how
end_job() {
  local status=0
  there 'touch /tmp/go-on'
  wait "$FOLLOWER" || status=$?
  cp "$SCRATCH/followed" "$SCRATCH/said"
  check "octopus: it followed the job to its end, with $1" test "$status" == "$1"
  check 'octopus: all of its output is there, once' \
    test "$(grep -cE 'begun|ended' "$SCRATCH/followed")" == 2
}
