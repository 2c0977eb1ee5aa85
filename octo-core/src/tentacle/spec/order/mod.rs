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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Digest;
    use crate::base::thumbprint::Thumbprint;
    use crate::tentacle::spec::{Script, Spec};

    const JOB: &str = "20260101T000000-abcdefghijklm";

    fn order(text: &str) -> Result<Order, String> {
        let spec = Spec::parse(text.as_bytes()).map_err(|error| error.reason)?;
        match spec.script {
            Script::Order(order) => Ok(order),
            _ => Err("no order".into()),
        }
    }

    #[test]
    fn an_approval_is_of_what_it_lists_and_of_nothing_else() {
        let (one, two) = (Thumbprint::of_certificate(b"1"), Thumbprint::of_certificate(b"2"));
        let (this, that) = (Digest::of(b"this"), Digest::of(b"that"));
        let text = format!("approve {JOB}\nsubject {one} {this}\nsubject {two} {that}\n");
        let Ok(Order::Verdict(Verdict::Approve { job, subjects })) = order(&text) else {
            panic!("no approval");
        };
        assert_eq!(job.as_str(), JOB);
        assert_eq!((subjects.of(one), subjects.of(two)), (Some(this), Some(that)));
        assert_eq!(subjects.of(Thumbprint::of_certificate(b"3")), None);
        let spec = Spec::of(Script::Order(Order::Verdict(Verdict::Approve { job, subjects })));
        assert_eq!(Spec::parse(&spec.encode()), Ok(spec));
        for (bad, said) in [
            (format!("{text}subject {one} {this}\n"), "twice"),
            (format!("subject {one} {this}\n{text}"), "line 1: subject without approve"),
            (format!("approve {JOB}\n"), "approves nothing"),
            (format!("approve {JOB} x\n"), "other fields"),
            ("approve ../x\n".into(), "not a job id"),
            (format!("approve {JOB}\nsubject {one}\n"), "2 fields"),
            (format!("approve {JOB}\nsubject x {this}\n"), "not a thumbprint"),
            (format!("approve {JOB}\nsubject {one} {}\n", &one.to_string()[1..]), "not a sha256"),
            (format!("{text}arg x\n"), "approve stands alone"),
            (format!("{text}timeout 3\n"), "approve stands alone"),
            (format!("deny {JOB} x\nsubject {one} {this}\n"), "subject without approve"),
            (format!("deny {JOB}\n"), "other fields"),
            (format!("deny {JOB} a%1B%5B2J\n"), "can't be seen"),
        ] {
            let reason = order(&bad).expect_err(said);
            assert!(reason.contains(said), "{bad}: {reason}");
        }
        assert!(order(&format!("deny {JOB} \n")).is_ok(), "a reason may be left out");
    }

    /// A fleet of the most that there may be is read in no time, and one more is refused.
    #[test]
    fn many_subjects_are_bounded() {
        let line = |n: usize| {
            let tentacle = Thumbprint::of_certificate(&n.to_le_bytes());
            format!("subject {tentacle} {}\n", Digest::of(b"x"))
        };
        let lines = |count: usize| (0..count).map(line).collect::<String>();
        let text = format!("approve {JOB}\n{}", lines(MAXIMUM_SUBJECTS));
        assert!(order(&text).is_ok());
        let reason = order(&format!("{text}{}", line(MAXIMUM_SUBJECTS))).expect_err("one more");
        assert!(reason.contains("more than 20000 subjects"), "{reason}");
    }
}
