//! STATE/journal: what this octopus did, one line an action and target.
//!
//! Several octo-push append to it at once. It decides nothing, but it keeps
//! what the tentacles said last of their audit logs: neither side can then
//! rewrite its history unseen.

mod backwards;
mod entry;
#[cfg(test)]
mod tests;

pub(crate) use entry::Entry;

use backwards::Backwards;
use entry::LONGEST;
use jiff::{SignedDuration, Timestamp};
use octo_core::base::appended::{self, Access};
use octo_core::base::error::{Error, Result};
use octo_core::base::names::JobId;
use octo_core::base::paths::{Places, create_directory};
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::audit::Head;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Lines stand in the order of their times, but for a clock that is set back:
/// by no more than this.
const SLACK: SignedDuration = SignedDuration::from_hours(1);

/// The journal of one state directory. Threads share one.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

/// Which lines are meant; what is empty or `None` asks for nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Of these targets.
    pub(crate) targets: HashSet<String>,
    /// Of these verbs.
    pub(crate) verbs: HashSet<String>,
    /// Of this job.
    pub(crate) job: Option<JobId>,
    /// Of this invocation.
    pub(crate) run: Option<Run>,
    /// Not older than this.
    pub(crate) since: Option<Timestamp>,
    /// Of failures.
    pub(crate) failed: bool,
    /// The newest so many.
    pub(crate) newest: Option<usize>,
}

/// Which invocation is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Run {
    /// The last of which there is a line that the rest of the filter lets pass,
    /// `failed` and `newest` aside.
    Last,
    /// This one.
    Id(JobId),
}

/// A head that a tentacle gave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedHead {
    /// The head.
    pub(crate) head: Head,
    /// When.
    pub(crate) time: Timestamp,
    /// By whom, where that was seen.
    pub(crate) tentacle: Option<Thumbprint>,
    /// The tentacle's answer to an `audit` that succeeded.
    pub(crate) proved: bool,
}

impl Journal {
    /// The journal of this state directory; nothing is opened before it is needed.
    pub(crate) fn at(places: &Places) -> Journal {
        Journal { path: places.state.join("journal"), file: Mutex::new(None) }
    }

    /// Appends a line. It survives this process, and a power cut once
    /// [`Journal::sync`] has returned.
    ///
    /// # Errors
    /// Where it can't be written, naming the file.
    pub(crate) fn append(&self, entry: &Entry) -> Result<()> {
        let mut kept = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let file = match kept.take() {
                Some(file) => file,
                None => {
                    if let Some(state) = self.path.parent() {
                        create_directory(state, 0o711)?;
                    }
                    appended::open_or_create(&self.path, Access::Append, 0o600)?
                }
            };
            appended::lock(&file, &self.path, true)?;
            if appended::is_at(&file, &self.path)? {
                // Dropped, it is unlocked as well.
                self.write(&file, entry).map_err(|e| Error::doing("write", &self.path, &e))?;
                *kept = Some(file);
                return Ok(());
            }
        }
    }

    fn write(&self, mut file: &File, entry: &Entry) -> std::io::Result<()> {
        let size = file.metadata()?.len();
        let mut line = entry.encode();
        let mut last = [b'\n'];
        if size > 0 {
            file.read_exact_at(&mut last, size - 1)?;
        }
        if last != *b"\n" {
            line.insert(0, '\n');
        }
        if let Err(error) = file.write_all(line.as_bytes()) {
            // Half a line may be there.
            let _ = file.set_len(size);
            return Err(error);
        }
        file.unlock()
    }

    /// Brings what was appended to the disk: once for a whole run.
    ///
    /// # Errors
    /// Where that failed, naming the file.
    pub(crate) fn sync(&self) -> Result<()> {
        match &*self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => file.sync_data().map_err(|e| Error::doing("write", &self.path, &e)),
            None => Ok(()),
        }
    }

    /// Hands the lines that are meant to `each`, oldest first, until it says
    /// false; returns how many lines could not be read, torn by a crash.
    ///
    /// # Errors
    /// Where the file can't be read. One that isn't there has no lines.
    pub(crate) fn read(&self, filter: &Filter, each: &mut dyn FnMut(Entry) -> bool) -> Result<u64> {
        let failed = |e: std::io::Error| Error::io(&self.path, &e);
        let Some((mut file, size)) = self.open()? else { return Ok(0) };
        let Some((start, run)) = self.start(&file, size, filter)? else { return Ok(0) };
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        let mut reader = BufReader::with_capacity(128 * 1024, file.take(size - start));
        let (mut line, mut torn) = (Vec::new(), 0);
        loop {
            line.clear();
            let limited = (&mut reader).take(LONGEST as u64).read_until(b'\n', &mut line);
            if limited.map_err(failed)? == 0 {
                return Ok(torn);
            }
            if line.pop_if(|last| *last == b'\n').is_none() {
                reader.skip_until(b'\n').map_err(failed)?;
            }
            match Entry::parse(&line) {
                None => torn += 1,
                Some(entry) => {
                    let meant = run.as_ref().is_none_or(|run| entry.run == *run)
                        && filter.asks_for(&entry)
                        && (!filter.failed || entry.failed());
                    if meant && !each(entry) {
                        return Ok(torn);
                    }
                }
            }
        }
    }

    /// Where the first line that is meant begins at the earliest, and of which
    /// run it is.
    fn start(
        &self,
        file: &File,
        size: u64,
        filter: &Filter,
    ) -> Result<Option<(u64, Option<JobId>)>> {
        let mut run = match &filter.run {
            Some(Run::Id(id)) => Some(id.clone()),
            _ => None,
        };
        let last = filter.run == Some(Run::Last);
        if !last && filter.since.is_none() && filter.newest.is_none() {
            return Ok(Some((0, run)));
        }
        let mut since = filter.since;
        let (mut start, mut left) = (size, filter.newest.unwrap_or(usize::MAX));
        let mut lines = Backwards::new(file, size);
        while left > 0
            && let Some((offset, line)) = lines.next().map_err(|e| Error::io(&self.path, &e))?
        {
            let Some(entry) = Entry::parse(&line) else { continue };
            if since.is_some_and(|since| is_before(entry.time, since)) {
                break;
            }
            if !filter.asks_for(&entry) {
                continue;
            }
            if last && run.is_none() {
                // An invocation's lines are younger than its id, unless that is made up.
                since = since.max(time_of(&entry.run).filter(|time| *time <= entry.time));
                run = Some(entry.run.clone());
            }
            if run.as_ref().is_some_and(|run| entry.run != *run)
                || (filter.failed && !entry.failed())
            {
                continue;
            }
            start = offset;
            left -= 1;
        }
        Ok((!last || run.is_some()).then_some((start, run)))
    }

    /// The heads that these targets gave out, newest first: back to the last
    /// that was proved, that one included, and at most `limit` of each target.
    /// Whoever has them all proved knows that nothing was rewritten in between.
    ///
    /// # Errors
    /// As [`Journal::read`].
    pub(crate) fn heads(
        &self,
        targets: &[&str],
        limit: usize,
    ) -> Result<HashMap<String, Vec<RecordedHead>>> {
        let mut given: HashMap<String, Vec<RecordedHead>> = HashMap::new();
        let mut open: HashSet<&str> = targets.iter().copied().collect();
        let Some((file, size)) = self.open()? else { return Ok(given) };
        let mut lines = Backwards::new(&file, size);
        while !open.is_empty()
            && let Some((_, line)) = lines.next().map_err(|e| Error::io(&self.path, &e))?
        {
            let Some(entry) = Entry::parse(&line) else { continue };
            let (Some(head), true) = (entry.audit, open.contains(entry.target.as_str())) else {
                continue;
            };
            let proved = entry.verb == "audit" && entry.status == 0;
            let of_target = given.entry(entry.target.clone()).or_default();
            if of_target.last().is_none_or(|last| last.head != head || proved) {
                let (time, tentacle) = (entry.time, entry.tentacle);
                of_target.push(RecordedHead { head, time, tentacle, proved });
            }
            if proved || of_target.len() >= limit {
                open.remove(entry.target.as_str());
            }
        }
        Ok(given)
    }

    fn open(&self) -> Result<Option<(File, u64)>> {
        let Some(file) = appended::open(&self.path, Access::Read)? else { return Ok(None) };
        let size = file.metadata().map_err(|e| Error::io(&self.path, &e))?.len();
        Ok(Some((file, size)))
    }
}

impl Filter {
    /// All but `run`, `failed` and `newest`.
    fn asks_for(&self, entry: &Entry) -> bool {
        (self.targets.is_empty() || self.targets.contains(&entry.target))
            && (self.verbs.is_empty() || self.verbs.contains(&entry.verb))
            && self.job.as_ref().is_none_or(|job| entry.job.as_ref() == Some(job))
            && self.since.is_none_or(|since| entry.time >= since)
    }
}

fn is_before(time: Timestamp, since: Timestamp) -> bool {
    since.checked_sub(SLACK).is_ok_and(|since| time < since)
}

fn time_of(run: &JobId) -> Option<Timestamp> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", run.time()).ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp())
}
