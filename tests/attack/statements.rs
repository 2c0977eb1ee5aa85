//! Statements that prove nothing: each is refused with its reason, and nothing runs.

use crate::separated::{Parts, Pusher, Separated, job_id, separated, unserved};
use octo_core::tentacle::job::Refused;
use octo_core::tentacle::seal::{self, Content, Sealed, Told};
use octo_core::tentacle::statement::{Asks, HOLDS_FOR, Signed, Statement};
use octo_core::{Digest, JobId, Thumbprint};
use std::fs::remove_file;

/// A request that one thing is wrong with.
type Bad = fn(&Separated, &Pusher, &JobId) -> Parts;

fn request(here: &Separated, job: &JobId) -> Parts {
    here.request(job, &here.marking(job))
}

/// Signed by `ci`, but for a statement that says something else.
fn stated(here: &Separated, job: &JobId, change: impl FnOnce(&mut Statement)) -> Parts {
    let spec = here.marking(job);
    let asks = Asks::Request(Digest::of(&spec));
    let mut statement = here.ci.statement(here.tentacle, job, asks);
    change(&mut statement);
    here.ci.sign(statement.encode(), &spec)
}

static BAD: &[(&str, u8, Bad)] = &[
    ("signature is not by the key", 77, |here, _, job| {
        let mut parts = request(here, job);
        parts.signature = (0..64).map(|byte| byte * 3 + 1).collect();
        parts
    }),
    ("signature is not by the key", 77, |here, _, job| Parts {
        signature: Vec::new(),
        ..request(here, job)
    }),
    ("signature is not by the key", 77, |here, other, job| {
        let parts = request(here, job);
        let signature = other.identity.sign(&parts.statement).expect("signed");
        Parts { signature, ..parts }
    }),
    ("is not trusted", 77, |here, other, job| {
        let spec = here.marking(job);
        let asks = Asks::Request(Digest::of(&spec));
        other.sign(other.statement(here.tentacle, job, asks).encode(), &spec)
    }),
    // What is said of garbage that is parsed is another thing.
    ("is not trusted", 77, |here, _, job| Parts {
        certificate: vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        ..request(here, job)
    }),
    ("is not trusted", 77, |here, _, job| Parts { certificate: vec![], ..request(here, job) }),
    ("another tentacle", 77, |here, other, job| {
        stated(here, job, |said| said.tentacle = other.thumbprint())
    }),
    ("another job", 77, |here, _, job| stated(here, job, |said| said.job = job_id())),
    ("another spec", 77, |here, _, job| {
        stated(here, job, |said| said.asks = Asks::Request(Digest::of(b"command true\n")))
    }),
    ("another spec", 77, |here, _, job| {
        let signed = here.request(job, b"command true\n");
        Parts { spec: here.marking(job), ..signed }
    }),
    ("another pusher", 77, |here, other, job| {
        stated(here, job, |said| said.pusher = other.thumbprint())
    }),
    ("asks for a job's end, not for a job", 77, |here, _, job| {
        stated(here, job, |said| said.asks = Asks::Cancel)
    }),
    ("not of the form", 77, |here, _, job| {
        let parts = request(here, job);
        let text = String::from_utf8(parts.statement).expect("text");
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.swap(2, 3);
        here.ci.sign(lines.concat().into_bytes(), &parts.spec)
    }),
    ("not of the form", 77, |here, _, job| {
        let parts = request(here, job);
        let twice = [&parts.statement[..], b"until 2099-01-01T00:00:00Z\n"].concat();
        here.ci.sign(twice, &parts.spec)
    }),
    ("not of the form", 77, |here, _, job| Parts { statement: vec![], ..request(here, job) }),
    ("script", 65, |here, _, job| Parts { script: b"echo".to_vec(), ..request(here, job) }),
];

#[test]
fn a_statement_that_proves_nothing_is_refused_with_its_reason() {
    let Some(here) = separated("a_statement_that_proves_nothing_is_refused_with_its_reason") else {
        return;
    };
    let other = Pusher::new(&here.sandbox, "other");
    for (said, code, bad) in BAD {
        let job = job_id();
        let end = here.hand_over(&job, &bad(&here, &other, &job));
        here.assert_refused(&job, &end, *code, said);
        assert!(!here.job(&job).exists(), "{said}");
    }
    // All else was right with them.
    let job = job_id();
    let end = here.hand_over(&job, &request(&here, &job));
    assert_eq!((end.kind.code(), here.runs(&job)), (0, 1), "{end:?}");
}

/// Signed, and of no use here.
static SIGNED: &[Bad] = &[
    |here, other, job| stated(here, job, |said| said.tentacle = other.thumbprint()),
    |here, _, job| stated(here, job, |said| said.job = job_id()),
    |here, _, job| Parts { script: b"echo".to_vec(), ..request(here, job) },
];

/// A no of octo-exec's is proved as any other end, where a trusted pusher signed the entry.
#[test]
fn what_is_refused_is_sealed_as_an_end_is() {
    let Some(here) = separated("what_is_refused_is_sealed_as_an_end_is") else { return };
    let other = Pusher::new(&here.sandbox, "other");
    for bad in SIGNED {
        let job = job_id();
        let parts = bad(&here, &other, &job);
        let end = here.hand_over(&job, &parts);
        let note = Refused::of(&here.places, &job).expect("readable").expect("a note");
        let Sealed { seal, signature } = note.sealed.expect("a seal");
        let certificate = seal::certificate(&here.places).expect("readable").expect("there");
        let signed = Signed { statement: &seal, signature: &signature, certificate: &certificate };
        let told = Told {
            job: &job,
            spec: Some(Digest::of(&parts.spec)),
            tentacle: Some(here.tentacle),
            kind: end.kind,
            reason: end.reason.as_deref(),
            log: Content::of(b""),
            truncated: false,
            values: None,
        };
        let key = Thumbprint::of_certificate(&certificate);
        assert_eq!(seal::prove(&signed, &[key], &told).expect("proved").kind, end.kind);
    }
}

/// A listener could show such a no, have its note make room for others, and then hand over the
/// request that was meant.
#[test]
fn a_no_whose_note_may_go_is_not_sealed() {
    let Some(here) = separated("a_no_whose_note_may_go_is_not_sealed") else { return };
    let other = Pusher::new(&here.sandbox, "other");
    let late: Bad = |here, _, job| {
        let days = jiff::SignedDuration::from_hours(48);
        stated(here, job, |said| (said.at, said.until) = (said.at - days, said.until - days))
    };
    let unsigned = BAD[..6].iter().map(|(_, _, bad)| *bad);
    for bad in unsigned.chain([late]) {
        let job = job_id();
        here.hand_over(&job, &bad(&here, &other, &job));
        let note = Refused::of(&here.places, &job).expect("readable").expect("a note");
        assert_eq!(note.sealed, None, "{:?}", note.end);
    }
    let job = job_id();
    here.spool(job.as_str(), b"garbage");
    assert_ne!(here.take(&job), Some(0));
    let note = Refused::of(&here.places, &job).expect("readable").expect("a note");
    assert_eq!((note.sealed, note.until), (None, None));
}

#[test]
fn yesterdays_statement_is_late_and_tomorrows_runs() {
    let Some(here) = separated("yesterdays_statement_is_late_and_tomorrows_runs") else { return };
    let day = jiff::SignedDuration::from_hours(24);
    let job = job_id();
    let mut times = None;
    let parts = stated(&here, &job, |said| {
        (said.at, said.until) = (said.at - day, said.at - day + HOLDS_FOR);
        times = Some((said.at, said.until));
    });
    let end = here.hand_over(&job, &parts);
    let (at, until) = times.expect("noted");
    here.assert_refused(&job, &end, 75, &format!("made at {at} by the pusher's clock"));
    here.assert_refused(&job, &end, 75, &format!("held until {until}; here it is 2"));
    here.assert_refused(&job, &end, 75, "is one of the clocks wrong?");
    let job = job_id();
    let parts = stated(&here, &job, |said| {
        (said.at, said.until) = (said.at + day, said.at + day + HOLDS_FOR);
    });
    let end = here.hand_over(&job, &parts);
    assert_eq!((end.kind.code(), here.runs(&job)), (0, 1), "{end:?}");
}

/// The certificate that is trusted may be none at all: it is parsed then, and that is said.
#[test]
fn a_trusted_certificate_that_is_garbage_is_refused() {
    let Some(here) = separated("a_trusted_certificate_that_is_garbage_is_refused") else { return };
    let garbage = b"\x30\x84\xff\xff\xff\xff".to_vec();
    let thumbprint = Thumbprint::of_certificate(&garbage);
    here.write_config("trusted", &format!("{thumbprint} x user={}\n", here.user.name));
    let job = job_id();
    let mut parts = stated(&here, &job, |said| said.pusher = thumbprint);
    parts.certificate = garbage;
    let end = here.hand_over(&job, &parts);
    here.assert_refused(&job, &end, 77, "its certificate can't be used");
}

#[test]
fn without_its_own_thumbprint_a_tentacle_takes_nothing_up() {
    let test = "without_its_own_thumbprint_a_tentacle_takes_nothing_up";
    let Some(here) = unserved(test) else { return };
    let take = |job: &JobId| {
        here.spool_request(job, &here.marking(job));
        here.take(job)
    };
    let own = here.sandbox.config("tentacle");
    remove_file(&own).expect("remove");
    let job = job_id();
    assert_eq!(take(&job), Some(78));
    here.assert_refused(&job, &here.end_of(&job), 78, "its admin: octo-keys tentacle");
    // The previous one holds, and one that is no longer noted doesn't.
    let new = Pusher::new(&here.sandbox, "new").thumbprint();
    here.write_config("tentacle", &format!("{new}\n{}\n", here.tentacle));
    let job = job_id();
    assert_eq!((take(&job), here.runs(&job)), (Some(0), 1));
    here.write_config("tentacle", &format!("{new}\n"));
    let job = job_id();
    assert_eq!(take(&job), Some(77));
    here.assert_refused(&job, &here.end_of(&job), 77, "another tentacle");
}

#[test]
fn lines_that_the_address_decides_between_grant_nothing() {
    let Some(here) = separated("lines_that_the_address_decides_between_grant_nothing") else {
        return;
    };
    let user = &here.user.name;
    let (near, far) = (format!("ci user={user} from=10.0.0.0/8"), format!("ci user={user} hold"));
    here.trust(&[(&here.ci, &near), (&here.ci, &far)]);
    let job = job_id();
    let end = here.hand_over(&job, &request(&here, &job));
    here.assert_refused(&job, &end, 78, "grant otherwise by from= alone");
    here.assert_refused(&job, &end, 78, "lines 1 and 2");
}

#[test]
fn with_an_unsound_trust_file_nothing_is_taken_up() {
    let Some(here) = separated("with_an_unsound_trust_file_nothing_is_taken_up") else { return };
    here.write_config("trusted", "nonsense\n");
    let job = job_id();
    let end = here.hand_over(&job, &request(&here, &job));
    here.assert_refused(&job, &end, 75, "trusted:1");
}
