//! How it went with one target, and the exit status of several.

use crate::records::heads::heard::Heard;
use crate::records::heads::line::HeadLine;
use crate::target::connection::client_error::ClientError;
use crate::target::context::Context;
use crate::target::package::counters::Sent;
use crate::target::statement;
use jiff::Timestamp;
use octo_core::base::cli::utc;
use octo_core::base::error::{Error, Exit};
use octo_core::base::names::JobId;
use octo_core::base::record::Record;
use octo_core::base::refusal::Refusal;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::audit::Head;
use octo_core::tentacle::job::EndKind;
use octo_wire::Fields;
use std::time::Duration;

/// Who said how it ended: a script may exit with any of our numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutcomeOrigin {
    Script,
    /// The tentacle: it refused, or it ended the job.
    Tentacle,
    /// This octo-push: it could not reach, read or write something.
    Octopus,
}

impl OutcomeOrigin {
    /// As `--end` and `--json` have it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            OutcomeOrigin::Script => "script",
            OutcomeOrigin::Tentacle => "tentacle",
            OutcomeOrigin::Octopus => "octopus",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutcomeKind {
    /// What was asked for is done; no job was waited for.
    Done,
    /// The job's end: exit, signal, timeout, …
    End(EndKind),
    /// The tentacle said no.
    Refused(Refusal),
    /// The pusher is unknown there, or the tentacle is not who it should be.
    Untrusted,
    /// Something failed before a job was accepted: nothing ran.
    Failed,
    /// Accepted, or perhaps so; how it ended is not known.
    Unknown,
    Skipped,
}

/// How it went with one target.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) kind: OutcomeKind,
    pub(crate) origin: OutcomeOrigin,
    /// The exit status this target alone would give.
    pub(crate) status: u8,
    /// What to say about it; empty where nothing need be said.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hints: Vec<String>,
    /// The job, where one was asked for.
    pub(crate) job: Option<JobId>,
    /// NAME=VALUE lines that the script handed back; `None` where what came for them is none.
    pub(crate) outputs: Option<Vec<u8>>,
    /// Is the end of a job proved by a seal that the target's line pins?
    pub(crate) proved: Option<bool>,
    /// The thumbprint of the tentacle, where it was seen.
    pub(crate) tentacle: Option<Thumbprint>,
    /// The head of the listener's audit log.
    pub(crate) audit: Option<Head>,
    /// The head of octo-exec's.
    pub(crate) audit_exec: Option<Head>,
    /// Until when a request that has left may be taken up, where no word came that
    /// it was.
    pub(crate) not_certain_before: Option<Timestamp>,
    /// What was put there, where something was.
    pub(crate) sent: Option<Sent>,
    pub(crate) elapsed: Duration,
    /// What it said of its audit logs.
    pub(crate) heard: Heard,
}

impl Outcome {
    /// All that was asked for is done.
    pub(crate) fn done() -> Outcome {
        Outcome {
            kind: OutcomeKind::Done,
            origin: OutcomeOrigin::Tentacle,
            status: 0,
            message: String::new(),
            hints: Vec::new(),
            job: None,
            outputs: Some(Vec::new()),
            proved: None,
            tentacle: None,
            audit: None,
            audit_exec: None,
            not_certain_before: None,
            sent: None,
            elapsed: Duration::ZERO,
            heard: Heard::default(),
        }
    }

    /// All that was asked for is done, and this is the answer.
    pub(crate) fn answered(reply: &Fields) -> Outcome {
        Outcome::done().with_heads(reply)
    }

    /// With the heads of both audit logs, which each end and each `ok` carries.
    pub(crate) fn with_heads(self, reply: &Fields) -> Outcome {
        let head = |key| reply.get(key).and_then(Head::parse);
        Outcome { audit: head("audit"), audit_exec: head("audit-exec"), ..self }
    }

    /// The same, but that a request which has left may be taken up until then.
    pub(crate) fn doubted(self, until: Option<Timestamp>) -> Outcome {
        let message = statement::doubted(self.message, until);
        Outcome { message, not_certain_before: until, ..self }
    }

    /// Not begun, and why.
    pub(crate) fn skipped(why: &str) -> Outcome {
        Outcome {
            kind: OutcomeKind::Skipped,
            origin: OutcomeOrigin::Octopus,
            status: Exit::Cancelled.code(),
            message: why.to_string(),
            ..Outcome::done()
        }
    }

    /// About to be asked for this job; what is written down of it first.
    pub(crate) fn begun(job: &JobId) -> Outcome {
        Outcome { message: "begun, its end unknown".into(), ..Outcome::left(job, false) }
    }

    /// It was known before that nobody answers there; it was not asked. Where an earlier
    /// call may have been heard, that nothing ran can't be said of this job.
    pub(crate) fn unreachable(in_doubt: Option<&JobId>) -> Outcome {
        if let Some(job) = in_doubt {
            let message = "unreachable: perhaps accepted before, its end unknown".into();
            return Outcome { message, ..Outcome::left(job, false) };
        }
        let message = "unreachable: it was not asked".into();
        let error = Error { exit: Exit::Unavailable, message, hints: Vec::new() };
        Outcome::error(OutcomeKind::Failed, OutcomeOrigin::Octopus, error)
    }

    /// The person left before its end was known.
    pub(crate) fn left(job: &JobId, accepted: bool) -> Outcome {
        // What was not answered yet may still arrive.
        let message = if accepted { "left while it runs" } else { "left before an answer came" };
        Outcome {
            kind: OutcomeKind::Unknown,
            origin: OutcomeOrigin::Octopus,
            status: Exit::UnknownEnd.code(),
            message: message.into(),
            job: Some(job.clone()),
            ..Outcome::done()
        }
    }

    /// An error of this kind and origin.
    pub(crate) fn error(kind: OutcomeKind, origin: OutcomeOrigin, error: Error) -> Outcome {
        Outcome {
            kind,
            origin,
            status: error.exit.code(),
            message: error.message,
            hints: error.hints,
            ..Outcome::done()
        }
    }

    /// A request that failed before a job was accepted.
    pub(crate) fn failed(context: &Context, error: ClientError) -> Outcome {
        if context.stop.is_set() {
            return Outcome::skipped("cancelled before it was done");
        }
        let (kind, origin) = match &error {
            ClientError::Refused(refusal, ..) => {
                (OutcomeKind::Refused(*refusal), OutcomeOrigin::Tentacle)
            }
            ClientError::Untrusted(..) => (OutcomeKind::Untrusted, OutcomeOrigin::Tentacle),
            _ => (OutcomeKind::Failed, OutcomeOrigin::Octopus),
        };
        Outcome::error(kind, origin, error.into_error())
    }

    /// A job's end, as the tentacle tells it.
    pub(crate) fn ended(end: EndKind, reason: Option<&str>) -> Outcome {
        let origin = match end {
            EndKind::Exit(_) | EndKind::Signal(_) => OutcomeOrigin::Script,
            _ => OutcomeOrigin::Tentacle,
        };
        let said = match end {
            EndKind::Exit(0) => String::new(),
            EndKind::Exit(code) => format!("exit {code}"),
            EndKind::Signal(number) => format!("died of {}", signal_name(number)),
            EndKind::Timeout => "ended by its time limit".into(),
            EndKind::Cancelled => "cancelled".into(),
            EndKind::Denied(_) => "denied".into(),
            EndKind::Expired => "expired, never started".into(),
            EndKind::Lost => "lost: its end is not on record".into(),
        };
        let message = match reason.filter(|r| !r.is_empty()) {
            Some(reason) if said.is_empty() => reason.to_string(),
            Some(reason) => format!("{said}: {reason}"),
            None => said,
        };
        let kind = OutcomeKind::End(end);
        Outcome { kind, origin, status: end.exit_status(), message, ..Outcome::done() }
    }

    /// With the values that came with its end, or what is wrong with them: then none is to be
    /// used, and the call fails though the job's end is known.
    pub(crate) fn with_values(mut self, values: Result<Vec<u8>, String>) -> Outcome {
        match values {
            Ok(values) => self.outputs = Some(values),
            Err(wrong) => {
                let before = if self.message.is_empty() { "" } else { "; " };
                self.message = format!("{}{before}its values are refused: {wrong}", self.message);
                self.outputs = None;
                self.status = if self.succeeded() { Exit::Data.code() } else { self.status };
            }
        }
        self
    }

    /// What is said of it, in a word where it has none.
    pub(crate) fn said(&self) -> &str {
        if self.message.is_empty() { "ok" } else { &self.message }
    }

    /// Did all of it happen?
    pub(crate) fn succeeded(&self) -> bool {
        self.status == 0
    }

    /// Did nobody answer there, so that nothing can have run?
    pub(crate) fn is_unreachable(&self) -> bool {
        self.kind == OutcomeKind::Failed && self.status == Exit::Unavailable.code()
    }

    /// What is wrong with its audit logs. What was asked for may have been done all the same.
    pub(crate) fn audit_fault(&self) -> Option<String> {
        self.heard.fault().map(HeadLine::fault)
    }

    /// In one word.
    pub(crate) fn state(&self) -> &'static str {
        match self.kind {
            _ if self.succeeded() => "succeeded",
            _ if self.is_unreachable() => "unreachable",
            OutcomeKind::Unknown => "unknown",
            OutcomeKind::Skipped => "skipped",
            _ => "failed",
        }
    }

    /// The words for `kind` and `code`, as `--end` and `--json` have them.
    pub(crate) fn kind_and_code(&self) -> (&'static str, u64) {
        match &self.kind {
            OutcomeKind::Done => ("done", 0),
            OutcomeKind::End(end) => (end.word(), end.code().into()),
            OutcomeKind::Refused(_) => ("no", self.status.into()),
            OutcomeKind::Untrusted => ("stranger", self.status.into()),
            OutcomeKind::Failed => ("failed", self.status.into()),
            OutcomeKind::Unknown => ("unknown", self.status.into()),
            OutcomeKind::Skipped => ("skipped", self.status.into()),
        }
    }

    /// The code of a refusal.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        match self.kind {
            OutcomeKind::Refused(refusal) => Some(refusal.word()),
            _ => None,
        }
    }

    /// The record that `--end` writes.
    pub(crate) fn record(&self, target: &str) -> Record {
        let (kind, code) = self.kind_and_code();
        Record::new()
            .with("target", target)
            .with("kind", kind)
            .with("code", code)
            .with("origin", self.origin.word())
            .with("status", self.status)
            .with_each("refusal", self.refusal())
            .with_each("job", &self.job)
            .with_each("proved", self.proved.map(|proved| if proved { "yes" } else { "no" }))
            .with_each("audit", self.audit)
            .with_each("audit-exec", self.audit_exec)
            .with_each("audit-fault", self.audit_fault())
            .with_each("not-certain-before", self.not_certain_before.map(utc))
            .with_each("message", Some(&self.message).filter(|message| !message.is_empty()))
    }
}

fn signal_name(number: u8) -> String {
    const NAMES: [&str; 16] = [
        "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV",
        "USR2", "PIPE", "ALRM", "TERM",
    ];
    match NAMES.get(usize::from(number)).filter(|n| !n.is_empty()) {
        Some(name) => format!("signal {number} (SIG{name})"),
        None => format!("signal {number}"),
    }
}

/// The exit status of a run over several targets: 0 if all succeeded, the
/// common one if all failures agree, else 1.
pub(crate) fn overall<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> u8 {
    let mut common = 0;
    for outcome in outcomes.into_iter().filter(|o| !o.succeeded()) {
        match common {
            0 => common = outcome.status,
            same if same == outcome.status => {}
            _ => return 1,
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_their_exit_status() {
        for (end, status, origin, said) in [
            (EndKind::Exit(0), 0, OutcomeOrigin::Script, ""),
            (EndKind::Exit(255), 255, OutcomeOrigin::Script, "exit 255"),
            (EndKind::Signal(15), 143, OutcomeOrigin::Script, "died of signal 15 (SIGTERM)"),
            (EndKind::Signal(64), 192, OutcomeOrigin::Script, "died of signal 64"),
            (EndKind::Timeout, 124, OutcomeOrigin::Tentacle, "ended by its time limit"),
            (EndKind::Denied(75), 75, OutcomeOrigin::Tentacle, "denied"),
            (EndKind::Lost, 71, OutcomeOrigin::Tentacle, "lost: its end is not on record"),
        ] {
            let outcome = Outcome::ended(end, None);
            assert_eq!((outcome.status, outcome.origin), (status, origin), "{end:?}");
            assert_eq!(outcome.message, said);
        }
        let denied = Outcome::ended(EndKind::Denied(77), Some("not today"));
        assert_eq!(denied.message, "denied: not today");
    }

    #[test]
    fn a_kind_is_one_that_octo_exec_end_knows() {
        let words = [
            OutcomeKind::Done,
            OutcomeKind::Refused(Refusal::Busy),
            OutcomeKind::Untrusted,
            OutcomeKind::Failed,
            OutcomeKind::Unknown,
            OutcomeKind::Skipped,
        ]
        .map(|kind| Outcome { kind, ..Outcome::done() }.kind_and_code().0);
        assert_eq!(words, EndKind::OF_NO_JOB);
    }

    #[test]
    fn several_targets_agree_or_give_one() {
        let all = |codes: &[u8]| {
            let outcomes: Vec<_> =
                codes.iter().map(|c| Outcome::ended(EndKind::Exit(*c), None)).collect();
            overall(&outcomes)
        };
        assert_eq!(all(&[]), 0);
        assert_eq!(all(&[0, 0]), 0);
        assert_eq!(all(&[0, 5, 5]), 5);
        assert_eq!(all(&[5, 0, 4]), 1);
    }

    #[test]
    fn the_record_is_told_apart_from_a_script_that_imitates_it() {
        let record = Outcome::ended(EndKind::Timeout, None).record("web1").encode();
        assert!(
            record.contains("kind timeout\ncode 124\norigin tentacle\nstatus 124\n"),
            "{record}"
        );
    }
}
