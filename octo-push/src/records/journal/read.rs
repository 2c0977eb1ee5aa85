//! The journal's questions: all of it, one run, the last run, the audit heads.
//! Most of what is asked is near its end, so most of them read backwards.

use super::backwards::Backwards;
use super::entry::{Chain, Entry, LONGEST};
use super::file::Journal;
use jiff::{SignedDuration, Timestamp};
use octo_core::base::appended::{self, Access};
use octo_core::base::error::{Error, Result};
use octo_core::base::names::JobId;
use octo_core::tentacle::audit::Head;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// A job's lines are younger than its id, but for clocks that differ or are set:
/// by no more than this.
const SLACK: SignedDuration = SignedDuration::from_hours(24);

/// A head that a tentacle gave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedHead {
    pub(crate) chain: Chain,
    pub(crate) head: Head,
    pub(crate) time: Timestamp,
}

impl Journal {
    /// Hands all lines to `each`, oldest first, until it says false; returns how
    /// many lines could not be read, torn by a crash. No file has no lines.
    pub(crate) fn all(&self, each: &mut dyn FnMut(Entry) -> bool) -> Result<u64> {
        let failed = |e: std::io::Error| Error::io(&self.path, &e);
        let Some((file, size)) = self.open()? else { return Ok(0) };
        let mut reader = BufReader::with_capacity(128 * 1024, file.take(size));
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
                    if !each(entry) {
                        return Ok(torn);
                    }
                }
            }
        }
    }

    /// Hands the lines of a run or a job to `each`, newest first.
    pub(crate) fn of(&self, id: &JobId, each: &mut dyn FnMut(Entry)) -> Result<()> {
        let earliest = time_of(id).and_then(|time| time.checked_sub(SLACK).ok());
        let mut found = false;
        self.backwards(&mut |line| {
            let text = std::str::from_utf8(line).unwrap_or("");
            // Parsing takes long; most lines don't name the id.
            if !text.contains(id.as_str()) {
                // An id whose time is made up may be older or younger than its lines:
                // where nothing was found yet, all of the file is looked at.
                return !(found && is_before(text, earliest));
            }
            if let Some(entry) = Entry::parse(line)
                && (entry.run == *id || entry.job.as_ref() == Some(id))
            {
                found = true;
                each(entry);
            }
            true
        })
    }

    /// The run of the last line that is meant.
    pub(crate) fn last_run(&self, is_meant: &dyn Fn(&Entry) -> bool) -> Result<Option<JobId>> {
        let mut last = None;
        self.backwards(&mut |line| {
            last = Entry::parse(line).filter(is_meant).map(|entry| entry.run);
            last.is_none()
        })?;
        Ok(last)
    }

    /// The heads that these targets gave out, newest first: of each of a target's logs
    /// back to the last that was proved, that one included, and at most `limit`.
    /// Where all of them are proved, nothing was rewritten in between.
    pub(crate) fn heads(
        &self,
        targets: &[&str],
        limit: usize,
    ) -> Result<HashMap<String, Vec<RecordedHead>>> {
        let mut heads: HashMap<String, Vec<RecordedHead>> = HashMap::new();
        let all: HashSet<&str> = targets.iter().copied().collect();
        let mut open = Chain::ALL.map(|chain| (chain, all.clone()));
        self.backwards(&mut |line| {
            let Some(entry) = Entry::parse(line) else { return true };
            let proved = entry.verb == "audit" && entry.succeeded();
            for (chain, open) in &mut open {
                let Some(head) = entry.head(*chain) else { continue };
                if !open.contains(entry.target.as_str()) {
                    continue;
                }
                let of_target = heads.entry(entry.target.clone()).or_default();
                let mut of_chain = of_target.iter().filter(|recorded| recorded.chain == *chain);
                let (count, last) = (of_chain.clone().count(), of_chain.next_back());
                let is_new = last.is_none_or(|last| last.head != head || proved);
                if is_new {
                    of_target.push(RecordedHead { chain: *chain, head, time: entry.time });
                }
                if proved || count + usize::from(is_new) >= limit {
                    open.remove(entry.target.as_str());
                }
            }
            open.iter().any(|(_, open)| !open.is_empty())
        })?;
        Ok(heads)
    }

    /// Hands the lines to `each`, newest first, until it says false.
    fn backwards(&self, each: &mut dyn FnMut(&[u8]) -> bool) -> Result<()> {
        let Some((file, size)) = self.open()? else { return Ok(()) };
        let mut lines = Backwards::new(&file, size);
        while let Some(line) = lines.next().map_err(|e| Error::io(&self.path, &e))? {
            if !each(&line) {
                break;
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<Option<(File, u64)>> {
        let Some(file) = appended::open(&self.path, Access::Read)? else { return Ok(None) };
        let size = file.metadata().map_err(|e| Error::io(&self.path, &e))?.len();
        Ok(Some((file, size)))
    }
}

/// When the id's maker claims to have made it.
fn time_of(id: &JobId) -> Option<Timestamp> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", id.time()).ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp())
}

/// Was this line written before that time? A torn line says nothing.
fn is_before(line: &str, earliest: Option<Timestamp>) -> bool {
    let Some(earliest) = earliest else { return false };
    let time = line.split(' ').next().and_then(|time| time.parse::<Timestamp>().ok());
    time.is_some_and(|time| time < earliest)
}
