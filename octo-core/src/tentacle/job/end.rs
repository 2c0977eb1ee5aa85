//! How a job ended: one word and one number, told apart everywhere.

use crate::base::digest::Digest;
use crate::base::error::Exit;
use crate::base::record::Record;

/// The kinds of end. An exit code and a signal are different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndKind {
    /// The script exited with this code.
    Exit(u8),
    /// The script died of this signal.
    Signal(u8),
    /// The time limit ended it.
    Timeout,
    /// Its pusher or a local operator cancelled it.
    Cancelled,
    /// It was not permitted when it was to start, or an operator denied it;
    /// nothing ran. The number is the exit status to report: 77, or 75 if a
    /// later try may pass.
    Denied(u8),
    /// It waited too long for its start; nothing ran.
    Expired,
    /// Its machine or its octo-exec died under it.
    Lost,
}

/// The end of a job, as its record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How.
    pub kind: EndKind,
    /// When, RFC 3339.
    pub at: String,
    /// Why, where there is more to say.
    pub reason: Option<String>,
    /// The length of the log in bytes: all that followers will get.
    pub log: u64,
    /// The sha256 of the log, where whoever wrote it says so; on no record, and boxed, as ends are errors, too.
    pub log_digest: Option<Box<Digest>>,
    /// Output beyond max-log was thrown away.
    pub truncated: bool,
    /// Processes that still held the output open, or that survived: `PID NAME`.
    pub strays: Vec<String>,
    /// Processes that live on after a normal exit, besides those: `PID NAME`.
    pub daemons: Vec<String>,
}

impl EndKind {
    /// The words of octo-push where no end of a job is known: what else `--end`
    /// may have for a kind.
    pub const OF_NO_JOB: [&str; 6] = ["done", "no", "stranger", "failed", "unknown", "skipped"];

    /// The word of the record and of the wire.
    pub fn word(self) -> &'static str {
        match self {
            EndKind::Exit(_) => "exit",
            EndKind::Signal(_) => "signal",
            EndKind::Timeout => "timeout",
            EndKind::Cancelled => "cancelled",
            EndKind::Denied(_) => "denied",
            EndKind::Expired => "expired",
            EndKind::Lost => "lost",
        }
    }

    /// The number beside it: the script's code, the signal's number, else the
    /// exit status that a tool reports.
    pub fn code(self) -> u8 {
        match self {
            EndKind::Exit(code) | EndKind::Signal(code) | EndKind::Denied(code) => code,
            _ => self.exit_status(),
        }
    }

    /// The exit status of a tool that ran one job which ended so.
    pub fn exit_status(self) -> u8 {
        match self {
            EndKind::Exit(code) | EndKind::Denied(code) => code,
            EndKind::Signal(number) => 128u8.saturating_add(number),
            EndKind::Timeout => Exit::Timeout.code(),
            EndKind::Cancelled => Exit::Cancelled.code(),
            EndKind::Expired => Exit::Temporary.code(),
            EndKind::Lost => Exit::Lost.code(),
        }
    }

    /// The kind that this word and number say.
    pub fn from_words(word: &str, code: u64) -> Option<EndKind> {
        let code = u8::try_from(code).ok()?;
        Some(match word {
            "exit" => EndKind::Exit(code),
            "signal" => EndKind::Signal(code),
            "timeout" => EndKind::Timeout,
            "cancelled" => EndKind::Cancelled,
            "denied" => EndKind::Denied(code),
            "expired" => EndKind::Expired,
            "lost" => EndKind::Lost,
            _ => return None,
        })
    }
}

impl End {
    /// An end of this kind, now, with nothing more to say.
    pub fn now(kind: EndKind, log: u64) -> End {
        let at = crate::base::cli::utc_now();
        let (strays, daemons) = (Vec::new(), Vec::new());
        let (reason, log_digest, truncated) = (None, None, false);
        End { kind, at, reason, log, log_digest, truncated, strays, daemons }
    }

    /// The end, now, of a job of which nothing ran.
    pub fn unstarted(kind: EndKind, reason: impl Into<String>) -> End {
        End { reason: Some(reason.into()), ..End::now(kind, 0) }
    }

    /// One of which nothing ran, for this reason, with this exit status.
    pub fn denied(exit: Exit, reason: impl Into<String>) -> End {
        End::unstarted(EndKind::Denied(exit.code()), reason)
    }

    /// Says one thing more about it.
    pub fn add_reason(&mut self, more: impl Into<String>) {
        let more = more.into();
        self.reason = Some(match self.reason.take() {
            Some(reason) => format!("{reason}; {more}"),
            None => more,
        });
    }

    /// The record that is written down.
    pub fn record(&self) -> Record {
        Record::new()
            .with("kind", self.kind.word())
            .with("code", self.kind.code())
            .with("at", &self.at)
            .with("log", self.log)
            .with_each("reason", &self.reason)
            .with_each("truncated", self.truncated.then_some("yes"))
            .with_each("stray", &self.strays)
            .with_each("daemon", &self.daemons)
    }

    /// The end that a record says.
    pub fn of(record: &Record) -> Option<End> {
        let texts = |values: &[Vec<u8>]| String::from_utf8_lossy(&values.concat()).into_owned();
        Some(End {
            kind: EndKind::from_words(record.first("kind")?, record.number("code")?)?,
            at: record.first("at")?.to_string(),
            reason: record.first("reason").map(str::to_string),
            log: record.number("log")?,
            log_digest: None,
            truncated: record.first("truncated").is_some(),
            strays: record.all("stray").map(texts).collect(),
            daemons: record.all("daemon").map(texts).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart_and_come_back() {
        for (kind, status) in [
            (EndKind::Exit(44), 44),
            (EndKind::Signal(9), 137),
            (EndKind::Timeout, 124),
            (EndKind::Cancelled, 130),
            (EndKind::Denied(75), 75),
            (EndKind::Expired, 75),
            (EndKind::Lost, 71),
        ] {
            assert_eq!(kind.exit_status(), status);
            let mut end = End::now(kind, 12);
            end.reason = Some("a\nb".into());
            end.truncated = true;
            end.strays = vec!["12 sleep".into(), "13 x y".into()];
            end.daemons = vec!["14 server".into()];
            let text = end.record().encode();
            let record = Record::parse(text.as_bytes()).expect("a record");
            assert_eq!(End::of(&record), Some(end));
        }
        assert_eq!(EndKind::from_words("exit", 256), None);
        assert_eq!(EndKind::from_words("fine", 0), None);
    }
}
