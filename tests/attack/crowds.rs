//! octo-exec serve with more to do than it may have descriptors or programs at once.

use crate::separated::{command, job_id, separated, traceable, unserved};
use crate::serving::{Gate, children, ring_until_heard, watched};
use crate::support::{needs, wait_for};
use octo_core::JobId;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::fs::File;

/// What this process may have open.
fn allow(process: Pid, descriptors: u64) -> Rlimit {
    // To raise the hard one again takes a right that not each root has.
    let limit = Rlimit { current: Some(descriptors), ..getrlimit(Resource::Nofile) };
    prlimit(Some(process), Resource::Nofile, limit).expect("prlimit")
}

#[test]
fn a_doorbell_without_descriptors_rests_and_recovers() {
    let test = "a_doorbell_without_descriptors_rests_and_recovers";
    let Some(mut here) = traceable(test) else { return };
    let trace = here.serve_traced("?accept,accept4,?poll,?ppoll");
    // The doorbell is the last that stays open: what accept(2) makes has the next number.
    let is_socket = |number: &u64| {
        std::fs::read_link(format!("/proc/{}/fd/{number}", here.serving().as_raw_pid()))
            .is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    let doorbell = (3..1024).find(is_socket).expect("a doorbell");
    let read = || std::fs::read_to_string(&trace).expect("a trace");
    // Until then it looks around: what it found would be started with descriptors that it
    // gives itself again.
    let is_idle = |line: &str| line.contains(", NULL, NULL") && !line.contains(" = ");
    wait_for("it to wait for a ring", || read().lines().last().is_some_and(is_idle));
    let before = allow(here.serving(), doorbell + 1);
    let job = job_id();
    here.spool_request(&job, &here.marking(&job));
    here.ring();
    let failed = |trace: &str| trace.lines().filter(|line| line.contains("EMFILE")).count();
    wait_for("accept(2) to fail", || failed(&read()) >= 3);
    // Between two of them it rested.
    let (mut at_once, mut rested) = (0, true);
    for line in read().lines() {
        if line.contains("EMFILE") {
            at_once += usize::from(!rested);
            rested = false;
        }
        rested |= line.contains("Timeout");
    }
    assert_eq!(at_once, 0);
    prlimit(Some(here.serving()), Resource::Nofile, before).expect("prlimit");
    // Nobody has to ring once more, and none of this was a try.
    let end = here.end_of(&job);
    assert_eq!((end.kind.code(), here.runs(&job)), (0, 1), "{end:?}");
}

#[test]
fn more_jobs_than_a_process_may_have_descriptors_run_at_once() {
    let test = "more_jobs_than_a_process_may_have_descriptors_run_at_once";
    if !needs(test, "prlimit") {
        return;
    }
    let Some(mut here) = unserved(test) else { return };
    here.serve_under(&["prlimit", "--nofile=40:4096"]);
    let here = here;
    let gate = Gate::new(&here);
    let jobs: Vec<JobId> = (0..50).map(|_| job_id()).collect();
    for job in &jobs {
        here.spool_request(job, &command(&gate.script(job)));
    }
    here.ring();
    wait_for("all scripts", || jobs.iter().all(|job| here.runs(job) == 1));
    // Each is watched, and a job has what serve itself was given.
    wait_for("a watch of each", || watched(here.serving()) == jobs.len());
    let job = job_id();
    let limits = format!("(ulimit -Sn; ulimit -Hn) >>{}", here.mark(&job).display());
    let end = here.hand_over(&job, &here.request(&job, &command(&limits)));
    assert_eq!(end.kind.code(), 0, "{end:?}");
    assert_eq!(std::fs::read_to_string(here.mark(&job)).expect("limits"), "40\n4096\n");
    gate.open();
    jobs.iter().for_each(|job| assert_eq!(here.end_of(job).kind.code(), 0));
}

#[test]
fn a_hundred_entries_are_taken_over_sixty_four_at_a_time() {
    let Some(here) = separated("a_hundred_entries_are_taken_over_sixty_four_at_a_time") else {
        return;
    };
    here.trust(&[(&here.ci, &format!("ci user={} max-jobs=200", here.user.name))]);
    // Who makes a job waits for this.
    let lock = here.places.state.join("locks/.jobs");
    let lock = File::options().create(true).append(true).open(lock).expect("open");
    lock.lock().expect("lock");
    let jobs: Vec<JobId> = (0..100).map(|_| job_id()).collect();
    for job in &jobs {
        here.spool_request(job, &here.marking(job));
    }
    here.ring();
    wait_for("sixty-four", || children(here.serving()) == 64);
    for _ in 0..3 {
        ring_until_heard(&here);
    }
    assert_eq!(children(here.serving()), 64);
    drop(lock);
    for job in &jobs {
        let end = here.end_of(job);
        assert_eq!((end.kind.code(), here.runs(job)), (0, 1), "{end:?}");
    }
}
