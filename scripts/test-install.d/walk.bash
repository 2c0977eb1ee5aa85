# shellcheck shell=bash
# What the pages tell to type is typed, and what comes of it looked at.
# shellcheck disable=SC2016 # what is in single quotes is for the machines

INSTALL='apt install ./octo_VERSION_amd64.deb'

# what_comes_of COMMAND: the function that looks, and its word
what_comes_of() {
  case $1 in
    "$INSTALL") echo installed ;;
    'octo-keys new') echo identity ;;
    'useradd --system --create-home deploy') echo user_deploy ;;
    'install -d -o deploy -g deploy /srv/shop') echo place_of_shop ;;
    'octo-keys trust -o user=deploy OCTOPUS-THUMBPRINT alice') echo trusted ;;
    'systemctl enable --now octo-exec octo-listen.socket octo-listen') echo started ;;
    octo-listen) echo started_in_front ;;
    "echo 'web1 10.0.0.11 TENTACLE-THUMBPRINT web' >> ~/.config/octo/targets") echo target ;;
    'octo-push -t web1 status') echo status ;;
    'octo-push -t web run -c '\'id[\;\']* | 'octo-push -t web1 run -c '\'id[\;\']*) echo ran ;;
    'octo-pack ./shop shop 1.4') echo packed ;;
    'octo-deploy -t web --batch 1,20% shop-1.4.tar') echo deployed ;;
    *) return 1 ;;
  esac
}

walk_of_the_readme() {
  phase "$SUITE: README, on real servers"
  start_hosts
  bring_package
  make_shop 1.4
  walk readme
  phase "$SUITE: failing, going back, names, users"
  a_release_that_fails
  a_release_that_is_taken_back
  a_target_by_name
  users_of_elsewhere
  quickstart_of_the_package
  end_hosts
}

walk_of_the_overview() {
  phase "$SUITE: octo(7), first steps"
  start_hosts
  bring_package
  look octopus root "$INSTALL"
  look tentacle root "$INSTALL"
  walk overview
  end_hosts
}

# walk PAGE: each of its commands, on the machine that it names
walk() {
  local host command
  while IFS=$'\t' read -r host command; do
    if [[ $host == everywhere ]]; then
      look octopus root "$command"
      look tentacle root "$command"
    elif [[ $host == octopus ]]; then
      look octopus alice "$command"
    else
      look tentacle root "$command"
    fi
  done < <("$1_commands")
}

# look HOST USER COMMAND
look() {
  local looks
  if ! looks=$(what_comes_of "$3"); then
    : >"$SCRATCH/said"
    failed "nobody knows what should come of: $3"
    return 0
  fi
  COMMAND=${3//OCTOPUS-THUMBPRINT/${THUMBPRINT_OF[octopus]:-}}
  COMMAND=${COMMAND//TENTACLE-THUMBPRINT/${THUMBPRINT_OF[tentacle]:-}}
  COMMAND=${COMMAND//VERSION/$VERSION}
  "after_$looks" "$1" "$2"
}

declare -A THUMBPRINT_OF=()

# bring_package: to both machines, into root's home
bring_package() {
  VERSION=$(dpkg-deb -f "$DEB" Version)
  local name
  for name in octopus tentacle; do
    cp "$DEB" "$SCRATCH/$name/root/root/octo_${VERSION}_amd64.deb"
  done
}

# make_shop VERSION: a sample in alice's home; it is well where it has a page
make_shop() {
  as octopus alice "
    mkdir -p shop
    echo 'shop $1' >shop/page
    printf '#!/bin/sh\n[ ! -e broken ]\n' >shop/PostDeploy.sh
    printf '#!/bin/sh\ngrep shop page\n' >shop/health.sh
    chmod +x shop/*.sh"
}

# on the tentacle, as root: found there?
there() { as tentacle root "$1"; }

after_installed() {
  step 0 "$@" "$COMMAND"
  check "$1: it says what to type next" says 'octo-keys new'
  check "$1: dpkg has nothing to complain" as "$1" root '[[ -z $(dpkg --audit) ]]'
  check "$1: nothing was started" not runs_there "$1" octo-
  check "$1: there is a user octo" as "$1" root 'id octo'
  check "$1: no key was made" as "$1" root '[[ ! -e /etc/octo/identity.pem ]]'
}

after_identity() {
  step 0 "$@" "$COMMAND"
  THUMBPRINT_OF[$1]=$(grep -oE '\b[0-9a-f]{64}\b' "$SCRATCH/said" | head -n 1) || true
  check "$1: it prints a thumbprint" test -n "${THUMBPRINT_OF[$1]}"
}

after_user_deploy() {
  step 0 "$@" "$COMMAND"
  check 'tentacle: deploy is there' there 'id deploy'
}

after_place_of_shop() {
  step 0 "$@" "$COMMAND"
  check "tentacle: it is deploy's" there '[[ $(stat -c %U /srv/shop) == deploy ]]'
}

after_trusted() {
  step 0 "$@" "$COMMAND"
  check 'tentacle: the trust file is sound' there 'octo-keys check'
}

# Without systemd it is what octo-listen(8) says.
after_started() {
  check 'tentacle: the units are there' there \
    'cd /usr/lib/systemd/system && ls octo-exec.service octo-listen.socket octo-listen.service'
  start_by_hand
}

start_by_hand() {
  local host command
  while IFS=$'\t' read -r host command; do
    step 0 "$host" root "$command"
  done < <(without_systemd)
  check 'tentacle: it listens' until_true there 'grep -q "^listening" /var/log/octo-listen.log'
  check 'tentacle: octo-listen is no root' runs_there tentacle octo-listen octo
  check 'tentacle: octo-exec serve is root' runs_there tentacle octo-exec root
}

after_started_in_front() {
  step 0 "$@" "$COMMAND >listening 2>&1 &"
  check 'tentacle: it listens' until_true there 'grep -q "^listening" listening'
}

after_target() {
  step 0 "$@" "$COMMAND"
  check 'octopus: it knows web1' as octopus alice 'octo-push targets | grep web1'
}

after_status() {
  step 0 "$@" "$COMMAND"
}

after_ran() {
  step 0 "$@" "$COMMAND"
  check 'octopus: it ran as deploy' says 'uid=[0-9]+\(deploy\)'
}

after_packed() {
  step 0 "$@" "$COMMAND"
  check 'octopus: the same bytes every time' as octopus alice \
    'octo-pack -q -o again ./shop shop 1.4 && cmp shop-1.4.tar again/shop-1.4.tar'
}

after_deployed() {
  step 0 "$@" "$COMMAND"
  runs_release 1.4
}

runs_release() {
  check "tentacle: shop $1 runs" there "[[ \$(</srv/shop/current/page) == 'shop $1' ]]"
  check 'octopus: octo-status says so' as octopus alice "octo-status -t web | grep -F $1"
  check 'octopus: octo-health finds all well' as octopus alice 'octo-health -t web'
}

# runs_there HOST NAME [USER]: a program of that name, as that user
runs_there() {
  # shellcheck disable=SC2016 # that machine expands it
  as "$1" root 'for it in /proc/[0-9]*; do
    [[ $(readlink $it/exe) == */'"$2"'* ]] || continue
    echo "$it: $(readlink $it/exe): $(stat -c %U $it)"
    [[ -n "'"${3:-}"'" && $(stat -c %U $it) != "'"${3:-}"'" ]] || exit 0
  done
  exit 1'
}
