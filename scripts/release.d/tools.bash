# shellcheck shell=bash
# What making a release needs of this machine, and the time that it all has.

# Command or file, then its Debian package.
needed() {
  cat <<'LIST'
cc gcc
cargo cargo
dpkg-deb dpkg
gzip gzip
jq jq
rpmbuild rpm
tar tar
xz xz-utils
LIST
  [[ -n $BIN ]] || printf '%s libc6-dev\n' libc.a
  case $(kind_of_key) in
    minisign) echo minisign minisign ;;
    ssh) echo ssh-keygen openssh-client ;;
  esac
}

# is_here COMMAND|libc.a: without that file a binary needs the C library of where it was built
is_here() {
  if [[ $1 == libc.a ]]; then
    [[ $("${CC:-cc}" -print-file-name=libc.a 2>/dev/null) == /* ]]
  else
    command -v "$1" >/dev/null
  fi
}

install_missing() {
  local command package missing=() packages=()
  while read -r command package; do
    if ! is_here "$command"; then
      missing+=("$command")
      packages+=("$package")
    fi
  done < <(needed)
  ((${#missing[@]} > 0)) || return 0
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    told "missing: ${missing[*]}: of Debian's packages ${packages[*]}"
    exit 69
  fi
  told "installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends "${packages[@]}" >/dev/null
}

# date_of_sources: of the last commit, in seconds since 1970; without one, of the newest change
date_of_sources() {
  if [[ -n ${SOURCE_DATE_EPOCH:-} ]]; then
    printf '%s\n' "$SOURCE_DATE_EPOCH"
  elif ! git log -1 --format=%ct 2>/dev/null; then
    stat -c %Y CHANGELOG.md
  fi
}
