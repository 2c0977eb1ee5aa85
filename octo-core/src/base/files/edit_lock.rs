//! One edit of CONFIG's files at a time: two would lose one another's.

use crate::base::error::{Error, Result};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Waits for other edits of this directory's files to end; the lock is held until it
/// is dropped. The file is nobody else's to open: a lock on the
/// directory or the trust file could be held for ever by whoever may read them.
///
/// # Errors
/// Where it can't be opened or held.
pub fn hold(directory: &Path) -> Result<File> {
    let path = directory.join(".trusted.lock");
    let failed = |e: std::io::Error| Error::doing("lock", &path, &e);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(|e| failed(e.into()))?;
    let file = File::from(file);
    let owner = directory.metadata().map_err(failed)?.uid();
    if file.metadata().map_err(failed)?.uid() != owner {
        // Root edits for a service, which must be able to do so itself later.
        std::os::unix::fs::fchown(&file, Some(owner), None).map_err(failed)?;
    }
    file.lock().map_err(failed)?;
    Ok(file)
}
