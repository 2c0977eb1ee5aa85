//! Output that goes to files: `-o`, one a target.

use super::opened_file::OpenedFile;
use super::view::View;
use crate::output::screen::Screen;
use crate::target::outcome::Outcome;
use octo_core::tentacle::job::Stream;
use std::path::PathBuf;

/// Standard output goes to files, the rest to another view.
pub(crate) struct FileView {
    /// Open only while its target is worked on: a fleet has more targets than
    /// a process has descriptors.
    files: Vec<OpenedFile>,
    inner: Box<dyn View>,
}

impl FileView {
    /// To these files, one a target. Each is emptied when its target begins, and
    /// stays as it was where that never does.
    pub(crate) fn new(paths: Vec<PathBuf>, inner: Box<dyn View>) -> FileView {
        FileView { files: paths.into_iter().map(OpenedFile::new).collect(), inner }
    }
}

impl View for FileView {
    fn begun(&mut self, screen: &mut Screen, target: usize) {
        screen.remember(self.files[target].write(b""));
        self.inner.begun(screen, target);
    }

    fn started(&mut self, screen: &mut Screen, target: usize, job: &str) {
        self.inner.started(screen, target, job);
    }

    fn output(&mut self, screen: &mut Screen, target: usize, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Out => screen.remember(self.files[target].write(bytes)),
            Stream::Err => self.inner.output(screen, target, stream, bytes),
        }
    }

    fn ended(&mut self, screen: &mut Screen, target: usize, outcome: &Outcome) {
        // The end file follows; its readers rely on this file being whole.
        screen.remember(self.files[target].close());
        self.inner.ended(screen, target, outcome);
    }

    fn finish(&mut self, screen: &mut Screen) {
        self.inner.finish(screen);
    }
}
