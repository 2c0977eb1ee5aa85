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
AGREED=
# The words that go to every tool, --config and --state; and those that go to every
# octo-push: identity, transport, waiting.
PLACE_OPTIONS=()
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

# note: what a person wants to see, and cron doesn't
note() {
  if talkative; then say "$@"; fi
}

talkative() {
  [[ -n $VERBOSE || (-z $QUIET && -t 2) ]]
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

# quoted WORD…: the words as a shell reads them back. A pipe can't be read again:
# an identity that was one has a name in its place.
quoted() {
  local word text=
  for word in "$@"; do
    if [[ -n $SCRATCH && $word == "$SCRATCH/identity.pem" ]]; then
      text+=" IDENTITY"
    elif [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]]; then
      text+=" $word"
    elif [[ ${word//[$'\n\t']/} == *[[:cntrl:]]* ]]; then
      text+=" $(printf '%q' "$word")"
    else
      text+=" '${word//\'/\'\\\'\'}'"
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

# changes_at HOST INPUT WORD…: the same on another machine, by ssh; what it says is no result
changes_at() {
  local host=$1 input=$2
  shift 2
  if [[ -n $DRY_RUN ]]; then
    printf '%s <%s\n' "$(quoted ssh -- "$host" "$(quoted "$@")")" "$(quoted "$input")"
  else
    asks ssh -- "$host" "$(quoted "$@")" <"$input" >&2
  fi
}

# push WORD…: octo-push with the options of this pipeline. Where it stopped and how
# to go on, the pipeline says.
push() {
  OCTO_AGAIN='' asks octo-push "${PLACE_OPTIONS[@]}" "${PUSH_OPTIONS[@]}" "$@"
}

push_changes() {
  OCTO_AGAIN='' changes octo-push "${PLACE_OPTIONS[@]}" "${PUSH_OPTIONS[@]}" "$@"
}

# scratch: a private directory, on memory where there is some, removed at the end.
# Its lock is held by this process and what it starts: what a killed one left
# behind, an identity perhaps, is known by a lock that is free.
scratch() {
  [[ -z $SCRATCH ]] || return 0
  local base=${XDG_RUNTIME_DIR:-} old
  [[ -n $base && -d $base && -w $base ]] || base=/dev/shm
  [[ -d $base && -w $base ]] || base=${TMPDIR:-/tmp}
  for old in "$base"/octo-pipeline.*/.lock; do
    [[ -f $old && -O ${old%/*} && ! -L ${old%/*} ]] || continue
    flock -n "$old" rm -rf -- "${old%/*}" || :
  done
  SCRATCH=$(umask 077 && mktemp -d "$base/octo-pipeline.XXXXXXXXXX") ||
    fail "$EX_CREATE" "$base: can't create a private directory"
  # A signal ends the script by way of EXIT, so that one trap cleans up.
  trap 'rm -rf -- "$SCRATCH"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  exec {SCRATCH_LOCK}>"$SCRATCH/.new"
  flock "$SCRATCH_LOCK"
  mv -- "$SCRATCH/.new" "$SCRATCH/.lock"
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

# again_of WORD…: sets AGAIN, this command line to be typed again; an identity that
# was a pipe can't be
again_of() {
  local word previous='' words=()
  for word in "$@"; do
    if [[ ($previous == -i || $previous == --identity) && ! -f $word ]]; then word=IDENTITY; fi
    words+=("$word")
    previous=$word
  done
  AGAIN=$(quoted "$TOOL" "${words[@]}")
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
    --config) value "$@"; export OCTO_CONFIG=$2; PLACE_OPTIONS+=("$1" "$2"); TAKEN=2 ;;
    --state) value "$@"; export OCTO_STATE=$2; PLACE_OPTIONS+=("$1" "$2"); TAKEN=2 ;;
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

# how_to_say: sets SAYING, the words that keep octo-push as quiet as we are
how_to_say() {
  SAYING=()
  if [[ -n $QUIET || -z $DRY_RUN ]] && ! talkative; then SAYING=(-q); fi
}

# hold_application APP SECONDS: one pipeline at a time over an application, from
# here. The lock is the kernel's and dies with this process.
hold_application() {
  local app=$1 wait=$2 directory file
  [[ -z $DRY_RUN ]] || return 0
  directory=$(state_directory)/pipelines
  mkdir -p -- "$directory" || fail "$EX_CREATE" "$directory: can't create"
  file=$directory/$app.lock app=${app#.}
  exec {APPLICATION_LOCK}<>"$file" || fail "$EX_CREATE" "$file: can't open"
  if ! flock -n "$APPLICATION_LOCK"; then
    if ((wait == 0)); then
      say "$app: held by $(one_line "$file")"
      hint '--lock-wait TIME waits for it'
      exit "$EX_TEMPORARY"
    fi
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

# end_of FILE: sets END_KIND, END_CODE, END_STATUS, END_JOB and END_MESSAGE from a record
# that octo-push --end wrote; where there is none, it was not begun
end_of() {
  END_KIND=none END_CODE='' END_STATUS=1 END_JOB='' END_MESSAGE='not begun'
  local key rest
  [[ -r $1 ]] || return 0
  END_MESSAGE=''
  while read -r key rest; do
    case $key in
      kind) END_KIND=$rest ;;
      code) END_CODE=$rest ;;
      status) END_STATUS=$rest ;;
      job) END_JOB=$rest ;;
      message) END_MESSAGE=$(decoded "$rest") ;;
    esac
  done <"$1"
  [[ -n $END_MESSAGE ]] || END_MESSAGE="$END_KIND $END_CODE"
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

# agree STATUS: what the whole ends with: the one that all failures share, else 1
agree() {
  case ${AGREED:=$1} in
    "$1") ;;
    *) AGREED=1 ;;
  esac
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

# release_words: the words by which octo-push runs octo-release on a target: sent
# from beside us, or by name where the target's sysadmin installed it
release_words() {
  if [[ -n ${NAMED:-} ]]; then
    RELEASE_WORDS=(--name octo-release)
  else
    RELEASE_WORDS=("$(beside octo-release)")
    [[ -r ${RELEASE_WORDS[0]} ]] || fail "$EX_CONFIGURATION" "${RELEASE_WORDS[0]}: missing"
  fi
  [[ -z ${BASE:-} ]] || RELEASE_WORDS+=(-b "$BASE")
}

# names_selected: sets NAMES to the selected targets' names. What failed last is
# another selection after each step, so that it is replaced by its names.
names_selected() {
  local listed IFS=,
  [[ -n $SELECTED ]] || misuse 'no target: name some by -t, or all by -a'
  listed=$(IFS=' ' && push "${SELECT_OPTIONS[@]}" targets) || exit
  mapfile -t NAMES < <(awk 'NF { print $1 }' <<<"$listed")
  if [[ "${SELECT_OPTIONS[*]}" == *failed:* && ${#NAMES[@]} -gt 0 ]]; then
    SELECT_OPTIONS=(-t "${NAMES[*]}")
  fi
}

# targets N: as one says it
targets() {
  if (($1 == 1)); then printf '1 target'; else printf '%s targets' "$1"; fi
}

# gather_status [APP…]: asks all NAMES what they run. Fills $SCRATCH/status with
# lines of tabs: target, state (ok or why not), then the fields of octo-release
# status: app, version, sha256, since, who, result, release, last version, its result
gather_status() {
  local name line code=0
  scratch
  names_selected
  release_words
  mkdir -p -- "$SCRATCH/out" "$SCRATCH/end"
  : >"$SCRATCH/status"
  ((${#NAMES[@]} > 0)) || return 0
  push -q "${SELECT_OPTIONS[@]}" run --end "$SCRATCH/end/%n" -o "$SCRATCH/out/%n" \
    "${RELEASE_WORDS[@]}" status "$@" 2>"$SCRATCH/errors" >/dev/null || code=$?
  # One that fails is told by its record; no record at all is octo-push's own trouble.
  if [[ ! -e $SCRATCH/end/${NAMES[0]} ]]; then
    cat -- "$SCRATCH/errors" >&2
    exit "$code"
  fi
  for name in "${NAMES[@]}"; do
    if succeeded "$SCRATCH/end/$name"; then
      while IFS= read -r line; do
        printf '%s\tok\t%s\n' "$name" "$(tr -cd '[:print:]\t' <<<"$line")"
      done <"$SCRATCH/out/$name"
      [[ -s $SCRATCH/out/$name ]] || printf '%s\tempty\t-\t-\t-\t-\t-\t-\t-\t-\t-\n' "$name"
    else
      printf '%s\t%s\t-\t-\t-\t-\t-\t-\t-\t-\t-\n' "$name" "$END_MESSAGE"
    fi
  done >"$SCRATCH/status"
}

# mark_drift: sorts $SCRATCH/status into $SCRATCH/marked, with one more field: `unknown`
# where a target didn't answer, `failed` where its last attempt did, `drift` where it runs
# another sha256 of an application than most of the selected (of two that as many run, the
# one deployed last is right), else `-`
mark_drift() {
  awk -F '\t' -v OFS='\t' '
    NR == FNR {
      if ($2 != "ok") next
      count[$3, $5]++
      if ($6 > last[$3, $5]) last[$3, $5] = $6
      sums[$3, $5] = $3 OFS $5
      next
    }
    FNR == 1 {
      for (key in sums) {
        split(sums[key], part, OFS)
        app = part[1]
        if (count[key] > most[app] || (count[key] == most[app] && last[key] > when[app])) {
          most[app] = count[key]
          when[app] = last[key]
          usual[app] = part[2]
        }
      }
    }
    { mark = "-" }
    $2 == "ok" && $5 != usual[$3] { mark = "drift" }
    $2 == "ok" && $11 ~ /^(failed|interrupted)$/ { mark = "failed" }
    $2 != "ok" && $2 != "empty" { mark = "unknown" }
    { print $0, mark }' "$SCRATCH/status" "$SCRATCH/status" |
    LC_ALL=C sort -t $'\t' -k 3,3 -k 1,1 >"$SCRATCH/marked"
}

# beside NAME: a script of ours, where this one is
beside() {
  printf '%s/%s' "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" "$1"
}

# The tools are beside us or where our link is; cron's PATH doesn't have them.
if ! command -v octo-push >/dev/null; then
  PATH=$PATH:$(cd "$(dirname "$0")" && pwd):$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../bin
  export PATH
fi
