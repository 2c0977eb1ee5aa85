//! Which segments a file is sent in, and which ranges of a base each of them has.

use super::members::{Bytes, Member, members};
use super::{LARGEST_PREFIX, LARGEST_SEGMENT, MOST_RANGES, Range};
use std::collections::HashMap;
use std::io;

const LARGEST: u64 = LARGEST_SEGMENT as u64;

/// Where a segment ends, as a disk likes it: what is written past the page cache is a
/// multiple of this.
const ALIGNMENT: u64 = 4096;

/// Ranges that are no further apart are one: what is between them costs less than a range.
const GAP: u64 = 16 * 1024;

/// Of what takes more than a segment so much more on both sides: what was put in or taken
/// out moves the rest.
const AROUND: u64 = 2 << 20;

/// A segment of output, and what it is made of besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Of its base, in their order there; none where there is no base.
    pub ranges: Vec<Range>,
}

/// The segments of a file of so many bytes without a base: small at first, so that it is
/// known soon how fast the link is.
pub fn plain(size: u64) -> Vec<Segment> {
    let mut segments = Vec::new();
    let (mut start, mut length) = (0, LARGEST / 32);
    while start < size {
        let end = size.min(start + length);
        segments.push(Segment { start, end, ranges: Vec::new() });
        (start, length) = (end, (length * 2).min(LARGEST));
    }
    segments
}

/// The segments of a file with a base: where both are archives the ranges follow the
/// members, those of the same path, else of the same content; elsewhere the same places.
///
/// # Errors
/// Where one of them can't be read.
pub fn plan(new: &Bytes<'_>, base: &Bytes<'_>) -> io::Result<Vec<Segment>> {
    let pieces = pieces(new, base)?;
    let (mut segments, mut index, mut start) = (Vec::new(), 0, 0);
    while start < new.size {
        let most = new.size.min(start + LARGEST);
        let (mut end, mut ranges) = (start, Vec::new());
        while end < most {
            let piece = &pieces[index];
            let to = most.min(piece.end);
            let Some(joined) = joined(&ranges, piece.part(end, to)) else { break };
            (end, ranges) = (to, joined);
            index += usize::from(end == piece.end);
        }
        let aligned = end - end % ALIGNMENT;
        if end < new.size && aligned > start {
            end = aligned;
            while index == pieces.len() || pieces[index].start > end {
                index -= 1;
            }
        }
        segments.push(Segment { start, end, ranges });
        start = end;
    }
    Ok(segments)
}

/// A piece of the new file, and what it is of the base.
struct Piece {
    start: u64,
    end: u64,
    base: Range,
}

impl Piece {
    /// What is to be looked at for this part of it.
    fn part(&self, from: u64, to: u64) -> Range {
        let (begins, ends) = (from == self.start, to == self.end);
        let first = if begins { 0 } else { (from - self.start).saturating_sub(AROUND) };
        let last = if ends { self.base.length } else { to - self.start + AROUND };
        let first = first.min(self.base.length);
        // Little is not looked for in much: else a few bytes of new members, where the base has
        // megabytes each, would cost the reading of them at every tentacle.
        let most = to - from + 2 * AROUND.min(4 * (to - from));
        let length = last.min(self.base.length).saturating_sub(first).min(most);
        Range { offset: self.base.offset + first, length }
    }
}

/// The pieces of the new file, without a gap between them.
fn pieces(new: &Bytes<'_>, base: &Bytes<'_>) -> io::Result<Vec<Piece>> {
    let (news, bases) = (members(new)?, members(base)?);
    let mut pieces = Vec::new();
    if !bases.is_empty() {
        let counterparts = counterparts(new, &news, base, &bases)?;
        for (member, counterpart) in news.iter().zip(counterparts) {
            let of_base =
                |found: &Member| Range { offset: found.start, length: found.end - found.start };
            let base = counterpart.map_or(Range { offset: 0, length: 0 }, |at| of_base(&bases[at]));
            pieces.push(Piece { start: member.start, end: member.end, base });
        }
    }
    let start = pieces.last().map_or(0, |piece: &Piece| piece.end);
    if start < new.size {
        // What is behind the last member, or all of what is no archive.
        let offset = match pieces.is_empty() {
            true => 0,
            false => bases.last().map_or(0, |last| last.end),
        };
        let base = Range { offset, length: base.size.saturating_sub(offset) };
        pieces.push(Piece { start, end: new.size, base });
    }
    Ok(pieces)
}

/// For each member its counterpart: of the same path, else of the same content.
fn counterparts(
    new: &Bytes<'_>,
    news: &[Member],
    base: &Bytes<'_>,
    bases: &[Member],
) -> io::Result<Vec<Option<usize>>> {
    let of_path: HashMap<u64, usize> =
        bases.iter().enumerate().map(|(at, member)| (member.path, at)).collect();
    let mut of_length: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, member) in bases.iter().enumerate().filter(|(_, member)| member.length > 0) {
        of_length.entry(member.length).or_default().push(at);
    }
    let mut of_content: HashMap<(u64, u64), usize> = HashMap::new();
    let mut found = Vec::new();
    for member in news {
        let mut same = of_path.get(&member.path).copied();
        if same.is_none() && member.length > 0 {
            // Read only where somebody asks for this length.
            for at in of_length.remove(&member.length).unwrap_or_default() {
                of_content.insert((member.length, bases[at].beginning(base)?), at);
            }
            same = of_content.get(&(member.length, member.beginning(new)?)).copied();
        }
        found.push(same);
    }
    Ok(found)
}

/// These ranges and one more, in their order; `None` where that is more than a segment may
/// have.
fn joined(ranges: &[Range], more: Range) -> Option<Vec<Range>> {
    let mut all = ranges.to_vec();
    if more.length > 0 {
        let at = all.partition_point(|range| range.offset <= more.offset);
        all.insert(at, more);
        all.dedup_by(|next, before| {
            let near = next.offset <= before.end().saturating_add(GAP);
            if near {
                before.length = before.end().max(next.end()) - before.offset;
            }
            near
        });
    }
    let sum: u64 = all.iter().map(|range| range.length).sum();
    (all.len() <= MOST_RANGES && sum <= LARGEST_PREFIX).then_some(all)
}
