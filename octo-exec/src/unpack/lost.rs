//! What a tree has that an archive of it can't hold: capabilities, access lists, attributes.

use super::tree::Tree;
use octo_core::base::encoding::encode;
use octo_core::base::error::{Error, Exit, Result};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The kernel has no longer list of names.
const LONGEST_LIST: usize = 65536;

/// A line for each file and kind, `capabilities PATH`, in the order of the archive.
///
/// # Errors
/// Exit 74, where a file can't be looked at.
pub(super) fn lost(tree: &Tree, directory: &Path) -> Result<String> {
    let mut names = vec![0; LONGEST_LIST];
    let mut lines = String::new();
    for id in tree.all() {
        let path = tree.path(id);
        let file = directory.join(OsStr::from_bytes(&path));
        let length = match rustix::fs::llistxattr(&file, &mut names[..]) {
            Ok(length) => length,
            Err(Errno::NOTSUP) => 0,
            Err(error) => return Err(Error::io(&file, &error.into()).exit(Exit::Io)),
        };
        lines.push_str(&lines_of(&path, names.get(..length).unwrap_or_default()));
    }
    Ok(lines)
}

/// A line for each kind of these attributes of a file, each of whose names ends in a NUL.
pub(super) fn lines_of(path: &[u8], names: &[u8]) -> String {
    kinds(names).map(|kind| format!("{kind} {}\n", encode(path))).collect()
}

/// Of the names of attributes, each of which ends in a NUL. Nobody misses what a system writes
/// to each file by itself, as SELinux does.
pub(super) fn kinds(names: &[u8]) -> impl Iterator<Item = &'static str> {
    let has = |prefixes: &[&str]| {
        let is_one = |name: &[u8]| prefixes.iter().any(|p| name.starts_with(p.as_bytes()));
        names.split(|byte| *byte == 0).any(is_one)
    };
    let found = [
        has(&["security.capability"]).then_some("capabilities"),
        has(&["system.posix_acl_"]).then_some("ACLs"),
        has(&["user.", "trusted."]).then_some("attributes"),
    ];
    found.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attributes_are_of_three_kinds() {
        for (names, wanted) in [
            (&b""[..], &[][..]),
            (b"security.selinux\0system.nfs4_acl\0", &[]),
            (b"security.capability\0", &["capabilities"]),
            (b"system.posix_acl_access\0system.posix_acl_default\0", &["ACLs"]),
            (b"user.a\0trusted.b\0security.capability\0", &["capabilities", "attributes"]),
        ] {
            assert_eq!(kinds(names).collect::<Vec<_>>(), wanted, "{names:?}");
        }
    }
}
