//! Files that several processes append to, also as different users: opened so
//! that nothing else is written to, and locked so that one writes at a time.
//!
//! Such a file is never replaced. A rotation may rename it: whoever has it
//! locked asks whether it still is the file of that name.

use crate::base::error::{Error, Exit, Result};
use crate::base::paths::{if_there, unsound};
use crate::base::publish::{self, Readers, TEMPORARY_PREFIX};
use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// A lock that is held longer than this is an error: a process that was
/// stopped while it wrote must not stop all others for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a daemon waits for the lock of the one before it.
const MOMENT: Duration = Duration::from_secs(2);

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Read,
    /// To read and append.
    Append,
    /// To read and overwrite in place.
    Write,
}

/// Opens such a file; `None` where there is none.
///
/// # Errors
/// Also where it is a link, no regular file, has a second name, or could have
/// been laid there by others: root would else write into whatever the
/// listener's user pointed it at.
pub fn open(path: &Path, access: Access) -> Result<Option<File>> {
    let how = match access {
        Access::Read => OFlags::RDONLY,
        Access::Append => OFlags::RDWR | OFlags::APPEND,
        Access::Write => OFlags::RDWR,
    };
    let flags = how | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => return Err(unsound(path, "is a link")),
        Err(error) => return Err(Error::doing("open", path, &error.into())),
    };
    let metadata = file.metadata().map_err(|e| Error::io(path, &e))?;
    if !metadata.is_file() {
        return Err(unsound(path, "is not a regular file"));
    }
    if access == Access::Read {
        return Ok(Some(file));
    }
    if metadata.nlink() > 1 {
        return Err(unsound(path, "has a second name (a hard link)"));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(
            unsound(path, "is writable by others").hint(format!("chmod o-w {}", path.display()))
        );
    }
    if geteuid().is_root() && metadata.uid() != 0 && metadata.uid() != directory(path)?.uid() {
        let reason = format!("is owned by uid {}, not by its directory's owner", metadata.uid());
        return Err(unsound(path, &reason));
    }
    Ok(Some(file))
}

/// As [`open`]; creates it where there is none.
pub fn open_or_create(path: &Path, access: Access, readers: Readers) -> Result<File> {
    loop {
        if let Some(file) = open(path, access)? {
            return Ok(file);
        }
        create(path, readers).map_err(|e| Error::doing("create", path, &e))?;
    }
}

/// It appears with its owner, its group and its mode, or not at all: a group that may
/// read it would else find it shut.
fn create(path: &Path, readers: Readers) -> io::Result<()> {
    let parent = publish::parent(path);
    let staged = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(parent)?;
    if geteuid().is_root() {
        let owner = parent.metadata()?;
        std::os::unix::fs::fchown(staged.as_file(), Some(owner.uid()), Some(owner.gid()))?;
    }
    readers.give(staged.as_file())?;
    match staged.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

fn directory(path: &Path) -> Result<Metadata> {
    let parent = publish::parent(path);
    parent.metadata().map_err(|e| Error::io(parent, &e))
}

/// Waits for the lock, exclusive or shared; closing the file gives it up.
pub fn lock(file: &File, path: &Path, exclusive: bool) -> Result<()> {
    lock_within(PATIENCE, file, path, exclusive)
}

/// Takes the lock that is a daemon's alone, for as long as it lives; false where another has
/// it. That of one that was killed may be held a moment longer, by a child of its that has
/// not become its program yet.
///
/// # Errors
/// Where the file can't be locked.
pub fn lock_alone(file: &File, path: &Path) -> Result<bool> {
    match lock_within(MOMENT, file, path, true) {
        Err(error) if error.exit == Exit::Temporary => Ok(false),
        other => other.map(|()| true),
    }
}

/// As [`lock`], with another patience.
pub(crate) fn lock_within(
    patience: Duration,
    file: &File,
    path: &Path,
    exclusive: bool,
) -> Result<()> {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(50);
    loop {
        let tried = if exclusive { file.try_lock() } else { file.try_lock_shared() };
        match tried {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => return Err(Error::doing("lock", path, &error)),
            Err(TryLockError::WouldBlock) if begun.elapsed() > patience => {
                let reason = format!("locked by another process for {} s", patience.as_secs());
                return Err(Error::new(Exit::Temporary, path.display(), reason)
                    .hint(format!("fuser -v {}", path.display())));
            }
            Err(TryLockError::WouldBlock) => {
                thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(5));
            }
        }
    }
}

/// Is this still the file of that name? A rotation may have renamed it.
pub fn is_at(file: &File, path: &Path) -> Result<bool> {
    let opened = file.metadata().map_err(|e| Error::io(path, &e))?;
    let there = if_there(path, path.symlink_metadata())?;
    Ok(there.is_some_and(|there| (there.dev(), there.ino()) == (opened.dev(), opened.ino())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_one_that_was_killed_is_waited_for_and_of_one_that_lives_not() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("lock");
        let open = || open_or_create(&path, Access::Append, Readers::from(0o600)).expect("open");
        let (first, second) = (open(), open());
        assert!(lock_alone(&first, &path).expect("locked"));
        assert!(!lock_alone(&second, &path).expect("asked"));
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(MOMENT / 20);
                drop(first);
            });
            assert!(lock_alone(&second, &path).expect("asked"));
        });
    }
}
