use super::batches::*;
use crate::cli::rolling::Rolling;
use octo_core::base::units::Share;
use std::collections::VecDeque;

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

/// Runs a rollout over four; the targets that are asked, and how it ended.
fn asked(state: &InitialState, said: &Rolling, verdicts: &[Verdict]) -> (Vec<usize>, Next) {
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
}

fn stopped(reason: &str) -> Next {
    Next::Stopped(reason.to_string())
}

fn unreachable<const N: usize>(unreachable: [usize; N]) -> InitialState {
    InitialState { unreachable: unreachable.into(), ..InitialState::default() }
}

#[test]
fn what_cannot_be_reached_is_in_the_budget_and_fails_no_batch() {
    let mut said = said("1");
    said.max_failures = Share::parse("1");
    let (well, failed, gone) = (Verdict::Succeeded, Verdict::Failed, Verdict::Unreachable);
    let none = InitialState::default();
    assert_eq!(asked(&none, &said, &[gone, well, well, well]), (vec![0, 1, 2, 3], Next::Finished));
    let two = stopped("2 targets can't be reached, 1 may");
    assert_eq!(asked(&none, &said, &[gone, well, gone]), (vec![0, 1, 2], two.clone()));
    // One that was reached and failed is a whole batch, as before.
    let whole = stopped("the whole batch failed, a single target");
    assert_eq!(asked(&none, &said, &[gone, failed]), (vec![0, 1], whole));
    let known = unreachable([1]);
    assert_eq!(asked(&known, &said, &[well; 3]), (vec![0, 2, 3], Next::Finished));
    assert_eq!(asked(&known, &said, &[well, gone]), (vec![0, 2], two));
    said.batches = vec![Share::Count(2)];
    let both = stopped("a target failed and a target can't be reached, 1 may");
    assert_eq!(asked(&known, &said, &[failed, well]), (vec![0, 2], both));
    said.max_failures = None;
    assert_eq!(asked(&known, &said, &[]), (vec![], stopped("a target can't be reached")));
    said.max_failures = Share::parse("100%");
    said.min_healthy = Share::parse("3");
    let none_to_spare = stopped("3 of 4 are healthy, and 3 must stay so");
    assert_eq!(asked(&known, &said, &[]), (vec![], none_to_spare));
}

/// Without its canaries a rollout would be tried on all the others at once.
#[test]
fn canaries_that_cannot_be_reached_stop_it() {
    let mut said = said("1");
    said.max_failures = Share::parse("100%");
    let state = InitialState { canaries: [2].into(), ..unreachable([2]) };
    let no_canary = stopped("no canary can be reached");
    assert_eq!(asked(&state, &said, &[]), (vec![], no_canary.clone()));
    let state = InitialState { canaries: [2].into(), ..InitialState::default() };
    assert_eq!(asked(&state, &said, &[Verdict::Unreachable]), (vec![2], no_canary));
    let state = InitialState { canaries: [1, 2].into(), ..unreachable([2]) };
    assert_eq!(asked(&state, &said, &[Verdict::Succeeded; 3]), (vec![1, 0, 3], Next::Finished));
    // One was tried before it went away; the other never was.
    let well = [Verdict::Succeeded; 3];
    let state = InitialState { canaries: [2].into(), done: [2].into(), ..unreachable([2]) };
    assert_eq!(asked(&state, &said, &well), (vec![0, 1, 3], Next::Finished));
    let state = InitialState { canaries: [1, 2].into(), done: [1].into(), ..unreachable([1]) };
    assert_eq!(asked(&state, &said, &well), (vec![2, 0, 3], Next::Finished));
    let state = InitialState { canaries: [1, 2].into(), done: [1].into(), ..unreachable([2]) };
    assert_eq!(asked(&state, &said, &[]), (vec![], stopped("no canary can be reached")));
}

#[test]
fn what_was_done_before_it_went_away_stays_done() {
    let mut said = said("1");
    said.max_failures = Share::parse("1");
    let state = InitialState { done: [1].into(), ..unreachable([1, 3]) };
    assert_eq!(state.never_asked(), [3]);
    assert_eq!(asked(&state, &said, &[Verdict::Succeeded; 2]), (vec![0, 2], Next::Finished));
}
