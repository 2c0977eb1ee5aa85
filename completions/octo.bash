# shellcheck shell=bash
# Completion of octo's tools for bash: source it, or install it as
# /usr/share/bash-completion/completions/octo-push with a link for each other tool.
#
# Options and verbs are read off --help, the one list that can't grow old. Nothing
# here connects to a target: a tab must not wait for a network.

# _octo_options TOOL: the options that its --help names; examples, which show
# other programs' options too, and quoted text don't count
_octo_options() {
  "$1" --help 2>/dev/null |
    sed -e '/^examples\{0,1\}:/,$d' -e "s/ '[^']*'/ /g" |
    tr -s '][() |,.=' '\n' |
    grep -xE -e '--[a-z][a-z-]+|-[A-Za-z]' | LC_ALL=C sort -u
}

# _octo_verbs TOOL: the words that begin the lines below `verbs:` of its --help;
# octo-release, for which people type few, has them in its usage, with bars between
_octo_verbs() {
  "$1" --help 2>/dev/null | awk '
    /^usage:/ {
      part = "usage"
      sub(/^usage: [^ ]+/, "")
    }
    /^verbs:/ {
      part = "verbs"
      next
    }
    /^$/ { part = "" }
    part == "usage" { usage = usage " " $0 }
    part == "verbs" && /^  [a-z]/ { print $1 }
    END {
      while (match(usage, /\[[^][]*\]/)) {
        usage = substr(usage, 1, RSTART - 1) " " substr(usage, RSTART + RLENGTH)
      }
      parts = split(usage, verb, "|")
      for (i = 1; parts > 1 && i <= parts; i++) {
        if (match(verb[i], /[a-z]+/)) print substr(verb[i], RSTART, RLENGTH)
      }
    }' | LC_ALL=C sort -u
}

# _octo_targets: names and tags; what stands before the last comma stays
_octo_targets() {
  local typed=${1%"${1##*,}"} word
  octo-push -a targets 2>/dev/null |
    awk '{ print $1; for (i = 4; i <= NF; i++) print $i }' | LC_ALL=C sort -u |
    while IFS= read -r word; do printf '%s%s\n' "$typed" "$word"; done
}

# _octo_value_of TOOL OPTION: the name of its value in --help, or nothing
_octo_value_of() {
  "$1" --help 2>/dev/null | awk -v option="$2" '
    /^examples?:/ { exit }
    /^ +-/ {
      count = split($0, word, /[ ,=]+/)
      for (i = 1; i <= count && word[i] !~ /^[A-Z]/; i++) {
        if (word[i] != "" && word[i] !~ /^-/) next
        if (word[i] == option) asked = 1
      }
      if (asked) print word[i]
      if (asked) exit
    }'
}

# _octo_verb_typed TOOL VERBS: is one of these already among the words? The value of an
# option is none.
_octo_verb_typed() {
  local index word
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=${COMP_WORDS[index]}
    [[ " $2 " == *" $word "* ]] || continue
    word=${COMP_WORDS[index - 1]}
    [[ $word != = ]] || continue
    [[ $word == -* && -n $(_octo_value_of "$1" "$word") ]] || return 0
  done
  return 1
}

# _octo_value KIND CURRENT [PREFIX]: offers values of this kind; PREFIX goes before each
_octo_value() {
  case $1 in
    SELECT | NAMES)
      mapfile -t COMPREPLY < <(compgen -P "${3-}" -W "$(_octo_targets "$2")" -- "$2")
      ;;
    ENVIRONMENT)
      mapfile -t COMPREPLY < <(
        compgen -P "${3-}" -W "$(octo-push plumb environment 2>/dev/null)" -- "$2"
      )
      ;;
    DIR | OUTDIR) mapfile -t COMPREPLY < <(compgen -P "${3-}" -d -- "$2") ;;
    *) mapfile -t COMPREPLY < <(compgen -P "${3-}" -f -- "$2") ;;
  esac
}

_octo() {
  local tool=${1##*/} current=${2-} previous=${3-} verbs kind=''
  COMPREPLY=()
  # Where = divides words, --target=we is three of them.
  [[ $current != = ]] || current=''
  if [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD - 2]}; fi
  [[ $previous != -* ]] || kind=$(_octo_value_of "$1" "$previous")
  if [[ -n $kind ]]; then
    _octo_value "$kind" "$current"
    return 0
  fi
  if [[ $current == --*=* ]]; then
    kind=$(_octo_value_of "$1" "${current%%=*}")
    _octo_value "$kind" "${current#*=}" "${current%%=*}="
    return 0
  fi
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_octo_options "$1")" -- "$current")
    return 0
  fi
  verbs=$(_octo_verbs "$1" | tr '\n' ' ')
  if [[ $tool == octo-vars ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_octo_targets "$current")" -- "$current")
  elif [[ -n $verbs ]] && ! _octo_verb_typed "$1" "$verbs"; then
    mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}

complete -o filenames -F _octo octo-keys octo-listen octo-push octo-exec octo-pack \
  octo-deploy octo-rollback octo-promote octo-status octo-health octo-enroll \
  octo-rotate octo-release octo-vars octo-lock
