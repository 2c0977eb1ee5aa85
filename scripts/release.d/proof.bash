# shellcheck shell=bash
# How others know that it is ours: sums, a signature, and the same bytes made elsewhere.

sums() {
  (cd "$WORK/dist" && sha256sum -- * >"$WORK/SHA256SUMS")
  mv "$WORK/SHA256SUMS" "$WORK/dist"
}

# sign: the sums, and so all of it
sign() {
  local file=$WORK/dist/SHA256SUMS
  case $(kind_of_key) in
    minisign) minisign -S -s "$KEY" -m "$file" -t "octo $VERSION" >/dev/null ;;
    ssh) ssh-keygen -Y sign -q -n octo-release -f "$KEY" "$file" ;;
    none) told 'not signed: no --key' ;;
  esac
}

# kind_of_key: what signs with KEY. ssh-keygen takes a public one, too, whose other half an
# agent has
kind_of_key() {
  if [[ -z $KEY ]]; then
    echo none
  elif head -n 1 -- "$KEY" | grep -q '^untrusted comment:'; then
    echo minisign
  else
    echo ssh
  fi
}

# compare_with_another: makes it in another directory, with another target directory and
# another CARGO_HOME, which has the same downloads
compare_with_another() {
  [[ -e $OUTPUT/SHA256SUMS ]] || {
    told "$OUTPUT: nothing there: scripts/release first"
    exit 69
  }
  ELSEWHERE=$(mktemp -d "${TMPDIR:-/tmp}/octo-again-elsewhere.XXXXXX")
  trap 'rm -rf -- "$ELSEWHERE"' EXIT
  copy_sources "$ELSEWHERE/sources"
  CARGO=${CARGO_HOME:-${HOME:?}/.cargo}
  local words=() file differ=0
  mkdir "$ELSEWHERE/cargo"
  for file in registry git config.toml; do
    [[ ! -e $CARGO/$file ]] || ln -s "$CARGO/$file" "$ELSEWHERE/cargo"
  done
  [[ -z $BIN ]] || words=(--bin "$BIN")
  (cd / && env CARGO_TARGET_DIR="$ELSEWHERE/made" CARGO_HOME="$ELSEWHERE/cargo" \
    OCTO_RELEASE_KEY= "$ELSEWHERE/sources/scripts/release" \
    -o "$ELSEWHERE/dist" "${words[@]+"${words[@]}"}" >/dev/null)
  while IFS= read -r file; do
    if ! cmp -- "$OUTPUT/$file" "$ELSEWHERE/dist/$file"; then differ=1; fi
  done < <(cd "$ELSEWHERE/dist" && ls)
  ((differ == 0)) || {
    told 'it is not the same'
    exit 1
  }
  told "the same bytes, made in $ELSEWHERE"
}

# copy_sources TO: what a release is made of, whatever else lies here
copy_sources() {
  mkdir -p "$1"
  if git rev-parse --git-dir >/dev/null 2>&1; then
    git ls-files -z | tar --null -T - -cf - | tar -C "$1" -xf -
  else
    tar --exclude=./target --exclude=./dist -cf - . | tar -C "$1" -xf -
  fi
}
