//! A former release: the files of it that are still the same keep their times, by which
//! browsers, make(1) and Python tell what has changed.

use super::manifest::{Item, Manifest};
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
    known: Option<Earlier>,
    buffer: Vec<u8>,
}

impl Former {
    /// Opens it; it may be a link, as `current` is. With its manifest, if there is one, files
    /// that nobody has touched since are not read.
    ///
    /// # Errors
    /// The system's, for the release.
    pub(super) fn open(path: &Path, manifest: Option<&Path>) -> Result<Former> {
        let top = beneath::top(path).map_err(|e| Error::io(path, &e.into()))?;
        let known = manifest.and_then(|manifest| Earlier::read(manifest).ok());
        Ok(Former { top, known, buffer: vec![0; 64 * 1024] })
    }

    /// What the paths of its files are below.
    pub(super) fn top(&self) -> &OwnedFd {
        &self.top
    }

    /// The file at this path, if it is one of so many bytes.
    pub(super) fn file(&self, path: &[u8], size: u64) -> Option<(File, Stat)> {
        let file = beneath::open(&self.top, Path::new(OsStr::from_bytes(path))).ok()?;
        let found = fstat(&file).ok()?;
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        (is_file && u64::try_from(found.st_size) == Ok(size)).then_some((file, found))
    }

    /// The time of the file at this path, if it holds the same bytes; they are read, unless
    /// they are known, since its size and time alone prove nothing.
    pub(crate) fn time_of(&mut self, path: &[u8], new: &Written) -> Option<Time> {
        let (mut file, found) = self.file(path, new.size)?;
        let is_same = match self.known.as_ref().and_then(|known| known.of(path, &found)) {
            Some(known) => known.digest == new.digest,
            None => self.has_digest(&mut file, new),
        };
        is_same.then(|| time_in(&found))
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

/// A manifest of a release that is still there, and when it was written.
pub(super) struct Earlier {
    manifest: Manifest,
    written: Time,
}

impl Earlier {
    /// # Errors
    /// Exit 65 for what is no manifest; the system's.
    pub(super) fn read(path: &Path) -> Result<Earlier> {
        let stat = rustix::fs::stat(path).map_err(|e| Error::io(path, &e.into()))?;
        Ok(Earlier { manifest: Manifest::read(path)?, written: time_in(&stat) })
    }

    /// What it says of a file that nobody has touched since: the kernel sets the time of a
    /// change (st_ctime of inode(7)), and who owns a file can't set it back. One of the same
    /// tick of the clock may have been touched just behind it.
    pub(super) fn of(&self, path: &[u8], stat: &Stat) -> Option<Written> {
        let Some(Item::File(written)) = self.manifest.0.get(path) else { return None };
        let changed = changed_in(stat);
        let is_same = u64::try_from(stat.st_size) == Ok(written.size)
            && stat.st_mode & 0o7777 == written.mode
            && time_in(stat) == written.time;
        (changed < self.written && is_same).then_some(*written)
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
