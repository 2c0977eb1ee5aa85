# shellcheck shell=bash
# What the pages tell to type, taken from the pages themselves: lines of HOST, a tab and
# COMMAND.

# readme_commands: of "On real servers"; whose line it is, the last comment says that names one
readme_commands() {
  sed -n '/^## On real servers/,/^## The tools/s/^    //p' "$TOP/README.md" |
    awk '
      /^# (everywhere|octopus|tentacle)[,:]/ { host = $2; sub(/[^a-z].*/, "", host) }
      /^#/ { next }
      { print host "\t" $0 }'
}

# overview_commands: of "First steps" of octo(7), where a dollar is the octopus
overview_commands() {
  sed -n '/^\.Ss First steps/,/^\.S[hs] /p' "$TOP/man/octo.7" | prompts
}

# without_systemd: of octo-listen(8), what starts both sides of a tentacle by hand
without_systemd() {
  sed -n '/without systemd:$/,/^\.Ed/p' "$TOP/man/octo-listen.8" | prompts
}

prompts() {
  sed -n 's/^\.Dl //; s/\\(dq/"/g; s/^\$ /octopus\t/p; s/^# /tentacle\t/p'
}

# list_commands: all of them, with what is looked at; fails where there is one of which nobody
# knows what should come of it
list_commands() {
  local page host command looked unknown=0
  for page in readme overview; do
    while IFS=$'\t' read -r host command; do
      if ! looked=$(what_comes_of "$command"); then
        looked='unknown: scripts/test-install.d/walk.bash has no row for it'
        unknown=1
      fi
      printf '%s\t%s\t%s\t%s\n' "$page" "${host:-nobody}" "$command" "$looked"
      [[ -n $host ]] || unknown=1
    done < <("${page}_commands")
  done
  ((unknown == 0)) || return 65
}
