//! STATE/pruned: the ids of jobs that are gone and must not run again, a line each,
//! `ID FORGET`, in a file for each day of which ids claim to be: whether a new one was
//! pruned is asked of its day alone. A statement that holds no longer can't be taken up
//! anew: a day behind that its id may be forgotten.

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
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A job's id, a blank, a time in UTC, LF.
const LINE: usize = FORGET.end + 1;
const ID: usize = 29;
/// Of an id, the day of which it claims to be.
const DAY: usize = 8;
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

/// The file for ids of this one's day.
fn file_of(places: &Places, id: &JobId) -> PathBuf {
    places.pruned().join(&id.time()[..DAY])
}

/// All files, each with its day.
fn files(places: &Places) -> Result<Vec<PathBuf>> {
    let path = places.pruned();
    let entries = if_there(&path, std::fs::read_dir(&path))?;
    let mut files = Vec::new();
    for entry in entries.into_iter().flatten() {
        let entry = entry.map_err(|e| Error::io(&path, &e))?;
        let name = entry.file_name();
        if name.len() == DAY && name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    match if_there(path, File::open(path))? {
        Some(mut file) => read_bounded(&mut file, path, LARGEST),
        None => Ok(Vec::new()),
    }
}

/// Has a job of this id been pruned?
///
/// # Errors
/// Where STATE/pruned can't be read.
pub fn is_pruned(places: &Places, id: &JobId) -> Result<bool> {
    let path = file_of(places, id);
    let Some(mut file) = if_there(&path, File::open(&path))? else { return Ok(false) };
    // Read in pieces: whoever makes ids may make all of one day.
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
    let path = file_of(places, job.id());
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
/// As [`mark_pruned`]; then not all of them are added.
pub fn remember_pruned(places: &Places, ids: &[JobId]) -> Result<usize> {
    let forget = Timestamp::now().saturating_add(BY_HAND);
    let forget = utc(forget.unwrap_or(Timestamp::MAX));
    let _alone = layout::lock(places, "pruned")?;
    let mut days: BTreeMap<PathBuf, Vec<&JobId>> = BTreeMap::new();
    for id in ids {
        days.entry(file_of(places, id)).or_default().push(id);
    }
    let mut count = 0;
    for (path, ids) in days {
        let mut bytes = read(&path)?;
        bytes.truncate(bytes.len() - bytes.len() % LINE);
        let known: HashSet<&[u8]> = bytes.chunks(LINE).map(|line| &line[..ID]).collect();
        let is_new = |id: &&&JobId| !known.contains(id.as_str().as_bytes());
        let new = ids.iter().filter(is_new).map(|id| format!("{id} {forget}\n"));
        let new: Vec<String> = new.collect();
        if !new.is_empty() {
            bytes.extend(new.concat().as_bytes());
            publish::replace(&path, &bytes, readers(places))?;
        }
        count += new.len();
    }
    Ok(count)
}

/// Forgets the ids whose statements can't be taken up any more; says how many. None are
/// where the clock is far ahead of all of them.
///
/// # Errors
/// Where STATE/pruned can't be read or replaced; what is not forgotten yet is kept.
pub fn forget_pruned(places: &Places, now: Timestamp) -> Result<usize> {
    let files = files(places)?;
    // Days of one form are in the order of their bytes.
    let earliest = now.saturating_sub(BELIEVED).unwrap_or(Timestamp::MIN);
    let earliest = earliest.strftime("%Y%m%dT%H%M%S").to_string();
    if files.is_empty() {
        return Ok(0);
    }
    let _alone = layout::lock(places, "pruned")?;
    let mut is_believed = false;
    let is_late = |path: &&PathBuf| {
        path.file_name().is_some_and(|day| day.as_encoded_bytes() >= &earliest.as_bytes()[..DAY])
    };
    for path in files.iter().filter(is_late) {
        // A line torn by a crash is none; whoever appends the next takes it away.
        let bytes = read(path)?;
        let lines = bytes.as_chunks::<LINE>().0;
        is_believed |= lines.iter().any(|line| &line[..MADE] >= earliest.as_bytes());
    }
    if !is_believed {
        return Ok(0);
    }
    let now = utc(now);
    let mut gone = 0;
    for path in files {
        gone += forget_in(places, &path, &now)?;
    }
    Ok(gone)
}

/// The same of one day, for the holder of the lock.
fn forget_in(places: &Places, path: &Path, now: &str) -> Result<usize> {
    let bytes = read(path)?;
    let (lines, _torn) = bytes.as_chunks::<LINE>();
    let is_kept = |line: &&[u8; LINE]| &line[FORGET] >= now.as_bytes();
    let kept: Vec<&[u8]> = lines.iter().filter(is_kept).map(|line| &line[..]).collect();
    match lines.len() - kept.len() {
        0 => {}
        // A power cut may bring it back: it is forgotten once more.
        _ if kept.is_empty() => drop(if_there(path, std::fs::remove_file(path))?),
        _ => publish::replace(path, &kept.concat(), readers(places))?,
    }
    Ok(lines.len() - kept.len())
}

fn readers(places: &Places) -> Readers {
    layout::readers(places, 0o640)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID_OF: &str = "20260101T000000-abcdefghijklm";
    const LATER: &str = "20260301T000000-abcdefghijklm";

    /// Of the same day as the first.
    const BESIDE: &str = "20260101T010000-abcdefghijklm";

    fn line(id: &str, forget: &str) -> String {
        format!("{id} {forget}\n")
    }

    /// Of these bytes so many are forgotten at this time, and these ids are left.
    #[track_caller]
    fn forgotten(days: [&[u8]; 2], now: &str, gone: usize, left: &[&str]) {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        layout::make(&places).expect("made");
        for (id, bytes) in [ID_OF, LATER].iter().zip(days) {
            let id = JobId::parse(id).expect("an id");
            std::fs::write(file_of(&places, &id), bytes).expect("write");
        }
        let now = now.parse().expect("a time");
        assert_eq!(forget_pruned(&places, now).expect("forgotten"), gone);
        let is_left =
            |id: &&str| is_pruned(&places, &JobId::parse(id).expect("an id")).expect("readable");
        let found: Vec<&str> = [ID_OF, BESIDE, LATER].into_iter().filter(is_left).collect();
        assert_eq!(found, left);
    }

    #[test]
    fn a_torn_line_is_none_at_whatever_byte_it_broke() {
        let lines = [line(ID_OF, "2026-01-02T01:00:00Z"), line(BESIDE, "2026-03-02T01:00:00Z")];
        let lines = lines.concat();
        assert_eq!(lines.len(), 2 * LINE);
        for torn in 0..LINE {
            let bytes = &lines.as_bytes()[..LINE + torn];
            let left: &[&str] = if torn < ID { &[ID_OF] } else { &[ID_OF, BESIDE] };
            forgotten([bytes, b""], "2026-01-01T12:00:00Z", 0, left);
        }
        let bytes = &lines.as_bytes()[..2 * LINE - 1];
        forgotten([bytes, b""], "2026-02-01T00:00:00Z", 1, &[]);
    }

    #[test]
    fn a_clock_that_is_far_ahead_forgets_nothing() {
        let first = line(ID_OF, "2026-01-02T01:00:00Z");
        let later = line(LATER, "2026-03-02T01:00:00Z");
        for (now, gone, left) in [
            ("2026-02-01T00:00:00Z", 1, &[LATER][..]),
            ("2027-03-01T00:00:00Z", 2, &[]),
            ("2027-03-03T00:00:00Z", 0, &[ID_OF, LATER]),
            ("2090-01-01T00:00:00Z", 0, &[ID_OF, LATER]),
        ] {
            forgotten([first.as_bytes(), later.as_bytes()], now, gone, left);
        }
        forgotten([b"", b""], "2090-01-01T00:00:00Z", 0, &[]);
    }

    /// Of years of ids, the day of the one that is asked for is read, and no other.
    #[test]
    fn one_day_alone_is_looked_at() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        layout::make(&places).expect("made");
        let id = |text| JobId::parse(text).expect("an id");
        // What can't be read would be an error.
        std::fs::create_dir(file_of(&places, &id(LATER))).expect("mkdir");
        let first = line(ID_OF, "2026-01-02T01:00:00Z");
        std::fs::write(file_of(&places, &id(ID_OF)), first).expect("write");
        assert!(is_pruned(&places, &id(ID_OF)).expect("read"));
        assert!(!is_pruned(&places, &id(BESIDE)).expect("read"));
        assert!(is_pruned(&places, &id(LATER)).is_err());
    }
}
