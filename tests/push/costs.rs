//! What a run of `true` costs: programs, threads and flights, counted. One more of them is
//! half a millisecond or a round trip for each target of each run.

use crate::support::{can_trace, set_mode, wait_for};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use std::path::Path;
use std::process::{Command, Stdio};

const TRACE: &str = "trace=execve,clone,clone3,fork,vfork,connect,write,writev,sendto,sendmsg,\
    rename,renameat,renameat2,exit_group,open,openat,getdents64";

/// The calls that began behind this line of a trace, and did not fail.
fn calls(trace: &str, from: usize) -> Vec<&str> {
    let lines = trace.lines().skip(from).filter_map(|line| line.split_once(' '));
    let calls = lines.map(|(_, call)| call.trim_start());
    calls.filter(|call| !call.starts_with("<... ") && !call.contains(" = -1 E")).collect()
}

fn count(calls: &[&str], names: &[&str]) -> usize {
    let is = |call: &&&str| names.iter().any(|name| call.starts_with(&format!("{name}(")));
    calls.iter().filter(is).count()
}

/// Threads and processes.
const BORN: [&str; 4] = ["clone", "clone3", "fork", "vfork"];

/// A run of `true`, traced on both sides.
struct Traced {
    theirs: String,
    ours: String,
    tentacle: Tentacle,
    _octopus: Octopus,
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a trace")
}

fn traced() -> Traced {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut tentacle = octopus.stranger("web1");
    tentacle.trust(&octopus.sandbox, &octopus.thumbprint, "allow=any");
    let (theirs, ours) = (octopus.sandbox.path("theirs"), octopus.sandbox.path("ours"));
    let (listen, at) = (octopus.sandbox.program("octo-listen"), theirs.display());
    // By -D the listener is the test's child as ever, and not strace's.
    let strace = format!("strace -D -f -qq -yy -s 0 -o {at} -e {TRACE} {}", listen.display());
    let script = format!("#!/bin/sh\nexec {strace} \"$@\"\n");
    let program = octopus.sandbox.write("bin/octo-listen", &script);
    set_mode(&program, 0o755);
    tentacle.use_program(&program);
    tentacle.start();
    octopus.add_target(&tentacle.line("web"));
    // The script and who took it over: `enter` became the script.
    let is_over = |from: usize| count(&calls(&read(&theirs), from), &["exit_group"]) == 2;
    // What only the first run does is none of it: files are made.
    octopus.push(&["-t", "web1", "run", "-c", "true"]).assert().success();
    wait_for("the first job's octo-exec is over", || is_over(0));
    let from = read(&theirs).lines().count();
    let push = octopus.start(&["-t", "web1", "run", "-c", "true"]);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-yy", "-s", "0", "-e", TRACE, "-o"]).arg(&ours);
    command.arg(push.get_program()).args(push.get_args()).env_clear().stdin(Stdio::null());
    command.envs(push.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(command.status().expect("strace").success());
    wait_for("the second job's octo-exec is over", || is_over(from));
    // Somebody waits beforehand for the kernel, where jobs have cgroups.
    let started = std::fs::read_to_string(tentacle.jobs()[0].join("started")).expect("started");
    let wanted = if started.contains("\ncgroup ") { 2 } else { 0 };
    wait_for("who goes first into a cgroup, and the job", || {
        let is_entry = |call: &&&str| call.starts_with("write(") && call.contains("/cgroup.procs>");
        calls(&read(&theirs), from).iter().filter(is_entry).count() == wanted
    });
    let lines = |trace: &str| trace.lines().skip(from).collect::<Vec<_>>().join("\n");
    Traced { theirs: lines(&read(&theirs)), ours: read(&ours), tentacle, _octopus: octopus }
}

#[test]
fn a_run_starts_three_programs_there_and_asks_twice() {
    if !can_trace("a_run_starts_three_programs_there_and_asks_twice") {
        return;
    }
    let Traced { theirs, ours, .. } = traced();
    let (there, here) = (calls(&theirs, 0), calls(&ours, 0));
    // `take`, `enter`, the script's shell.
    assert_eq!(count(&there, &["execve"]), 3, "{theirs}");
    // The handshake, and the connection behind it; `take`, and who waits for it; who places
    // `enter`, and `enter`.
    assert_eq!(count(&there, &BORN), 6, "{theirs}");
    assert_eq!(count(&here, &["execve"]), 1, "{ours}");
    // Who waits for signals; who serves the target.
    assert_eq!(count(&here, &BORN), 2, "{ours}");
    let said = here.iter().filter(|call| call.contains("<TCP") && !call.starts_with("connect("));
    // Two of the handshake, `run`, `follow`, and the farewell.
    assert_eq!(said.count(), 5, "{ours}");
}

/// `take` before its entry is there, and who places `enter` before the job is.
#[test]
fn what_takes_long_to_start_is_started_before_it_is_needed() {
    if !can_trace("what_takes_long_to_start_is_started_before_it_is_needed") {
        return;
    }
    let Traced { theirs, tentacle, .. } = traced();
    let lines: Vec<&str> = theirs.lines().collect();
    let published = |directory: &str| {
        let staged = format!("{}/{directory}/.octo-tmp-", tentacle.state.display());
        let found = lines.iter().position(|l| l.contains(" rename") && l.contains(&staged));
        found.unwrap_or_else(|| panic!("no {directory}: {theirs}"))
    };
    let starts = |upto: usize, what: &str| {
        let by = lines[upto].split_once(' ').expect("a thread").0;
        lines[..upto].iter().any(|l| l.starts_with(by) && l.contains(" clone") && l.contains(what))
    };
    assert!(starts(published("spool"), "CLONE_VFORK"), "{theirs}");
    assert!(starts(published("jobs"), "CLONE_THREAD"), "{theirs}");
}

/// Whoever waits for a job is woken by what it waits for, not by each file that is made.
#[test]
fn a_run_is_looked_at_when_something_has_become_of_it() {
    if !can_trace("a_run_is_looked_at_when_something_has_become_of_it") {
        return;
    }
    let Traced { theirs, tentacle, .. } = traced();
    let lines = |what: &str, of: &str| {
        theirs.lines().filter(|line| line.contains(what) && line.contains(of)).count()
    };
    // At the request, when it is spooled, a job, and started: each time up to the end of the
    // directory. And once more, if the thread still had to do with the job before.
    let spool = format!("{}/spool>", tentacle.state.display());
    let listed = lines(" getdents64(", &spool);
    assert!((2..=10).contains(&listed), "{listed}: {theirs}");
    // By who brings it forward; by its follower when it is there, started, has an index and
    // is over, and once more behind each state that it tells.
    let looks = lines(" open", "/end\"");
    assert!((2..=8).contains(&looks), "{looks}: {theirs}");
}
