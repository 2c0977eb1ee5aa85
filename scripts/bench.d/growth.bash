# shellcheck shell=bash
# What years of use cost: the same `run true` beside finished jobs, lines of journals and logs,
# objects, and trusted pushers. Each is a STATE or CONFIG of its own, and all take turns.

measure_growth() {
  local round name names
  printf '\n## Growth\n'
  can python3 || return 0
  one_tentacle
  push -t bench run -c true
  stop bench
  grown_tentacles
  grown_octopus
  sed -i '/^bench /d' "$OCTOPUS/config/targets"
  names=(bench jobs1000 jobs50000 audit objects trust3000 trust9000)
  for name in "${names[@]}"; do
    serve "$name"
    push -t "$name" run -c true
    cp "$OCTOPUS/config/targets" "$HERE/journal/config/targets"
  done
  sync
  # What changed a moment ago is read each time.
  sleep 4
  for ((round = 0; round < ROUNDS * 10; round++)); do
    for name in "${names[@]}"; do
      timed "$name" push -t "$name" run -c true
    done
    OCTOPUS=$HERE/journal timed journal push -t bench run -c true
  done
  cat <<REPORT

\`octo-push run -c true\` beside what years leave, on tentacles and of octopuses that have a STATE
each, in turn; $((ROUNDS * 10)) rounds, wall time of the whole command.
REPORT
  comparisons
  compare us jobs1000 '1,000 finished jobs' bench none 1.1
  compare us jobs50000 '50,000 finished jobs' bench none 1.1
  compare us journal "1 M lines in octo-push's journal" bench none 1.1
  compare us audit '1 M lines in both audit logs' bench none 1.1
  compare us objects '10,000 objects in the store' bench none 1.1
  compare us trust3000 '3,000 lines of trust' bench 'one line' 1.1
  compare us trust9000 '9,000 lines of trust' bench 'one line' 1.1
}

# grown_tentacles: those of bench's identity whose STATE, or CONFIG, grew
grown_tentacles() {
  local name
  for name in jobs1000 jobs50000 audit objects trust3000 trust9000; do
    like_tentacle bench "$name"
    cp -a "$HERE/bench/state" "$HERE/$name/state"
  done
  note 'growth: jobs, lines and objects'
  grow jobs "$HERE/jobs1000/state/jobs" 1000
  grow jobs "$HERE/jobs50000/state/jobs" 50000
  grow audit "$HERE/audit/state/audit.log" 1000000
  grow audit "$HERE/audit/state/listen/audit.log" 1000000
  grow objects "$HERE/objects/state/packages" 10000
  more_trusted "$HERE/bench/config/trusted" 3000 >"$HERE/trust3000/config/trusted"
  more_trusted "$HERE/bench/config/trusted" 9000 >"$HERE/trust9000/config/trusted"
}

# grown_octopus: the same identity, and a journal of years
grown_octopus() {
  cp -a "$OCTOPUS" "$HERE/journal"
  grow journal "$HERE/journal/state/journal" 1000000
}

# grow WHAT PATH NUMBER: makes so many out of the one that is there
grow() {
  python3 "$TOP/scripts/bench.d/grow.py" "$@"
}
