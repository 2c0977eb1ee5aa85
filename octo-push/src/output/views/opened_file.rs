//! A file of `-o` or `--record`, which is opened where it is, once there is
//! something to say.

use octo_core::base::error::{Error, Result};
use octo_core::base::result_file::is_replaced;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

pub(crate) struct OpenedFile {
    path: PathBuf,
    file: Option<File>,
}

impl OpenedFile {
    /// Nothing is touched yet.
    pub(super) fn new(path: PathBuf) -> OpenedFile {
        OpenedFile { path, file: None }
    }

    /// Writes these bytes, which may be none, behind those before. The first call
    /// makes the file, or empties an older one.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                // A pipe is opened once only: its reader would take the end of the
                // first opening for the end of all.
                let made = OpenOptions::new().create(true).append(true).open(&self.path);
                let made = made.map_err(|error| Error::doing("create", &self.path, &error))?;
                if is_replaced(&self.path) && is_file(&made) {
                    made.set_len(0).map_err(|error| Error::io(&self.path, &error))?;
                }
                none.insert(made)
            }
        };
        file.write_all(bytes).map_err(|error| Error::io(&self.path, &error))
    }

    /// Nothing follows: what was written outlasts a crash.
    pub(super) fn close(&mut self) -> Result<()> {
        match self.file.take().filter(is_file) {
            Some(file) => file.sync_all().map_err(|error| Error::io(&self.path, &error)),
            None => Ok(()),
        }
    }
}

/// What is no file, such as a pipe, can be neither emptied nor synced.
fn is_file(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}
