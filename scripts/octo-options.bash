# shellcheck shell=bash
# shellcheck disable=SC2034 # tables and answers are for the scripts that source this
# The command line of octo's pipelines, by a table. Sourced by octo-common.bash.
#
# It promises: one grammar, that of POSIX and GNU: -nq, -tweb, -t web, --target=web,
# --target web; options stand before or behind arguments, -- ends them, no name is
# abbreviated. What is not understood is named before anything is touched.
#
# A table has rows of five words: a letter or -, the long name, the name of the value
# or -, where it goes, and what it does (nothing: not for users). It goes to
#   NAME        a variable, which gets the value, or 1 from a flag
#   NAME=VALUE  a variable, which gets this value from a flag
#   NAME+       an array, to which the option is added as words; NAME++: may be repeated
#   NAME()      a function, which is called with the long option and its value
# A row that begins with : is a heading. A value whose name is one of VALUE_KINDS is
# checked by `octo-push plumb values`, and a variable gets it in its one form.
# Where SETTINGS is set, a file can say options too (octo-settings.bash): each flag of those
# has a --no-NAME, which keeps what the file says out; that of --no-NAME is --NAME.

readonly VALUE_KINDS=' TIME WHEN DAY N PORT N|P% LIST K/N RATE|EACH,ALL ENVIRONMENT THUMBPRINT '

# Of two names in a row only one may be given.
APART=(
  'catch-up continue'
  'quiet verbose'
  'gzip zstd'
  'all target'
  'json html'
  'env-file secrets-file into'
  'release list'
)

PLACES=(
  : 'how' - - -
  - config DIR 'place_option()' 'instead of /etc/octo or ~/.config/octo'
  - state  DIR 'place_option()' 'instead of /var/lib/octo or ~/.local/state/octo'
)
TRYING=(
  n dry-run - DRY_RUN 'print what would be done, change nothing'
)
ANSWERS=(
  v verbose - VERBOSE          'print each command before it runs'
  h help    - 'show_help()'    'this text'
  - version - 'show_version()' 'the version'
)
# Of a pipeline that changes something and tells how it goes.
GENERAL=(
  "${PLACES[@]}"
  "${TRYING[@]}"
  q quiet - QUIET 'say nothing unless it fails'
  "${ANSWERS[@]}"
)
REACHING=(
  w wait      TIME    PUSH_OPTIONS+ 'how long connecting to a target may take'
  P transport COMMAND PUSH_OPTIONS+ 'a program is the connection, see octo-push(1)'
)
CONNECTING=(
  i identity FILE IDENTITY 'this identity, not CONFIG/identity.pem; may be a pipe'
  "${REACHING[@]}"
)
# Of a pipeline that sends packages.
SENDING=(
  - bwlimit 'RATE|EACH,ALL' PUSH_OPTIONS+ 'send no more bytes a second, as in 10M'
)
# Of a pipeline that asks its targets what runs there, see asking_releases.
ASKING=(
  - limit TIME LIMIT 'how long a target may take to answer (1m)'
)
TARGETS=(
  : 'which targets' - - -
  t target  SELECT SELECTED++    'names or tags joined by commas; several -t intersect'
  x exclude SELECT NARROWED++    'but not these'
  a all     -      SELECTED+     'all of CONFIG/targets, or of --targets'
  - targets 'FILE|-' 'named_targets()' 'these targets, not those of CONFIG'
  - shard   K/N    NARROWED+     'every Nth of them, from the Kth on'
  f fanout  N      PUSH_OPTIONS+ 'so many of them at once'
)
ROLLING=(
  : 'rolling; all at once unless one of these is given' - - -
  - batch        LIST   ROLL_OPTIONS+ 'sizes of the batches, as 1,5,20%; the last one repeats'
  - canary       SELECT ROLL_OPTIONS+ 'these targets are the first batch'
  - pause        TIME   ROLL_OPTIONS+ 'between two batches'
  - max-failures 'N|P%' ROLL_OPTIONS+ 'so many targets may fail before it stops'
  - min-healthy  'N|P%' ROLL_OPTIONS+ 'so many stay untouched or done at any time'
  - failed-first -      ROLL_OPTIONS+ 'those that failed in the last run come first'
  - before     COMMAND  BEFORE        'from here, before each batch; the names are its arguments'
  - after      COMMAND  AFTER         'behind it, however it went; those that are well'
)
# What is looked at from here, behind a switch.
LOOKING=(
  - health-url URL  URL      'from here; %n is the target, %a its address, %v the version'
  - expect     TEXT EXPECT   'that page has this in it, with %n, %a and %v as well'
  - health-tcp PORT PORT     'from here, on the address of the target'
  - tries      N    TRIES    'how often a check is made until it succeeds (5)'
  - interval   TIME INTERVAL 'between two tries (2s)'
)
# What octo-push calls around each batch, see octo-batch.bash: it is called with what it
# has to know as options.
BATCHES=(
  - batch-is-over DIR      OVER ''
  - batch-begins  DIR      BEGINS ''
  - batch-ended   DIR      ENDED ''
  - of            APP      APP ''
  - release       VERSION  RELEASE ''
  - budget        N        BUDGET ''
  - rollout       JOB      ROLLOUT ''
  - by-name       NAMES    BY_NAME ''
)
# Of a pipeline that another one calls: what stands before is the caller's, as is COMMAND, to
# be typed again with what stands behind, as its options for this one.
CALLED=(
  - caller COMMAND 'take_caller()' ''
)
# How octo-release is found on the targets, and where it works.
RELEASING=(
  b base  DIR BASE  'applications live in DIR/APP on the targets'
  - named -   NAMED 'run the octo-release that the admin of the target installed'
)

# read_options WORD…: takes the options by OPTIONS; sets ARGUMENTS and BEHIND, what
# stands behind --, AGAIN, this command line to be typed again, and TYPED, its words
# without the tool and without those that select targets
read_options() {
  local word
  WORDS=("$@") NEXT=0
  ARGUMENTS=() BEHIND=() TYPED=() CHECKS=() CHECKED=() PLACE=''
  CALLER='' CALLERS=0
  index_options
  while ((NEXT < ${#WORDS[@]})); do
    word=${WORDS[NEXT]}
    NEXT=$((NEXT + 1))
    case $word in
      --)
        BEHIND=("${WORDS[@]:NEXT}")
        break
        ;;
      --*=*) long_option "${word%%=*}" "${word#*=}" ;;
      --*) long_option "$word" ;;
      -?*) letters "${word#-}" ;;
      *)
        ARGUMENTS+=("$word")
        TYPED+=("$word")
        ;;
    esac
  done
  ((${#BEHIND[@]} == 0)) || TYPED+=(-- "${BEHIND[@]}")
  need_utilities "${NEEDS[@]}"
  AGAIN=$(as_typed "${SELECTED[@]:CALLERS}" "${NARROWED[@]}" "${TYPED[@]}")
  check_apart
  check_options
}

# as_typed WORD…: this command with these words; the one that called it has its own
as_typed() {
  if [[ -z $CALLER ]]; then
    quoted "$TOOL" "$@"
  elif (($# > 0)); then
    printf '%s -- %s' "$CALLER" "$(quoted "$@")"
  else
    printf '%s' "$CALLER"
  fi
}

take_caller() {
  CALLER=$2 CALLERS=${#SELECTED[@]} TYPED=()
}

# index_options: ROW_OF -t and --target is where their row begins; nothing is GIVEN yet,
# VALUE_OF has the value of what is
index_options() {
  local row
  declare -gA ROW_OF=() GIVEN=() VALUE_OF=()
  for ((row = 0; row < ${#OPTIONS[@]}; row += 5)); do
    [[ ${OPTIONS[row]} != : ]] || continue
    ROW_OF["--${OPTIONS[row + 1]}"]=$row
    [[ ${OPTIONS[row]} == - ]] || ROW_OF["-${OPTIONS[row]}"]=$row
  done
}

# long_option --NAME [VALUE]
long_option() {
  local row
  find_row "$1"
  row=$ROW
  [[ -n $row ]] || unknown_option "$1"
  if [[ -n $NEGATED ]]; then
    (($# == 1)) || misuse "$1: takes no value"
    know_given "--${OPTIONS[row + 1]}" no
    TYPED+=("$1")
  elif [[ ${OPTIONS[row + 2]} != - ]]; then
    (($# == 2)) || next_word "$1"
    take_option "$row" "${2-$VALUE}"
  elif (($# == 2)); then
    misuse "$1: takes no value"
  else
    take_option "$row"
  fi
}

# find_row --NAME: sets ROW to where its row begins, to nothing if there is none; NEGATED if
# it is the --no-NAME of a flag
find_row() {
  local flag=--no-${1#--}
  ROW=${ROW_OF[$1]:-} NEGATED=''
  [[ -z $ROW && -n ${SETTINGS:-} ]] || return 0
  [[ $1 != --no-* ]] || flag=--${1#--no-}
  ROW=${ROW_OF[$flag]:-}
  if [[ -z $ROW ]]; then return 0; fi
  if [[ ${OPTIONS[ROW + 2]} == - ]] && may_be_set "$ROW"; then
    NEGATED=1
  else
    ROW=''
  fi
}

# may_be_set ROW: by a file? Neither who is asked, nor as whom, nor that nothing is done
may_be_set() {
  local said='SELECTED|NARROWED|IDENTITY|DRY_RUN|DIFF|SIGNATURE|CATCH_UP|CONTINUE|FROM_WORDS|PLAIN'
  [[ -n ${OPTIONS[$1 + 4]} ]] || return 1
  [[ ! ${OPTIONS[$1 + 3]} =~ ^($said|.*\(\)) ]]
}

# know_given --NAME HOW: it was, once
know_given() {
  [[ -z ${GIVEN[$1]:-} ]] || misuse "$1: given twice"
  GIVEN[$1]=$2
}

# letters WORD: -nq are two flags; what stands behind a letter with a value is its value
letters() {
  local rest=$1 letter row
  while [[ -n $rest ]]; do
    letter=-${rest:0:1}
    rest=${rest:1}
    row=${ROW_OF[$letter]:-}
    [[ -n $row ]] || unknown_option "$letter"
    if [[ ${OPTIONS[row + 2]} == - ]]; then
      take_option "$row"
      continue
    fi
    VALUE=$rest
    [[ -n $rest ]] || next_word "$letter"
    take_option "$row" "$VALUE"
    return
  done
}

# next_word OPTION: sets VALUE to the word behind the option
next_word() {
  ((NEXT < ${#WORDS[@]})) || misuse "$1: its value is missing"
  VALUE=${WORDS[NEXT]}
  NEXT=$((NEXT + 1))
}

# take_option ROW [VALUE]: brings it where the table says
take_option() {
  local row=$1 name=--${OPTIONS[$1 + 1]} kind=${OPTIONS[$1 + 2]} into=${OPTIONS[$1 + 3]}
  local word=$name
  shift
  [[ ${OPTIONS[row]} == - ]] || word=-${OPTIONS[row]}
  if [[ $into == *++ ]]; then
    GIVEN[$name]=1
  else
    know_given "$name" 1
  fi
  VALUE_OF[$name]=${1-}
  [[ $into =~ ^(SELECTED|NARROWED) ]] || TYPED+=("$word" "$@")
  # A pipe can't be read again.
  if [[ $name == --identity && ! -f $1 ]]; then TYPED[-1]=IDENTITY; fi
  if [[ $name == --targets && -e $1 && ! -f $1 ]]; then TYPED[-1]=TARGETS; fi
  if [[ $VALUE_KINDS == *" $kind "* ]]; then
    CHECKS+=("${PLACE:+$PLACE: }$name" "$kind" "$1")
    CHECKED+=("$into")
  fi
  case $into in
    *'()') "${into%'()'}" "$name" "$@" ;;
    *+)
      local -n words=${into%%+*}
      words+=("$word" "$@")
      ;;
    *=*) printf -v "${into%%=*}" %s "${into#*=}" ;;
    *) printf -v "$into" %s "${1-1}" ;;
  esac
}

# check_apart: of each row of APART one at most was given
check_apart() {
  local row name first
  for row in "${APART[@]}"; do
    first=''
    for name in $row; do
      [[ ${GIVEN["--$name"]:-} == 1 ]] || continue
      [[ -z $first ]] || misuse "$first and --$name can't stand together"
      first=--$name
    done
  done
}

# check_options: the values that were taken, all in one go
check_options() {
  local index
  # What a pipeline says to itself around a batch, it has checked before.
  if ((${#CHECKED[@]} == 0)) || [[ -n ${GIVEN[--rollout]:-} ]]; then return 0; fi
  plumb values -- "${CHECKS[@]}"
  for index in "${!CHECKED[@]}"; do
    [[ ! ${CHECKED[index]} =~ ^[A-Z_]+$ ]] || printf -v "${CHECKED[index]}" %s "${ANSWER[index]}"
  done
  CHECKS=() CHECKED=()
}

# check_arguments LABEL KIND VALUE…: all of one kind; sets ANSWER
check_arguments() {
  local label=$1 kind=$2 value checks=()
  shift 2
  (($# > 0)) || return 0
  for value in "$@"; do
    checks+=("$label" "$kind" "$value")
  done
  plumb values -- "${checks[@]}"
}

# unknown_option -X|--NAME: with the nearest one, or with ELSEWHERE, where else to look
unknown_option() {
  local row known=() meant=${ELSEWHERE:-}
  ANSWER=('')
  for ((row = 0; row < ${#OPTIONS[@]}; row += 5)); do
    [[ ${OPTIONS[row]} == : || -z ${OPTIONS[row + 4]} ]] || known+=("${OPTIONS[row + 1]}")
  done
  # What only packs has no octo-push.
  if command -v octo-push >/dev/null; then plumb nearest -- "${1#--}" "${known[@]}"; fi
  [[ -z ${ANSWER[0]} ]] || meant="--${ANSWER[0]} is one"
  misuse "$(quoted "$1"): no such option" "$meant"
}

# list_options: the table, for --help
list_options() {
  local row left
  for ((row = 0; row < ${#OPTIONS[@]}; row += 5)); do
    set -- "${OPTIONS[@]:row:5}"
    if [[ $1 == : ]]; then
      printf '\n%s:\n' "$2"
      continue
    fi
    [[ -n $5 ]] || continue
    left="      --$2"
    [[ $1 == - ]] || left="  -$1, --$2"
    [[ $3 == - ]] || left+=" $3"
    if ((${#left} < 28)); then
      printf '%-28s%s\n' "$left" "$5"
    else
      printf '%s\n%28s%s\n' "$left" '' "$5"
    fi
  done
}

show_help() {
  local text
  text=$(usage)
  shows '%s\n' "$text"
  exit 0
}

# show_version: that of the tools, which are of the same release
show_version() {
  local version
  version=$(octo-exec --version) || fail "$EX_CONFIGURATION" "octo-exec: can't be run"
  shows '%s %s\n' "$TOOL" "${version##* }"
  exit 0
}

# place_option --config|--state DIR: for us and for every tool that we call
place_option() {
  local name=${1#--}
  [[ -n $2 ]] || misuse "$1: its value is empty"
  export "OCTO_${name^^}=$2"
  PLACE_OPTIONS+=("$1" "$2")
}
