//! One octo-push and a fleet: batches that stop and go on, a thousand targets,
//! a hundred talkers.

use crate::support::{peak_of, stdout_of, wait_for};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn fleet(count: usize) -> (Octopus, Vec<Tentacle>) {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let tentacles = (1..=count)
        .map(|number| {
            let tags = if number == 3 { "web canary" } else { "web" };
            octopus.tentacle(&format!("web{number}"), tags)
        })
        .collect();
    (octopus, tentacles)
}

#[test]
fn a_rollout_stops_at_a_failure_and_is_continued() {
    let (octopus, tentacles) = fleet(5);
    let broken = octopus.sandbox.write("broken", "");
    let command = format!("case $PWD in */web2/*) ! test -e {} ;; esac", broken.display());
    let arguments = ["-a", "--canary", "canary", "--batch", "2", "run", "-c", &command];
    let output = octopus.push(&arguments).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Canary web3; then web1 and web2, of which one failed.
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "rollout stopped: a target failed",
        "done: web[1,3]",
        "failed: web2",
        "not begun: web[4,5]",
        "hint: to continue: octo-push -a --canary canary --batch 2 run -j ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let job = said.split("run -j ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an id");
    std::fs::remove_file(&broken).expect("remove");
    let again = ["-a", "--canary", "canary", "--batch", "2", "run", "-j", job, "-c", &command];
    octopus.push(&again).assert().success();
    // Nothing ran twice but what had failed.
    for tentacle in &tentacles {
        let runs = tentacle.jobs().len();
        assert_eq!(runs, if tentacle.name == "web2" { 2 } else { 1 }, "{}", tentacle.name);
    }
    // Once more: all is done.
    octopus.push(&again).assert().success();
    assert_eq!(tentacles.iter().map(|t| t.jobs().len()).sum::<usize>(), 6);
}

/// A job that is tried again has an id of its own: by the rollout's id it is meant.
#[test]
fn what_is_tried_again_is_cancelled_and_fetched_by_the_id_of_the_rollout() {
    let (octopus, tentacles) = fleet(1);
    let tried = octopus.sandbox.path("tried");
    let command = format!(
        "if test -e {0}; then echo 2 >$OCTO_ARTIFACTS/a; touch {0}.made; sleep 300; fi; \
         touch {0}; exit 3",
        tried.display()
    );
    let id = "20260101T000000-aaaaaaaaaaaaa";
    let line = ["-a", "--batch", "1", "run", "-j", id, "-c", &command];
    octopus.push(&line).assert().code(3);
    let mut again = octopus.start(&line).spawn().expect("spawn");
    let is_running = |job: &PathBuf| job.join("started").exists() && !job.join("end").exists();
    let made = octopus.sandbox.path("tried.made");
    wait_for("the second try", || made.exists());
    octopus.push(&["cancel", id]).assert().success();
    again.wait().expect("wait");
    assert!(!tentacles[0].jobs().iter().any(is_running));
    octopus.push(&["get", "-o", "got", id, "a"]).assert().success();
    assert_eq!(std::fs::read(octopus.sandbox.path("got/a")).expect("got"), b"2\n");
}

#[test]
fn the_continuing_command_can_be_pasted() {
    let (octopus, tentacles) = fleet(3);
    octopus.push(&["-t", "web1,web2", "run", "-c", "exit 1"]).assert().code(1);
    // The gate is misspelt: what was done is told all the same.
    let command = "echo one\necho 'two'";
    let arguments =
        ["-t", "failed:LAST", "--batch", "1", "-g", "--gate", "nosuch", "run", "-c", command];
    let output = octopus.push(&arguments).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "--- web1 (1): ok\none\ntwo\n");
    for part in ["the gate nosuch can't be run", "done: web1", "not begun: web2"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let again = said.split("to continue: octo-push").nth(1).expect("a command").trim_end();
    let again = again.replace("nosuch", "true");
    let program = octopus.sandbox.program("octo-push");
    let scrubbed = octopus.start(&[]);
    let mut bash = std::process::Command::new("bash");
    bash.arg("-c").arg(format!("{}{again}", program.display()));
    for (name, value) in scrubbed.get_envs() {
        bash.env(name, value.unwrap_or_default());
    }
    let output = bash.output().expect("runs");
    assert!(output.status.success(), "{again}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "--- web2 (1): ok\none\ntwo\n");
    let runs = tentacles.iter().map(|t| t.jobs().len()).collect::<Vec<_>>();
    assert_eq!(runs, [2, 2, 0]);
}

#[test]
fn a_gate_finds_the_records_of_its_batch() {
    let (octopus, tentacles) = fleet(3);
    let look = "#!/bin/sh\ncd \"$1\" || exit 9; shift\n\
                for t; do grep -q '^kind exit$' end.$t && cat out.$t values.$t; done >> seen\n\
                grep -c '^target' all >> counted; test \"$1\" != web2\n";
    let gate = octopus.sandbox.write("gate.sh", look);
    let gate = format!("sh {} {}", gate.display(), octopus.sandbox.path("").display());
    let run = |end: &str| {
        let command = "echo out; echo VALUE=1 > $OCTO_OUTPUT";
        let mut arguments = vec!["-a", "--batch", "1", "--gate", &gate, "run", "--end", end];
        arguments.extend(["-o", "out.%n", "--outputs", "values.%n", "-c", command]);
        octopus.push(&arguments).assert().code(1).stderr(contains("not begun: web3"));
    };
    let read = |name| std::fs::read_to_string(octopus.sandbox.path(name)).expect(name);
    run("end.%n");
    assert_eq!(read("seen"), "out\nVALUE=1\n".repeat(2));
    assert!(!octopus.sandbox.path("end.web3").exists());
    // One file for all has those that are over, each once.
    run("all");
    assert_eq!(
        read("counted").lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(),
        ["1", "2"]
    );
    assert_eq!(read("all").matches("kind exit\n").count(), 2, "{}", read("all"));
    assert!(tentacles[2].jobs().is_empty());
}

#[test]
fn gates_pauses_and_dry_runs() {
    let (octopus, tentacles) = fleet(3);
    let gate = octopus
        .sandbox
        .write("gate.sh", "#!/bin/sh\necho gate: \"$@\" >> gates\ntest $2 != web2\n");
    let gate = format!("sh {} check", gate.display());
    let dry = stdout_of(&mut octopus.push(&["-n", "-a", "--batch", "1", "run", "-c", "true"]));
    assert!(dry.contains("batch 1: web1 (") && dry.contains("batch 3: web3 ("), "{dry}");
    octopus
        .push(&["-a", "--batch", "1", "--pause", "1s", "--gate", &gate, "run", "-c", "true"])
        .assert()
        .code(1)
        .stderr(contains("the gate sh").and(contains("not begun: web3")));
    let gates = std::fs::read_to_string(octopus.sandbox.path("gates")).expect("gates");
    assert_eq!(gates, "gate: check web1\ngate: check web2\n");
    assert!(tentacles[2].jobs().is_empty());
    // A script that calls us says how it is to be called again, or where it stopped.
    let scripted = ["-a", "--batch", "1", "--gate", "false", "run", "-c", "true"];
    octopus
        .push(&scripted)
        .env("OCTO_AGAIN", "deploy it\u{1b}")
        .assert()
        .code(1)
        .stderr(contains("the gate false said no").and(contains("to continue: deploy it\\x1b\n")));
    octopus
        .push(&scripted)
        .env("OCTO_AGAIN", "")
        .assert()
        .code(1)
        .stderr("octo-push: rollout stopped: the gate false said no, exit status: 1\n");
    octopus
        .push(&["-a", "--batch", "1", "--max-failures", "100%", "run", "-c", "exit 3"])
        .assert()
        .code(3)
        .stderr(contains("the whole batch failed, a single target"));
    octopus.push(&["-a", "--canary", "nobody", "run", "-c", "true"]).assert().code(65);
}

#[test]
fn those_that_failed_in_the_last_run_come_first_where_that_was_said() {
    let (octopus, _tentacles) = fleet(2);
    octopus.push(&["-a", "run", "-c", "case $PWD in */web2/*) exit 3 ;; esac"]).assert().code(3);
    for (said, first) in [(&["--failed-first"][..], "web2"), (&[], "web1")] {
        let line = [&["-n", "-a", "--batch", "1"], said, &["run", "-c", "true"]].concat();
        let plan = stdout_of(&mut octopus.push(&line));
        assert!(plan.contains(&format!("batch 1: {first} (")), "{plan}");
    }
}

#[test]
fn a_hundred_talkers_never_mix_within_a_line() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let mut targets = String::new();
    for number in 1..=100 {
        targets.push_str(&format!("t{number} {} {} talkers\n", web1.address, web1.thumbprint));
    }
    octopus.set_targets(&targets);
    // They are one tentacle, so that all are told of one job.
    let line = "0123456789abcdefghijklmnopqrstuvwxyz";
    let command = format!("for i in 1 2 3 4 5 6 7 8; do printf '{line}'; echo '{line}'; done");
    let out = stdout_of(&mut octopus.push(&["-a", "-f", "100", "-w", "60", "run", "-c", &command]));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in out.lines() {
        let (name, rest) = text.split_once(": ").expect("a prefix");
        assert_eq!(rest, format!("{line}{line}"), "{text}");
        *counts.entry(name).or_default() += 1;
    }
    assert_eq!(counts.len(), 100);
    assert!(counts.values().all(|count| *count == 8), "{counts:?}");
}

#[test]
fn gathered_outputs_outnumber_the_descriptors() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let line = |number| format!("t{number} {} {}\n", web1.address, web1.thumbprint);
    octopus.set_targets(&(1..=60).map(line).collect::<String>());
    // More than is held in memory of each.
    let script = "ulimit -n 40; exec \"$0\" -a -f 4 -w 60 -g run -c 'seq 20000'";
    let program = octopus.sandbox.program("octo-push");
    let scrubbed = octopus.start(&[]);
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(script).arg(program).current_dir(octopus.sandbox.path(""));
    for (name, value) in scrubbed.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = command.output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.starts_with("--- t[1-60] (60): ok\n1\n2\n"), "{}", out.len());
    assert!(out.ends_with("\n19999\n20000\n") && out.lines().count() == 20_001);
}

#[test]
fn a_thousand_targets_and_four_odd_ones() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut many = octopus.stranger("many");
    many.trust(&octopus.sandbox, &octopus.thumbprint, "allow=any");
    many.start_at("0.0.0.0:0");
    let port = many.address.rsplit(':').next().expect("a port").to_string();
    let mut refusing = octopus.stranger("refusing");
    refusing.start();
    let odd = ["slow", "failing"].map(|name| octopus.tentacle(name, "odd"));
    let mut targets = String::new();
    for number in 0..996 {
        let address = format!("127.1.{}.{}:{port}", number / 250, 1 + number % 250);
        targets.push_str(&format!("n{number} {address} {} many\n", many.thumbprint));
    }
    targets.push_str(&format!("unreachable 127.0.0.1:1 {}\n", many.thumbprint));
    for tentacle in [&refusing, &odd[0], &odd[1]] {
        targets.push_str(&format!("{}\n", tentacle.line("odd")));
    }
    octopus.set_targets(&targets);
    let command = "case $PWD in */slow/*) sleep 1 ;; */failing/*) exit 4 ;; esac; echo hello";
    let arguments = ["-a", "-w", "60", "--record", "record", "run", "-c", command];
    let output = octopus.push(&arguments).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "unreachable: 127.0.0.1:1: connection refused",
        "refusing: ",
        "doesn't trust this identity",
        "failing: exit 4",
        "997 of 1000 succeeded",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(out.lines().filter(|line| line.ends_with(": hello")).count(), 997, "{said}");
    let record = std::fs::read_to_string(octopus.sandbox.path("record")).expect("a record");
    let ends = |part: &str| {
        record.lines().filter(|l| l.starts_with("{\"type\":\"end\"") && l.contains(part)).count()
    };
    assert_eq!(ends(""), 1000);
    assert_eq!(ends("\"kind\":\"exit\",\"code\":0"), 997);
    assert_eq!(ends("\"kind\":\"stranger\""), 1);
    assert_eq!(ends("\"kind\":\"failed\""), 1);
    assert_eq!(many.jobs().len(), 1, "one tentacle, one id, one job");
}

/// Threads that serve targets, and the most memory that it took, in KiB.
fn of_process(process: Pid) -> (usize, u64) {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.as_raw_pid()))
        .into_iter()
        .flatten()
        .flatten();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    let workers = tasks.filter_map(name).filter(|name| name.starts_with("worker")).count();
    (workers, peak_of(process).unwrap_or(0))
}

#[test]
fn ten_thousand_targets_take_as_many_threads_as_were_said_and_little_memory() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    // Nobody listens on any of them.
    let targets = (0..10_000).map(|number| {
        let address = format!("127.3.{}.{}:1", number / 250, 1 + number % 250);
        format!("n{number} {address} {} rack{}\n", "ab".repeat(32), number / 40)
    });
    octopus.set_targets(&targets.collect::<String>());
    let mut command = octopus.start(&["-q", "-a", "-f", "7", "run", "-c", "true"]);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().expect("starts");
    let (mut most, mut peak, mut seen) = (0, 0, 0);
    // Read to its end by another thread: what it says fills a pipe.
    let mut errors = child.stderr.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut errors, &mut text).map(|_| text)
    });
    let status = loop {
        let (workers, memory) = of_process(Pid::from_child(&child));
        (most, peak) = (most.max(workers), peak.max(memory));
        seen += usize::from(workers > 0);
        if let Some(status) = child.try_wait().expect("wait") {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    assert_eq!(status.code(), Some(69));
    let said = reader.join().expect("read").expect("UTF-8");
    assert!(said.contains("n9999: 127.3.39.250:1: connection refused"), "{}", said.len());
    assert!(seen > 0 && most <= 7, "{most} workers");
    assert!(peak < 64 * 1024, "{peak} KiB");
}

/// Its own words are part of a target's spec: what is asked for again is the same, or refused.
#[test]
fn each_target_is_given_its_own_words_behind_those_of_all() {
    let (octopus, tentacles) = fleet(2);
    let each = |name: &str, words: &str| octopus.sandbox.write(&format!("{name}.each"), words);
    each("web1", "--over\x001.0#3\x00two words\0\0");
    each("web2", "--over\0none\0");
    let id = "20260101T000000-aaaaaaaaaaaaa";
    let command = "printf '<%s>' \"$@\"; echo";
    let line = ["-a", "run", "-j", id, "--each", "%n.each", "-c", command, "all"];
    let expected = "web1: <all><--over><1.0#3><two words><>\nweb2: <all><--over><none>\n";
    for _ in 0..2 {
        let out = stdout_of(&mut octopus.push(&line));
        let mut lines: Vec<&str> = out.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, expected.lines().collect::<Vec<_>>());
    }
    each("web2", "--over\x003.0#1\0");
    octopus.push(&line).assert().code(65).stderr(contains("web2: conflict: "));
    assert_eq!(tentacles.iter().map(|t| t.jobs().len()).sum::<usize>(), 2);
    // What is wrong with one is told before anything is sent, and so is a question.
    for (own, said) in [
        ("--over\0none", "web2.each: its last word is not ended by NUL".to_string()),
        (&format!("a\0{}\0", "x".repeat(131_072)), "web2.each: word 2: is 131072 bytes".into()),
        (&format!("{}\0", "x".repeat(100_000)).repeat(25), "arguments and variables are larger than 2097152 bytes in all\nocto-push: hint: it is the job of web2".into()),
    ] {
        each("web2", own);
        for ask in [&[][..], &["--ask"]] {
            let line = [&["-a", "run"], ask, &["--each", "%n.each", "-c", "true"]].concat();
            let failed = octopus.push(&line).assert().failure();
            failed.stdout("").stderr(contains(&*said));
        }
    }
    std::fs::remove_file(octopus.sandbox.path("web2.each")).expect("remove");
    octopus
        .push(&["-a", "run", "--each", "%n.each", "-c", "true"])
        .assert()
        .code(65)
        .stderr(contains("web2.each: no such file"));
    octopus
        .push(&["-a", "run", "--each", "web1.each", "--end", "%n.each", "-c", "true"])
        .assert()
        .code(64)
        .stderr(contains("--each is the same file"));
    assert_eq!(tentacles.iter().map(|t| t.jobs().len()).sum::<usize>(), 2);
}
