//! `--at`: a moment, as a person says it.

use jiff::civil::{DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};
use octo_core::base::cli::Tool;
use octo_core::base::error::Result;

/// RFC 3339, a local `YYYY-MM-DD HH:MM`, or the next `HH:MM`.
///
/// # Errors
/// Exit 64, for what is none, or what the clock skips.
pub(super) fn parse(tool: &Tool, text: &str) -> Result<Zoned> {
    let zone = TimeZone::system();
    if let Ok(time) = Time::strptime("%H:%M", text) {
        return next(tool, text, time);
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment.to_zoned(zone));
    }
    let civil: DateTime = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"]
        .iter()
        .find_map(|form| DateTime::strptime(form, text).ok())
        .ok_or_else(|| {
            tool.misuse(format!(
                "--at {text}: a time is 2027-03-28T02:30:00Z, '2027-03-28 02:30' or 02:30"
            ))
        })?;
    resolve(tool, text, civil)
}

/// The next time that the clock on the wall shows this.
fn next(tool: &Tool, text: &str, time: Time) -> Result<Zoned> {
    let now = Zoned::now();
    let today = now.date().to_datetime(time);
    if today > now.datetime() {
        return resolve(tool, text, today);
    }
    let tomorrow = now.date().tomorrow();
    let tomorrow = tomorrow.map_err(|error| tool.misuse(format!("--at {text}: {error}")))?;
    resolve(tool, text, tomorrow.to_datetime(time))
}

fn resolve(tool: &Tool, text: &str, civil: DateTime) -> Result<Zoned> {
    let resolved = TimeZone::system().to_ambiguous_zoned(civil);
    match resolved.offset() {
        AmbiguousOffset::Gap { .. } => {
            return Err(tool.misuse(format!("--at {text}: the clock skips this time")));
        }
        AmbiguousOffset::Fold { before, .. } => {
            tool.say(format!("{text} comes twice: the first, {before}, is taken"));
        }
        AmbiguousOffset::Unambiguous { .. } => {}
    }
    resolved.earlier().map_err(|error| tool.misuse(format!("--at {text}: {error}")))
}
