//! octo-exec where the machine fails under it: killed at each system call of a
//! job's life, a disk that is full or broken at each write. Whatever happens, the
//! script ran once or not at all, its end is told truly, and no secret stays.

use crate::jobs::{Draft, places};
use crate::sandbox;
use crate::support::{Sandbox, SmallDisk, can_trace, impossible, peak_of, session_of};
use octo_core::tentacle::job::{EndKind, JobDirectory, State};
use octo_core::tentacle::spec::{Script, Spec, secrets};
use octo_core::{Digest, JobId, VariableName};
use rustix::process::Pid;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const SECRET: &str = "s3cret-of-the-test";

/// The calls that change what others see, or start something.
const CALLS: [&str; 9] =
    ["write", "fsync", "fdatasync", "renameat", "unlink", "mkdir", "fchmod", "flock", "clone3"];

/// A published job that leaves a line in `trace` each time it runs.
struct Prepared {
    sandbox: Sandbox,
    job: JobDirectory,
    trace: PathBuf,
}

fn prepared() -> Prepared {
    prepared_with("echo out; echo V=1 >>$OCTO_OUTPUT; exit 7")
}

fn prepared_with(script: &str) -> Prepared {
    let sandbox = sandbox();
    let trace = sandbox.path("trace");
    let text = format!("echo ran >>{}; {script}", trace.display());
    let name = VariableName::parse("TOKEN").expect("a name");
    let body = secrets::encode_with(&[1; 32], &[(name.clone(), SECRET.into())]);
    let mut spec = Spec::of(Script::Command(text));
    (spec.secrets, spec.secrets_digest) = (vec![name], Some(Digest::of(&body)));
    let job = Draft { secrets: Some(&body), ..Draft::of(&spec.encode()) }.publish(&sandbox);
    Prepared { sandbox, job, trace }
}

impl Prepared {
    /// `octo-exec job DIR`, with this fault injected; was it?
    fn bring_forward(&self, fault: &str) -> bool {
        let log = self.sandbox.path("strace");
        let inject = format!("inject={fault}");
        let output = Command::new("strace")
            .args(["-qq", "-o"])
            .arg(&log)
            .args(["-e", &inject, "-e", "signal=none"])
            .arg(self.sandbox.program("octo-exec"))
            .args(["--config".as_ref(), self.sandbox.config("").as_os_str()])
            .args(["--state".as_ref(), self.sandbox.state("").as_os_str()])
            .args(["job".as_ref(), self.job.path().as_os_str()])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stderr(Stdio::null())
            .output()
            .expect("strace runs");
        let log = std::fs::read_to_string(log).unwrap_or_default();
        log.contains("(INJECTED)") || output.status.code().is_none() || log.contains("killed by")
    }

    fn runs(&self) -> usize {
        std::fs::read_to_string(&self.trace).unwrap_or_default().lines().count()
    }

    /// After the fault, and after whoever comes next, all is told truly.
    fn check(&self, fault: &str) -> EndKind {
        let started = self.job.file("started").exists();
        let before = self.runs();
        self.sandbox.tool("octo-exec").arg("job").arg(self.job.path()).assert().success();
        let State::Over(end) = self.job.state().expect("a state") else {
            panic!("{fault}: {:?}", self.job.state())
        };
        let runs = self.runs();
        match end.kind {
            EndKind::Exit(7) => assert_eq!(runs, 1, "{fault}: {end:?}"),
            EndKind::Lost => {
                assert!(started && runs <= 1, "{fault}: {end:?}");
            }
            EndKind::Denied(74) => assert_eq!(runs, 0, "{fault}: {end:?}"),
            other => panic!("{fault}: {other:?}: {end:?}"),
        }
        if started {
            assert_eq!(runs, before, "{fault}: it was started again");
        }
        assert_eq!(left_over(self.job.path()), Vec::<String>::new(), "{fault}");
        // Once more changes nothing.
        self.sandbox.tool("octo-exec").arg("job").arg(self.job.path()).assert().success();
        assert_eq!((self.job.end().expect("an end"), self.runs()), (Some(end.clone()), runs));
        end.kind
    }
}

/// Half-made files, and files with the secret in them.
fn left_over(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a job").flatten();
    let is_left = |path: &Path| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let bytes = std::fs::read(path).unwrap_or_default();
        name.starts_with(".octo-tmp")
            || bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
    };
    entries.map(|e| e.path()).filter(|p| is_left(p)).map(|p| p.display().to_string()).collect()
}

/// Injects at the first, second, … call of this name, until there are no more.
fn at_each(call: &str, fault: &str, mut check: impl FnMut(&Prepared, &str)) -> usize {
    for when in 1.. {
        let prepared = prepared();
        let fault = format!("{call}:{fault}:when={when}");
        if !prepared.bring_forward(&fault) {
            return when - 1;
        }
        check(&prepared, &fault);
    }
    0
}

#[test]
fn killed_at_each_system_call_it_runs_once_and_is_settled() {
    if !can_trace("killed_at_each_system_call_it_runs_once_and_is_settled") {
        return;
    }
    let ends = Mutex::new(BTreeSet::new());
    let at_all = |calls: &[&str]| -> usize {
        let each = calls.iter().map(|call| {
            at_each(call, "signal=KILL", |prepared, fault| {
                let end = prepared.check(fault).word();
                ends.lock().expect("lock").insert(end);
            })
        });
        each.sum()
    };
    let points: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = CALLS.chunks(3).map(|calls| scope.spawn(|| at_all(calls))).collect();
        workers.into_iter().map(|worker| worker.join().expect("join")).sum()
    });
    assert!(points > 30, "only {points} points");
    // Killed early, it starts afresh; killed late, it is lost.
    let ends = ends.into_inner().expect("lock");
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), ["exit", "lost"]);
}

#[test]
fn a_disk_that_fails_at_each_write_loses_no_truth() {
    if !can_trace("a_disk_that_fails_at_each_write_loses_no_truth") {
        return;
    }
    for (call, fault) in
        [("write", "error=ENOSPC"), ("fsync", "error=EIO"), ("fdatasync", "error=EIO")]
    {
        let points = at_each(call, fault, |prepared, fault| {
            prepared.check(fault);
        });
        assert!(points > 0, "{call}");
    }
}

/// A script that dies between the look for the dead and the wait for news.
#[test]
fn a_death_that_comes_at_a_bad_moment_is_not_missed() {
    if !can_trace("a_death_that_comes_at_a_bad_moment_is_not_missed") {
        return;
    }
    // Its output closes first, so that nothing but its death can wake anybody.
    let prepared = prepared_with("exec >&- 2>&-; sleep 0.75; exit 7");
    std::thread::scope(|scope| {
        scope.spawn(|| prepared.bring_forward("wait4:delay_exit=500000"));
        let deadline = Instant::now() + Duration::from_secs(30);
        while !prepared.job.file("end").exists() {
            if Instant::now() > deadline {
                prepared.job.cancel("the test").expect("cancel");
                panic!("it waits for ever");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    assert_eq!(prepared.check("a late death"), EndKind::Exit(7));
}

/// A piece of which only the beginning had room is taken back: what comes behind it stands
/// where the index says. Files may grow to 16 KiB here, so that a write ends half-way.
#[test]
fn half_a_piece_of_output_is_taken_back() {
    let sandbox = sandbox();
    // Of two streams no two pieces become one, whichever is read first.
    let script = "printf %32000s x; until [ $(wc -c <../log) -ge 32000 ]; do sleep 0.01; done
        printf %1000s lost; echo kept >&2";
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""]);
    command.arg(sandbox.program("octo-exec"));
    command.args(["run", "-j", "20260101T000000-aaaaaaaaaaaaa", "-c", script]);
    let tool = sandbox.tool("octo-exec");
    command.env_clear().envs(tool.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.stdin(Stdio::null()).output().expect("sh");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!((output.stdout.len(), said.contains("kept\n")), (32_000, true), "{said}");
    let job = sandbox.state("jobs/20260101T000000-aaaaaaaaaaaaa");
    let log = std::fs::read_to_string(job.join("log")).expect("a log");
    assert_eq!((log.len(), &log[32_000..]), (32_005, "kept\n"));
    let index = std::fs::read_to_string(job.join("index")).expect("an index");
    assert!(index.lines().last().is_some_and(|line| line.starts_with("32000 5 err ")), "{index}");
    let end = std::fs::read_to_string(job.join("end")).expect("an end");
    assert!(end.contains("log 32005\n") && end.contains("output%20was%20lost"), "{end}");
}

/// The log fills the disk; the job goes on, and its end has its room.
#[test]
fn a_job_that_fills_the_disk_ends_as_it_ended() {
    const TEST: &str = "a_job_that_fills_the_disk_ends_as_it_ended";
    if !crate::support::is_root(TEST) {
        return;
    }
    let sandbox = sandbox();
    let Some(_disk) = SmallDisk::mount(&sandbox.state(""), "1m") else {
        return impossible(TEST, "can't mount a small tmpfs");
    };
    let end = sandbox.path("end");
    let script = "head -c 5000000 /dev/zero | tr '\\0' x; echo V=1 >>$OCTO_OUTPUT; exit 7";
    let mut command = sandbox.tool("octo-exec");
    let output = command.args(["run", "--end"]).arg(&end).args(["-c", script]).output();
    let again = sandbox.tool("octo-exec").arg("list").output();
    let output = output.expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(output.stdout.len() > 400_000 && output.stdout.iter().all(|b| *b == b'x'));
    let record = std::fs::read_to_string(&end).expect("an end");
    assert!(record.starts_with("kind exit\ncode 7\n"), "{record}");
    assert!(record.contains("output%20was%20lost"), "{record}");
    let listed = String::from_utf8_lossy(&again.expect("lists").stdout).into_owned();
    assert!(listed.contains(" exit "), "{listed}");
}

#[test]
fn what_cannot_be_started_never_starts_later() {
    if !can_trace("what_cannot_be_started_never_starts_later") {
        return;
    }
    let sandbox = sandbox();
    for detach in [&[][..], &["-D"]] {
        let id = JobId::generate().expect("an id");
        let output = Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "-e", "inject=clone,clone3,vfork:error=EAGAIN"])
            .arg(sandbox.program("octo-exec"))
            .args(["--config".as_ref(), sandbox.config("").as_os_str()])
            .args(["--state".as_ref(), sandbox.state("").as_os_str()])
            .args(["run", "-j", id.as_str()])
            .args(detach)
            .args(["-c", "echo ran"])
            .output()
            .expect("strace runs");
        assert_eq!(output.status.code(), Some(75), "{output:?}");
        // 75 promises that nothing will run.
        sandbox.tool("octo-exec").arg("start").assert().success();
        let job = JobDirectory::of(&places(&sandbox), &id);
        let end = job.end().expect("readable").expect("an end");
        assert_eq!(end.kind, EndKind::Denied(75));
        assert!(!job.file("log").exists());
    }
}

/// Published or not, whole: a publisher that is killed at each of its calls.
#[test]
fn a_publisher_that_is_killed_leaves_a_whole_job_or_none() {
    if !can_trace("a_publisher_that_is_killed_leaves_a_whole_job_or_none") {
        return;
    }
    for call in ["write", "fsync", "mkdir", "rename", "clone3"] {
        for when in 1.. {
            let sandbox = sandbox();
            let id = JobId::generate().expect("an id");
            let trace = sandbox.path("trace");
            let command = format!("echo ran >>{}; exit 7", trace.display());
            let run = ["run", "-j", id.as_str(), "-c", &command];
            let status = Command::new("strace")
                .args(["-qq", "-o", "/dev/null", "-e"])
                .arg(format!("inject={call}:signal=KILL:when={when}"))
                .arg(sandbox.program("octo-exec"))
                .args(["--config".as_ref(), sandbox.config("").as_os_str()])
                .args(["--state".as_ref(), sandbox.state("").as_os_str()])
                .args(run)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .expect("strace runs");
            if status.code() == Some(7) {
                break;
            }
            let there = JobDirectory::all(&places(&sandbox)).expect("jobs");
            for job in &there {
                assert!(job.spec().is_ok() && job.origin().is_ok(), "{call} {when}: {job:?}");
            }
            // The repeat is what a script does; it runs once in all.
            sandbox.tool("octo-exec").args(run).assert().code(7);
            let runs = std::fs::read_to_string(&trace).expect("it ran");
            assert_eq!(runs, "ran\n", "{call} {when}");
        }
    }
    // What a killed one left is swept by whoever comes next.
    let sandbox = sandbox();
    let left = sandbox.write("state/jobs/.octo-tmp-left/secrets", SECRET);
    sandbox.tool("octo-exec").arg("start").assert().success();
    assert!(!left.exists());
}

/// Bounded memory, whatever the output is made of.
#[test]
fn a_gigabyte_without_a_newline_takes_no_memory() {
    let sandbox = sandbox();
    let length: u64 = if std::env::var_os("OCTO_TEST_LONG").is_some() { 1 << 30 } else { 96 << 20 };
    let secrets = sandbox.write("secrets", "TOKEN=s3cret-value\n");
    crate::support::set_mode(&secrets, 0o600);
    let go = sandbox.path("go");
    let script = format!(
        "head -c {length} /dev/zero; while [ ! -e {} ]; do sleep 0.02; done; exit 3",
        go.display()
    );
    let mut command = Command::new(sandbox.program("octo-exec"));
    let state = sandbox.state("");
    command.arg("--config").arg(sandbox.config("")).arg("--state").arg(&state);
    command.args(["run", "-S"]).arg(&secrets).args(["-c", &script]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let log = || {
        let jobs = std::fs::read_dir(sandbox.state("jobs")).into_iter().flatten().flatten();
        jobs.map(|job| job.path().join("log")).find(|log| log.exists())
    };
    let deadline = Instant::now() + Duration::from_secs(300);
    while log().and_then(|log| log.metadata().ok()).is_none_or(|m| m.len() < length) {
        assert!(Instant::now() < deadline, "the log never came to {length} bytes");
        std::thread::sleep(Duration::from_millis(10));
    }
    let job = log().expect("a log").parent().expect("a job").to_path_buf();
    let session = session_of(&job).expect("a session");
    for process in [session, Pid::from_child(&child)] {
        let peak = peak_of(process).expect("a peak");
        assert!(peak < 32 * 1024, "{process:?}: {peak} KiB");
    }
    std::fs::write(&go, "").expect("write");
    assert_eq!(child.wait().expect("wait").code(), Some(3));
}
