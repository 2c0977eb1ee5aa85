//! A former release: the files of it that are still the same keep their times, by which
//! browsers, make(1) and Python tell what has changed.

use super::tree::{Time, Written};
use octo_core::base::beneath;
use octo_core::base::digest::Hasher;
use octo_core::base::error::{Error, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Stat, fstat, readlinkat, statat};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(crate) struct Former {
    top: OwnedFd,
    buffer: Vec<u8>,
}

impl Former {
    /// Opens it; it may be a link, as `current` is.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn open(path: &Path) -> Result<Former> {
        let top = beneath::top(path).map_err(|e| Error::io(path, &e.into()))?;
        Ok(Former { top, buffer: vec![0; 64 * 1024] })
    }

    /// The time of the file at this path, if it holds the same bytes; they are read, since
    /// its size and time alone prove nothing.
    pub(crate) fn time_of(&mut self, path: &[u8], new: &Written) -> Option<Time> {
        let mut file = beneath::open(&self.top, Path::new(OsStr::from_bytes(path))).ok()?;
        let found = fstat(&file).ok()?;
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        if !is_file || u64::try_from(found.st_size) != Ok(new.size) {
            return None;
        }
        self.has_digest(&mut file, new).then(|| time_in(&found))
    }

    fn has_digest(&mut self, file: &mut File, new: &Written) -> bool {
        let mut hasher = Hasher::new();
        // One that grows meanwhile has another digest, or an end.
        let mut left = new.size.saturating_add(1);
        loop {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            match file.read(&mut self.buffer[..most]) {
                Ok(0) => return hasher.finish() == new.digest,
                Ok(count) => {
                    hasher.update(&self.buffer[..count]);
                    left = left.saturating_sub(count as u64);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// The time of the link at this path, if it leads to the same.
    pub(super) fn time_of_link(&self, path: &[u8], target: &[u8]) -> Option<Time> {
        let path = Path::new(OsStr::from_bytes(path));
        let name = path.file_name()?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        match above {
            Some(above) => link_in(beneath::directory_in(&self.top, above).ok()?, name, target),
            None => link_in(&self.top, name, target),
        }
    }
}

fn link_in(above: impl AsFd, name: &OsStr, target: &[u8]) -> Option<Time> {
    let found = readlinkat(&above, name, Vec::new()).ok()?;
    let stat = statat(&above, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    (found.as_bytes() == target).then(|| time_in(&stat))
}

/// The last change of its bytes.
pub(super) fn time_in(stat: &Stat) -> Time {
    (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0))
}

/// The last change of anything of it.
pub(super) fn changed_in(stat: &Stat) -> Time {
    (stat.st_ctime, u32::try_from(stat.st_ctime_nsec).unwrap_or(0))
}
