//! The way through a fleet, batch by batch: records, gates and pauses.

use crate::fleet::main_loop::Fleet;
use crate::fleet::rolling::batches::{Batches, Next, Verdict};
use crate::fleet::rolling::gate;
use crate::fleet::rolling::history::AssignedJob;
use crate::fleet::rolling::hook::Hook;
use crate::fleet::workers::Task;
use crate::records::end_files::EndFiles;
use crate::target::outcome::{Outcome, OutcomeKind};
use octo_core::base::error::Result;
use octo_core::base::names::JobId;
use octo_core::targets::fold;
use std::collections::HashSet;
use std::sync::Arc;

/// A rollout, and what it goes by.
pub(crate) struct Rollout<'a, 'ends> {
    pub(crate) fleet: &'a mut Fleet,
    pub(crate) batches: &'a mut Batches,
    /// The job of each target.
    pub(crate) jobs: &'a [AssignedJob],
    pub(crate) task: &'a Arc<Task>,
    pub(crate) files: &'a mut EndFiles<'ends>,
}

impl Rollout<'_, '_> {
    /// Passes over those that are known not to answer, then goes through the batches;
    /// returns why where it stopped before the end.
    ///
    /// # Errors
    /// What goes wrong before the first target is asked.
    pub(crate) fn roll(mut self, never_asked: &[usize]) -> Result<Option<String>> {
        self.pass_over(never_asked)?;
        loop {
            let batch = match self.batches.next() {
                Next::Batch(batch) => batch,
                Next::Finished => return Ok(None),
                Next::Stopped(reason) => return Ok(Some(reason)),
            };
            self.announce(&batch);
            if let Some(reason) = self.around(&batch)? {
                return Ok(Some(reason));
            }
            let pause = self.fleet.context.common.rolling.pause;
            if !self.batches.pending().is_empty() {
                self.fleet.pause(pause);
            }
            if self.fleet.is_interrupted() {
                return Ok(self.cancelled());
            }
        }
    }

    fn pass_over(&mut self, never_asked: &[usize]) -> Result<()> {
        if never_asked.is_empty() {
            return Ok(());
        }
        let context = Arc::clone(&self.fleet.context);
        self.files.begin(&context.common, &context.targets, &[])?;
        for target in never_asked {
            let job = &self.jobs[*target];
            let outcome = Outcome::unreachable(job.in_doubt.then_some(&job.id));
            self.fleet.end(*target, outcome);
            self.files.ended(*target, &context.targets[*target], &self.fleet.outcomes[target]);
        }
        Ok(())
    }

    /// Does a batch between the commands around it; returns why the rollout stops with it,
    /// if it does. Whatever came of `--before` and the batch, there is an `--after`.
    fn around(&mut self, batch: &[usize]) -> Result<Option<String>> {
        let context = Arc::clone(&self.fleet.context);
        let rolling = &context.common.rolling;
        let names: Vec<&str> = batch.iter().map(|target| context.name(*target)).collect();
        let after = rolling.after.as_ref().map(|words| Hook::after(words, &names));
        let departure = Arc::clone(&self.fleet.departure);
        let mut stopped = Ok(None);
        // Owed before --before begins: it may have drained them when this process leaves.
        if let Some(hook) = after {
            departure.owes(hook);
        }
        if let Some(words) = &rolling.before {
            let went = Hook::before(words, &names)
                .run(&vec!["ahead"; names.len()], &mut |time| self.fleet.tick(time));
            if !went.began {
                departure.owes_nothing();
            }
            stopped = Ok(went.objection);
        }
        if self.fleet.is_interrupted() {
            stopped = Ok(Some("cancelled".into()));
        }
        match &stopped {
            Ok(None) => stopped = self.batch(batch),
            _ => self.batches.put_back(batch.to_vec()),
        }
        let states: Vec<&str> = batch.iter().map(|target| self.fleet.state(*target)).collect();
        let fleet = &mut *self.fleet;
        let objection = departure.settle(&states, &mut |time| {
            if fleet.tick(time) {
                fleet
                    .screen
                    .say("--after is not ended by a signal: it runs to its end, 10m at most");
            }
            false
        });
        match (stopped, objection) {
            (Ok(None), objection) => Ok(objection),
            (stopped, None) => stopped,
            (stopped, Some(objection)) => {
                // What stopped it first is the reason.
                self.fleet.screen.say(objection);
                stopped
            }
        }
    }

    /// Does a batch, and asks the gate; returns why the rollout stops with it, if it does.
    fn batch(&mut self, batch: &[usize]) -> Result<Option<String>> {
        let job = |target: &usize| (*target, self.jobs[*target].id.clone());
        let jobs: Vec<(usize, JobId)> = batch.iter().map(job).collect();
        if let Err(error) = self.begin(&jobs) {
            self.batches.put_back(batch.to_vec());
            return match self.fleet.outcomes.is_empty() {
                true => Err(error),
                false => Ok(Some(error.message)),
            };
        }
        let begun = self.serve(batch)?;
        if let Some(error) = self.fleet.context.unwritten().clone() {
            return Ok(Some(error.message));
        }
        if self.fleet.is_interrupted() {
            return Ok(self.cancelled());
        }
        self.files.batch_ended();
        let Some(gate) = &self.fleet.context.common.rolling.gate else { return Ok(None) };
        let names: Vec<&str> =
            begun.iter().map(|target| self.fleet.context.name(*target)).collect();
        Ok(gate::objection(gate, &names))
    }

    /// Writes down what is about to be asked for: whoever finds nothing of it may take it
    /// for granted that nothing was begun.
    fn begin(&mut self, jobs: &[(usize, JobId)]) -> Result<()> {
        let context = Arc::clone(&self.fleet.context);
        self.fleet.begin(jobs.iter().cloned())?;
        let begun = self.files.begin(&context.common, &context.targets, jobs);
        if begun.is_err() {
            let batch: Vec<usize> = jobs.iter().map(|(target, _)| *target).collect();
            self.withdraw(&batch);
        }
        begun
    }

    fn withdraw(&mut self, targets: &[usize]) {
        self.fleet.withdraw(targets);
        self.files.withdraw(&self.fleet.context.targets, targets);
    }

    /// Serves a batch; returns those of its targets that were begun.
    fn serve(&mut self, batch: &[usize]) -> Result<Vec<usize>> {
        let context = Arc::clone(&self.fleet.context);
        let (files, batches) = (&mut *self.files, &mut *self.batches);
        let held_back = self.fleet.serve(batch, self.task, &mut |target, outcome| {
            files.ended(target, &context.targets[target], outcome);
            batches.result(target, verdict(outcome));
            batches.within_budget()
        })?;
        self.withdraw(&held_back);
        let held: HashSet<&usize> = held_back.iter().collect();
        let begun = batch.iter().filter(|target| !held.contains(target)).copied().collect();
        self.batches.put_back(held_back);
        Ok(begun)
    }

    /// What is said where a signal ended it, if anything was left to do.
    fn cancelled(&self) -> Option<String> {
        let skipped = self.fleet.outcomes.values().any(|o| o.kind == OutcomeKind::Skipped);
        let open = self.fleet.left || skipped || !self.batches.pending().is_empty();
        let is_said = self.fleet.context.common.rolling.is_said();
        (is_said && open).then(|| "cancelled".to_string())
    }

    fn announce(&mut self, batch: &[usize]) {
        let fleet = &mut *self.fleet;
        let common = &fleet.context.common;
        if common.rolling.is_said() && fleet.screen.is_talkative(common) {
            let names = fold(batch.iter().map(|target| fleet.context.name(*target)));
            fleet.screen.say(format!("batch: {names}"));
        }
    }
}

fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        _ if outcome.succeeded() => Verdict::Succeeded,
        _ if outcome.is_unreachable() => Verdict::Unreachable,
        _ => Verdict::Failed,
    }
}
