//! What earlier calls left behind for this one: which targets are done, which
//! failed, and which job each of them is to be asked for now.

use crate::cli::options::Common;
use crate::fleet::rolling::batches::InitialState;
use crate::records::results::{RunRecord, TargetRecord, TargetResult};
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::JobId;
use octo_core::targets::{Target, names_file, read_names};
use std::collections::{HashMap, HashSet};

/// The records that a run begins with.
#[derive(Debug)]
pub(crate) struct History {
    /// Of the run that is repeated or continued.
    this: RunRecord,
    /// Of the last run of any id.
    last: RunRecord,
}

/// The job that a target is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AssignedJob {
    pub(crate) id: JobId,
    /// It may have been accepted before: if the target doesn't answer now, that
    /// nothing ran can't be said.
    pub(crate) in_doubt: bool,
}

impl History {
    /// Reads the records: of an id that was said, since a new one has none, and of
    /// the last run, if this is a rollout.
    ///
    /// # Errors
    /// Exit 74, where the journal can't be read.
    pub(crate) fn read(
        common: &Common,
        said: Option<&JobId>,
        last: Option<&JobId>,
    ) -> Result<History> {
        let read = |id: Option<&JobId>| match id {
            Some(id) => RunRecord::read(&common.places, id),
            None => Ok(RunRecord::default()),
        };
        let last = last.filter(|_| common.rolling.is_said());
        Ok(History { this: read(said)?, last: read(last)? })
    }

    /// What a rollout over these targets begins with.
    ///
    /// # Errors
    /// Exit 65 where none of them is the canary, or one that can't be reached is none of
    /// them.
    pub(crate) fn initial_state(
        &self,
        common: &Common,
        targets: &[Target],
    ) -> Result<InitialState> {
        let rolling = &common.rolling;
        if !rolling.is_said() {
            return Ok(InitialState::default());
        }
        let canaries = match &rolling.canary {
            Some(canary) => canaries(canary, targets)?,
            None => HashSet::new(),
        };
        let failed_in = if self.this.has_results() { &self.this } else { &self.last };
        Ok(InitialState {
            canaries,
            failed: with_result(failed_in, TargetResult::Failed, targets),
            done: with_result(&self.this, TargetResult::Succeeded, targets),
            unreachable: unreachable(&rolling.unreachable, targets)?,
        })
    }

    /// The job of each target, in the targets' order.
    pub(crate) fn jobs(&self, id: &JobId, common: &Common, targets: &[Target]) -> Vec<AssignedJob> {
        let assigned = |target: &Target| {
            let name = target.name.as_str();
            let record = self.this.target(name);
            let retry = record.filter(|_| common.rolling.is_said());
            let job = retry.and_then(|record| retried(id, name, record));
            let job = job.unwrap_or_else(|| id.clone());
            let in_doubt = record.is_some_and(|record| record.may_have_run(&job));
            AssignedJob { id: job, in_doubt }
        };
        targets.iter().map(assigned).collect()
    }
}

/// In a continued rollout a target that failed needs a new id, or it would be
/// told of its old failure; the new one follows from the old, so that an
/// octo-push that was killed in between repeats nothing.
fn retried(id: &JobId, name: &str, record: &TargetRecord) -> Option<JobId> {
    match record.result? {
        TargetResult::Succeeded => None,
        TargetResult::Unknown => record.job.clone(),
        TargetResult::Failed => {
            let seed = format!("retry {id} {name} {}", record.failures);
            JobId::derive(id.time(), seed.as_bytes())
        }
    }
}

fn with_result(record: &RunRecord, result: TargetResult, targets: &[Target]) -> HashSet<usize> {
    let is_meant = |target: &Target| {
        record.target(target.name.as_str()).is_some_and(|t| t.result == Some(result))
    };
    places(targets, &is_meant)
}

fn canaries(canary: &str, targets: &[Target]) -> Result<HashSet<usize>> {
    let is_meant = |target: &Target| {
        target.name.as_str() == canary || target.tags.iter().any(|tag| tag.as_str() == canary)
    };
    let canaries = places(targets, &is_meant);
    if canaries.is_empty() {
        let shown = printable(canary.as_bytes());
        return Err(Error::new(Exit::Data, shown, "none of the selected targets is this canary"));
    }
    Ok(canaries)
}

fn unreachable(said: &[String], targets: &[Target]) -> Result<HashSet<usize>> {
    let places = targets.iter().enumerate().map(|(index, target)| (target.name.as_str(), index));
    let places: HashMap<&str, usize> = places.collect();
    let place = |name: &str| {
        places.get(name).copied().ok_or_else(|| {
            let shown = format!("--unreachable {}", printable(name.as_bytes()));
            Error::new(Exit::Data, shown, "is none of the selected targets")
        })
    };
    let mut unreachable = HashSet::new();
    for name in said {
        match names_file(name) {
            None => drop(unreachable.insert(place(name)?)),
            Some(file) => {
                for name in read_names(file)? {
                    unreachable.insert(place(&name)?);
                }
            }
        }
    }
    Ok(unreachable)
}

fn places(targets: &[Target], are_meant: &dyn Fn(&Target) -> bool) -> HashSet<usize> {
    targets.iter().enumerate().filter(|(_, t)| are_meant(t)).map(|(index, _)| index).collect()
}
