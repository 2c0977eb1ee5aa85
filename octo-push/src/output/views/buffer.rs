//! Output held back until its job has ended: small ones in memory, large ones
//! in a file that has no name and goes with the process. What is held on until
//! all have ended goes to one such file together.

use super::view::index;
use octo_core::base::digest::{Digest, Hasher};
use octo_core::tentacle::job::Stream;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

/// What stays in memory for one target.
const IN_MEMORY: usize = 64 * 1024;

/// The output of one target, both streams in their order.
#[derive(Default)]
pub(crate) struct OutputBuffer {
    /// Pieces: one byte for the stream, four for the length, the bytes.
    memory: Vec<u8>,
    file: Option<File>,
    hashers: [Hasher; 2],
    /// Where the last piece of `memory` begins: one that goes on is extended.
    last: Option<usize>,
}

impl OutputBuffer {
    pub(crate) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        self.hashers[index(stream)].update(bytes);
        for piece in bytes.chunks(IN_MEMORY) {
            self.push_piece(stream, piece);
        }
        if self.memory.len() > IN_MEMORY {
            self.spill();
        }
    }

    fn push_piece(&mut self, stream: Stream, piece: &[u8]) {
        let tag = index(stream) as u8;
        if let Some(last) = self.last
            && self.memory[last] == tag
        {
            let mut length = [0; 4];
            length.copy_from_slice(&self.memory[last + 1..last + 5]);
            let length = u32::from_be_bytes(length) + piece.len() as u32;
            if (length as usize) < IN_MEMORY {
                self.memory[last + 1..last + 5].copy_from_slice(&length.to_be_bytes());
                self.memory.extend_from_slice(piece);
                return;
            }
        }
        self.last = Some(self.memory.len());
        self.memory.push(tag);
        self.memory.extend_from_slice(&(piece.len() as u32).to_be_bytes());
        self.memory.extend_from_slice(piece);
    }

    /// Without a file it stays in memory: losing output would be worse.
    fn spill(&mut self) {
        if self.file.is_none() {
            self.file = tempfile::tempfile().ok();
        }
        let Some(file) = &mut self.file else { return };
        let Ok(before) = file.stream_position() else { return };
        match file.write_all(&self.memory) {
            Ok(()) => {
                self.memory.clear();
                self.last = None;
            }
            Err(_) => {
                let _ = file.set_len(before);
                let _ = file.seek(SeekFrom::Start(before));
            }
        }
    }

    /// Equal outputs have equal digests, however they were cut and mixed.
    pub(crate) fn digest(&self) -> [Digest; 2] {
        self.hashers.clone().map(Hasher::finish)
    }

    /// Gives everything back, in order.
    pub(crate) fn replay(mut self, mut each: impl FnMut(Stream, &[u8])) {
        if let Some(mut file) = self.file.take()
            && file.seek(SeekFrom::Start(0)).is_ok()
        {
            let mut reader = std::io::BufReader::with_capacity(IN_MEMORY, file);
            pieces(&mut reader, &mut each);
        }
        pieces(&mut self.memory.as_slice(), &mut each);
    }
}

/// One file for the output of all targets that have ended: a fleet has more targets
/// than a process has descriptors, and more output than should be in memory.
#[derive(Default)]
pub(crate) struct OutputStore {
    file: Option<File>,
    end: u64,
}

/// One target's output, put away.
pub(crate) enum StoredOutput {
    /// So many bytes of the store, from there on.
    There(u64, u64),
    /// The store could not be written to.
    Here(Box<OutputBuffer>),
}

impl OutputStore {
    /// Puts away what was held of a target that has ended.
    pub(crate) fn lay(&mut self, mut held: OutputBuffer) -> StoredOutput {
        match self.copy(&mut held) {
            Ok(length) => {
                let start = self.end;
                self.end += length;
                StoredOutput::There(start, length)
            }
            Err(_) => StoredOutput::Here(Box::new(held)),
        }
    }

    fn copy(&mut self, held: &mut OutputBuffer) -> std::io::Result<u64> {
        let store = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        store.seek(SeekFrom::Start(self.end))?;
        let mut length = held.memory.len() as u64;
        if let Some(file) = &mut held.file {
            file.seek(SeekFrom::Start(0))?;
            length += std::io::copy(file, store)?;
        }
        store.write_all(&held.memory)?;
        Ok(length)
    }

    /// Gives back what was put away, in order.
    pub(crate) fn replay(&mut self, stored: StoredOutput, mut each: impl FnMut(Stream, &[u8])) {
        match (stored, &mut self.file) {
            (StoredOutput::Here(held), _) => held.replay(each),
            (StoredOutput::There(start, length), Some(file)) => {
                if file.seek(SeekFrom::Start(start)).is_ok() {
                    let mut reader = std::io::BufReader::with_capacity(IN_MEMORY, file);
                    pieces(&mut (&mut reader).take(length), &mut each);
                }
            }
            (StoredOutput::There(..), None) => {}
        }
    }
}

fn pieces(reader: &mut dyn Read, each: &mut dyn FnMut(Stream, &[u8])) {
    let mut piece = Vec::new();
    loop {
        let mut head = [0; 5];
        if reader.read_exact(&mut head).is_err() {
            return;
        }
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        piece.resize(length.min(2 * IN_MEMORY), 0);
        if reader.read_exact(&mut piece).is_err() {
            return;
        }
        each(if head[0] == 0 { Stream::Out } else { Stream::Err }, &piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_held_comes_back_in_order() {
        let mut held = OutputBuffer::default();
        let mut expected: Vec<(Stream, Vec<u8>)> = Vec::new();
        for round in 0..2000usize {
            let stream = if round % 7 == 0 { Stream::Err } else { Stream::Out };
            let bytes = vec![round as u8; 1 + round % 700];
            held.push(stream, &bytes);
            match expected.last_mut() {
                Some((last, all)) if *last == stream => all.extend_from_slice(&bytes),
                _ => expected.push((stream, bytes)),
            }
        }
        held.push(Stream::Out, &vec![1; 3 * IN_MEMORY]);
        expected.last_mut().expect("some").1.extend(vec![1; 3 * IN_MEMORY]);
        let mut found: Vec<(Stream, Vec<u8>)> = Vec::new();
        // By way of a store with something else on either side.
        let mut store = OutputStore::default();
        let lay = |store: &mut OutputStore, bytes: &[u8]| {
            let mut held = OutputBuffer::default();
            held.push(Stream::Out, bytes);
            store.lay(held)
        };
        let before = lay(&mut store, b"before");
        let stored = store.lay(held);
        let after = lay(&mut store, b"after");
        store.replay(stored, |stream, bytes| match found.last_mut() {
            Some((last, all)) if *last == stream => all.extend_from_slice(bytes),
            _ => found.push((stream, bytes.to_vec())),
        });
        assert!(found == expected);
        store.replay(after, |_, bytes| assert_eq!(bytes, b"after"));
        store.replay(before, |_, bytes| assert_eq!(bytes, b"before"));
    }

    #[test]
    fn equal_outputs_are_equal() {
        let mut one = OutputBuffer::default();
        let mut other = OutputBuffer::default();
        one.push(Stream::Out, b"ab");
        one.push(Stream::Err, b"x");
        other.push(Stream::Out, b"a");
        other.push(Stream::Err, b"x");
        other.push(Stream::Out, b"b");
        assert_eq!(one.digest(), other.digest());
        other.push(Stream::Err, b"b");
        assert_ne!(one.digest(), other.digest());
    }
}
