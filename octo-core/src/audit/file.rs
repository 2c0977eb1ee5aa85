//! The files of the log: opened so that nothing else is written to, locked so
//! that one process writes at a time, read from their end.

use super::line::{Head, LONGEST, Line};
use crate::error::{Error, Exit, Result};
use crate::publish::TEMPORARY_PREFIX;
use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// A lock that is held longer than this is an error: a process that was
/// stopped while it wrote must not stop all others for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// To read.
    Read,
    /// To read and append.
    Append,
    /// To read and overwrite in place.
    Write,
}

/// Opens a file of the log; `None` where there is none.
///
/// # Errors
/// Also where it is a link, no regular file, has a second name, or could have
/// been laid there by others: root would else write into whatever the
/// listener's user pointed it at.
pub(super) fn open(path: &Path, access: Access) -> Result<Option<File>> {
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

/// As [`open`]; creates it where there is none, owned as its directory is, so
/// that the listener's user can append to what root has begun.
pub(super) fn open_or_create(path: &Path, access: Access) -> Result<File> {
    loop {
        if let Some(file) = open(path, access)? {
            return Ok(file);
        }
        create(path).map_err(|e| Error::doing("create", path, &e))?;
    }
}

/// It appears with its owner and mode, or not at all: for a moment it would
/// else be there and the listener's user could not open it.
fn create(path: &Path) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let staged = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(parent)?;
    if geteuid().is_root() {
        let owner = parent.metadata()?;
        std::os::unix::fs::fchown(staged.as_file(), Some(owner.uid()), Some(owner.gid()))?;
    }
    staged.as_file().set_permissions(std::fs::Permissions::from_mode(0o640))?;
    match staged.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

fn directory(path: &Path) -> Result<Metadata> {
    let parent = path.parent().unwrap_or(Path::new("."));
    parent.metadata().map_err(|e| Error::io(parent, &e))
}

fn unsound(path: &Path, reason: &str) -> Error {
    Error::new(Exit::Configuration, path.display(), reason)
}

/// Waits for the lock, exclusive or shared; closing the file gives it up.
pub(super) fn lock(file: &File, path: &Path, exclusive: bool) -> Result<()> {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(50);
    loop {
        let tried = if exclusive { file.try_lock() } else { file.try_lock_shared() };
        match tried {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => return Err(Error::doing("lock", path, &error)),
            Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                let reason = format!("locked by another process for {} s", PATIENCE.as_secs());
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
pub(super) fn is_at(file: &File, path: &Path) -> Result<bool> {
    let opened = file.metadata().map_err(|e| Error::io(path, &e))?;
    match path.symlink_metadata() {
        Ok(there) => Ok((there.dev(), there.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(path, &error)),
    }
}

/// The end of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    /// What the last whole line says of itself.
    pub(super) head: Option<Head>,
    /// The last line has no LF.
    pub(super) open: bool,
    /// What a crash left of a line: only the last can be one.
    pub(super) torn: Option<Vec<u8>>,
}

/// Reads the end of a file of this size.
///
/// # Errors
/// Where what should be a log has no line of one within 64 KiB of its end.
pub(super) fn tail(file: &File, path: &Path, size: u64) -> Result<Tail> {
    for window in [4096, 4 * LONGEST] {
        let start = size.saturating_sub(window as u64);
        // At most the window: it fits.
        let mut bytes = vec![0; (size - start) as usize];
        file.read_exact_at(&mut bytes, start).map_err(|e| Error::io(path, &e))?;
        let mut rest = bytes.as_slice();
        if start > 0 {
            match rest.iter().position(|b| *b == b'\n') {
                Some(end) => rest = &rest[end + 1..],
                None => continue,
            }
        }
        let tail = tail_of(rest);
        if tail.head.is_some() || start == 0 {
            return Ok(tail);
        }
    }
    Err(Error::new(Exit::Data, path.display(), "its end is not that of an audit log").hint(
        format!("mv {0} {0}.damaged: a new file then goes on from the last head", path.display()),
    ))
}

fn tail_of(bytes: &[u8]) -> Tail {
    let mut tail = Tail::default();
    if bytes.is_empty() {
        return tail;
    }
    tail.open = bytes.last() != Some(&b'\n');
    let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for (index, line) in lines.rsplit(|b| *b == b'\n').enumerate() {
        if let Some(line) = Line::parse(line) {
            tail.head = Some(line.head);
            return tail;
        }
        // A power cut leaves half a line, or a page of zeros where bytes
        // should be. Any other line that is none was written by somebody, and
        // stays for the check to find.
        if index == 0 && (tail.open || line.contains(&0)) {
            tail.torn = Some(line.to_vec());
        }
    }
    tail
}

/// The log's files that lie beside it: `audit.log.1`, `audit.log-20260131`, …
pub(super) fn rotated(path: &Path) -> Result<Vec<PathBuf>> {
    const COMPRESSED: [&str; 5] = [".gz", ".xz", ".zst", ".bz2", ".lz4"];
    let parent = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    let entries = match parent.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(Error::io(parent, &error)),
    };
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(parent, &e))?;
        let other = entry.file_name().to_string_lossy().into_owned();
        let rest = other.strip_prefix(&name).unwrap_or_default();
        if (rest.starts_with('.') || rest.starts_with('-'))
            && !COMPRESSED.iter().any(|ending| rest.ends_with(ending))
            && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
