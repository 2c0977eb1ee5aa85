//! Putting a file into a tentacle's package store: offer its sha256, send what is
//! missing, from where it is missing.
//!
//! Hashing a large file takes a while. Its beginning is sent meanwhile, in pieces
//! that grow: if the tentacle turns out to have the file, the bytes sent in vain are
//! about as many as the hashing left time for. The tentacle verifies the whole.

use crate::target::connection::client::Client;
use crate::target::connection::client_error::ClientError;
use crate::target::package::counters::UploadCounters;
use crate::target::package::digests::DigestCache;
use crate::target::package::source::{PIECE, Source};
use crate::target::retry::Retry;
use crate::target::stop::Stop;
use octo_core::base::digest::Digest;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::identity::FileStamp;
use octo_core::base::refusal::Refusal;
use octo_core::trust::Verb;
use octo_wire::{Duplex, Failure, Request};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// Smaller files are hashed before anything is sent: that takes less time than
/// the connection.
const AHEAD: u64 = 64 << 20;

/// The first piece of a beginning, and the largest.
const FIRST: u64 = 1 << 20;
const LARGEST: u64 = 32 << 20;

/// A package: what it is and where its bytes are.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its sha256, as of when it was hashed; absent while it is.
    digest: OnceLock<Result<Digest>>,
    /// What it really is, where that was remembered wrongly.
    corrected: OnceLock<Digest>,
    /// The digest was remembered, not made: it may be stale.
    remembered: bool,
    /// Its bytes; absent where only its sha256 was said.
    source: Option<Source>,
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
        Package::of(name, Some(digest), None)
    }

    /// Opens a file. Its sha256 is known if it is remembered; else
    /// [`Package::hash`] has to be called.
    ///
    /// # Errors
    /// Exit 65 for what is missing or no file; 74 where it can't be read.
    pub(crate) fn open(path: &str, digests: &DigestCache) -> Result<Package> {
        let source = Source::open(path)?;
        let remembered = digests.digest(&FileStamp::of(&source.metadata));
        Ok(Package::of(source.name.clone(), remembered, Some(source)))
    }

    fn of(name: String, digest: Option<Digest>, source: Option<Source>) -> Package {
        let remembered = digest.is_some();
        let digest = digest.map_or_else(OnceLock::new, |digest| OnceLock::from(Ok(digest)));
        Package { name, digest, corrected: OnceLock::new(), remembered, source }
    }

    /// Are there bytes of it that may have to be sent?
    pub(crate) fn is_sent(&self) -> bool {
        self.source.is_some()
    }

    /// The size of a file that has to be hashed.
    pub(crate) fn unhashed(&self) -> Option<u64> {
        let unknown = self.digest.get().is_none();
        self.source.as_ref().filter(|_| unknown).map(Source::size)
    }

    /// Is it worth sending before it is hashed?
    pub(crate) fn is_large(&self) -> bool {
        self.unhashed().is_some_and(|size| size >= AHEAD)
    }

    /// Hashes it, unless that is done. [`Package::digest`] returns what went wrong.
    pub(crate) fn hash(&self, stop: &Stop) {
        if let Some(source) = &self.source {
            self.digest.get_or_init(|| source.hash(stop));
        }
    }

    /// Its sha256; waits for it, if it is being hashed.
    pub(crate) fn digest(&self) -> Result<Digest> {
        match self.corrected.get() {
            Some(digest) => Ok(*digest),
            None => self.digest.wait().clone(),
        }
    }

    /// Remembers what was hashed, and forgets what proved wrong.
    pub(crate) fn remember(&self, digests: &mut DigestCache) {
        let (Some(Ok(digest)), Some(source)) = (self.digest.get(), &self.source) else { return };
        if self.corrected.get().is_some() {
            digests.forget(digest);
        } else if !self.remembered {
            digests.keep(&source.metadata, source.opened, *digest, &self.name);
        }
    }

    /// Puts it; a remembered digest that proves wrong is made anew, once.
    pub(crate) fn put<S: Duplex>(
        &self,
        client: &mut Client<'_, S>,
        counters: &UploadCounters,
        stop: &Stop,
        retry: &mut Retry,
    ) -> std::result::Result<Put, ClientError> {
        let Some(source) = &self.source else { return Ok(Put::There) };
        let mut upload = UploadProgress::begin(counters, source.size(), retry);
        self.send_ahead(source, client, &mut upload, stop)?;
        let digest = self.digest().map_err(ClientError::Local)?;
        match self.put_once(source, digest, client, &mut upload, stop) {
            Err(ClientError::Refused(refusal @ Refusal::Mismatch, error, variables)) => {
                let fresh = source.hash(stop).map_err(ClientError::Local)?;
                if fresh != digest && self.remembered {
                    let fresh = *self.corrected.get_or_init(|| fresh);
                    return self.put_once(source, fresh, client, &mut upload, stop);
                }
                let error = Error::new(Exit::Data, &source.shown, "changed while it was sent")
                    .hint(format!("the tentacle said: {}", error.message));
                Err(ClientError::Refused(refusal, error, variables))
            }
            other => other,
        }
    }

    /// Sends the beginning of a file while it is being hashed.
    fn send_ahead<S: Duplex>(
        &self,
        source: &Source,
        client: &mut Client<'_, S>,
        upload: &mut UploadProgress<'_>,
        stop: &Stop,
    ) -> std::result::Result<(), ClientError> {
        let mut length = FIRST;
        while self.is_large() && upload.at < source.size() {
            let end = source.size().min(upload.at + length);
            let request = Request::new(Verb::Put)
                .with("size", source.size())
                .with("name", &self.name)
                .with("offset", upload.at)
                .with("body", end - upload.at);
            let piece = end - upload.at;
            client.send_line(&request)?;
            source.send(client, end, upload, stop)?;
            client.reply(piece)?;
            length = LARGEST.min(length * 2);
        }
        Ok(())
    }

    fn put_once<S: Duplex>(
        &self,
        source: &Source,
        digest: Digest,
        client: &mut Client<'_, S>,
        upload: &mut UploadProgress<'_>,
        stop: &Stop,
    ) -> std::result::Result<Put, ClientError> {
        let size = source.size();
        let request = Request::new(Verb::Put)
            .with("sha256", digest)
            .with("size", size)
            .with("name", &self.name);
        // What is there of it is hashed first.
        let Some(offset) = client.ask_about(&request, size)?.get("offset") else {
            upload.go_on_at(size);
            return Ok(Put::There);
        };
        if offset > size {
            let reason = format!("offset {offset} of {size}");
            return Err(client.wrong(Failure::Malformed(reason)));
        }
        upload.go_on_at(offset);
        upload.retry.stored(offset);
        source.send(client, size, upload, stop)?;
        client.reply(size)?;
        Ok(Put::Sent(upload.sent))
    }
}

impl Source {
    /// Sends it from where the upload is up to `end`.
    fn send<S: Duplex>(
        &self,
        client: &mut Client<'_, S>,
        end: u64,
        upload: &mut UploadProgress<'_>,
        stop: &Stop,
    ) -> std::result::Result<(), ClientError> {
        let mut piece = vec![0; PIECE];
        while upload.at < end {
            self.check(stop).map_err(ClientError::Local)?;
            // A refusal in mid-body: the disk is full, the trust is gone.
            client.hear()?;
            let wanted = usize::try_from(end - upload.at).unwrap_or(usize::MAX).min(PIECE);
            let count = self.read(&mut piece[..wanted], upload.at).map_err(ClientError::Local)?;
            client.send_bytes(&piece[..count])?;
            upload.send(count as u64);
        }
        Ok(())
    }
}

/// One upload's share of the counters; one that broke off takes it back, since
/// it will begin again.
struct UploadProgress<'a> {
    counters: &'a UploadCounters,
    retry: &'a mut Retry,
    size: u64,
    /// How much the tentacle has, as far as we know.
    at: u64,
    /// How much of that was sent just now.
    sent: u64,
}

impl<'a> UploadProgress<'a> {
    fn begin(counters: &'a UploadCounters, size: u64, retry: &'a mut Retry) -> UploadProgress<'a> {
        counters.total.fetch_add(size, Ordering::Relaxed);
        counters.uploads.fetch_add(1, Ordering::Relaxed);
        UploadProgress { counters, retry, size, at: 0, sent: 0 }
    }

    /// The tentacle says how much it has.
    fn go_on_at(&mut self, offset: u64) {
        if let Some(more) = offset.checked_sub(self.at) {
            self.counters.there.fetch_add(more, Ordering::Relaxed);
            self.counters.sent.fetch_add(more, Ordering::Relaxed);
        } else {
            self.counters.sent.fetch_sub(self.at - offset, Ordering::Relaxed);
        }
        self.at = offset;
    }

    fn send(&mut self, bytes: u64) {
        self.counters.sent.fetch_add(bytes, Ordering::Relaxed);
        self.at += bytes;
        self.sent += bytes;
    }
}

impl Drop for UploadProgress<'_> {
    fn drop(&mut self) {
        self.counters.uploads.fetch_sub(1, Ordering::Relaxed);
        if self.at != self.size {
            self.counters.total.fetch_sub(self.size, Ordering::Relaxed);
            self.counters.sent.fetch_sub(self.at, Ordering::Relaxed);
        }
    }
}
