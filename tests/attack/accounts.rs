//! A listener that was taken over lets in whatever its pushers have signed: how much
//! they may take octo-exec counts itself.

use crate::separated::{Separated, command, job_id, separated, unserved};
use crate::serving::Gate;
use crate::support::{SmallDisk, impossible, wait_for};
use octo_core::tentacle::job::End;
use octo_core::tentacle::{account, layout};
use octo_core::{Digest, JobId, PusherName};
use std::process::{Child, Command, Stdio};

/// The ends of those that were refused, and how many were not.
fn refused(here: &Separated, jobs: &[JobId]) -> (Vec<End>, usize) {
    let noted = |job: &JobId| here.refused(job.as_str());
    wait_for("all entries", || {
        jobs.iter().all(|job| noted(job).is_some() || here.job(job).exists())
    });
    let ends: Vec<End> = jobs.iter().filter_map(noted).collect();
    let taken = jobs.len() - ends.len();
    (ends, taken)
}

#[test]
fn octo_exec_counts_what_a_pusher_keeps_whatever_a_listener_lets_in() {
    let Some(here) = separated("octo_exec_counts_what_a_pusher_keeps_whatever_a_listener_lets_in")
    else {
        return;
    };
    here.trust(&[(&here.ci, &format!("ci user={} max-store=5M", here.user.name))]);
    // Scripts of 1.5 MB, all at once.
    let script = [&b"#!/bin/sh\n#"[..], &[b'x'; 1_500_000]].concat();
    let spec = format!("script {} x\n", Digest::of(&script)).into_bytes();
    let jobs: Vec<JobId> = (0..10).map(|_| job_id()).collect();
    for job in &jobs {
        let mut parts = here.request(job, &spec);
        parts.script.clone_from(&script);
        here.spool(job.as_str(), &parts.bytes());
    }
    here.ring();
    let (ends, taken) = refused(&here, &jobs);
    assert_eq!(taken, 3, "{ends:?}");
    for end in &ends {
        let reason = end.reason.as_deref().unwrap_or_default();
        assert_eq!(end.kind.code(), 77, "{reason}");
        assert!(reason.contains("would pass max-store=5.0 MiB"), "{reason}");
    }
    // What is pruned counts no more.
    jobs.iter().filter(|job| here.job(job).exists()).for_each(|job| drop(here.end_of(job)));
    here.prune_all();
    let job = job_id();
    let mut parts = here.request(&job, &spec);
    parts.script = script;
    let end = here.hand_over(&job, &parts);
    assert_eq!((end.kind.word(), end.kind.code()), ("exit", 0), "{end:?}");
}

#[test]
fn octo_exec_counts_jobs_under_way_whatever_a_listener_lets_in() {
    let Some(here) = separated("octo_exec_counts_jobs_under_way_whatever_a_listener_lets_in")
    else {
        return;
    };
    here.trust(&[(&here.ci, &format!("ci user={} max-jobs=2", here.user.name))]);
    let gate = Gate::new(&here);
    let jobs: Vec<JobId> = (0..6).map(|_| job_id()).collect();
    jobs.iter().for_each(|job| here.spool_request(job, &command(&gate.script(job))));
    here.ring();
    let (ends, taken) = refused(&here, &jobs);
    assert_eq!(taken, 2, "{ends:?}");
    for end in &ends {
        let reason = end.reason.as_deref().unwrap_or_default();
        assert_eq!(end.kind.code(), 75, "{reason}");
        assert!(reason.contains("ci has 2 jobs under way already"), "{reason}");
    }
    let taken = |job: &&JobId| here.job(job).exists();
    let running: Vec<&JobId> = jobs.iter().filter(taken).collect();
    wait_for("their scripts", || running.iter().all(|job| here.runs(job) == 1));
    gate.open();
    running.iter().for_each(|job| assert_eq!(here.end_of(job).kind.code(), 0));
}

/// To call it again is always safe: also when it is the same job that takes the last place.
#[test]
fn two_takes_of_one_entry_refuse_none_of_it() {
    let Some(here) = unserved("two_takes_of_one_entry_refuse_none_of_it") else { return };
    here.trust(&[(&here.ci, &format!("ci user={} max-jobs=1", here.user.name))]);
    let job = job_id();
    here.spool_request(&job, &here.marking(&job));
    let name = PusherName::parse("ci").expect("a name");
    // Both have seen that there is no such job, and wait to count.
    let held = account::lock(&here.places, &name).expect("the lock");
    let take = |_| {
        let mut take = here.by(Command::new(here.sandbox.program("octo-exec")));
        take.args(["take", job.as_str()]).stderr(Stdio::piped()).spawn().expect("octo-exec")
    };
    let takes: Vec<Child> = (0..2).map(take).collect();
    let lock = layout::lock_path(&here.places, "account-ci");
    wait_for("two that wait", || {
        let waits = |take: &Child| {
            let open = std::fs::read_dir(format!("/proc/{}/fd", take.id())).into_iter().flatten();
            open.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|path| path == lock))
        };
        takes.iter().all(waits)
    });
    drop(held);
    for take in takes {
        let output = take.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("refused"), "{said}");
    }
    assert_eq!(here.end_of(&job).kind.code(), 0);
    assert_eq!((here.refused(job.as_str()), here.runs(&job)), (None, 1));
}

/// The two may be on different disks, and the listener looks at neither.
#[test]
fn octo_exec_leaves_the_reserve_alone_whatever_a_listener_lets_in() {
    let test = "octo_exec_leaves_the_reserve_alone_whatever_a_listener_lets_in";
    let Some(here) = unserved(test) else { return };
    let Some(disk) = SmallDisk::mount(&here.places.jobs(), "20m") else {
        return impossible(test, "can't mount a small tmpfs");
    };
    let script = [&b"#!/bin/sh\n#"[..], &[b'x'; 1_800_000]].concat();
    let spec = format!("script {} x\n", Digest::of(&script)).into_bytes();
    let spool = |job: &JobId| {
        let mut parts = here.request(job, &spec);
        parts.script.clone_from(&script);
        here.spool(job.as_str(), &parts.bytes());
        here.take(job)
    };
    // Room for it, and none beside the reserve, which is a twentieth.
    let filled = disk.fill_but(2_500_000);
    let job = job_id();
    assert_eq!(spool(&job), Some(74));
    let end = here.refused(job.as_str()).expect("a note");
    here.assert_refused(&job, &end, 74, "of which 1.0 MiB stays free");
    std::fs::remove_file(filled).expect("remove");
    let job = job_id();
    assert_eq!(spool(&job), Some(0));
    assert_eq!(here.end_of(&job).kind.code(), 0);
}
