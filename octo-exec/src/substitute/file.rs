//! A file that is replaced whole, below a directory in which others may be at work: by
//! descriptors, through no link.

use super::fill::Filled;
use super::variables::LARGEST;
use crate::unpack::{Rules, Written, is_private, times};
use octo_core::Digest;
use octo_core::base::beneath;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::names::random_bytes;
use octo_core::base::paths::read_bounded;
use octo_core::base::publish::TEMPORARY_PREFIX;
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, fstat, futimens, openat,
    renameat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The kernel takes no longer path.
const LONGEST: usize = 4095;

/// Where a file is.
pub(super) struct Place {
    above: OwnedFd,
    name: OsString,
    path: PathBuf,
}

/// Its new content, which takes its place when it is published, and else is removed again.
pub(super) struct Staged {
    place: Place,
    name: Option<OsString>,
}

impl Place {
    /// Resolves a path below a directory, once.
    ///
    /// # Errors
    /// Exit 65 where it is no plain path, or leads by a link, onto another file system or to
    /// nothing; 74 where the system fails.
    pub(super) fn find(top: &OwnedFd, path: &str) -> Result<Place> {
        let is_plain =
            path.len() <= LONGEST && path.split('/').all(|step| !matches!(step, "" | "." | ".."));
        if !is_plain {
            let reason = "not a plain path: relative, without ., .. or //";
            return Err(Error::new(Exit::Data, path, reason));
        }
        let path = PathBuf::from(path);
        let above = match path.parent().filter(|above| !above.as_os_str().is_empty()) {
            None => top.try_clone().map_err(|e| Error::io(&path, &e))?,
            Some(above) => beneath::directory_in(top, above).map_err(|e| unopened(&path, e))?,
        };
        let name = path.file_name().unwrap_or_default().to_os_string();
        Ok(Place { above, name, path })
    }

    /// What it holds, and what it is.
    ///
    /// # Errors
    /// Exit 65 for what is no text file of at most 16 MiB.
    pub(super) fn read(&self) -> Result<(Zeroizing<Vec<u8>>, Stat)> {
        let opened = beneath::open(&self.above, Path::new(&self.name));
        let mut file = opened.map_err(|e| unopened(&self.path, e))?;
        let found = fstat(&file).map_err(|e| Error::io(&self.path, &e.into()))?;
        let none = |reason: &str| Error::new(Exit::Data, self.path.display(), reason);
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(none("not a regular file"));
        }
        let text = Zeroizing::new(read_bounded(&mut file, &self.path, LARGEST as u64)?);
        if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
            return Err(none("is UTF-16").hint("save it as UTF-8"));
        }
        match text.contains(&0) {
            true => Err(none("no text file: it holds a NUL")),
            false => Ok((text, found)),
        }
    }

    /// Writes the new content beside it.
    ///
    /// # Errors
    /// Exit 73 or 74, naming the path; nothing is left then.
    pub(super) fn stage(self, filled: &Filled, old: &Stat, rules: &mut Rules) -> Result<Staged> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut random = [0; 8];
        random_bytes(&mut random).map_err(|e| Error::doing("write", &self.path, &e))?;
        let name = OsString::from(format!("{TEMPORARY_PREFIX}{:016x}", u64::from_le_bytes(random)));
        let opened = openat(&self.above, &name, flags, Mode::from_raw_mode(0o600));
        let mut file = File::from(opened.map_err(|e| self.unwritten(e))?);
        let staged = Staged { place: self, name: Some(name) };
        let place = &staged.place;
        file.write_all(&filled.bytes).map_err(|e| Error::doing("write", &place.path, &e))?;
        place.own(&file, filled.is_secret, old, rules.group)?;
        if let Some(time) = place.time(filled, rules) {
            futimens(&file, &times(time)).map_err(|e| place.unwritten(e))?;
        }
        Ok(staged)
    }

    /// It is whose it was; the group first, whose members may look in no sooner than the
    /// others may not.
    fn own(&self, file: &File, is_secret: bool, old: &Stat, group: Option<u32>) -> Result<()> {
        let others = if is_secret { 0o770 } else { 0o777 };
        let mode = old.st_mode & others;
        let new = fstat(file).map_err(|e| self.unwritten(e))?;
        let group = group.filter(|_| is_private(mode)).unwrap_or(old.st_gid);
        let changed = |new: u32, wanted: u32| (new != wanted).then_some(wanted);
        let (uid, gid) = (changed(new.st_uid, old.st_uid), changed(new.st_gid, group));
        if uid.is_some() || gid.is_some() {
            fchown(file, uid.map(Uid::from_raw), gid.map(Gid::from_raw)).map_err(|e| {
                let reason = format!("can't give it its owner and group: {}", describe(&e.into()));
                Error::new(Exit::CannotCreate, self.path.display(), reason)
            })?;
        }
        fchmod(file, Mode::from_raw_mode(mode)).map_err(|e| self.unwritten(e))
    }

    /// That of the former release's, where it is the same; else what was said.
    fn time(&self, filled: &Filled, rules: &mut Rules) -> Option<(i64, u32)> {
        let said = rules.time.map(|seconds| (seconds, 0));
        let Some(former) = &mut rules.former else { return said };
        let new = Written {
            mode: 0,
            size: filled.bytes.len() as u64,
            digest: Digest::of(&filled.bytes),
            time: (0, 0),
        };
        former.time_of(self.path.as_os_str().as_encoded_bytes(), &new).or(said)
    }

    fn unwritten(&self, error: Errno) -> Error {
        Error::doing("write", &self.path, &error.into()).exit(Exit::Io)
    }
}

impl Staged {
    /// Lets it take the place of the old one.
    ///
    /// # Errors
    /// Exit 74; the old one is then still there.
    pub(super) fn publish(mut self) -> Result<()> {
        let Some(name) = self.name.take() else { return Ok(()) };
        let Place { above, name: old, .. } = &self.place;
        if let Err(error) = renameat(above, &name, above, old) {
            remove(above, &name);
            return Err(self.place.unwritten(error));
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            remove(&self.place.above, name);
        }
    }
}

/// What can't be removed is in nobody's way, and nobody else's to read.
fn remove(above: &OwnedFd, name: &OsStr) {
    let _ = unlinkat(above, name, AtFlags::empty());
}

fn unopened(path: &Path, error: Errno) -> Error {
    let reason = match error {
        Errno::LOOP | Errno::NOTDIR => "a link, or below what is no directory",
        Errno::XDEV => "on another file system",
        // A socket, or a device without a driver.
        Errno::NXIO | Errno::NODEV => "not a regular file",
        _ => return Error::io(path, &error.into()),
    };
    Error::new(Exit::Data, path.display(), reason)
}
