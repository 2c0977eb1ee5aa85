//! The lines of a file from its end, in a bounded buffer: what is asked of a
//! journal is nearly always at its end.

use super::entry::LONGEST;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Read at once; more than the longest line.
const BLOCK: usize = 64 * 1024;

/// Walks from the end of a file to its beginning.
pub(super) struct Backwards<'a> {
    file: &'a File,
    /// Where `block` begins in the file.
    start: u64,
    /// What was read and not handed out yet; whole lines but for the first.
    block: Vec<u8>,
}

impl<'a> Backwards<'a> {
    pub(super) fn new(file: &'a File, size: u64) -> Backwards<'a> {
        Backwards { file, start: size, block: Vec::new() }
    }

    /// The line before, without its LF. One that is longer than any of ours may
    /// come in pieces.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let end = self.block.len() - usize::from(self.block.last() == Some(&b'\n'));
            match self.block[..end].iter().rposition(|b| *b == b'\n') {
                Some(before) => return Ok(Some(self.take(before + 1))),
                None if self.start == 0 && self.block.is_empty() => return Ok(None),
                None if self.start == 0 || self.block.len() > LONGEST => {
                    return Ok(Some(self.take(0)));
                }
                None => self.read()?,
            }
        }
    }

    fn take(&mut self, from: usize) -> Vec<u8> {
        let mut line = self.block.split_off(from);
        line.pop_if(|last| *last == b'\n');
        line
    }

    fn read(&mut self) -> io::Result<()> {
        let from = self.start.saturating_sub(BLOCK as u64);
        let mut block = vec![0; (self.start - from) as usize];
        self.file.read_exact_at(&mut block, from)?;
        block.append(&mut self.block);
        (self.start, self.block) = (from, block);
        Ok(())
    }
}
