//! What a run shows of its jobs: as it comes (`live`), gathered at the end
//! (`gathered`), only where it failed (`-q`), or as JSON.

pub(crate) mod escape;
pub(crate) mod json;
pub(crate) mod node_set;
mod progress;
mod screen;
pub(crate) mod summary;

mod views;
pub(crate) use progress::{Progress, UploadCounters};
pub(crate) use screen::Screen;
pub(crate) use views::{FileView, GatheredView, LiveView, PrefixedView};

use crate::output::escape::unfinished;
use crate::output::json::JsonObject;
use crate::target::outcome::Outcome;
use octo_core::base::error::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;

pub(crate) use octo_core::tentacle::job::Stream;

/// As `--json` has it.
fn stream_name(stream: Stream) -> &'static str {
    match stream {
        Stream::Out => "stdout",
        Stream::Err => "stderr",
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Out => 0,
        Stream::Err => 1,
    }
}

/// Both streams, in order.
const STREAMS: [Stream; 2] = [Stream::Out, Stream::Err];

/// One way to show output. Targets are numbered as in the selection.
pub(crate) trait View {
    /// A job was accepted.
    fn started(&mut self, _screen: &mut Screen, _target: usize, _job: &str) {}
    /// It said something.
    fn output(&mut self, screen: &mut Screen, target: usize, stream: Stream, bytes: &[u8]);
    /// It is over with this target.
    fn ended(&mut self, screen: &mut Screen, target: usize, outcome: &Outcome);
    /// It is over with all.
    fn finish(&mut self, _screen: &mut Screen) {}
}

impl View for Box<dyn View> {
    fn started(&mut self, screen: &mut Screen, target: usize, job: &str) {
        (**self).started(screen, target, job);
    }

    fn output(&mut self, screen: &mut Screen, target: usize, stream: Stream, bytes: &[u8]) {
        (**self).output(screen, target, stream, bytes);
    }

    fn ended(&mut self, screen: &mut Screen, target: usize, outcome: &Outcome) {
        (**self).ended(screen, target, outcome);
    }

    fn finish(&mut self, screen: &mut Screen) {
        (**self).finish(screen);
    }
}

/// Writes objects to a file, for `--record`.
///
/// # Errors
/// Exit 73.
pub(crate) fn recorder(path: &Path) -> Result<impl FnMut(&mut Screen, &str) + use<>> {
    let path = path.to_path_buf();
    let mut file = File::create(&path).map_err(|error| Error::doing("create", &path, &error))?;
    Ok(move |screen: &mut Screen, line: &str| {
        if let Err(error) = file.write_all(line.as_bytes()) {
            screen.remember(Error::io(&path, &error));
        }
    })
}

/// The end objects alone, of verbs whose output is lists.
pub(crate) struct JsonEndsView<W: FnMut(&mut Screen, &str)> {
    /// The targets.
    pub(crate) names: Vec<String>,
    /// Where the objects go.
    pub(crate) write: W,
}

impl<W: FnMut(&mut Screen, &str)> View for JsonEndsView<W> {
    fn output(&mut self, _: &mut Screen, _target: usize, _: Stream, _bytes: &[u8]) {}

    fn ended(&mut self, screen: &mut Screen, target: usize, outcome: &Outcome) {
        (self.write)(screen, &outcome.object(&self.names[target]).line());
    }
}

/// One JSON object a line.
pub(crate) struct JsonView<W: FnMut(&mut Screen, &str)> {
    names: Vec<String>,
    /// The first bytes of a letter that was split, for each target and stream.
    partial: Vec<[Vec<u8>; 2]>,
    write: W,
}

impl<W: FnMut(&mut Screen, &str)> JsonView<W> {
    /// The objects of these targets, written by `write`.
    pub(crate) fn new(names: Vec<String>, write: W) -> JsonView<W> {
        let partial = names.iter().map(|_| Default::default()).collect();
        JsonView { names, partial, write }
    }

    fn piece(&mut self, screen: &mut Screen, target: usize, stream: Stream, bytes: &[u8]) {
        if !bytes.is_empty() {
            let object = JsonObject::of("output")
                .text("target", &self.names[target])
                .text("stream", stream_name(stream))
                .bytes("text", bytes);
            (self.write)(screen, &object.line());
        }
    }
}

impl<W: FnMut(&mut Screen, &str)> View for JsonView<W> {
    fn started(&mut self, screen: &mut Screen, target: usize, job: &str) {
        let object = JsonObject::of("start")
            .text("target", &self.names[target])
            .text("job", job)
            .text("time", &octo_core::base::cli::utc_now());
        (self.write)(screen, &object.line());
    }

    fn output(&mut self, screen: &mut Screen, target: usize, stream: Stream, bytes: &[u8]) {
        let mut whole = std::mem::take(&mut self.partial[target][index(stream)]);
        whole.extend_from_slice(bytes);
        let rest = whole.split_off(whole.len() - unfinished(&whole));
        self.partial[target][index(stream)] = rest;
        self.piece(screen, target, stream, &whole);
    }

    fn ended(&mut self, screen: &mut Screen, target: usize, outcome: &Outcome) {
        for stream in STREAMS {
            let rest = std::mem::take(&mut self.partial[target][index(stream)]);
            self.piece(screen, target, stream, &rest);
        }
        let line = outcome.object(&self.names[target]).line();
        (self.write)(screen, &line);
    }
}
