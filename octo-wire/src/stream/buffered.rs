//! A stream, and what came of it and was not used yet: behind a line there may
//! be the first bytes of its body.

use super::duplex::Duplex;
use crate::message::MAXIMUM_LINE;
use std::io;

/// A stream with room for one line in front of it.
#[derive(Debug)]
pub(crate) struct Buffered<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<S: Duplex> Buffered<S> {
    pub(crate) fn new(stream: S) -> Buffered<S> {
        Buffered { stream, buffer: Vec::new(), start: 0, end: 0 }
    }

    /// What came and was not used yet.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// So many bytes of what waits were used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }

    /// Waits for more, which then stands behind what waits already; 0 at the
    /// stream's end, and where there is no more room.
    pub(crate) fn fill(&mut self) -> io::Result<usize> {
        self.make_room();
        let count = self.stream.read(&mut self.buffer[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// As [`Buffered::fill`], without waiting; `None` if nothing came.
    pub(crate) fn fill_now(&mut self) -> io::Result<Option<usize>> {
        self.make_room();
        let count = self.stream.read_now(&mut self.buffer[self.end..])?;
        self.end += count.unwrap_or(0);
        Ok(count)
    }

    /// Reads what waits, or else what the stream brings.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let waiting = self.waiting();
        if waiting.is_empty() {
            return self.stream.read(buffer);
        }
        let count = buffer.len().min(waiting.len());
        buffer[..count].copy_from_slice(&waiting[..count]);
        self.consume(count);
        Ok(count)
    }

    /// Gives memory back that nothing is in: a peer that is silent costs none.
    pub(crate) fn rest(&mut self) {
        if self.waiting().is_empty() {
            (self.buffer, self.start, self.end) = (Vec::new(), 0, 0);
        }
        self.stream.rest();
    }

    fn make_room(&mut self) {
        self.buffer.resize(MAXIMUM_LINE, 0);
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }
}
