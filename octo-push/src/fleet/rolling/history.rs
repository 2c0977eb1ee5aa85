//! What earlier calls left behind for this one: which targets are done, which
//! failed, and which job each of them is to be asked for now.

use crate::cli::options::Common;
use crate::fleet::rolling::batches::InitialState;
use crate::fleet::select::terms_or_none;
use crate::records::results::{RunRecord, TargetRecord, TargetResult};
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::JobId;
use octo_core::targets::{NoSuch, Target, Vocabulary};
use std::collections::HashSet;

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
            Some(canary) => canaries(common, canary, targets)?,
            None => HashSet::new(),
        };
        let failed_in = if self.this.has_results() { &self.this } else { &self.last };
        Ok(InitialState {
            canaries,
            failed: with_result(failed_in, TargetResult::Failed, targets),
            done: with_result(&self.this, TargetResult::Succeeded, targets),
            unreachable: unreachable(common, targets)?,
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

fn canaries(common: &Common, canary: &str, targets: &[Target]) -> Result<HashSet<usize>> {
    let canaries = &common.rolling.canaries;
    let canaries = places(targets, &|target| canaries.contains(target.name.as_str()));
    if canaries.is_empty() {
        let shown = printable(canary.as_bytes());
        return Err(Error::new(Exit::Data, shown, "none of the selected targets is this canary"));
    }
    Ok(canaries)
}

fn unreachable(common: &Common, targets: &[Target]) -> Result<HashSet<usize>> {
    let no_such =
        NoSuch { before: "--unreachable ", reason: "is none of the selected targets", hint: None };
    let mut all = Vec::new();
    for said in &common.rolling.unreachable {
        all.extend(terms_or_none(&common.places, said)?);
    }
    let vocabulary = Vocabulary::of(targets);
    let union = vocabulary.union(&all, &no_such)?;
    Ok(places(targets, &|target| union.holds(target)))
}

fn places(targets: &[Target], are_meant: &dyn Fn(&Target) -> bool) -> HashSet<usize> {
    targets.iter().enumerate().filter(|(_, t)| are_meant(t)).map(|(index, _)| index).collect()
}
