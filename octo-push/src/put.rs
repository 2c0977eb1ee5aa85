//! Putting a file into a tentacle's package store: hash, offer, send what is
//! missing, from where it is missing.
//!
//! The file is read once for all targets to hash it, and once a target to send
//! it, both from the page cache where it fits. The tentacle verifies the whole.

use crate::output::Counters;
use crate::remember::{Memory, Stamp};
use crate::session::{Session, Trouble};
use crate::stop::Stop;
use octo_core::digest::{Digest, Hasher};
use octo_core::encoding::printable;
use octo_core::error::{Error, Exit, Result};
use octo_core::names::is_file_name;
use octo_core::refusal::Refusal;
use octo_wire::Message;
use rustix::fs::{Advice, FileType, Mode, OFlags, fadvise, fstat};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// One read of the file and one write of TLS.
const PIECE: usize = 256 * 1024;

/// A package: what it is and where its bytes are.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its file name.
    pub(crate) name: String,
    /// Its sha256, as of when it was hashed.
    digest: Mutex<Digest>,
    /// What it was taken for before, wrongly.
    stale: Mutex<Option<Digest>>,
    /// Its bytes; absent where only its sha256 was said.
    source: Option<Source>,
}

#[derive(Debug)]
struct Source {
    file: File,
    shown: String,
    size: u64,
    /// The digest was remembered, not made: it may be stale.
    remembered: std::sync::atomic::AtomicBool,
}

/// What a put came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It was there.
    There,
    /// So many bytes were sent.
    Sent(u64),
}

impl Package {
    /// A package that is at the tentacle already.
    pub(crate) fn known(digest: Digest, name: String) -> Package {
        Package { name, digest: Mutex::new(digest), stale: Mutex::default(), source: None }
    }

    /// Opens and hashes a file, or remembers its digest.
    ///
    /// # Errors
    /// Exit 65 for what is missing or no file; 74 where it can't be read.
    pub(crate) fn open(
        path: &str,
        memory: &mut Memory,
        hashing: impl FnOnce(u64),
    ) -> Result<Package> {
        let shown = printable(path.as_bytes());
        let wrong = |reason: &str| Error::new(Exit::Data, &shown, reason);
        let name = Path::new(path)
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|name| is_file_name(name.as_bytes()))
            .ok_or_else(|| wrong("has no file name"))?;
        // Not blocking: opening a FIFO would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| Error::io(Path::new(path), &error.into()))?;
        let file = File::from(file);
        let stat = fstat(&file).map_err(|error| Error::io(Path::new(path), &error.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => {
                return Err(wrong("is a directory").hint("octo-pack makes a package of it"));
            }
            _ => return Err(wrong("is not a regular file")),
        }
        let metadata = file.metadata().map_err(|error| Error::io(Path::new(path), &error))?;
        // Only a hint to the kernel, which reads ahead twice as far.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        let size = metadata.len();
        let remembered = memory.digest(&Stamp::of(&metadata));
        let source = Source { file, shown, size, remembered: remembered.is_some().into() };
        let digest = match remembered {
            Some(digest) => digest,
            None => {
                hashing(size);
                let digest = source.hash()?;
                memory.keep(&metadata, digest, name);
                digest
            }
        };
        let digest = Mutex::new(digest);
        let stale = Mutex::default();
        Ok(Package { name: name.to_string(), digest, stale, source: Some(source) })
    }

    /// Its sha256.
    pub(crate) fn digest(&self) -> Digest {
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a remembered digest that proved wrong.
    pub(crate) fn correct(&self, memory: &mut Memory) {
        if let Some(stale) = *self.stale.lock().unwrap_or_else(PoisonError::into_inner) {
            memory.forget(&stale);
        }
    }

    /// Puts it; a remembered digest that proves wrong is made anew, once.
    ///
    /// # Errors
    /// The trouble with the tentacle or the file.
    pub(crate) fn put(
        &self,
        session: &mut Session<'_>,
        counters: &Counters,
        stop: &Stop,
    ) -> std::result::Result<Put, Trouble> {
        let Some(source) = &self.source else { return Ok(Put::There) };
        let digest = self.digest();
        let upload = Upload::begin(counters, source.size);
        match self.put_once(source, digest, session, &upload, stop) {
            Err(Trouble::No(Refusal::Mismatch, error)) => {
                let fresh = source.hash().map_err(Trouble::Here)?;
                if fresh != digest && source.remembered.swap(false, Ordering::Relaxed) {
                    *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
                    *self.stale.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
                    return self.put_once(source, fresh, session, &upload, stop);
                }
                Err(Trouble::No(
                    Refusal::Mismatch,
                    Error::new(Exit::Data, &source.shown, "changed while it was sent")
                        .hint(format!("the tentacle said: {}", error.message)),
                ))
            }
            other => other,
        }
    }

    fn put_once(
        &self,
        source: &Source,
        digest: Digest,
        session: &mut Session<'_>,
        upload: &Upload<'_>,
        stop: &Stop,
    ) -> std::result::Result<Put, Trouble> {
        let mut request = Message::new("put").with("sha256", digest).with("size", source.size);
        request.push("name", self.name.as_bytes());
        let reply = session.ask(&request, b"")?;
        let offset = reply.number("offset").map_err(|failure| session.wrong(failure))?;
        let Some(offset) = offset else {
            upload.there(source.size);
            return Ok(Put::There);
        };
        if offset > source.size {
            let reason = format!("offset {offset} of {}", source.size);
            return Err(session.wrong(octo_wire::Failure::Malformed(reason)));
        }
        upload.there(offset);
        source.send(session, offset, upload, stop)?;
        session.reply()?;
        Ok(Put::Sent(source.size - offset))
    }
}

impl Source {
    fn hash(&self) -> Result<Digest> {
        let mut hasher = Hasher::new();
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        while at < self.size {
            let count = self.read(&mut piece, at)?;
            hasher.update(&piece[..count]);
            at += count as u64;
        }
        Ok(hasher.finish())
    }

    /// Reads at a position: all targets share one open file.
    fn read(&self, piece: &mut [u8], at: u64) -> Result<usize> {
        let wanted = usize::try_from(self.size - at).unwrap_or(usize::MAX).min(piece.len());
        loop {
            match self.file.read_at(&mut piece[..wanted], at) {
                Ok(0) => {
                    return Err(Error::new(
                        Exit::Data,
                        &self.shown,
                        "became shorter while it was read",
                    ));
                }
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(Path::new(&self.shown), &error)),
            }
        }
    }

    fn send(
        &self,
        session: &mut Session<'_>,
        offset: u64,
        upload: &Upload<'_>,
        stop: &Stop,
    ) -> std::result::Result<(), Trouble> {
        let mut piece = vec![0; PIECE];
        let mut at = offset;
        while at < self.size {
            if stop.is_set() {
                return Err(Trouble::Here(Error::new(Exit::Cancelled, &self.shown, "cancelled")));
            }
            // A refusal in mid-body: the disk is full, the trust is gone.
            session.hear()?;
            let count = self.read(&mut piece, at).map_err(Trouble::Here)?;
            session.send_bytes(&piece[..count]).map_err(|failure| session.after_write(failure))?;
            at += count as u64;
            upload.sent(count as u64);
        }
        Ok(())
    }
}

/// One upload's share of the counters; one that broke off takes it back, since
/// it will begin again.
struct Upload<'a> {
    counters: &'a Counters,
    size: u64,
    counted: AtomicU64,
}

impl<'a> Upload<'a> {
    fn begin(counters: &'a Counters, size: u64) -> Upload<'a> {
        counters.total.fetch_add(size, Ordering::Relaxed);
        counters.uploads.fetch_add(1, Ordering::Relaxed);
        Upload { counters, size, counted: AtomicU64::new(0) }
    }

    fn there(&self, bytes: u64) {
        self.counters.there.fetch_add(bytes, Ordering::Relaxed);
        self.sent(bytes);
    }

    fn sent(&self, bytes: u64) {
        self.counters.sent.fetch_add(bytes, Ordering::Relaxed);
        self.counted.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        self.counters.uploads.fetch_sub(1, Ordering::Relaxed);
        let counted = self.counted.load(Ordering::Relaxed);
        if counted != self.size {
            self.counters.total.fetch_sub(self.size, Ordering::Relaxed);
            self.counters.sent.fetch_sub(counted, Ordering::Relaxed);
        }
    }
}
