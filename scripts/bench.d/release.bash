# shellcheck shell=bash
# shellcheck disable=SC2153 # network.bash has THERE
# The second deployment: what changed is packed, sent and switched to, and counted on the wire.

# So many files of the 20,000 change each time.
CHANGED=200

measure_release() {
  printf '\n## Release\n'
  can root ip nsenter rsync sshd python3 || return 0
  local tree=$HERE/tree packages=$HERE/packages there=$HERE/there round
  wired_pair
  prepared_tentacle
  make_tree "$tree"
  chmod -R a+rX "$tree"
  mkdir -p "$packages" "$there/octo" "$there/prepared" "$there/rsync"
  chown "$SHELL_USER" "$there"/*
  pack_tree "$packages" "$tree" 0 >/dev/null
  deploy bench 0
  deploy prepared 0
  send_tree "$tree" 0
  for ((round = 1; round <= ROUNDS; round++)); do
    note "release: round $round of $ROUNDS"
    change_tree "$tree"
    sync
    on_wire octo pack_and_deploy bench "$round"
    rm "$packages/bench-$round.tar"
    sync
    on_wire prepared pack_and_deploy prepared "$round"
    sync
    on_wire rsync send_tree "$tree" "$round" "--link-dest=../$((round - 1))"
    diff -rq "$there/octo/bench/current" "$there/rsync/$round" >&2
    diff -rq "$there/prepared/bench/current" "$there/rsync/$round" >&2
    [[ $(find "$there/prepared/bench/current/" -type f -links +1 | wc -l) -gt $CHANGED ]]
  done
  cat <<REPORT

$(tree_of "$tree"), of which $CHANGED get another line each time:
octo-pack and octo-deploy of the tree, beside \`rsync -az --link-dest\` over ssh into a new
directory; $ROUNDS rounds, wall time of all of it, and bytes over the wire both ways, with
handshakes and all headers, counted at a pair of interfaces. **octo-deploy hashes, verifies and
syncs the release, switches to it, and can go back.** Once to a target that has nothing but a
listener, which is sent octo-release each time and whose releases have files of their own; and once
to one whose admin has installed octo-release, permits that alone, and has releases share what
is unchanged (\`unchanged=link\`), as rsync does here.
REPORT
  comparisons
  compare bytes octo.bytes 'octo-pack, octo-deploy: bytes' rsync.bytes 'rsync -az --link-dest' 0.1
  compare bytes prepared.bytes 'the same, octo-release installed' rsync.bytes \
    'rsync -az --link-dest' 0.1
  compare us octo 'octo-pack, octo-deploy: wall time' rsync 'rsync -az --link-dest' 1.0
  compare us prepared 'the same, unchanged=link' rsync 'rsync -az --link-dest' 1.0
}

# wired_pair: an octopus here, a tentacle and an sshd behind the wire
wired_pair() {
  make_network
  make_octopus
  make_tentacle bench
  listen bench "$THERE:0" "${INSIDE[@]}"
  listening bench
  push -t bench status >/dev/null
  start_sshd "$THERE" "${INSIDE[@]}"
}

# prepared_tentacle: another, on which octo-release is installed, and no other script is permitted
prepared_tentacle() {
  local config=$HERE/prepared/config
  make_tentacle prepared "scripts=$config/scripts set=OCTO_BASE=$HERE/there/prepared"
  mkdir "$config/scripts" "$config/apps"
  cp "$TOP/scripts/octo-release" "$config/scripts/octo-release"
  echo unchanged=link >"$config/apps/bench"
  chmod -R a+rX "$config/scripts" "$config/apps"
  chmod a+x "$HERE/prepared" "$config"
  listen prepared "$THERE:0" "${INSIDE[@]}"
  listening prepared
  push -t prepared status >/dev/null
}

pack_and_deploy() {
  pack_tree "$packages" "$tree" "$2"
  deploy "$1" "$2"
}

# deploy TENTACLE NUMBER: of packages that were made
deploy() {
  local words=(-b "$there/octo")
  [[ $1 != prepared ]] || words=(--named)
  OCTO_EXEC=$BIN/octo-exec PATH=$BIN:$PATH octopus "$TOP/scripts/octo-deploy" -q -t "$1" \
    "${words[@]}" "$packages/bench-$2.tar"
}

# send_tree TREE NUMBER [OPTION]
send_tree() {
  rsync -az "${@:3}" -e "ssh ${SSH[*]}" "$1/" "$HOST:$there/rsync/$2"
}

# change_tree TREE: another line in some of its files
change_tree() {
  find "$1" -type f | shuf -n "$CHANGED" | xargs sed -i "1i changed $RANDOM $RANDOM"
}

measure_patch() {
  printf '\n## Patch\n'
  can root ip nsenter rsync sshd || return 0
  local there=$HERE/there what round
  local old=$HERE/packages/typescript-5.8.2.tar new=$HERE/packages/typescript-5.8.3.tar
  mkdir -p "$HERE/packages" "$there"
  chown "$SHELL_USER" "$there"
  if fetch_package typescript 5.8.2 && fetch_package typescript 5.8.3; then
    what='The packages typescript 5.8.2 and 5.8.3'
  else
    note 'patch: typescript can not be had: two versions of a bundle are made instead'
    what='Two made versions of a bundle (typescript could not be had)'
    make_bundles "$old" "$new"
  fi
  wired_pair
  # What changed a moment ago is read each time.
  sleep 4
  for ((round = 1; round <= ROUNDS; round++)); do
    rm -f "$there/package.tar" "$HERE/bench/state/packages/"[0-9a-f]*
    push -t bench put "$old"
    rsync -e "ssh ${SSH[*]}" "$old" "$HOST:$there/package.tar"
    on_wire octo push -t bench put "$new"
    on_wire rsync rsync -z -e "ssh ${SSH[*]}" "$new" "$HOST:$there/package.tar"
    cmp "$new" "$there/package.tar" >&2
    cmp "$new" "$HERE/bench/state/packages/$(sha256sum <"$new" | cut -c 1-64)" >&2
  done
  cat <<REPORT

$what, as plain tars of $(of_size "$old") and $(of_size "$new"): the second
is put where the first is, beside \`rsync -z\` over ssh onto the first; $ROUNDS rounds, bytes over
the wire both ways, with handshakes and all headers.
REPORT
  comparisons
  compare bytes octo.bytes 'put: bytes' rsync.bytes 'rsync -z' 0.2
  compare us octo 'the same, wall time' rsync 'rsync -z'
}

of_size() {
  shown bytes "$(stat -c %s "$1")"
}

# fetch_package NAME VERSION: as a plain tar among the packages
fetch_package() {
  local archive
  command -v npm >/dev/null || return 1
  archive=$(cd "$HERE" && npm pack --silent "$1@$2" 2>/dev/null | tail -n 1) || return 1
  gzip -dc "$HERE/$archive" >"$HERE/packages/$1-$2.tar" || return 1
}

# make_bundles OLD NEW: 20 MB of text that repeats as programs do, then with a version and a few
# lines changed
make_bundles() {
  local tree=$HERE/bundle
  mkdir -p "$tree/lib"
  awk 'BEGIN {
    srand(5)
    for (i = 0; i < 300000; i++)
      printf "  const node%d = visit(%d, context.flags%d, (n) => n.kind === %d);\n",
        i, rand() * 1000000, rand() * 100, rand() * 400
  }' >"$tree/lib/bundle.js"
  echo '{ "version": "5.8.2" }' >"$tree/package.json"
  tar -C "$tree" --sort=name --owner=0 --group=0 --mtime=@315532800 -cf "$1" .
  echo '{ "version": "5.8.3" }' >"$tree/package.json"
  awk 'NR % 30000 == 7 { print "  // mended"; print "  check(context);" } { print }' \
    "$tree/lib/bundle.js" >"$tree/lib/changed"
  mv "$tree/lib/changed" "$tree/lib/bundle.js"
  tar -C "$tree" --sort=name --owner=0 --group=0 --mtime=@315532800 -cf "$2" .
}
