//! The states of a job, as the table in octo-job(5) has them: who may start it,
//! who only looks, and what a restart of the machine makes of it.

use crate::jobs::Draft;
use crate::sandbox;
use crate::support::{Sandbox, kill_session_of, stdout_of, wait_for};
use octo_core::LockName;
use octo_core::base::record::Record;
use octo_core::tentacle::job::{EndKind, JobDirectory, State};
use octo_core::tentacle::spec::{Script, Spec};
use predicates::str::contains;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A job that nobody has started.
fn publish(sandbox: &Sandbox, command: &str, lock: Option<&str>) -> JobDirectory {
    let mut spec = Spec::of(Script::Command(command.into()));
    spec.locks.extend(lock.map(|name| octo_core::tentacle::spec::LockRequest {
        name: LockName::parse(name).expect("a name"),
        shared: false,
        wait: Duration::from_secs(60),
    }));
    Draft::of(&spec.encode()).publish(sandbox)
}

/// octo-exec as a command of std's, to be left alone.
fn start(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::new(sandbox.program("octo-exec"));
    command.arg("--config").arg(sandbox.config("")).arg("--state").arg(sandbox.state(""));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn forward(sandbox: &Sandbox, job: &JobDirectory) -> Child {
    let path = job.path().to_str().expect("UTF-8");
    start(sandbox, &["job", path]).spawn().expect("it starts")
}

fn end(job: &JobDirectory) -> (EndKind, String) {
    let end = job.end().expect("readable").expect("an end");
    (end.kind, end.reason.unwrap_or_default())
}

/// A process id says nothing on another boot, nor when it is another process'.
#[test]
fn a_restart_or_a_reused_process_id_is_lost_and_harms_no_bystander() {
    let sandbox = sandbox();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot");
    for (boot, reason) in [
        ("00000000-0000-4000-8000-000000000000", "the machine was restarted under it"),
        (boot.trim(), "its octo-exec died"),
    ] {
        let job = publish(&sandbox, "true", None);
        // Leader of a session whose number the record has.
        let mut bystander =
            Command::new("setsid").args(["sleep", "300"]).spawn().expect("it starts");
        let record = Record::new()
            .with("boot", boot)
            .with("session", bystander.id())
            .with("ticks", 1)
            .with("at", octo_core::base::cli::utc_now());
        job.publish_record("started", &record).expect("started");
        assert_eq!(job.state().expect("a state"), State::Lost);
        sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
        assert_eq!(end(&job), (EndKind::Lost, reason.to_string()));
        assert!(bystander.try_wait().expect("wait").is_none(), "a bystander was killed");
        bystander.kill().expect("kill");
        bystander.wait().expect("wait");
    }
}

#[test]
fn however_many_start_it_it_runs_once() {
    let sandbox = sandbox();
    let runs = sandbox.path("runs");
    let job = publish(&sandbox, &format!("echo x >>{}; sleep 0.3", runs.display()), None);
    let starters: Vec<Child> = (0..8).map(|_| forward(&sandbox, &job)).collect();
    for mut starter in starters {
        assert!(starter.wait().expect("wait").success());
    }
    assert_eq!(end(&job).0, EndKind::Exit(0));
    assert_eq!(std::fs::read(&runs).expect("it ran"), b"x\n");
}

/// Says so when it is dropped: a test that fails would wait for its observers for ever.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Who looks takes the lock shared for a moment, and whoever starts is patient.
#[test]
fn observers_never_disturb_a_starter() {
    let sandbox = sandbox();
    let jobs: Vec<JobDirectory> = (0..12).map(|_| publish(&sandbox, "exit 3", None)).collect();
    // One that holds it for as long as no observer does.
    let held = std::fs::File::open(jobs[0].file("lock")).expect("open");
    held.try_lock_shared().expect("free");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for job in &jobs {
                        let state = job.state().expect("a state");
                        assert_ne!(state, State::Lost, "{}", job.id());
                    }
                }
            });
        }
        let _ends = Ends(&over);
        // The one that waits comes last: it waits for ten seconds, and no longer.
        let starters: Vec<Child> = jobs.iter().rev().map(|job| forward(&sandbox, job)).collect();
        let descriptors = format!("/proc/{}/fd", starters[starters.len() - 1].id());
        let lock = jobs[0].file("lock").canonicalize().expect("a lock");
        wait_for("a starter at the lock", || {
            let open = std::fs::read_dir(&descriptors).expect("it waits").flatten();
            open.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|file| file == lock)
        });
        drop(held);
        for mut starter in starters {
            assert!(starter.wait().expect("wait").success());
        }
    });
    for job in &jobs {
        assert_eq!(end(job).0, EndKind::Exit(3));
    }
}

#[test]
fn killed_while_it_waits_for_a_lock_it_is_started_later_and_once() {
    let sandbox = sandbox();
    let runs = sandbox.path("runs");
    let go = sandbox.path("go");
    let waits = format!("while ! test -e {}; do sleep 0.02; done", go.display());
    let first = publish(&sandbox, &waits, Some("deploy"));
    let mut holder = forward(&sandbox, &first);
    wait_for("the first job", || first.state().expect("a state") == State::Running);
    let second = publish(&sandbox, &format!("echo x >>{}", runs.display()), Some("deploy"));
    let mut waiter = forward(&sandbox, &second);
    wait_for("the wait", || matches!(second.state(), Ok(State::Waiting(_))));
    waiter.kill().expect("kill");
    waiter.wait().expect("wait");
    // Its `waiting` says nothing without its lock.
    assert_eq!(second.state().expect("a state"), State::Queued);
    sandbox.tool("octo-exec").arg("start").assert().success();
    wait_for("the wait", || matches!(second.state(), Ok(State::Waiting(_))));
    std::fs::write(&go, "").expect("write");
    assert!(holder.wait().expect("wait").success());
    wait_for("its end", || second.file("end").exists());
    assert_eq!(end(&second).0, EndKind::Exit(0));
    assert_eq!(std::fs::read(&runs).expect("it ran"), b"x\n");
}

#[test]
fn a_waiting_exclusive_is_not_overtaken_and_a_wait_has_its_bound() {
    let sandbox = sandbox();
    let go = sandbox.path("go");
    let waits = format!("while ! test -e {}; do sleep 0.02; done", go.display());
    let mut reader = start(&sandbox, &["run", "-L", "db:shared", "-c", &waits]);
    let mut reader = reader.spawn().expect("it starts");
    let list = || stdout_of(sandbox.tool("octo-exec").arg("list"));
    wait_for("the reader", || sandbox.state("jobs").exists() && list().contains(" running "));
    let order = sandbox.path("order");
    let note = |word: &str| format!("echo {word} >>{}", order.display());
    let mut writer = start(&sandbox, &["run", "-L", "db", "-c", &note("writer")]);
    let mut writer = writer.spawn().expect("it starts");
    wait_for("the writer", || list().contains(" waiting "));
    // A shared one could be had now, and would starve the writer.
    let began = Instant::now();
    let late = ["run", "-L", "db:shared", "-W", "1s", "-c", "echo overtook"];
    let mut command = sandbox.tool("octo-exec");
    command.args(late).assert().code(75).stdout("").stderr(contains("lock db is held by"));
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(20), "{waited:?}");
    let mut later = start(&sandbox, &["run", "-L", "db:shared", "-c", &note("later")]);
    let mut later = later.spawn().expect("it starts");
    wait_for("both", || list().matches(" waiting ").count() == 2);
    std::fs::write(&go, "").expect("write");
    for child in [&mut reader, &mut writer, &mut later] {
        assert!(child.wait().expect("wait").success());
    }
    assert_eq!(std::fs::read_to_string(&order).expect("they ran"), "writer\nlater\n");
}

#[test]
fn a_lost_job_is_in_the_audit_log_and_short_space_takes_it_first() {
    let sandbox = sandbox();
    let lost = publish(&sandbox, "sleep 300", None);
    let mut child = forward(&sandbox, &lost);
    wait_for("its start", || lost.state().expect("a state") == State::Running);
    kill_session_of(lost.path());
    child.wait().expect("wait");
    // Killed as it spawned the script, its child holds the lock for a moment more.
    wait_for("its end", || {
        sandbox.tool("octo-exec").arg("start").assert().success();
        lost.file("end").exists()
    });
    let audit = std::fs::read_to_string(sandbox.state("audit.log")).expect("audit");
    assert!(audit.contains("kind=lost"), "{audit}");
    // Kept by age and count, they go by space; but never what runs.
    let running = publish(&sandbox, "sleep 300", None);
    let mut child = forward(&sandbox, &running);
    wait_for("its start", || running.state().expect("a state") == State::Running);
    sandbox.tool("octo-exec").arg("prune").assert().success().stdout("");
    let pruned = stdout_of(sandbox.tool("octo-exec").args(["prune", "--free", "100%"]));
    assert_eq!(pruned, format!("job {}\n", lost.id()));
    sandbox.tool("octo-exec").args(["cancel", running.id().as_str()]).assert().success();
    child.wait().expect("wait");
    assert_eq!(end(&running).0, EndKind::Cancelled);
}

#[test]
fn a_job_that_is_not_there_is_not_brought_forward() {
    let sandbox = sandbox();
    let job = sandbox.state("jobs/20260101T000000-abcdefghijklm");
    let assert = sandbox.tool("octo-exec").arg("job").arg(job).assert().code(65);
    assert.stderr(contains("there is no such job"));
    assert!(!sandbox.state("jobs").exists());
}
