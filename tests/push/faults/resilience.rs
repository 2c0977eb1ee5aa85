//! A deployment depends on no laptop lid and no listener's process: each of the
//! three is killed at random moments.
//!
//! The long form, as it is run before a release: OCTO_TEST_LONG=1 kills at 200
//! moments; the short form takes a sample that moves with the day.

use crate::support::random::Random;
use crate::support::{session_of, wait_for};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

fn is_long() -> bool {
    std::env::var_os("OCTO_TEST_LONG").is_some()
}

/// Another sample each day, the same one for all of it.
fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    now.as_secs() / 86400
}

fn runs(counter: &Path) -> usize {
    std::fs::read_to_string(counter).unwrap_or_default().lines().count()
}

fn end_of(job: &Path) -> Option<String> {
    std::fs::read_to_string(job.join("end")).ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Listener,
    Supervisor,
    Octopus,
}

const VICTIMS: [Victim; 3] = [Victim::Listener, Victim::Supervisor, Victim::Octopus];

/// A short job, and who is killed while it is pushed.
struct Round {
    number: usize,
    victim: Victim,
    id: String,
    job: PathBuf,
    counter: PathBuf,
}

impl Round {
    fn new(number: usize, octopus: &Octopus, web1: &Tentacle) -> Round {
        let id = format!("20260101T000000-{}", letters(number));
        let job = web1.state.join("jobs").join(&id);
        let counter = octopus.sandbox.path(&format!("counter-{number}"));
        Round { number, victim: VICTIMS[number % 3], id, job, counter }
    }

    fn arguments(&self) -> [&str; 7] {
        let counter = self.counter.to_str().expect("UTF-8");
        ["-t", "web1", "run", "-j", &self.id, "job.sh", counter]
    }

    /// Pushes the job, and kills the victim after this time.
    fn interrupted(&self, octopus: &Octopus, web1: &mut Tentacle, after: Duration) -> Output {
        let mut command = octopus.start(&self.arguments());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("spawn");
        std::thread::sleep(after);
        match self.victim {
            Victim::Listener => {
                web1.kill();
                web1.start();
            }
            Victim::Supervisor => {
                if let Some(session) = session_of(&self.job) {
                    // It may have come to its end meanwhile.
                    let _ = rustix::process::kill_process(session, rustix::process::Signal::KILL);
                }
            }
            Victim::Octopus => child.kill().expect("kill"),
        }
        child.wait_with_output().expect("wait")
    }

    /// It ran at most once, its end is told truly, and both answers agree.
    fn check(&self, first: &Output, again: &Output) {
        let Round { number, victim, .. } = self;
        let error = String::from_utf8_lossy(&first.stderr);
        let final_error = String::from_utf8_lossy(&again.stderr);
        let end = end_of(&self.job).unwrap_or_else(|| {
            panic!("round {number}: no end: {:?} {final_error}", again.status);
        });
        let (code, final_code) = (first.status.code(), again.status.code());
        let what = format!(
            "round {number}, victim {victim:?}: first {code:?} {error:?}, then {final_code:?}, \
             {end:?}"
        );
        match final_code {
            Some(7) => {
                assert!(end.starts_with("kind exit\ncode 7\n"), "{what}");
                assert_eq!(again.stdout, b"done\n", "{what}");
                assert_eq!(runs(&self.counter), 1, "{what}");
            }
            Some(71) => {
                assert_eq!(*victim, Victim::Supervisor, "{what}");
                assert!(end.starts_with("kind lost\n"), "{what}");
                assert!(runs(&self.counter) <= 1, "{what}");
            }
            _ => panic!("{what}: {final_error}"),
        }
        if *victim != Victim::Octopus && code != Some(69) {
            assert_eq!(code, final_code, "{what}");
        }
    }
}

/// Kills one of the three at a random moment of a short job; whatever happens,
/// it runs at most once, its end is told truly, and asking again agrees.
#[test]
fn kill_9_of_anybody_at_any_moment_keeps_the_promises() {
    let (octopus, mut web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let script = "#!/bin/sh\necho ran >>\"$1\"\nsleep 0.03\necho done\nexit 7\n";
    octopus.sandbox.write("job.sh", script);
    let rounds = if is_long() { 200 } else { 24 };
    let mut random = Random(seed());
    let mut ends = std::collections::BTreeMap::new();
    for number in 0..rounds {
        let round = Round::new(number, &octopus, &web1);
        let moment = Duration::from_micros(random.below(120_000) as u64);
        let first = round.interrupted(&octopus, &mut web1, moment);
        // Asked again with the same id, the answer is final, and agrees.
        let again = octopus.push(&round.arguments()).output().expect("run");
        round.check(&first, &again);
        *ends.entry((round.victim, again.status.code())).or_insert(0) += 1;
    }
    // Nothing half-made is left among the jobs, and the audit log is whole.
    let left: Vec<PathBuf> = std::fs::read_dir(web1.state.join("jobs"))
        .expect("jobs")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.is_dir() && end_of(p).is_none())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let mut check = octopus.sandbox.tool("octo-listen");
    check.arg("--config").arg(&web1.config).arg("--state").arg(&web1.state).arg("--check-audit");
    check.assert().success();
    assert!(ends.contains_key(&(Victim::Listener, Some(7))), "{ends:?}");
}

/// Thirteen letters of base32 for a number.
fn letters(mut number: usize) -> String {
    (0..13)
        .map(|_| {
            let letter = b"abcdefghijklmnopqrstuvwxyz234567"[number % 32] as char;
            number /= 32;
            letter
        })
        .collect()
}

#[test]
fn fifty_megabytes_come_back_whole_with_both_streams_apart() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    // 25 MiB each way, written in turns; every block says which it is.
    let script = "i=0; while [ $i -lt 100 ]; do head -c 262144 /dev/zero | tr '\\0' o; echo $i; \
                  { head -c 262144 /dev/zero | tr '\\0' e; echo $i; } >&2; i=$((i+1)); done";
    let output = octopus.push(&["-t", "web1", "run", "-c", script]).output().expect("run");
    assert!(output.status.success());
    let check = |bytes: &[u8], letter: u8| {
        let mut wanted = Vec::with_capacity(26 << 20);
        for i in 0..100 {
            wanted.resize(wanted.len() + 262_144, letter);
            wanted.extend_from_slice(format!("{i}\n").as_bytes());
        }
        assert!(bytes == wanted, "{} bytes of {}", bytes.len(), wanted.len());
    };
    check(&output.stdout, b'o');
    check(&output.stderr, b'e');
}

/// Context switches of all threads of a process so far.
fn switches(pid: u32) -> u64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok())
        .flat_map(|status| {
            let count =
                |line: &str| line.split_whitespace().last().and_then(|n| n.parse::<u64>().ok());
            status
                .lines()
                .filter(|l| l.contains("ctxt_switches"))
                .filter_map(count)
                .collect::<Vec<_>>()
        })
        .sum()
}

#[test]
fn following_a_silent_job_wakes_nobody() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let go = octopus.sandbox.path("go");
    // A fifo is waited on without a wakeup.
    let script = format!("mkfifo {0}; echo ready; cat {0}", go.display());
    let mut command = octopus.start(&["-t", "web1", "run", "-c", &script]);
    let child = command.stdout(Stdio::piped()).spawn().expect("spawn");
    let job = || web1.jobs().into_iter().next();
    wait_for("its output", || {
        job().is_some_and(|j| j.join("log").metadata().is_ok_and(|m| m.len() > 0))
    });
    let supervisor = session_of(&job().expect("a job")).expect("started").as_raw_pid() as u32;
    let listener = web1.pid();
    let count = || [child.id(), supervisor, listener].map(switches);
    // One that was starved may have work left; one that polls never has four such seconds.
    wait_for("four seconds with less than six switches of each", || {
        let before = count();
        std::thread::sleep(Duration::from_secs(4));
        count().iter().zip(before).all(|(now, then)| now.saturating_sub(then) <= 6)
    });
    std::fs::write(&go, "").expect("write");
    assert!(child.wait_with_output().expect("wait").status.success());
}
