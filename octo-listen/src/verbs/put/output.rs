//! What a segment makes: the bytes of its frame, and those of the base that stand between them.

use super::base::Base;
use super::turns::Turn;
use octo_core::patch::{Copied, Range};
use std::io;

/// The output of a segment that was decoded; read piece by piece, it is in no memory but that of
/// the frame.
pub(super) struct Output<'a> {
    /// What came of the frame, and the memory it is in; none where all is copied.
    own: Option<(Vec<u8>, Turn<'a>)>,
    /// What is left of it, the next last.
    steps: Vec<Step>,
}

/// A stretch of it.
enum Step {
    Own(Range),
    Copied(Range),
}

impl Step {
    fn range(&mut self) -> &mut Range {
        match self {
            Step::Own(range) | Step::Copied(range) => range,
        }
    }
}

impl<'a> Output<'a> {
    /// Of so many own bytes, which are the first of this memory, and copies; without what is
    /// skipped.
    pub(super) fn new(
        own: Option<(Vec<u8>, Turn<'a>)>,
        length: u64,
        copies: &[Copied],
        mut skip: u64,
    ) -> Output<'a> {
        let (mut steps, mut at) = (Vec::new(), 0);
        for copied in copies {
            steps.push(Step::Own(Range { offset: at, length: copied.after }));
            steps.push(Step::Copied(copied.range));
            at += copied.after;
        }
        steps.push(Step::Own(Range { offset: at, length: length.saturating_sub(at) }));
        for step in &mut steps {
            skip -= advance(step.range(), skip);
        }
        steps.retain_mut(|step| step.range().length > 0);
        steps.reverse();
        Output { own, steps }
    }

    pub(super) fn is_over(&self) -> bool {
        self.steps.is_empty()
    }

    /// Reads some of it.
    pub(super) fn read(&mut self, base: Option<&Base>, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(step) = self.steps.last_mut() else { return Ok(0) };
        let (is_own, range) = (matches!(step, Step::Own(_)), step.range());
        let length = range.length.min(buffer.len() as u64);
        let (now, into) = (Range { length, ..*range }, &mut buffer[..length as usize]);
        match (&self.own, base) {
            (Some((bytes, _)), _) if is_own => {
                into.copy_from_slice(&bytes[now.offset as usize..now.end() as usize]);
            }
            (_, Some(base)) if !is_own => base.read(into, &[now])?,
            _ => return Err(io::ErrorKind::NotFound.into()),
        }
        advance(range, length);
        if range.length == 0 {
            self.steps.pop();
        }
        Ok(into.len())
    }
}

/// Takes so many bytes from the front of a range, as far as it has them; how many it was.
fn advance(range: &mut Range, by: u64) -> u64 {
    let by = by.min(range.length);
    (range.offset, range.length) = (range.offset + by, range.length - by);
    by
}
