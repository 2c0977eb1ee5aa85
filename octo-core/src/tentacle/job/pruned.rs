//! STATE/pruned: the ids of jobs that are gone and must not run again, a line each,
//! `ID FORGET`. A statement that holds no longer can't be taken up anew: a day behind
//! that its id may be forgotten.

use super::JobDirectory;
use crate::base::appended::{self, Access};
use crate::base::cli::utc;
use crate::base::error::{Error, Result};
use crate::base::names::JobId;
use crate::base::paths::{Places, if_there, read_bounded};
use crate::base::publish::{self, Readers};
use crate::tentacle::layout;
use crate::tentacle::statement::{MAXIMUM, Statement};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;

/// A job's id, a blank, a time in UTC, LF.
const LINE: usize = FORGET.end + 1;
const ID: usize = 29;
/// Of an id, the part that says when its maker made it.
const MADE: usize = 15;
/// Of a line, the time from which on its id may be forgotten.
const FORGET: Range<usize> = ID + 1..ID + 1 + 20;

/// How long behind its `until` an id is kept: clocks are set back.
pub(super) const BEYOND: SignedDuration = SignedDuration::from_hours(24);

/// How long one is kept that needed no statement: nobody repeats it over a network.
const BY_HAND: SignedDuration = SignedDuration::from_hours(366 * 24);

/// A clock that is so far ahead of the newest id is not believed: what it would forget,
/// statements that still hold could run again once it is set right.
const BELIEVED: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Ids that are read at once; a file that is larger is none of ours.
const LARGEST: u64 = 1 << 30;

/// Has a job of this id been pruned?
///
/// # Errors
/// Where STATE/pruned can't be read.
pub fn is_pruned(places: &Places, id: &JobId) -> Result<bool> {
    let path = places.pruned();
    let Some(mut file) = if_there(&path, File::open(&path))? else { return Ok(false) };
    // Read in pieces: the file grows with the jobs.
    let wanted = id.as_str().as_bytes();
    let mut buffer = vec![0; LINE * 1024];
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read(&mut buffer[filled..]).map_err(|e| Error::io(&path, &e))? {
                0 => break,
                count => filled += count,
            }
        }
        if buffer[..filled].chunks(LINE).any(|line| line.starts_with(wanted)) {
            return Ok(true);
        }
        if filled < buffer.len() {
            return Ok(false);
        }
    }
}

/// Remembers, before its directory goes, that a job ran and must not run again.
///
/// # Errors
/// Where STATE/pruned can't be written: then the job must stay.
pub fn mark_pruned(places: &Places, job: &JobDirectory) -> Result<()> {
    let path = places.pruned();
    let signed = job.read("request", MAXIMUM)?.and_then(|bytes| Statement::parse(&bytes));
    let forget = match signed {
        Some(statement) => statement.until.saturating_add(BEYOND),
        None => Timestamp::now().saturating_add(BY_HAND),
    };
    let forget = utc(forget.unwrap_or(Timestamp::MAX));
    layout::make(places)?;
    let _alone = layout::lock(places, "pruned")?;
    let mut file = appended::open_or_create(&path, Access::Append, readers(places))?;
    let mut append = || -> std::io::Result<()> {
        // A line torn by a crash would shift all that follow.
        let length = file.metadata()?.len();
        let torn = length % LINE as u64;
        if torn != 0 {
            file.set_len(length - torn)?;
        }
        file.write_all(format!("{} {forget}\n", job.id()).as_bytes())?;
        file.sync_all()
    };
    append().map_err(|e| Error::doing("append to", &path, &e))?;
    publish::sync_parent(&path)
}

/// Remembers ids that an older version had remembered, durably; says how many are new.
///
/// # Errors
/// As [`mark_pruned`]; then none of them is added.
pub fn remember_pruned(places: &Places, ids: &[JobId]) -> Result<usize> {
    let path = places.pruned();
    let forget = Timestamp::now().saturating_add(BY_HAND);
    let forget = utc(forget.unwrap_or(Timestamp::MAX));
    let _alone = layout::lock(places, "pruned")?;
    let mut bytes = match if_there(&path, File::open(&path))? {
        Some(mut file) => read_bounded(&mut file, &path, LARGEST)?,
        None => Vec::new(),
    };
    bytes.truncate(bytes.len() - bytes.len() % LINE);
    let known: HashSet<&[u8]> = bytes.chunks(LINE).map(|line| &line[..ID]).collect();
    let is_new = |id: &&JobId| !known.contains(id.as_str().as_bytes());
    let new: Vec<String> = ids.iter().filter(is_new).map(|id| format!("{id} {forget}\n")).collect();
    if !new.is_empty() {
        bytes.extend(new.concat().as_bytes());
        publish::replace(&path, &bytes, readers(places))?;
    }
    Ok(new.len())
}

/// Forgets the ids whose statements can't be taken up any more; says how many. None are
/// where the clock is far ahead of all of them.
///
/// # Errors
/// Where STATE/pruned can't be read or replaced; then all are kept.
pub fn forget_pruned(places: &Places, now: Timestamp) -> Result<usize> {
    let path = places.pruned();
    if !path.exists() {
        return Ok(0);
    }
    let _alone = layout::lock(places, "pruned")?;
    let Some(mut file) = if_there(&path, File::open(&path))? else { return Ok(0) };
    let bytes = read_bounded(&mut file, &path, LARGEST)?;
    // A line torn by a crash is none; whoever appends the next takes it away.
    let (lines, _torn) = bytes.as_chunks::<LINE>();
    // Times of one form are in the order of their bytes.
    let earliest = now.saturating_sub(BELIEVED).unwrap_or(Timestamp::MIN);
    let earliest = earliest.strftime("%Y%m%dT%H%M%S").to_string();
    if lines.iter().all(|line| &line[..MADE] < earliest.as_bytes()) {
        return Ok(0);
    }
    let now = utc(now);
    let is_kept = |line: &&[u8; LINE]| &line[FORGET] >= now.as_bytes();
    let kept: Vec<&[u8]> = lines.iter().filter(is_kept).map(|line| &line[..]).collect();
    let gone = lines.len() - kept.len();
    if gone > 0 {
        publish::replace(&path, &kept.concat(), readers(places))?;
    }
    Ok(gone)
}

fn readers(places: &Places) -> Readers {
    layout::readers(places, 0o640)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID_OF: &str = "20260101T000000-abcdefghijklm";
    const LATER: &str = "20260301T000000-abcdefghijklm";

    fn lines() -> String {
        format!("{ID_OF} 2026-01-02T01:00:00Z\n{LATER} 2026-03-02T01:00:00Z\n")
    }

    /// Of these bytes so many are forgotten at this time, and these ids are left.
    #[track_caller]
    fn forgotten(bytes: &[u8], now: &str, gone: usize, left: &[&str]) {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        layout::make(&places).expect("made");
        std::fs::write(places.pruned(), bytes).expect("write");
        let now = now.parse().expect("a time");
        assert_eq!(forget_pruned(&places, now).expect("forgotten"), gone);
        let is_left =
            |id: &&str| is_pruned(&places, &JobId::parse(id).expect("an id")).expect("readable");
        let found: Vec<&str> = [ID_OF, LATER].into_iter().filter(is_left).collect();
        assert_eq!(found, left);
    }

    #[test]
    fn a_torn_line_is_none_at_whatever_byte_it_broke() {
        let lines = lines();
        assert_eq!(lines.len(), 2 * LINE);
        for torn in 0..LINE {
            let bytes = &lines.as_bytes()[..LINE + torn];
            let left: &[&str] = if torn < ID { &[ID_OF] } else { &[ID_OF, LATER] };
            forgotten(bytes, "2026-01-01T12:00:00Z", 0, left);
        }
        let bytes = &lines.as_bytes()[..2 * LINE - 1];
        forgotten(bytes, "2026-02-01T00:00:00Z", 1, &[]);
    }

    #[test]
    fn a_clock_that_is_far_ahead_forgets_nothing() {
        let lines = lines();
        for (now, gone, left) in [
            ("2026-02-01T00:00:00Z", 1, &[LATER][..]),
            ("2027-03-01T00:00:00Z", 2, &[]),
            ("2027-03-03T00:00:00Z", 0, &[ID_OF, LATER]),
            ("2090-01-01T00:00:00Z", 0, &[ID_OF, LATER]),
        ] {
            forgotten(lines.as_bytes(), now, gone, left);
        }
        forgotten(b"", "2090-01-01T00:00:00Z", 0, &[]);
    }
}
