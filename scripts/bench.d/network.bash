# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is read by the sections
# A network namespace behind a pair of interfaces, whose counters say what goes over the wire.

# make_network: sets INSIDE, how to start what lives there, and its address THERE, of the range
# for measurements. The section's end removes it.
make_network() {
  local number=${NETWORK##*-}
  local outer=ob${number}a inner=ob${number}b net=198.18.$((number / 64 % 256))
  local host=$((number % 64 * 4 + 1))
  ip netns add "$NETWORK"
  # Not `ip netns exec', which hides the cgroups of jobs behind another /sys.
  INSIDE=(nsenter "--net=/run/netns/$NETWORK")
  ip link add "$outer" type veth peer name "$inner" netns "$NETWORK"
  quiet_interface "$outer" "$net.$host/30"
  quiet_interface "$inner" "$net.$((host + 1))/30" "${INSIDE[@]}"
  "${INSIDE[@]}" ip link set lo up
  THERE=$net.$((host + 1))
  COUNTERS=/sys/class/net/$outer/statistics
}

# quiet_interface NAME ADDRESS COMMAND…: nobody speaks there unasked, and each packet has the
# header that it would have on a cable
quiet_interface() {
  "${@:3}" sh -c "echo 1 >/proc/sys/net/ipv6/conf/$1/disable_ipv6" 2>/dev/null || true
  "${@:3}" ip link set "$1" gso_max_segs 1
  "${@:3}" ip address add "$2" dev "$1"
  "${@:3}" ip link set "$1" up
}

# segments NUMBER: so many packets at most go through as one. With 1 the counters see all headers,
# and whoever sends much takes several times as long; 65535 is what interfaces have.
segments() {
  ip link set "ob${NETWORK##*-}a" gso_max_segs "$1"
  "${INSIDE[@]}" ip link set "ob${NETWORK##*-}b" gso_max_segs "$1"
}

# on_wire SERIES COMMAND…: adds its time to SERIES, and to SERIES.bytes what went over the wire,
# both ways
on_wire() {
  local before
  before=$(wire)
  timed "$@"
  sleep 0.2 # the last acknowledgement
  add "$1.bytes" $(($(wire) - before))
}

wire() {
  printf '%s' $(($(<"$COUNTERS/rx_bytes") + $(<"$COUNTERS/tx_bytes")))
}
