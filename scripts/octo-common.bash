# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is read by the scripts that source it
# What octo's pipelines share. Sourced, never run; it sits beside the scripts.
#
# It promises: messages as the tools print them, -n and -v that show what is run,
# a private directory that a trap removes, an identity that survives being a
# pipe, and answers about a job's end that come from its record, never from a
# bare exit status (a script may exit with any number of ours).

readonly EX_USAGE=64 EX_DATA=65 EX_UNAVAILABLE=69 EX_CREATE=73 EX_IO=74
readonly EX_TEMPORARY=75 EX_REFUSED=77 EX_CONFIGURATION=78
export EX_USAGE EX_DATA EX_UNAVAILABLE EX_CREATE EX_IO EX_TEMPORARY EX_REFUSED EX_CONFIGURATION

TOOL=${0##*/}
VERSION=0.1.0
DRY_RUN=
VERBOSE=
QUIET=
SCRATCH=
IDENTITY=
SELECTED=
# The words that go to every octo-push: identity, transport, waiting.
PUSH_OPTIONS=()
# The words that choose targets, and those that make it roll.
SELECT_OPTIONS=()
ROLL_OPTIONS=()

say() {
  printf '%s: %s\n' "$TOOL" "$*" >&2
}

hint() {
  say "hint: $*"
}

note() {
  [[ -n $QUIET ]] || say "$@"
}

# fail CODE MESSAGE…
fail() {
  local code=$1
  shift
  say "$*"
  exit "$code"
}

misuse() {
  say "$*"
  hint "$TOOL --help"
  exit "$EX_USAGE"
}

# quoted WORD…: the words as a shell would read them back
quoted() {
  local word text=
  for word in "$@"; do
    if [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]]; then
      text+=" $word"
    else
      text+=" $(printf '%q' "$word")"
    fi
  done
  printf '%s' "${text# }"
}

# changes COMMAND…: runs what changes something; -n only prints it
changes() {
  if [[ -n $DRY_RUN ]]; then
    printf '%s\n' "$(quoted "$@")"
    return 0
  fi
  asks "$@"
}

# asks COMMAND…: runs what only looks; -v prints it first
asks() {
  if [[ -n $VERBOSE ]]; then
    printf '+ %s\n' "$(quoted "$@")" >&2
  fi
  "$@"
}

# push WORD…: octo-push with the options of this pipeline
push() {
  asks octo-push "${PUSH_OPTIONS[@]+"${PUSH_OPTIONS[@]}"}" "$@"
}

push_changes() {
  changes octo-push "${PUSH_OPTIONS[@]+"${PUSH_OPTIONS[@]}"}" "$@"
}

# scratch: a private directory, on memory where there is some, removed at the end
scratch() {
  [[ -z $SCRATCH ]] || return 0
  local base=${XDG_RUNTIME_DIR:-}
  [[ -n $base && -d $base && -w $base ]] || base=/dev/shm
  [[ -d $base && -w $base ]] || base=${TMPDIR:-/tmp}
  SCRATCH=$(umask 077 && mktemp -d "$base/octo.XXXXXXXXXX") ||
    fail "$EX_CREATE" "$base: can't create a private directory"
  # A signal ends the script by way of EXIT, so that one trap cleans up.
  trap 'rm -rf -- "$SCRATCH"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# keep_identity: several octo-push need the identity, a pipe can be read once
keep_identity() {
  [[ -n $IDENTITY ]] || return 0
  if [[ $IDENTITY == - || ! -f $IDENTITY ]]; then
    local source=$IDENTITY
    [[ $source != - ]] || source=/dev/stdin
    scratch
    (umask 077 && cat -- "$source" >"$SCRATCH/identity.pem") ||
      fail "$EX_DATA" "$IDENTITY: can't read the identity"
    IDENTITY=$SCRATCH/identity.pem
  fi
  PUSH_OPTIONS+=(-i "$IDENTITY")
}

# value NAME WORD…: checks that an option has its value
value() {
  (($# >= 2)) || misuse "option $1 needs a value"
}

# common_option WORD…: takes an option that all pipelines have; sets TAKEN to
# the number of words it took, 0 if it is none of them
common_option() {
  TAKEN=1
  case $1 in
    -h | --help) usage; exit 0 ;;
    --version) printf '%s %s\n' "$TOOL" "$VERSION"; exit 0 ;;
    -n | --dry-run) DRY_RUN=1 ;;
    -v | --verbose) VERBOSE=1 ;;
    -q | --quiet) QUIET=1 ;;
    -a | --all) SELECT_OPTIONS+=(-a); SELECTED=1 ;;
    -t | --target) value "$@"; SELECT_OPTIONS+=(-t "$2"); SELECTED=1; TAKEN=2 ;;
    -x | --exclude) value "$@"; SELECT_OPTIONS+=(-x "$2"); TAKEN=2 ;;
    --shard) value "$@"; SELECT_OPTIONS+=(--shard "$2"); TAKEN=2 ;;
    -i | --identity) value "$@"; IDENTITY=$2; TAKEN=2 ;;
    --config) value "$@"; export OCTO_CONFIG=$2; TAKEN=2 ;;
    --state) value "$@"; export OCTO_STATE=$2; TAKEN=2 ;;
    -f | --fanout) value "$@"; PUSH_OPTIONS+=(-f "$2"); TAKEN=2 ;;
    -w | --wait) value "$@"; PUSH_OPTIONS+=(-w "$2"); TAKEN=2 ;;
    -P | --transport) value "$@"; PUSH_OPTIONS+=(-P "$2"); TAKEN=2 ;;
    *) TAKEN=0 ;;
  esac
}

# rolling_option WORD…: as common_option, for what octo-push rolls by
rolling_option() {
  TAKEN=2
  case $1 in
    --failed-first) ROLL_OPTIONS+=("$1"); TAKEN=1 ;;
    --batch | --canary | --pause | --max-failures | --min-healthy)
      value "$@"
      ROLL_OPTIONS+=("$1" "$2")
      ;;
    *) TAKEN=0 ;;
  esac
}

# config_directory, state_directory: where the tools look, by their own rule
config_directory() {
  if [[ -n ${OCTO_CONFIG:-} ]]; then
    printf '%s' "$OCTO_CONFIG"
  elif ((EUID == 0)); then
    printf /etc/octo
  else
    printf '%s/octo' "${XDG_CONFIG_HOME:-${HOME:?not set}/.config}"
  fi
}

state_directory() {
  if [[ -n ${OCTO_STATE:-} ]]; then
    printf '%s' "$OCTO_STATE"
  elif ((EUID == 0)); then
    printf /var/lib/octo
  else
    printf '%s/octo' "${XDG_STATE_HOME:-${HOME:?not set}/.local/state}"
  fi
}

# check_name KIND NAME: one path component of plain letters
check_name() {
  [[ $2 =~ ^[A-Za-z0-9][A-Za-z0-9._+-]*$ ]] ||
    misuse "$1 '$2': letters, digits and . _ + - only, beginning with a letter or digit"
}

# hold_application APP SECONDS: one pipeline at a time over an application, from
# here. The lock is the kernel's and dies with this process.
hold_application() {
  [[ -z $DRY_RUN ]] || return 0
  local app=$1 wait=$2 directory file
  directory=$(state_directory)/pipelines
  mkdir -p -- "$directory" || fail "$EX_CREATE" "$directory: can't create"
  file=$directory/$app.lock
  exec {APPLICATION_LOCK}<>"$file" || fail "$EX_CREATE" "$file: can't open"
  if ! flock -n "$APPLICATION_LOCK"; then
    note "$app: waiting for $(one_line "$file")"
    flock -w "$wait" "$APPLICATION_LOCK" ||
      fail "$EX_TEMPORARY" "$app: still held by $(one_line "$file")"
  fi
  printf '%s, pid %s, since %s\n' "$TOOL" "$$" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$file"
}

# one_line FILE: its first bytes, safe to show
one_line() {
  head -c 300 -- "$1" | tr '\n' ' ' | tr -cd '[:print:]'
}

# refuse_if_held APP: fails if somebody holds its deployments by octo-lock
refuse_if_held() {
  local file
  file=$(state_directory)/pipelines/$1.hold
  [[ -e $file ]] || return 0
  say "$1: deployments are held: $(one_line "$file")"
  hint "octo-lock --release $1"
  exit "$EX_TEMPORARY"
}

# end_of FILE: sets END_KIND, END_CODE, END_ORIGIN from a record that
# octo-push --end wrote; where there is none, nothing is known
end_of() {
  END_KIND=unknown
  END_CODE=
  END_ORIGIN=
  END_MESSAGE=
  local key rest
  [[ -r $1 ]] || return 0
  while read -r key rest; do
    case $key in
      kind) END_KIND=$rest ;;
      code) END_CODE=$rest ;;
      origin) END_ORIGIN=$rest ;;
      message) END_MESSAGE=$(decoded "$rest") ;;
    esac
  done <"$1"
}

# decoded VALUE: a value of a record as text that is safe to show
decoded() {
  local text=${1//\\/}
  printf '%b' "${text//%/\\x}" | tr -cd '[:print:]'
}

# succeeded FILE: did the job of this record exit with 0?
succeeded() {
  end_of "$1"
  [[ $END_KIND == exit && $END_CODE == 0 ]]
}

# seconds TEXT: a duration of the tools (30s 5m 1h 2d) in seconds
seconds() {
  [[ $1 =~ ^([0-9]+)([smhd]?)$ ]] || misuse "$1: not a time such as 30s, 5m, 1h or 2d"
  local factor=1
  case ${BASH_REMATCH[2]} in
    m) factor=60 ;;
    h) factor=3600 ;;
    d) factor=86400 ;;
  esac
  printf '%s' $((10#${BASH_REMATCH[1]} * factor))
}

# package_of FILE: sets APP, RELEASE and SHA256, by the rule of octo-release(1)
package_of() {
  local name=${1##*/}
  [[ -f $1 && -r $1 ]] || fail "$EX_DATA" "$(quoted "$1"): not a file that can be read"
  [[ $name =~ ^(.+)\.(tar(\.(gz|xz|zst))?|tgz)$ ]] ||
    fail "$EX_DATA" "$(quoted "$1"): not NAME-VERSION.tar[.gz|.xz|.zst]"
  name=${BASH_REMATCH[1]}
  if [[ $name == *-[0-9]* ]]; then APP=${name%%-[0-9]*}; else APP=${name%-*}; fi
  RELEASE=${name#"$APP"-}
  [[ $RELEASE != "$name" ]] || fail "$EX_DATA" "$(quoted "$1"): no VERSION behind a dash in its name"
  check_name application "$APP"
  check_name version "$RELEASE"
  SHA256=$(sha256sum <"$1") && SHA256=${SHA256%% *}
}

# release_script: the words by which octo-push runs octo-release on a target: sent
# from beside us, or by name where the target's sysadmin installed it
release_words() {
  if [[ -n ${NAMED:-} ]]; then
    RELEASE_WORDS=(--name octo-release)
  else
    RELEASE_WORDS=("$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/octo-release")
    [[ -r ${RELEASE_WORDS[0]} ]] || fail "$EX_CONFIGURATION" "${RELEASE_WORDS[0]}: missing" 
  fi
  if [[ -n ${BASE:-} ]]; then RELEASE_OPTIONS=(-b "$BASE"); else RELEASE_OPTIONS=(); fi
}

# names_selected: sets NAMES to the selected targets' names
names_selected() {
  local listed
  [[ -n $SELECTED ]] || misuse 'no target: name some by -t, or all by -a'
  listed=$(push "${SELECT_OPTIONS[@]}" targets) || exit
  mapfile -t NAMES < <(awk '{ print $1 }' <<<"$listed")
}

# gather_status [APP…]: asks all NAMES what they run. Fills $SCRATCH/status with
# lines of tabs: target, state (ok or why not), then the fields of octo-release
# status: app, version, sha256, since, who, result, release, last version, its result
gather_status() {
  local name line
  scratch
  names_selected
  release_words
  mkdir -p -- "$SCRATCH/out" "$SCRATCH/end"
  # One that fails is told by its record, not by the exit status of all.
  push -q "${SELECT_OPTIONS[@]}" run --end "$SCRATCH/end/%n" -o "$SCRATCH/out/%n" \
    "${RELEASE_WORDS[@]}" "${RELEASE_OPTIONS[@]+"${RELEASE_OPTIONS[@]}"}" status "$@" \
    2>"$SCRATCH/errors" >/dev/null || :
  for name in "${NAMES[@]}"; do
    if succeeded "$SCRATCH/end/$name"; then
      while IFS= read -r line; do
        printf '%s\tok\t%s\n' "$name" "$(tr -cd '[:print:]\t' <<<"$line")"
      done <"$SCRATCH/out/$name"
      [[ -s $SCRATCH/out/$name ]] || printf '%s\tempty\t-\t-\t-\t-\t-\t-\t-\t-\t-\n' "$name"
    else
      printf '%s\t%s\t-\t-\t-\t-\t-\t-\t-\t-\t-\n' "$name" "${END_MESSAGE:-$END_KIND}"
    fi
  done >"$SCRATCH/status"
}

# mark_drift: adds a last field to $SCRATCH/status: `drift` where a target runs
# another sha256 of an application than most of the selected, `failed` where its
# last attempt failed, else `-`
mark_drift() {
  awk -F '\t' -v OFS='\t' '
    NR == FNR { if ($2 == "ok" && ++count[$3, $5] > most[$3]) { most[$3] = count[$3, $5]; usual[$3] = $5 }; next }
    { mark = "-" }
    $2 == "ok" && $5 != usual[$3] { mark = "drift" }
    $2 == "ok" && $11 ~ /^(failed|interrupted)$/ { mark = "failed" }
    $2 != "ok" && $2 != "empty" { mark = "unknown" }
    { print $0, mark }' "$SCRATCH/status" "$SCRATCH/status" >"$SCRATCH/marked"
}

# beside NAME: a script of ours, where this one is
beside() {
  printf '%s/%s' "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" "$1"
}
