# shellcheck shell=bash
# The archive and the two packages: the same tree, three times.

packages() {
  told 'archive'
  cp packaging/install "$WORK/$NAME/install"
  dated "$WORK/$NAME"
  # gzip is on each server, and xz, which makes half of the bytes of it, is not.
  packed "$WORK" "$NAME" | gzip -9n >"$WORK/dist/$NAME.tar.gz"
  rm "$WORK/$NAME/install"
  below_usr
  told 'Debian'
  debian
  told 'RPM'
  rpm_package
}

# dated DIRECTORY: all of it has the time of the sources
dated() {
  find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

# packed DIRECTORY NAME: a tar of it, whose bytes say nothing of who made it
packed() {
  tar -C "$1" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu \
    --mtime="@$SOURCE_DATE_EPOCH" -cf - "$2"
}

# below_usr: ROOT, the tree as it lies in a file system
below_usr() {
  ROOT=$WORK/root
  mkdir -p "$ROOT"
  cp -a "$WORK/$NAME" "$ROOT/usr"
  mv "$ROOT/usr/etc" "$ROOT/etc"
  find "$ROOT/usr/share/man" -type f -exec gzip -9n {} +
}

debian() {
  local root=$WORK/debian doc=usr/share/doc/octo size
  cp -a "$ROOT" "$root"
  place -m 644 packaging/debian/copyright "$root/$doc"
  rm "$root/$doc"/LICENSE-*
  mv "$root/$doc/CHANGELOG.md" "$root/$doc/NEWS.md"
  gzip -9n "$root/$doc/NEWS.md"
  debian_changelog | gzip -9n >"$root/$doc/changelog.gz"
  place -D -m 644 packaging/debian/lintian-overrides "$root/usr/share/lintian/overrides/octo"
  # As dpkg counts; du says what the file system makes of it.
  size=$(find "$root" -type f -printf '%s\n' -o -printf '1\n' |
    awk '{ all += int(($1 + 1023) / 1024) } END { print all }')
  mkdir "$root/DEBIAN"
  sed -e "s/@VERSION@/$VERSION/" -e "s/@SIZE@/$size/" packaging/debian/control \
    >"$root/DEBIAN/control"
  place -m 755 packaging/debian/{postinst,prerm,postrm} "$root/DEBIAN"
  place -m 644 packaging/debian/templates "$root/DEBIAN"
  (cd "$root" && find etc -type f -printf '/%p\n' | sort) >"$root/DEBIAN/conffiles"
  (cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
  chmod 644 "$root"/DEBIAN/{control,conffiles,md5sums}
  dated "$root"
  # The dpkg of Debian 11 reads no zstd.
  dpkg-deb --root-owner-group -Zxz -b "$root" "$WORK/dist/octo_${VERSION}_amd64.deb" >/dev/null
}

debian_changelog() {
  printf 'octo (%s) unstable; urgency=medium\n\n' "$VERSION"
  printf '  * What is new is in NEWS.md.gz.\n\n'
  printf ' -- %s  %s\n' "$(sed -n 's/^Maintainer: //p' packaging/debian/control)" \
    "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

rpm_package() {
  dated "$ROOT"
  files_of_rpm >"$WORK/list"
  # Nobody's ~/.rpmmacros.
  HOME=$WORK rpmbuild -bb --quiet --target x86_64 --define "_topdir $WORK/rpm" \
    --define "tree $ROOT" --define "list $WORK/list" --define "release_version $VERSION" \
    packaging/rpm/octo.spec >"$WORK/rpm.log" 2>&1 || {
    cat "$WORK/rpm.log" >&2
    return 1
  }
  cp "$WORK"/rpm/RPMS/x86_64/octo-*.rpm "$WORK/dist"
}

# files_of_rpm: a directory that is ours alone, and each file
files_of_rpm() {
  printf '%%dir %s\n' /usr/lib/octo
  (
    cd "$ROOT" || exit
    find usr/share/doc/octo -type d -printf '%%dir /%p\n' | sort
    find usr etc ! -type d -printf '/%p\n' | sort | sed 's,^/etc/,%config(noreplace) /etc/,'
  )
}
