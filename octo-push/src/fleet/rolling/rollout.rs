//! The way through a fleet, batch by batch: records, gates and pauses.

use crate::fleet::main_loop::Fleet;
use crate::fleet::rolling::batches::{Batches, Next, Verdict};
use crate::fleet::rolling::gate;
use crate::fleet::rolling::history::AssignedJob;
use crate::fleet::workers::Task;
use crate::output::node_set::fold;
use crate::records::end_files::EndFiles;
use crate::target::outcome::{Outcome, OutcomeKind};
use octo_core::base::error::Result;
use std::collections::HashSet;
use std::sync::Arc;

/// Tells of those that are known not to answer, which are over before anything begins.
///
/// # Errors
/// As [`EndFiles::begin`].
pub(crate) fn pass_over(
    fleet: &mut Fleet,
    never_asked: &[usize],
    files: &mut EndFiles,
) -> Result<()> {
    if never_asked.is_empty() {
        return Ok(());
    }
    let context = Arc::clone(&fleet.context);
    files.begin(&context.common, &context.targets)?;
    for target in never_asked {
        fleet.end(*target, Outcome::unreachable());
        files.ended(*target, &context.targets[*target], &fleet.outcomes[target]);
    }
    Ok(())
}

/// Goes through the batches; returns why where it stopped before the end.
///
/// # Errors
/// What goes wrong before the first target is asked.
pub(crate) fn roll(
    fleet: &mut Fleet,
    batches: &mut Batches,
    jobs: &[AssignedJob],
    task: &Arc<Task>,
    files: &mut EndFiles,
) -> Result<Option<String>> {
    loop {
        let batch = match batches.next() {
            Next::Batch(batch) => batch,
            Next::Finished => return Ok(None),
            Next::Stopped(reason) => return Ok(Some(reason)),
        };
        announce(fleet, &batch);
        if let Err(error) = fleet.begin(batch.iter().map(|t| (*t, jobs[*t].id.clone()))) {
            batches.put_back(batch);
            return if fleet.outcomes.is_empty() { Err(error) } else { Ok(Some(error.message)) };
        }
        if let Err(error) = files.begin(&fleet.context.common, &fleet.context.targets) {
            fleet.withdraw(&batch);
            return Err(error);
        }
        let begun = serve(fleet, batches, &batch, task, files)?;
        let rolling = &fleet.context.common.rolling;
        if fleet.is_interrupted() {
            let skipped = fleet.outcomes.values().any(|o| o.kind == OutcomeKind::Skipped);
            let open = fleet.left || skipped || !batches.pending().is_empty();
            return Ok((rolling.is_said() && open).then(|| "cancelled".to_string()));
        }
        files.batch_ended();
        if let Some(gate) = &rolling.gate {
            let names: Vec<&str> = begun.iter().map(|target| fleet.context.name(*target)).collect();
            if let Some(reason) = gate::objection(gate, &names) {
                return Ok(Some(reason));
            }
        }
        if !rolling.pause.is_zero() && !batches.pending().is_empty() {
            fleet.pause(rolling.pause);
            if fleet.is_interrupted() {
                return Ok(Some("cancelled".into()));
            }
        }
    }
}

/// Does a batch; returns those of its targets that were begun.
fn serve(
    fleet: &mut Fleet,
    batches: &mut Batches,
    batch: &[usize],
    task: &Arc<Task>,
    files: &mut EndFiles,
) -> Result<Vec<usize>> {
    let context = Arc::clone(&fleet.context);
    let held_back = fleet.serve(batch, task, &mut |target, outcome| {
        files.ended(target, &context.targets[target], outcome);
        batches.result(target, verdict(outcome));
        batches.within_budget()
    })?;
    fleet.withdraw(&held_back);
    let held: HashSet<&usize> = held_back.iter().collect();
    let begun = batch.iter().filter(|target| !held.contains(target)).copied().collect();
    batches.put_back(held_back);
    Ok(begun)
}

fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        _ if outcome.succeeded() => Verdict::Succeeded,
        _ if outcome.is_unreachable() => Verdict::Unreachable,
        _ => Verdict::Failed,
    }
}

fn announce(fleet: &mut Fleet, batch: &[usize]) {
    let common = &fleet.context.common;
    if common.rolling.is_said() && fleet.screen.is_talkative(common) {
        let names = fold(batch.iter().map(|target| fleet.context.name(*target)));
        fleet.screen.say(format!("batch: {names}"));
    }
}
