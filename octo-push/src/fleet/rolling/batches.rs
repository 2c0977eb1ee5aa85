//! Through a fleet in batches: which targets are next, and when to stop. Pure
//! logic: it starts nothing and knows no clock.
//!
//! Sizes are Ansible's: `1,5,20%`, the last repeats, a percentage is of the
//! whole fleet, rounded down, one at least. A failure budget counts over the
//! whole fleet and must be exceeded; a batch that failed whole always stops. What can't be
//! reached is in the budget, and fails no batch: a fleet is never whole.

use crate::cli::rolling::Rolling;
use octo_core::base::units::Share;
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
        let is_canary = !state.canaries.is_empty() && state.canaries.is_subset(&state.unreachable);
        let whole = total as u64;
        let mut sizes: Vec<u64> = said.batches.iter().map(|s| share(*s, whole).max(1)).collect();
        if sizes.is_empty() {
            sizes.push(whole.max(1));
        }
        // In batches the first failure stops; all at once there is nothing to stop.
        let max_failures = match said.max_failures {
            Some(budget) => Some(share(budget, whole)),
            None => said.is_said().then_some(0),
        };
        let min_healthy = said.min_healthy.map(|min| match min {
            Share::Count(count) => count,
            Share::Percent(percent) => (whole * percent).div_ceil(100),
        });
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

fn share(share: Share, whole: u64) -> u64 {
    match share {
        Share::Count(count) => count,
        Share::Percent(percent) => whole * percent / 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(batches: &str) -> Rolling {
        let batches = batches.split(',').filter(|s| !s.is_empty());
        Rolling {
            batches: batches.map(|s| Share::parse(s).expect("a share")).collect(),
            ..Rolling::default()
        }
    }

    /// Runs a rollout; the sizes of its batches, and how it ended.
    fn sizes(
        total: usize,
        said: &Rolling,
        state: &InitialState,
        failing: &[usize],
    ) -> (Vec<usize>, Next) {
        let mut batches = Batches::new(total, said, state);
        let mut sizes = Vec::new();
        loop {
            match batches.next() {
                Next::Batch(batch) => {
                    sizes.push(batch.len());
                    for target in batch {
                        let failed = failing.contains(&target);
                        let verdict = if failed { Verdict::Failed } else { Verdict::Succeeded };
                        batches.result(target, verdict);
                    }
                }
                end => return (sizes, end),
            }
        }
    }

    #[test]
    fn batch_lists() {
        for (total, list, expected) in [
            (10, "", vec![10]),
            (10, "3", vec![3, 3, 3, 1]),
            (10, "1,5,20%", vec![1, 5, 2, 2]),
            (3, "20%", vec![1, 1, 1]),
            (7, "50%", vec![3, 3, 1]),
            (10, "100%", vec![10]),
            (2, "5", vec![2]),
            (0, "5", vec![]),
        ] {
            let (sizes, end) = sizes(total, &said(list), &InitialState::default(), &[]);
            assert_eq!(sizes, expected, "{total} {list}");
            assert_eq!(end, Next::Finished);
        }
    }

    #[test]
    fn budgets_are_of_the_whole_fleet_and_must_be_exceeded() {
        for (budget, failing, expected, stopped) in [
            (None, vec![0], vec![2], true),
            (None, vec![], vec![2, 2, 2, 2, 2], false),
            (Some("1"), vec![0], vec![2, 2, 2, 2, 2], false),
            (Some("1"), vec![0, 3], vec![2, 2], true),
            (Some("20%"), vec![0, 3], vec![2, 2, 2, 2, 2], false),
            (Some("20%"), vec![0, 3, 4], vec![2, 2, 2], true),
            // A batch that failed whole stops, whatever the budget.
            (Some("100%"), vec![2, 3], vec![2, 2], true),
            (Some("5"), vec![8, 9], vec![2, 2, 2, 2, 2], false),
        ] {
            let mut said = said("2");
            said.max_failures = budget.and_then(Share::parse);
            let (sizes, end) = sizes(10, &said, &InitialState::default(), &failing);
            assert_eq!(sizes, expected, "{budget:?} {failing:?}");
            assert_eq!(matches!(end, Next::Stopped(_)), stopped, "{end:?}");
        }
    }

    #[test]
    fn without_batches_failures_stop_nothing() {
        let (sizes, end) = sizes(3, &Rolling::default(), &InitialState::default(), &[0, 1, 2]);
        assert_eq!((sizes, end), (vec![3], Next::Finished));
        let batches = Batches::new(3, &Rolling::default(), &InitialState::default());
        assert!(batches.within_budget());
    }

    #[test]
    fn canaries_and_failed_ones_come_first() {
        let mut said = said("3");
        said.canary = Some("canary".into());
        said.failed_first = true;
        let state = InitialState {
            canaries: [4, 5].into(),
            failed: [3].into(),
            done: [0].into(),
            ..InitialState::default()
        };
        let mut batches = Batches::new(6, &said, &state);
        assert_eq!(batches.next(), Next::Batch(vec![4, 5]));
        batches.result(4, Verdict::Succeeded);
        batches.result(5, Verdict::Succeeded);
        assert_eq!(batches.next(), Next::Batch(vec![3, 1, 2]));
        batches.put_back(vec![2]);
        batches.result(3, Verdict::Succeeded);
        batches.result(1, Verdict::Succeeded);
        assert_eq!(batches.pending(), &VecDeque::from([2]));
        assert_eq!(batches.next(), Next::Batch(vec![2]));
        batches.result(2, Verdict::Succeeded);
        assert_eq!(batches.next(), Next::Finished);
    }

    #[test]
    fn the_least_healthy_number_bounds_a_batch() {
        // CodeDeploy's example: 9 hosts, 6 must stay healthy, 3 at once.
        let mut said = said("100%");
        said.min_healthy = Share::parse("6");
        said.max_failures = Share::parse("100%");
        let none = InitialState::default();
        assert_eq!(sizes(9, &said, &none, &[]), (vec![3, 3, 3], Next::Finished));
        // Each failure leaves one less to spare.
        let (found, end) = sizes(9, &said, &none, &[0, 1, 3]);
        assert_eq!(found, [3, 1]);
        assert_eq!(end, Next::Stopped("the whole batch failed, a single target".into()));
        said.min_healthy = Share::parse("50%");
        assert_eq!(sizes(9, &said, &none, &[]).0, [4, 4, 1]);
        said.min_healthy = Share::parse("9");
        let (found, end) = sizes(9, &said, &none, &[]);
        assert!(found.is_empty());
        assert_eq!(end, Next::Stopped("9 of 9 are healthy, and 9 must stay so".into()));
        // A target that is down already takes nothing from the number.
        let state = InitialState { failed: [2].into(), ..InitialState::default() };
        let mut batches = Batches::new(9, &said, &state);
        let Next::Stopped(reason) = batches.next() else { panic!("not stopped") };
        assert!(reason.contains("8 of 9 are healthy") && reason.contains("--failed-first"));
        said.failed_first = true;
        let mut batches = Batches::new(9, &said, &state);
        assert_eq!(batches.next(), Next::Batch(vec![2]));
        // No other target joins the last canaries.
        said.min_healthy = Share::parse("6");
        let state = InitialState { canaries: [0, 1, 2, 3].into(), ..InitialState::default() };
        assert_eq!(sizes(9, &said, &state, &[]), (vec![3, 1, 3, 2], Next::Finished));
    }

    #[test]
    fn an_exceeded_budget_stops_within_a_batch() {
        let mut batches = Batches::new(4, &said("4"), &InitialState::default());
        assert_eq!(batches.next(), Next::Batch(vec![0, 1, 2, 3]));
        batches.result(0, Verdict::Succeeded);
        assert!(batches.within_budget());
        batches.result(1, Verdict::Failed);
        assert!(!batches.within_budget());
        batches.put_back(vec![2, 3]);
        assert_eq!(batches.next(), Next::Stopped("a target failed".into()));
        assert_eq!(batches.pending(), &VecDeque::from([2, 3]));
    }

    #[test]
    fn what_cannot_be_reached_is_in_the_budget_and_fails_no_batch() {
        let mut said = said("1");
        said.max_failures = Share::parse("1");
        let verdicts = |state: &InitialState, said: &Rolling, verdicts: &[Verdict]| {
            let mut batches = Batches::new(4, said, state);
            let mut given = verdicts.iter();
            let mut asked = Vec::new();
            loop {
                match batches.next() {
                    Next::Batch(batch) => {
                        for target in batch {
                            asked.push(target);
                            batches.result(target, *given.next().expect("a verdict"));
                        }
                    }
                    end => return (asked, end),
                }
            }
        };
        let stopped = |reason: &str| Next::Stopped(reason.to_string());
        let (well, failed, gone) = (Verdict::Succeeded, Verdict::Failed, Verdict::Unreachable);
        let none = InitialState::default();
        assert_eq!(
            verdicts(&none, &said, &[gone, well, well, well]),
            (vec![0, 1, 2, 3], Next::Finished)
        );
        assert_eq!(
            verdicts(&none, &said, &[gone, well, gone]),
            (vec![0, 1, 2], stopped("2 targets can't be reached, 1 may"))
        );
        // One that was reached and failed is a whole batch, as before.
        assert_eq!(
            verdicts(&none, &said, &[gone, failed]),
            (vec![0, 1], stopped("the whole batch failed, a single target"))
        );
        let known = |unreachable: &[usize]| InitialState {
            unreachable: unreachable.iter().copied().collect(),
            ..InitialState::default()
        };
        assert_eq!(verdicts(&known(&[1]), &said, &[well; 3]), (vec![0, 2, 3], Next::Finished));
        assert_eq!(
            verdicts(&known(&[1]), &said, &[well, gone]),
            (vec![0, 2], stopped("2 targets can't be reached, 1 may"))
        );
        said.batches = vec![Share::Count(2)];
        assert_eq!(
            verdicts(&known(&[1]), &said, &[failed, well]),
            (vec![0, 2], stopped("a target failed and a target can't be reached, 1 may"))
        );
        said.max_failures = None;
        assert_eq!(
            verdicts(&known(&[1]), &said, &[]),
            (vec![], stopped("a target can't be reached"))
        );
        said.max_failures = Share::parse("100%");
        said.min_healthy = Share::parse("3");
        let none_to_spare = stopped("3 of 4 are healthy, and 3 must stay so");
        assert_eq!(verdicts(&known(&[1]), &said, &[]), (vec![], none_to_spare));
        // Without its canaries a rollout would be tried on all the others at once.
        said.min_healthy = None;
        let canaries = |unreachable| InitialState { canaries: [2].into(), ..known(unreachable) };
        let no_canary = stopped("no canary can be reached");
        assert_eq!(verdicts(&canaries(&[2]), &said, &[]), (vec![], no_canary.clone()));
        assert_eq!(verdicts(&canaries(&[]), &said, &[gone]), (vec![2], no_canary));
        // What was done before it went away stays done.
        let state = InitialState { done: [1].into(), ..known(&[1, 3]) };
        assert_eq!(state.never_asked(), [3]);
        said.max_failures = Share::parse("1");
        assert_eq!(verdicts(&state, &said, &[well, well]), (vec![0, 2], Next::Finished));
    }
}
