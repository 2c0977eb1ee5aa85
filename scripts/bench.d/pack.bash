# shellcheck shell=bash
# A tree of 20,000 files packed and unpacked, beside tar; and what octo-release costs.

measure_pack() {
  printf '\n## Pack\n'
  can python3 || return 0
  local tree=$HERE/tree packed=$HERE/packed archive=$HERE/package.tar round
  mkdir -p "$packed"
  make_tree "$tree"
  # Once unmeasured: all of it is in memory then.
  tar -cf "$archive" -C "$tree" .
  for ((round = 0; round < ROUNDS; round++)); do
    note "pack: round $((round + 1)) of $ROUNDS"
    one_pack pack pack_tree "$packed" "$tree" 1
    one_pack tar tar -cf "$packed/plain" -C "$tree" .
    one_pack tar-sync tar_and_sync "$packed/plain" "$tree"
    one_pack unpack "$BIN/octo-exec" unpack --manifest "$packed/manifest" "$archive" \
      "$packed/tree"
    one_pack untar-sync untar_and_sync "$archive" "$packed/tree"
  done
  cat <<REPORT

$(tree_of "$tree"), read from memory, into a file that isn't there;
and a package of it unpacked. $ROUNDS rounds, wall time of the whole command. **What octo-pack
prints is checked by octo-exec and on the disk**; its archive has sorted names and one time.
**octo-exec unpack refuses what isn't sound, and writes down the sha256 of each file.**
REPORT
  comparisons
  compare us pack octo-pack tar 'tar -cf'
  compare us pack octo-pack tar-sync 'tar -cf, then sync FILE'
  compare us unpack 'octo-exec unpack' untar-sync 'tar -xf, then sync -f'
}

make_tree() {
  note 'making 20,000 files'
  python3 "$TOP/scripts/bench.d/tree.py" "$1"
}

# tree_of DIR: what it is, in words
tree_of() {
  printf '%s MiB of text in %s files' "$(du -sm --apparent-size "$1" | cut -f 1)" \
    "$(find "$1" -type f | wc -l)"
}

# one_pack NAME COMMAND...: nothing is there before, nor still on its way to the disk
one_pack() {
  rm -rf "${packed:?}"/*
  sync -f "$packed"
  timed "$@"
}

# pack_tree OUTDIR TREE VERSION
pack_tree() {
  OCTO_EXEC=$BIN/octo-exec "$TOP/scripts/octo-pack" -q -o "$1" "$2" bench "$3"
}

# tar_and_sync FILE TREE
tar_and_sync() {
  tar -cf "$1" -C "$2" .
  sync "$1"
}

# untar_and_sync ARCHIVE DIR
untar_and_sync() {
  mkdir "$2"
  tar -xf "$1" -C "$2"
  sync -f "$2"
}

measure_overhead() {
  printf '\n## Overhead\n'
  can strace || return 0
  local tree=$HERE/tree round trace=$HERE/trace
  mkdir -p "$tree" "$HERE/packed" "$HERE/srv"
  echo hello >"$tree/index.html"
  for ((round = 1; round <= ROUNDS * 2; round++)); do
    echo "$round" >"$tree/version"
    pack_tree "$HERE/packed" "$tree" "$round" >/dev/null
    timed_both deploy deploy_by_hand "$round"
  done
  echo last >"$tree/version"
  pack_tree "$HERE/packed" "$tree" last >/dev/null
  deploy_by_hand last strace -f -qq -e trace=clone,clone3,fork,vfork,execve -e signal=none \
    -o "$trace"
  cat <<REPORT

What \`octo-release deploy\` costs on its target for a package of two small files, started by hand;
the times are medians of $((ROUNDS * 2)) deployments, and strace counts what it starts, itself
included.
REPORT
  facts
  fact number programs "$(grep -c 'execve(.*) = 0\|execve resumed.*= 0' "$trace")" 22
  fact number 'forks, of programs or of itself' "$(forks "$trace")"
  if [[ -n $ACCOUNT ]]; then
    fact us 'processor time' "$(median deploy.cpu)" 65000
  fi
  fact us 'wall time' "$(median deploy)"
}

# deploy_by_hand VERSION COMMAND…
deploy_by_hand() {
  OCTO_EXEC=$BIN/octo-exec "${@:2}" "$TOP/scripts/octo-release" -q -b "$HERE/srv" \
    -p "$HERE/packed/bench-$1.tar" deploy
}

# forks TRACE: calls that made a process, no thread
forks() {
  awk '/CLONE_THREAD/ { next }
    /(clone|clone3|fork|vfork)(\(| resumed)/ && / = [1-9][0-9]*$/ { n++ }
    END { print n + 0 }' "$1"
}
