# shellcheck shell=bash
# Ten thousand names of one tentacle, asked by one octo-push and by four with a share each. They
# have a STATE each, as pushers on machines of their own have; here all share the processors, with
# the tentacle, too.

NAMES=10000
PUSHERS=4
# So many targets at once, in all.
AT_ONCE=64

measure_pushers() {
  local number round processors
  processors=$(getconf _NPROCESSORS_ONLN)
  printf '\n## Several pushers\n'
  one_tentacle
  many_names
  for ((round = 0; round < ROUNDS; round++)); do
    for number in 1 "$PUSHERS"; do
      note "pushers: $number, round $round"
      clocked "run$number" in_shares "$number" run -c true
      new_file
      clocked "put$number" in_shares "$number" put "$HERE/file"
      clocked "there$number" in_shares "$number" put "$HERE/file"
      clocked "status$number" in_shares "$number" status
    done
  done
  cat <<REPORT

$NAMES names of one tentacle, which answers under each of them; it makes one job of each command
run, and is sent a file by those who ask before it is there. One octo-push with -f $AT_ONCE beside
$PUSHERS that have a share each by --shard, a STATE each and -f $((AT_ONCE / PUSHERS)), at the same
time: $AT_ONCE at once with both. All of that on this one machine, whose $processors processors are
the tentacle's as well: what more of them would do is not in it. $ROUNDS rounds, time of all.
REPORT
  comparisons
  shares_beside_one run 'run true'
  shares_beside_one put 'put 4 KiB, new'
  shares_beside_one there 'put 4 KiB, there already'
  shares_beside_one status status
  printf '\nProcessor time of octo-push alone, of all of them together:\n'
  comparisons
  shares_beside_one run 'run true' .pushers
  shares_beside_one put 'put 4 KiB, new' .pushers
  shares_beside_one there 'put 4 KiB, there already' .pushers
  shares_beside_one status status .pushers
}

# many_names: the octopus knows the tentacle by so many
many_names() {
  local number thumbprint
  thumbprint=$(<"$HERE/bench.thumbprint")
  for ((number = 1; number <= NAMES; number++)); do
    # shellcheck disable=SC2153 # octo.bash has ADDRESS
    printf 'n%s %s %s\n' "$number" "${ADDRESS[bench]}" "$thumbprint"
  done >"$OCTOPUS/config/targets"
}

# new_file: 4 KiB that no tentacle has
new_file() {
  head -c 4096 /dev/urandom >"$HERE/file"
  chmod 644 "$HERE/file"
}

# in_shares NUMBER WORD…: by so many at the same time; all of them have to succeed
in_shares() {
  local pusher started=()
  for ((pusher = 1; pusher <= $1; pusher++)); do
    # A function in the background would be a shell of its own around it.
    env OCTO_CONFIG="$OCTOPUS/config" OCTO_STATE="$OCTOPUS/state$pusher" \
      "$BIN/octo-push" -q -a -f $((AT_ONCE / $1)) --shard "$pusher/$1" "${@:2}" &
    started+=("$!")
  done
  for pusher in "${started[@]}"; do
    wait "$pusher"
  done
}

# clocked SERIES COMMAND…: adds the time to SERIES, and to SERIES.pushers the processor time of the
# processes that it started and waited for
clocked() {
  local before after shell=$BASHPID
  before=$(children "$shell")
  timed "$@"
  after=$(children "$shell")
  add "$1.pushers" $((after - before))
}

# children SHELL: of its children, those that ended, in microseconds
children() {
  awk '{ sub(/^.*\) /, ""); print ($14 + $15) }' "/proc/$1/stat" | to_us
}

# shares_beside_one SERIES TEXT [SUFFIX]
shares_beside_one() {
  compare us "$1$PUSHERS${3-}" "$2: $PUSHERS pushers" "$1"1"${3-}" 'one'
}
