//! What is where in an archive of tar, as far as it helps to find the same in another.
//! Nobody extracts by this: what is misread costs bytes, and nothing else.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;

const BLOCK: usize = 512;

/// The longest name that a header of its own may carry, in bytes.
const LONGEST_NAME: u64 = 64 * 1024;

/// So many members are looked for; what is behind them is compared by its place. All that is
/// known of so many takes some 20 MB.
pub(super) const MOST: usize = 1 << 17;

/// So many bytes of a member's beginning tell it from others of its length.
const TOLD_BY: u64 = 4096;

/// A file of so many bytes, of which any can be read.
pub struct Bytes<'a> {
    /// How many.
    pub size: u64,
    /// Fills a buffer from a place on.
    pub read: &'a dyn Fn(&mut [u8], u64) -> io::Result<()>,
}

/// A member: its headers, its bytes, and what pads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    /// The hash of its path.
    pub(super) path: u64,
    /// Where its first header begins.
    pub(super) start: u64,
    /// Where its bytes begin, and how many they are.
    pub(super) data: u64,
    /// How many bytes it has.
    pub(super) length: u64,
    /// Where its padding ends.
    pub(super) end: u64,
}

impl Member {
    /// What tells it from others of its length, whatever they are called.
    ///
    /// # Errors
    /// Where it can't be read.
    pub(super) fn beginning(&self, of: &Bytes<'_>) -> io::Result<u64> {
        let mut bytes = vec![0; self.length.min(TOLD_BY) as usize];
        (of.read)(&mut bytes, self.data)?;
        Ok(hash(&bytes))
    }
}

/// The members of a file, in their order, so many at most. What is no archive has none.
///
/// # Errors
/// Where it can't be read.
pub(super) fn members(of: &Bytes<'_>, most: usize) -> io::Result<Vec<Member>> {
    let mut members = Vec::new();
    let (mut at, mut start, mut named) = (0, 0, None);
    let mut header = [0; BLOCK];
    while members.len() < most && at + BLOCK as u64 <= of.size {
        (of.read)(&mut header, at)?;
        let data = at + BLOCK as u64;
        let Some(length) = length(&header) else { break };
        let end = length.checked_next_multiple_of(BLOCK as u64).and_then(|l| data.checked_add(l));
        let Some(end) = end.filter(|end| *end <= of.size) else { break };
        at = end;
        match header[156] {
            // Names, which belong to the member behind them.
            kind @ (b'x' | b'L') if length <= LONGEST_NAME => {
                let mut bytes = vec![0; length as usize];
                (of.read)(&mut bytes, data)?;
                named = name(kind, &bytes).or(named);
            }
            b'x' | b'L' | b'K' | b'g' => {}
            _ => {
                let short = || hash(&(&header[..100], &header[345..500]));
                let path = named.take().unwrap_or_else(short);
                members.push(Member { path, start, data, length, end });
                start = end;
            }
        }
    }
    Ok(members)
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The hash of the name that a header of its own carries.
fn name(kind: u8, bytes: &[u8]) -> Option<u64> {
    let name = match kind {
        b'L' => bytes.split(|b| *b == 0).next()?,
        _ => {
            // Records of pax: `LENGTH path=NAME` and a line feed.
            let key = b" path=";
            let at = bytes.windows(key.len()).position(|window| window == key)?;
            bytes[at + key.len()..].split(|b| *b == b'\n').next()?
        }
    };
    Some(hash(&name))
}

/// How many bytes are behind this header; `None` where it is none, or the archive's end.
fn length(header: &[u8; BLOCK]) -> Option<u64> {
    let mut sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    // The field of the sum itself counts as blanks.
    sum -= header[148..156].iter().map(|byte| u64::from(*byte)).sum::<u64>();
    sum += 8 * u64::from(b' ');
    if octal(&header[148..156])? != sum {
        return None;
    }
    match (header[156], header[124]) {
        // Links, devices, directories have no bytes, whatever they state.
        (b'1'..=b'6', _) => Some(0),
        // Of a number in base 256 the low bytes: more of them is larger than any file.
        (_, 0x80) => Some(header[125..136].iter().fold(0, |n, b| n << 8 | u64::from(*b))),
        _ => octal(&header[124..136]),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let is_fill = |b: &&u8| matches!(**b, b' ' | 0);
    let digits = field.iter().skip_while(is_fill).take_while(|b| !is_fill(b));
    digits
        .map(|b| char::from(*b).to_digit(8))
        .try_fold(0, |n: u64, digit| n.checked_mul(8)?.checked_add(u64::from(digit?)))
}
