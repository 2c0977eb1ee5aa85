# shellcheck shell=bash
# shellcheck disable=SC2034 # octo-options.bash reads PLACE
# How an application is deployed: CONFIG/deploy/APP, then APP@ENVIRONMENT, has options by
# their long names, batch=20% or skip-deployed, a line each. Sourced by octo-deploy and
# octo-rollback.
#
# It promises: what a file says replaces what one before it said of the same option, and the
# command line replaces both; no file says who is asked, or as whom; -n tells each value's
# place. Whether a file can be believed, `octo-push plumb settings` checks.

# read_settings APP: takes over what the command line doesn't say. FOREIGN has options that
# are for other pipelines, which share the file.
read_settings() {
  declare -gA SET_AT=() SET_TO=() TAKEN=()
  FILE=$CONFIG/deploy/$1
  read_file "$FILE"
  take_environment
  if [[ -n $ENVIRONMENT ]]; then
    FILE=$CONFIG/deploy/$1@$ENVIRONMENT
    read_file "$FILE"
  fi
  take_settings
  [[ -z $DRY_RUN ]] || show_settings
}

read_file() {
  local line place name value
  plumb settings -- "$1"
  for line in "${ANSWER[@]}"; do
    [[ -n $line ]] || continue
    IFS=$'\t' read -r place name value <<<"$line"
    read_setting "$place" "--$name" "$value"
  done
}

# read_setting PLACE --NAME [=VALUE]
read_setting() {
  local place=$1 name=$2 value=${3-}
  if [[ $name == --environment && $FILE == *@* ]]; then
    fail "$EX_CONFIGURATION" "$place: environment: this file is of one already"
  fi
  if is_foreign "${name#--}"; then return 0; fi
  find_row "$name"
  [[ -n $ROW ]] || refuse_setting "$place" "${name#--}"
  may_be_set "$ROW" ||
    fail "$EX_CONFIGURATION" "$place: ${name#--}: is for the command line alone"
  if [[ ${OPTIONS[ROW + 2]} == - ]]; then
    [[ -z $value ]] || fail "$EX_CONFIGURATION" "$place: ${name#--}: takes no value"
  else
    [[ $value == =?* ]] ||
      fail "$EX_CONFIGURATION" "$place: ${name#--}: its value is missing, as in ${name#--}=VALUE"
  fi
  name=--${OPTIONS[ROW + 1]}
  SET_AT[$name]=$place SET_TO[$name]=${value#=}
  [[ -z $NEGATED ]] || unset "SET_TO[$name]"
}

is_foreign() {
  [[ " ${FOREIGN[*]-} " == *" $1 "* || " ${FOREIGN[*]-} " == *" ${1#no-} "* ]]
}

# refuse_setting PLACE NAME: with the one that may have been meant
refuse_setting() {
  local row known=("${FOREIGN[@]}")
  for ((row = 0; row < ${#OPTIONS[@]}; row += 5)); do
    [[ ${OPTIONS[row]} == : ]] || ! may_be_set "$row" || known+=("${OPTIONS[row + 1]}")
  done
  plumb nearest -- "$2" "${known[@]}"
  say "$1: $2: no such option"
  [[ -z ${ANSWER[0]} ]] || hint "${ANSWER[0]} is one"
  exit "$EX_CONFIGURATION"
}

# has_settings_of_environments APP: is there a file of any?
has_settings_of_environments() {
  local file
  for file in "$CONFIG/deploy/$1@"*; do
    [[ ! -e $file ]] || return 0
  done
  return 1
}

# take_environment: it names the next file
take_environment() {
  [[ -n ${SET_AT[--environment]:-} && -z ${GIVEN[--environment]:-} ]] || return 0
  take_setting --environment
  check_settings
}

# take_settings: those that the command line doesn't have, nor one that excludes them
take_settings() {
  local row name
  drop_excluded
  for ((row = 0; row < ${#OPTIONS[@]}; row += 5)); do
    name=--${OPTIONS[row + 1]}
    [[ -n ${SET_TO[$name]+set} && -z ${GIVEN[$name]:-} ]] || continue
    take_setting "$name"
  done
  check_settings
  check_apart
}

# drop_excluded: as -v on the command line replaces a quiet
drop_excluded() {
  local row name other
  for row in "${APART[@]}"; do
    for name in $row; do
      [[ ${GIVEN["--$name"]:-} == 1 ]] || continue
      for other in $row; do
        [[ -n ${GIVEN["--$other"]:-} ]] || unset "SET_TO[--$other]"
      done
    done
  done
}

# take_setting --NAME: as if it had been typed, but that nobody has to type it again
take_setting() {
  local typed=("${TYPED[@]}") row=${ROW_OF[$1]}
  PLACE=${SET_AT[$1]}
  if [[ ${OPTIONS[row + 2]} == - ]]; then
    take_option "$row"
  else
    take_option "$row" "${SET_TO[$1]}"
  fi
  PLACE=''
  TYPED=("${typed[@]}")
  TAKEN[$1]=${SET_AT[$1]}
}

# check_settings: what is wrong in a file is no misuse
check_settings() {
  local said
  ((${#CHECKS[@]} > 0)) || return 0
  said=$(octo-push plumb --as "$TOOL" values -- "${CHECKS[@]}" 2>&1 >/dev/null) || {
    said=${said%%$'\n'*}
    fail "$EX_CONFIGURATION" "${said#"$TOOL: "}"
  }
  check_options
}

# show_settings: where each value is from; no shell minds these lines
show_settings() {
  local row name word place
  ((${#SET_AT[@]} > 0)) || return 0
  for ((row = 0; row < ${#OPTIONS[@]}; row += 5)); do
    name=--${OPTIONS[row + 1]}
    [[ ${OPTIONS[row]} != : && -n ${GIVEN[$name]:-}${SET_AT[$name]:-} ]] || continue
    may_be_set "$row" || continue
    place=${TAKEN[$name]:-${SET_AT[$name]:-}}
    [[ -n ${TAKEN[$name]:-} || -z ${GIVEN[$name]:-} ]] || place='the command line'
    word=$name
    [[ -n ${VALUE_OF[$name]+set} ]] || word="not $name"
    [[ -z ${VALUE_OF[$name]:-} ]] || word+=" $(quoted "${VALUE_OF[$name]}")"
    shows '# %s: %s\n' "$word" "$place"
  done
}
