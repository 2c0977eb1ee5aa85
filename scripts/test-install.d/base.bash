# shellcheck shell=bash
# A Debian with nothing but its essential packages, of which the machines are made.
# shellcheck disable=SC2153 # what the options said

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# make_base SUITE: sets BASE, its root, which nobody writes to afterwards
make_base() {
  SUITE=$1
  BASE=$SCRATCH/$SUITE
  phase "$SUITE: a bare system"
  if [[ -n $CACHE && -e $CACHE/$SUITE.tar ]]; then
    mkdir "$BASE"
    tar -C "$BASE" --numeric-owner -xpf "$CACHE/$SUITE.tar"
    return 0
  fi
  local mirror log=$SCRATCH/debootstrap.log
  mirror=${MIRROR:-$(mirror_of_apt)}
  if [[ -z $mirror ]]; then
    note 'apt is configured for no Debian here: name one with --mirror'
    exit 69
  fi
  proxy_of_apt
  if ! debootstrap --variant=minbase "--keyring=$KEYRING" "$SUITE" "$BASE" "$mirror" \
    >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    note "debootstrap $SUITE failed: is the mirror to be reached, and has it this suite?"
    exit 69
  fi
  rm -f "$BASE"/var/cache/apt/archives/*.deb
  # Users that are in no /etc/passwd, for one step of the walk.
  chroot "$BASE" bash -c 'cd /srv && apt-get -q download libnss-extrausers' >>"$log" 2>&1 ||
    note 'libnss-extrausers is not to be had: users by NSS are not tried'
  if [[ -n $CACHE ]]; then
    mkdir -p "$CACHE"
    tar -C "$BASE" --numeric-owner -cf "$CACHE/$SUITE.tar" .
  fi
}

leave_base() {
  end_phase
  rm -rf -- "$BASE"
}

# mirror_of_apt: where apt gets this machine's own Debian; it needs no lists for that
mirror_of_apt() {
  apt-get --print-uris update |
    sed -n "s|^'\(.*\)/dists/$(own_suite)/InRelease'.*|\1|p" | sed -n 1p
}

# proxy_of_apt: debootstrap goes where apt goes
proxy_of_apt() {
  local HTTP='' HTTPS=''
  # shellcheck source=/dev/null
  source <(apt-config shell HTTP Acquire::http::Proxy HTTPS Acquire::https::Proxy)
  if [[ -n $HTTP && $HTTP != DIRECT ]]; then export "http_proxy=$HTTP"; fi
  if [[ -n $HTTPS && $HTTPS != DIRECT ]]; then export "https_proxy=$HTTPS"; fi
}
