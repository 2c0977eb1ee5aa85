//! window=: when a run may start, by the clock on the target's wall.
//!
//! ```text
//! window = range *("," range)
//! range  = [day-list " "] HH:MM "-" HH:MM       without days: every day
//! day-list = days *("," days)                   days = Mon | Mon-Fri
//! ```
//!
//! A range whose end is not after its start crosses midnight and belongs to the
//! day on which it starts. The end is excluded; 24:00 is an end. The wall clock
//! alone counts: an hour that is skipped in spring opens nothing, one that is
//! repeated in autumn opens twice.

use crate::base::encoding::printable;
use jiff::civil::{Time, Weekday, time};
use jiff::tz::AmbiguousOffset;
use jiff::{Span, Zoned};
use std::fmt;

/// The ranges of one window=.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    ranges: Vec<Range>,
    /// As it stands in the file.
    text: String,
}

/// A time of the day, on some days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    /// A bit a day, Monday the lowest.
    days: u8,
    start: Time,
    /// `None` is 24:00.
    end: Option<Time>,
}

const EVERY_DAY: u8 = 0b111_1111;
const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];
/// How far ahead an opening is looked for: a weekly range may fall into the hour
/// that is skipped in spring, and is a week late then.
const HORIZON: i64 = 15;

impl Windows {
    /// The ranges of a window= value.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Windows, String> {
        let mut ranges = Vec::new();
        let mut pending = 0u8;
        let mut days_were_named = false;
        for item in text.split(',') {
            let item = item.trim_ascii();
            let (days, times) = match item.rsplit_once(' ') {
                Some((days, times)) => (Some(days.trim_ascii()), Some(times)),
                None if item.contains(':') => (None, Some(item)),
                None => (Some(item), None),
            };
            let days = days.map(parse_days).transpose()?;
            let Some(times) = times else {
                pending |= days.unwrap_or(0);
                continue;
            };
            let (start, end) = parse_times(times)?;
            let days = match days {
                Some(days) => {
                    days_were_named = true;
                    days | pending
                }
                // "Mon 10:00-11:00,14:00-15:00": on Mondays, or every day?
                None if pending != 0 || days_were_named => {
                    return Err(format!(
                        "'{}' has no days, but what is before it has: write 'Mon-Sun {}' or its days",
                        printable(item.as_bytes()),
                        printable(item.as_bytes())
                    ));
                }
                None => EVERY_DAY,
            };
            pending = 0;
            ranges.push(Range { days, start, end });
        }
        if pending != 0 {
            return Err("the last days have no time (00:00-24:00 is the whole day)".into());
        }
        Ok(Windows { ranges, text: text.to_string() })
    }

    /// Is one of the ranges open at this time?
    pub fn is_open(&self, at: &Zoned) -> bool {
        let (today, now) = (day_bit(at.date().weekday()), at.time());
        let yesterday = day_bit(at.date().weekday().previous());
        self.ranges.iter().any(|range| range.is_open(today, yesterday, now))
    }

    /// The first time from this one on at which a range is open.
    pub fn next_opening(&self, at: &Zoned) -> Option<Zoned> {
        if self.is_open(at) {
            return Some(at.clone());
        }
        // Opening can happen where a range starts and where the clock is moved.
        let zone = at.time_zone();
        let last = at.checked_add(Span::new().days(HORIZON)).ok()?;
        let moves = zone
            .following(at.timestamp())
            .map(|transition| transition.timestamp())
            .take_while(|moment| *moment <= last.timestamp())
            .map(|moment| moment.to_zoned(zone.clone()));
        let starts = (0..=HORIZON).flat_map(|ahead| {
            let date = at.date().checked_add(Span::new().days(ahead)).ok();
            let that_day = move |range: &&Range| {
                date.is_some_and(|date| range.days & day_bit(date.weekday()) != 0)
            };
            let ranges = self.ranges.iter().filter(that_day);
            ranges.filter_map(move |range| Some(date?.to_datetime(range.start)))
        });
        let starts = starts.flat_map(|civil| {
            let ambiguous = zone.to_ambiguous_zoned(civil);
            let resolved = match ambiguous.offset() {
                AmbiguousOffset::Fold { .. } => {
                    vec![ambiguous.clone().earlier(), ambiguous.later()]
                }
                // One in a skipped hour is covered by the move of the clock.
                AmbiguousOffset::Gap { .. } => vec![],
                AmbiguousOffset::Unambiguous { .. } => vec![ambiguous.unambiguous()],
            };
            resolved.into_iter().flatten()
        });
        // A range is open where it starts: of the moves alone this has to be asked.
        let moves = moves.filter(|moment| self.is_open(moment));
        moves.chain(starts).filter(|moment| moment > at).min()
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Range {
    fn is_open(&self, today: u8, yesterday: u8, now: Time) -> bool {
        let on = |day: u8| self.days & day != 0;
        match self.end {
            Some(end) if end <= self.start => {
                (on(today) && now >= self.start) || (on(yesterday) && now < end)
            }
            Some(end) => on(today) && (self.start..end).contains(&now),
            None => on(today) && now >= self.start,
        }
    }
}

fn day_bit(day: Weekday) -> u8 {
    1 << day.to_monday_zero_offset()
}

fn parse_days(text: &str) -> Result<u8, String> {
    let day = |name: &str| {
        DAYS.iter().find(|row| row.0.eq_ignore_ascii_case(name)).map(|row| row.1).ok_or_else(|| {
            format!("'{}' is not a day (Mon Tue Wed Thu Fri Sat Sun)", printable(name.as_bytes()))
        })
    };
    let Some((first, last)) = text.split_once('-') else { return day(text).map(day_bit) };
    let (first, last) = (day(first)?, day(last)?);
    if first == last {
        return Err(format!("'{}': a range of days has two ends", printable(text.as_bytes())));
    }
    let mut days = day_bit(last);
    let mut current = first;
    while current != last {
        days |= day_bit(current);
        current = current.next();
    }
    Ok(days)
}

fn parse_times(text: &str) -> Result<(Time, Option<Time>), String> {
    let shown = || printable(text.as_bytes());
    let wrong = || format!("'{}' is not a range of times (22:00-05:00)", shown());
    let (start, end) = text.split_once('-').ok_or_else(wrong)?;
    let start = parse_time(start).ok_or_else(wrong)?;
    let end = if end == "24:00" { None } else { Some(parse_time(end).ok_or_else(wrong)?) };
    if end == Some(start) {
        return Err(format!("'{}' is empty (00:00-24:00 is the whole day)", shown()));
    }
    Ok((start, end))
}

/// HH:MM, two digits each.
fn parse_time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let part = |text: &str, limit: i8| {
        let right = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i8>().ok().filter(|n| right && *n < limit)
    };
    Some(time(part(hour, 24)?, part(minute, 60)?, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::DateTime;
    use jiff::tz::TimeZone;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("tzdata is installed")
    }

    fn at(zone: &TimeZone, text: &str) -> Zoned {
        text.parse::<DateTime>().expect("a time").to_zoned(zone.clone()).expect("in range")
    }

    fn windows(text: &str) -> Windows {
        Windows::parse(text).expect(text)
    }

    fn opens(windows: &Windows, at: &Zoned) -> Option<String> {
        windows.next_opening(at).map(|o| o.strftime("%F %H:%M %:z").to_string())
    }

    #[test]
    fn days_times_and_midnight() {
        let utc = TimeZone::UTC;
        let w = windows("Mon-Fri 22:00-05:00,Sat,Sun 10:00-12:00");
        // 2026-06-01 is a Monday.
        for (time, open) in [
            ("2026-06-01T04:59", false), // Sunday's night is not in it
            ("2026-06-01T21:59:59", false),
            ("2026-06-01T22:00", true),
            ("2026-06-02T04:59:59", true),
            ("2026-06-02T05:00", false),
            ("2026-06-05T23:00", true),
            ("2026-06-06T04:00", true), // Friday's night
            ("2026-06-06T10:00", true),
            ("2026-06-06T12:00", false),
            ("2026-06-06T22:30", false),
            ("2026-06-07T11:59", true),
        ] {
            assert_eq!(w.is_open(&at(&utc, time)), open, "{time}");
        }
        let next = |time| opens(&w, &at(&utc, time)).expect("opens");
        assert_eq!(next("2026-06-01T12:00"), "2026-06-01 22:00 +00:00");
        assert_eq!(next("2026-06-06T05:00"), "2026-06-06 10:00 +00:00");
        assert_eq!(next("2026-06-07T12:00"), "2026-06-08 22:00 +00:00");
        let weekly = windows("sun 00:00-24:00");
        assert_eq!(
            opens(&weekly, &at(&utc, "2026-06-01T00:00")).expect("opens"),
            "2026-06-07 00:00 +00:00"
        );
        assert!(weekly.is_open(&at(&utc, "2026-06-07T23:59:59.999")));
        assert!(!weekly.is_open(&at(&utc, "2026-06-08T00:00")));
        let round = windows("Sat-Mon 08:00-09:00");
        assert!(
            round.is_open(&at(&utc, "2026-06-01T08:30"))
                && !round.is_open(&at(&utc, "2026-06-02T08:30"))
        );
        let daily = windows("22:00-24:00, Sat 01:00-02:00");
        assert!(
            daily.is_open(&at(&utc, "2026-06-03T23:59"))
                && !daily.is_open(&at(&utc, "2026-06-03T01:30"))
        );
        let midnight = windows("Mon 22:00-00:00");
        assert!(
            midnight.is_open(&at(&utc, "2026-06-01T23:59"))
                && !midnight.is_open(&at(&utc, "2026-06-02T00:00"))
        );
    }

    #[test]
    fn the_hour_that_is_skipped_in_spring() {
        // 2026-03-29: 02:00 becomes 03:00.
        let berlin = zone("Europe/Berlin");
        let w = windows("02:30-05:00");
        let before = at(&berlin, "2026-03-29T01:59:59");
        assert!(!w.is_open(&before));
        assert_eq!(opens(&w, &before).expect("opens"), "2026-03-29 03:00 +02:00");
        assert!(w.is_open(&at(&berlin, "2026-03-29T03:00")));
        // Wholly in the hour that isn't: a week later, or the next day.
        assert_eq!(
            opens(&windows("02:15-02:45"), &before).expect("opens"),
            "2026-03-30 02:15 +02:00"
        );
        assert_eq!(
            opens(&windows("Sun 02:15-02:45"), &before).expect("opens"),
            "2026-04-05 02:15 +02:00"
        );
        // Across midnight it is an hour shorter.
        let night = windows("Sat 22:00-03:00");
        assert!(night.is_open(&before) && !night.is_open(&at(&berlin, "2026-03-29T03:00")));
    }

    #[test]
    fn the_hour_that_is_repeated_in_autumn() {
        // 2026-10-25: 03:00 becomes 02:00.
        let berlin = zone("Europe/Berlin");
        let w = windows("02:30-03:00");
        let first: Zoned = "2026-10-25T02:30+02:00[Europe/Berlin]".parse().expect("a time");
        let between: Zoned = "2026-10-25T02:10+01:00[Europe/Berlin]".parse().expect("a time");
        let second: Zoned = "2026-10-25T02:30+01:00[Europe/Berlin]".parse().expect("a time");
        assert!(w.is_open(&first) && !w.is_open(&between) && w.is_open(&second));
        assert_eq!(
            opens(&w, &at(&berlin, "2026-10-25T01:00")).expect("opens"),
            "2026-10-25 02:30 +02:00"
        );
        assert_eq!(opens(&w, &between).expect("opens"), "2026-10-25 02:30 +01:00");
        // It ends before the clock is put back, and is open again because of that.
        let night = windows("Sat 22:00-02:30");
        let closed: Zoned = "2026-10-25T02:45+02:00[Europe/Berlin]".parse().expect("a time");
        assert!(!night.is_open(&closed));
        assert_eq!(opens(&night, &closed).expect("opens"), "2026-10-25 02:00 +01:00");
    }

    #[test]
    fn an_opening_is_open_and_the_moment_before_is_not() {
        let mut seed = 7u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        for zone in [
            zone("Europe/Berlin"),
            zone("America/New_York"),
            zone("Australia/Lord_Howe"),
            TimeZone::UTC,
        ] {
            for _ in 0..300 {
                let start = random(1440);
                let end = (start + 1 + random(1439)) % 1440;
                let clock = |m: u64| format!("{:02}:{:02}", m / 60, m % 60);
                let (first, last) = (random(7) as usize, random(7) as usize);
                let days = if first == last {
                    DAYS[first].0.to_string()
                } else {
                    format!("{}-{}", DAYS[first].0, DAYS[last].0)
                };
                let w = windows(&format!("{days} {}-{}", clock(start), clock(end)));
                let second = 1_767_225_600 + random(366 * 86_400) as i64;
                let now =
                    jiff::Timestamp::from_second(second).expect("in range").to_zoned(zone.clone());
                let Some(opening) = w.next_opening(&now) else {
                    panic!("{w:?} never opens from {now}")
                };
                assert!(opening >= now && w.is_open(&opening), "{w:?} {now} {opening}");
                if opening != now {
                    // No minute in between is open: the opening is the first.
                    let minutes = (opening.timestamp().as_second() - second) / 60;
                    for minute in (0..minutes).chain([minutes]) {
                        let moment = jiff::Timestamp::from_second(
                            (second + minute * 60).min(opening.timestamp().as_second() - 1),
                        );
                        let moment = moment.expect("in range").to_zoned(zone.clone());
                        assert!(!w.is_open(&moment), "{w:?} is open at {moment}, before {opening}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_window() {
        for (text, said) in [
            ("", "'' is not a day"),
            ("22:00", "not a range of times"),
            ("22:00-", "not a range of times"),
            ("24:00-05:00", "not a range of times"),
            ("9:00-10:00", "not a range of times"),
            ("09:00-10:60", "not a range of times"),
            ("09:00-24:01", "not a range of times"),
            ("+9:00-10:00", "not a range of times"),
            ("09:00-09:00", "is empty"),
            ("Mon-Mon 09:00-10:00", "two ends"),
            ("Mo 09:00-10:00", "'Mo' is not a day"),
            ("Mon Tue 09:00-10:00", "'Mon Tue' is not a day"),
            ("Mon-Tue-Wed 09:00-10:00", "'Tue-Wed' is not a day"),
            ("Sat,Sun", "have no time"),
            ("Sat 10:00-11:00,Sun", "have no time"),
            ("Sat 10:00-11:00,14:00-15:00", "has no days"),
            ("Sat,14:00-15:00", "has no days"),
            ("10:00-11:00,", "'' is not a day"),
            ("Mon 22:00–05:00", "not a range of times"),
        ] {
            let error = Windows::parse(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
