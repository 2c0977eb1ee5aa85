//! octo-exec: ends that others bring: limits, cancels, kills, locks, pruning.

use crate::sandbox;
use crate::support::{Sandbox, can_trace, kill_session_of, needs, stdout_of, wait_for};
use predicates::str::contains;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A run in the background whose script has said `ready`.
fn begin(
    sandbox: &Sandbox,
    options: &[&str],
    script: &str,
) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = Command::new(sandbox.program("octo-exec"));
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("OCTO_STATE", sandbox.state(""))
        .env("OCTO_CONFIG", sandbox.config(""))
        .arg("run")
        .args(options)
        .args(["-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("spawn");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("read");
    assert_eq!(line, "ready\n");
    (child, out)
}

fn jobs(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(sandbox.state("jobs")).expect("jobs");
    let mut jobs: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    jobs.sort();
    jobs
}

fn id(job: &Path) -> String {
    job.file_name().expect("a name").to_string_lossy().into_owned()
}

fn end_of(job: &Path) -> String {
    wait_for("an end", || job.join("end").exists());
    std::fs::read_to_string(job.join("end")).expect("end")
}

/// Does any process sleep for so many seconds?
fn is_running(seconds: &str) -> bool {
    let wanted = format!("sleep\0{seconds}\0").into_bytes();
    let entries = std::fs::read_dir("/proc").expect("/proc");
    entries.flatten().any(|e| std::fs::read(e.path().join("cmdline")).is_ok_and(|c| c == wanted))
}

/// A number of seconds that no other test sleeps.
fn unique(base: u64) -> String {
    format!("{base}{}", std::process::id())
}

#[test]
fn a_time_limit_ends_the_whole_tree() {
    let sandbox = sandbox();
    let long = unique(3001);
    // TERM is ignored, one child left the session, one is a daemon.
    let script = format!(
        "trap '' TERM; setsid sleep {long} & (sleep {long} >/dev/null 2>&1 &) ; sleep {long}"
    );
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-T", "1s", "-k", "1s", "-c", &script]);
    command.assert().code(124).stderr(contains("time limit of 1s"));
    assert!(!is_running(&long));
}

/// The script is over when the wait for its strays runs out, and one of its children
/// still has its grace.
#[test]
fn while_a_child_has_its_grace_nothing_spins() {
    if !can_trace("while_a_child_has_its_grace_nothing_spins") {
        return;
    }
    let sandbox = sandbox();
    let long = unique(3006);
    let log = sandbox.path("calls");
    let traced = sandbox.tool("octo-exec");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=poll,ppoll", "-o"]).arg(&log);
    command.arg(traced.get_program()).env_clear();
    command.envs(traced.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // KILL comes two seconds after the wait for strays is over.
    let script = format!("(trap '' TERM; exec sleep {long}) & wait");
    let output = command.args(["run", "-T", "1s", "-k", "7s", "-c", &script]).output();
    assert_eq!(output.expect("strace starts").status.code(), Some(124));
    assert!(!is_running(&long));
    let calls = std::fs::read_to_string(log).expect("calls");
    // Two are always waited for: the job's directory, and signals.
    let waits: Vec<&str> = calls.lines().filter(|call| call.matches("fd=").count() > 1).collect();
    let busy = waits.iter().filter(|wait| wait.contains("tv_sec=0, tv_nsec=0}")).count();
    // A moment that passes between the look at it and the wait makes one that is none.
    // One that stays past makes all of them so.
    assert!(2 * busy < waits.len(), "{busy} of {} waits are none", waits.len());
}

#[test]
fn a_cancel_ends_the_tree_and_says_who() {
    let sandbox = sandbox();
    let long = unique(3002);
    let (child, _out) =
        begin(&sandbox, &[], &format!("setsid sleep {long} & echo ready; sleep {long}"));
    let job = jobs(&sandbox).remove(0);
    sandbox.tool("octo-exec").args(["cancel", &id(&job)]).assert().success();
    let output = child.wait_with_output().expect("wait");
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cancelled: by "));
    assert!(!is_running(&long));
    // Once more is no error, and changes nothing.
    sandbox
        .tool("octo-exec")
        .args(["cancel", &id(&job)])
        .assert()
        .success()
        .stderr(contains("over already"));
}

#[test]
fn an_interrupt_cancels_and_waits() {
    let sandbox = sandbox();
    let (child, _out) =
        begin(&sandbox, &[], "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("kill");
    let output = child.wait_with_output().expect("wait");
    assert_eq!(output.status.code(), Some(130));
    assert!(end_of(&jobs(&sandbox)[0]).starts_with("kind cancelled\ncode 130\n"));
}

#[test]
fn a_second_interrupt_leaves_at_once() {
    let sandbox = sandbox();
    let (mut child, _out) = begin(
        &sandbox,
        &["-k", "60s"],
        "trap '' TERM; echo ready; while [ ! -e go ]; do sleep 0.02; done; exit 6",
    );
    let job = jobs(&sandbox).remove(0);
    let pid = rustix::process::Pid::from_child(&child);
    let mut errors = BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    for word in ["once more to leave", "octo-exec show"] {
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("kill");
        while !said.contains(word) {
            assert!(errors.read_line(&mut said).expect("read") > 0, "{said}");
        }
    }
    assert_eq!(child.wait().expect("wait").code(), Some(79));
    assert!(!job.join("end").exists());
    // It still ends as it was asked to.
    std::fs::write(job.join("work/go"), "").expect("write");
    assert!(end_of(&job).starts_with("kind cancelled\n"));
}

#[test]
fn the_job_outlives_whoever_started_it() {
    let sandbox = sandbox();
    let (mut child, _out) = begin(
        &sandbox,
        &[],
        "echo ready; while [ ! -e go ]; do sleep 0.02; done; echo done; exit 6",
    );
    child.kill().expect("kill");
    child.wait().expect("wait");
    let job = jobs(&sandbox).remove(0);
    std::fs::write(job.join("work/go"), "").expect("write");
    assert!(end_of(&job).starts_with("kind exit\ncode 6\n"));
    assert_eq!(std::fs::read_to_string(job.join("log")).expect("log"), "ready\ndone\n");
}

#[test]
fn a_killed_supervisor_is_lost_and_nothing_of_it_is_left() {
    let sandbox = sandbox();
    let long = unique(3003);
    let (child, _out) =
        begin(&sandbox, &[], &format!("setsid sleep {long} & echo ready; exec sleep {long}"));
    let job = jobs(&sandbox).remove(0);
    kill_session_of(&job);
    // Whoever waited is told, and the job is never run again.
    let output = child.wait_with_output().expect("wait");
    assert_eq!(output.status.code(), Some(71), "{}", String::from_utf8_lossy(&output.stderr));
    let end = end_of(&job);
    assert!(end.starts_with("kind lost\ncode 71\n"), "{end}");
    assert!(!is_running(&long));
    sandbox.tool("octo-exec").arg("start").assert().success();
    sandbox.tool("octo-exec").arg("job").arg(&job).assert().success();
    assert_eq!(end_of(&job), end);
}

#[test]
fn strays_that_hold_the_output_are_waited_for_and_named() {
    let sandbox = sandbox();
    let long = unique(3004);
    let before = Instant::now();
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-c", &format!("sleep {long} & echo $!; exit 3")]);
    let assert = command.assert().code(3).stderr(contains("left running with its output open"));
    assert!(before.elapsed() >= Duration::from_secs(4));
    let pid = String::from_utf8_lossy(&assert.get_output().stdout).trim().to_string();
    // A deployment may leave a server behind: it was not killed.
    assert!(is_running(&long));
    Command::new("kill").arg(pid).status().expect("kill");
}

#[test]
fn a_lock_keeps_two_jobs_apart_and_names_its_holder() {
    let sandbox = sandbox();
    let (mut child, _out) =
        begin(&sandbox, &["-L", "deploy"], "echo ready; while [ ! -e go ]; do sleep 0.02; done");
    let first = jobs(&sandbox).remove(0);
    // Bounded waiting: 75 promises that nothing ran.
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-L", "deploy", "-W", "0s", "-c", "echo ran"]);
    command.assert().code(75).stdout("").stderr(contains(id(&first)));
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-L", "other", "-W", "0s", "-c", "echo ran"]).assert().code(0);
    // One that waits gets it when the first is over.
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut command = sandbox.tool("octo-exec");
            command.args(["run", "-L", "deploy", "-c", "echo mine"]).output().expect("run")
        });
        wait_for("a waiting job", || jobs(&sandbox).iter().any(|job| job.join("waiting").exists()));
        let listed = stdout_of(sandbox.tool("octo-exec").arg("list"));
        assert!(listed.contains(" waiting "), "{listed}");
        std::fs::write(first.join("work/go"), "").expect("write");
        waiting.join().expect("join")
    });
    assert_eq!(waiting.stdout, b"mine\n");
    assert!(child.wait().expect("wait").success());
}

#[test]
fn shared_locks_go_together() {
    let sandbox = sandbox();
    let (mut child, _out) =
        begin(&sandbox, &["-L", "db:shared"], "echo ready; while [ ! -e go ]; do sleep 0.02; done");
    let first = jobs(&sandbox).remove(0);
    let mut command = sandbox.tool("octo-exec");
    command
        .args(["run", "-L", "db:shared", "-W", "0s", "-c", "echo beside"])
        .assert()
        .code(0)
        .stdout("beside\n");
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-L", "db", "-W", "0s", "-c", "echo alone"]).assert().code(75).stdout("");
    std::fs::write(first.join("work/go"), "").expect("write");
    assert!(child.wait().expect("wait").success());
}

#[test]
fn a_waiting_job_can_be_cancelled() {
    let sandbox = sandbox();
    let (mut child, _out) =
        begin(&sandbox, &["-L", "deploy"], "echo ready; while [ ! -e go ]; do sleep 0.02; done");
    let first = jobs(&sandbox).remove(0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut command = sandbox.tool("octo-exec");
            command.args(["run", "-L", "deploy", "-c", "echo ran"]).output().expect("run")
        });
        wait_for("a waiting job", || jobs(&sandbox).iter().any(|job| job.join("waiting").exists()));
        let second = jobs(&sandbox).into_iter().find(|job| *job != first).expect("a second job");
        sandbox.tool("octo-exec").args(["cancel", &id(&second)]).assert().success();
        let output = waiting.join().expect("join");
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(130), &b""[..]));
    });
    std::fs::write(first.join("work/go"), "").expect("write");
    assert!(child.wait().expect("wait").success());
}

#[test]
fn a_lock_of_a_killed_job_is_free_once_nobody_of_it_is_left() {
    if !needs("a_lock_of_a_killed_job_is_free_once_nobody_of_it_is_left", "pgrep") {
        return;
    }
    let sandbox = sandbox();
    let long = unique(3005);
    let (child, _out) =
        begin(&sandbox, &["-L", "deploy"], &format!("echo ready; exec sleep {long}"));
    let job = jobs(&sandbox).remove(0);
    // The follower first, so that nobody settles the job but the next holder.
    let mut child = child;
    child.kill().expect("kill");
    child.wait().expect("wait");
    kill_session_of(&job);
    let check = format!("pgrep -fx 'sleep {long}' || echo alone");
    let mut command = sandbox.tool("octo-exec");
    command.args(["run", "-L", "deploy", "-c", &check]).assert().code(0).stdout("alone\n");
    assert!(end_of(&job).starts_with("kind lost\n"));
}

#[test]
fn an_id_runs_once() {
    let sandbox = sandbox();
    let id = "20260101T000000-abcdefghijklm";
    let mut run = sandbox.tool("octo-exec");
    run.args(["run", "-j", id, "-c", "echo once"]).assert().code(0).stdout("once\n");
    // The same again attaches: the same output, no second run.
    let mut run = sandbox.tool("octo-exec");
    run.args(["run", "-j", id, "-c", "echo once"]).assert().code(0).stdout("once\n");
    let starts = std::fs::read_to_string(sandbox.state("audit.log")).expect("audit");
    assert_eq!(starts.matches("job-start").count(), 1);
    let mut run = sandbox.tool("octo-exec");
    run.args(["run", "-j", id, "-c", "echo other"]).assert().code(65).stderr(contains("taken"));
    let mut prune = sandbox.tool("octo-exec");
    prune.args(["prune", "--older", "0s", "--keep", "0"]).assert().success().stdout(contains(id));
    assert!(jobs(&sandbox).is_empty());
    let mut run = sandbox.tool("octo-exec");
    run.args(["run", "-j", id, "-c", "echo once"]).assert().code(65).stderr(contains("pruned"));
}

#[test]
fn pruning_keeps_what_runs_and_what_is_used() {
    let sandbox = sandbox();
    let package = sandbox.write("a.tar", "a");
    let other = sandbox.write("b.tar", "b");
    let digest = stdout_of(sandbox.tool("octo-exec").arg("add").arg(&other)).trim().to_string();
    let path = package.to_string_lossy().into_owned();
    let (mut child, _out) =
        begin(&sandbox, &["-p", &path], "echo ready; while [ ! -e go ]; do sleep 0.02; done");
    let running = jobs(&sandbox).remove(0);
    sandbox.tool("octo-exec").args(["run", "-c", "true"]).assert().success();
    let mut dry = sandbox.tool("octo-exec");
    let listed = stdout_of(dry.args(["prune", "-n", "--older", "0s", "--keep", "0"]));
    assert!(listed.contains(&digest) && !listed.contains(&id(&running)), "{listed}");
    assert_eq!(jobs(&sandbox).len(), 2);
    sandbox.tool("octo-exec").args(["prune", "--older", "0s", "--keep", "0"]).assert().success();
    assert_eq!(jobs(&sandbox), std::slice::from_ref(&running));
    assert!(!sandbox.state("packages").join(&digest).exists());
    let kept = std::fs::read_dir(sandbox.state("packages")).expect("packages");
    assert_eq!(kept.flatten().filter(|e| e.file_name().len() == 64).count(), 1);
    std::fs::write(running.join("work/go"), "").expect("write");
    assert!(child.wait().expect("wait").success());
    let mut prune = sandbox.tool("octo-exec");
    prune.args(["prune", "--older", "1d", "--keep", "0"]).assert().success().stdout("");
    assert_eq!(jobs(&sandbox).len(), 1);
}

#[test]
fn detached_jobs_go_on_by_themselves() {
    let sandbox = sandbox();
    let go = sandbox.path("go");
    let script = format!("while ! test -e {}; do sleep 0.02; done; exit 3", go.display());
    // Both of its streams end with it, and not with the job.
    let printed = stdout_of(sandbox.tool("octo-exec").args(["run", "-D", "-c", &script]));
    let job = sandbox.state("jobs").join(printed.trim());
    assert!(!job.join("end").exists());
    std::fs::write(go, "").expect("write");
    assert!(end_of(&job).starts_with("kind exit\ncode 3\n"));
}
