//! What octo-exec does itself, by a spec that names nothing to run.

mod freezing;
mod verdict;

pub use freezing::{Freezing, LONGEST_FREEZE, MAXIMUM_REASON, check_reason};
pub use verdict::{MAXIMUM_SUBJECTS, Subjects, Verdict};

use super::{SpecError, limit, malformed};
use crate::base::record::Record;
use crate::trust::Verb;
use jiff::Timestamp;
use std::fmt;

/// What it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// An application is frozen, or thawed.
    Freezing(Freezing),
    /// A held job is approved, or denied.
    Verdict(Verdict),
}

impl Order {
    /// The words that begin the line of an order.
    pub const WORDS: [&str; 4] = ["freeze", "thaw", "approve", "deny"];

    /// Its word.
    pub fn word(&self) -> &'static str {
        match self {
            Order::Freezing(freezing) => freezing.word(),
            Order::Verdict(verdict) => verdict.word(),
        }
    }

    /// What is asked for by it.
    pub fn verb(&self) -> Verb {
        match self {
            Order::Freezing(_) => Verb::Freeze,
            Order::Verdict(_) => Verb::Approve,
        }
    }

    /// What it is about: an application, or a job.
    pub fn about(&self) -> &str {
        match self {
            Order::Freezing(freezing) => freezing.application(),
            Order::Verdict(verdict) => verdict.job().as_str(),
        }
    }

    /// What is done once it was obeyed.
    pub fn done(&self) -> &'static str {
        match self {
            Order::Freezing(Freezing::Freeze { .. }) => "frozen",
            Order::Freezing(Freezing::Thaw { .. }) => "thawed",
            Order::Verdict(Verdict::Approve { .. }) => "approved",
            Order::Verdict(Verdict::Deny { .. }) => "denied",
        }
    }

    /// May it still be obeyed, at this time?
    ///
    /// # Errors
    /// As [`Freezing::check`]; how long a verdict holds says its statement.
    pub fn check(&self, now: Timestamp) -> Result<(), SpecError> {
        match self {
            Order::Freezing(freezing) => freezing.check(now),
            Order::Verdict(_) => Ok(()),
        }
    }

    /// The order of this line of a spec.
    pub(super) fn parse(word: &str, fields: &[&str]) -> Result<Order, SpecError> {
        match word {
            "approve" | "deny" => Verdict::parse(word, fields).map(Order::Verdict),
            _ => Freezing::parse(word, fields).map(Order::Freezing),
        }
    }

    /// Its lines, behind one another.
    pub(super) fn add_to(&self, record: &mut Record) {
        let fields = match self {
            Order::Freezing(freezing) => freezing.fields(),
            Order::Verdict(verdict) => verdict.fields(),
        };
        let fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
        record.push(self.word(), &fields);
        if let Order::Verdict(Verdict::Approve { subjects, .. }) = self {
            subjects.add_to(record);
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Freezing(freezing) => freezing.fmt(out),
            Order::Verdict(verdict) => verdict.fmt(out),
        }
    }
}
