//! Writes a release below its directory, by descriptors: no name of it is followed anywhere.

use super::super::former::Former;
use super::super::modes::{Modes, is_private};
use super::super::tree::{Id, Node, TOP, Time, Tree, Written};
use octo_core::base::beneath;
use octo_core::base::error::{Error, Exit, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, fchmod, fchown, futimens, linkat,
    mkdirat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Which times and group what is written gets.
pub(crate) struct Rules {
    /// In place of the archive's own.
    pub(crate) time: Option<i64>,
    pub(crate) former: Option<Former>,
    /// What is the same there is not written, but gets a second name.
    pub(crate) links: bool,
    /// Of what is private; else that which new files get there.
    pub(crate) group: Option<u32>,
}

pub(crate) struct Writer {
    pub(super) path: PathBuf,
    top: OwnedFd,
    /// The directory that was written to last.
    last: Option<(Id, OwnedFd)>,
    pub(super) rules: Rules,
    /// Which new files get by themselves.
    pub(super) group: u32,
}

/// Where a file is written to.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) above: Id,
    pub(crate) name: &'a [u8],
    pub(crate) mode: u32,
}

/// A file that is being written.
pub(crate) struct Open {
    file: OwnedFd,
    pub(super) path: Vec<u8>,
}

impl Writer {
    /// # Errors
    /// Exit 73 where the directory can't be given to the group.
    pub(crate) fn new(path: &Path, top: OwnedFd, rules: Rules, modes: Modes) -> Result<Writer> {
        let group = rustix::fs::fstat(&top).map_err(|e| Error::io(path, &e.into()))?.st_gid;
        let writer = Writer { path: path.to_path_buf(), top, last: None, rules, group };
        let mode = modes.unnamed();
        if writer.rules.group.is_some() && is_private(mode) {
            writer.own(&writer.top, mode, b"")?;
        }
        Ok(writer)
    }

    /// An error of the system over something below the release.
    pub(super) fn failed<'a>(
        &'a self,
        action: &'static str,
        path: &'a [u8],
    ) -> impl Fn(Errno) -> Error + use<'a> {
        move |error| Error::doing(action, &self.path.join(OsStr::from_bytes(path)), &error.into())
    }

    pub(super) fn directory(&mut self, tree: &Tree, id: Id) -> Result<BorrowedFd<'_>> {
        if id == TOP {
            return Ok(self.top.as_fd());
        }
        if self.last.as_ref().is_none_or(|(last, _)| *last != id) {
            let path = tree.path(id);
            let opened = beneath::directory_in(&self.top, Path::new(OsStr::from_bytes(&path)));
            self.last = Some((id, opened.map_err(self.failed("create", &path))?));
        }
        Ok(self.last.as_ref().map_or(self.top.as_fd(), |(_, fd)| fd.as_fd()))
    }

    /// Makes a directory, and gives it its group and mode.
    pub(crate) fn make_directory(&mut self, tree: &Tree, to: Place<'_>) -> Result<()> {
        let (name, mode) = (OsStr::from_bytes(to.name), Mode::from_raw_mode(to.mode));
        let made = mkdirat(self.directory(tree, to.above)?, name, mode);
        made.map_err(|e| self.failed("create", &below(tree, to.above, to.name))(e))?;
        match self.rules.group {
            Some(_) if is_private(to.mode) => self.change_directory(tree, to),
            _ => Ok(()),
        }
    }

    /// Of a directory that was made for what is below it, and is named now.
    pub(crate) fn change_directory(&mut self, tree: &Tree, to: Place<'_>) -> Result<()> {
        let (path, name) = (below(tree, to.above, to.name), Path::new(OsStr::from_bytes(to.name)));
        let opened = beneath::directory_in(self.directory(tree, to.above)?, name);
        let opened = opened.map_err(self.failed("create", &path))?;
        self.own(&opened, to.mode, &path)
    }

    /// The group first: its members may look in no sooner than the others may not.
    fn own(&self, file: &OwnedFd, mode: u32, path: &[u8]) -> Result<()> {
        let group = self.rules.group.filter(|_| is_private(mode));
        if let Some(group) = group {
            fchown(file, None, Some(Gid::from_raw(group)))
                .map_err(|e| self.failed("give to the group", path)(e).exit(Exit::CannotCreate))?;
        }
        // A group that is inherited stays so.
        let found = rustix::fs::fstat(file).map_err(self.failed("create", path))?;
        let inherited = found.st_mode & 0o2000;
        fchmod(file, Mode::from_raw_mode(mode | inherited)).map_err(self.failed("create", path))
    }

    /// Begins a file, which must not be there.
    pub(super) fn create(
        &mut self,
        tree: &Tree,
        Place { above, name, mode }: Place<'_>,
    ) -> Result<Open> {
        let is_given = self.rules.group.is_some() && is_private(mode);
        let first = if is_given { mode & 0o700 } else { mode };
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(
            self.directory(tree, above)?,
            OsStr::from_bytes(name),
            flags,
            Mode::from_raw_mode(first),
        );
        let path = below(tree, above, name);
        let file = opened.map_err(self.failed("create", &path))?;
        if is_given {
            self.own(&file, mode, &path)?;
        }
        Ok(Open { file, path })
    }

    /// Goes on with these bytes.
    pub(super) fn write(&self, open: &Open, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(&open.file, bytes) {
                Ok(0) => return Err(self.failed("write", &open.path)(Errno::NOSPC)),
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.failed("write", &open.path)(error).exit(Exit::Io)),
            }
        }
        Ok(())
    }

    /// Gives a file its time, which is in what this returns.
    pub(super) fn finish(&self, open: Open, written: Written) -> Result<Written> {
        let time = self.time(written.time);
        let set = futimens(&open.file, &times(time));
        set.map_err(self.failed("set the time", &open.path))?;
        Ok(Written { time, ..written })
    }

    /// Gives a file the time that it had in the former release, if it is the same.
    pub(crate) fn keep_time(&mut self, tree: &Tree, id: Id, written: Written) -> Result<Written> {
        let Some(former) = &mut self.rules.former else { return Ok(written) };
        let path = tree.path(id);
        let Some(time) = former.time_of(&path, &written) else { return Ok(written) };
        let above = self.directory(tree, tree.above(id))?;
        let name = OsStr::from_bytes(tree.name(id));
        let set = utimensat(above, name, &times(time), AtFlags::SYMLINK_NOFOLLOW);
        set.map_err(self.failed("set the time", &path))?;
        Ok(Written { time, ..written })
    }

    fn time(&self, own: Time) -> Time {
        self.rules.time.map_or(own, |seconds| (seconds, 0))
    }

    /// Gives a file a second name.
    pub(crate) fn link(&mut self, tree: &Tree, old: Id, above: Id, name: &[u8]) -> Result<()> {
        let path = below(tree, above, name);
        let to = self.directory(tree, above)?.try_clone_to_owned();
        let to = to.map_err(|e| Error::io(&self.path, &e))?;
        let from = self.directory(tree, tree.above(old))?;
        let linked = linkat(
            from,
            OsStr::from_bytes(tree.name(old)),
            to,
            OsStr::from_bytes(name),
            AtFlags::empty(),
        );
        linked.map_err(self.failed("create", &path))
    }

    /// Makes the links, which were looked at by then, and gives all directories their times.
    pub(crate) fn finish_tree(&mut self, tree: &Tree) -> Result<()> {
        for id in tree.all() {
            if let Node::Link { target, time } = tree.node(id) {
                self.symlink(tree, id, target, *time)?;
            }
        }
        for id in tree.all().chain([TOP]) {
            let Node::Directory { time, .. } = tree.node(id) else { continue };
            let time = time.or(self.rules.time.map(|seconds| (seconds, 0)));
            if let Some(time) = time {
                let time = self.time(time);
                let set = futimens(self.directory(tree, id)?, &times(time));
                set.map_err(|e| self.failed("set the time", &tree.path(id))(e))?;
            }
        }
        Ok(())
    }

    fn symlink(&mut self, tree: &Tree, id: Id, target: &[u8], own: Time) -> Result<()> {
        let path = tree.path(id);
        let kept = self.rules.former.as_ref().and_then(|f| f.time_of_link(&path, target));
        let time = kept.unwrap_or_else(|| self.time(own));
        let above = self.directory(tree, tree.above(id))?;
        let name = OsStr::from_bytes(tree.name(id));
        let made = symlinkat(OsStr::from_bytes(target), above, name)
            .and_then(|()| utimensat(above, name, &times(time), AtFlags::SYMLINK_NOFOLLOW));
        made.map_err(self.failed("create", &path))
    }

    /// Brings all of it to the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        rustix::fs::syncfs(&self.top).map_err(self.failed("write", b""))
    }
}

pub(super) fn below(tree: &Tree, above: Id, name: &[u8]) -> Vec<u8> {
    let mut path = tree.path(above);
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// To set a time by, and leave that of the last reading alone.
pub(crate) fn times((seconds, nanoseconds): Time) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() },
    }
}
