//! `--before` and `--after`: a command around each batch, which takes targets out of a
//! load balancer and puts them back, whatever comes in between.

use crate::support::wait_for;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

fn fleet(count: usize) -> (Octopus, Vec<Tentacle>) {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let tentacles = (1..=count).map(|number| octopus.tentacle(&format!("web{number}"), "web"));
    let tentacles = tentacles.collect();
    (octopus, tentacles)
}

/// A command that notes its name, its arguments and how the batch stands; then it does this.
fn notes(octopus: &Octopus, name: &str, then: &str) -> String {
    let script = format!(
        "#!/bin/sh\necho \"{name} $*: $(echo \"$OCTO_BATCH\" | tr '\\n' ',')\" >>notes\n{then}\n"
    );
    format!("sh {}", octopus.sandbox.write(name, script).display())
}

/// What was noted so far.
fn noted(octopus: &Octopus) -> Vec<String> {
    let notes = std::fs::read_to_string(octopus.sandbox.path("notes")).unwrap_or_default();
    notes.lines().map(String::from).collect()
}

/// Shell that waits for a file here.
fn until_there(octopus: &Octopus, name: &str) -> String {
    format!("while ! test -e {}; do sleep 0.05; done", octopus.sandbox.path(name).display())
}

#[test]
fn commands_stand_around_each_batch_and_its_gate() {
    let (octopus, _tentacles) = fleet(3);
    let before = notes(&octopus, "before", "echo draining");
    let after = notes(&octopus, "after", "echo back");
    let gate = notes(&octopus, "gate", "");
    let around = ["--before", &before, "--after", &after, "--gate", &gate, "--batch", "2"];
    let job = format!("echo \"$PWD\" >>{}", octopus.sandbox.path("notes").display());
    let job = format!("case $PWD in */web2/*) exit 3 ;; esac; {job}");
    let line = [&["-a", "--max-failures", "1"], &around[..], &["run", "-c", &job]].concat();
    octopus
        .push(&line)
        .assert()
        .code(3)
        .stdout("")
        .stderr(contains("draining\n").and(contains("back\n")));
    let noted = noted(&octopus);
    let expected = [
        "before web1 web2: web1 ahead,web2 ahead,,",
        "/web1/",
        "gate web1 web2: ,",
        "after web1 web2: web1 succeeded,web2 failed,,",
        "before web3: web3 ahead,,",
        "/web3/",
        "gate web3: ,",
        "after web3: web3 succeeded,,",
    ];
    assert_eq!(noted.len(), expected.len(), "{noted:#?}");
    for (noted, expected) in noted.iter().zip(expected) {
        assert!(noted.contains(expected), "{noted} {expected}");
    }
}

#[test]
fn what_fails_stops_the_rollout_and_what_began_is_brought_back() {
    let (octopus, tentacles) = fleet(2);
    let well = |name| notes(&octopus, name, "");
    let badly = |name| notes(&octopus, name, "exit 7");
    let (before, after) = (well("before"), well("after"));
    let (sick_before, sick_after) = (badly("sick-before"), badly("sick-after"));
    for (options, code, said, done, last) in [
        (
            ["--before", &sick_before, "--after", &after],
            1,
            "--before sh failed: exit 7",
            0,
            "after web1: web1 skipped,,",
        ),
        (["--before", "nosuch", "--after", &after], 1, "--before nosuch can't be run", 0, ""),
        (
            ["--before", &before, "--after", &sick_after],
            1,
            "--after sh failed: exit 7",
            1,
            "sick-after web1: web1 succeeded,,",
        ),
        (
            ["--gate", "false", "--after", &after],
            1,
            "the gate false said no",
            1,
            "after web1: web1 succeeded,,",
        ),
        (
            ["--before", &before, "--after", "nosuch"],
            1,
            "--after nosuch can't be run",
            1,
            "before web1: web1 ahead,,",
        ),
    ] {
        let _ = std::fs::remove_file(octopus.sandbox.path("notes"));
        let earlier = tentacles[0].jobs().len();
        let line = [&["-a", "--batch", "1"], &options[..], &["run", "-c", "true"]].concat();
        let stopped = format!("rollout stopped: {said}");
        octopus.push(&line).assert().code(code).stderr(
            contains(stopped)
                .and(contains("not begun: web").and(contains("web2").or(contains("web[1,2]")))),
        );
        assert_eq!(tentacles[0].jobs().len() - earlier, done, "{options:?}");
        assert_eq!(noted(&octopus).last().map_or("", |line| line), last, "{options:?}");
    }
    assert!(tentacles[1].jobs().is_empty());
    // Of two reasons the first is the one, and the other is told.
    let line =
        ["-a", "--batch", "1", "--gate", "false", "--after", &sick_after, "run", "-c", "true"];
    octopus.push(&line).assert().code(1).stderr(
        contains("octo-push: --after sh failed: exit 7\n")
            .and(contains("rollout stopped: the gate false said no")),
    );
}

/// As from a terminal: signals go to all of its processes.
fn at_a_terminal(mut command: Command) -> Child {
    command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts")
}

fn signal(child: &Child, signal: Signal) {
    kill_process_group(Pid::from_child(child), signal).expect("kill");
}

fn finish(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("wait");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Waits until it has said this.
/// Its exit status, after as many interrupts as it takes: how many it hears while it stands
/// still is not seen from here.
fn leaves(child: &mut Child) -> Option<i32> {
    let mut status = None;
    wait_for("it leaves", || {
        kill_process(Pid::from_child(child), Signal::INT).expect("kill");
        std::thread::sleep(std::time::Duration::from_millis(100));
        status = child.try_wait().expect("wait");
        status.is_some()
    });
    status.and_then(|status| status.code())
}

fn until_said(child: &mut Child, said: &str) {
    let stderr = child.stderr.as_mut().expect("a pipe");
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(said) {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).expect("read"), 1, "{heard:?}");
        heard.extend(byte);
    }
}

#[test]
fn a_signal_in_the_batch_ends_with_what_brings_it_back() {
    for (first, again, grace, code, state) in [
        (Signal::INT, false, "1s", 130, "failed"),
        (Signal::INT, true, "1h", 79, "unknown"),
        (Signal::TERM, false, "1h", 79, "unknown"),
        (Signal::HUP, false, "1h", 79, "unknown"),
    ] {
        let (octopus, tentacles) = fleet(1);
        let after = notes(&octopus, "after", "sleep 0.2; echo over >>notes");
        let job = format!("trap '' TERM; {}", until_there(&octopus, "go"));
        let line = ["-a", "--batch", "1", "--after", &after, "run", "-k", grace, "-c", &job];
        let mut push = at_a_terminal(octopus.start(&line));
        let has = |name: &str| tentacles[0].jobs().iter().any(|job| job.join(name).exists());
        wait_for("its job", || has("started"));
        signal(&push, first);
        if again {
            until_said(&mut push, "Ctrl-C again leaves");
            signal(&push, first);
        }
        let (found, said) = finish(push);
        assert_eq!(found, Some(code), "{first:?} {again}: {said}");
        let expected = [format!("after web1: web1 {state},,"), "over".into()];
        assert_eq!(noted(&octopus), expected, "{said}");
        octopus.sandbox.write("go", "");
        wait_for("its end", || has("end"));
    }
}

#[test]
fn a_signal_while_it_is_drained_begins_nothing_and_brings_it_back() {
    for each in [Signal::INT, Signal::TERM] {
        let (octopus, tentacles) = fleet(2);
        let never = until_there(&octopus, "never");
        let before = notes(&octopus, "before", &never);
        let after = notes(&octopus, "after", "");
        let line =
            ["-a", "--batch", "1", "--before", &before, "--after", &after, "run", "-c", "true"];
        let push = at_a_terminal(octopus.start(&line));
        wait_for("it is drained", || !noted(&octopus).is_empty());
        signal(&push, each);
        let (code, said) = finish(push);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("rollout stopped: cancelled"), "{said}");
        assert!(said.contains("not begun: web[1,2]"), "{said}");
        assert_eq!(noted(&octopus)[1..], ["after web1: web1 skipped,,"]);
        assert!(tentacles.iter().all(|tentacle| tentacle.jobs().is_empty()));
    }
}

#[test]
fn what_brings_targets_back_is_not_ended_by_signals() {
    let (octopus, tentacles) = fleet(2);
    let waits = until_there(&octopus, "go");
    let after = notes(&octopus, "after", &format!("{waits}; echo over >>notes"));
    let line = ["-a", "--batch", "1", "--after", &after, "run", "-c", "true"];
    let push = at_a_terminal(octopus.start(&line));
    wait_for("it is brought back", || !noted(&octopus).is_empty());
    for each in [Signal::INT, Signal::INT, Signal::TERM, Signal::HUP] {
        signal(&push, each);
    }
    octopus.sandbox.write("go", "");
    let (code, said) = finish(push);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(noted(&octopus), ["after web1: web1 succeeded,,", "over"]);
    assert!(tentacles[1].jobs().is_empty());
}

/// Nobody reads what it prints, so that its main thread stands still.
#[test]
fn one_that_is_stuck_and_left_brings_its_batch_back() {
    let (octopus, _tentacles) = fleet(1);
    let after = notes(&octopus, "after", "");
    let job = "yes | head -c 8000000";
    let line = ["-a", "--batch", "1", "--after", &after, "run", "-c", job];
    let mut command = octopus.start(&line);
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut push = command.spawn().expect("starts");
    let unread = push.stdout.take().expect("a pipe");
    // From half a pipe on it can't print the next piece, of which there are many.
    let room = rustix::pipe::fcntl_getpipe_size(&unread).expect("a pipe") as u64;
    wait_for("it is stuck", || rustix::io::ioctl_fionread(&unread).expect("a pipe") > room / 2);
    assert_eq!(leaves(&mut push), Some(79));
    let noted = noted(&octopus);
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert!(noted[0].starts_with("after web1: web1 "), "{noted:?}");
}

/// It stands still in what it says while targets are drained: they are brought back all the
/// same.
#[test]
fn one_that_is_stuck_while_it_drains_brings_its_batch_back() {
    let (octopus, tentacles) = fleet(1);
    let before = notes(&octopus, "before", "yes >&2");
    let after = notes(&octopus, "after", "");
    let line = ["-a", "--batch", "1", "--before", &before, "--after", &after, "run", "-c", "true"];
    let mut command = octopus.start(&line);
    command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut push = command.spawn().expect("starts");
    let unread = push.stderr.take().expect("a pipe");
    let room = rustix::pipe::fcntl_getpipe_size(&unread).expect("a pipe") as u64;
    wait_for("it is full", || rustix::io::ioctl_fionread(&unread).expect("a pipe") > room / 2);
    assert_eq!(leaves(&mut push), Some(79));
    let noted = noted(&octopus);
    assert_eq!(noted[1..], ["after web1: web1 unknown,,"], "{noted:?}");
    assert!(tentacles[0].jobs().is_empty());
}

/// While a gate runs nobody listens for signals: one that came is obeyed behind it.
#[test]
fn a_signal_during_the_gate_begins_no_other_batch() {
    let (octopus, tentacles) = fleet(2);
    // It has arrived when the thread of the signals sleeps again.
    let script = "comm=$(grep -lx signals /proc/$PPID/task/*/comm)\n\
                  slept() { grep ^voluntary \"${comm%comm}status\"; }\n\
                  before=$(slept)\nkill -TERM $PPID\n\
                  while test \"$(slept)\" = \"$before\"; do sleep 0.01; done\n";
    let gate = format!("sh {}", octopus.sandbox.write("gate", script).display());
    let line = ["-a", "--batch", "1", "--gate", &gate, "run", "-c", "true"];
    octopus.push(&line).assert().code(1).stderr(contains("rollout stopped: cancelled"));
    assert_eq!((tentacles[0].jobs().len(), tentacles[1].jobs().len()), (1, 0));
}
