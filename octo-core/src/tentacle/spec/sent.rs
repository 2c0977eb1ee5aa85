//! A job's parts as somebody sent them, checked against each other.

use super::{Script, Spec, SpecError};
use crate::base::digest::Digest;
use crate::base::refusal::Refusal;

/// A spec, and the script, standard input and secrets that are those of it.
#[derive(Debug)]
pub struct SentParts<'a> {
    /// The spec.
    pub spec: Spec,
    /// The sha256 of its bytes.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The script, where it is sent: an empty one is a script, where one is announced.
    pub script: Option<&'a [u8]>,
    /// The standard input, where there is one, an empty one too.
    pub stdin: Option<&'a [u8]>,
    /// The secrets' body, where there is one.
    pub secrets: Option<&'a [u8]>,
}

impl<'a> SentParts<'a> {
    /// The parts that these bytes are.
    ///
    /// # Errors
    /// A spec that is refused, or bytes that are not those which it announces.
    pub fn check(
        bytes: &'a [u8],
        script: &'a [u8],
        stdin: &'a [u8],
        secrets: &'a [u8],
    ) -> Result<SentParts<'a>, SpecError> {
        let mismatch =
            |what: &str| SpecError::new(Refusal::Mismatch, format!("the {what} of its spec"));
        let spec = Spec::parse(bytes)?;
        let announced = match &spec.script {
            Script::Sent { digest, .. } => Some(*digest),
            Script::Named(_) | Script::Command(_) | Script::Order(_) => None,
        };
        let script = Some(script).filter(|script| announced.is_some() || !script.is_empty());
        if script.map(Digest::of) != announced {
            return Err(mismatch("script is not the one"));
        }
        let announced = spec.stdin;
        let stdin = Some(stdin).filter(|stdin| announced.is_some() || !stdin.is_empty());
        if stdin.map(|stdin| (Digest::of(stdin), stdin.len() as u64)) != announced {
            return Err(mismatch("standard input is not that"));
        }
        let secrets = Some(secrets).filter(|secrets| !secrets.is_empty());
        if secrets.map(Digest::of) != spec.secrets_digest {
            return Err(mismatch("secrets are not those"));
        }
        Ok(SentParts { spec, digest: Digest::of(bytes), bytes, script, stdin, secrets })
    }

    /// How long spec, script, standard input and secrets are, in bytes.
    pub fn lengths(&self) -> [u64; 4] {
        let length = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len) as u64;
        [self.bytes.len() as u64, length(self.script), length(self.stdin), length(self.secrets)]
    }

    /// How much of it there is, in bytes.
    pub fn size(&self) -> u64 {
        self.lengths().iter().sum()
    }
}
