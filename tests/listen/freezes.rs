//! Orders on their way through a listener: what can't be one is refused before it is spooled,
//! and what bounds runs is not asked.

use crate::fleet::{Fleet, fleet_with};
use crate::listener::{Pusher, job_id};
use crate::support::wait_for;
use jiff::{SignedDuration, Timestamp};
use octo_core::base::cli::utc;

fn in_hours(hours: i64) -> String {
    utc(Timestamp::now() + SignedDuration::from_hours(hours))
}

fn freeze() -> String {
    format!("freeze shop {} x\n", in_hours(2))
}

/// The code of the refusal of such a spec.
fn no(pusher: &mut Pusher, spec: &str, script: &[u8]) -> String {
    let (request, body) = pusher.request(&job_id(), spec, script, b"");
    pusher.no(&request, &body)
}

/// That it is accepted, and how it ended.
fn yes(pusher: &mut Pusher, spec: &str) -> (u64, String) {
    let id = job_id();
    let (request, body) = pusher.request(&id, spec, b"", b"");
    pusher.yes(&request, &body);
    let followed = pusher.follow(&id);
    (followed.code, String::from_utf8(followed.out).expect("text"))
}

fn is_frozen(fleet: &Fleet) -> bool {
    fleet.here.sandbox.state("freezes/shop").exists()
}

#[test]
fn what_is_no_order_is_refused_before_it_is_spooled() {
    let fleet = fleet_with("allow=freeze", "");
    let mut pusher = fleet.ci();
    for (spec, code) in [
        (format!("freeze shop {} x\n", in_hours(-1)), "late"),
        (format!("freeze shop {} x\n", in_hours(9000)), "limit"),
        (format!("freeze ../x {} x\n", in_hours(2)), "malformed"),
        (format!("freeze .octo-tmp-x {} x\n", in_hours(2)), "malformed"),
        (format!("freeze shop {} a%1B%5B2J\n", in_hours(2)), "malformed"),
        (format!("freeze shop {}\n", in_hours(2)), "malformed"),
        ("freeze shop never x\n".into(), "malformed"),
        ("thaw shop\nenv A x\n".into(), "malformed"),
        ("thaw shop\ncommand true\n".into(), "malformed"),
        ("command true\n".into(), "denied"),
        ("command true\ndespite x\n".into(), "denied"),
    ] {
        assert_eq!(no(&mut pusher, &spec, b""), code, "{spec}");
    }
    assert_eq!(no(&mut pusher, &freeze(), b"echo x"), "mismatch");
    // A freeze is no request of its own, and one who freezes cancels and lists nothing.
    let mut others = fleet.ci();
    for (request, code) in [("freeze", "unsupported"), ("jobs", "denied"), ("scripts", "denied")] {
        assert_eq!(others.no(request, b""), code, "{request}");
    }
    // Only asked.
    let spec = freeze();
    let id = job_id();
    let question = format!("run job={id} size={0} body={0}", spec.len());
    others.yes(&question, spec.as_bytes());
    assert!(!fleet.here.sandbox.state("jobs").join(&id).exists() && !is_frozen(&fleet));
    let spooled = fleet.here.sandbox.state("spool").read_dir().expect("spool").count();
    assert_eq!(
        (spooled, fleet.here.sandbox.state("jobs").read_dir().expect("jobs").count()),
        (0, 0)
    );
    let (code, out) = yes(&mut others, &spec);
    assert!(code == 0 && out.starts_with("shop: frozen until 2"), "{code} {out}");
    assert!(is_frozen(&fleet));
}

/// Counted by the listener as by octo-exec.
#[test]
fn a_freeze_waits_for_no_job() {
    let fleet = fleet_with("allow=run,freeze max-jobs=1 locks=", "");
    let mut pusher = fleet.ci();
    let id = job_id();
    let mark = fleet.here.sandbox.path("mark");
    pusher.run(&id, &format!("touch {}; exec sleep 300", mark.display()));
    wait_for("its script", || mark.exists());
    assert_eq!(no(&mut fleet.ci(), "command true\n", b""), "busy");
    assert_eq!(yes(&mut fleet.ci(), &freeze()).0, 0);
    assert!(is_frozen(&fleet));
    assert_eq!(yes(&mut fleet.ci(), "thaw shop\n").0, 0);
    assert!(!is_frozen(&fleet));
    // Nor is one in the way of a run.
    pusher.cancel(&id);
    pusher.follow(&id);
    assert_eq!(yes(&mut fleet.ci(), "command echo%20x\n"), (0, "x\n".into()));
}
