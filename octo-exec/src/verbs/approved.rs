//! The scripts that were approved last, by name: what a held job's is shown beside.

use octo_core::JobId;
use octo_core::base::error::Result;
use octo_core::base::paths::Places;
use octo_core::tentacle::approval::Approvals;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spec::{Script, Spec};
use std::collections::HashMap;
use std::path::PathBuf;

/// For each name of a script, the job in which it was approved last.
#[derive(Debug, Default)]
pub(super) struct Approved {
    /// When that was, which job, and where its script is.
    by_name: HashMap<String, (String, JobId, PathBuf)>,
}

impl Approved {
    /// Looks through all jobs, once.
    pub(super) fn read(places: &Places) -> Result<Approved> {
        let mut approved = Approved::default();
        for job in JobDirectory::all(places)? {
            let (Ok((spec, _)), Ok(Some(record))) = (job.spec(), job.record("approved")) else {
                continue;
            };
            let Some(path) = script_file(&job, &spec) else { continue };
            // By the time of the approval: the time in an id is its pusher's word.
            let given = Approvals::of(&record).and_then(|mut approvals| approvals.given.pop());
            let at = given.map(|last| last.at).unwrap_or_default();
            let new = (at, job.id().clone(), path);
            let last = approved.by_name.entry(spec.summary()).or_insert_with(|| new.clone());
            if *last < new {
                *last = new;
            }
        }
        Ok(approved)
    }

    /// The script of this name that was approved last, and the job that it was for.
    /// A held job is no such job.
    pub(super) fn last(&self, spec: &Spec) -> Option<(&JobId, &PathBuf)> {
        self.by_name.get(&spec.summary()).map(|(_, job, path)| (job, path))
    }
}

/// The script that was sent with a job.
pub(super) fn script_file(job: &JobDirectory, spec: &Spec) -> Option<PathBuf> {
    matches!(spec.script, Script::Sent { .. })
        .then(|| job.file("script"))
        .filter(|path| path.exists())
}
