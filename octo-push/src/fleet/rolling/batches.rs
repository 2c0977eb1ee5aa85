//! Through a fleet in batches: which targets are next, and when to stop. Pure
//! logic: it starts nothing and knows no clock.
//!
//! Sizes are Ansible's: `1,5,20%`, the last repeats, a percentage is of the
//! whole fleet, rounded down, one at least. A failure budget counts over the
//! whole fleet and must be exceeded; a batch that failed whole always stops. What can't be
//! reached is in the budget, and fails no batch: a fleet is never whole.

use crate::cli::rolling::Rolling;
use std::collections::{HashSet, VecDeque};

/// The batches of a rollout in progress.
#[derive(Debug)]
pub(crate) struct Batches {
    total: u64,
    /// Targets still to do, in order.
    pending: VecDeque<usize>,
    /// How many of the first ones are canaries: a batch of their own.
    canaries: usize,
    sizes: Vec<u64>,
    batches: usize,
    max_failures: Option<u64>,
    min_healthy: Option<u64>,
    /// Targets that are known not to be healthy: failed now, or before.
    unhealthy: HashSet<usize>,
    failures: u64,
    unreachable: u64,
    batch: Vec<usize>,
    /// Is it one of canaries, or would be if they could be reached?
    is_canary: bool,
    batch_successes: usize,
    batch_failures: usize,
}

/// What came of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Succeeded,
    Failed,
    /// Nothing ran: nobody answered there.
    Unreachable,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// These targets.
    Batch(Vec<usize>),
    /// Nothing: all are done.
    Finished,
    /// Nothing, and why.
    Stopped(String),
}

/// What is known of the targets at the beginning.
#[derive(Debug, Clone, Default)]
pub(crate) struct InitialState {
    /// Those that carry the canary tag.
    pub(crate) canaries: HashSet<usize>,
    /// Those that failed last time.
    pub(crate) failed: HashSet<usize>,
    /// Those that are done already, when a rollout is continued.
    pub(crate) done: HashSet<usize>,
    /// Those that are known not to answer: none of them is asked.
    pub(crate) unreachable: HashSet<usize>,
}

impl InitialState {
    /// Those that count as failed at once, in order; what was done before they went away
    /// stays done.
    pub(crate) fn never_asked(&self) -> Vec<usize> {
        let mut never: Vec<usize> = self.unreachable.difference(&self.done).copied().collect();
        never.sort_unstable();
        never
    }
}

impl Batches {
    /// A rollout over so many targets.
    pub(crate) fn new(total: usize, said: &Rolling, state: &InitialState) -> Batches {
        let is_asked = |t: &usize| !state.done.contains(t) && !state.unreachable.contains(t);
        let mut order: Vec<usize> = (0..total).filter(is_asked).collect();
        // Stable: within a class the file's order stays.
        order.sort_by_key(|t| {
            let failed_first = said.failed_first && state.failed.contains(t);
            (!state.canaries.contains(t), !failed_first)
        });
        let canaries = order.iter().filter(|t| state.canaries.contains(t)).count();
        // One that is done has been tried, also where it is down by now.
        let untried: HashSet<usize> = state.canaries.difference(&state.done).copied().collect();
        let is_canary = !untried.is_empty() && untried.is_subset(&state.unreachable);
        let whole = total as u64;
        let mut sizes: Vec<u64> = said.batches.iter().map(|s| s.at_most(whole).max(1)).collect();
        if sizes.is_empty() {
            sizes.push(whole.max(1));
        }
        // In batches the first failure stops; all at once there is nothing to stop.
        let max_failures = match said.max_failures {
            Some(budget) => Some(budget.at_most(whole)),
            None => said.is_said().then_some(0),
        };
        let min_healthy = said.min_healthy.map(|min| min.at_least(whole));
        let failed = state.failed.difference(&state.done);
        let unhealthy = failed.chain(&state.unreachable).copied().collect();
        Batches {
            total: whole,
            pending: order.into(),
            canaries,
            sizes,
            batches: 0,
            max_failures,
            min_healthy,
            unhealthy,
            failures: 0,
            unreachable: state.never_asked().len() as u64,
            batch: Vec::new(),
            is_canary,
            batch_successes: 0,
            batch_failures: 0,
        }
    }

    /// Takes the next batch; the one before must be over.
    pub(crate) fn next(&mut self) -> Next {
        if self.pending.is_empty() {
            return Next::Finished;
        }
        if let Some(reason) = self.stop_reason() {
            return Next::Stopped(reason);
        }
        let canary = self.canaries > 0;
        let wanted = if canary {
            self.canaries
        } else {
            let size = self.sizes[self.batches.min(self.sizes.len() - 1)];
            self.batches += 1;
            usize::try_from(size).unwrap_or(usize::MAX)
        };
        let batch = self.take(wanted);
        if batch.is_empty() {
            let least = self.min_healthy.unwrap_or(0);
            let (healthy, total) = (self.healthy(), self.total);
            let mut reason = format!("{healthy} of {total} are healthy, and {least} must stay so");
            if self.pending.iter().any(|target| self.unhealthy.contains(target)) {
                reason.push_str("; --failed-first begins with those that are not");
            }
            return Next::Stopped(reason);
        }
        if canary {
            // Where few may be down, the canaries take several batches of their own.
            self.canaries -= batch.len();
        }
        self.is_canary = canary;
        (self.batch_successes, self.batch_failures) = (0, 0);
        self.batch = batch.clone();
        Next::Batch(batch)
    }

    /// A target is over.
    pub(crate) fn result(&mut self, target: usize, verdict: Verdict) {
        match verdict {
            Verdict::Succeeded => {
                self.unhealthy.remove(&target);
                self.batch_successes += 1;
                return;
            }
            Verdict::Failed => {
                self.failures += 1;
                self.batch_failures += 1;
            }
            Verdict::Unreachable => self.unreachable += 1,
        }
        self.unhealthy.insert(target);
    }

    /// Targets of the batch were never begun: they are still to do, in this order.
    pub(crate) fn put_back(&mut self, targets: Vec<usize>) {
        let gone: HashSet<usize> = targets.iter().copied().collect();
        self.batch.retain(|target| !gone.contains(target));
        for target in targets.into_iter().rev() {
            self.pending.push_front(target);
        }
    }

    /// May further targets of the current batch be begun?
    pub(crate) fn within_budget(&self) -> bool {
        self.max_failures.is_none_or(|budget| self.failures + self.unreachable <= budget)
    }

    /// How many are still to do.
    pub(crate) fn pending(&self) -> &VecDeque<usize> {
        &self.pending
    }

    fn stop_reason(&self) -> Option<String> {
        if self.batch_failures > 0 && self.batch_successes == 0 {
            return Some(match self.batch_failures {
                1 => "the whole batch failed, a single target".into(),
                count => format!("the whole batch failed, {count} targets"),
            });
        }
        // Nobody has tried it for the others.
        if self.is_canary && self.batch_successes == 0 {
            return Some("no canary can be reached".into());
        }
        let budget = self.max_failures?;
        if self.failures + self.unreachable <= budget {
            return None;
        }
        let failed = match self.failures {
            0 => None,
            1 => Some("a target failed".to_string()),
            failures => Some(format!("{failures} targets failed")),
        };
        let unreachable = match self.unreachable {
            0 => None,
            1 => Some("a target can't be reached".to_string()),
            count => Some(format!("{count} targets can't be reached")),
        };
        let reasons: Vec<String> = failed.into_iter().chain(unreachable).collect();
        let allowed = if budget == 0 { String::new() } else { format!(", {budget} may") };
        Some(format!("{}{allowed}", reasons.join(" and ")))
    }

    /// What would have to be said otherwise for a rollout that stopped before its first
    /// batch to begin one.
    pub(crate) fn remedies(&self) -> Vec<String> {
        let mut remedies = Vec::new();
        if !self.within_budget() {
            remedies.push(format!("--max-failures {}", self.failures + self.unreachable));
        }
        let (healthy, least) = (self.healthy(), self.min_healthy.unwrap_or(0));
        let next = self.pending.front().filter(|target| !self.unhealthy.contains(target));
        if next.is_some() && healthy > 0 && healthy <= least {
            remedies.push(format!("--min-healthy {}", healthy - 1));
        }
        // Nothing else brings a canary.
        if self.is_canary { Vec::new() } else { remedies }
    }

    fn healthy(&self) -> u64 {
        self.total - (self.unhealthy.len() as u64).min(self.total)
    }

    /// Up to `wanted` of the next ones: a healthy one that is worked on counts
    /// as down until it is done.
    fn take(&mut self, wanted: usize) -> Vec<usize> {
        let mut spare = match self.min_healthy {
            Some(least) => self.healthy().saturating_sub(least),
            None => u64::MAX,
        };
        let mut batch = Vec::new();
        while batch.len() < wanted
            && let Some(target) = self.pending.front()
        {
            if !self.unhealthy.contains(target) {
                if spare == 0 {
                    break;
                }
                spare -= 1;
            }
            batch.extend(self.pending.pop_front());
        }
        batch
    }
}
