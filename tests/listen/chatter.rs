//! A pusher who is trusted and asks the same again and again: few lines, and none of it
//! uncounted.

use crate::fleet::{Fleet, fleet_with};
use crate::listener::{Side, job_id, sides};
use crate::start::{fill_log, start_unread};
use crate::support::wait_for;
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use rustix::process::Signal;
use std::time::Instant;

fn audit_log(fleet: &Fleet) -> String {
    std::fs::read_to_string(fleet.here.sandbox.state("listen/audit.log")).expect("a log")
}

/// The lines of this event.
fn lines<'a>(log: &'a str, event: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(&format!(" {event} "))).collect()
}

/// The counts of the lines that have some.
fn counted(lines: &[&str]) -> u64 {
    let counts = lines.iter().filter_map(|line| line.split(" count=").nth(1));
    counts
        .map(|rest| rest.split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a count"))
        .sum()
}

/// The lines that a listener may have written of what goes on since then: one a minute.
fn minutes(began: Instant) -> usize {
    (began.elapsed().as_secs() / 60) as usize
}

/// On one connection and on new ones; what was counted is there when it has ended.
#[test]
fn a_pusher_who_is_refused_again_and_again_writes_a_line_a_minute() {
    let mut fleet = fleet_with("", "allow=status");
    let began = Instant::now();
    let put = |n: u32| format!("put sha256={} size=9 name=x", Digest::of(&n.to_be_bytes()));
    for connection in 0..20 {
        let mut pusher = fleet.cron();
        for n in 0..50 {
            assert_eq!(pusher.no(&put(connection * 50 + n), b""), "denied");
        }
    }
    // Another kind is told at once, and so is another pusher.
    assert_eq!(fleet.cron().no("jobs", b""), "denied");
    assert_eq!(fleet.ci().no(&format!("follow job={}", job_id()), b""), "missing");
    let log = audit_log(&fleet);
    let denied = lines(&log, "denied");
    let first: Vec<&&str> = denied.iter().filter(|line| !line.contains(" count=")).collect();
    assert_eq!(first.len(), 3, "{log}");
    assert!(denied.len() <= 3 + minutes(began), "{log}");
    assert!(log.lines().count() < 20, "{log}");
    fleet.tentacle.says("put: denied");
    let said = fleet.tentacle.log();
    assert_eq!(said.matches("put: denied").count(), 1, "{said}");
    // A TERM ends it at once, and loses none of them.
    fleet.tentacle.signal(Signal::TERM);
    assert!(fleet.tentacle.child.wait().expect("wait").code().is_none());
    let log = audit_log(&fleet);
    let denied = lines(&log, "denied");
    assert_eq!(counted(&denied), 999, "{log}");
    assert!(log.contains("what=put%20denied:%20999"), "{log}");
    assert!(lines(&log, "left").is_empty(), "{log}");
    let mut check = fleet.here.sandbox.tool("octo-listen");
    check.arg("--check-audit").assert().success();
}

/// Neither strangers nor a log that nobody reads use up the time that a TERM leaves for it.
#[test]
fn what_a_pusher_was_refused_is_recorded_first_at_the_end() {
    let (here, ci) = sides();
    here.trust(&[(&ci, "ci allow=status")]);
    let mut tentacle = start_unread(&here);
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    for _ in 0..10 {
        assert_eq!(pusher.no("jobs", b""), "denied");
    }
    let stranger = Side::new(cargo_bin!("octo-listen"));
    let log = || std::fs::read_to_string(here.sandbox.state("listen/audit.log")).expect("a log");
    wait_for("a refusal", || {
        // TLS 1.3: who is refused may learn it with the first answer.
        let _ = tentacle.connect(&stranger).and_then(|mut pusher| pusher.ask("status", b""));
        lines(&log(), "refused").len() == 1
    });
    for _ in 0..10 {
        let _ = tentacle.connect(&stranger).and_then(|mut pusher| pusher.ask("status", b""));
    }
    fill_log(&here);
    tentacle.signal(Signal::TERM);
    assert!(tentacle.child.wait().expect("wait").code().is_none());
    assert_eq!(counted(&lines(&log(), "denied")), 9, "{}", log());
}

#[test]
fn a_refusal_is_recorded_though_the_log_takes_no_more() {
    let (here, ci) = sides();
    here.trust(&[(&ci, "ci allow=status")]);
    let tentacle = start_unread(&here);
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    fill_log(&here);
    std::thread::scope(|scope| {
        // It is answered no more: the tentacle hangs.
        let asked = scope.spawn(move || pusher.ask("jobs", b"").is_err());
        let path = here.sandbox.state("listen/audit.log");
        let log = || std::fs::read_to_string(&path).unwrap_or_default();
        wait_for("a record", || lines(&log(), "denied").len() == 1);
        drop(tentacle);
        assert!(asked.join().expect("a thread"));
    });
}

#[test]
fn questions_asked_again_and_again_are_counted_and_jobs_recorded_one_by_one() {
    let mut fleet = fleet_with("", "");
    let ids: Vec<String> = (0..20).map(|_| job_id()).collect();
    for id in &ids {
        let mut pusher = fleet.ci();
        pusher.yes("status", b"");
        pusher.list("jobs");
        pusher.list("scripts");
        assert_eq!(pusher.run(id, "true").word(), "ok");
        drop(fleet.ci());
    }
    for _ in 0..20 {
        assert_eq!(fleet.ci().follow(&ids[0]).kind, "exit");
        assert_eq!(fleet.ci().run(&ids[0], "true").text("attached"), Some("yes"));
    }
    fleet.tentacle.signal(Signal::INT);
    assert!(fleet.tentacle.child.wait().expect("wait").code().is_none());
    let log = audit_log(&fleet);
    assert_eq!(lines(&log, "run").len(), 20, "{log}");
    for event in ["status", "jobs", "scripts", "left", "follow", "attach"] {
        assert!((1..=2).contains(&lines(&log, event).len()), "{event}: {log}");
    }
    // Each of them is a line or in a count.
    let told: usize = ["status", "jobs", "scripts", "follow", "attach"]
        .iter()
        .map(|event| lines(&log, event).len())
        .sum();
    let left = lines(&log, "left").len() as u64;
    let asked = counted(&lines(&log, "repeated")) + told as u64 + left;
    assert!((5 * 20..=6 * 20).contains(&asked), "{asked}: {log}");
}

/// A reply whose request was only counted carries the newest head all the same.
#[test]
fn heads_go_forward_whether_a_line_is_written_or_not() {
    let fleet = fleet_with("", "");
    let mut pusher = fleet.ci();
    let mut seen = 0;
    for n in 0..30 {
        let reply = match n % 3 {
            0 => pusher.yes("status", b""),
            1 => pusher.ask(&format!("follow job={}", job_id()), b"").expect("a no"),
            _ => pusher.put(&[n]),
        };
        let head = reply.text("audit").expect("a head");
        let (seq, hash) = head.split_once(':').expect("SEQ:HASH");
        let seq: u64 = seq.parse().expect("a number");
        assert!(seq >= seen, "{reply:?}");
        seen = seq;
        assert!(audit_log(&fleet).contains(hash), "{reply:?}");
    }
    assert!(seen > 20, "{seen}");
}
