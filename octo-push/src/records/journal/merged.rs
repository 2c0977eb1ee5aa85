//! Several journals as one: of pushers that each did a share of a fleet.

use super::entry::Entry;
use super::file::Journal;
use super::read::Lines;
use octo_core::base::error::{Error, Exit, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A journal among others, and its next line.
struct Source<'a> {
    directory: &'a Path,
    lines: Lines<'a>,
    next: Option<Entry>,
}

impl<'a> Source<'a> {
    /// Its next line, if there is one; the one behind it becomes the next.
    fn take(&mut self) -> Result<Option<(&'a Path, Entry)>> {
        let following = self.lines.next()?;
        let taken = std::mem::replace(&mut self.next, following);
        Ok(taken.map(|entry| (self.directory, entry)))
    }
}

/// Hands the lines of all these state directories to `each`, with the directory, the oldest
/// first, until it says false. What two of them hold, as copies of one journal do, comes once.
/// Returns how many lines of each could not be read.
///
/// # Errors
/// Exit 65 for a directory without a journal; where one can't be read.
pub(crate) fn merged(
    directories: &[PathBuf],
    each: &mut dyn FnMut(&Path, Entry) -> bool,
) -> Result<Vec<u64>> {
    let journals: Vec<Journal> = directories.iter().map(|one| Journal::of_directory(one)).collect();
    let mut sources = Vec::new();
    for (directory, journal) in directories.iter().zip(&journals) {
        let Some(mut lines) = journal.lines()? else {
            let error = Error::new(Exit::Data, directory.display(), "has no journal");
            return Err(error.hint("a STATE, or a copy of one: octo-push plumb places"));
        };
        let next = lines.next()?;
        sources.push(Source { directory, lines, next });
    }
    // Those of the second that is handed out now.
    let (mut handed, mut second) = (HashSet::new(), None);
    loop {
        let with_next = sources.iter_mut().filter(|source| source.next.is_some());
        let oldest = with_next.min_by_key(|source| source.next.as_ref().map(|entry| entry.time));
        let Some((directory, entry)) = oldest.map(Source::take).transpose()?.flatten() else {
            break;
        };
        // Copies of one journal go on together: several octo-push append to it, so that its times
        // may go back, and a second would come again.
        for copy in sources.iter_mut().filter(|source| source.next.as_ref() == Some(&entry)) {
            copy.take()?;
        }
        if second.replace(entry.time) != Some(entry.time) {
            handed.clear();
        }
        if handed.insert(entry.encode()) && !each(directory, entry) {
            break;
        }
    }
    Ok(sources.iter().map(|source| source.lines.torn).collect())
}
