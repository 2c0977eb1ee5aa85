//! A job that is run, or waits for an operator, or is pruned; and the octopus' own journal.

use crate::disk::Left as Kind;
use crate::promises::{Left, journal_has, marking};
use crate::recording::{Mode, Sides, at_each};
use crate::trace::bytes;
use octo_core::JobId;

fn ids<const N: usize>() -> [JobId; N] {
    [(); N].map(|()| JobId::generate().expect("an id"))
}

fn run(test: &str, mode: Mode) {
    let Some(sides) = Sides::new(test, mode, "") else { return };
    let jobs = ids::<2>();
    let [detached, followed] = &jobs;
    sides.sandbox.write("out/script", format!("#!/bin/sh\n{}\n", marking(detached)));
    let mut recording = sides.record(&format!(
        "listen; push run -D -j {detached} out/script; over {detached}
        push run -j {followed} -c '{}'; leave",
        marking(followed)
    ));
    at_each(recording.cuts("tent"), |cut| {
        let left = Left::build(&sides.sandbox, cut);
        left.come_up();
        left.check(&jobs);
    });
}

#[test]
fn a_run_of_one_user_stays_promised() {
    run("a_run_of_one_user_stays_promised", Mode::One);
}

#[test]
fn a_run_of_two_users_stays_promised() {
    run("a_run_of_two_users_stays_promised", Mode::Two);
}

#[test]
fn an_approval_stays_given() {
    let test = "an_approval_stays_given";
    let Some(sides) = Sides::new(test, Mode::One, "hold") else { return };
    let jobs = ids::<1>();
    let [job] = &jobs;
    let mut recording = sides.record(&format!(
        "listen; push run -D -j {job} -c '{}'; until_there tent/state/jobs/{job}/held
        tentacle octo-exec approve {job}; over {job}; leave",
        marking(job)
    ));
    at_each(recording.cuts("tent"), |cut| {
        let left = Left::build(&sides.sandbox, cut);
        left.come_up();
        left.check(&jobs);
    });
}

#[test]
fn what_is_pruned_is_there_or_never_runs_again() {
    let test = "what_is_pruned_is_there_or_never_runs_again";
    let Some(sides) = Sides::new(test, Mode::One, "") else { return };
    let jobs = ids::<2>();
    let [one, other] = &jobs;
    let mut recording = sides.record(&format!(
        "listen; push run -j {one} -c '{}'; push run -j {other} -c '{}'; leave
        tentacle octo-exec prune --older 0s --keep 0",
        marking(one),
        marking(other)
    ));
    let mut cuts = recording.cuts("tent");
    let is_pruning = |words: &String| words.contains("\"run\"") && words.contains(other.as_str());
    cuts.retain(|cut| cut.told.iter().any(is_pruning));
    at_each(cuts, |cut| {
        let left = Left::build(&sides.sandbox, cut);
        left.come_up();
        left.check(&jobs);
    });
}

/// A job is on the octopus' disk before the first byte behind the handshake leaves; how it ended
/// is there when octo-push exits.
#[test]
fn the_journal_knows_a_job_before_the_tentacle() {
    let test = "the_journal_knows_a_job_before_the_tentacle";
    let Some(sides) = Sides::new(test, Mode::One, "") else { return };
    let [job] = ids();
    let mut recording = sides.record(&format!("listen; push run -j {job} -c true; leave"));
    let (mut sent, mut exited) = (0, 0);
    recording.walk(|replay, _, begins, call| {
        let (program, words) = replay.program(call.thread);
        if !begins || program != "octo-push" || !words.contains(job.as_str()) {
            return;
        }
        let left = || Kind::ALL.map(|left| replay.disk.left(left, "push/state"));
        let has = |kind: &str| {
            left().iter().all(|tree| journal_has(tree, "push/state/journal", &job, kind))
        };
        let is_sent = call.name == "writev" && call.argument(0).contains("<socket:");
        if is_sent && !is_handshake(&bytes(call.argument(1))) {
            sent += 1;
            assert!(has("begun"), "line {}", call.lines.0);
        }
        if call.name == "exit_group" {
            exited += 1;
            assert!(has("exit"), "line {}", call.lines.0);
        }
    });
    assert!(sent > 1 && exited == 1, "{sent} {exited}");
}

/// A ClientHello, or all that a client says behind it before it asks for anything: one record
/// for form's sake, and one in which everything is.
fn is_handshake(sent: &[u8]) -> bool {
    let (mut kinds, mut rest) = (Vec::new(), sent);
    while let [kind, _, _, high, low, behind @ ..] = rest {
        kinds.push(*kind);
        rest = behind.get(usize::from(*high) << 8 | usize::from(*low)..).unwrap_or_default();
    }
    matches!(kinds[..], [22] | [20, 23])
}
