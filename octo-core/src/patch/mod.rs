//! A package as its difference to another: segments of output, each one Zstandard frame
//! (RFC 8878) whose prefix is made of stated ranges of the other, the base; between its bytes
//! stand those that the base has, too, as they are.
//!
//! Who makes a patch knows both files; who applies one believes nothing of it: every
//! length is checked before memory is spent, and the sha256 of the whole decides.

mod copies;
mod frame;
mod members;
mod plan;
#[cfg(test)]
mod tests;

pub use copies::{Copied, copies_text, parse_copies};
pub use frame::{decode, encode};
pub use members::Bytes;
pub use plan::{Segment, plain, plan};

use crate::base::units::whole;
use std::io;

/// The most output of one frame, in bytes.
pub const LARGEST_SEGMENT: usize = 8 << 20;
/// The most bytes of all ranges of one segment.
pub const LARGEST_PREFIX: u64 = 16 << 20;
/// The most ranges of one segment, and the most copies.
pub const MOST_RANGES: usize = 64;
/// The most bytes of all copies of one segment.
pub const LARGEST_COPIES: u64 = 32 << 20;
/// The most bases that are offered for one package.
pub const MOST_BASES: usize = 8;

/// The longest frame of a segment of so many bytes: what Zstandard says it may take at
/// most, and room for its headers.
pub const fn longest_frame(size: usize) -> usize {
    size + (size >> 8) + 1024
}

/// Room for a prefix, a frame and a segment. It is one piece, since an allocator gives what
/// is as large back to the system once it is free: of smaller pieces that of glibc keeps
/// some for each of dozens of threads.
pub fn room() -> Vec<u8> {
    const SIZE: usize = LARGEST_PREFIX as usize + longest_frame(LARGEST_SEGMENT) + LARGEST_SEGMENT;
    const { assert!(SIZE > 32 << 20, "glibc always maps what is larger than this") }
    vec![0; SIZE]
}

/// So many bytes of a base, from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// Where they begin.
    pub offset: u64,
    /// How many.
    pub length: u64,
}

impl Range {
    /// Where they end.
    pub fn end(self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// Fills a buffer, as long as all of them, with the bytes of these ranges, one behind the
/// other; `fill` fills a part of it from a place of the base on.
///
/// # Errors
/// Those of `fill`.
pub fn read_ranges(
    mut buffer: &mut [u8],
    ranges: &[Range],
    fill: impl Fn(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    for range in ranges {
        let (now, later) = buffer.split_at_mut(range.length as usize);
        fill(now, range.offset)?;
        buffer = later;
    }
    Ok(())
}

/// The ranges as they stand on the wire: `OFFSET+LENGTH`, joined by commas.
pub fn ranges_text(ranges: &[Range]) -> String {
    let each: Vec<_> = ranges.iter().map(|r| format!("{}+{}", r.offset, r.length)).collect();
    each.join(",")
}

/// The ranges of this text, of a base of so many bytes.
///
/// # Errors
/// In words, what is wrong with them.
pub fn parse_ranges(text: &str, base: u64) -> Result<Vec<Range>, String> {
    let mut ranges = Vec::new();
    let mut sum: u64 = 0;
    for part in text.split(',') {
        if ranges.len() == MOST_RANGES {
            return Err(format!("a segment has more than {MOST_RANGES} ranges"));
        }
        let read = part.split_once('+').and_then(|(at, count)| Some((whole(at)?, whole(count)?)));
        let (offset, length) = read.ok_or("a range is not OFFSET+LENGTH")?;
        if length == 0 || offset.checked_add(length).is_none_or(|end| end > base) {
            return Err(format!("a range is not within the {base} bytes of its base"));
        }
        sum = sum.saturating_add(length);
        if sum > LARGEST_PREFIX {
            return Err(format!("the ranges of a segment are more than {LARGEST_PREFIX} bytes"));
        }
        ranges.push(Range { offset, length });
    }
    Ok(ranges)
}
