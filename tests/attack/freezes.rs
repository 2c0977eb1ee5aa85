//! What is frozen is what a trusted pusher has signed: a listener that was taken over freezes
//! nothing, thaws nothing, and repeats nothing.

use crate::separated::{Parts, Pusher, Separated, job_id, separated};
use crate::support::NOBODY;
use jiff::{SignedDuration, Timestamp};
use octo_core::base::cli::utc;
use octo_core::tentacle::statement::Asks;
use octo_core::{Digest, JobId};

fn freeze() -> Vec<u8> {
    let until = utc(Timestamp::now() + SignedDuration::from_hours(2));
    format!("freeze shop {until} x\n").into_bytes()
}

/// A request that one thing is wrong with.
type Bad = fn(&Separated, &JobId, &[u8]) -> Parts;

const THAW: &[u8] = b"thaw shop\n";

fn is_frozen(here: &Separated) -> bool {
    here.places.freezes().join("shop").exists()
}

#[test]
fn a_listener_that_was_taken_over_freezes_and_thaws_nothing() {
    let test = "a_listener_that_was_taken_over_freezes_and_thaws_nothing";
    let Some(here) = separated(test) else { return };
    let other = Pusher::new(&here.sandbox, "other");
    let user = &here.user.name;
    here.trust(&[(&here.ci, "ci allow=freeze"), (&other, &format!("other user={user}"))]);
    let bad: [(&str, u8, Bad); 4] = [
        ("not by the key", 77, |here, job, spec| Parts {
            signature: Vec::new(),
            ..here.request(job, spec)
        }),
        ("another spec", 77, |here, job, spec| Parts {
            spec: spec.to_vec(),
            ..here.request(job, b"thaw blog\n")
        }),
        ("another job", 77, |here, _, spec| here.request(&job_id(), spec)),
        ("script", 65, |here, job, spec| Parts {
            script: b"x".to_vec(),
            ..here.request(job, spec)
        }),
    ];
    for (spec, frozen) in [(freeze(), false), (THAW.to_vec(), true)] {
        for (said, code, bad) in bad {
            let job = job_id();
            let end = here.hand_over(&job, &bad(&here, &job, &spec));
            here.assert_refused(&job, &end, code, said);
            assert_eq!(is_frozen(&here), frozen, "{said}");
        }
        // One who is trusted, and may do something else.
        let job = job_id();
        let asks = Asks::Request(Digest::of(&spec));
        let parts = other.sign(other.statement(here.tentacle, &job, asks).encode(), &spec);
        let end = here.hand_over(&job, &parts);
        let reason = end.reason.as_deref().unwrap_or_default();
        assert_eq!((end.kind.code(), reason), (77, "other may not freeze applications"));
        assert_eq!(is_frozen(&here), frozen);
        // And who may.
        let job = job_id();
        let end = here.hand_over(&job, &here.request(&job, &spec));
        assert_eq!((end.kind.code(), is_frozen(&here)), (0, !frozen), "{end:?}");
    }
}

/// A statement holds for an hour, and counts once.
#[test]
fn a_freeze_that_was_thawed_is_not_repeated() {
    let Some(here) = separated("a_freeze_that_was_thawed_is_not_repeated") else { return };
    here.trust(&[(&here.ci, "ci allow=freeze")]);
    let (first, then) = (job_id(), job_id());
    let frozen = here.request(&first, &freeze());
    assert_eq!(here.hand_over(&first, &frozen).kind.code(), 0);
    assert!(is_frozen(&here));
    let thawed = here.request(&then, THAW);
    assert_eq!(here.hand_over(&then, &thawed).kind.code(), 0);
    for _ in 0..2 {
        here.spool(first.as_str(), &frozen.bytes());
        assert_eq!(here.take(&first), Some(0));
        assert!(!is_frozen(&here));
    }
    // Nor where its record is gone.
    here.prune_all();
    here.spool(first.as_str(), &frozen.bytes());
    here.take(&first);
    assert!(!is_frozen(&here) && !here.job(&first).exists());
}

#[test]
fn neither_a_listener_nor_a_job_writes_among_the_freezes() {
    let test = "neither_a_listener_nor_a_job_writes_among_the_freezes";
    let Some(here) = separated(test) else { return };
    here.trust(&[(&here.ci, &format!("ci allow=run,freeze user={}", here.user.name))]);
    let job = job_id();
    assert_eq!(here.hand_over(&job, &here.request(&job, &freeze())).kind.code(), 0);
    let freezes = here.places.freezes();
    for uid in [NOBODY, here.user.uid] {
        // It can be read, and nothing else.
        let script = "cat shop && ! rm -f shop && ! echo >shop && ! echo >blog && ! mv shop x";
        let mut command = std::process::Command::new("setpriv");
        let ids = [format!("--reuid={uid}"), format!("--regid={uid}")];
        command.args(ids).args(["--clear-groups", "sh", "-c", script]).current_dir(&freezes);
        let output = command.output().expect("setpriv");
        assert!(output.status.success(), "{uid}: {output:?}");
        assert!(is_frozen(&here) && !freezes.join("blog").exists());
    }
}
