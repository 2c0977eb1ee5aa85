//! Which segments a file is sent in, and which ranges of a base each of them has.

use super::copies::{Copied, Same, same};
use super::members::{Bytes, MOST, Member, members};
use super::{LARGEST_COPIES, LARGEST_PREFIX, LARGEST_SEGMENT, MOST_RANGES, Range};
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

/// A frame of more is not made longer by what stands behind a copy: what breaks off within one is
/// sent again from its beginning.
const ENOUGH: u64 = 1 << 20;

/// A segment of output, and what it is made of besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Of its base, in their order there; none where there is no base.
    pub ranges: Vec<Range>,
    /// What of it is in the base as it is, in its own order.
    pub copies: Vec<Copied>,
}

impl Segment {
    fn empty(start: u64) -> Segment {
        Segment { start, end: start, ranges: Vec::new(), copies: Vec::new() }
    }

    /// Which bytes of the file its frame has: those that are no copies.
    pub fn own(&self) -> Vec<Range> {
        let (mut own, mut at) = (Vec::new(), self.start);
        for copied in &self.copies {
            own.push(Range { offset: at, length: copied.after });
            at += copied.after + copied.range.length;
        }
        own.push(Range { offset: at, length: self.end - at });
        own.retain(|range| range.length > 0);
        own
    }

    /// How many these are.
    pub fn own_length(&self) -> u64 {
        self.end - self.start - self.copied()
    }

    fn copied(&self) -> u64 {
        self.copies.iter().map(|copied| copied.range.length).sum()
    }

    /// How many of them stand behind the last copy.
    fn behind(&self) -> u64 {
        self.own_length() - self.copies.iter().map(|copied| copied.after).sum::<u64>()
    }

    /// Goes on with what the base has, as far as there is room.
    fn copy(&mut self, same: &Same) -> bool {
        let room = LARGEST_COPIES - self.copied();
        let (offset, length) = (same.offset + self.end - same.start, same.end - self.end);
        if self.copies.len() == MOST_RANGES || room == 0 || self.own_length() >= ENOUGH {
            return false;
        }
        let range = Range { offset, length: length.min(room) };
        self.copies.push(Copied { after: self.behind(), range });
        self.end += range.length;
        true
    }

    /// Goes on with its own bytes up to there, behind a range of the base.
    fn add(&mut self, end: u64, range: Range) -> bool {
        let Some(joined) = joined(&self.ranges, range) else { return false };
        (self.end, self.ranges) = (end, joined);
        true
    }

    /// Ends where a disk likes it.
    fn align(&mut self) {
        let aligned = self.end - self.end % ALIGNMENT;
        if aligned <= self.start {
            return;
        }
        let mut behind = self.behind();
        while let Some(last) = self.copies.last_mut()
            && self.end - aligned > behind
        {
            // Its end is that of the segment now.
            self.end -= behind;
            let less = last.range.length.min(self.end - aligned);
            last.range.length -= less;
            self.end -= less;
            behind = 0;
            if last.range.length == 0 {
                behind = last.after;
                self.copies.pop();
            }
        }
        self.end = aligned;
        if self.own_length() == 0 {
            self.ranges.clear();
        }
    }
}

/// The segments of a file of so many bytes without a base: small at first, so that it is
/// known soon how fast the link is.
pub fn plain(size: u64) -> Vec<Segment> {
    let mut segments = Vec::new();
    let (mut start, mut length) = (0, LARGEST / 32);
    while start < size {
        let end = size.min(start + length);
        segments.push(Segment { end, ..Segment::empty(start) });
        (start, length) = (end, (length * 2).min(LARGEST));
    }
    segments
}

/// The segments of a file with a base. What is the same for long is copied; else where both are
/// archives the ranges follow the members, those of the same path, else of the same content;
/// elsewhere the same places.
///
/// # Errors
/// Where one of them can't be read.
pub fn plan(new: &Bytes<'_>, base: &Bytes<'_>) -> io::Result<Vec<Segment>> {
    plan_by(new, base, MOST)
}

/// The same, by so many members of each.
pub(super) fn plan_by(new: &Bytes<'_>, base: &Bytes<'_>, most: usize) -> io::Result<Vec<Segment>> {
    let pieces = pieces(new, base, most)?;
    let same = same(new, base, pieces.iter().map(Piece::counterpart))?;
    let pieces = between(&same, &pieces);
    let (mut segments, mut at) = (Vec::new(), 0);
    while at < new.size {
        let mut segment = Segment::empty(at);
        while segment.end < new.size && goes_on(&mut segment, &pieces, &same) {}
        if segment.end < new.size {
            segment.align();
        }
        at = segment.end;
        segments.push(segment);
    }
    Ok(segments)
}

/// Gives a segment what comes next; false where it has no room for that.
fn goes_on(segment: &mut Segment, pieces: &[Piece], same: &[Same]) -> bool {
    let at = segment.end;
    let next = same.partition_point(|same| same.end <= at);
    if let Some(same) = same.get(next).filter(|same| same.start <= at) {
        return segment.copy(same);
    }
    let piece = &pieces[pieces.partition_point(|piece| piece.end <= at)];
    let end = piece.end.min(at + LARGEST - segment.own_length());
    end > at && segment.add(end, piece.part(at, end))
}

/// A piece of the new file, and what it is of the base.
struct Piece {
    start: u64,
    end: u64,
    base: Range,
}

impl Piece {
    /// Where it begins, and what of the base may be the same.
    fn counterpart(&self) -> (u64, Range) {
        let length = self.base.length.min(self.end - self.start);
        (self.start, Range { length, ..self.base })
    }

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
fn pieces(new: &Bytes<'_>, base: &Bytes<'_>, most: usize) -> io::Result<Vec<Piece>> {
    let (news, bases) = (members(new, most)?, members(base, most)?);
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
        let offset = match pieces.last() {
            None => 0,
            // More members: as many as are new among the others moved them.
            Some(last) if news.len() == most && last.base.length > 0 => last.base.end(),
            Some(_) => bases.last().map_or(0, |last| last.end),
        };
        let base = Range { offset, length: base.size.saturating_sub(offset) };
        pieces.push(Piece { start, end: new.size, base });
    }
    Ok(pieces)
}

/// What of the pieces lies between stretches that are the same, and between theirs in the base.
fn between(same: &[Same], pieces: &[Piece]) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut add = |(start, offset): (u64, u64), end: u64, of_base: u64| {
        let base = Range { offset, length: of_base.saturating_sub(offset) };
        found.extend((end > start).then_some(Piece { start, end, base }));
    };
    for piece in pieces {
        let mut from = (piece.start, piece.base.offset);
        let first = same.partition_point(|same| same.end <= piece.start);
        for same in same[first..].iter().take_while(|same| same.start < piece.end) {
            let (start, end) = (same.start.max(piece.start), same.end.min(piece.end));
            let in_base = |at: u64| same.offset + (at - same.start);
            add(from, start, in_base(start));
            from = (end, in_base(end));
        }
        add(from, piece.end, piece.base.end());
    }
    found
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
