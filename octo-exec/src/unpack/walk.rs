//! A release as it lies on the disk, which others may be changing: by descriptors, through
//! no link and onto no other file system.

use super::former::{Earlier, time_in};
use super::manifest::Item;
use super::tree::Written;
use octo_core::base::beneath;
use octo_core::base::digest::Digest;
use octo_core::base::error::{Error, Exit, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// So many directories within each other; an archive has no more.
const DEEPEST: usize = 255;

/// What is at a path.
pub(crate) enum Found {
    /// Whether its directory is to be looked into, says who asks.
    Item(Item),
    /// A FIFO, socket or device; or a file that can't be as it is expected.
    Other,
    /// What can't be read.
    Closed,
    /// Gone while it was looked at, or another file system.
    Odd,
}

pub(crate) struct Walk<'a> {
    path: PathBuf,
    earlier: Option<Earlier>,
    expected: Option<&'a BTreeMap<Vec<u8>, Item>>,
    left: u64,
    entries: u64,
}

impl<'a> Walk<'a> {
    /// Of the release here.
    pub(crate) fn new(path: &Path, entries: u64) -> Walk<'a> {
        Walk { path: path.to_path_buf(), earlier: None, expected: None, left: entries, entries }
    }

    /// Reads no more than it takes to tell what is there from this.
    pub(super) fn beside(self, expected: &'a BTreeMap<Vec<u8>, Item>) -> Walk<'a> {
        Walk { expected: Some(expected), ..self }
    }

    /// May a file of this size and mode be what is expected?
    fn may_be_expected(&self, path: &[u8], stat: &Stat) -> bool {
        let Some(expected) = self.expected else { return true };
        matches!(expected.get(path), Some(Item::File(written))
            if u64::try_from(stat.st_size) == Ok(written.size)
                && stat.st_mode & 0o7777 == written.mode)
    }

    /// Believes what is known of files that are as they were.
    pub(super) fn since(self, earlier: Option<Earlier>) -> Walk<'a> {
        Walk { earlier, ..self }
    }

    /// Hands on each path, in no order, and looks into those directories for which it is
    /// told to.
    ///
    /// # Errors
    /// Exit 65 where it holds too much, else the system's, naming the path; what `each` says.
    pub(crate) fn each(
        mut self,
        mut each: impl FnMut(Vec<u8>, Found) -> Result<bool>,
    ) -> Result<()> {
        // As of `current`, the release itself may be named by a link.
        let top = std::fs::canonicalize(&self.path).and_then(|top| Ok(beneath::directory(&top)?));
        let top = top.map_err(|e| Error::io(&self.path, &e))?;
        self.look(&top, &[], DEEPEST, &mut each)
    }

    fn look(
        &mut self,
        directory: &OwnedFd,
        path: &[u8],
        deeper: usize,
        each: &mut impl FnMut(Vec<u8>, Found) -> Result<bool>,
    ) -> Result<()> {
        let entries = Dir::read_from(directory).map_err(|e| self.failed(path, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| self.failed(path, e))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let below = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                let entries = self.entries;
                Error::new(Exit::Data, self.path.display(), format!("more than {entries} entries"))
            })?;
            let (found, inner) = self.found(directory, name, &below)?;
            if each(below.clone(), found)?
                && let Some(inner) = inner
            {
                let deeper = deeper
                    .checked_sub(1)
                    .ok_or_else(|| self.failed(&below, Errno::NAMETOOLONG).exit(Exit::Data))?;
                self.look(&inner, &below, deeper, each)?;
            }
        }
        Ok(())
    }

    fn failed(&self, path: &[u8], error: Errno) -> Error {
        Error::io(&self.path.join(OsStr::from_bytes(path)), &error.into())
    }

    /// What is there, and a directory opened.
    fn found(&self, above: &OwnedFd, name: &[u8], path: &[u8]) -> Result<(Found, Option<OwnedFd>)> {
        let name = OsStr::from_bytes(name);
        let found = match statat(above, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => self.item(above, name, &stat, path),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => Ok(found),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::XDEV | Errno::NXIO) => {
                Ok((Found::Odd, None))
            }
            // Whoever made it so that it can't be read must not hide what else has changed.
            Err(Errno::ACCESS) => Ok((Found::Closed, None)),
            Err(error) => Err(self.failed(path, error)),
        }
    }

    fn item(
        &self,
        above: &OwnedFd,
        name: &OsStr,
        stat: &Stat,
        path: &[u8],
    ) -> rustix::io::Result<(Found, Option<OwnedFd>)> {
        let name_in = Path::new(name);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let inner = beneath::directory_in(above, name_in)?;
                let mode = fstat(&inner)?.st_mode & 0o777;
                Ok((Found::Item(Item::Directory { mode }), Some(inner)))
            }
            FileType::Symlink => {
                let target = readlinkat(above, name, Vec::new())?.into_bytes();
                Ok((Found::Item(Item::Link { target }), None))
            }
            FileType::RegularFile => {
                if !self.may_be_expected(path, stat) {
                    return Ok((Found::Other, None));
                }
                if let Some(written) = self.earlier.as_ref().and_then(|e| e.of(path, stat)) {
                    return Ok((Found::Item(Item::File(written)), None));
                }
                let file = beneath::open(above, name_in)?;
                let stat = fstat(&file)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                    return Ok((Found::Odd, None));
                }
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                // One that grows for ever is read no longer than it was.
                let read = Digest::of_reader(&mut file.take(size));
                let (digest, size) =
                    read.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
                let mode = stat.st_mode & 0o7777;
                Ok((
                    Found::Item(Item::File(Written { mode, size, digest, time: time_in(&stat) })),
                    None,
                ))
            }
            _ => Ok((Found::Other, None)),
        }
    }
}
