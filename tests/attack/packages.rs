//! Packages that a listener has received: taken over by their sha256, from a file of its
//! own, or not at all.

use crate::separated::{Separated, injectable, job_id, separated, unserved};
use crate::support::NOBODY;
use crate::victims::{SECRET, Victims, assert_hidden_from_the_listener};
use octo_core::tentacle::job::End;
use octo_core::tentacle::spec::{Script, Spec};
use octo_core::{Digest, JobId};
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;

/// A job that shows its package.
fn spec(here: &Separated, job: &JobId, digest: &Digest) -> Vec<u8> {
    let text = format!("echo ran >>{}; cat \"$OCTO_PACKAGE\"", here.mark(job).display());
    let mut spec = Spec::of(Script::Command(text));
    spec.package = Some((*digest, "p".into()));
    spec.encode()
}

fn object(here: &Separated, digest: &Digest) -> PathBuf {
    here.places.listen().join("packages").join(digest.to_string())
}

/// The listener says that `ci` has put it, and does this with its `$P`.
fn laid(here: &Separated, digest: &Digest, make: &str) {
    here.listener_does(&format!(
        "mkdir -p listen/packages; P=listen/packages/{digest}; rm -rf $P; echo ci >$P.by; {make}"
    ));
}

fn run(here: &Separated, digest: &Digest) -> (JobId, End) {
    let job = job_id();
    let end = here.hand_over(&job, &here.request(&job, &spec(here, &job, digest)));
    (job, end)
}

/// The pusher may know the sha256 of a file that only root reads: of its bytes he gets none.
#[test]
fn a_package_that_is_a_way_to_a_file_of_roots_is_not_taken_over() {
    let test = "a_package_that_is_a_way_to_a_file_of_roots_is_not_taken_over";
    let Some(here) = separated(test) else { return };
    let victims = Victims::new(&here.sandbox);
    let digest = Digest::of(&std::fs::read(victims.secret()).expect("read"));
    let secret = victims.secret().display().to_string();
    for make in [
        format!("ln -s {secret} $P"),
        "mkfifo $P".into(),
        "mkdir $P".into(),
        ": >$P".into(),
        format!("echo not {SECRET:.5} >$P"),
        "truncate -s 8E $P || truncate -s 1T $P".into(),
        format!("rm $P.by; ln -s {secret} $P.by"),
        "rm $P.by; mkfifo $P.by".into(),
        "rm $P.by; mkdir $P.by".into(),
        format!("rm -rf listen/packages; ln -s {} listen/packages", victims.directory().display()),
    ] {
        here.listener_does("rm -rf listen/packages");
        laid(&here, &digest, &make);
        let (job, end) = run(&here, &digest);
        assert_eq!(end.kind.word(), "denied", "{make}: {end:?}");
        here.assert_refused(&job, &end, end.kind.code(), "");
        assert!(!here.places.packages().join(digest.to_string()).exists(), "{make}");
    }
    here.listener_does("rm -rf listen/packages");
    // What protected_hardlinks forbids where it is set, root lays.
    laid(&here, &digest, "true");
    std::fs::hard_link(victims.secret(), object(&here, &digest)).expect("link");
    let (job, end) = run(&here, &digest);
    here.assert_refused(&job, &end, 65, "is not in the store");
    std::fs::remove_file(object(&here, &digest)).expect("remove");
    laid(&here, &digest, &format!("echo {SECRET}-by-the-listener >$P"));
    chown(object(&here, &digest), Some(here.user.uid), None).expect("chown");
    let (job, end) = run(&here, &digest);
    here.assert_refused(&job, &end, 65, "is not in the store");
    here.listener_does("rm -rf listen/packages");
    victims.assert_untouched();
    assert_hidden_from_the_listener(&here);
}

#[test]
fn a_package_is_its_sha256_and_its_putters() {
    let Some(here) = separated("a_package_is_its_sha256_and_its_putters") else { return };
    let digest = Digest::of(b"packed\n");
    laid(&here, &digest, "echo other >$P.by; echo packed >$P");
    let (job, end) = run(&here, &digest);
    here.assert_refused(&job, &end, 65, "is not in the store");
    // A list that somebody else has written says nothing, whatever is in it.
    laid(&here, &digest, "rm $P.by; echo packed >$P");
    let list = here.sandbox.write("victims/list", "ci\n");
    std::fs::hard_link(list, object(&here, &digest).with_extension("by")).expect("link");
    let (job, end) = run(&here, &digest);
    here.assert_refused(&job, &end, 65, "is not in the store");
    std::fs::remove_file(object(&here, &digest).with_extension("by")).expect("remove");
    laid(&here, &digest, "echo changed >$P");
    let (job, end) = run(&here, &digest);
    here.assert_refused(
        &job,
        &end,
        65,
        "what the listener has by this name is another: what came has the sha256",
    );
    laid(&here, &digest, "echo packed >$P");
    let (job, end) = run(&here, &digest);
    assert_eq!((end.kind.code(), here.runs(&job)), (0, 1), "{end:?}");
    let log = std::fs::read_to_string(here.job(&job).file("log")).expect("a log");
    assert_eq!(log, "packed\n");
    // It was copied: what its file becomes then changes nothing.
    here.listener_does(&format!("echo changed >listen/packages/{digest}"));
    here.listener_cannot(&[format!("echo x >packages/{digest}"), format!("rm packages/{digest}")]);
    let (job, end) = run(&here, &digest);
    assert_eq!((end.kind.code(), here.runs(&job)), (0, 1), "{end:?}");
    let stored = here.places.packages().join(digest.to_string());
    assert_eq!(std::fs::read_to_string(&stored).expect("stored"), "packed\n");
    let owner = std::os::unix::fs::MetadataExt::uid(&stored.metadata().expect("stat"));
    assert_ne!(owner, NOBODY);
}

/// What was accepted and waits for octo-exec has its package when it is taken, and no longer.
#[test]
fn a_prune_keeps_the_packages_of_what_is_spooled() {
    let Some(here) = unserved("a_prune_keeps_the_packages_of_what_is_spooled") else { return };
    let digest = Digest::of(b"packed\n");
    let spool = || {
        let job = job_id();
        here.spool_request(&job, &spec(&here, &job, &digest));
        job
    };
    let take = |job: &JobId| (here.take(job), here.runs(job));
    laid(&here, &digest, "echo packed >$P");
    assert_eq!(take(&spool()), (Some(0), 1));
    here.listener_does("rm -rf listen/packages");
    let waiting = spool();
    // What else lies there is no reason to keep or to fail.
    here.spool(job_id().as_str(), b"octo-spool 1 - 9");
    here.listener_does(&format!("mkdir spool/{}; ln -s / spool/{}", job_id(), job_id()));
    let pruned = here.prune_all();
    assert!(pruned.contains("job ") && !pruned.contains("package "), "{pruned}");
    assert_eq!(take(&waiting), (Some(0), 1));
    here.listener_does("rm -rf spool/*");
    let pruned = here.prune_all();
    assert!(pruned.contains("package "), "{pruned}");
}

/// Killed at each of its syncs, octo-exec has noted no putter of what may be lost: the
/// listener drops its copy once it sees them, of what `put` has called durable.
#[test]
fn a_package_is_its_putters_only_once_it_is_durable() {
    let test = "a_package_is_its_putters_only_once_it_is_durable";
    let Some(here) = injectable(test) else { return };
    // Without a list, and with one that a killed removal left.
    for list in [false, true] {
        let mut unnamed = 0;
        for when in 1.. {
            let packed = format!("packed {list} {when}\n");
            let digest = Digest::of(packed.as_bytes());
            laid(&here, &digest, &format!("printf '{packed}' >$P"));
            let stored = here.places.packages().join(digest.to_string());
            let names = stored.with_extension("by");
            if list {
                std::fs::create_dir_all(here.places.packages()).expect("mkdir");
                std::fs::write(&names, "ci\n").expect("write");
            }
            let is_over = take_killed(&here, &digest, when);
            let there = std::fs::read_to_string(&stored).ok();
            if names.exists() && !(list && there.is_none()) {
                assert_eq!(there, Some(packed), "killed at fsync {when}");
            } else {
                unnamed += usize::from(there.is_some());
            }
            if is_over {
                break;
            }
            assert!(when < 100, "it is killed again and again");
        }
        // Before its directory is durable, and before its list is.
        assert_eq!(unnamed, 2);
    }
}

/// Takes a job with this package, killed at that fsync; says whether there were fewer.
fn take_killed(here: &Separated, digest: &Digest, when: usize) -> bool {
    let job = job_id();
    here.spool_request(&job, &spec(here, &job, digest));
    let mut strace = here.by(Command::new("strace"));
    let inject = format!("inject=fsync:signal=KILL:when={when}");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject]);
    strace.arg(here.sandbox.program("octo-exec")).args(["take", job.as_str()]);
    strace.output().expect("strace").status.code() == Some(0)
}
