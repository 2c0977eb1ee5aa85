# shellcheck shell=bash
# What is installed, and where: the one list, as a tree below a prefix. The archive is that tree,
# the packages have it below /usr, and scripts/install installs from it.

# stage TREE BIN VERSION: etc/ is for /etc
stage() {
  local tree=$1 bin=$2 version=$3 file page shells=$1/share
  place -d "$tree"/bin "$tree"/lib/{octo,systemd/system,sysusers.d,tmpfiles.d} \
    "$tree/etc/logrotate.d" "$tree"/share/{bash-completion/completions,fish/vendor_completions.d} \
    "$tree/share/doc/octo/examples"
  place -m 755 "$bin"/octo-{exec,keys,listen,push} "$tree/bin"
  # The scripts find what they share beside the file that their link points to.
  for file in scripts/octo-*; do
    if [[ -x $file ]]; then
      place -m 755 "$file" "$tree/lib/octo"
      ln -s "../lib/octo/${file##*/}" "$tree/bin/${file##*/}"
    else
      place -m 644 "$file" "$tree/lib/octo"
    fi
  done
  # A first look, without a compiler.
  place -m 755 scripts/quickstart "$bin/hello-web" "$tree/lib/octo"
  place -m 644 packaging/first-steps "$tree/lib/octo"
  place -m 755 packaging/before-removal "$tree/lib/octo"
  cp -R examples/. "$tree/share/doc/octo/examples"
  rm -r "$tree"/share/doc/octo/examples/hello-web/{src,Cargo.toml}
  place -m 644 packaging/systemd/octo-* "$tree/lib/systemd/system"
  place -m 644 packaging/sysusers.d/octo.conf "$tree/lib/sysusers.d"
  place -m 644 packaging/tmpfiles.d/octo.conf "$tree/lib/tmpfiles.d"
  place -m 644 packaging/logrotate.d/octo "$tree/etc/logrotate.d"
  for page in man/*.[1-8]; do
    place -D -m 644 -t "$tree/share/man/man${page##*.}" "$page"
  done
  # Where each shell looks. Debian's zsh has vendor-completions in its fpath, others have
  # site-functions, which Debian's looks for in /usr/local alone.
  place -D -m 644 completions/octo.zsh "$tree/share/zsh/site-functions/_octo"
  place -d "$tree/share/zsh/vendor-completions"
  ln -s ../site-functions/_octo "$tree/share/zsh/vendor-completions/_octo"
  place -m 644 completions/octo.bash "$shells/bash-completion/completions/octo-push"
  place -m 644 completions/octo.fish "$shells/fish/vendor_completions.d/octo-push.fish"
  for file in "$tree"/bin/octo-*; do
    file=${file##*/}
    if [[ $file != octo-push ]]; then
      ln -s octo-push "$shells/bash-completion/completions/$file"
      ln -s octo-push.fish "$shells/fish/vendor_completions.d/$file.fish"
    fi
  done
  place -m 644 README.md CHANGELOG.md SECURITY.md LICENSE-* "$tree/share/doc/octo"
  printf '%s\n' "$version" >"$tree/share/doc/octo/VERSION"
  chmod -R u=rwX,go=rX "$tree"
}

# place WORD…: install(1), which is another where scripts/ is in PATH
place() {
  command -p install "$@"
}

# version: the one of Cargo.toml, where alone it stands
version() {
  sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml
}
