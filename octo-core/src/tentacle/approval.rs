//! What a held job waits for: exactly what may run, and who has said so.
//!
//! ```text
//! jobs/JOB/held        what is to be approved: its digest, how many must, since when
//! jobs/JOB/approved    who has approved exactly that so far
//! ```

use crate::base::digest::Digest;
use crate::base::names::{JobId, PusherName};
use crate::base::record::Record;
use crate::base::thumbprint::Thumbprint;
use crate::tentacle::spec::{self, Spec};
use crate::tentacle::{changes, statement};
use std::net::IpAddr;
use std::time::Duration;

/// A held job that nobody approved expires after this long.
pub const EXPIRES_AFTER: Duration = Duration::from_secs(7 * 86400);

/// What who approves is shown of a held job, one part behind the other in a reply: the key
/// that says how long it is, its file in the job's directory, and the most bytes it has.
pub const SHOWN: [(&str, &str, u64); 9] = [
    ("request", "request", statement::MAXIMUM),
    ("signature", "request.sig", statement::MAXIMUM_SIGNATURE),
    ("certificate", "request.crt", statement::MAXIMUM_CERTIFICATE),
    ("spec", "spec", spec::MAXIMUM),
    ("script", "script", spec::MAXIMUM_SCRIPT),
    ("stdin", "stdin", spec::stdin::MAXIMUM),
    ("held", "held", 1 << 20),
    ("approvals", "approved", 1 << 20),
    ("changes", "changes", changes::LARGEST as u64),
];

/// What an approval binds: the job, the spec, the script, the package and the line, so
/// that nothing can be swapped between the approval and the start, nor an approval be
/// used for another job. `line` is the text of the line that lets it run.
pub fn subject(
    job: &JobId,
    spec: &Spec,
    spec_digest: &Digest,
    script: Option<Digest>,
    line: Option<&str>,
) -> Record {
    Record::new()
        .with("job", job)
        .with("spec", spec_digest)
        .with_each("script", script)
        .with_each("package", spec.package.as_ref().map(|(digest, _)| digest))
        .with_each("line", line)
}

/// The digest of a subject: what is approved.
pub fn digest(subject: &Record) -> Digest {
    Digest::of(subject.encode().as_bytes())
}

/// How many must approve what this `held` says.
pub fn needed(held: &Record) -> usize {
    held.number("needs").and_then(|needs| usize::try_from(needs).ok()).unwrap_or(1).max(1)
}

/// Have enough people approved what this `held` says? Whether they still may is for who
/// starts the job.
pub fn is_enough(held: &Record, approved: Option<&Record>) -> bool {
    let approvals = approved.and_then(Approvals::of);
    approvals.is_some_and(|approvals| {
        held.first("digest").and_then(Digest::parse) == Some(approvals.digest)
            && approvals.given.len() >= needed(held)
    })
}

/// Who approves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approver {
    /// Somebody with `allow=approve`, by an order of his own.
    Pusher {
        /// What the line calls him.
        name: PusherName,
        /// His certificate.
        thumbprint: Thumbprint,
        /// The job that is the order.
        order: JobId,
        /// Where he came from; `None` by a pipe.
        address: Option<IpAddr>,
    },
    /// Somebody at this machine, as user@host.
    Operator(String),
}

/// One approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Whose.
    pub by: Approver,
    /// When, RFC 3339.
    pub at: String,
}

/// All of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approvals {
    /// The digest of the subject.
    pub digest: Digest,
    /// In the order in which they came, nobody twice.
    pub given: Vec<Approval>,
}

impl Approver {
    /// Is it the same person, as far as a name or a key can say?
    fn is(&self, other: &Approver) -> bool {
        match (self, other) {
            (
                Approver::Pusher { name, thumbprint, .. },
                Approver::Pusher { name: other, thumbprint: others, .. },
            ) => name == other || thumbprint == others,
            (Approver::Operator(one), Approver::Operator(other)) => one == other,
            _ => false,
        }
    }

    /// As lists and messages name him.
    pub fn shown(&self) -> String {
        match self {
            Approver::Pusher { name, .. } => name.to_string(),
            Approver::Operator(operator) => format!("local:{operator}"),
        }
    }
}

impl Approvals {
    /// None yet.
    pub fn none(digest: Digest) -> Approvals {
        Approvals { digest, given: Vec::new() }
    }

    /// With one more; false where he has approved it already.
    pub fn add(&mut self, approval: Approval) -> bool {
        let is_new = !self.given.iter().any(|given| given.by.is(&approval.by));
        if is_new {
            self.given.push(approval);
        }
        is_new
    }

    /// The record.
    pub fn record(&self) -> Record {
        let mut record = Record::new().with("digest", self.digest);
        for Approval { by, at } in &self.given {
            match by {
                Approver::Pusher { name, thumbprint, order, address } => {
                    let from = address.map_or("stdin".to_string(), |address| address.to_string());
                    let fields = [
                        name.to_string(),
                        thumbprint.to_string(),
                        order.to_string(),
                        at.clone(),
                        from,
                    ];
                    let fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
                    record.push("approval", &fields);
                }
                Approver::Operator(operator) => {
                    record.push("operator", &[operator.as_bytes(), at.as_bytes()]);
                }
            }
        }
        record
    }

    /// The approvals that a record says; `None` where it is none of ours.
    pub fn of(record: &Record) -> Option<Approvals> {
        let mut approvals = Approvals::none(Digest::parse(record.first("digest")?)?);
        for (key, values) in record.lines() {
            let texts: Option<Vec<&str>> =
                values.iter().map(|value| std::str::from_utf8(value).ok()).collect();
            let by = match (key, texts?.as_slice()) {
                ("approval", [name, thumbprint, order, at, from]) => Approval {
                    by: Approver::Pusher {
                        name: PusherName::parse(name)?,
                        thumbprint: Thumbprint::parse(thumbprint).ok()?,
                        order: JobId::parse(order)?,
                        address: from.parse().ok(),
                    },
                    at: at.to_string(),
                },
                ("operator", [operator, at]) => {
                    Approval { by: Approver::Operator(operator.to_string()), at: at.to_string() }
                }
                ("digest", _) => continue,
                _ => return None,
            };
            if !approvals.add(by) {
                return None;
            }
        }
        Some(approvals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(name: &str, key: &[u8]) -> Approval {
        let by = Approver::Pusher {
            name: PusherName::parse(name).expect("a name"),
            thumbprint: Thumbprint::of_certificate(key),
            order: JobId::parse("20260101T000000-abcdefghijklm").expect("an id"),
            address: "10.0.0.7".parse().ok(),
        };
        Approval { by, at: "2026-01-01T00:00:00Z".into() }
    }

    #[test]
    fn enough_have_approved_exactly_what_is_held() {
        let held = |needs: &str| {
            let text = format!("digest {}\n{needs}", Digest::of(b"this"));
            Record::parse(text.as_bytes()).expect("a record")
        };
        let approved = |what: &[u8], names: &[&str]| {
            let lines: String = names.iter().map(|name| format!("operator {name} 1\n")).collect();
            let text = format!("digest {}\n{lines}", Digest::of(what));
            Record::parse(text.as_bytes()).expect("a record")
        };
        for (needs, what, names, enough) in [
            ("", &b"this"[..], &["ann"][..], true),
            ("needs 1\n", b"this", &[], false),
            ("needs 2\n", b"this", &["ann"], false),
            ("needs 2\n", b"this", &["ann", "bob"], true),
            ("needs 2\n", b"this", &["ann", "ann"], false),
            ("needs 2\n", b"that", &["ann", "bob"], false),
            ("needs 0\n", b"this", &[], false),
            ("needs x\n", b"this", &[], false),
        ] {
            let is = is_enough(&held(needs), Some(&approved(what, names)));
            assert_eq!(is, enough, "{needs} {names:?}");
        }
        assert!(!is_enough(&held(""), None));
    }

    #[test]
    fn one_person_is_one_by_name_by_key_and_at_the_machine() {
        let mut approvals = Approvals::none(Digest::of(b"x"));
        assert!(approvals.add(by("ann", b"1")));
        assert!(!approvals.add(by("ann", b"2")), "another key of the same name");
        assert!(!approvals.add(by("bob", b"1")), "another name of the same key");
        assert!(approvals.add(by("bob", b"3")));
        let local = |operator: &str| Approval {
            by: Approver::Operator(operator.into()),
            at: "2026-01-01T00:00:00Z".into(),
        };
        assert!(approvals.add(local("ann@host")));
        assert!(!approvals.add(local("ann@host")));
        assert_eq!(approvals.given.len(), 3);
        let record = Record::parse(approvals.record().encode().as_bytes()).expect("a record");
        assert_eq!(Approvals::of(&record), Some(approvals.clone()));
        // What was written twice was not written by us.
        let twice = approvals.record().encode() + "operator ann@host 2026-01-01T00:00:00Z\n";
        assert_eq!(Approvals::of(&Record::parse(twice.as_bytes()).expect("a record")), None);
    }
}
