//! Ranges as the guidelines for plugins of monitoring have them: `START:END`, ends
//! included, is where all is well; with `@` in front it is where it is not. `END` alone is
//! `0:END`, `START:` has no end, `~` is no beginning.

use octo_core::base::units::whole;
use std::fmt;

/// Where a number is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// It is the inside that isn't.
    inside: bool,
    start: Option<u64>,
    end: Option<u64>,
}

impl Range {
    /// What it should be, behind "not".
    pub(super) const FORM: &str = "a range of whole numbers such as 5, 2:, ~:5 or @1:3";

    /// Nothing at all is well, anything else isn't.
    pub(super) const NONE: Range = Range { inside: false, start: Some(0), end: Some(0) };

    /// What is counted is never below 0: a start there is as good as none.
    pub(super) fn parse(text: &str) -> Option<Range> {
        let (inside, rest) = match text.strip_prefix('@') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (start, end) = rest.split_once(':').unwrap_or(("0", rest));
        let start = if start == "~" { None } else { Some(whole(start)?) };
        let end = if end.is_empty() && rest.ends_with(':') { None } else { Some(whole(end)?) };
        let is_sound = start.is_none_or(|start| end.is_none_or(|end| start <= end));
        is_sound.then_some(Range { inside, start, end })
    }

    /// Is this number to be told?
    pub(super) fn alerts(self, number: u64) -> bool {
        let is_inside = self.start.is_none_or(|start| start <= number)
            && self.end.is_none_or(|end| number <= end);
        is_inside == self.inside
    }
}

impl fmt::Display for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.inside {
            out.write_str("@")?;
        }
        match (self.start, self.end) {
            (Some(0), Some(end)) => return write!(out, "{end}"),
            (Some(start), _) => write!(out, "{start}:")?,
            (None, _) => out.write_str("~:")?,
        }
        self.end.map_or(Ok(()), |end| write!(out, "{end}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_guidelines() {
        for (text, well, ill) in [
            ("10", &[0, 10][..], &[11][..]),
            ("10:", &[10, 11], &[0, 9]),
            ("~:10", &[0, 10], &[11]),
            ("10:20", &[10, 20], &[9, 21]),
            ("@10:20", &[9, 21], &[10, 20]),
            ("@0", &[1], &[0]),
            ("0", &[0], &[1]),
            ("~:", &[0, u64::MAX], &[]),
        ] {
            let range = Range::parse(text).expect(text);
            assert_eq!(range.to_string(), text);
            assert!(!well.iter().any(|n| range.alerts(*n)), "{text}");
            assert!(ill.iter().all(|n| range.alerts(*n)), "{text}");
        }
        assert_eq!(Range::parse("0:5").expect("a range").to_string(), "5");
        assert_eq!(Range::parse("0"), Some(Range::NONE));
        for bad in ["", ":", "@", ":5", "20:10", "5:4:3", "-1", "1.5", "x", "@@1", "~", "1:~", "5%"]
        {
            assert_eq!(Range::parse(bad), None, "{bad}");
        }
    }
}
