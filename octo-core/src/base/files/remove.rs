//! Removing a tree that somebody else has made, and may still be making.
//!
//! By descriptors alone: no name is followed. Each directory becomes ours before its names
//! are looked at, so that nobody adds one. What is in a directory of the tree is moved up
//! to the top of it, level by level: a tree of a million levels takes no more memory and
//! descriptors than a flat one. Who goes on below a directory that he has open can be faster
//! than that, so that it ends some time.

use super::beneath;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, Mode, Uid, fchmod, fchown, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// For a tree that nobody waits for.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// So many names are held in memory: whoever made the tree may have given it millions.
const AT_ONCE: usize = 1000;

/// Removes a file, a link, or a directory with all that it holds, and takes no longer than
/// that.
///
/// # Errors
/// The system's; `EXDEV` for another file system mounted in it, `EAGAIN` where time is up.
/// Some of it may be gone.
pub fn tree(above: impl AsFd, name: &OsStr, patience: Duration) -> rustix::io::Result<()> {
    match unlinkat(&above, name, AtFlags::empty()) {
        // Linux says one, POSIX the other.
        Err(Errno::ISDIR | Errno::PERM) => {}
        other => return other,
    }
    let top = taken(&above, name)?;
    let mut work = Work { moved: 0, until: Instant::now().checked_add(patience) };
    loop {
        let names = names_in(&top)?;
        if names.is_empty() {
            return unlinkat(&above, name, AtFlags::REMOVEDIR);
        }
        for name in names {
            remove_level(&top, &name, &mut work)?;
        }
    }
}

/// What is known of a removal that is under way.
struct Work {
    /// So many were moved to the top.
    moved: u64,
    until: Option<Instant>,
}

impl Work {
    fn check_time(&self) -> rustix::io::Result<()> {
        match self.until {
            Some(until) if Instant::now() >= until => Err(Errno::AGAIN),
            _ => Ok(()),
        }
    }
}

/// Removes a name of the top; what it holds that is not empty goes to the top.
fn remove_level(top: &OwnedFd, name: &CString, work: &mut Work) -> rustix::io::Result<()> {
    work.check_time()?;
    if removed(top, name)? {
        return Ok(());
    }
    let below = taken(top, OsStr::from_bytes(name.as_bytes()))?;
    loop {
        let names = names_in(&below)?;
        if names.is_empty() {
            return unlinkat(top, name, AtFlags::REMOVEDIR);
        }
        for inner in names {
            work.check_time()?;
            remove_or_move(&below, &inner, top, work)?;
        }
    }
}

fn remove_or_move(
    below: &OwnedFd,
    name: &CString,
    top: &OwnedFd,
    work: &mut Work,
) -> rustix::io::Result<()> {
    let mut is_ours = false;
    while !removed(below, name)? {
        let free = format!(".octo-tmp-{}", work.moved);
        work.moved += 1;
        match renameat(below, name, top, &free) {
            // The name is taken, by one that whoever made the tree has given.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR | Errno::ISDIR) => {}
            // Who isn't root moves no directory that it can't write to, for its `..`.
            Err(Errno::ACCESS) if !is_ours => {
                taken(below, OsStr::from_bytes(name.as_bytes()))?;
                is_ours = true;
            }
            other => return other,
        }
    }
    Ok(())
}

/// Is it gone? A directory that is not empty stays.
fn removed(directory: &OwnedFd, name: &CString) -> rustix::io::Result<bool> {
    let file = unlinkat(directory, name, AtFlags::empty());
    match file {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    match unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A directory, ours by now: nobody else adds a name to it.
fn taken(above: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let directory = beneath::directory_in(above, Path::new(name))?;
    let own = geteuid();
    if own.is_root() {
        fchown(&directory, Some(Uid::ROOT), None)?;
    }
    // As its owner; for anybody else it is as readable as it was.
    let _ = fchmod(&directory, Mode::RWXU);
    Ok(directory)
}

/// Some of the names in a directory, none where it is empty.
fn names_in(directory: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        if names.len() == AT_ONCE {
            break;
        }
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_is_in_it_goes_and_what_it_leads_to_stays() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = |name: &str| top.path().join(name);
        std::fs::create_dir_all(path("tree/a/b/c")).expect("mkdir");
        std::fs::create_dir_all(path("victim/d")).expect("mkdir");
        std::fs::write(path("victim/file"), "x").expect("write");
        std::fs::write(path("tree/.octo-tmp-0"), "in the way").expect("write");
        std::fs::write(path("tree/a/b/c/file"), "x").expect("write");
        symlink(path("victim"), path("tree/a/link")).expect("symlink");
        symlink(path("victim"), path("link")).expect("symlink");
        let closed = std::fs::Permissions::from_mode(0o500);
        std::fs::set_permissions(path("tree/a/b"), closed).expect("chmod");
        let above = beneath::directory(top.path()).expect("a directory");
        for name in ["tree", "link", "victim/file"] {
            let removed = tree(&above, OsStr::new(name), PATIENCE);
            assert_eq!(removed, Ok(()), "{name}");
        }
        let left: Vec<_> = std::fs::read_dir(top.path()).expect("read").flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(path("victim/d").is_dir());
        assert_eq!(tree(&above, OsStr::new("none"), PATIENCE), Err(Errno::NOENT));
    }

    #[test]
    fn the_depth_of_it_costs_nothing() {
        let top = tempfile::tempdir().expect("tempdir");
        let above = beneath::directory(top.path()).expect("a directory");
        rustix::fs::mkdirat(&above, "tree", Mode::RWXU).expect("mkdir");
        let mut deepest = beneath::directory_in(&above, Path::new("tree")).expect("a directory");
        for _ in 0..5000 {
            rustix::fs::mkdirat(&deepest, "d", Mode::RWXU).expect("mkdir");
            deepest = beneath::directory_in(&deepest, Path::new("d")).expect("a directory");
        }
        // Who makes it may be faster, and must keep nobody for ever.
        assert_eq!(tree(&above, OsStr::new("tree"), Duration::ZERO), Err(Errno::AGAIN));
        // Of a stack of which a recursion would need more.
        let small = std::thread::Builder::new().stack_size(128 * 1024);
        let remove = move || tree(&above, OsStr::new("tree"), PATIENCE);
        let removed = small.spawn(remove).expect("a thread");
        assert_eq!(removed.join().expect("no overflow"), Ok(()));
    }
}
