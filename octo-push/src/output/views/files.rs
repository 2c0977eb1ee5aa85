//! Output that goes to files: `-o`, one a target.

use super::view::View;
use crate::output::screen::Screen;
use crate::target::outcome::Outcome;
use octo_core::base::error::{Error, Result};
use octo_core::tentacle::job::Stream;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

/// Standard output goes to files, the rest to another view.
pub(crate) struct FileView {
    paths: Vec<PathBuf>,
    /// Open only while its target is worked on: a fleet has more targets than
    /// a process has descriptors.
    files: Vec<Option<File>>,
    inner: Box<dyn View>,
}

impl FileView {
    /// To these files, one a target, which are emptied now.
    ///
    /// # Errors
    /// Exit 73 for the first that can't be made.
    pub(crate) fn new(paths: Vec<PathBuf>, inner: Box<dyn View>) -> Result<FileView> {
        for path in &paths {
            File::create(path).map_err(|error| Error::doing("create", path, &error))?;
        }
        let files = paths.iter().map(|_| None).collect();
        Ok(FileView { paths, files, inner })
    }

    fn write(&mut self, target: usize, bytes: &[u8]) -> Result<()> {
        let path = &self.paths[target];
        let failed = |error| Error::io(path, &error);
        let file = match &mut self.files[target] {
            Some(file) => file,
            none => none.insert(OpenOptions::new().append(true).open(path).map_err(failed)?),
        };
        file.write_all(bytes).map_err(failed)
    }
}

impl View for FileView {
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
