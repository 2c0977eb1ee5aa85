//! `--end` and `--outputs`: what came of a job, in files for scripts to read.
//!
//! What begins says so before it begins: whoever finds no record may take it for granted
//! that nothing was begun, also where octo-push was killed.

use crate::cli::options::Common;
use crate::cli::run::Ends;
use crate::target::outcome::{Outcome, OutcomeKind};
use octo_core::base::error::{Error, Result};
use octo_core::base::names::JobId;
use octo_core::base::result_file;
use octo_core::targets::{Target, TargetsFile};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Nobody else is to read what a script handed back.
const MODE: u32 = 0o600;

/// A file name with `%n` as this target's name.
pub(crate) fn named(pattern: &str, target: &Target) -> PathBuf {
    PathBuf::from(pattern.replace("%n", target.name.as_str()))
}

/// Before anything is begun: could these files, and that of `--record`, be
/// written? Nothing is touched: the run may still be refused.
///
/// # Errors
/// Exit 64 where several targets need several files, or where a file is named by
/// two options, `inputs` being those that are read; 73 with what is in the way.
pub(crate) fn check<'a>(
    common: &Common,
    ends: &Ends,
    inputs: impl IntoIterator<Item = (&'static str, &'a str)>,
    targets: &[Target],
) -> Result<()> {
    for (option, file) in [("--outputs", &ends.outputs), ("-o", &ends.output)] {
        if let Some(file) = file
            && targets.len() > 1
            && !file.contains("%n")
        {
            return Err(Error::usage(format!("{option} {file}: several targets need %n in it"))
                .hint(format!("{option} 'out.%n' gives each target its own file")));
        }
    }
    let inputs = inputs.into_iter().map(|(option, file)| (option, Some(file.to_string())));
    let inputs = inputs.flat_map(|(option, file)| of_option(option, &file, targets));
    let results = [("--end", &ends.end), ("--outputs", &ends.outputs), ("-o", &ends.output)];
    let results = results.into_iter().flat_map(|(o, file)| of_option(o, file, targets));
    check_files(common, inputs, results)?;
    for path in files(&[&ends.end, &ends.outputs], targets) {
        result_file::check(&path)?;
    }
    for path in files(&[&ends.output], targets) {
        result_file::check_opened(&path)?;
    }
    Ok(())
}

/// There is no target at all: no file of an older run is taken for this one's.
///
/// # Errors
/// As [`check`] and [`EndFiles::begin`].
pub(crate) fn of_nobody(common: &Common, ends: &Ends) -> Result<()> {
    check(common, ends, [], &[])?;
    EndFiles::new(ends).begin(common, &[], &[])
}

/// The same of `--record`, and of files that a verb of its own reads and makes:
/// none is one that every call reads.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_files<'a>(
    common: &Common,
    inputs: impl IntoIterator<Item = (&'a str, PathBuf)>,
    results: impl IntoIterator<Item = (&'a str, PathBuf)>,
) -> Result<()> {
    let identity = match &common.identity {
        Some(file) => ("--identity", file.clone()),
        None => ("CONFIG/identity.pem", common.places.identity()),
    };
    let targets = match &common.targets {
        Some(TargetsFile::Path(file)) => ("--targets", file.clone()),
        _ => ("CONFIG/targets", common.places.targets()),
    };
    let own = [identity, targets];
    let record = common.record.iter().map(|file| ("--record", file.clone()));
    result_file::check_apart(inputs.into_iter().chain(own), results.into_iter().chain(record))?;
    common.record.as_deref().map_or(Ok(()), result_file::check_opened)
}

/// Right before the first target is asked: makes sure that the file of `--record`
/// can be made.
///
/// # Errors
/// Exit 73.
pub(crate) fn begin_record(common: &Common) -> Result<()> {
    result_file::try_opened(common.record.as_slice())
}

fn of_option<'a>(
    option: &'a str,
    pattern: &Option<String>,
    targets: &[Target],
) -> impl Iterator<Item = (&'a str, PathBuf)> + use<'a> {
    files(&[pattern], targets).into_iter().map(move |path| (option, path))
}

fn files(patterns: &[&Option<String>], targets: &[Target]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for pattern in patterns.iter().copied().flatten() {
        if pattern.contains("%n") {
            files.extend(targets.iter().map(|target| named(pattern, target)));
        } else {
            files.push(PathBuf::from(pattern));
        }
    }
    files
}

/// Writes the files, each as soon as its target is over: a gate reads them.
#[derive(Debug)]
pub(crate) struct EndFiles<'a> {
    ends: &'a Ends,
    begun: bool,
    written: BTreeSet<usize>,
    /// A file without `%n` has the records of all targets; it grows by batches.
    shared: String,
    /// Has it grown since it was written?
    grown: bool,
    failed: Option<Error>,
}

impl<'a> EndFiles<'a> {
    /// What these options ask for; see [`check`].
    pub(crate) fn new(ends: &'a Ends) -> EndFiles<'a> {
        EndFiles {
            ends,
            begun: false,
            written: BTreeSet::new(),
            shared: String::new(),
            grown: false,
            failed: None,
        }
    }

    /// Right before these jobs are asked for, when nothing can refuse them any more: they
    /// have records that their end is unknown, as durable as the journal's lines. Before
    /// the first of them, files of an older run go, which must not be taken for this one's.
    ///
    /// # Errors
    /// As [`result_file::begin`], where no file is touched, and
    /// [`result_file::write_together`].
    pub(crate) fn begin(
        &mut self,
        common: &Common,
        targets: &[Target],
        jobs: &[(usize, JobId)],
    ) -> Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            // These are emptied as their targets begin.
            result_file::try_opened(&files(&[&self.ends.output], targets))?;
            begin_record(common)?;
            result_file::begin(&files(&[&self.ends.end, &self.ends.outputs], targets))?;
        }
        let Some(pattern) = self.ends.end.as_deref().filter(|_| !jobs.is_empty()) else {
            return Ok(());
        };
        let record = |(index, job): &(usize, JobId)| {
            let target = &targets[*index];
            (named(pattern, target), Outcome::begun(job).record(target.name.as_str()).encode())
        };
        let records = jobs.iter().map(record);
        let files = if pattern.contains("%n") {
            records.map(|(path, text)| (path, text.into_bytes())).collect()
        } else {
            self.grown = true;
            let records: String = records.map(|(_, text)| text).collect();
            vec![(PathBuf::from(pattern), [self.shared.as_str(), &records].concat().into_bytes())]
        };
        result_file::write_together(files, MODE)
    }

    /// These targets were not asked after all; one file of all is brought up to date by
    /// [`EndFiles::batch_ended`].
    pub(crate) fn withdraw(&mut self, targets: &[Target], withdrawn: &[usize]) {
        let Some(pattern) = self.ends.end.as_deref().filter(|end| end.contains("%n")) else {
            return;
        };
        for path in withdrawn.iter().map(|index| named(pattern, &targets[*index])) {
            if result_file::is_replaced(&path)
                && let Err(error) = std::fs::remove_file(&path)
                && error.kind() != ErrorKind::NotFound
            {
                self.failed.get_or_insert(Error::doing("remove", &path, &error));
            }
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
        if let Err(error) = result_file::write(path, self.shared.as_bytes(), MODE) {
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
            && let Some(values) = &outcome.outputs
        {
            result_file::write(&named(pattern, target), values, MODE)?;
        }
        let Some(pattern) = &self.ends.end else { return Ok(()) };
        let record = outcome.record(target.name.as_str()).encode();
        if !pattern.contains("%n") {
            self.shared.push_str(&record);
            self.grown = true;
            return Ok(());
        }
        result_file::write(&named(pattern, target), record.as_bytes(), MODE)
    }
}
