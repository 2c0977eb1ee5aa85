//! The sha256 of each file, made by a thread beside the one that writes: it takes half as
//! long as writing does, and neither waits for the other.

use octo_core::Digest;
use octo_core::base::digest::Hasher;
use octo_core::base::error::{Error, Exit, Result, describe};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// So many buffers may wait to be hashed, which bounds the memory they take.
const WAITING: usize = 8;

/// What of a buffer is a file's.
pub(super) enum Note {
    Bytes(Range<usize>),
    /// The file is over, and the next one begins.
    End,
}

struct Batch {
    buffer: Arc<Vec<u8>>,
    notes: Vec<Note>,
}

pub(super) struct Hashing {
    sender: SyncSender<Batch>,
    thread: JoinHandle<Vec<Digest>>,
}

impl Hashing {
    /// # Errors
    /// Exit 75, where no thread may be started.
    pub(super) fn start() -> Result<Hashing> {
        let (sender, receiver) = sync_channel(WAITING);
        let thread = Builder::new().name("sha256".into()).spawn(move || hash(&receiver));
        let thread = thread.map_err(|e| Error::new(Exit::Temporary, "a thread", describe(&e)))?;
        Ok(Hashing { sender, thread })
    }

    /// Hands over what is to be hashed of a buffer.
    pub(super) fn add(&self, buffer: &Arc<Vec<u8>>, notes: Vec<Note>) {
        if !notes.is_empty() {
            // One that is gone has panicked, which is told in the end.
            let _ = self.sender.send(Batch { buffer: buffer.clone(), notes });
        }
    }

    /// The digest of each file, in the order of the archive.
    ///
    /// # Errors
    /// Exit 71, where the thread is lost.
    pub(super) fn finish(self) -> Result<Vec<Digest>> {
        drop(self.sender);
        self.thread.join().map_err(|_| Error::new(Exit::Lost, "sha256", "its thread is lost"))
    }
}

fn hash(receiver: &Receiver<Batch>) -> Vec<Digest> {
    let mut digests = Vec::new();
    let mut hasher = Hasher::new();
    for Batch { buffer, notes } in receiver {
        for note in notes {
            match note {
                Note::Bytes(range) => hasher.update(buffer.get(range).unwrap_or_default()),
                Note::End => digests.push(std::mem::take(&mut hasher).finish()),
            }
        }
    }
    digests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_its_own_digest_over_any_buffers() {
        let hashing = Hashing::start().expect("a thread");
        let of = |bytes: &[u8]| Arc::new(bytes.to_vec());
        let first = of(b"..one..tw");
        hashing.add(&first, vec![Note::Bytes(2..5), Note::End, Note::Bytes(7..9)]);
        hashing.add(&of(b"o"), vec![Note::Bytes(0..1), Note::End, Note::End]);
        let wanted: Vec<Digest> = [&b"one"[..], b"two", b""].map(Digest::of).into();
        assert_eq!(hashing.finish().expect("all"), wanted);
    }
}
