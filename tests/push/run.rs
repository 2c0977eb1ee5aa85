//! octo-push against real tentacles: what it puts and runs, and what comes back.

use crate::support::{set_mode, stdout_of};
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;

fn octopus() -> Octopus {
    Octopus::new(cargo_bin!("octo-push"))
}

#[test]
fn exit_codes_come_back_as_they_are() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    for code in [0, 1, 4, 5, 44, 255] {
        octopus
            .push(&["-t", "web1", "run", "-c", &format!("echo out; echo err >&2; exit {code}")])
            .assert()
            .code(code)
            .stdout("out\n")
            .stderr(contains("err\n"));
    }
    octopus
        .push(&["-t", "web1", "run", "-c", "kill -TERM $$"])
        .assert()
        .code(143)
        .stderr(contains("web1: died of signal 15 (SIGTERM)"));
    octopus
        .push(&["-t", "web1", "run", "-T", "1s", "-k", "1s", "-c", "sleep 60"])
        .assert()
        .code(124)
        .stderr(contains("time limit"));
}

#[test]
fn both_streams_come_back_byte_for_byte() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    // NULs, invalid UTF-8, an escape sequence, no newline at the end.
    let script = "#!/bin/sh\nprintf 'a\\0b\\377\\033[31m\\r\\nend'; printf 'e\\233' >&2\n";
    octopus.sandbox.write("odd name\n é.sh", script);
    let output = octopus.push(&["-t", "web1", "run", "odd name\n é.sh"]).output().expect("runs");
    assert_eq!(output.stdout, b"a\0b\xff\x1b[31m\r\nend");
    assert_eq!(output.stderr, b"e\x9b");
    assert!(output.status.success());
}

#[test]
fn arguments_variables_and_secrets_arrive() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let script = "#!/bin/sh\nprintf '[%s]' \"$@\" \"$A\" \"$B\" \"$TOKEN\"\n";
    octopus.sandbox.write("show.sh", script);
    octopus.sandbox.write("all.env", "A=1\nB=from the file\n");
    octopus.sandbox.write("web1.env", b"A=two\nlines\0");
    let secrets = octopus.sandbox.write("secrets", "TOKEN=hunter2hunter2\n");
    let run: Vec<&str> = vec![
        "-t", "web1", "run", "-E", "all.env", "-E", "%n.env", "-e", "X=() {", "-S", "secrets",
        "show.sh", "", "a b\n", "-x",
    ];
    set_mode(&secrets, 0o644);
    octopus.push(&run).assert().code(78).stderr(contains("others can read these secrets"));
    set_mode(&secrets, 0o600);
    // The secret arrives, and is masked in the output.
    let out = stdout_of(&mut octopus.push(&run));
    assert!(out.starts_with("[][a b\n][-x][two\nlines][from the file]["), "{out}");
    assert!(!out.contains("hunter2"), "{out}");
    for job in web1.jobs() {
        for name in ["spec", "request", "log"] {
            let bytes = std::fs::read(job.join(name)).expect("read");
            assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "{name}");
        }
    }
    octopus
        .push(&["-t", "web1", "run", "-e", "LD_PRELOAD=x", "-c", "true"])
        .assert()
        .code(77)
        .stderr(contains("LD_PRELOAD"));
}

#[test]
fn put_is_idempotent_and_run_brings_its_package() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    for (name, bytes) in [("empty", vec![]), ("a b\né.tar", vec![7; 700_001])] {
        octopus.sandbox.write(name, &bytes);
        let put = ["-v", "-t", "web1", "put", name];
        octopus.push(&put).assert().success().stderr(contains(" put, "));
        octopus.push(&put).assert().success().stderr(contains(" was there"));
        let run = ["-t", "web1", "run", "-p", name, "-c", "cat \"$OCTO_PACKAGE\""];
        let output = octopus.push(&run).output().expect("runs");
        assert!(output.stdout == bytes, "{name}: {:?}", output.stderr);
    }
    // A package that is only named by its sha256, known and unknown.
    octopus.sandbox.write("p", "p");
    let sha256 = octo_core::Digest::of(b"p").to_string();
    let run = ["-t", "web1", "run", "-p", &sha256, "-c", "cat \"$OCTO_PACKAGE\""];
    octopus.push(&run).assert().code(65).stderr(contains("missing"));
    octopus.push(&["-t", "web1", "put", "p"]).assert().success();
    octopus.push(&run).assert().success().stdout("p");
    assert!(web1.state.join("packages").join(&sha256).exists());
}

#[test]
fn a_broken_upload_goes_on_where_it_was() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    octopus.sandbox.write("big", &bytes);
    let sha256 = octo_core::Digest::of(&bytes).to_string();
    let incoming = web1.state.join("packages/incoming");
    std::fs::create_dir_all(&incoming).expect("mkdir");
    std::fs::write(incoming.join(format!("{sha256}.octopus")), &bytes[..2_000_000]).expect("write");
    // About the million that was missing.
    octopus
        .push(&["-v", "-t", "web1", "put", "big"])
        .assert()
        .success()
        .stderr(contains("big put, 97"));
    let stored = std::fs::read(web1.state.join("packages").join(&sha256)).expect("stored");
    assert!(stored == bytes);
}

#[test]
fn several_targets_are_told_apart() {
    let mut octopus = octopus();
    let tentacles: Vec<_> =
        ["web1", "web2", "db1"].map(|name| octopus.tentacle(name, &name[..name.len() - 1])).into();
    let name = "basename \"$(dirname \"$(dirname \"$PWD\")\")\" >/dev/null; echo $OCTO_JOB";
    let out = stdout_of(&mut octopus.push(&["-a", "run", "-c", name]));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    let ids: Vec<&str> = lines.iter().filter_map(|l| l.split(": ").nth(1)).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "one id for all: {out}");
    assert!(lines.iter().any(|l| l.starts_with("db1: ")), "{out}");

    octopus
        .push(&["-t", "web", "-g", "run", "-c", "echo same; exit 3"])
        .assert()
        .code(3)
        .stdout("--- web[1,2] (2): exit 3\nsame\n")
        .stderr(contains("web1: exit 3").and(contains("0 of 2 succeeded")));
    // Quiet: nothing on success, everything of those that failed.
    let fail = "echo hello; test ! -e \"$0.never\"; case $PWD in */db1/*) exit 4;; esac";
    octopus.push(&["-q", "-t", "web", "run", "-c", fail]).assert().success().stdout("").stderr("");
    octopus
        .push(&["-q", "-a", "run", "-c", fail])
        .assert()
        .code(4)
        .stdout("db1: hello\n")
        .stderr(contains("db1: exit 4"));
    octopus
        .push(&["-a", "run", "-c", "case $PWD in */db1/*) exit 4;; esac; exit 5"])
        .assert()
        .code(1);
    drop(tentacles);
}

#[test]
fn json_end_and_outputs_tell_kind_code_and_origin() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let script = "echo URL=http://x > $OCTO_OUTPUT; echo hi; exit 124";
    let out = octopus
        .push(&["-t", "web1", "--json", "run", "--end", "end", "--outputs", "out", "-c", script])
        .assert()
        .code(124)
        .get_output()
        .stdout
        .clone();
    let text = String::from_utf8(out).expect("UTF-8");
    let types: Vec<&str> = text.lines().filter_map(|l| l.split('"').nth(3)).collect();
    assert_eq!(types, ["start", "output", "end"], "{text}");
    assert!(text.contains(r#""kind":"exit","code":124,"origin":"script""#), "{text}");
    assert!(text.contains(r#""outputs":{"URL":"http://x"}"#), "{text}");
    let read = |name: &str| std::fs::read_to_string(octopus.sandbox.path(name)).expect(name);
    assert!(read("end").contains("kind exit\ncode 124\norigin script\n"), "{}", read("end"));
    assert_eq!(read("out"), "URL=http://x\n");
    octopus
        .push(&["-t", "web1", "run", "--end", "end", "-T", "1s", "-k", "1s", "-c", "sleep 99"])
        .assert()
        .code(124);
    assert!(read("end").contains("kind timeout\n"), "{}", read("end"));
}

#[test]
fn output_can_go_to_files_and_to_nobody() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus
        .push(&["-t", "web1", "run", "-o", "%n.log", "-c", "echo out; echo err >&2"])
        .assert()
        .success()
        .stdout("")
        .stderr("err\n");
    let log = std::fs::read(octopus.sandbox.path("web1.log")).expect("a log");
    assert_eq!(log, b"out\n");
    // A full disk is told after the job, whose own code would count for more.
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("open");
    for (code, status) in [(0, 74), (7, 7)] {
        let output = octopus
            .start(&["-t", "web1", "run", "-c", &format!("echo x; echo done >&2; exit {code}")])
            .stdout(full())
            .output()
            .expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains("done\n") && said.contains("standard output: no space"), "{said}");
    }
    // A reader that leaves ends no job.
    let push = octopus.sandbox.program("octo-push");
    let line = format!(
        "{} -t web1 run -c 'seq 200000; exit 9' | head -n 2000 | tail -n 1; echo ${{PIPESTATUS[0]}}",
        push.display()
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &line])
        .env("OCTO_CONFIG", octopus.sandbox.path("config"))
        .env("OCTO_STATE", octopus.sandbox.path("state"))
        .output()
        .expect("runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2000\n9\n");
}

#[test]
fn an_id_makes_repeating_safe() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let id = "20260101T000000-abcdefghijklm";
    let count = octopus.sandbox.path("count");
    let command = format!("echo x >> {}; exit 6", count.display());
    let secret = octopus.sandbox.write("s", "TOKEN=hunter2hunter2\n");
    set_mode(&secret, 0o600);
    for _ in 0..2 {
        octopus.push(&["-t", "web1", "run", "-j", id, "-S", "s", "-c", &command]).assert().code(6);
    }
    assert_eq!(std::fs::read(&count).expect("ran"), b"x\n");
    octopus
        .push(&["-t", "web1", "run", "-j", id, "-c", "true"])
        .assert()
        .code(65)
        .stderr(contains("conflict"));
    octopus.push(&["follow", id]).assert().code(6);
    assert_eq!(web1.jobs().len(), 1);
}

#[test]
fn detached_jobs_are_followed_listed_and_cancelled() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let spoke = octopus.sandbox.path("spoke");
    let command = format!("echo a; touch {}; sleep 60", spoke.display());
    let id = stdout_of(&mut octopus.push(&["-t", "web1", "run", "-D", "-c", &command]));
    let id = id.trim();
    while !spoke.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    octopus.push(&["-t", "web1", "jobs"]).assert().success().stdout(contains(id));
    octopus.push(&["-v", "cancel", id]).assert().success();
    octopus.push(&["follow", id]).assert().code(130).stdout("a\n").stderr(contains("cancelled"));
    octopus
        .push(&["-t", "web1", "follow", "20260101T000000-aaaaaaaaaaaaa"])
        .assert()
        .code(65)
        .stderr(contains("missing"));
}

#[test]
fn artifacts_are_listed_and_fetched() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let command = "printf report > \"$OCTO_ARTIFACTS/a b.txt\"";
    let id = stdout_of(&mut octopus.push(&["-t", "web1", "run", "-D", "-c", command]));
    let id = id.trim();
    octopus.push(&["follow", id]).assert().success();
    octopus.push(&["get", id]).assert().success().stdout(contains("a b.txt"));
    octopus.push(&["get", "-o", "got/%n", id, "a b.txt"]).assert().success();
    let got = std::fs::read(octopus.sandbox.path("got/web1/a b.txt")).expect("got");
    assert_eq!(got, b"report");
    octopus.push(&["get", id, "../x"]).assert().code(64);
    octopus.push(&["get", id, "nothing"]).assert().code(65).stderr(contains("missing"));
}

#[test]
fn status_targets_and_dry_run() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus
        .push(&["-a", "status"])
        .assert()
        .success()
        .stdout(contains("web1: version ").and(contains("0 running")));
    octopus
        .push(&["targets"])
        .assert()
        .success()
        .stdout(contains(format!("web1 {} ", web1.address)));
    octopus
        .push(&["--json", "-t", "web", "targets"])
        .assert()
        .stdout(contains(r#""tags":["web"]"#));
    octopus.sandbox.write("p", "x");
    octopus
        .push(&["-n", "-t", "web1", "run", "-p", "p", "-c", "true"])
        .assert()
        .success()
        .stdout(contains("put p ").and(contains("run sh -c true")));
    let follow = ["-n", "-t", "web1", "follow", "20260101T000000-aaaaaaaaaaaaa"];
    let said = contains("web1 (").and(contains("follow 20260101T"));
    octopus.push(&follow).assert().success().stdout(said).stderr("");
    octopus.push(&["journal"]).assert().success().stdout("");
    octopus.push(&["-t", "web1", "jobs"]).assert().success().stdout("");
    octopus
        .push(&["-t", "web1", "uname"])
        .assert()
        .code(64)
        .stderr(contains("octo-push -t web1 run -c uname"));
    octopus.push(&["status"]).assert().code(64).stderr(contains("no target is selected"));
    octopus.push(&["-t", "wbe", "status"]).assert().code(65).stderr(contains("wbe: no target"));
}

#[test]
fn what_was_done_is_in_the_journal_and_the_tentacle_can_prove_its_log() {
    let (octopus, mut web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus.push(&["-a", "audit"]).assert().success().stderr(contains("nothing to prove"));
    octopus.sandbox.write("p", "x");
    octopus.push(&["-a", "put", "p"]).assert().success();
    octopus.push(&["-a", "run", "-p", "p", "-c", "exit 3"]).assert().code(3);
    let journal = stdout_of(&mut octopus.push(&["journal"]));
    let digest = octo_core::Digest::of(b"x").to_string();
    assert!(journal.contains(" put web1 done 0 package="), "{journal}");
    assert!(journal.contains(" run web1 begun - job="), "{journal}");
    assert!(journal.contains(" run web1 exit 3 job="), "{journal}");
    assert!(journal.contains(&digest) && journal.contains(" audit="), "{journal}");
    octopus.push(&["--json", "journal", "web2"]).assert().success().stdout("");
    octopus.push(&["-v", "-a", "audit"]).assert().success().stderr(contains("heads hold"));
    // One who changes a line of it can't make the heads that were given out.
    web1.kill();
    let log = web1.state.join("listen/audit.log");
    let text = std::fs::read_to_string(&log).expect("read");
    std::fs::write(&log, text.replacen("put", "get", 1)).expect("write");
    web1.start();
    octopus.push(&["-a", "audit"]).assert().code(65).stderr(
        contains("listener's audit log was changed").and(contains("octo-listen --check-audit")),
    );
}

#[test]
fn those_that_failed_last_time_can_be_selected() {
    let mut octopus = octopus();
    let tentacles = ["web1", "web2", "web3"].map(|name| octopus.tentacle(name, "web"));
    octopus.push(&["-t", "failed:LAST", "status"]).assert().code(65).stderr(contains("on record"));
    let command = "case $PWD in */web2/*) exit 4;; esac; echo ok";
    octopus.push(&["-a", "run", "-c", command]).assert().code(4);
    octopus
        .push(&["-t", "failed:LAST", "-n", "run", "-c", "true"])
        .assert()
        .success()
        .stdout(contains("web2").and(contains("web1").not()));
    octopus.push(&["-t", "failed:LAST", "run", "-c", "true"]).assert().success();
    octopus
        .push(&["-t", "failed:LAST", "status"])
        .assert()
        .code(65)
        .stderr(contains("no target failed"));
    drop(tentacles);
}

#[test]
fn json_says_of_every_verb_how_it_ended() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus.add_target(&format!("down 127.0.0.1:1 {}", web1.thumbprint));
    octopus.sandbox.write("a.txt", "a");
    let arguments = ["-a", "--json", "--record", "record", "put", "a.txt"];
    let output = octopus.push(&arguments).output().expect("runs");
    assert_eq!(output.status.code(), Some(69));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort();
    let end = |target, rest| format!(r#"{{"type":"end","target":"{target}","job":null,{rest}"#);
    assert!(lines[0].starts_with(&end("down", r#""kind":"failed","code":69"#)), "{out}");
    assert!(lines[1].starts_with(&end("web1", r#""kind":"done","code":0"#)), "{out}");
    assert_eq!(std::fs::read_to_string(octopus.sandbox.path("record")).expect("a record"), out);
    let status = stdout_of(&mut octopus.push(&["-t", "web1", "--json", "status"]));
    let kinds: Vec<&str> = status.lines().filter_map(|line| line.split('"').nth(3)).collect();
    assert_eq!(kinds, ["status", "end"], "{status}");
    let twice = ["-n", "-t", "web1", "put", "a.txt", "a.txt"];
    octopus.push(&twice).assert().success().stdout(contains(", put a.txt "));
    octopus
        .push(&["-t", "web1", "journal"])
        .assert()
        .code(64)
        .stderr(contains("journal: --target: no such"));
}
