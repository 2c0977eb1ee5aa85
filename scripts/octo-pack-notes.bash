# shellcheck shell=bash
# What octo-pack says of a package that it makes all the same: what it can't keep, and what a
# target may not like. Sourced by octo-pack.
#
# It promises: a line a file, and nothing of a file that loses nothing.

# second_names <LINES of an inode and a path: those that another one stands for
second_names() {
  sort -k 1,1 -k 2 | awk '
    {
      path = substr($0, length($1) + 2)
      if ($1 == inode) print path "\t" first
      else { inode = $1; first = path }
    }'
}

# tell_losses: what a package can't keep
tell_losses() {
  local path what
  while read -r what path; do
    [[ $what != attributes ]] || what='extended attributes'
    say "$(shown "$(unescaped "$path")"): $what are not kept"
  done < <(cat -- "$WORK"/lost*)
  while IFS= read -r -d '' path; do
    say "$(shown "$path"): the sticky or setgid bit of a directory is not kept"
  done < <(sort -z "$WORK/bits")
  [[ -s $WORK/linked ]] || return 0
  second_names <"$WORK/linked" >"$WORK/copies"
  while IFS=$'\t' read -r path what; do
    say "$(shown "$path"): a hard link to $(shown "$what"), which becomes a copy"
  done <"$WORK/copies"
}

# warn MESSAGE…: what may be meant so
warn() {
  [[ -n $QUIET ]] || say "$@"
}

# check_shared: names that no target takes where a path is shared
check_shared() {
  local path shared
  # shellcheck disable=SC2153 # octo-pack sets it
  for shared in "${SHARED[@]}"; do
    for path in "$shared"/.octo-seed{,.new}; do
      [[ ! -e $TREE/$path && ! -L $TREE/$path ]] ||
        wrong "$path" 'octo-release itself needs that name'
    done
  done
}

# check_hooks: what no target runs
check_hooks() {
  local hook head
  for hook in PreDeploy.sh Deploy.sh PostDeploy.sh DeployFailed.sh ${ONCE:+"$ONCE"}; do
    [[ -f $TREE/$hook ]] || continue
    head=''
    IFS= read -r -d '' -n 2 head <"$TREE/$hook" || :
    [[ $head != $'\xff\xfe' && $head != $'\xfe\xff' ]] ||
      wrong "$hook" 'is UTF-16, which no interpreter reads: save it as UTF-8'
  done
}

# tell_hooks: what a target mends in a hook, or may stumble over
tell_hooks() {
  local hook hooks=(PreDeploy.sh Deploy.sh PostDeploy.sh DeployFailed.sh)
  [[ -z $ONCE ]] || hooks+=("$ONCE")
  for hook in "${hooks[@]}"; do
    [[ ! -f $TREE/$hook ]] || tell_hook "$hook"
  done
  tell_foreign_hooks
  for hook in "${SUBSTITUTED[@]}"; do
    [[ ! -f $TREE/$hook ]] || tell_substituted "$hook"
  done
}

# tell_foreign_hooks: what Octopus runs by its name, and a target doesn't
tell_foreign_hooks() {
  local path name theirs='^(predeploy|deploy|postdeploy|deployfailed)\.(sh|ps1|py|csx|fsx)$'
  for path in "$TREE"/*; do
    name=${path##*/}
    [[ -f $path && ${name,,} =~ $theirs ]] || continue
    case $name in
      PreDeploy.sh | Deploy.sh | PostDeploy.sh | DeployFailed.sh) ;;
      *.sh) warn "$(shown "$name"): octo-release runs nothing of that name: mind its capitals" ;;
      *) warn "$(shown "$name"): Octopus runs it, octo-release doesn't: call it in a hook .sh" ;;
    esac
  done
}

# tell_hook PATH
tell_hook() {
  local first='' program rest
  IFS= read -r first <"$TREE/$1" || :
  if [[ $first == $'\xef\xbb\xbf'* ]]; then
    warn "$(shown "$1"): begins with a byte order mark"
    first=${first#$'\xef\xbb\xbf'}
  fi
  if grep -q $'\r$' -- "$TREE/$1"; then
    warn "$(shown "$1"): has line ends of Windows"
  fi
  first=${first%$'\r'}
  if grep -q '##octopus\[' -- "$TREE/$1"; then
    warn "$(shown "$1"): ##octopus[…] messages are printed as they are: octo-functions(7)"
  fi
  [[ $first == '#!'* ]] || return 0
  read -r program rest <<<"${first#'#!'}"
  if [[ $program == */env && -n $rest && $rest != -* ]]; then
    program=${rest%%[ $'\t']*}
  fi
  if [[ ${program##*/} =~ ^(sh|dash|ash|ksh|zsh)$ ]] &&
    grep -qE '(get|set)_octopusvariable|new_octopusartifact|fail_step' -- "$TREE/$1"
  then
    warn "$(shown "$1"): calls functions that only bash has there: #!/bin/bash"
  fi
  type -P -- "$program" >/dev/null ||
    warn "$(shown "$1"): its interpreter $(shown "$program") is not on this machine"
}

# As an expression, what `octo-exec substitute` refuses; ## stands for # itself.
REFUSED='(^|[^#])(##)*#\{ *(/|(if|unless|each|else|calc)[ }]|\}|[^}]*[|{]|[^}]*$)'

# tell_substituted PATH: octo-release puts values in, and knows no more than names
tell_substituted() {
  local found
  found=$(grep -noE -m 1 "$REFUSED" -- "$TREE/$1") || return 0
  found=${found%%$'\n'*}
  warn "$(shown "$1"): line ${found%%:*}: conditions, loops and filters are refused on targets"
}
