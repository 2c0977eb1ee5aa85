//! Which file it is that has a name: another one may take its place.

use super::beneath;
use std::fmt;
use std::path::Path;

/// What tells one file of a name from the next. Nobody sets the second, the time of the
/// last change of an inode: one that took over a free inode differs in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    inode: u64,
    changed: (i64, u64),
}

impl FileIdentity {
    /// Of what has this name now, a link itself; `None` where there is nothing.
    pub fn of(path: &Path) -> Option<FileIdentity> {
        let stat = beneath::look(path).ok()?;
        Some(FileIdentity { inode: stat.st_ino, changed: (stat.st_ctime, stat.st_ctime_nsec) })
    }
}

impl fmt::Display for FileIdentity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}.{:09}", self.inode, self.changed.0, self.changed.1)
    }
}
