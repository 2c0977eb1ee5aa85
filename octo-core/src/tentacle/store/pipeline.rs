//! Reading, hashing and writing at once, over a few buffers that go round:
//!
//! ```text
//! reader (the caller) → hasher → writer → back to the reader
//! ```
//!
//! The writer writes past the page cache where the file system permits: a
//! package is read once, later, if at all; to cache a gigabyte of it costs the
//! processor more than everything else here, and the fsync at the end would
//! wait for all of it at once.

use crate::base::digest::Hasher;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// The size of one buffer, and how many go round.
pub(super) const BUFFER: usize = 256 * 1024;
const BUFFERS: usize = 4;

/// What a write past the page cache must be a multiple of, in memory and in the
/// file: the page size covers every disk's sector.
pub(super) const ALIGNMENT: usize = 4096;

/// Where the page cache can't be passed, write-back is started this often, so
/// that the final fsync finds little left.
const WRITE_BACK: u64 = 32 << 20;

const STACK: usize = 64 * 1024;

/// What ended the transfer before its end.
pub(super) enum Broken {
    /// The reader's own error, or an early end of what it reads.
    Reader(io::Error),
    /// Writing failed, or a thread could not be started.
    Writer(io::Error),
}

/// Moves `length` bytes from `read` into the file at `offset`, through the
/// hasher. Returns the hasher and how far the file is written; where the reader
/// broke off, all whole blocks that came are written.
pub(super) fn transfer(
    file: &File,
    offset: u64,
    length: u64,
    hasher: Hasher,
    read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
) -> (Hasher, u64, Result<(), Broken>) {
    let (to_hasher, from_reader) = sync_channel::<Filled>(BUFFERS);
    let (to_writer, from_hasher) = sync_channel::<Filled>(BUFFERS);
    let (to_reader, from_writer) = sync_channel::<Buffer>(BUFFERS);
    // A small package takes one small buffer.
    let size = usize::try_from(length).map_or(BUFFER, |l| l.clamp(1, BUFFER));
    for _ in 0..BUFFERS.min(usize::try_from(length.div_ceil(BUFFER as u64)).unwrap_or(BUFFERS)) {
        let _ = to_reader.send(Buffer::new(size.next_multiple_of(ALIGNMENT)));
    }

    std::thread::scope(|scope| {
        let mut thread = 0;
        let mut builder = || {
            thread += 1;
            std::thread::Builder::new().name(format!("put-{thread}")).stack_size(STACK)
        };
        let fallback = hasher.clone();
        let hashing = builder().spawn_scoped(scope, move || hash(hasher, &from_reader, &to_writer));
        let writing =
            builder().spawn_scoped(scope, move || write(file, offset, &from_hasher, &to_reader));
        let (hashing, writing) = match (hashing, writing) {
            (Ok(hashing), Ok(writing)) => (hashing, writing),
            (Err(error), _) | (_, Err(error)) => {
                drop(to_hasher);
                return (fallback, offset, Err(Broken::Writer(error)));
            }
        };
        let outcome = fill(length, &to_hasher, &from_writer, read);
        drop(to_hasher);
        let died = || io::Error::other("a thread died");
        let hasher = hashing.join().map_err(|_| died());
        let written = writing.join().unwrap_or_else(|_| (offset, Err(died())));
        match (hasher, written) {
            (Ok(hasher), (end, Ok(()))) => (
                hasher,
                end,
                outcome.map_err(|e| e.map_or_else(|| Broken::Writer(died()), Broken::Reader)),
            ),
            (Err(error), (end, _)) | (_, (end, Err(error))) => {
                (fallback, end, Err(Broken::Writer(error)))
            }
        }
    })
}

/// The reader's part. `Err(None)` says that the other end is gone.
fn fill(
    length: u64,
    to_hasher: &SyncSender<Filled>,
    from_writer: &Receiver<Buffer>,
    read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
) -> Result<(), Option<io::Error>> {
    let mut left = length;
    while left > 0 {
        let mut buffer = from_writer.recv().map_err(|_| None)?;
        let wanted = usize::try_from(left).map_or(buffer.size, |l| l.min(buffer.size));
        let mut filled = 0;
        let mut failed = None;
        while filled < wanted {
            match read(&mut buffer.bytes()[filled..wanted]) {
                Ok(0) => {
                    failed = Some(io::ErrorKind::UnexpectedEof.into());
                    break;
                }
                Ok(count) => filled += count,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        left -= filled as u64;
        to_hasher
            .send(Filled { buffer, count: filled, broken: failed.is_some() })
            .map_err(|_| None)?;
        if let Some(error) = failed {
            return Err(Some(error));
        }
    }
    Ok(())
}

fn hash(mut hasher: Hasher, from: &Receiver<Filled>, to: &SyncSender<Filled>) -> Hasher {
    for mut filled in from {
        let count = filled.count;
        hasher.update(&filled.buffer.bytes()[..count]);
        if to.send(filled).is_err() {
            break;
        }
    }
    hasher
}

fn write(
    file: &File,
    mut offset: u64,
    from: &Receiver<Filled>,
    to: &SyncSender<Buffer>,
) -> (u64, io::Result<()>) {
    let mut direct = is_direct(file);
    let mut flushed = offset;
    for mut filled in from {
        // A piece of a block would end the alignment of what is resumed later.
        let count = match filled.broken {
            true => filled.count - filled.count % ALIGNMENT,
            false => filled.count,
        };
        let bytes = &filled.buffer.bytes()[..count];
        let mut wrote = || -> io::Result<()> {
            if direct && !count.is_multiple_of(ALIGNMENT) {
                // Only the last piece of a package is not a multiple.
                direct = false;
                stop_direct(file)?;
            }
            match file.write_all_at(bytes, offset) {
                Err(error) if direct && error.kind() == io::ErrorKind::InvalidInput => {
                    direct = false;
                    stop_direct(file)?;
                    file.write_all_at(bytes, offset)?;
                }
                other => other?,
            }
            offset += count as u64;
            if !direct && offset - flushed >= WRITE_BACK {
                flushed = offset;
                file.sync_data()?;
            }
            Ok(())
        };
        if let Err(error) = wrote() {
            return (offset, Err(error));
        }
        // The reader is gone once it has read all.
        let _ = to.send(filled.buffer);
    }
    (offset, Ok(()))
}

fn is_direct(file: &File) -> bool {
    fcntl_getfl(file).is_ok_and(|flags| flags.contains(OFlags::DIRECT))
}

fn stop_direct(file: &File) -> io::Result<()> {
    Ok(fcntl_setfl(file, fcntl_getfl(file)?.difference(OFlags::DIRECT))?)
}

struct Filled {
    buffer: Buffer,
    count: usize,
    broken: bool,
}

/// Memory that starts on a page.
pub(super) struct Buffer {
    memory: Vec<u8>,
    skip: usize,
    size: usize,
}

impl Buffer {
    pub(super) fn new(size: usize) -> Buffer {
        let memory = vec![0; size + ALIGNMENT];
        let skip = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Buffer { memory, skip, size }
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.skip..self.skip + self.size]
    }
}
