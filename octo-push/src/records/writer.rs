//! The lines that one call of octo-push writes into the journal.

use crate::records::journal::entry::{BEGUN, Entry, SKIPPED};
use crate::records::journal::file::Journal;
use crate::records::journal::labels::Labels;
use crate::target::outcome::Outcome;
use crate::target::package::upload::Package;
use octo_core::base::digest::Digest;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::names::JobId;
use octo_core::base::paths::Places;
use std::sync::Arc;

/// The journal, and what all lines of this call have in common.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    journal: Journal,
    verb: &'static str,
    run: JobId,
    who: String,
    packages: Vec<Arc<Package>>,
    labels: Labels,
}

impl JournalWriter {
    /// For one call; `run` is its job's id where it has a job.
    pub(crate) fn new(
        places: &Places,
        verb: &'static str,
        run: &JobId,
        who: &str,
        packages: Vec<Arc<Package>>,
    ) -> JournalWriter {
        let journal = Journal::at(places);
        let (run, who, labels) = (run.clone(), who.to_string(), Labels::default());
        JournalWriter { journal, verb, run, who, packages, labels }
    }

    /// The same, with these labels in each line.
    pub(crate) fn labelled(self, labels: Labels) -> JournalWriter {
        JournalWriter { labels, ..self }
    }

    /// Writes down which targets are about to be asked for which jobs. A job that is not on
    /// the disk must not be sent: [`JournalWriter::sync`] comes before.
    pub(crate) fn begin<'a>(
        &self,
        jobs: impl IntoIterator<Item = (&'a str, &'a JobId)>,
    ) -> Result<()> {
        let package = self.packages.first().and_then(|package| package.digest().ok());
        let begun = |(target, job): (&str, &JobId)| Entry {
            job: Some(job.clone()),
            package,
            ..self.entry(target, BEGUN)
        };
        self.journal.append(jobs.into_iter().map(begun))
    }

    /// Writes down how it went with a target, and with its job where it had one.
    pub(crate) fn end(&self, target: &str, job: Option<&JobId>, outcome: &Outcome) -> Result<()> {
        let (kind, code) = outcome.kind_and_code();
        let line = |package: Option<Digest>| Entry {
            tentacle: outcome.tentacle,
            job: job.cloned(),
            package,
            code: Some(code),
            status: Some(outcome.status),
            audit: outcome.audit,
            audit_exec: outcome.audit_exec,
            audit_fault: outcome.audit_fault(),
            ..self.entry(target, kind)
        };
        if self.packages.is_empty() {
            return self.journal.append([line(None)]);
        }
        self.journal.append(self.packages.iter().map(|package| line(package.digest().ok())))
    }

    /// Writes down that these targets were left out, without ever having been begun.
    pub(crate) fn pass_over<'a>(&self, targets: impl Iterator<Item = &'a str>) -> Result<()> {
        let status = Exit::Cancelled.code();
        self.journal.append(targets.map(|target| Entry {
            code: Some(status.into()),
            status: Some(status),
            ..self.entry(target, SKIPPED)
        }))
    }

    /// Brings it to the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.journal.sync()
    }

    fn entry(&self, target: &str, kind: &str) -> Entry {
        Entry {
            time: jiff::Timestamp::now(),
            verb: self.verb.to_string(),
            run: self.run.clone(),
            who: self.who.clone(),
            target: target.to_string(),
            tentacle: None,
            job: None,
            package: None,
            kind: kind.to_string(),
            code: None,
            status: None,
            audit: None,
            audit_exec: None,
            audit_fault: None,
            labels: self.labels.clone(),
        }
    }
}

/// An id of its own for a call or a job.
///
/// # Errors
/// Exit 74, where the kernel gives no random bytes.
pub(crate) fn new_id() -> Result<JobId> {
    JobId::generate().map_err(|error| Error::new(Exit::Io, "random bytes", describe(&error)))
}
