//! The directory that an archive is unpacked into: whole, or as it was before.

use super::modes::Modes;
use octo_core::base::beneath;
use octo_core::base::cli::Tool;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::publish::parent;
use octo_core::base::remove::{self, PATIENCE};
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, Mode, mkdirat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(super) struct Destination {
    pub(super) path: PathBuf,
    directory: OwnedFd,
    /// What it is in, and its name there, if we made it.
    made: Option<(OwnedFd, OsString)>,
    is_kept: bool,
    /// Which says what it can't undo.
    tool: Tool,
}

impl Destination {
    /// Makes the directory, or takes one that is there and empty.
    ///
    /// # Errors
    /// Exit 73 where it can't be made, or holds something, 74 for a full disk.
    pub(super) fn new(path: &Path, modes: Modes, tool: &Tool) -> Result<Destination> {
        let failed = |e: Errno| Error::doing("create", path, &e.into());
        let name = path.file_name().ok_or_else(|| failed(Errno::EXIST))?;
        let above = beneath::top(parent(path)).map_err(failed)?;
        let made = match mkdirat(&above, name, Mode::from_raw_mode(modes.unnamed())) {
            Ok(()) => Some((above, name.to_os_string())),
            Err(Errno::EXIST) => None,
            Err(error) => return Err(failed(error)),
        };
        let directory = beneath::directory(path);
        let directory = directory.map_err(|e| failed(e).exit(Exit::CannotCreate))?;
        let found =
            Destination { path: path.to_path_buf(), directory, made, is_kept: false, tool: *tool };
        match found.names(1).map_err(failed)?.is_empty() {
            true => Ok(found),
            false => {
                // What somebody else put there stays.
                found.keep();
                Err(Error::new(Exit::CannotCreate, path.display(), "is not empty"))
            }
        }
    }

    /// What is written goes below it.
    ///
    /// # Errors
    /// Exit 74, without descriptors.
    pub(super) fn top(&self) -> Result<OwnedFd> {
        self.directory.try_clone().map_err(|e| Error::io(&self.path, &e))
    }

    /// It is whole, and stays.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }

    /// At most so many of the names in it.
    fn names(&self, most: usize) -> rustix::io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsStr::from_bytes(name).to_os_string());
            }
            if names.len() == most {
                break;
            }
        }
        Ok(names)
    }

    fn remove(&self) -> rustix::io::Result<()> {
        if let Some((above, name)) = &self.made {
            return remove::tree(above, name, PATIENCE);
        }
        loop {
            let names = self.names(1000)?;
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                remove::tree(&self.directory, &name, PATIENCE)?;
            }
        }
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = self.remove()
        {
            let why = describe(&error.into());
            self.tool.say(format!("{}: can't remove what is there: {why}", self.path.display()));
        }
    }
}
