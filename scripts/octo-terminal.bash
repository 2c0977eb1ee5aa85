# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is read by the scripts that source it
# Messages on standard error, as the tools print theirs. Sourced by octo-common.bash.
#
# It promises: only a terminal gets lines that are wrapped, and no command that may be pasted is;
# a standard error that is closed or full ends nothing.

# complain TEXT: of one or several lines
complain() {
  if [[ -t 2 ]]; then
    wrapped "$1" >&2 || :
  else
    printf '%s\n' "$1" >&2 || :
  fi
}

# wrapped TEXT: at words, as wide as the terminal is, with a hanging indent. Hints stay whole,
# since most have a command in them, and so does what begins with blanks, to be typed.
wrapped() {
  local text width
  width=$(terminal_width)
  while IFS= read -r text; do
    case $text in
      ' '* | *': hint: '* | "$TOOL:  "*) printf '%s\n' "$text" ;;
      *) wrapped_line "$text" "$width" ;;
    esac
  done <<<"$1"
}

# wrapped_line LINE WIDTH
wrapped_line() {
  local rest=$1 word line=''
  while [[ -n $rest ]]; do
    word=${rest%% *}
    rest=${rest:${#word}}
    rest=${rest# }
    if [[ -n $line ]] && ((${#line} + 1 + ${#word} > $2)); then
      printf '%s\n' "$line"
      line="  $word"
    else
      line+=${line:+ }$word
    fi
  done
  printf '%s\n' "$line"
}

# terminal_width: a window of 0 columns doesn't know; in very narrow ones nothing is wrapped
terminal_width() {
  local size
  size=$(stty size <&2 2>/dev/null) || size=''
  size=${size##* }
  [[ $size =~ ^[1-9][0-9]{0,4}$ ]] || size=${COLUMNS:-}
  [[ $size =~ ^[1-9][0-9]{0,4}$ ]] || size=80
  if ((size < 20)); then size=99999; fi
  printf '%s' "$size"
}

# set_arrow: sets ARROW, between what was and what is; not all locales have it
set_arrow() {
  local locale=${LC_ALL:-${LC_CTYPE:-${LANG:-}}}
  ARROW='->'
  if [[ ${locale,,} =~ utf-?8 ]]; then ARROW='→'; fi
}
