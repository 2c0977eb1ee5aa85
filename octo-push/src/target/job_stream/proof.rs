//! Is an end proved? The listener tells it, and what proves it is the seal of octo-exec, by a
//! key that the target's line pins. Where it pins none, the listener is believed.

use crate::target::connection::client::Client;
use crate::target::connection::client_error::ClientError;
use crate::target::outcome::{Outcome, OutcomeKind, OutcomeOrigin};
use octo_core::base::digest::{Digest, Hasher};
use octo_core::base::error::{Error, Exit};
use octo_core::base::names::JobId;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::job::EndKind;
use octo_core::tentacle::seal::{self, Content, Told};
use octo_core::tentacle::statement::{MAXIMUM_CERTIFICATE, MAXIMUM_SIGNATURE, Signed};
use octo_wire::{Duplex, Failure, Fields};

/// The job that is followed, and how its end has to be proved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Followed<'a> {
    pub(crate) job: &'a JobId,
    /// Its spec, where we asked for it ourselves.
    pub(crate) spec: Option<Digest>,
    /// What the tentacle showed in the handshake.
    pub(crate) tentacle: Option<Thumbprint>,
    /// The keys that the target's line pins.
    pub(crate) keys: &'a [Thumbprint],
}

/// What an end is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Sealed by this key, which is pinned.
    Proved(Thumbprint),
    /// No key is pinned, and why that is worth knowing.
    Unproved(String),
    /// A key is pinned, and this end is not what it sealed: why.
    Wrong(String),
}

/// The output that has come, all of it from its first byte.
#[derive(Debug, Default)]
pub(super) struct Heard {
    length: u64,
    hasher: Hasher,
}

/// A seal that has come, as it came.
#[derive(Debug)]
pub(super) struct Received {
    bytes: Vec<u8>,
    /// Where the signature begins, and where the certificate.
    signature: usize,
    certificate: usize,
}

impl Heard {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.hasher.update(bytes);
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl Received {
    /// Reads the body of a `seal`; no more of it than a seal can be.
    pub(super) fn read<S: Duplex>(
        client: &mut Client<'_, S>,
        said: &Fields,
    ) -> Result<Received, ClientError> {
        let part = |key, most| said.get::<u64>(key).filter(|length| *length <= most);
        let lengths = part("seal", seal::MAXIMUM).zip(part("signature", MAXIMUM_SIGNATURE));
        let certificate = lengths.and_then(|(seal, signature)| {
            said.body().checked_sub(seal + signature).filter(|rest| *rest <= MAXIMUM_CERTIFICATE)
        });
        let (Some((seal, signature)), Some(_)) = (lengths, certificate) else {
            return Err(client.wrong(Failure::Malformed("a seal of impossible length".into())));
        };
        let bytes = client.body(said)?;
        // All are below their maximum, and so below usize's.
        let (signature, certificate) = (seal as usize, (seal + signature) as usize);
        Ok(Received { bytes, signature, certificate })
    }

    fn signed(&self) -> Signed<'_> {
        Signed {
            statement: &self.bytes[..self.signature],
            signature: &self.bytes[self.signature..self.certificate],
            certificate: &self.bytes[self.certificate..],
        }
    }
}

/// A job's end that was told, and that its seal doesn't bear out: how it ended isn't known.
pub(super) fn disbelieved(job: &JobId, told: EndKind, why: &str) -> Outcome {
    let (word, code) = (told.word(), told.code());
    let message = format!("its end is not believed, {word} {code} was told: {why}");
    let hint = format!(
        "there, octo-exec show {job} says how it ended, octo-keys seal which seal= is right"
    );
    let error = Error { exit: Exit::UnknownEnd, message, hints: vec![hint] };
    let outcome = Outcome::error(OutcomeKind::Unknown, OutcomeOrigin::Octopus, error);
    Outcome { proved: Some(false), ..outcome }
}

/// What this end is worth, of a job with this output and these values.
pub(super) fn judge(
    followed: &Followed<'_>,
    kind: EndKind,
    end: &Fields,
    received: Option<&Received>,
    heard: &Heard,
    values: &[u8],
) -> Proof {
    let &Followed { job, spec, tentacle, keys } = followed;
    let signed = received.map(Received::signed);
    if keys.is_empty() {
        return Proof::Unproved(match signed {
            None => "no seal came, and its target line pins none".into(),
            Some(signed) => {
                let key = Thumbprint::of_certificate(signed.certificate);
                format!("its target line pins no seal, it came with seal={key}")
            }
        });
    }
    let Some(signed) = signed else { return Proof::Wrong("it has no seal".into()) };
    let log = Content { length: heard.length, digest: heard.hasher.clone().finish() };
    let values = (!values.is_empty()).then(|| Content::of(values));
    let (reason, truncated) = (end.get("reason"), end.flag("truncated"));
    let told = Told { job, spec, tentacle, kind, reason, log, truncated, values };
    match seal::prove(&signed, keys, &told) {
        Ok(_) => Proof::Proved(Thumbprint::of_certificate(signed.certificate)),
        Err(why) => Proof::Wrong(why),
    }
}
