//! `run --stdin`: a job reads what was given to it, on each target the same, and nobody else
//! has a say in it.

use crate::fault_proxy::{Direction, FaultProxy, Faults, Plan};
use crate::support::random::Random;
use crate::support::stdout_of;
use crate::tentacle::Octopus;
use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use predicates::str::contains;
use std::io::Write;
use std::process::Stdio;

fn three() -> (Octopus, Vec<crate::tentacle::Tentacle>) {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let all = ["web1", "web2", "web3"].map(|name| octopus.tentacle(name, "web"));
    (octopus, all.into())
}

#[test]
fn each_of_several_targets_reads_the_same_and_none_keeps_it() {
    let (octopus, all) = three();
    octopus.sandbox.write("input", "one\ntwo\n");
    let shown = stdout_of(&mut octopus.push(&["-a", "-g", "run", "-c", "cat", "--stdin", "input"]));
    assert!(shown.contains("one\ntwo\n"), "{shown}");
    assert_eq!(shown.matches("two").count(), 1, "{shown}");
    for web in &all {
        let job = &web.jobs()[0];
        assert!(!job.join("stdin").exists());
        let spec = std::fs::read_to_string(job.join("spec")).expect("the spec");
        assert!(spec.contains(&format!("stdin {} 8\n", Digest::of(b"one\ntwo\n"))), "{spec}");
    }
    // What reads a part leaves the rest to who comes next, as with a shell's <FILE; a file
    // can be sought in.
    let read =
        "read -r a; echo \"first $a\"; cat; head -c 0 /dev/fd/0 2>/dev/null; test ! -p /dev/stdin";
    octopus
        .push(&["-t", "web1", "run", "--stdin", "input", "-c", read])
        .assert()
        .success()
        .stdout("first one\ntwo\n");
    // One that has none still reads nothing.
    octopus.push(&["-t", "web1", "run", "-c", "cat"]).assert().success().stdout("");
}

#[test]
fn it_may_be_a_pipe_or_empty_and_is_read_once() {
    let (octopus, _all) = three();
    let mut command = octopus.start(&["-a", "-g", "run", "-c", "cat", "--stdin", "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(b"\0by pipe\n").expect("written");
    let ended = child.wait_with_output().expect("its end");
    assert!(ended.status.success());
    assert!(ended.stdout.windows(9).any(|bytes| bytes == b"\0by pipe\n"), "{ended:?}");
    octopus.sandbox.write("empty", "");
    let run = ["-t", "web1", "run", "--stdin", "empty", "-c", "cat; echo end"];
    octopus.push(&run).assert().success().stdout("end\n");
}

#[test]
fn what_cant_be_read_is_told_before_anything_is_sent() {
    let (octopus, all) = three();
    let large = octopus.sandbox.path("large");
    std::fs::File::create(&large).and_then(|file| file.set_len((16 << 20) + 1)).expect("sparse");
    let directory = octopus.sandbox.path("config");
    for (file, code, said) in [
        ("missing", 65, "missing: no such file"),
        (large.to_str().expect("text"), 65, "16777216"),
        (directory.to_str().expect("text"), 65, "directory"),
    ] {
        let ended = octopus.push(&["-a", "run", "-c", "cat", "--stdin", file]).assert();
        ended.code(code).stderr(contains(said));
    }
    let twice = octopus.push(&["-a", "run", "--stdin", "-", "-"]).assert().code(64);
    twice.stderr(contains("standard input can be read once only"));
    assert!(all.iter().all(|web| web.jobs().is_empty()));
    octopus.sandbox.write("input", "x");
    let dry = octopus.push(&["-n", "-a", "run", "-c", "cat", "--stdin", "input"]).assert();
    dry.success().stdout(contains(format!("stdin {} (1 bytes)", Digest::of(b"x"))));
}

/// By name it is a new power, which the line has to give.
#[test]
fn a_script_by_name_reads_none_unless_its_line_says_so() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let scripts = octopus.sandbox.path("scripts");
    octopus.sandbox.write("scripts/take", "#!/bin/sh\ncat\n");
    octopus.sandbox.write("input", "given\n");
    let user = stdout_of(Command::new("id").arg("-un"));
    let line = format!(
        "{} octopus user={} scripts={}",
        octopus.thumbprint,
        user.trim(),
        scripts.display()
    );
    let run = ["-t", "web1", "run", "--name", "take", "--stdin", "input"];
    web1.set_trusted(&format!("{line}\n"));
    let ended = octopus.push(&run).assert().code(77);
    ended.stderr(contains("may give installed scripts no standard input"));
    octopus.push(&["-t", "web1", "run", "--name", "take"]).assert().success().stdout("");
    web1.set_trusted(&format!("{line} stdin\n"));
    octopus.push(&run).assert().success().stdout("given\n");
}

/// Cut in the middle it is sent again, and runs once.
#[test]
fn a_connection_that_breaks_in_it_runs_nothing_twice() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let proxy = FaultProxy::start(&web1.address);
    octopus.set_targets(&web1.line_at(&proxy.address.to_string(), "web"));
    let bytes = Random(3).bytes(2 << 20);
    std::fs::write(octopus.sandbox.path("input"), &bytes).expect("write");
    let up = Faults { cut_at: Some(1 << 20), ..Faults::default() };
    proxy.next(Plan { up, ..Plan::default() });
    let run = ["-t", "web1", "run", "--stdin", "input", "-c", "sha256sum"];
    octopus.push(&run).assert().success().stdout(contains(Digest::of(&bytes).to_string()));
    assert_eq!((web1.jobs().len(), proxy.accepted()), (1, 2));
    assert!(proxy.forwarded(Direction::Up) > 3 << 20);
}
