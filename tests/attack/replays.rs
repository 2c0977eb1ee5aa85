//! A signed request that is used again: nothing runs twice.

use crate::separated::{Parts, job_id, separated, unserved};
use crate::support::wait_for;
use octo_core::tentacle::statement::Asks;
use octo_core::{Digest, JobId};

#[test]
fn a_request_that_is_spooled_again_and_again_runs_once() {
    let test = "a_request_that_is_spooled_again_and_again_runs_once";
    let Some(here) = separated(test) else { return };
    let job = job_id();
    // A listener may say no and spool it all the same: the entry alone runs it.
    let parts = here.request(&job, &here.marking(&job));
    assert_eq!(here.hand_over(&job, &parts).kind.code(), 0);
    for _ in 0..3 {
        here.spool(job.as_str(), &parts.bytes());
        here.ring();
        // What serve does with the doorbell is done when another job has run.
        let other = job_id();
        assert_eq!(here.hand_over(&other, &here.request(&other, b"command true\n")).kind.code(), 0);
        assert_eq!(here.take(&job), Some(0));
        assert_eq!(here.runs(&job), 1);
    }
    // It is refused once nobody knows any more how it ended.
    here.prune_all();
    assert!(!here.job(&job).exists());
    here.ring();
    let end = here.end_of(&job);
    assert_eq!(end.reason.as_deref(), Some("the job ran, and was pruned"));
    assert_eq!((end.kind.word(), end.kind.code(), here.runs(&job)), ("denied", 65, 1));
}

#[test]
fn many_that_take_one_entry_run_it_once() {
    let Some(here) = separated("many_that_take_one_entry_run_it_once") else { return };
    for _ in 0..5 {
        let job = job_id();
        here.spool_request(&job, &here.marking(&job));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| here.take(&job));
            }
            here.ring();
        });
        assert_eq!((here.end_of(&job).kind.code(), here.runs(&job)), (0, 1));
    }
}

#[test]
fn the_id_of_a_job_is_taken_whatever_is_signed_for_it_later() {
    let test = "the_id_of_a_job_is_taken_whatever_is_signed_for_it_later";
    let Some(here) = unserved(test) else { return };
    let take = |job: &JobId, parts: &Parts| {
        here.spool(job.as_str(), &parts.bytes());
        here.take(job)
    };
    let job = job_id();
    let first = here.request(&job, &here.marking(&job));
    assert_eq!((take(&job, &first), here.runs(&job)), (Some(0), 1));
    let other = job_id();
    let asks = Asks::Request(Digest::of(&here.marking(&other)));
    let statement = here.ci.statement(here.tentacle, &job, asks);
    let second = here.ci.sign(statement.encode(), &here.marking(&other));
    assert_eq!(take(&job, &second), Some(0));
    assert_eq!((here.runs(&job), here.runs(&other)), (1, 0));
    assert_eq!(here.job(&job).spec_bytes().expect("a spec"), first.spec);
    assert_eq!(std::fs::read(here.job(&job).file("request")).expect("kept"), first.statement);
}

/// What was refused for its hour is not taken up in another name, or by another serve.
#[test]
fn a_refusal_stays_when_serve_begins_anew() {
    let Some(mut here) = unserved("a_refusal_stays_when_serve_begins_anew") else { return };
    let job = job_id();
    let trusted = std::fs::read_to_string(here.sandbox.config("trusted")).expect("read");
    here.write_config("trusted", "");
    here.spool_request(&job, &here.marking(&job));
    assert_eq!(here.take(&job), Some(77));
    here.write_config("trusted", &trusted);
    here.serve();
    let other = job_id();
    let end = here.hand_over(&other, &here.request(&other, b"command true\n"));
    assert_eq!(end.kind.code(), 0);
    wait_for("its note", || here.refused(job.as_str()).is_some());
    here.assert_refused(&job, &here.end_of(&job), 77, "is not trusted");
}
