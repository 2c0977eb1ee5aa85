//! `--bwlimit`: no more leaves than was said, nothing is lost by it, and it is no wait that
//! Ctrl-C or `--limit` can't end.

use crate::fault_proxy::{Direction, FaultProxy};
use crate::support::random::Random;
use crate::support::wait_for;
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use predicates::prelude::*;
use predicates::str::contains;
use rustix::process::{Pid, Signal, kill_process};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Bytes that nothing makes shorter, in a file of this sandbox.
fn file(octopus: &Octopus, name: &str, bytes: &[u8]) -> String {
    let path = octopus.sandbox.path(name);
    std::fs::write(&path, bytes).expect("write");
    path.to_str().expect("a path").to_string()
}

/// An octopus that reaches its tentacle through a proxy that counts.
fn through_a_proxy(names: usize) -> (Octopus, crate::tentacle::Tentacle, FaultProxy) {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let proxy = FaultProxy::start(&web1.address);
    let line = web1.line_at(&proxy.address.to_string(), "web");
    let rest = line.strip_prefix("web1").expect("its name");
    let lines: Vec<String> = (1..=names).map(|number| format!("web{number}{rest}")).collect();
    octopus.set_targets(&lines.join("\n"));
    (octopus, web1, proxy)
}

#[test]
fn a_limit_is_not_beaten_and_all_of_it_comes() {
    let (octopus, web1, proxy) = through_a_proxy(1);
    let bytes = Random(1).bytes(300 << 10);
    let path = file(&octopus, "large", &bytes);
    let began = Instant::now();
    let put = ["--bwlimit", "100K", "-t", "web1", "put", &path];
    octopus.push(&put).assert().success();
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    let there = web1.state.join("packages").join(Digest::of(&bytes).to_string());
    assert_eq!(std::fs::read(there).expect("the package"), bytes);
    let passed = proxy.forwarded(Direction::Up);
    assert!(passed >= 300 << 10, "{passed}");
}

/// Each target has a bound of its own beside that of all.
#[test]
fn several_at_once_share_what_there_is_and_each_comes_to_its_end() {
    let (octopus, _web1, proxy) = through_a_proxy(4);
    let script = format!("#!/bin/sh\nexit 0\n{}", text(48 << 10));
    let path = file(&octopus, "x.sh", script.as_bytes());
    let began = Instant::now();
    let run = ["--bwlimit", "50K,100K", "-a", "run", &path];
    octopus.push(&run).assert().success();
    // Compressed it is three quarters as long.
    assert!(began.elapsed() >= Duration::from_millis(1200), "{:?}", began.elapsed());
    assert!(proxy.forwarded(Direction::Up) >= (4 * 34) << 10);
}

/// Letters of which there is no pattern.
fn text(length: usize) -> String {
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    let mut random = Random(2);
    (0..length).map(|_| random.of(&letters)).collect()
}

#[test]
fn what_would_starve_a_target_is_refused_before_anything_is_sent() {
    let (octopus, _web1, proxy) = through_a_proxy(7);
    let ended = octopus.push(&["--bwlimit", "100K", "-a", "status"]).assert().code(64);
    let said = "--bwlimit: 7 targets at once need 112K in all, 16K each";
    ended.stderr(contains(said).and(contains("or fewer at once: -f 6")));
    let ended = octopus.push(&["--bwlimit", "15K", "-a", "status"]).assert().code(64);
    ended.stderr(contains("--bwlimit 15K: not a rate such as 10M").and(contains("16K a second")));
    assert_eq!(proxy.accepted(), 0);
    let few = ["--bwlimit", "100K", "-f", "6", "-a", "status"];
    octopus.push(&few).assert().success();
}

#[test]
fn ctrl_c_ends_a_transfer_that_waits_and_nothing_has_run() {
    let (octopus, web1, proxy) = through_a_proxy(1);
    let package = file(&octopus, "large", &Random(1).bytes(4 << 20));
    // As a script it is compressed by a quarter.
    let script = file(&octopus, "x.sh", text(4 << 20).as_bytes());
    for (words, said) in [(["put", &package], "cancelled"), (["run", &script], "before it began")] {
        let before = proxy.forwarded(Direction::Up);
        let mut command =
            octopus.start(&[&["--bwlimit", "16K", "-t", "web1"][..], &words].concat());
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started");
        wait_for("bytes of it", || proxy.forwarded(Direction::Up) > before + (24 << 10));
        kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
        let ended = child.wait_with_output().expect("its end");
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(130), "{told}");
        assert!(told.contains(said) && !told.contains("perhaps accepted"), "{told}");
        // All of it takes minutes.
        assert!(proxy.forwarded(Direction::Up) < before + (1 << 20));
    }
    assert_eq!(web1.jobs().len(), 0);
}

#[test]
fn a_limit_in_time_bounds_it_all_the_same() {
    let (octopus, _web1, _proxy) = through_a_proxy(1);
    let path = file(&octopus, "large", &Random(1).bytes(4 << 20));
    let put = ["--bwlimit", "16K", "--limit", "2", "-t", "web1", "put", &path];
    octopus.push(&put).assert().code(69).stderr(contains("not over within --limit 2s"));
}
