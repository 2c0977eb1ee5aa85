//! Putting a file into a tentacle's package store: offer its sha256 and what it may be made
//! of, send what is missing, from where it is missing, in segments.
//!
//! Hashing a large file takes a while. Where the tentacle has none of its size, its
//! beginning is sent meanwhile, in pieces that grow. The tentacle verifies the whole.

use crate::target::connection::client::Client;
use crate::target::connection::client_error::ClientError;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::package::bases::Base;
use crate::target::package::counters::Sent;
use crate::target::package::digests::DigestCache;
use crate::target::package::held::{held, hold};
use crate::target::package::progress::UploadProgress;
use crate::target::package::segments::Segments;
use crate::target::package::source::Source;
use crate::target::retry::Retry;
use crate::target::stop::Stop;
use octo_core::base::digest::Digest;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::identity::FileStamp;
use octo_core::base::refusal::Refusal;
use octo_core::patch::MOST_BASES;
use octo_core::trust::Verb;
use octo_core::trust::signed::Signature;
use octo_wire::{Duplex, Failure, Request};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Smaller files are hashed before anything is sent: that takes less time than
/// the connection.
const AHEAD: u64 = 64 << 20;

/// The first piece of a beginning, and the largest.
const FIRST: u64 = 1 << 20;
const LARGEST: u64 = 32 << 20;

/// For so many bases a patch is made; who has another gets it whole.
const MOST_PATCHES: usize = 3;

/// A package: what it is and where its bytes are.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its signature, where it has one.
    pub(crate) signature: Option<Signature>,
    /// Its sha256, as of when it was hashed; absent while it is.
    digest: OnceLock<Result<Digest>>,
    /// What it really is, where that was remembered wrongly.
    corrected: OnceLock<Digest>,
    /// The digest was remembered, not made: it may be stale.
    remembered: bool,
    /// Its bytes; absent where only its sha256 was said.
    source: Option<Source>,
    /// What it may be made of.
    bases: Vec<Base>,
    /// Its segments behind bases, where a tentacle had one; none where that failed.
    patches: Mutex<HashMap<Digest, Option<Arc<Segments>>>>,
    /// Its segments by itself.
    alone: OnceLock<Segments>,
}

/// What a put came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It was there.
    There,
    /// It was sent.
    Sent(Sent),
}

impl Package {
    /// A package that is at the tentacle already.
    pub(crate) fn known(digest: Digest, name: String, signature: Option<Signature>) -> Package {
        Package { signature, ..Package::of(name, Some(digest), None) }
    }

    /// Opens a file. Its sha256 is known if it is remembered; else
    /// [`Package::hash`] has to be called.
    ///
    /// # Errors
    /// Exit 65 for what is missing or no file, and for a file beside it that is no
    /// signature; 74 where it can't be read.
    pub(crate) fn open(path: &str, digests: &DigestCache) -> Result<Package> {
        let source = Source::open(path)?;
        let remembered = digests.digest(&FileStamp::of(&source.metadata));
        let signature = Signature::beside(&source.path)?;
        Ok(Package { signature, ..Package::of(source.name.clone(), remembered, Some(source)) })
    }

    fn of(name: String, digest: Option<Digest>, source: Option<Source>) -> Package {
        let remembered = digest.is_some();
        let digest = digest.map_or_else(OnceLock::new, |digest| OnceLock::from(Ok(digest)));
        Package {
            name,
            signature: None,
            digest,
            corrected: OnceLock::new(),
            remembered,
            source,
            bases: Vec::new(),
            patches: Mutex::default(),
            alone: OnceLock::new(),
        }
    }

    /// The same, of which something may be at a tentacle already.
    #[must_use]
    pub(crate) fn made_of(self, bases: Vec<Base>) -> Package {
        Package { bases, ..self }
    }

    /// Is there something of which it may be made?
    pub(crate) fn has_bases(&self) -> bool {
        !self.bases.is_empty()
    }

    /// The file itself.
    pub(crate) fn source(&self) -> Option<&Source> {
        self.source.as_ref()
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
            digests.keep(source, *digest);
        }
        if let (Some(signature), Ok(digest)) = (&self.signature, self.digest()) {
            digests.keep_signature(&digest, signature);
        }
    }

    /// Puts it; a remembered digest that proves wrong is made anew, once.
    pub(crate) fn put<S: Duplex>(
        &self,
        client: &mut Client<'_, S>,
        context: &Context,
        reporter: &Reporter,
        retry: &mut Retry,
    ) -> std::result::Result<Put, ClientError> {
        let Some(source) = &self.source else { return Ok(Put::There) };
        let mut upload = UploadProgress::begin(context, reporter, source.size(), retry);
        if let Some(tentacle) = reporter.peer.get()
            && self.has_bases()
        {
            upload.held = held(&context.common.places, tentacle);
        }
        self.send_ahead(source, client, &mut upload)?;
        let digest = self.digest().map_err(ClientError::Local)?;
        let put = self.put_or_put_anew(source, digest, client, &mut upload)?;
        upload.is_there = true;
        if let (Some(tentacle), Ok(digest)) = (reporter.peer.get(), self.digest()) {
            hold(&context.common.places, tentacle, digest);
        }
        Ok(put)
    }

    fn put_or_put_anew<S: Duplex>(
        &self,
        source: &Source,
        digest: Digest,
        client: &mut Client<'_, S>,
        upload: &mut UploadProgress<'_>,
    ) -> std::result::Result<Put, ClientError> {
        match self.put_once(source, digest, client, upload) {
            Err(ClientError::Refused(refusal @ Refusal::Mismatch, error, variables)) => {
                let fresh = source.hash(&upload.context.stop).map_err(ClientError::Local)?;
                // What was sent in vain is none of the package.
                upload.sent.size = 0;
                if fresh != digest && self.remembered {
                    let fresh = *self.corrected.get_or_init(|| fresh);
                    return self.put_once(source, fresh, client, upload);
                }
                let was_whole = std::mem::replace(&mut upload.retry.whole, true);
                if fresh == digest && upload.built_on && !was_whole {
                    // What was there is damaged, or what was made of it: now it comes as it is.
                    return match self.put_once(source, digest, client, upload) {
                        Err(ClientError::Lost(_)) => Err(ClientError::Lost(error)),
                        other => other,
                    };
                }
                let error = Error::new(Exit::Data, &source.shown, "changed while it was sent")
                    .hint(format!("the tentacle said: {}", error.message));
                Err(ClientError::Refused(refusal, error, variables))
            }
            other => other,
        }
    }

    /// Sends the beginning of a file while it is being hashed, unless the tentacle has one of
    /// its size: that may be it.
    fn send_ahead<S: Duplex>(
        &self,
        source: &Source,
        client: &mut Client<'_, S>,
        upload: &mut UploadProgress<'_>,
    ) -> std::result::Result<(), ClientError> {
        if !self.is_large() {
            return Ok(());
        }
        let request =
            || Request::new(Verb::Put).with("size", source.size()).with("name", &self.name);
        if client.ask(&request(), b"")?.flag("same-size") {
            return Ok(());
        }
        let mut length = FIRST;
        while self.is_large() && upload.at < source.size() {
            let end = source.size().min(upload.at + length);
            let piece = end - upload.at;
            let request = request().with("offset", upload.at).with("body", piece);
            client.send_line(&request)?;
            source.send(client, end, upload)?;
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
    ) -> std::result::Result<Put, ClientError> {
        let size = source.size();
        let mut request = Request::new(Verb::Put)
            .with("sha256", digest)
            .with("size", size)
            .with("name", &self.name);
        let offered = self.offered(digest, upload);
        if !offered.is_empty() {
            let each: Vec<_> = offered.iter().map(|base| base.digest.to_string()).collect();
            request = request.with("bases", each.join(","));
        }
        // What is there of it is hashed first.
        let reply = client.ask_about(&request, size)?;
        let Some(offset) = reply.get("offset") else {
            upload.go_on_at(size);
            return Ok(Put::There);
        };
        if offset > size {
            let reason = format!("offset {offset} of {size}");
            return Err(client.wrong(Failure::Malformed(reason)));
        }
        let patch = match reply.get::<Digest>("base") {
            None => None,
            Some(named) => {
                let base = offered.iter().find(|base| base.digest == named).ok_or_else(|| {
                    client.wrong(Failure::Malformed("a base that was not offered".into()))
                })?;
                self.patch(source, base, &upload.context.common.places.state)
            }
        };
        upload.go_on_at(offset);
        upload.built_on |= offset > 0;
        upload.retry.stored(offset);
        let segments = match &patch {
            Some(patch) => patch,
            None => self
                .alone
                .get_or_init(|| Segments::alone(source, &upload.context.common.places.state)),
        };
        source.send_parts(segments, client, upload)?;
        client.reply(size)?;
        Ok(Put::Sent(upload.sent))
    }

    /// The bases that are offered to a tentacle: first what it may hold.
    fn offered(&self, digest: Digest, upload: &UploadProgress<'_>) -> Vec<&Base> {
        if upload.retry.whole {
            return Vec::new();
        }
        let mut offered: Vec<_> = self.bases.iter().filter(|base| base.digest != digest).collect();
        let place = |base: &&Base| upload.held.iter().position(|held| *held == base.digest);
        offered.sort_by_key(|base| place(base).unwrap_or(usize::MAX));
        offered.truncate(MOST_BASES);
        offered
    }

    /// The segments behind a base, made once for all targets that have it.
    fn patch(&self, source: &Source, base: &Base, state: &Path) -> Option<Arc<Segments>> {
        let mut patches = self.patches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(patch) = patches.get(&base.digest) {
            return patch.clone();
        }
        if patches.len() == MOST_PATCHES {
            return None;
        }
        let behind = |base| Segments::behind(source, base, state).ok().map(Arc::new);
        let patch = base.open().and_then(behind);
        patches.insert(base.digest, patch.clone());
        patch
    }
}
