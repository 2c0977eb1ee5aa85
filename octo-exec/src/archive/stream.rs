//! The bytes of an archive, unpacked: no more of them than are permitted, and a signal is
//! heeded between two pieces.

use super::hashing::{Hashing, Note};
use super::header::BLOCK;
use super::source;
use crate::stop::Stop;
use octo_core::Digest;
use octo_core::base::error::{Error, Exit, Result, describe};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// So much is read at once.
const BUFFER: usize = 256 * 1024;

pub(super) struct Stream {
    path: PathBuf,
    reader: Box<dyn Read>,
    /// Those before are being hashed, and come again.
    buffers: Vec<Arc<Vec<u8>>>,
    buffer: Arc<Vec<u8>>,
    start: usize,
    end: usize,
    /// So many bytes may still come.
    left: u64,
    /// None where nobody asks for digests.
    hashing: Option<Hashing>,
    notes: Vec<Note>,
    stop: Stop,
}

impl Stream {
    /// Opens an archive, of which at most so many bytes are read, unpacked, and its files
    /// hashed, if that is wanted.
    ///
    /// # Errors
    /// As [`source::open`]; exit 75 without a thread.
    pub(super) fn open(path: &Path, most: u64, is_hashed: bool, stop: &Stop) -> Result<Stream> {
        Stream::of(path, source::open(path, stop)?, most, is_hashed, stop)
    }

    /// The same, where it is open and unpacked already.
    ///
    /// # Errors
    /// Exit 75 without a thread.
    pub(super) fn of(
        path: &Path,
        reader: Box<dyn Read>,
        most: u64,
        is_hashed: bool,
        stop: &Stop,
    ) -> Result<Stream> {
        Ok(Stream {
            path: path.to_path_buf(),
            reader,
            buffers: Vec::new(),
            buffer: Arc::new(vec![0; BUFFER]),
            start: 0,
            end: 0,
            left: most,
            hashing: is_hashed.then(Hashing::start).transpose()?,
            notes: Vec::new(),
            stop: stop.clone(),
        })
    }

    /// What is wrong with the archive itself.
    pub(super) fn bad(&self, reason: impl std::fmt::Display) -> Error {
        Error::new(Exit::Data, self.path.display(), reason)
    }

    /// At most so many bytes, at least one where there are more; they come again until
    /// [`Stream::consume`] is told how many were used.
    ///
    /// # Errors
    /// Exit 65 for a damaged archive or one that is too long, 74 where it can't be read,
    /// 130 for a signal.
    pub(super) fn some(&mut self, most: u64) -> Result<&[u8]> {
        if self.start == self.end {
            self.fill()?;
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.end - self.start);
        Ok(&self.buffer[self.start..self.start + most])
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// As [`Stream::consume`], of bytes of a file.
    pub(super) fn consume_hashed(&mut self, count: usize) {
        if count > 0 {
            self.notes.push(Note::Bytes(self.start..self.start + count));
        }
        self.consume(count);
    }

    /// The file is over.
    pub(super) fn end_file(&mut self) {
        self.notes.push(Note::End);
    }

    /// The digest of each file that was ended, in their order; none without hashing.
    ///
    /// # Errors
    /// As [`Hashing::finish`].
    pub(super) fn digests(mut self) -> Result<Vec<Digest>> {
        self.hash();
        self.hashing.map_or_else(|| Ok(Vec::new()), Hashing::finish)
    }

    /// Passes so many bytes over.
    ///
    /// # Errors
    /// As [`Stream::some`], and exit 65 where there are fewer.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<()> {
        while count > 0 {
            let passed = self.some(count)?.len();
            if passed == 0 {
                return Err(self.truncated());
            }
            self.consume(passed);
            count -= passed as u64;
        }
        Ok(())
    }

    /// The next so many bytes; who asks has bounded them.
    ///
    /// # Errors
    /// As [`Stream::skip`].
    pub(super) fn bytes(&mut self, count: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < count {
            let some = self.some(count - bytes.len() as u64)?;
            if some.is_empty() {
                return Err(self.truncated());
            }
            let length = some.len();
            bytes.extend_from_slice(some);
            self.consume(length);
        }
        Ok(bytes)
    }

    /// The next block; `None` where the archive ends before it.
    ///
    /// # Errors
    /// As [`Stream::skip`].
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        if self.some(1)?.is_empty() {
            return Ok(None);
        }
        let bytes = self.bytes(BLOCK as u64)?;
        Ok(bytes.try_into().ok())
    }

    /// Reads to the end, so that the sums of what is compressed are looked at.
    ///
    /// # Errors
    /// As [`Stream::some`], and exit 65 for anything but zeros.
    pub(super) fn expect_padding(&mut self) -> Result<()> {
        loop {
            let some = self.some(u64::MAX)?;
            let (length, is_empty) = (some.len(), some.iter().all(|b| *b == 0));
            if !is_empty {
                return Err(self.bad("something stands behind its end"));
            }
            if length == 0 {
                return Ok(());
            }
            self.consume(length);
        }
    }

    pub(super) fn truncated(&self) -> Error {
        self.bad("is cut short")
    }

    /// Hands over what stands in the buffer.
    fn hash(&mut self) {
        let notes = std::mem::take(&mut self.notes);
        if let Some(hashing) = &self.hashing {
            hashing.add(&self.buffer, notes);
        }
    }

    fn fill(&mut self) -> Result<()> {
        self.hash();
        if Arc::get_mut(&mut self.buffer).is_none() {
            let free = self.buffers.iter().position(|buffer| Arc::strong_count(buffer) == 1);
            let free = free.map(|at| self.buffers.swap_remove(at));
            let next = free.unwrap_or_else(|| Arc::new(vec![0; BUFFER]));
            self.buffers.push(std::mem::replace(&mut self.buffer, next));
        }
        loop {
            self.stop.check()?;
            let buffer: &mut Vec<u8> = Arc::make_mut(&mut self.buffer);
            match self.reader.read(buffer) {
                Ok(count) if count as u64 > self.left => {
                    return Err(self.bad("more bytes than are permitted, or padding without end"));
                }
                Ok(count) => {
                    (self.start, self.end) = (0, count);
                    self.left -= count as u64;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What unpacks has none of the system's errors.
                Err(error) if error.raw_os_error().is_some() => {
                    return Err(Error::io(&self.path, &error).exit(Exit::Io));
                }
                Err(error) => return Err(self.bad(format!("is damaged: {}", describe(&error)))),
            }
        }
    }
}
