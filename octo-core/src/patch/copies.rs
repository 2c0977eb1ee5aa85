//! What a file has of its base as it is. It is named, not compressed: a frame takes a few bytes for
//! each 128 KiB, and both sides would compress and decode all that didn't change.

use super::members::Bytes;
use super::{LARGEST_COPIES, MOST_RANGES, Range};
use crate::base::units::whole;
use std::io;

/// So much is compared at once, and is the same or not.
const AT_ONCE: u64 = 16 * 1024;

/// A frame takes less for what is shorter.
const WORTH: u64 = 128 * 1024;

/// So much is compared, of which a slow disk has both in half of the time that a tentacle waits; what
/// is behind that is compressed.
const MOST_COMPARED: u64 = 1 << 30;

/// Bytes of the base between those that come otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// So many of the segment's own bytes stand before it, behind the one before.
    pub after: u64,
    /// Which bytes.
    pub range: Range,
}

/// How they stand on the wire: `AFTER+OFFSET+LENGTH`, joined by commas.
pub fn copies_text(copies: &[Copied]) -> String {
    let text = |c: &Copied| format!("{}+{}+{}", c.after, c.range.offset, c.range.length);
    copies.iter().map(text).collect::<Vec<_>>().join(",")
}

/// The same of this text, in a segment of so many bytes, of a base of so many.
///
/// # Errors
/// In words, what is wrong with them.
pub fn parse_copies(text: &str, size: u64, base: u64) -> Result<Vec<Copied>, String> {
    let mut copies = Vec::new();
    let (mut copied, mut of_segment) = (0_u64, 0_u64);
    for part in text.split(',') {
        if copies.len() == MOST_RANGES {
            return Err(format!("a segment has more than {MOST_RANGES} copies"));
        }
        let numbers: Option<Vec<u64>> = part.splitn(3, '+').map(whole).collect();
        let Some([after, offset, length]) = numbers.as_deref() else {
            return Err("a copy is not AFTER+OFFSET+LENGTH".into());
        };
        let range = Range { offset: *offset, length: *length };
        if range.length == 0 || range.offset.checked_add(range.length).is_none_or(|e| e > base) {
            return Err(format!("a copy is not within the {base} bytes of its base"));
        }
        copied = copied.saturating_add(range.length);
        of_segment = of_segment.saturating_add(*after).saturating_add(range.length);
        if copied > LARGEST_COPIES || of_segment > size {
            return Err("the copies are more than their segment may have".into());
        }
        copies.push(Copied { after: *after, range });
    }
    Ok(copies)
}

/// A stretch of the new file that the base has, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Same {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where it begins in the base.
    pub(super) offset: u64,
}

/// The long ones, of stretches of the new file that begin there and may be those of the base.
///
/// # Errors
/// Where one of the two can't be read.
pub(super) fn same(
    new: &Bytes<'_>,
    base: &Bytes<'_>,
    stretches: impl Iterator<Item = (u64, Range)>,
) -> io::Result<Vec<Same>> {
    let (mut found, mut last): (Vec<Same>, Option<Same>) = (Vec::new(), None);
    let mut keep = |same: Option<Same>| found.extend(same.filter(|s| s.end - s.start >= WORTH));
    let (mut ours, mut theirs) = (vec![0; AT_ONCE as usize], vec![0; AT_ONCE as usize]);
    let mut left = MOST_COMPARED;
    for (start, range) in stretches {
        let mut at = 0;
        while at < range.length && left > 0 {
            let length = AT_ONCE.min(range.length - at);
            left = left.saturating_sub(length);
            let (ours, theirs) = (&mut ours[..length as usize], &mut theirs[..length as usize]);
            (new.read)(ours, start + at)?;
            (base.read)(theirs, range.offset + at)?;
            let (from, offset) = (start + at, range.offset + at);
            at += length;
            if ours != theirs {
                continue;
            }
            match &mut last {
                // It goes on, in both.
                Some(same) if same.end == from && same.offset + (from - same.start) == offset => {
                    same.end += length;
                }
                _ => {
                    let next = Same { start: from, end: from + length, offset };
                    keep(last.replace(next));
                }
            }
        }
    }
    keep(last);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_come_back_and_lies_are_refused() {
        let copied = |after, offset, length| Copied { after, range: Range { offset, length } };
        let copies = [copied(0, 5, 10), copied(7, 0, 20)];
        let text = copies_text(&copies);
        assert_eq!(text, "0+5+10,7+0+20");
        assert_eq!(parse_copies(&text, 37, 20).expect("copies"), copies);
        let many = ["0+0+1"; MOST_RANGES + 1].join(",");
        let large = format!("0+0+{}", LARGEST_COPIES + 1);
        let summed = ["0+0+20000000"; 2].join(",");
        for (text, size, base, said) in [
            (&*text, 36, 20, "more than their segment"),
            ("0+1+20", 100, 20, "within"),
            ("0+20+1", 100, 20, "within"),
            ("0+0+0", 100, 20, "within"),
            ("0+18446744073709551615+1", 100, 20, "within"),
            ("0+1+18446744073709551615", 100, u64::MAX, "within"),
            ("18446744073709551615+0+1", u64::MAX - 1, 20, "more than their segment"),
            ("18446744073709551615+0+1,18446744073709551615+0+1", 100, 20, "more than"),
            ("", 100, 20, "AFTER+OFFSET"),
            ("0+1", 100, 20, "AFTER+OFFSET"),
            ("0+1+2+3", 100, 20, "AFTER+OFFSET"),
            ("0+0+1,", 100, 20, "AFTER+OFFSET"),
            ("00+0+1", 100, 20, "AFTER+OFFSET"),
            ("-1+0+1", 100, 20, "AFTER+OFFSET"),
            (&many, 1 << 20, 20, "more than 64"),
            (&large, 1 << 40, 1 << 40, "more than their segment"),
            (&summed, 1 << 40, 1 << 40, "more than their segment"),
        ] {
            let error = parse_copies(text, size, base).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
