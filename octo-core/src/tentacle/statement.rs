//! What a pusher signs: that it, and nobody in between, asks this tentacle for this
//! job, or for its end.
//!
//! ```text
//! octo-statement 1 request
//! job 20260101T000000-abcdefghijklm
//! tentacle THUMBPRINT
//! pusher THUMBPRINT
//! spec SHA256
//! by ann@laptop
//! at 2026-01-01T00:00:00Z
//! until 2026-01-01T01:00:00Z
//! ```
//!
//! A cancel's first line ends in `cancel`, and it has no `spec`. The lines are in this
//! order, in the line encoding: a statement has one spelling. octo-job(5) is the page.

use crate::base::cli::utc;
use crate::base::digest::Digest;
use crate::base::names::JobId;
use crate::base::record::Record;
use crate::base::refusal::Refusal;
use crate::base::thumbprint::Thumbprint;
use jiff::{SignedDuration, Timestamp};

/// The longest statement, in bytes: a claim of who asks is all that varies.
pub const MAXIMUM: u64 = 4096;
/// The longest signature, in bytes: one of an RSA key of 8,192 bits.
pub const MAXIMUM_SIGNATURE: u64 = 1024;
/// The largest certificate that is looked at, in bytes of DER.
pub const MAXIMUM_CERTIFICATE: u64 = 64 * 1024;
/// The longest claim of who asks, in bytes.
pub const MAXIMUM_BY: usize = 256;
/// How long a statement holds unless it says otherwise.
pub const HOLDS_FOR: SignedDuration = SignedDuration::from_hours(1);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// That a job of this spec runs.
    Request(Digest),
    /// That the job ends.
    Cancel,
}

/// A statement, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What is asked for.
    pub asks: Asks,
    /// Of which job.
    pub job: JobId,
    /// Of which tentacle: the certificate that it showed.
    pub tentacle: Thumbprint,
    /// By whom: its own certificate.
    pub pusher: Thumbprint,
    /// user@host as the pusher claims: shown, never used to decide.
    pub by: String,
    /// When it was made, by the pusher's clock.
    pub at: Timestamp,
    /// Until when it may be taken up.
    pub until: Timestamp,
}

/// A statement's bytes, with what proves them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The statement, as it was signed.
    pub statement: &'a [u8],
    /// The signature by the key of the certificate.
    pub signature: &'a [u8],
    /// The pusher's certificate, DER.
    pub certificate: &'a [u8],
}

/// What a statement has to be about.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The job that it is used for.
    pub job: &'a JobId,
    /// What is asked for.
    pub asks: Asks,
    /// Who must have made it.
    pub pusher: Thumbprint,
    /// The thumbprints of this tentacle.
    pub tentacle: &'a [Thumbprint],
}

/// Why a statement is worth nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotValid {
    /// In a word.
    pub refusal: Refusal,
    /// In words.
    pub reason: String,
}

impl NotValid {
    /// A statement that proves nothing of what it is used for.
    pub fn denied(reason: impl Into<String>) -> NotValid {
        NotValid { refusal: Refusal::Denied, reason: reason.into() }
    }
}

impl Statement {
    /// Its bytes, which are signed.
    pub fn encode(&self) -> Vec<u8> {
        let (word, spec) = match self.asks {
            Asks::Request(spec) => ("request", Some(spec)),
            Asks::Cancel => ("cancel", None),
        };
        let mut record = Record::new();
        record.push("octo-statement", &[b"1", word.as_bytes()]);
        record
            .with("job", &self.job)
            .with("tentacle", self.tentacle)
            .with("pusher", self.pusher)
            .with_each("spec", spec)
            .with("by", &self.by)
            .with("at", utc(self.at))
            .with("until", utc(self.until))
            .encode()
            .into_bytes()
    }

    /// The statement of these bytes; `None` for any other spelling than ours.
    pub fn parse(bytes: &[u8]) -> Option<Statement> {
        if bytes.len() as u64 > MAXIMUM {
            return None;
        }
        let record = Record::parse(bytes).ok()?;
        let (first, values) = record.lines().next()?;
        let asks = match values {
            [one, word] if first == "octo-statement" && one == b"1" => match word.as_slice() {
                b"request" => Asks::Request(Digest::parse(record.first("spec")?)?),
                b"cancel" => Asks::Cancel,
                _ => return None,
            },
            _ => return None,
        };
        let thumbprint = |key| Thumbprint::parse(record.first(key)?).ok();
        let time = |key| record.first(key)?.parse::<Timestamp>().ok();
        let statement = Statement {
            asks,
            job: JobId::parse(record.first("job")?)?,
            tentacle: thumbprint("tentacle")?,
            pusher: thumbprint("pusher")?,
            by: record.first("by").filter(|by| by.len() <= MAXIMUM_BY)?.to_string(),
            at: time("at")?,
            until: time("until")?,
        };
        // One spelling: a line more, another order or another form of a value would be
        // bytes that somebody signed and that we read otherwise than he did.
        (statement.encode() == bytes).then_some(statement)
    }

    /// Is it about this, for us, and not too late? `at` isn't judged. Who signed it is
    /// not asked here.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, expected: &Expected<'_>, now: Timestamp) -> Result<(), NotValid> {
        let denied = |reason: String| Err(NotValid::denied(reason));
        if self.pusher != expected.pusher {
            return denied(format!("its statement is of another pusher, {}", self.pusher));
        }
        if self.job != *expected.job {
            return denied(format!("its statement is about another job, {}", self.job));
        }
        if !expected.tentacle.contains(&self.tentacle) {
            return denied(format!(
                "its statement is for another tentacle, {}: where octo-listen shows that here, \
                 restart it",
                self.tentacle
            ));
        }
        match (self.asks, expected.asks) {
            (Asks::Request(signed), Asks::Request(used)) if signed != used => {
                return denied(format!("its statement is about another spec, {signed}"));
            }
            (Asks::Request(_), Asks::Cancel) => {
                return denied("its statement asks for a job, not for a job's end".into());
            }
            (Asks::Cancel, Asks::Request(_)) => {
                return denied("its statement asks for a job's end, not for a job".into());
            }
            _ => {}
        }
        if now > self.until {
            let reason = format!(
                "its statement, made at {} by the pusher's clock, held until {}; here it is {}: \
                 is one of the clocks wrong?",
                utc(self.at),
                utc(self.until),
                utc(now)
            );
            return Err(NotValid { refusal: Refusal::Late, reason });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(asks: Asks) -> Statement {
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        Statement {
            asks,
            job: JobId::parse("20260101T000000-abcdefghijklm").expect("an id"),
            tentacle: Thumbprint::of_certificate(b"tentacle"),
            pusher: Thumbprint::of_certificate(b"pusher"),
            by: "ann o'x@laptop".into(),
            at,
            until: at + HOLDS_FOR,
        }
    }

    #[test]
    fn it_comes_back_and_has_one_spelling() {
        for asks in [Asks::Request(Digest::of(b"spec")), Asks::Cancel] {
            let made = statement(asks);
            let bytes = made.encode();
            assert_eq!(Statement::parse(&bytes), Some(made));
            let text = String::from_utf8(bytes.clone()).expect("text");
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            lines.swap(1, 2);
            for bad in [
                lines.concat(),
                format!("{text}more 1\n"),
                format!("{text}by x\n"),
                text.replace("statement 1", "statement 2"),
                text.replace("01T00:00:00Z", "01T00:00:00.0Z"),
                text.replace("01T00:00:00Z", "01T00:00:00+00:00"),
                text.replace("pusher", "Pusher"),
                text.replace(&Thumbprint::of_certificate(b"pusher").to_string(), &"A".repeat(64)),
                text.replacen("by ", "by  ", 1),
                text.trim_end().to_string(),
                text.replace("ann", &"a".repeat(300)),
                text.replace("octo-statement 1 ", "octo-statement 1 x"),
                String::new(),
            ] {
                assert_eq!(Statement::parse(bad.as_bytes()), None, "{bad}");
            }
            for cut in 0..bytes.len() {
                assert_eq!(Statement::parse(&bytes[..cut]), None, "{cut}");
            }
        }
    }

    #[test]
    fn it_holds_for_one_job_one_spec_one_tentacle_and_a_while() {
        let made = statement(Asks::Request(Digest::of(b"spec")));
        let other = JobId::parse("20260101T000000-abcdefghijkln").expect("an id");
        let ours = [Thumbprint::of_certificate(b"new"), made.tentacle];
        let right =
            Expected { job: &made.job, asks: made.asks, pusher: made.pusher, tentacle: &ours };
        let hour = |hours| made.at + SignedDuration::from_hours(hours);
        assert_eq!(made.check(&right, made.at), Ok(()));
        // The pusher's clock is ahead: that is no reason.
        assert_eq!(made.check(&right, hour(-40 * 366 * 24)), Ok(()));
        for (expected, now, refusal, said) in [
            (Expected { job: &other, ..right }, hour(0), "denied", "another job"),
            (Expected { pusher: ours[0], ..right }, hour(0), "denied", "another pusher"),
            (Expected { tentacle: &ours[..1], ..right }, hour(0), "denied", "another tentacle"),
            (Expected { tentacle: &[], ..right }, hour(0), "denied", "another tentacle"),
            (Expected { asks: Asks::Cancel, ..right }, hour(0), "denied", "asks for a job,"),
            (
                Expected { asks: Asks::Request(Digest::of(b"x")), ..right },
                hour(0),
                "denied",
                "another spec",
            ),
            (right, hour(2), "late", "until 2026-01-01T01:00:00Z; here it is 2026-01-01T02:00:00Z"),
        ] {
            let not = made.check(&expected, now).expect_err(said);
            assert_eq!(not.refusal.word(), refusal, "{}", not.reason);
            assert!(not.reason.contains(said), "{}", not.reason);
        }
    }
}
