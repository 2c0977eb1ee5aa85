//! Moments to come, as people say them.

use super::units::duration;
use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, Zoned};

/// What [`coming`] reads, for messages.
pub const FORM: &str =
    "a time such as 2h, 3d, 2026-12-01, '2026-12-01 06:00' or 2026-12-01T06:00:00Z";

/// So long from now, the beginning of a day or a time of it on the clock on the wall, or a
/// time of RFC 3339. Of a time that comes twice, the later one; whole seconds.
pub fn coming(text: &str, now: &Zoned) -> Option<Timestamp> {
    let moment = match (duration(text), text.parse::<Timestamp>(), text.parse::<Date>()) {
        (Some(length), _, _) => {
            now.timestamp().checked_add(jiff::SignedDuration::try_from(length).ok()?).ok()?
        }
        (None, Ok(moment), _) => moment,
        (None, Err(_), Ok(day)) if text.len() == 10 => {
            local(day.to_datetime(Default::default()), now)?
        }
        _ => {
            let forms = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"];
            let civil = forms.iter().find_map(|form| DateTime::strptime(form, text).ok())?;
            local(civil, now)?
        }
    };
    Timestamp::from_second(moment.as_second()).ok()
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
            ("90", "2026-10-24T10:01:30Z"),
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
            "9999999999d",
        ] {
            assert_eq!(coming(text, &now), None, "{text}");
        }
    }
}
