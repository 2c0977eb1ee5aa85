//! The journal's questions: all of it, one run, the last run.
//! Most of what is asked is near its end, so most of them read backwards.

use super::ahead;
use super::backwards::Backwards;
use super::entry::{Entry, LONGEST};
use super::file::Journal;
use jiff::Timestamp;
use octo_core::base::appended::{self, Access};
use octo_core::base::error::{Error, Result};
use octo_core::base::names::JobId;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Take};
use std::path::Path;

/// Clocks are set: of a few lines that claim to be older nothing follows, of so many in a
/// row it does.
const IN_A_ROW: usize = 256;

impl Journal {
    /// Hands all lines to `each`, oldest first, until it says false; returns how
    /// many lines could not be read, torn by a crash. No file has no lines.
    pub(crate) fn all(&self, each: &mut dyn FnMut(Entry) -> bool) -> Result<u64> {
        let Some(mut lines) = self.lines()? else { return Ok(0) };
        while let Some(entry) = lines.next()? {
            if !each(entry) {
                break;
            }
        }
        Ok(lines.torn)
    }

    /// What is there now, oldest first; `None` where there is no file.
    pub(super) fn lines(&self) -> Result<Option<Lines<'_>>> {
        let Some((file, size)) = self.open()? else { return Ok(None) };
        let reader = BufReader::with_capacity(128 * 1024, file.take(size));
        Ok(Some(Lines { path: &self.path, reader, line: Vec::new(), torn: 0 }))
    }

    /// Hands the lines of a run or a job to `each`, newest first. Those that are older
    /// than its id are not read: however long the journal is, of a new id that is its end.
    pub(crate) fn of(&self, id: &JobId, each: &mut dyn FnMut(Entry)) -> Result<()> {
        // An id of a time to come is older than it claims, and so may others be that were.
        let earliest = match self.has_ids_ahead() || ahead::is_ahead(id, Timestamp::now()) {
            true => None,
            false => ahead::time_of(id).and_then(|time| time.checked_sub(ahead::SLACK).ok()),
        };
        let mut older = 0;
        self.backwards(&mut |line| {
            let text = std::str::from_utf8(line).unwrap_or("");
            // Parsing takes long; most lines don't name the id.
            if !text.contains(id.as_str()) {
                older = if is_before(text, earliest) { older + 1 } else { 0 };
                return older < IN_A_ROW;
            }
            older = 0;
            if let Some(entry) = Entry::parse(line)
                && (entry.run == *id || entry.job.as_ref() == Some(id))
            {
                each(entry);
            }
            true
        })
    }

    /// The run of the last line of one of these verbs that is meant.
    pub(crate) fn last_run(
        &self,
        verbs: &[&str],
        is_meant: &dyn Fn(&Entry) -> bool,
    ) -> Result<Option<JobId>> {
        let mut last = None;
        self.backwards(&mut |line| {
            // Parsing takes long; there may be a million questions of a monitor.
            let verb = line.split(|b| *b == b' ').nth(1).unwrap_or_default();
            if verbs.iter().any(|wanted| verb == wanted.as_bytes()) {
                last = Entry::parse(line).filter(is_meant).map(|entry| entry.run);
            }
            last.is_none()
        })?;
        Ok(last)
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

/// The lines of a journal, one after the other.
pub(super) struct Lines<'a> {
    path: &'a Path,
    reader: BufReader<Take<File>>,
    line: Vec<u8>,
    /// So many could not be read until now.
    pub(super) torn: u64,
}

impl Lines<'_> {
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        let failed = |e: std::io::Error| Error::io(self.path, &e);
        loop {
            self.line.clear();
            let mut limited = (&mut self.reader).take(LONGEST as u64);
            if limited.read_until(b'\n', &mut self.line).map_err(failed)? == 0 {
                return Ok(None);
            }
            if self.line.pop_if(|last| *last == b'\n').is_none() {
                self.reader.skip_until(b'\n').map_err(failed)?;
            }
            match Entry::parse(&self.line) {
                Some(entry) => return Ok(Some(entry)),
                None => self.torn += 1,
            }
        }
    }
}

/// Was this line written before that time? A torn line says nothing.
fn is_before(line: &str, earliest: Option<Timestamp>) -> bool {
    let Some(earliest) = earliest else { return false };
    let time = line.split(' ').next().and_then(|time| time.parse::<Timestamp>().ok());
    time.is_some_and(|time| time < earliest)
}
