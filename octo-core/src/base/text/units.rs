//! Durations (`30s 5m 1h 2d`), sizes (`64K 10M 2G`) and percentages (`20%`).

use std::time::Duration;

/// A thousand years: anything longer overflows clocks further down.
pub(crate) const MAXIMUM_SECONDS: u64 = 31_557_600_000;

/// A duration: a whole number of `s`, `m`, `h` or `d`; a bare number is seconds.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, factor) = match text.as_bytes().last()? {
        b's' => (&text[..text.len() - 1], 1),
        b'm' => (&text[..text.len() - 1], 60),
        b'h' => (&text[..text.len() - 1], 3600),
        b'd' => (&text[..text.len() - 1], 86400),
        _ => (text, 1),
    };
    whole(number)?.checked_mul(factor).filter(|s| *s <= MAXIMUM_SECONDS).map(Duration::from_secs)
}

/// A size in bytes: a whole number, or one of `K`, `M`, `G`, `T` (powers of 1024).
pub fn size(text: &str) -> Option<u64> {
    let (number, shift) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        b'T' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    whole(number)?.checked_mul(1 << shift).filter(|size| *size <= i64::MAX as u64)
}

/// A number in its one canonical spelling: digits, no sign, no leading zero.
pub fn whole(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

/// A count, or a share of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Count(u64),
    /// So many of a hundred.
    Percent(u64),
}

impl Share {
    /// `5` or `20%`; a percentage above 100 is none.
    pub fn parse(text: &str) -> Option<Share> {
        match text.strip_suffix('%') {
            Some(number) => whole(number).filter(|p| *p <= 100).map(Share::Percent),
            None => whole(text).map(Share::Count),
        }
    }

    /// How many of so many that is, of which there may be no more: rounded down.
    pub fn at_most(self, of: u64) -> u64 {
        match self {
            Share::Count(count) => count,
            Share::Percent(percent) => of.saturating_mul(percent) / 100,
        }
    }

    /// How many of so many that is, of which there may be no fewer: rounded up.
    pub fn at_least(self, of: u64) -> u64 {
        match self {
            Share::Count(count) => count,
            Share::Percent(percent) => of.saturating_mul(percent).div_ceil(100),
        }
    }
}

/// A size as people read it: `12.3 MiB`.
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// A duration in the largest unit that says it exactly: `5m`, `90s`.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    for (factor, unit) in [(86400, 'd'), (3600, 'h'), (60, 'm')] {
        if seconds >= factor && seconds.is_multiple_of(factor) {
            return format!("{}{unit}", seconds / factor);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_to_the_safe_side() {
        for (text, of, most, least) in [
            ("0%", 7, 0, 0),
            ("1%", 7, 0, 1),
            ("50%", 7, 3, 4),
            ("50%", 8, 4, 4),
            ("100%", 7, 7, 7),
            ("9", 7, 9, 9),
        ] {
            let share = Share::parse(text).expect(text);
            assert_eq!((share.at_most(of), share.at_least(of)), (most, least), "{text} of {of}");
        }
    }

    #[test]
    fn units_are_strict() {
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("0"), Some(Duration::ZERO));
        assert_eq!(duration("8766000h"), Some(Duration::from_secs(MAXIMUM_SECONDS)));
        assert_eq!(duration("8766001h"), None);
        assert_eq!(size("2G"), Some(2 << 30));
        assert_eq!(size("9223372036854775807"), Some(i64::MAX as u64));
        assert_eq!(Share::parse("20%"), Some(Share::Percent(20)));
        for bad in ["", "-1", "+1", "1 s", "01", "1.5h", "s", "99999999999999999999", "1w", "é"] {
            assert_eq!(duration(bad), None, "{bad}");
            assert_eq!(size(bad), None, "{bad}");
        }
        for bad in ["9223372036854775808", "99999999999T"] {
            assert_eq!(size(bad), None, "{bad}");
        }
        assert_eq!(Share::parse("101%"), None);
        assert_eq!(human_duration(Duration::from_secs(90)), "90s");
        assert_eq!(human_size(1536), "1.5 KiB");
    }
}
