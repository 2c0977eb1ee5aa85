//! A held job may run, or may not: said by somebody else than who asked for it.

use super::freezing::check_reason;
use super::{SpecError, limit, malformed};
use crate::base::digest::Digest;
use crate::base::names::JobId;
use crate::base::record::Record;
use crate::base::thumbprint::Thumbprint;
use std::collections::BTreeMap;
use std::fmt;

/// So many tentacles one approval is for, at most.
pub const MAXIMUM_SUBJECTS: usize = 20_000;

/// `approve JOB` with its subjects, or `deny JOB REASON`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may run.
    Approve {
        /// The held job.
        job: JobId,
        /// Exactly what may run, on which tentacles.
        subjects: Subjects,
    },
    /// It ends, and nothing of it runs.
    Deny {
        /// The held job.
        job: JobId,
        /// Why; its pusher sees it. May be empty.
        reason: String,
    },
}

/// What is approved, a tentacle each: one statement is enough for a fleet, and another
/// tentacle can make nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subjects(BTreeMap<Thumbprint, Digest>);

impl Verdict {
    /// `approve` or `deny`.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Approve { .. } => "approve",
            Verdict::Deny { .. } => "deny",
        }
    }

    /// Of which job.
    pub fn job(&self) -> &JobId {
        match self {
            Verdict::Approve { job, .. } | Verdict::Deny { job, .. } => job,
        }
    }

    /// The fields of its line, behind its word.
    pub(super) fn fields(&self) -> Vec<String> {
        match self {
            Verdict::Approve { job, .. } => vec![job.to_string()],
            Verdict::Deny { job, reason } => vec![job.to_string(), reason.clone()],
        }
    }

    /// The verdict of this line of a spec; its subjects stand on lines of their own.
    pub(super) fn parse(word: &str, fields: &[&str]) -> Result<Verdict, SpecError> {
        let job = fields.first().and_then(|text| JobId::parse(text));
        let job = job.ok_or_else(|| malformed("not a job id"))?;
        match (word, &fields[1..]) {
            ("approve", []) => Ok(Verdict::Approve { job, subjects: Subjects::default() }),
            ("deny", [reason]) => {
                if !reason.is_empty() {
                    check_reason(reason).map_err(malformed)?;
                }
                Ok(Verdict::Deny { job, reason: reason.to_string() })
            }
            _ => Err(malformed(format!("{word} takes other fields"))),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Deny { job, reason } if !reason.is_empty() => write!(out, "{job}: {reason}"),
            Verdict::Approve { job, .. } | Verdict::Deny { job, .. } => write!(out, "{job}"),
        }
    }
}

impl Subjects {
    /// That this is approved on this tentacle.
    ///
    /// # Errors
    /// [`Refusal::Malformed`](crate::Refusal) where something else is, or this is said twice;
    /// [`Refusal::Limit`](crate::Refusal) where they are too many.
    pub fn add(&mut self, tentacle: Thumbprint, digest: Digest) -> Result<(), SpecError> {
        if self.0.len() == MAXIMUM_SUBJECTS {
            return Err(limit(format!("more than {MAXIMUM_SUBJECTS} subjects")));
        }
        match self.0.insert(tentacle, digest) {
            None => Ok(()),
            Some(_) => Err(malformed(format!("{tentacle} twice"))),
        }
    }

    /// What is approved on this tentacle.
    pub fn of(&self, tentacle: Thumbprint) -> Option<Digest> {
        self.0.get(&tentacle).copied()
    }

    /// Is nothing approved?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The subject of this line of a spec.
    pub(crate) fn read(&mut self, fields: &[&str]) -> Result<(), SpecError> {
        let [tentacle, digest] = fields else {
            return Err(malformed("subject takes 2 fields"));
        };
        let tentacle = Thumbprint::parse(tentacle).map_err(|_| malformed("not a thumbprint"))?;
        let digest = Digest::parse(digest).ok_or_else(|| malformed("not a sha256"))?;
        self.add(tentacle, digest)
    }

    /// A line each, by thumbprint: what is signed has one spelling.
    pub(super) fn add_to(&self, record: &mut Record) {
        for (tentacle, digest) in &self.0 {
            let fields = [tentacle.to_string(), digest.to_string()];
            record.push("subject", &[fields[0].as_bytes(), fields[1].as_bytes()]);
        }
    }
}
