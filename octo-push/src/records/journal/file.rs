//! The journal's file: several octo-push append to it at once.

use super::ahead;
use super::entry::Entry;
use octo_core::base::appended::{self, Access};
use octo_core::base::error::{Error, Result};
use octo_core::base::paths::{Places, create_directory};
use octo_core::base::publish::{self, sync_directory};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The journal of one state directory. Threads share one.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(super) path: PathBuf,
    file: Mutex<Option<File>>,
}

impl Journal {
    /// The journal of this state directory; nothing is opened before it is needed.
    pub(crate) fn at(places: &Places) -> Journal {
        Journal { path: places.state.join("journal"), file: Mutex::new(None) }
    }

    /// The journal of another state directory, or of a copy of one: to be read alone.
    pub(crate) fn of_directory(directory: &Path) -> Journal {
        Journal { path: directory.join("journal"), file: Mutex::new(None) }
    }

    /// Appends lines, all or none. They survive this process, and a power cut once
    /// [`Journal::sync`] has returned.
    ///
    /// # Errors
    /// Where they can't be written, naming the file.
    pub(crate) fn append(&self, entries: impl IntoIterator<Item = Entry>) -> Result<()> {
        let mut is_ahead = false;
        let encode = |entry: Entry| {
            let ids = std::iter::once(&entry.run).chain(&entry.job);
            is_ahead |= ids.into_iter().any(|id| ahead::is_ahead(id, entry.time));
            entry.encode()
        };
        let lines: String = entries.into_iter().map(encode).collect();
        if is_ahead {
            create_directory(publish::parent(&self.path), 0o711)?;
            ahead::note(&self.ahead())?;
        }
        let mut kept = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let file = match kept.take() {
                Some(file) => file,
                None => open(&self.path)?,
            };
            appended::lock(&file, &self.path, true)?;
            if appended::is_at(&file, &self.path)? {
                // Where this fails, dropping the file unlocks it.
                write(&file, &lines).map_err(|e| Error::doing("write", &self.path, &e))?;
                *kept = Some(file);
                return Ok(());
            }
        }
    }

    /// Has it lines of an id of a time that was to come?
    pub(super) fn has_ids_ahead(&self) -> bool {
        self.ahead().exists()
    }

    fn ahead(&self) -> PathBuf {
        self.path.with_extension("ahead")
    }

    /// Brings what was appended to the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        match &*self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => file.sync_data().map_err(|e| Error::doing("write", &self.path, &e)),
            None => Ok(()),
        }
    }
}

fn open(path: &Path) -> Result<File> {
    let state = publish::parent(path);
    create_directory(state, 0o711)?;
    let is_new = !path.exists();
    let file = appended::open_or_create(path, Access::Append, 0o600.into())?;
    if is_new {
        // Without this a power cut could remove the name, and all lines with it.
        sync_directory(state)?;
    }
    Ok(file)
}

fn write(mut file: &File, lines: &str) -> std::io::Result<()> {
    let size = file.metadata()?.len();
    let mut last = [b'\n'];
    if size > 0 {
        file.read_exact_at(&mut last, size - 1)?;
    }
    // A line that a crash has torn ends here.
    let torn = if last == *b"\n" { "" } else { "\n" };
    if let Err(error) = file.write_all([torn, lines].concat().as_bytes()) {
        // A part of them may be there.
        let _ = file.set_len(size);
        return Err(error);
    }
    file.unlock()
}
