//! Files below a directory that somebody else may write to: their names are resolved
//! once, beneath a descriptor, through no link and onto no other file system.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// How anything is opened that others have named: a FIFO must not hold us, a terminal
/// not become ours.
const ALWAYS: OFlags =
    OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Opens a directory itself, not what a link in its place leads to.
///
/// # Errors
/// The system's; ELOOP or ENOTDIR for a link.
pub fn directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | ALWAYS, Mode::empty())
}

/// Opens a directory of which no link is feared, as what others' names are below: it
/// may be a link, and need not be readable.
///
/// # Errors
/// The system's.
pub fn top(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// Opens a directory below one.
///
/// # Errors
/// As [`open`].
pub fn directory_in(top: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    resolve(top, path, OFlags::RDONLY | OFlags::DIRECTORY | ALWAYS)
}

/// Opens what is at this path below a directory, to read it; whether it is a file is
/// the caller's to look at, on the descriptor.
///
/// # Errors
/// The system's: ELOOP for a link on the way, EXDEV for a way out.
pub fn open(top: impl AsFd, path: &Path) -> rustix::io::Result<File> {
    resolve(top, path, OFlags::RDONLY | ALWAYS).map(File::from)
}

fn resolve(top: impl AsFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match openat2(&top, path, flags, Mode::empty(), how) {
        // Before Linux 5.6, and where a filter of system calls doesn't know it.
        Err(Errno::NOSYS | Errno::PERM) => one_by_one(top, path, flags),
        other => other,
    }
}

/// The same by a system call a component.
fn one_by_one(top: impl AsFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let device = fstat(&top)?.st_dev;
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) if !name.as_bytes().contains(&0) => names.push(name),
            _ => return Err(Errno::XDEV),
        }
    }
    let (last, way) = names.split_last().ok_or(Errno::NOENT)?;
    let mut directory: Option<OwnedFd> = None;
    let in_it = |directory: &Option<OwnedFd>, name: &&std::ffi::OsStr, flags| {
        let opened = match directory {
            Some(directory) => openat(directory, *name, flags, Mode::empty()),
            None => openat(&top, *name, flags, Mode::empty()),
        }?;
        if fstat(&opened)?.st_dev == device { Ok(opened) } else { Err(Errno::XDEV) }
    };
    for name in way {
        directory = Some(in_it(&directory, name, OFlags::PATH | OFlags::DIRECTORY | ALWAYS)?);
    }
    in_it(&directory, last, flags)
}

/// The metadata of a path itself, whatever it is.
///
/// # Errors
/// The system's.
pub fn look(path: &Path) -> rustix::io::Result<rustix::fs::Stat> {
    rustix::fs::statat(CWD, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn both_ways_lead_to_the_same_and_neither_leads_out() {
        let top = tempfile::tempdir().expect("tempdir");
        let below = top.path().join("a/b");
        std::fs::create_dir_all(&below).expect("mkdir");
        std::fs::write(below.join("file"), "x").expect("write");
        std::fs::write(top.path().join("outside"), "x").expect("write");
        symlink("file", below.join("link")).expect("symlink");
        symlink("b", top.path().join("a/way")).expect("symlink");
        symlink("/proc/self/status", below.join("out")).expect("symlink");
        let directory = directory(&top.path().join("a")).expect("a directory");
        for (path, error) in [
            ("b/file", None),
            ("b/link", Some(Errno::LOOP)),
            ("b/out", Some(Errno::LOOP)),
            ("way/file", Some(Errno::LOOP)),
            ("../outside", Some(Errno::XDEV)),
            ("/proc/self/status", Some(Errno::XDEV)),
            ("b/none", Some(Errno::NOENT)),
        ] {
            let at_once = open(&directory, Path::new(path)).err();
            assert_eq!(at_once, error, "{path}");
            let flags = OFlags::RDONLY | ALWAYS;
            let slowly = one_by_one(&directory, Path::new(path), flags).err();
            // A link in the middle of the way is no directory.
            let same = slowly == error || (path == "way/file" && slowly == Some(Errno::NOTDIR));
            assert!(same, "{path}: {slowly:?}");
        }
        let link = top.path().join("a/way");
        assert!(super::directory(&link).is_err());
        assert_eq!(look(&link).map(|_| ()), Ok(()));
    }
}
