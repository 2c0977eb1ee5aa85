//! An application is not to be deployed until then, or may be again.

use super::{SpecError, limit, malformed};
use crate::base::cli::utc;
use crate::base::encoding::is_hidden;
use crate::base::key::Form;
use crate::base::refusal::Refusal;
use crate::tentacle::releases::is_name;
use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// The longest reason, in bytes.
pub const MAXIMUM_REASON: usize = 500;
/// The longest freeze, in hours: a year, and of one with a leap day, too.
pub const LONGEST_FREEZE: i64 = 366 * 24;
/// The clock of whoever asks may be behind, in hours.
const CLOCKS: i64 = 24;

/// `freeze APP UNTIL REASON` or `thaw APP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freezing {
    /// It is not to be deployed.
    Freeze {
        /// The application.
        application: String,
        /// Until when, UTC.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    /// It may be deployed again.
    Thaw {
        /// The application.
        application: String,
    },
}

impl Freezing {
    /// `freeze` or `thaw`.
    pub fn word(&self) -> &'static str {
        match self {
            Freezing::Freeze { .. } => "freeze",
            Freezing::Thaw { .. } => "thaw",
        }
    }

    /// Of which application.
    pub fn application(&self) -> &str {
        match self {
            Freezing::Freeze { application, .. } | Freezing::Thaw { application } => application,
        }
    }

    /// The fields of its line, behind its word.
    pub fn fields(&self) -> Vec<String> {
        match self {
            Freezing::Freeze { application, until, reason } => {
                vec![application.clone(), utc(*until), reason.clone()]
            }
            Freezing::Thaw { application } => vec![application.clone()],
        }
    }

    /// May it still be obeyed, at this time? A freeze has an end, and not in years.
    ///
    /// # Errors
    /// [`Refusal::Late`] where its end is past, [`Refusal::Limit`] where that is too far.
    pub fn check(&self, now: Timestamp) -> Result<(), SpecError> {
        let Freezing::Freeze { until, .. } = self else { return Ok(()) };
        let left = until.duration_since(now);
        if !left.is_positive() {
            let reason = format!("{} is past, and nothing would be frozen", utc(*until));
            return Err(SpecError::new(Refusal::Late, reason));
        }
        if left > SignedDuration::from_hours(LONGEST_FREEZE + CLOCKS) {
            return Err(limit(format!("{} is more than a year away", utc(*until))));
        }
        Ok(())
    }

    /// The order of this line of a spec.
    pub(super) fn parse(word: &str, fields: &[&str]) -> Result<Freezing, SpecError> {
        let application = fields.first().filter(|name| is_name(name));
        let application = application.ok_or_else(|| malformed("not the name of an application"))?;
        let application = application.to_string();
        match (word, &fields[1..]) {
            ("freeze", [until, reason]) => {
                let until = Some(until).filter(|until| Form::Time.fits(until.as_bytes()));
                let until = until.and_then(|until| until.parse().ok());
                let until = until.ok_or_else(|| malformed("until is not a time in UTC"))?;
                check_reason(reason).map_err(malformed)?;
                Ok(Freezing::Freeze { application, until, reason: reason.to_string() })
            }
            ("thaw", []) => Ok(Freezing::Thaw { application }),
            _ => Err(malformed(format!("{word} takes other fields"))),
        }
    }
}

impl fmt::Display for Freezing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Freezing::Freeze { application, until, reason } => {
                write!(out, "{application} until {}: {reason}", utc(*until))
            }
            Freezing::Thaw { application } => out.write_str(application),
        }
    }
}

/// Is this a reason that people can be shown?
///
/// # Errors
/// Why not.
pub fn check_reason(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("the reason is empty".into());
    }
    if text.len() > MAXIMUM_REASON {
        let length = text.len();
        return Err(format!("the reason has {length} bytes, {MAXIMUM_REASON} at most"));
    }
    match text.chars().any(is_hidden) {
        true => Err("the reason holds a character that can't be seen".into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(line: &[&str]) -> Result<Freezing, String> {
        Freezing::parse(line[0], &line[1..]).map_err(|error| error.reason)
    }

    #[test]
    fn what_is_shown_to_people_is_checked() {
        let long = "x".repeat(501);
        for (line, said) in [
            (&["thaw", "../shop"][..], "application"),
            (&["thaw", ""], "application"),
            (&["thaw", "shop", "x"], "other fields"),
            (&["thaw"], "application"),
            (&["freeze", "shop"], "other fields"),
            (&["freeze", "shop", "tomorrow", "x"], "time in UTC"),
            (&["freeze", "shop", "2026-12-01T06:00:00+01:00", "x"], "time in UTC"),
            (&["freeze", "shop", "2026-12-01T06:00:00Z", " "], "empty"),
            (&["freeze", "shop", "2026-12-01T06:00:00Z", &long], "501 bytes"),
            (&["freeze", "shop", "2026-12-01T06:00:00Z", "a\x1b[2J"], "can't be seen"),
            (&["freeze", "shop", "2026-12-01T06:00:00Z", "a\nb"], "can't be seen"),
            (&["freeze", "shop", "2026-12-01T06:00:00Z", "a\u{202e}b"], "can't be seen"),
        ] {
            let reason = order(line).expect_err(said);
            assert!(reason.contains(said), "{line:?}: {reason}");
        }
        let frozen = order(&["freeze", "a+b", "2026-12-01T06:00:00Z", "black friday é"]);
        let frozen = frozen.expect("sound");
        assert_eq!(frozen.to_string(), "a+b until 2026-12-01T06:00:00Z: black friday é");
        assert_eq!(frozen.fields()[1], "2026-12-01T06:00:00Z");
    }

    #[test]
    fn a_freeze_ends_within_a_year() {
        let now: Timestamp = "2027-03-01T00:00:00Z".parse().expect("a time");
        let until = |text: &str| {
            let order = order(&["freeze", "shop", text, "x"]).expect("sound");
            order.check(now).map_err(|error| error.refusal)
        };
        assert_eq!(until("2027-03-01T00:00:01Z"), Ok(()));
        assert_eq!(until("2028-03-01T00:00:00Z"), Ok(()));
        assert_eq!(until("2028-03-02T00:00:01Z"), Err(Refusal::Limit));
        assert_eq!(until("9999-12-30T00:00:00Z"), Err(Refusal::Limit));
        assert_eq!(until("2027-03-01T00:00:00Z"), Err(Refusal::Late));
        assert_eq!(order(&["thaw", "shop"]).expect("sound").check(now), Ok(()));
    }
}
