//! What a worker reports while it serves one target.

use crate::records::heads::heard::Heard;
use crate::target::connection::opening::Learned;
use crate::target::outcome::Outcome;
use crate::target::package::counters::Sent;
use octo_core::base::names::JobId;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::job::Stream;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// Something that happened at a target.
#[derive(Debug)]
pub(crate) enum TargetEvent {
    /// A worker has begun with it.
    Begun,
    /// Its job was accepted.
    Accepted(JobId),
    /// Its job said something.
    Output(Stream, Vec<u8>),
    /// It waits for a person or another job there: told under `--quiet`, too.
    Waits(String),
    /// Something the person may want to know now.
    Note(String),
    /// Something for those who want to know all.
    Detail(String),
    /// It is over.
    Done(Box<Outcome>),
}

/// Reports the events of one target to the main thread.
pub(crate) struct Reporter {
    /// Which target, by its place in the selection.
    pub(crate) target: usize,
    /// The thumbprint of its tentacle, once it was seen.
    pub(crate) peer: Cell<Option<Thumbprint>>,
    /// What was put there, over all its connections.
    pub(crate) sent: Cell<Option<Sent>>,
    /// What it said of its audit logs, over all its connections.
    pub(crate) heard: Rc<RefCell<Heard>>,
    /// What is known of the ways to it by now.
    pub(crate) learned: RefCell<Learned>,
    sink: Box<dyn Fn(TargetEvent)>,
}

impl Reporter {
    /// For one target; `sink` gets its events.
    pub(crate) fn new(target: usize, sink: impl Fn(TargetEvent) + 'static) -> Reporter {
        let (peer, sent, heard) = (Cell::default(), Cell::default(), Rc::default());
        let learned = RefCell::default();
        Reporter { target, peer, sent, heard, learned, sink: Box::new(sink) }
    }

    pub(crate) fn report(&self, event: TargetEvent) {
        (self.sink)(event);
    }

    /// Reports what the job said.
    pub(crate) fn output(&self, stream: Stream, bytes: Vec<u8>) {
        self.report(TargetEvent::Output(stream, bytes));
    }

    /// Reports something the person may want to know now.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.report(TargetEvent::Note(text.into()));
    }

    /// Reports something for those who want to know all.
    pub(crate) fn detail(&self, text: impl Into<String>) {
        self.report(TargetEvent::Detail(text.into()));
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Reporter").field("target", &self.target).finish_non_exhaustive()
    }
}
