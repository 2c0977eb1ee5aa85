//! `run` without a statement: would it be accepted? What a question is told, and that
//! nothing comes of it.

use crate::fleet::{fleet, fleet_with};
use crate::listener::job_id;

fn asked(spec: &str, size: usize) -> String {
    format!("run job={} size={size} body={}", job_id(), spec.len())
}

#[test]
fn a_question_is_answered_as_the_run_would_be_and_nothing_comes_of_it() {
    let fleet = fleet_with("env=A locks=db max-size=1K", "");
    let mut pusher = fleet.ci();
    for (spec, code) in [
        ("command true\nenv B 1\n", "denied"),
        ("command true\nenv LD_PRELOAD 1\n", "denied"),
        ("command true\nlock web exclusive 1\n", "denied"),
        ("name x\n", "denied"),
        ("nonsense\n", "malformed"),
        ("", "malformed"),
    ] {
        assert_eq!(pusher.no(&asked(spec, spec.len()), spec.as_bytes()), code, "{spec}");
    }
    let spec = "command true\nenv A 1\nlock db exclusive 1\n";
    assert_eq!(pusher.no(&asked(spec, 1025), spec.as_bytes()), "limit");
    // Its spec alone is more than it said.
    let long = format!("command {}\n", "x".repeat(1100));
    assert_eq!(pusher.no(&asked(&long, 1), long.as_bytes()), "limit");
    // The connection is as it was, and a yes leaves nothing behind.
    let yes = pusher.yes(&asked(spec, 1024), spec.as_bytes());
    assert_eq!(yes.text("attached"), None);
    assert_eq!(pusher.list("jobs").len(), 0);
    let spool = fleet.here.sandbox.path("state/spool");
    assert_eq!(spool.read_dir().expect("spool").count(), 0);
}

#[test]
fn a_no_lists_the_variables_that_are_refused() {
    let fleet = fleet_with("env=A set=S=1", "");
    let mut pusher = fleet.ci();
    for (spec, names) in [
        ("command true\nenv A 1\nenv B 1\nenv S 1\nenv C 1\n", Some("B,C,S")),
        ("command true\nenv A 1\nenv PATH 1\nenv ifs 1\n", Some("PATH,ifs")),
        ("name x\n", None),
    ] {
        let no = pusher.ask(&asked(spec, 50), spec.as_bytes()).expect("a reply");
        assert_eq!((no.text("code"), no.text("variables")), (Some("denied"), names), "{spec}");
    }
    // More than a line holds: as many as it has room for, and the line is whole.
    let many: String = (0..3000).map(|n| format!("env {}{n} 1\n", "V".repeat(100))).collect();
    let spec = format!("command true\n{many}");
    let no = pusher.ask(&asked(&spec, spec.len()), spec.as_bytes()).expect("a reply");
    let listed = no.text("variables").expect("a list").split(',').count();
    assert!((50..100).contains(&listed), "{listed}");
    pusher.yes("status", b"");
}

#[test]
fn a_question_about_a_job_that_is_there_says_so() {
    let fleet = fleet();
    let (mut pusher, id) = (fleet.ci(), job_id());
    assert_eq!(pusher.run(&id, "true").word(), "ok");
    pusher.follow(&id);
    let question = |spec: &str| format!("run job={id} size=99 body={}", spec.len());
    let spec = "command true\n";
    let mut pusher = fleet.ci();
    assert_eq!(pusher.yes(&question(spec), spec.as_bytes()).text("attached"), Some("yes"));
    let other = "command false\n";
    assert_eq!(pusher.no(&question(other), other.as_bytes()), "conflict");
    // Another pusher's is not shown to exist.
    assert_eq!(fleet.cron().no(&question(spec), spec.as_bytes()), "missing");
}

#[test]
fn a_question_has_no_statement_and_its_length_is_bounded() {
    let fleet = fleet_with("", "allow=status,put");
    for (keys, code) in [
        ("size=9 request=5 signature=5 body=9", "malformed"),
        ("size=9 spec=9 body=9", "malformed"),
        ("size=9 script=0 body=9", "malformed"),
        ("size=9 stdin=0 body=9", "malformed"),
        ("size=-1 body=9", "malformed"),
        ("size=9 body=4194305", "limit"),
        ("size=9 body=9223372036854775807", "limit"),
    ] {
        assert_eq!(fleet.ci().no(&format!("run job={} {keys}", job_id()), b""), code, "{keys}");
    }
    // Who may run nothing need not send it.
    let spec = "command true\n";
    assert_eq!(fleet.cron().no(&asked(spec, 99), b""), "denied");
}
