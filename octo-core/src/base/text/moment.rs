//! Moments to come and past ones, as people say them.

use super::units::duration;
use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp, Zoned};

/// What [`coming`] reads, for messages.
pub const FORM: &str =
    "a time such as 2h, 3d, 2026-12-01, '2026-12-01 06:00' or 2026-12-01T06:00:00Z";

/// What [`gone`] reads, for messages.
pub const PAST_FORM: &str =
    "a time such as 2d, today, yesterday, 2026-01-31, '2026-01-31 06:00' or 2026-01-31T23:59:59Z";

/// So long from now, the beginning of a day or a time of it on the clock on the wall, or a
/// time of RFC 3339. Of a time that comes twice, the later one; whole seconds.
pub fn coming(text: &str, now: &Zoned) -> Option<Timestamp> {
    let moment = match length(text) {
        Some(length) => now.timestamp().checked_add(length).ok()?,
        None => said(text, now)?,
    };
    Timestamp::from_second(moment.as_second()).ok()
}

/// So long ago, or a time as [`coming`] reads it: days begin by the same clock.
pub fn gone(text: &str, now: &Zoned) -> Option<Timestamp> {
    match (text, length(text)) {
        ("today", _) => local(now.date().to_datetime(Default::default()), now),
        ("yesterday", _) => {
            local(now.date().yesterday().ok()?.to_datetime(Default::default()), now)
        }
        (_, Some(length)) => now.timestamp().checked_sub(length).ok(),
        (_, None) => said(text, now),
    }
}

/// A number alone may be meant as a day or a year, and is no length.
fn length(text: &str) -> Option<SignedDuration> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    SignedDuration::try_from(duration(text).filter(|_| !is_number)?).ok()
}

fn said(text: &str, now: &Zoned) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    if let Some(day) = text.parse::<Date>().ok().filter(|_| text.len() == 10) {
        return local(day.to_datetime(Default::default()), now);
    }
    let forms = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"];
    let civil = forms.iter().find_map(|form| DateTime::strptime(form, text).ok())?;
    local(civil, now)
}

fn local(civil: DateTime, now: &Zoned) -> Option<Timestamp> {
    let zone = now.time_zone().clone();
    Some(zone.to_ambiguous_zoned(civil).later().ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_say_is_a_moment_in_utc() {
        let now: Zoned = "2026-10-24T12:00:00.7[Europe/Berlin]".parse().expect("a time");
        for (text, moment) in [
            ("2h", "2026-10-24T12:00:00Z"),
            ("90s", "2026-10-24T10:01:30Z"),
            ("3d", "2026-10-27T10:00:00Z"),
            ("2026-12-01", "2026-11-30T23:00:00Z"),
            ("2026-12-01 06:00", "2026-12-01T05:00:00Z"),
            ("2026-12-01T06:00", "2026-12-01T05:00:00Z"),
            ("2026-12-01 06:00:07", "2026-12-01T05:00:07Z"),
            ("2026-12-01T06:00:00Z", "2026-12-01T06:00:00Z"),
            ("2026-12-01T06:00:00+02:00", "2026-12-01T04:00:00Z"),
            // It comes twice; and one that the clock skips.
            ("2026-10-25 02:30", "2026-10-25T01:30:00Z"),
            ("2027-03-28 02:30", "2027-03-28T01:30:00Z"),
        ] {
            let read = coming(text, &now).map(crate::base::cli::utc);
            assert_eq!(read.as_deref(), Some(moment), "{text}");
        }
        for text in [
            "",
            "soon",
            "tomorrow",
            "-2h",
            "06:00",
            "2026-13-01",
            "2026-12-1",
            "20261201x",
            "20261201",
            "2027",
            "0",
            "9999999999d",
        ] {
            assert_eq!(coming(text, &now), None, "{text}");
        }
    }

    #[test]
    fn what_is_past_is_said_by_the_same_clock() {
        let now: Zoned = "2026-03-01T00:30:00.7[Europe/Berlin]".parse().expect("a time");
        for (text, moment) in [
            ("2d", "2026-02-26T23:30:00Z"),
            ("90s", "2026-02-28T23:28:30Z"),
            ("today", "2026-02-28T23:00:00Z"),
            ("yesterday", "2026-02-27T23:00:00Z"),
            ("2026-01-31", "2026-01-30T23:00:00Z"),
            ("2026-01-31 06:00", "2026-01-31T05:00:00Z"),
            ("2026-01-31T23:59:59Z", "2026-01-31T23:59:59Z"),
            ("2026-01-31T23:59:59+01:00", "2026-01-31T22:59:59Z"),
        ] {
            let read = gone(text, &now).map(crate::base::cli::utc);
            assert_eq!(read.as_deref(), Some(moment), "{text}");
        }
        for text in ["", "2 d", "tomorrow", "2026-02-30", "2026-1-1", "1d1h", "20260131", "-1d"] {
            assert_eq!(gone(text, &now), None, "{text}");
        }
    }
}
