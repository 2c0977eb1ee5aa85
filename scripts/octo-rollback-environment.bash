# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # octo-rollback has what is read here, and reads what is found
# What a way back gets from here: the options and the variables of the environment that the
# releases were deployed for. Sourced by octo-rollback.
#
# It promises: no hook runs with the values of another environment, nor without a variable
# that it had, unless somebody says so; where that can't be, nothing has begun.

# choose_environment: sets ENVIRONMENT to what the releases were deployed for, where there are
# options of environments
choose_environment() {
  ENVIRONMENT=$GIVEN_ENVIRONMENT
  if [[ -n $ENVIRONMENT$PLAIN ]] || ! has_settings_of_environments "$APP"; then return 0; fi
  ENVIRONMENT=$(environment_there) || exit
}

# environment_there: prints the one that all targets share, or nothing. In a shell of its own:
# how targets are asked, the options of APP alone say until it is known.
environment_there() {
  local environment
  read_options_of_files >/dev/null
  look
  find_members
  ((${#MEMBERS[@]} < 2)) || refuse_environments
  for environment in "${!MEMBERS[@]}"; do
    ((${#MEMBERS[@]} > 1)) || printf '%s' "${environment/#-/}"
  done
}

# refuse_environments: where there are options of one of them, they would be for all or none
refuse_environments() {
  local environment with=''
  for environment in "${!MEMBERS[@]}"; do
    [[ ! -e $CONFIG/deploy/$APP@$environment ]] || with=$environment
  done
  [[ -n $with ]] || return 0
  for environment in "${!MEMBERS[@]}"; do
    say "${MEMBERS[$environment]}: $APP: deployed for ${environment/#-/no environment}"
  done
  say "$CONFIG/deploy/$APP@$with: is not for all of them; $NOTHING"
  for environment in "${!MEMBERS[@]}"; do
    hint "apart: $(quoted "$TOOL" -t "${MEMBERS[$environment]}" "${TYPED[@]}")"
  done
  exit "$EX_DATA"
}

# refuse_other_options: what was deployed meanwhile, or lies where the options of an
# environment lead to, may be of another one
refuse_other_options() {
  local found
  if [[ -n $GIVEN_ENVIRONMENT$PLAIN ]] || ! has_settings_of_environments "$APP"; then return 0; fi
  find_members
  ((${#MEMBERS[@]} < 2)) || refuse_environments
  found=("${!MEMBERS[@]}")
  if ((${#found[@]} != 1)) || [[ ${found[0]/#-/} == "$ENVIRONMENT" ]]; then return 0; fi
  say "${MEMBERS[${found[0]}]}: $APP: deployed for ${found[0]/#-/no environment}," \
    "and not for ${ENVIRONMENT:-none} as where the options of $APP alone lead; $NOTHING"
  hint "name it: $(again_with -e ENVIRONMENT)"
  exit "$EX_DATA"
}

# find_members: sets MEMBERS, by environment those of TODO and DOWN that go to a release of it
find_members() {
  local name
  declare -gA MEMBERS=()
  for name in "${TODO[@]}" "${DOWN[@]}"; do
    environment_of "$name"
    MEMBERS[$FOUND]+=${MEMBERS[$FOUND]:+,}$name
  done
}

# environment_of TARGET: sets FOUND to that of what it goes to; - where it had none
environment_of() {
  FOUND=$GIVEN_ENVIRONMENT
  if [[ -z $FOUND ]]; then
    FOUND=${RELEASED["$1 back-environment"]}
    # Of another than it would go to by itself, or if there is none, all that is known is where
    # it is.
    [[ ${RELEASE:-${RELEASED["$1 back-version"]:--}} == "${RELEASED["$1 back-version"]}" ]] ||
      FOUND=${RELEASED["$1 environment"]}
  fi
  FOUND=${FOUND:--}
}

# give_variables: today's, of the environment that each release was deployed for; sets
# VARIABLES, the words that name their files
give_variables() {
  local environment words
  VARIABLES=()
  find_members
  ENVIRONMENTS=("${!MEMBERS[@]}")
  if [[ -n $VARS || -e $CONFIG/vars ]]; then
    VARIABLES=(-E "$WORK/%n.env" -S "$WORK/%n.secrets")
    for environment in "${ENVIRONMENTS[@]}"; do
      words=("${LIFECYCLE_WORDS[@]}")
      [[ -z $VARS ]] || words+=(--vars "$VARS")
      [[ $environment == - ]] || expect_environment "$environment" "${words[@]}"
      [[ $environment == - ]] || words+=(-e "$environment")
      # shellcheck disable=SC2086 # names have no blank
      changes "$HERE/octo-vars" "${PLACE_OPTIONS[@]}" "${words[@]}" \
        --into "$WORK" ${MEMBERS[$environment]//,/ } ||
        fail $? "$APP: no variables for ${MEMBERS[$environment]}; $NOTHING"
    done
  fi
  [[ -n $DRY_RUN ]] || refuse_missing
}

# expect_environment ENVIRONMENT WORD…: it is on the list yet
expect_environment() {
  local said code=0 name
  said=$(octo-push plumb --as "$TOOL" environment "${@:2}" -- "$1" 2>&1) || code=$?
  ((code > 0)) || return 0
  if [[ -z $GIVEN_ENVIRONMENT ]]; then
    for name in ${MEMBERS[$1]//,/ }; do
      say "$name: $APP ${RELEASE:-${RELEASED["$name back-version"]}}: was deployed for $1"
    done
  fi
  printf '%s\n' "$said" >&2
  hint "with the variables of another: $(again_with -e ENVIRONMENT)"
  fail "$code" "$APP: no variables for ${MEMBERS[$1]}; $NOTHING"
}

# refuse_missing: a hook that worked with a variable may do harm without it. Before anything
# begins, as far as it is known here; of what goes to a VERSION, and of a list that was cut,
# octo-release knows all.
refuse_missing() {
  local name word given missing all='' without=()
  for name in "${TODO[@]}"; do
    [[ -z $RELEASE || $RELEASE == "${RELEASED["$name back-version"]}" ]] || continue
    names_given "$name"
    given=" ${GIVEN_NAMES[*]} ${WITHOUT_WORDS[*]} " missing=''
    for word in ${RELEASED["$name back-names"]//,/ }; do
      [[ $word == ... || $given == *" $word "* ]] || missing+=" $word"
    done
    [[ -n $missing ]] || continue
    say "$name: $APP ${RELEASED["$name back-version"]}: was given, and is not now:$missing"
    for word in $missing; do
      [[ " $all " == *" $word "* ]] || all+=" $word"
    done
  done
  [[ -n $all ]] || return 0
  say "$APP: $NOTHING"
  for word in $all; do
    without+=(--without "$word")
  done
  hint "they are missing in the variables; to go on all the same: $(again_with "${without[@]}")"
  exit "$EX_DATA"
}
