//! A file of the former release that may become a file of the new one, too.

use super::super::former::changed_in;
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, Stat, fstat, statat};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// So much of it is compared at once.
pub(super) const AT_ONCE: usize = 64 * 1024;

/// What a former release has at the path of a new file.
pub(crate) struct Twin {
    pub(super) file: File,
    pub(super) stat: Stat,
    /// So many of its bytes have come, in whole pieces.
    pub(super) same: u64,
}

impl Twin {
    /// Does it go on with these bytes?
    pub(super) fn goes_on(&mut self, piece: &[u8]) -> bool {
        let mut buffer = [0; AT_ONCE];
        let mut at = self.same;
        for part in piece.chunks(AT_ONCE) {
            let found = &mut buffer[..part.len()];
            // What can't be read, or ends here, is another.
            if self.file.read_exact_at(found, at).is_err() || found != part {
                return false;
            }
            at += part.len() as u64;
        }
        self.same = at;
        true
    }

    /// Nobody has touched it since it was opened: what was compared is what it has.
    pub(super) fn is_untouched(&self) -> bool {
        fstat(&self.file).is_ok_and(|now| changed_in(&now) == changed_in(&self.stat))
    }

    /// Is this a name of it?
    pub(super) fn is_at(&self, above: impl AsFd, name: &OsStr) -> bool {
        let found = statat(above, name, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|at| (at.st_dev, at.st_ino) == (self.stat.st_dev, self.stat.st_ino))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_touched_while_it_is_compared_is_known() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "text").expect("write");
        let opened = File::open(file.path()).expect("open");
        let stat = fstat(&opened).expect("stat");
        let mut twin = Twin { file: opened, stat, same: 0 };
        assert!(twin.goes_on(b"te") && twin.goes_on(b"xt") && twin.is_untouched());
        assert!(!twin.goes_on(b"s"));
        // The clock of a file system goes on by steps.
        while twin.is_untouched() {
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(file.path(), mode).expect("chmod");
        }
        let (above, name) = (file.path().parent(), file.path().file_name());
        let above = File::open(above.expect("a directory")).expect("open");
        assert!(twin.is_at(&above, name.expect("a name")));
        std::fs::remove_file(file.path()).expect("rm");
        std::fs::write(file.path(), "text").expect("write");
        assert!(!twin.is_at(&above, name.expect("a name")));
    }
}
