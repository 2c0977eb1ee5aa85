//! Output that goes to files: `-o`, one a target.

use super::view::View;
use crate::output::screen::Screen;
use crate::target::outcome::Outcome;
use octo_core::base::error::{Error, Result};
use octo_core::tentacle::job::Stream;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Standard output goes to files, the rest to another view.
pub(crate) struct FileView {
    paths: Vec<PathBuf>,
    /// Open only while its target is worked on: a fleet has more targets than
    /// a process has descriptors.
    files: Vec<Option<File>>,
    inner: Box<dyn View>,
}

impl FileView {
    /// To these files, one a target. Each is emptied when its target begins, and
    /// stays as it was where that never does.
    pub(crate) fn new(paths: Vec<PathBuf>, inner: Box<dyn View>) -> FileView {
        let files = paths.iter().map(|_| None).collect();
        FileView { paths, files, inner }
    }

    fn write(&mut self, target: usize, bytes: &[u8]) -> Result<()> {
        let path = &self.paths[target];
        let file = match &mut self.files[target] {
            Some(file) => file,
            none => none.insert(emptied(path)?),
        };
        file.write_all(bytes).map_err(|error| Error::io(path, &error))
    }
}

impl View for FileView {
    fn begun(&mut self, screen: &mut Screen, target: usize) {
        if let Err(error) = self.write(target, b"") {
            screen.remember(error);
        }
        self.inner.begun(screen, target);
    }

    fn started(&mut self, screen: &mut Screen, target: usize, job: &str) {
        self.inner.started(screen, target, job);
    }

    fn output(&mut self, screen: &mut Screen, target: usize, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Out => {
                if let Err(error) = self.write(target, bytes) {
                    screen.remember(error);
                }
            }
            Stream::Err => self.inner.output(screen, target, stream, bytes),
        }
    }

    fn ended(&mut self, screen: &mut Screen, target: usize, outcome: &Outcome) {
        // The end file follows; its readers rely on this file being whole.
        if let Some(file) = self.files[target].take()
            && is_file(&file)
            && let Err(error) = file.sync_all()
        {
            screen.remember(Error::io(&self.paths[target], &error));
        }
        self.inner.ended(screen, target, outcome);
    }

    fn finish(&mut self, screen: &mut Screen) {
        self.inner.finish(screen);
    }
}

/// Opens the file, empty. A pipe is opened once only: its reader would take the
/// end of the first opening for the end of all.
fn emptied(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = file.map_err(|error| Error::doing("create", path, &error))?;
    if is_file(&file) {
        file.set_len(0).map_err(|error| Error::io(path, &error))?;
    }
    Ok(file)
}

/// What is no file, such as a pipe, can be neither emptied nor synced.
fn is_file(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}
