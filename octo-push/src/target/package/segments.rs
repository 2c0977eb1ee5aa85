//! A package in segments: each behind ranges of a base, or compressed by itself. Made when
//! the first target needs it, and kept for all others.

use crate::target::package::source::Source;
use octo_core::patch::{Segment, encode, longest_frame, plain, plan, read_ranges, room};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// A frame that is longer than so many eighths of its segment is not worth it.
const WORTH: usize = 7;

/// How long compressing a byte takes, in seconds, before it was tried.
const PACE: f64 = 4e-9;

/// After so many frames in vain in a row, twice as many segments go as they are, and so on.
const MOST_PASSED_OVER: u32 = 64;

/// Held while a segment is made: that takes 33 MiB, and for a fleet with several bases, or
/// with several packages, would be many times that.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// All segments of one package behind one base, or behind none.
#[derive(Debug)]
pub(super) struct Segments {
    base: Option<Source>,
    plan: Vec<Segment>,
    making: Mutex<Making>,
    /// Where the frames are: a file without a name in this directory.
    frames: OnceLock<File>,
    directory: PathBuf,
}

/// What was made so far.
#[derive(Debug)]
struct Making {
    /// One a segment, once that was looked at.
    made: Vec<Option<Made>>,
    /// How much is in the file.
    length: u64,
    /// How many segments are passed over now, and how many after the next frame in vain.
    passing: u32,
    pass: u32,
    /// Seconds a byte.
    pace: f64,
}

/// How a segment is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// As it is.
    Stored,
    /// As the frame that stands there in the file.
    Frame {
        /// Where it begins.
        at: u64,
        /// How long it is; 0 where all of it is copies.
        length: u64,
    },
}

impl Segments {
    /// Those of this package behind this base.
    ///
    /// # Errors
    /// Where one of them can't be read.
    pub(super) fn behind(source: &Source, base: Source, state: &Path) -> io::Result<Segments> {
        let of_new = |buffer: &mut [u8], at| source.fill(buffer, at);
        let of_base = |buffer: &mut [u8], at| base.fill(buffer, at);
        let plan = plan(&source.bytes(&of_new), &base.bytes(&of_base))?;
        Ok(Segments::of(plan, Some(base), state))
    }

    /// Those of this package by itself.
    pub(super) fn alone(source: &Source, state: &Path) -> Segments {
        Segments::of(plain(source.size()), None, state)
    }

    fn of(plan: Vec<Segment>, base: Option<Source>, state: &Path) -> Segments {
        let made = vec![None; plan.len()];
        let making = Making { made, length: 0, passing: 0, pass: 1, pace: PACE };
        let directory = state.to_path_buf();
        Segments { base, plan, making: Mutex::new(making), frames: OnceLock::new(), directory }
    }

    /// Is there a base? Then a frame is worth making whatever the link is.
    pub(super) fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// The segment in which this byte is, by its number.
    pub(super) fn index_of(&self, at: u64) -> usize {
        self.plan.partition_point(|segment| segment.end <= at)
    }

    pub(super) fn segment(&self, index: usize) -> &Segment {
        &self.plan[index]
    }

    /// One was not made, since compressing seemed slower than the link: a processor that was
    /// busy then may not be so for ever.
    pub(super) fn passed(&self) {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        making.pace = PACE.max(making.pace / 2.0);
    }

    /// The last end of a segment up to there; but the end of this one at least.
    pub(super) fn end_before(&self, at: u64, index: usize) -> u64 {
        let behind = self.plan.partition_point(|segment| segment.end <= at);
        self.plan[behind.saturating_sub(1).max(index)].end
    }

    /// How long compressing a byte takes, in seconds.
    pub(super) fn pace(&self) -> f64 {
        self.making.lock().unwrap_or_else(PoisonError::into_inner).pace
    }

    /// How to send a segment. Where making it fails it is sent as it is: who sends it will
    /// say what is wrong with the file.
    pub(super) fn made(&self, source: &Source, index: usize) -> Made {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = making.made[index] {
            return made;
        }
        let segment = &self.plan[index];
        // What came before says nothing of what a base has: 8 MiB that didn't change must not
        // go because others did.
        let is_told = segment.ranges.is_empty() && segment.copies.is_empty();
        let made = match making.passing.checked_sub(1).filter(|_| is_told) {
            Some(left) => {
                making.passing = left;
                Made::Stored
            }
            None => self.make(source, segment, &mut making).unwrap_or(Made::Stored),
        };
        making.made[index] = Some(made);
        made
    }

    fn make(&self, source: &Source, segment: &Segment, making: &mut Making) -> io::Result<Made> {
        let own = segment.own();
        if own.is_empty() {
            // Needs no file: where none can be made, what didn't change still isn't sent.
            return Ok(Made::Frame { at: making.length, length: 0 });
        }
        let frames = match self.frames.get() {
            Some(frames) => frames,
            None => {
                // Not in /tmp, if it can be elsewhere: that may be memory.
                let made = tempfile::tempfile_in(&self.directory);
                let made = made.or_else(|_| tempfile::tempfile())?;
                self.frames.get_or_init(|| made)
            }
        };
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let mut room = room();
        let (bytes, rest) = room.split_at_mut(segment.own_length() as usize);
        let sum: u64 = segment.ranges.iter().map(|range| range.length).sum();
        let (prefix, rest) = rest.split_at_mut(sum as usize);
        // As it is a segment would be sent with its copies.
        let most = match segment.copies.is_empty() {
            true => bytes.len() / 8 * WORTH,
            false => longest_frame(bytes.len()),
        };
        let frame = &mut rest[..most];
        if let Some(base) = &self.base {
            read_ranges(prefix, &segment.ranges, |part, at| base.fill(part, at))?;
        }
        read_ranges(bytes, &own, |part, at| source.fill(part, at))?;
        let length = encode(prefix, bytes, frame)?;
        making.pace = began.elapsed().as_secs_f64() / bytes.len() as f64;
        let Some(length) = length else {
            (making.passing, making.pass) = (making.pass, MOST_PASSED_OVER.min(making.pass * 2));
            return Ok(Made::Stored);
        };
        making.pass = 1;
        let at = making.length;
        frames.write_all_at(&frame[..length], at)?;
        making.length += length as u64;
        Ok(Made::Frame { at, length: length as u64 })
    }

    /// Reads of a frame, from there on in the file.
    ///
    /// # Errors
    /// Where that fails.
    pub(super) fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let file = self.frames.get().ok_or(io::ErrorKind::NotFound)?;
        file.read_exact_at(buffer, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_all_copies_needs_no_file() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = |name: &str| top.path().join(name).to_str().expect("a path").to_string();
        let open = |name: &str, bytes: &[u8]| {
            std::fs::write(path(name), bytes).expect("written");
            Source::open(&path(name)).expect("a source")
        };
        let bytes = vec![b'x'; 3 << 20];
        let (base, same) = (open("base", &bytes), open("same", &bytes));
        let more = open("more", &[&bytes[..], b"more"].concat());
        let segments = Segments::behind(&same, base, top.path()).expect("a plan");
        assert_eq!(segments.made(&same, 0), Made::Frame { at: 0, length: 0 });
        assert!(segments.frames.get().is_none());
        let segments = Segments::behind(&more, same, top.path()).expect("a plan");
        assert!(matches!(segments.made(&more, 0), Made::Frame { at: 0, length: 1.. }));
        assert!(segments.frames.get().is_some());
    }
}
