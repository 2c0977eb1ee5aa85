//! Pushers who are trusted and mean harm, or whose machine fails: what they cost.

#[path = "support/listener.rs"]
mod listener;
mod support;

use assert_cmd::cargo::cargo_bin;
use listener::{Side, Tentacle, job_id, own_user, wait_for};

/// A tentacle that trusts `ci`.
fn sides() -> (Side, Side) {
    let (here, ci) = (Side::new(cargo_bin!("octo-listen")), Side::new(cargo_bin!("octo-listen")));
    here.trust(&[(&ci, &format!("ci {}", own_user()))]);
    (here, ci)
}

/// The most memory that this process ever had, in KiB.
fn peak(tentacle: &Tentacle) -> u64 {
    let status = format!("/proc/{}/status", tentacle.child.id());
    let status = std::fs::read_to_string(status).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Taken apart as a whole, a spec of the shortest lines took forty times its size,
/// and a word of 4 MiB came back in the log.
#[test]
fn a_spec_of_millions_of_lines_or_words_costs_little() {
    let (here, ci) = sides();
    let mut tentacle = Tentacle::start(&here);
    for spec in [
        "a\n".repeat(2_000_000),
        format!("a{}\n", " ".repeat(4_000_000)),
        "a".repeat(4_000_000) + "\n",
    ] {
        let mut pusher = tentacle.connect(&ci).expect("trusted");
        let request = format!("run job={} by=me body={}", job_id(), spec.len());
        assert_eq!(pusher.no(&request, spec.as_bytes()), "malformed");
    }
    assert!(peak(&tentacle) < 40_000, "{} KiB", peak(&tentacle));
    tentacle.says("unknown key");
    assert!(tentacle.log().lines().all(|line| line.len() < 4000));
}

#[test]
fn a_listener_that_starts_sweeps_what_a_killed_one_left() {
    let (here, ci) = sides();
    let secrets = here.sandbox.write("state/jobs/.octo-tmp-left/secrets", "x");
    let tentacle = Tentacle::start(&here);
    wait_for("the sweep", || !secrets.parent().expect("a directory").exists());
    tentacle.connect(&ci).expect("trusted").yes("status", b"");
}
