# shellcheck shell=bash
# What a hook in bash finds of Octopus Deploy's functions: octo-functions(7). They are exported,
# since a hook is a bash of its own; so each stands alone, and holds under `set -eu`.

# get_octopusvariable NAME: prints its value, or nothing where it is not set
get_octopusvariable() {
  "${OCTO_EXEC:-octo-exec}" substitute --default= --value="${1:-}"
}

# set_octopusvariable NAME VALUE: hands a value back
set_octopusvariable() {
  local LC_ALL=C name=${1:-} value=${2:-} wrong=''
  # A character of several bytes is one.
  name=${name//[$'\x80'-$'\xbf']/}
  name=${name//[![:alnum:]_]/_}
  case $name in
    '' | [0-9]*) wrong='no name of a variable' ;;
    app | version | previous | result | release | revision | from | to | releases | missing | \
      reason)
      wrong='octo-release itself hands that back'
      ;;
  esac
  if [[ ${3:-} == -sensitive ]]; then
    wrong='-sensitive: what is handed back is shown, where it was not given as a secret'
  elif [[ $value == *[[:cntrl:]]* ]]; then
    wrong='a value that is handed back has one line, and no control character'
  fi
  if [[ -n $wrong ]]; then
    printf 'set_octopusvariable: %s: %s\n' "${1:-}" "$wrong" >&2
    return 1
  fi
  if [[ -z ${OCTO_OUTPUT:-} ]]; then
    printf 'set_octopusvariable: %s: no job, nobody to hand it back to\n' "$1" >&2
    return 0
  fi
  printf '%s=%s\n' "$name" "$value" >>"$OCTO_OUTPUT"
}

# new_octopusartifact PATH [NAME]: hands a file back, under its own name or another
new_octopusartifact() {
  local path=${1:-} name=${2:-} wrong=''
  name=${name:-${path##*/}}
  if [[ ! -f $path ]]; then
    wrong='no such file'
  elif [[ $name == */* || $name == . || $name == .. ]]; then
    wrong="$name: not the name of a file"
  elif [[ -n ${OCTO_ARTIFACTS:-} && -d $OCTO_ARTIFACTS/$name ]]; then
    wrong="$name: a directory has this name"
  fi
  if [[ -n $wrong ]]; then
    printf 'new_octopusartifact: %s: %s\n' "$path" "$wrong" >&2
    return 1
  fi
  if [[ -z ${OCTO_ARTIFACTS:-} ]]; then
    printf 'new_octopusartifact: %s: no job, nobody to hand it back to\n' "$path" >&2
    return 0
  fi
  [[ $path -ef $OCTO_ARTIFACTS/$name ]] || cp -- "$path" "$OCTO_ARTIFACTS/$name"
}

# fail_step [MESSAGE]: ends the hook, and so the deployment
fail_step() {
  if [[ -n ${1:-} ]]; then
    printf '%s\n' "$1" >&2
  fi
  exit 1
}

# update_progress PERCENTAGE [MESSAGE]
update_progress() { printf '%s%% %s\n' "${1:-}" "${2:-}"; }

# Levels of output, of which a job has two: what it says, and what it complains of.
write_verbose() { printf '%s\n' "${1:-}"; }
write_highlight() { printf '%s\n' "${1:-}"; }
write_wait() { printf '%s\n' "${1:-}"; }
write_warning() { printf 'warning: %s\n' "${1:-}" >&2; }

export -f get_octopusvariable set_octopusvariable new_octopusartifact fail_step update_progress \
  write_verbose write_highlight write_wait write_warning
