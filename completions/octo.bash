# shellcheck shell=bash
# Completion of octo's tools. bash sources it: it is installed as
# /usr/share/bash-completion/completions/octo-push, with a link for each other tool.
# zsh and fish run it: `bash octo.bash WORD...` prints what the last word can become.
#
# Options, verbs and arguments are read off --help, which the tools make from their
# tables; names come from `octo-push plumb offers`. Nothing here connects to a target: a
# tab must not wait for a network. What was typed is never evaluated.

# _octo_table TOOL: its --help as lines of `option NAME [VALUE]`, `verb WORD ARGUMENT…` and
# `usage ARGUMENT…`, this one of the first line of the usage
_octo_table() {
  "$1" --help </dev/null 2>/dev/null | LC_ALL=C awk '
    function arguments(text) {
      sub(/   .*/, "", text)
      gsub(/\[(-|OPTION)[^]]*\](\.\.\.)?/, "", text)
      gsub(/--[a-z]+ [A-Z]+/, "", text)
      gsub(/[][]/, "", text)
      return text
    }
    # Several on a line are an option each, with its value or without.
    function options(text, count, word, i, named, value, last) {
      sub(/^ +/, "", text)
      count = split(text, word, /[ ,=]+/)
      for (i = 1; i <= count && word[i] ~ /^-/; i++) {
        named = named " " word[i]
        value = (i < count && word[i + 1] ~ /^[A-Z]/) ? word[i + 1] : ""
        # -t, --target SELECT: one value, two names.
        if (value == "" && index(text, word[i] ", -")) continue
        last = split(named, name, " ")
        for (named = ""; last > 0; last--) print "option", name[last], value
        if (value != "") i++
      }
    }
    { gsub(/\342\200\246/, "...") }
    /^examples?:/ { exit }
    /^usage:/ {
      part = "usage"
      sub(/^usage: [^ ]+/, "")
      print "usage", arguments($0)
    }
    /^verbs:/ { part = "verbs" }
    /^$/ { part = "" }
    part == "usage" { usage = usage " " $0 }
    part == "verbs" && /^  [a-z]/ {
      text = substr($0, 3)
      sub(/  .*/, "", text)
      print "verb", arguments(text)
    }
    part != "usage" && /^ +-/ { options($0) }
    END {
      # octo-release, for which people type few, has its verbs there, with bars between.
      gsub(/\[OPTION\](\.\.\.)?/, "", usage)
      gsub(/[][]/, "", usage)
      parts = split(usage, verb, "|")
      for (i = 1; parts > 2 && i <= parts; i++) {
        if (verb[i] ~ /^ *[a-z]/) print "verb", verb[i]
      }
    }'
}

# _octo_read TABLE: sets OPTIONS, VALUES of options, VERBS and ARGUMENTS, those of a verb or,
# without a name, of the tool
_octo_read() {
  local kind name rest
  OPTIONS=() VERBS=()
  while read -r kind name rest; do
    case $kind in
      option)
        [[ -n ${VALUES[$name]+x} ]] || OPTIONS+=("$name")
        VALUES[$name]=${VALUES[$name]:-$rest}
        ;;
      verb)
        VERBS+=("$name")
        ARGUMENTS[$name]=$rest
        ;;
      usage) ARGUMENTS[-]="$name $rest" ;;
    esac
  done <<<"$1"
}

# _octo_pending LETTERS: where one of them takes a value, PENDING is it, and REST what is
# behind it in the word
_octo_pending() {
  local letters=$1
  PENDING='' REST=''
  while [[ -n $letters ]]; do
    if [[ -n ${VALUES[-${letters:0:1}]:-} ]]; then
      PENDING=-${letters:0:1} REST=${letters:1}
      return 0
    fi
    letters=${letters:1}
  done
}

# _octo_walk WORD…: what stands before the word at the cursor. Sets VERB, COUNT of its
# arguments, LAST of these, PENDING, the option whose value comes, OVER, whether no more
# options are read, and PLACES, options that say where files are.
_octo_walk() {
  local word option
  VERB='' COUNT=0 LAST='' PENDING='' OVER='' PLACES=() BASE=${OCTO_BASE:-/srv}
  for word in "$@"; do
    option=''
    if [[ -n $PENDING ]]; then
      option=$PENDING PENDING=''
      _octo_place "$option" "$word"
      continue
    fi
    if [[ -z $OVER && $word == -?* ]]; then
      case $word in
        --) OVER=1 ;;
        --*=*) _octo_place "${word%%=*}" "${word#*=}" ;;
        --*) [[ -z ${VALUES[$word]:-} ]] || PENDING=$word ;;
        *)
          _octo_pending "${word#-}"
          option=$PENDING
          if [[ -n $REST ]]; then
            PENDING=''
            _octo_place "$option" "$REST"
          fi
          ;;
      esac
    elif [[ -z $VERB && ${#VERBS[@]} -gt 0 ]]; then
      VERB=$word
    else
      COUNT=$((COUNT + 1)) LAST=$word
      # The rest is the script's.
      if [[ ${ARGUMENTS[${VERB:--}]:-} == SCRIPT* ]]; then OVER=1; fi
    fi
  done
}

# _octo_place OPTION VALUE
_octo_place() {
  local value=$2
  # shellcheck disable=SC2088 # the shell would do it when the command is run
  if [[ $value == '~/'* ]]; then value=$HOME/${value#*/}; fi
  case $1 in
    --config | --state | --vars | --lifecycle) PLACES+=("$1=$value") ;;
    -b | --base) BASE=$value ;;
  esac
}

# _octo_argument: the name of the argument that comes
_octo_argument() {
  local names
  read -r -a names <<<"${ARGUMENTS[${VERB:--}]:-}"
  if ((COUNT < ${#names[@]})); then
    printf '%s' "${names[COUNT]%...}"
  elif ((${#names[@]} > 0)) && [[ ${names[${#names[@]} - 1]} == *... ]]; then
    printf '%s' "${names[${#names[@]} - 1]%...}"
  fi
}

# _octo_names KIND…: those that `octo-push plumb offers`
_octo_names() {
  local places=() place
  for place in "${PLACES[@]+"${PLACES[@]}"}"; do
    case $place in
      --vars=* | --lifecycle=*) [[ $* != ENVIRONMENT ]] || places+=("$place") ;;
      *) places+=("$place") ;;
    esac
  done
  octo-push plumb offers "$@" "${places[@]+"${places[@]}"}" </dev/null 2>/dev/null
}

# _octo_released: applications that live below BASE on this machine
_octo_released() {
  local place
  for place in "$BASE"/*/releases/; do
    place=${place%/releases/}
    [[ ! -d $place || ${place##*/} == *[!A-Za-z0-9._+-]* ]] || printf '%s\n' "${place##*/}"
  done
}

# _octo_alternatives TOOL OPTION: its help has them, as in `table, json or html`
_octo_alternatives() {
  "$1" --help </dev/null 2>/dev/null | awk -v option="$2" '
    index($0, option " ") && match($0, /[a-z0-9-]+(, [a-z0-9-]+)* or [a-z0-9-]+/) {
      text = substr($0, RSTART, RLENGTH)
      gsub(/, | or /, "\n", text)
      print text
      exit
    }'
}

# _octo_selects KIND TYPED: names, tags and runs on record behind the last comma; in brackets
# numbers are due, which nobody can offer
_octo_selects() {
  local list='' term=$2 name kinds=(TARGET TAG)
  [[ ! $term =~ \[[^]]*$ ]] || return 0
  if [[ $term == *,* ]]; then list=${term%,*}, term=${term##*,}; fi
  case $1:$term in
    SELECT:failed:* | SELECT:unreachable:*)
      list+=${term%%:*}: kinds=(JOB)
      printf '%s\n' "${list}LAST"
      ;;
    SELECT:[fu]*) printf '%s\n' "$list"failed:LAST "$list"unreachable:LAST ;;
  esac
  _octo_names "${kinds[@]}" | while IFS= read -r name; do printf '%s%s\n' "$list" "$name"; done
}

# _octo_value TOOL KIND OPTION TYPED: prints `words`, `files` or `directories`, then words
_octo_value() {
  local tool=${1##*/}
  case $tool:$2 in
    octo-release:NAMES) printf 'words\n' ;;
    *:SELECT | *:NAMES)
      printf 'words\n'
      _octo_selects "$2" "$4"
      ;;
    octo-keys:WHO | octo-keys:OLD | octo-keys:'THUMBPRINT|NAME')
      printf 'words\n'
      _octo_names PUSHER
      ;;
    octo-keys:ADDRESS | octo-keys:VERB* | octo-keys:APP*)
      printf 'words\n'
      if [[ $LAST == deploy || $LAST == rollback ]]; then
        _octo_names APP
      else
        tr -s ' |' '\n' <<<"${ARGUMENTS[${VERB:--}]}" | grep -x '[a-z]*'
        _octo_names VERB
      fi
      ;;
    octo-exec:JOB)
      printf 'words\n'
      _octo_names JOB-HERE
      ;;
    *:JOB | *:ROLLOUT)
      printf 'words\n'
      _octo_names JOB
      ;;
    octo-release:APP)
      printf 'words\n'
      _octo_released
      ;;
    octo-pack:NAME)
      printf 'words\n'
      _octo_names APP
      ;;
    *:APP | *:ENVIRONMENT | *:OPTIONS | *:TAG | *:TARGET)
      printf 'words\n'
      _octo_names "$2"
      ;;
    *:TYPE | *:FORM)
      printf 'words\n'
      _octo_alternatives "$1" "$3"
      ;;
    *:USER)
      printf 'words\n'
      compgen -u
      ;;
    *:DIR | *:DIRECTORY | *:OUTDIR | *:BASE) printf 'directories\n' ;;
    *:*FILE* | *:PACKAGE | *:SCRIPT* | *:ARCHIVE | *:MANIFEST | *:PATH | *:COMMAND | *:ARG | octo-listen:)
      printf 'files\n'
      ;;
    *) printf 'words\n' ;;
  esac
}

# _octo_offers TOOL WORD…: what the last word can become. The first line is what it is,
# `words`, `files` or `directories`; the second one what stands before that in the word, as
# `--config=`; then come the words, which begin with what is typed.
_octo_offers() {
  local tool=$1 current=${*: -1} kind='' option='' before='' typed offers word
  local VERB COUNT LAST PENDING OVER REST='' BASE PLACES OPTIONS VERBS
  local -A VALUES=() ARGUMENTS=()
  _octo_read "$(_octo_table "$tool")"
  _octo_walk "${@:2:$#-2}"
  typed=$current
  if [[ -n $PENDING ]]; then
    option=$PENDING
  elif [[ -z $OVER && $current == --*=* ]]; then
    option=${current%%=*} before=${current%%=*}= typed=${current#*=}
  elif [[ -z $OVER && $current == -[!-]?* ]]; then
    _octo_pending "${current#-}"
    option=$PENDING
    if [[ -n $option ]]; then before=${current%"$REST"} typed=$REST; fi
  fi
  if [[ -n $option ]]; then
    kind=${VALUES[$option]:-none}
    offers=$(_octo_value "$tool" "$kind" "$option" "$typed" || :)
  elif [[ -z $OVER && $current == -* ]]; then
    offers=$(printf '%s\n' words "${OPTIONS[@]+"${OPTIONS[@]}"}")
  elif [[ -z $VERB && ${#VERBS[@]} -gt 0 ]]; then
    offers=$(printf '%s\n' words "${VERBS[@]}")
  else
    offers=$(_octo_value "$tool" "$(_octo_argument)" '' "$typed" || :)
  fi
  printf '%s\n%s\n' "${offers%%$'\n'*}" "$before"
  while IFS= read -r word; do
    [[ $word != "$typed"* ]] || printf '%s\n' "$word"
  done < <(tail -n +2 <<<"$offers" | LC_ALL=C sort -u)
}

# _octo_joined: COMP_WORDS as far as the cursor, whole where bash divides words at = and :
_octo_joined() {
  local index word glue=''
  WHOLE=()
  for ((index = 0; index <= COMP_CWORD; index++)); do
    word=${COMP_WORDS[index]}
    if [[ -n $glue || $word == [=:] ]] && ((${#WHOLE[@]} > 1)); then
      WHOLE[${#WHOLE[@]} - 1]+=$word
    else
      WHOLE+=("$word")
    fi
    glue=''
    if [[ $word == [=:] ]]; then glue=1; fi
  done
}

_octo() {
  local WHOLE current typed kind before words word cut
  COMPREPLY=()
  _octo_joined
  current=${WHOLE[${#WHOLE[@]} - 1]}
  # What bash takes as words of their own before the one at the cursor stays.
  typed=${COMP_WORDS[COMP_CWORD]}
  if [[ $typed == [=:] ]]; then typed=''; fi
  cut=${current%"$typed"}
  mapfile -t words < <(_octo_offers "$1" "${WHOLE[@]:1}")
  kind=${words[0]:-words} before=${words[1]:-}
  case $kind in
    files | directories)
      if [[ $kind == files ]]; then kind=-f; else kind=-d; fi
      compopt -o filenames 2>/dev/null || :
      while IFS= read -r word; do
        word=$before$word
        COMPREPLY+=("${word#"$cut"}")
      done < <(compgen "$kind" -- "${current#"$before"}")
      ;;
    *)
      for word in "${words[@]:2}"; do
        word=$before$word
        COMPREPLY+=("${word#"$cut"}")
      done
      ;;
  esac
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
    compopt -o nospace 2>/dev/null || :
  fi
}

# Whoever sources it has bash complete; whoever runs it asks for one command line.
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  if (($# > 1)); then
    _octo_offers "$@"
  fi
else
  complete -F _octo octo-keys octo-listen octo-push octo-exec octo-pack \
    octo-deploy octo-rollback octo-promote octo-status octo-health octo-enroll \
    octo-rotate octo-release octo-vars octo-lock octo-audit octo-fetch
fi
