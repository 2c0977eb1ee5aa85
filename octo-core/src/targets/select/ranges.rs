//! What stands between brackets: `01-20,33`, by NodeSet's rules.

use crate::base::encoding::printable;

/// No selection stands for more names: they are counted before any is made.
pub(super) const MOST: u64 = 1_000_000;

/// Longer numbers are part of a name, and can't be counted through.
const DIGITS: usize = 18;

/// The numbers of one bracket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: u64,
    last: u64,
    step: u64,
    /// So many digits at least, by zeros in front.
    width: usize,
}

impl Ranges {
    /// The numbers of this text, as far as [`MOST`] of them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Ranges, String> {
        if text.is_empty() {
            return Err("nothing stands between its brackets".into());
        }
        let mut ranges = Vec::new();
        for part in text.split(',') {
            if ranges.len() as u64 >= MOST {
                return Err(too_many());
            }
            ranges.push(range(part)?);
        }
        Ok(Ranges(ranges))
    }

    /// How many numbers there are; the same one twice counts twice.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, range| sum.saturating_add(range.count()))
    }

    /// Each as it is written in a name.
    pub(super) fn each(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|range| {
            let numbers = (0..range.count()).map(|index| range.first + index * range.step);
            numbers.map(|number| format!("{number:0width$}", width = range.width))
        })
    }
}

impl Range {
    fn count(&self) -> u64 {
        (self.last - self.first) / self.step + 1
    }
}

/// Why a word is refused that stands for too many.
pub(super) fn too_many() -> String {
    format!("stands for more than {MOST} names")
}

/// `N`, `N-M` or `N-M/STEP`.
fn range(text: &str) -> Result<Range, String> {
    let shown = printable(text.as_bytes());
    let no_range = || format!("'{shown}' is no number or range, as in [1-20] or [01-20,33]");
    let (numbers, step) = text.split_once('/').unwrap_or((text, "1"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    for digits in [first, last, step] {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(no_range());
        }
        if digits.len() > DIGITS {
            return Err(format!("'{shown}': a number has {DIGITS} digits at most"));
        }
    }
    let is_padded = |digits: &str| digits.len() > 1 && digits.starts_with('0');
    let width = if is_padded(first) || is_padded(last) { first.len() } else { 0 };
    if width > 0 && first.len() != last.len() {
        return Err(format!(
            "'{shown}': with a 0 in front both have as many digits, as in [01-20]"
        ));
    }
    // 18 digits always fit.
    let number = |digits: &str| digits.parse::<u64>().map_err(|_| no_range());
    let (first, last, step) = (number(first)?, number(last)?, number(step)?);
    if last < first {
        return Err(format!("'{shown}' runs backwards"));
    }
    if step == 0 || (step > 1 && !numbers.contains('-')) {
        return Err(no_range());
    }
    Ok(Range { first, last, step, width })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_bracket() {
        for (text, expected) in [
            ("1", "1"),
            ("1-3", "1 2 3"),
            ("01-03,7", "01 02 03 7"),
            ("8-11", "8 9 10 11"),
            ("08-11", "08 09 10 11"),
            ("099-101", "099 100 101"),
            ("0-2,00", "0 1 2 00"),
            ("1-10/4", "1 5 9"),
            ("01-06/2", "01 03 05"),
            ("5-5", "5"),
            ("999999999999999998-999999999999999999", "999999999999999998 999999999999999999"),
        ] {
            let ranges = Ranges::parse(text).expect(text);
            let numbers: Vec<String> = ranges.each().collect();
            assert_eq!(numbers.join(" "), expected, "{text}");
            assert_eq!(ranges.count(), numbers.len() as u64, "{text}");
        }
        let large = Ranges::parse("0-999999999999999999,0-999999999999999999").expect("counted");
        assert_eq!(large.count(), 2_000_000_000_000_000_000);
        let larger = vec!["0-999999999999999999"; 100].join(",");
        assert_eq!(Ranges::parse(&larger).expect("counted").count(), u64::MAX);
    }

    #[test]
    fn what_is_no_range_is_told() {
        for (text, said) in [
            ("", "nothing stands between"),
            ("1,", "'' is no number"),
            (",1", "'' is no number"),
            ("a-c", "'a-c' is no number"),
            ("1-", "'1-' is no number"),
            ("-1", "'-1' is no number"),
            ("1--2", "'1--2' is no number"),
            ("1-2-3", "'1-2-3' is no number"),
            ("+1", "'+1' is no number"),
            (" 1", "' 1' is no number"),
            ("1*", "'1*' is no number"),
            ("1-9/0", "'1-9/0' is no number"),
            ("1-9/", "'1-9/' is no number"),
            ("3/2", "'3/2' is no number"),
            ("20-1", "'20-1' runs backwards"),
            ("01-9", "as many digits"),
            ("01-100", "as many digits"),
            ("1-010", "as many digits"),
            ("1-9999999999999999999", "18 digits at most"),
            ("\u{1b}", "'\\x1b' is no number"),
        ] {
            let reason = Ranges::parse(text).expect_err(text);
            assert!(reason.contains(said), "{text}: {reason}");
        }
        let many = "1,".repeat(1_000_000) + "1";
        assert_eq!(Ranges::parse(&many).expect_err("many"), too_many());
    }
}
