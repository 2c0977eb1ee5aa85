//! One directory after another becomes octo-exec's, then what is in it is looked at: by
//! then nobody else can swap a name there.
//!
//! Until all in it is right, a directory that another user could write to has the sticky
//! bit: whoever comes after a kill still doubts what it holds. Of a file that the
//! listener owns a copy is taken, since it may hold the file open; one of octo-exec's
//! that the listener could not read becomes readable by no name that the listener gave it.

use crate::base::error::{Error, Exit, Result};
use crate::base::publish::TEMPORARY_PREFIX;
use crate::base::remove;
use crate::tentacle::layout::rights::{Parties, Right, mode_of, type_of};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, fstat, openat, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The mode of a directory that is being taken over.
const TAKEN: u32 = 0o1711;

/// A file may have so many bytes more than the disk holds of it: small ones lie elsewhere.
const INLINE: u64 = 1 << 20;

/// What is under way.
pub(super) struct Work<'a> {
    pub(super) parties: Parties,
    pub(super) say: &'a mut dyn FnMut(&str) -> Result<()>,
}

/// A directory that is octo-exec's by now.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
    /// Nobody else could write to it.
    pub(super) is_trusted: bool,
    /// What was done in it.
    pub(super) done: Vec<String>,
}

impl Directory {
    pub(super) fn look(&self, name: &str) -> Result<Option<Stat>> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            other => other.map(Some).map_err(|e| self.failed(name, e)),
        }
    }

    pub(super) fn failed(&self, name: &str, error: Errno) -> Error {
        failed(&self.path.join(name), error)
    }

    pub(super) fn names(&self) -> Result<Vec<String>> {
        let names = crate::tentacle::layout::names_in(&self.fd);
        names.map_err(|e| failed(&self.path, e))
    }

    pub(super) fn note(&mut self, what: impl Into<String>) {
        self.done.push(what.into());
    }

    /// Removes a name and what it holds; what it leads to stays as it is.
    pub(super) fn remove(&mut self, name: &str, why: &str) -> Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => self.note(format!("{name} removed: {why}")),
            // A directory in the place of a file.
            Err(Errno::ISDIR | Errno::PERM) => {
                remove::tree(&self.fd, name.as_ref(), remove::PATIENCE)
                    .map_err(|e| self.failed(name, e))?;
                self.note(format!("{name} removed: {why}"));
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(self.failed(name, error)),
        }
        Ok(())
    }

    /// Opens a file to read it, whoever made it.
    pub(super) fn open(&self, name: &str) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = openat(&self.fd, name, flags | OFlags::NOCTTY, Mode::empty());
        opened.map(File::from).map_err(|e| self.failed(name, e))
    }

    /// Writes a file that appears whole, durably, with its owner and mode.
    pub(super) fn write(
        &self,
        name: &str,
        right: &Right,
        mode: u32,
        gid: u32,
        fill: &mut dyn FnMut(&mut File) -> std::io::Result<()>,
    ) -> Result<()> {
        let staged = format!("{TEMPORARY_PREFIX}{name}");
        match unlinkat(&self.fd, &staged, AtFlags::empty()) {
            Err(error) if error != Errno::NOENT => return Err(self.failed(&staged, error)),
            _ => {}
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let opened = openat(&self.fd, &staged, flags, Mode::from_raw_mode(0o600));
        let mut file = File::from(opened.map_err(|e| self.failed(name, e))?);
        let filled = fill(&mut file).map_err(|e| Error::doing("create", &self.path.join(name), &e));
        let finished = filled.and_then(|()| {
            give(&file, right.uid, gid, mode).map_err(|e| self.failed(name, e))?;
            file.sync_all().map_err(|e| Error::io(&self.path.join(name), &e))?;
            renameat(&self.fd, &staged, &self.fd, name).map_err(|e| self.failed(name, e))
        });
        if finished.is_err() {
            let _ = unlinkat(&self.fd, &staged, AtFlags::empty());
        }
        finished
    }
}

impl Work<'_> {
    /// Opens a directory below one that is octo-exec's, and makes it octo-exec's.
    pub(super) fn take(
        &self,
        above: impl AsFd,
        name: impl AsRef<Path>,
        path: PathBuf,
    ) -> Result<Directory> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match openat(above, name.as_ref(), flags, Mode::empty()) {
            Err(Errno::LOOP | Errno::NOTDIR) => {
                let error = Error::new(Exit::Configuration, path.display(), "is not a directory");
                return Err(error.hint(format!("mv {} elsewhere", path.display())));
            }
            other => other.map_err(|e| failed(&path, e))?,
        };
        let stat = fstat(&fd).map_err(|e| failed(&path, e))?;
        let Parties { executor, listener } = self.parties;
        if stat.st_uid != executor.uid && stat.st_uid != listener.uid {
            let reason = format!(
                "is owned by uid {}: neither octo-exec's ({}) nor the listener's ({})",
                stat.st_uid, executor.uid, listener.uid
            );
            return Err(Error::new(Exit::Configuration, path.display(), reason).hint(format!(
                "chown {} {}",
                executor.uid,
                path.display()
            )));
        }
        let mut directory = Directory { fd, path, is_trusted: true, done: Vec::new() };
        if stat.st_uid != executor.uid || mode_of(&stat) & 0o1022 != 0 {
            directory.is_trusted = false;
            // The mode first: a kill in between must not leave one that looks trusted.
            let mode = Mode::from_raw_mode(TAKEN);
            let taken = fchmod(&directory.fd, mode)
                .and_then(|()| give(&directory.fd, executor.uid, listener.gid, TAKEN));
            taken.map_err(|e| failed(&directory.path, e))?;
            if stat.st_uid != executor.uid {
                directory.note(format!("uid {} instead of {}", executor.uid, stat.st_uid));
            }
        }
        Ok(directory)
    }

    /// All in it is right: now it is, too. Says what was done.
    pub(super) fn finish(&mut self, mut directory: Directory, right: &Right) -> Result<()> {
        let error = |e| failed(&directory.path, e);
        let stat = fstat(&directory.fd).map_err(error)?;
        if right.fault(&stat).is_some() {
            let (gid, mode) = (right.gid.unwrap_or(stat.st_gid), right.modes[0]);
            give(&directory.fd, right.uid, gid, mode).map_err(error)?;
            let what = format!("{}:{gid} {mode:04o}", right.uid);
            directory.note(what);
        }
        if directory.done.is_empty() {
            return Ok(());
        }
        rustix::fs::fsync(&directory.fd).map_err(|e| failed(&directory.path, e))?;
        (self.say)(&format!("{}: {}", directory.path.display(), directory.done.join("; ")))
    }

    /// Makes a regular file right, if it is there and can be believed; removes it else.
    pub(super) fn file(
        &self,
        directory: &mut Directory,
        name: &str,
        right: &Right,
        check: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<()> {
        let Some(stat) = directory.look(name)? else { return Ok(()) };
        if type_of(&stat) != FileType::RegularFile {
            return directory.remove(name, "it is not a regular file");
        }
        let has_second_name = stat.st_nlink > 1;
        if right.fault(&stat).is_none() && (directory.is_trusted || !has_second_name) {
            return Ok(());
        }
        if let Some(why) = self.doubt(directory, &stat, right) {
            return directory.remove(name, why);
        }
        let (gid, mode) = (right.gid.unwrap_or(stat.st_gid), right.mode_for(mode_of(&stat)));
        let file = directory.open(name)?;
        if stat.st_uid == right.uid && !has_second_name {
            give(&file, right.uid, gid, mode).map_err(|e| directory.failed(name, e))?;
        } else {
            self.copy(directory, name, file, right, (gid, mode), check)?;
        }
        directory.note(format!("{name} {}:{gid} {mode:04o}", right.uid));
        Ok(())
    }

    /// Why this must not become a file that others read; whatever its directory held was
    /// named by the listener.
    fn doubt(&self, directory: &Directory, stat: &Stat, right: &Right) -> Option<&'static str> {
        let mode = mode_of(stat);
        if directory.is_trusted {
            return None;
        }
        if stat.st_nlink > 1 {
            return Some("it has a second name");
        }
        let listener = self.parties.listener;
        let could_read = mode & 0o004 != 0
            || stat.st_uid == listener.uid
            || (stat.st_gid == listener.gid && mode & 0o040 != 0);
        let target = right.mode_for(mode);
        let changes_group = right.gid.is_some_and(|gid| gid != stat.st_gid);
        let gets_wider = changes_group && target & 0o040 != 0 || target & !mode & 0o044 != 0;
        if (gets_wider || stat.st_uid != right.uid) && !could_read {
            return Some("the listener could not read it, and could have named it so");
        }
        has_holes(stat).then_some("it has holes")
    }

    /// A file of its own, which nobody holds open.
    pub(super) fn copy(
        &self,
        directory: &Directory,
        name: &str,
        file: File,
        right: &Right,
        (gid, mode): (u32, u32),
        check: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<()> {
        let size = file.metadata().map_err(|e| Error::io(&directory.path.join(name), &e))?.len();
        let mut from = Some(file.take(size));
        directory.write(name, right, mode, gid, &mut |to| {
            let Some(mut from) = from.take() else { return Ok(()) };
            let mut buffer = vec![0; 256 * 1024];
            loop {
                let count = from.read(&mut buffer)?;
                // At the end it is asked about all of it: nothing that is wrong appears.
                if !check(&buffer[..count]) {
                    return Err(std::io::ErrorKind::InvalidData.into());
                }
                if count == 0 {
                    return Ok(());
                }
                to.write_all(&buffer[..count])?;
            }
        })
    }
}

/// Would a copy of it take far more room?
pub(super) fn has_holes(stat: &Stat) -> bool {
    stat.st_blocks as u64 * 512 + INLINE < stat.st_size as u64
}

/// The owner first: that clears bits of the mode.
pub(super) fn give(file: impl AsFd, uid: u32, gid: u32, mode: u32) -> rustix::io::Result<()> {
    let stat = fstat(&file)?;
    let changed = |new: u32, old: u32| (new != old).then_some(new);
    let (uid, gid) = (changed(uid, stat.st_uid), changed(gid, stat.st_gid));
    if uid.is_some() || gid.is_some() {
        fchown(&file, uid.map(Uid::from_raw), gid.map(Gid::from_raw))?;
    }
    fchmod(&file, Mode::from_raw_mode(mode))
}

pub(super) fn failed(path: &Path, error: Errno) -> Error {
    let error_of = Error::doing("set up", path, &error.into());
    match error {
        Errno::PERM | Errno::ACCESS => error_of.hint("run octo-exec setup as root"),
        _ => error_of,
    }
}
