//! `--end` and `--outputs`: what came of a job, in files for scripts to read.

use crate::cli::run::Ends;
use crate::target::outcome::{Outcome, OutcomeKind};
use octo_core::base::error::{Error, Result};
use octo_core::base::publish;
use octo_core::targets::Target;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file name with `%n` as this target's name.
pub(crate) fn named(pattern: &str, target: &Target) -> PathBuf {
    PathBuf::from(pattern.replace("%n", target.name.as_str()))
}

/// Before it begins: several targets need several files, and a file of an older
/// run must not be taken for this one's.
///
/// # Errors
/// Exit 64 without `%n`; 74 where an old file can't be removed.
pub(crate) fn prepare(ends: &Ends, targets: &[Target]) -> Result<()> {
    for (option, file) in [("--outputs", &ends.outputs), ("-o", &ends.output)] {
        if let Some(file) = file
            && targets.len() > 1
            && !file.contains("%n")
        {
            return Err(Error::usage(format!("{option} {file}: several targets need %n in it"))
                .hint(format!("{option} 'out.%n' gives each target its own file")));
        }
    }
    for pattern in [&ends.end, &ends.outputs].into_iter().flatten() {
        for target in targets {
            remove(&named(pattern, target))?;
        }
    }
    Ok(())
}

/// Before even the options are understood: a command line that is refused leaves
/// no older proof either. With `%n` in it, it is known too late which files.
///
/// # Errors
/// 74 where an old file can't be removed.
pub(crate) fn forget(files: &[Option<String>]) -> Result<()> {
    files.iter().flatten().filter(|file| !file.contains("%n")).try_for_each(|f| remove(f.as_ref()))
}

fn remove(path: &Path) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    std::fs::remove_file(path).map_err(|error| Error::doing("remove", path, &error))
}

/// Writes the files, each as soon as its target is over: a gate reads them.
#[derive(Debug)]
pub(crate) struct EndFiles<'a> {
    ends: &'a Ends,
    written: BTreeSet<usize>,
    /// A file without `%n` has the records of all targets; it grows by batches.
    shared: String,
    /// Has it grown since it was written?
    grown: bool,
    failed: Option<Error>,
}

impl<'a> EndFiles<'a> {
    /// What these options ask for; see [`prepare`].
    pub(crate) fn new(ends: &'a Ends) -> EndFiles<'a> {
        EndFiles {
            ends,
            written: BTreeSet::new(),
            shared: String::new(),
            grown: false,
            failed: None,
        }
    }

    /// This target is over. An error is kept for [`EndFiles::finish`]: the other
    /// targets go on.
    pub(crate) fn ended(&mut self, index: usize, target: &Target, outcome: &Outcome) {
        if self.written.insert(index)
            && let Err(error) = self.write(target, outcome)
        {
            self.failed.get_or_insert(error);
        }
    }

    /// A batch is over: what one file has of all targets is brought up to date.
    pub(crate) fn batch_ended(&mut self) {
        let Some(path) = self.ends.end.as_deref().filter(|_| self.grown).map(Path::new) else {
            return;
        };
        self.grown = false;
        if let Err(error) = put(path, self.shared.as_bytes()) {
            self.failed.get_or_insert(error);
        }
        // A pipe has taken them; they don't come twice.
        if !path.is_file() {
            self.shared.clear();
        }
    }

    /// All is over: the targets that were never begun, or left, have records too.
    ///
    /// # Errors
    /// Exit 73 or 74, the first of them; the jobs have ended all the same.
    pub(crate) fn finish(
        mut self,
        targets: &[Target],
        outcomes: &BTreeMap<usize, Outcome>,
    ) -> Result<()> {
        for (index, outcome) in outcomes {
            self.ended(*index, &targets[*index], outcome);
        }
        self.batch_ended();
        self.failed.map_or(Ok(()), Err)
    }

    /// The values before the record: who finds the record finds all of it.
    fn write(&mut self, target: &Target, outcome: &Outcome) -> Result<()> {
        if let Some(pattern) = &self.ends.outputs
            && matches!(outcome.kind, OutcomeKind::End(_))
        {
            put(&named(pattern, target), &outcome.outputs)?;
        }
        let Some(pattern) = &self.ends.end else { return Ok(()) };
        let record = outcome.record(target.name.as_str()).encode();
        if !pattern.contains("%n") {
            self.shared.push_str(&record);
            self.grown = true;
            return Ok(());
        }
        put(&named(pattern, target), record.as_bytes())
    }
}

/// A file appears whole; what is no file (a pipe, /dev/stderr) is written to.
fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.exists() && !path.is_file() {
        return OpenOptions::new()
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(|error| Error::io(path, &error));
    }
    publish::replace(path, bytes, 0o600)
}
