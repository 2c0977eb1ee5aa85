# shellcheck shell=bash
# A package's signature, made by minisign. Sourced by octo-pack.
#
# It promises: what is signed is what is published, and a package that is replaced leaves no
# signature of the former one beside the new one.

# need_signer: before anything is packed
need_signer() {
  [[ -n $KEY ]] || return 0
  if ! command -v minisign >/dev/null; then
    say 'minisign: not installed, and --sign calls it'
    hint 'install minisign; or sign where the key is: minisign -SH -m PACKAGE'
    exit "$EX_UNAVAILABLE"
  fi
  [[ -f $KEY && -r $KEY ]] ||
    fail "$EX_CONFIGURATION" "$(shown "$KEY"): not a file that can be read: minisign -G makes a key"
}

# signing FILE: sets SIGN to the command that signs it; of its digest, by whatever minisign
signing() {
  SIGN=(minisign -SH -s "$KEY" -m "$1")
}

# sign: PACKED, before it is published; minisign asks for the password of the key, if it has one
sign() {
  [[ -n $KEY ]] || return 0
  signing "$PACKED"
  announce "${SIGN[@]}"
  "${SIGN[@]}" >&2 ||
    fail "$EX_DATA" "$(shown "$KEY"): minisign has not signed with it: nothing is published"
  chmod '=rw' -- "$PACKED.minisig" # as the umask says
  sync -- "$PACKED.minisig" ||
    fail "$EX_IO" "$(shown "$OUTPUT/$FILE.minisig"): can't be made durable"
}

# publish_signature: beside the package, which is there
publish_signature() {
  [[ -n $KEY ]] || return 0
  mv -fT -- "$PACKED.minisig" "$OUTPUT/$FILE.minisig" ||
    fail "$EX_CREATE" "$(shown "$OUTPUT/$FILE.minisig"): can't be put there"
}

# forget_signature: of the package that is replaced
forget_signature() {
  [[ -e $OUTPUT/$FILE.minisig ]] || return 0
  rm -f -- "$OUTPUT/$FILE.minisig"
  [[ -n $QUIET$KEY ]] ||
    say "$(shown "$OUTPUT/$FILE.minisig"): removed: it was the former package's"
}
