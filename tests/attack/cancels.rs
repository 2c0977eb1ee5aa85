//! Cancels: a job ends by a word of its own pusher's, not by its listener's.

use crate::entries::ODD;
use crate::separated::{Parts, Pusher, Separated, command, job_id, separated};
use crate::support::wait_for;
use octo_core::JobId;
use octo_core::tentacle::job::End;
use octo_core::tentacle::statement::Asks;

fn cancel_by(here: &Separated, pusher: &Pusher, about: &JobId) -> Parts {
    pusher.sign(pusher.statement(here.tentacle, about, Asks::Cancel).encode(), b"")
}

/// Spools it as a cancel of this job; the note on it.
fn refusal(here: &Separated, job: &JobId, parts: &Parts) -> End {
    here.spool(&format!("{job}.cancel"), &parts.bytes());
    note(here, job)
}

/// Rings, and waits for the note on what lies there as a cancel of this job.
fn note(here: &Separated, job: &JobId) -> End {
    here.ring();
    let mut note = None;
    wait_for("a note, or the end of the job", || {
        note = here.refused(&format!("{job}.cancel"));
        note.is_some() || here.job(job).end().expect("readable").is_some()
    });
    note.expect("it is refused")
}

/// A job that has begun, and ends when all may.
fn begun(here: &Separated) -> JobId {
    let (job, go) = (job_id(), here.sandbox.path("marks/go"));
    let wait = format!(
        "echo ran >>{}; while [ ! -e {} ]; do sleep 0.02; done",
        here.mark(&job).display(),
        go.display()
    );
    here.begin(&job, &command(&wait));
    job
}

type Bad = fn(&Separated, &Pusher, &JobId) -> Parts;

static BAD: &[(&str, u8, Bad)] = &[
    ("signature is not by the key", 77, |here, _, job| Parts {
        signature: vec![7; 64],
        ..cancel_by(here, &here.ci, job)
    }),
    ("signature is not by the key", 77, |here, other, job| Parts {
        statement: cancel_by(here, other, job).statement,
        ..cancel_by(here, &here.ci, job)
    }),
    ("is not trusted", 77, |here, _, job| {
        cancel_by(here, &Pusher::new(&here.sandbox, "stranger"), job)
    }),
    ("about another job", 77, |here, _, _| cancel_by(here, &here.ci, &job_id())),
    ("asks for a job, not for a job's end", 77, |here, _, job| here.request(job, b"")),
    ("no job", 65, |here, other, job| cancel_by(here, other, job)),
];

#[test]
fn a_job_is_cancelled_by_its_pushers_statement_alone() {
    let Some(here) = separated("a_job_is_cancelled_by_its_pushers_statement_alone") else {
        return;
    };
    let other = Pusher::new(&here.sandbox, "other");
    let user = &here.user.name;
    let lines = [format!("ci user={user}"), format!("other user={user}")];
    here.trust(&[(&here.ci, &lines[0]), (&other, &lines[1])]);
    let mut jobs = Vec::new();
    for (said, code, bad) in BAD {
        let job = begun(&here);
        let end = refusal(&here, &job, &bad(&here, &other, &job));
        let reason = end.reason.unwrap_or_default();
        assert!(reason.contains(said), "{reason}, not {said}");
        assert_eq!(end.kind.code(), *code, "{reason}");
        // A file of this name is octo-exec's alone to make.
        here.listener_cannot(&[format!("echo by%20x >jobs/{job}/cancel")]);
        jobs.push(job);
    }
    let job = begun(&here);
    here.spool(&format!("{job}.cancel"), &cancel_by(&here, &here.ci, &job).bytes());
    here.ring();
    assert_eq!(here.end_of(&job).kind.code(), 130);
    for job in &jobs {
        assert!(!here.job(job).file("cancel").exists());
        assert!(here.job(job).end().expect("readable").is_none());
    }
    std::fs::write(here.sandbox.path("marks/go"), "").expect("write");
    jobs.iter().for_each(|job| assert_eq!(here.end_of(job).kind.code(), 0));
}

#[test]
fn a_cancel_that_is_no_plain_whole_file_is_refused_and_the_job_goes_on() {
    let test = "a_cancel_that_is_no_plain_whole_file_is_refused_and_the_job_goes_on";
    let Some(here) = separated(test) else { return };
    let mut jobs = Vec::new();
    for (said, make) in ODD {
        let job = begun(&here);
        here.spool("other", &cancel_by(&here, &here.ci, &job).bytes());
        // In one rename: octo-exec may look at any moment.
        here.listener_does(&format!(
            "E=spool/new G=spool/other; {make}\nmv -T spool/new spool/{job}.cancel"
        ));
        let note = note(&here, &job);
        let reason = note.reason.unwrap_or_default();
        assert!(reason.contains(said), "{reason}, not {said}");
        assert_eq!((note.kind.word(), note.kind.code()), ("denied", 65), "{reason}");
        here.listener_does("rm -rf spool/*");
        jobs.push(job);
    }
    for job in &jobs {
        assert!(!here.job(job).file("cancel").exists());
        assert!(here.job(job).end().expect("readable").is_none());
    }
    std::fs::write(here.sandbox.path("marks/go"), "").expect("write");
    for job in &jobs {
        assert_eq!((here.end_of(job).kind.code(), here.runs(job)), (0, 1));
    }
}

#[test]
fn a_cancel_of_what_is_no_job_yet_is_refused() {
    let Some(here) = separated("a_cancel_of_what_is_no_job_yet_is_refused") else { return };
    let job = job_id();
    let end = refusal(&here, &job, &cancel_by(&here, &here.ci, &job));
    assert_eq!(end.kind.code(), 65, "{end:?}");
    let end = here.hand_over(&job, &here.request(&job, &here.marking(&job)));
    assert_eq!((end.kind.code(), here.runs(&job)), (0, 1), "{end:?}");
}

#[test]
fn a_refused_cancel_leaves_the_place_to_a_genuine_one() {
    let Some(here) = separated("a_refused_cancel_leaves_the_place_to_a_genuine_one") else {
        return;
    };
    let job = begun(&here);
    let (_, code, forged) = BAD[0];
    let end = refusal(&here, &job, &forged(&here, &here.ci, &job));
    assert_eq!(end.kind.code(), code, "{end:?}");
    here.spool(&format!("{job}.cancel"), &cancel_by(&here, &here.ci, &job).bytes());
    here.ring();
    assert_eq!(here.end_of(&job).kind.code(), 130);
}

/// It is his job, and rightly signed: his line decides, as it is when the cancel comes.
#[test]
fn a_pusher_who_may_no_longer_cancel_ends_no_job() {
    let Some(here) = separated("a_pusher_who_may_no_longer_cancel_ends_no_job") else { return };
    let job = begun(&here);
    here.trust(&[(&here.ci, &format!("ci user={} allow=status", here.user.name))]);
    let end = refusal(&here, &job, &cancel_by(&here, &here.ci, &job));
    assert_eq!((end.kind.word(), end.kind.code()), ("denied", 77), "{end:?}");
    let reason = end.reason.unwrap_or_default();
    assert!(reason.contains("may not cancel jobs"), "{reason}");
    assert!(!here.job(&job).file("cancel").exists());
    assert!(here.job(&job).end().expect("readable").is_none());
    std::fs::write(here.sandbox.path("marks/go"), "").expect("write");
    assert_eq!((here.end_of(&job).kind.code(), here.runs(&job)), (0, 1));
}
