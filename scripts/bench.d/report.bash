# shellcheck shell=bash
# What the report says of itself, and the sizes.

head_of_report() {
  local what="${WANTED[*]}"
  [[ -z $ALL ]] || what=all
  cat <<REPORT
# Measurements

Made by \`scripts/bench -n $ROUNDS $what\` on $(date -u +%Y-%m-%d);
nothing here that it didn't measure. Both sides of a comparison ran on one machine, in turn
(a b a b …); shown are medians, the least and the most, and the median of each round's ratio
octo/beside. A goal is what it shall be at most.

| | |
| --- | --- |
| kernel | $(uname -sr) |
| processor | $(awk -F ': *' '/^model name/ { print $2; exit }' /proc/cpuinfo), $(nproc) cores |
| load | $(cut -d ' ' -f 1 /proc/loadavg) when it began |
| file system | $(df --output=fstype "$SCRATCH" | tail -n 1) |
| octo | $("$BIN/octo-push" --version), release binaries |
| ssh | $(ssh -V 2>&1 | cut -d, -f1), aes128-gcm@openssh.com |
| rsync | $(rsync --version 2>/dev/null | awk 'NR == 1 { print $3 }') |
| clush | $(clush --version 2>/dev/null | awk '{ print $2 }') |
REPORT
}

tail_of_report() {
  printf '\nAll of it took %s min %s s.\n' $((SECONDS / 60)) $((SECONDS % 60))
}

measure_sizes() {
  printf '\n## Sizes\n\n| binary | bytes |\n| --- | --- |\n'
  local tool
  for tool in octo-exec octo-keys octo-listen octo-push; do
    printf '| %s | %s |\n' "$tool" "$(stat -c %s "$BIN/$tool")"
  done
}
