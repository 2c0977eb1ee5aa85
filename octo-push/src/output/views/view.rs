//! What all ways to show jobs have in common.

use crate::output::screen::Screen;
use crate::target::outcome::Outcome;
use octo_core::tentacle::job::Stream;

/// Both streams, in order.
pub(super) const STREAMS: [Stream; 2] = [Stream::Out, Stream::Err];

/// The place of a stream in a pair.
pub(super) fn index(stream: Stream) -> usize {
    match stream {
        Stream::Out => 0,
        Stream::Err => 1,
    }
}

/// One way to show output. Targets are numbered as in the selection.
pub(crate) trait View {
    /// A target is about to be asked: what an older run left of it may go.
    fn begun(&mut self, _screen: &mut Screen, _target: usize) {}
    /// A job was accepted.
    fn started(&mut self, _screen: &mut Screen, _target: usize, _job: &str) {}
    /// A job printed something.
    fn output(&mut self, screen: &mut Screen, target: usize, stream: Stream, bytes: &[u8]);
    /// A target is over.
    fn ended(&mut self, screen: &mut Screen, target: usize, outcome: &Outcome);
    /// All targets are over.
    fn finish(&mut self, _screen: &mut Screen) {}
}
