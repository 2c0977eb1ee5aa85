//! What octo-exec signs of a job's end, so that no listener can make one up.
//!
//! ```text
//! octo-seal 1 end
//! job 20260101T000000-abcdefghijklm
//! tentacle THUMBPRINT
//! previous THUMBPRINT
//! spec SHA256
//! kind exit
//! code 0
//! at 2026-01-01T00:00:00Z
//! reason SHA256
//! log 1024 SHA256
//! truncated yes
//! values 12 SHA256
//! head SEQ:SHA256
//! ```
//!
//! The lines are in this order, in the line encoding: a seal has one spelling. `previous`,
//! `spec`, `reason`, `truncated`, `values` and `head` may be missing. octo-job(5) is the page.

mod key;
#[cfg(test)]
mod tests;

pub use key::{SealKey, certificate};

use super::audit::Head;
use super::job::EndKind;
use super::known::OwnThumbprints;
use super::signature::verify;
use super::statement::Signed;
use crate::base::digest::Digest;
use crate::base::names::JobId;
use crate::base::record::Record;
use crate::base::thumbprint::Thumbprint;
use crate::base::units::whole;
use std::fmt;

/// The longest seal, in bytes: nothing in it is long.
pub const MAXIMUM: u64 = 2048;

/// Bytes that are not sent along: so many, and their digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// How many.
    pub length: u64,
    /// Their sha256.
    pub digest: Digest,
}

/// How a job ended, as octo-exec knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Which job.
    pub job: JobId,
    /// Of which tentacle, by its own thumbprints.
    pub tentacle: OwnThumbprints,
    /// Of which spec.
    pub spec: Option<Digest>,
    /// How it ended.
    pub kind: EndKind,
    /// When, as its record has it.
    pub at: String,
    /// The sha256 of its reason, where it has one: that may be longer than a seal.
    pub reason: Option<Digest>,
    /// All of its output that is kept.
    pub log: Content,
    /// More of it was thrown away.
    pub truncated: bool,
    /// The values that it handed back, where there are any.
    pub values: Option<Content>,
    /// The line of octo-exec's audit log that has the end.
    pub head: Option<Head>,
}

/// A seal's bytes with their signature; the certificate is the tentacle's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The seal, as it was signed.
    pub seal: Vec<u8>,
    /// The signature by the tentacle's seal key.
    pub signature: Vec<u8>,
}

/// What an end that is told has to be.
#[derive(Debug, Clone)]
pub struct Told<'a> {
    /// Of this job.
    pub job: &'a JobId,
    /// Of this spec, where that is known.
    pub spec: Option<Digest>,
    /// Of who showed this in the handshake.
    pub tentacle: Option<Thumbprint>,
    /// The kind that was told.
    pub kind: EndKind,
    /// The reason that was told.
    pub reason: Option<&'a str>,
    /// The output that came.
    pub log: Content,
    /// More of it was thrown away, it is told.
    pub truncated: bool,
    /// The values that came.
    pub values: Option<Content>,
}

impl Content {
    /// That of these bytes.
    pub fn of(bytes: &[u8]) -> Content {
        Content { length: bytes.len() as u64, digest: Digest::of(bytes) }
    }

    fn push(self, record: &mut Record, key: &str) {
        let (length, digest) = (self.length.to_string(), self.digest.to_string());
        record.push(key, &[length.as_bytes(), digest.as_bytes()]);
    }

    fn read(record: &Record, key: &str) -> Option<Content> {
        let [length, digest] = record.all(key).next()? else { return None };
        let text = |bytes| std::str::from_utf8(bytes).ok();
        Some(Content { length: whole(text(length)?)?, digest: Digest::parse(text(digest)?)? })
    }
}

impl fmt::Display for Content {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes, {}", self.length, self.digest)
    }
}

impl Seal {
    /// Its bytes, which are signed.
    pub fn encode(&self) -> Vec<u8> {
        let mut record = Record::new();
        record.push("octo-seal", &[b"1", b"end"]);
        let mut record = record
            .with("job", &self.job)
            .with("tentacle", self.tentacle.current)
            .with_each("previous", self.tentacle.previous)
            .with_each("spec", self.spec)
            .with("kind", self.kind.word())
            .with("code", self.kind.code())
            .with("at", &self.at)
            .with_each("reason", self.reason);
        self.log.push(&mut record, "log");
        record = record.with_each("truncated", self.truncated.then_some("yes"));
        if let Some(values) = self.values {
            values.push(&mut record, "values");
        }
        record.with_each("head", self.head).encode().into_bytes()
    }

    /// The seal of these bytes; `None` for any other spelling than ours.
    pub fn parse(bytes: &[u8]) -> Option<Seal> {
        if bytes.len() as u64 > MAXIMUM {
            return None;
        }
        let record = Record::parse(bytes).ok()?;
        let thumbprint = |key| record.first(key).and_then(|text| Thumbprint::parse(text).ok());
        let tentacle =
            OwnThumbprints { current: thumbprint("tentacle")?, previous: thumbprint("previous") };
        let seal = Seal {
            job: JobId::parse(record.first("job")?)?,
            tentacle,
            spec: record.first("spec").and_then(Digest::parse),
            kind: EndKind::from_words(record.first("kind")?, record.number("code")?)?,
            at: record.first("at")?.to_string(),
            reason: record.first("reason").and_then(Digest::parse),
            log: Content::read(&record, "log")?,
            truncated: record.first("truncated").is_some(),
            values: Content::read(&record, "values"),
            head: record.first("head").and_then(Head::parse),
        };
        // One spelling: what we read otherwise than it was signed must not pass.
        (seal.encode() == bytes).then_some(seal)
    }

    /// Does it say what was told?
    ///
    /// # Errors
    /// The first thing that it says otherwise.
    pub fn check(&self, told: &Told<'_>) -> Result<(), String> {
        if self.job != *told.job {
            return Err(format!("its seal is of another job, {}", self.job));
        }
        if !told.tentacle.is_some_and(|tentacle| self.tentacle.contains(tentacle)) {
            return Err(format!("its seal is of another tentacle, {}", self.tentacle.current));
        }
        if told.spec.is_some() && self.spec != told.spec {
            let other = self.spec.map_or("none".to_string(), |spec| spec.to_string());
            return Err(format!("its seal is of another spec, {other}"));
        }
        if self.kind != told.kind {
            let (word, code) = (self.kind.word(), self.kind.code());
            return Err(format!("its seal says {word} {code}"));
        }
        if self.reason != reason(told.reason) {
            let other = self.reason.map_or("none".to_string(), |reason| reason.to_string());
            return Err(format!("its seal is of another reason, {other}"));
        }
        if self.truncated != told.truncated {
            let is_cut = if self.truncated { "was cut" } else { "was not cut" };
            return Err(format!("its seal says that its output {is_cut}"));
        }
        if self.log != told.log {
            return Err(format!("its seal is of another output, {}", self.log));
        }
        if self.values != told.values {
            let other = self.values.map_or("none".to_string(), |values| values.to_string());
            return Err(format!("its seal is of other values, {other}"));
        }
        Ok(())
    }
}

/// What a seal has of a reason; an empty one is none.
pub fn reason(reason: Option<&str>) -> Option<Digest> {
    reason.filter(|reason| !reason.is_empty()).map(|reason| Digest::of(reason.as_bytes()))
}

/// Is this the seal, by one of these keys, of what was told?
///
/// # Errors
/// In words, why it proves nothing.
pub fn prove(signed: &Signed<'_>, keys: &[Thumbprint], told: &Told<'_>) -> Result<Seal, String> {
    let key = Thumbprint::of_certificate(signed.certificate);
    if !keys.contains(&key) {
        return Err(format!("its seal is by another key, {key}"));
    }
    verify(signed.certificate, signed.statement, signed.signature)
        .map_err(|reason| format!("its seal is worth nothing: {reason}"))?;
    let seal = Seal::parse(signed.statement)
        .ok_or_else(|| "its seal is not of the form of octo-job(5)".to_string())?;
    seal.check(told).map(|()| seal)
}
