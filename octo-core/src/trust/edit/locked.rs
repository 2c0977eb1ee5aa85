//! An edit as a whole: read, changed and replaced under one lock.

use crate::base::edit_lock;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::{check_trusted, create_directory, open_trusted, read_bounded};
use crate::base::publish;
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};

/// A file that is too large to let anybody in still gives lines up.
const LARGEST_EDITED: u64 = 64 << 20;

/// An edit under way; the lock is held until it is dropped.
pub(super) struct Edit {
    /// The file without links: a rename would else replace the link.
    path: PathBuf,
    pub(super) bytes: Vec<u8>,
    old: Option<Metadata>,
    _lock: File,
}

impl Edit {
    /// Of a file that there must be.
    pub(super) fn of_existing(path: &Path) -> Result<Edit> {
        if is_missing(path) {
            return Err(Error::new(Exit::Data, path.display(), "there is no such file"));
        }
        Edit::begin(path)
    }

    /// Of a file that is made where there is none, with its directory.
    pub(super) fn begin(path: &Path) -> Result<Edit> {
        let named = path.file_name().ok_or_else(|| Error::usage("not the path of a file"))?;
        let directory = publish::parent(path);
        let missing = is_missing(path);
        let path = if missing {
            create_directory(directory, 0o755)?;
            check_trusted(directory)?.join(named)
        } else {
            check_trusted(path)?
        };
        let directory = publish::parent(&path);
        let lock = edit_lock::hold(directory)?;
        // Only now: another edit may have made or changed it meanwhile.
        if is_missing(&path) {
            return Ok(Edit { path, bytes: Vec::new(), old: None, _lock: lock });
        }
        let unsound = |error: Error| error.exit(Exit::Configuration);
        let mut file = open_trusted(&path).map_err(unsound)?;
        let old = file.metadata().map_err(|e| Error::io(&path, &e))?;
        let bytes = read_bounded(&mut file, &path, LARGEST_EDITED).map_err(unsound)?;
        Ok(Edit { path, bytes, old: Some(old), _lock: lock })
    }

    pub(super) fn commit(&self, bytes: &[u8]) -> Result<()> {
        match &self.old {
            Some(old) => publish::replace_like(&self.path, bytes, old),
            None => publish::replace(&self.path, bytes, 0o644),
        }
    }
}

fn is_missing(path: &Path) -> bool {
    matches!(path.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}
