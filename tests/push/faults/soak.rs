//! Mixed work for a while on a tentacle of two users, with kill -9 of all that works for
//! it: each job runs once or never, and nothing is left behind.
//!
//! The long form, as it is run before a release: OCTO_TEST_LONG=1 goes on for ten minutes.
//! OCTO_TEST_SEED is the seed that a failure named: who is killed in which order.

use crate::separated::Separated;
use crate::support::random::Random;
use crate::support::{PATIENCE, is_root, session_of, wait_for};
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// So many work at once.
const WORKERS: usize = 3;

/// Each so manyth job is asked for once more, of the others the record is read.
const ASKED_AGAIN: usize = 10;

/// So many ways there are to ask for a job, and two of them.
const WAYS: usize = 4;
const WITH_PACKAGE: usize = 1;
const CANCELLED: usize = 3;

/// What a job does: says who it is, leaves a value and an artifact, and says it again.
const SCRIPT: &str = "#!/bin/sh\necho ran >>\"$1\"\necho \"$2 begins\"\n\
    echo \"ID=$2\" >>\"$OCTO_OUTPUT\"\necho \"$2\" >\"$OCTO_ARTIFACTS/id\"\nsleep 0.02\n\
    echo \"$2 ends\"\nexit 7\n";

/// What the logs may say: everything else is a false alarm, or a true one.
const EXPECTED: [&str; 8] = [
    ": run ",
    ": put ",
    ": cancel ",
    ": its octo-exec died",
    " waiting jobs were started",
    " abandoned uploads were removed",
    ": its octo-exec failed",
    "octo-exec doesn't answer",
];

/// More jobs than this are asked for, however busy the machine is.
const FEWEST: usize = 10;

struct Soak<'a> {
    /// In each message, so that a failure can be tried again.
    seed: u64,
    octopus: &'a Octopus,
    state: PathBuf,
    next: AtomicUsize,
    is_over: AtomicBool,
    /// The jobs that were asked for, and in which way.
    asked: Mutex<Vec<(String, usize)>>,
}

impl Soak<'_> {
    fn counter(&self, id: &str) -> PathBuf {
        self.octopus.sandbox.path("counters").join(id)
    }

    fn push(&self, arguments: &[&str]) -> Output {
        let mut command = self.octopus.start(&[&["-q", "-t", "web1"], arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("octo-push runs")
    }

    /// Asks for a job until there is an answer: nobody may answer for a moment.
    fn run(&self, id: &str, more: &[&str]) -> Output {
        let counter = self.counter(id);
        let job = ["job.sh", counter.to_str().expect("UTF-8"), id];
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let output = self.push(&[&["run", "-j", id], more, &job].concat());
            if output.status.code() != Some(69) {
                return output;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(Instant::now() < deadline, "seed {}: {id}: {said}", self.seed);
        }
    }

    /// One job after the other, each in one of several ways.
    fn work(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let id = format!("20260101T000000-{}", letters(number));
            self.asked.lock().expect("not poisoned").push((id.clone(), number % WAYS));
            match number % WAYS {
                0 => drop(self.run(&id, &[])),
                WITH_PACKAGE => drop(self.run(&id, &["-p", "package"])),
                2 => {
                    self.run(&id, &["-D"]);
                    self.push(&["follow", &id]);
                }
                _ => {
                    self.run(&id, &["-D"]);
                    self.push(&["cancel", &id]);
                }
            }
        }
    }

    /// Kills one of those who work for the tentacle, whoever it is.
    fn kill(&self, separated: &mut Separated, random: &mut Random) {
        match random.below(4) {
            0 => separated.restart_listener(self.octopus),
            1 => separated.restart_serve(self.octopus),
            2 => kill_all(&programs(&self.state)),
            _ => {
                let jobs = separated.tentacle.jobs();
                let running = |job: &&PathBuf| !job.join("end").exists();
                let leader = jobs.iter().rev().find(running).and_then(|job| session_of(job));
                kill_all(&Vec::from_iter(leader));
            }
        }
    }

    /// A job ran once, and all of it is on record; or it did not, and that is said.
    fn check(&self, number: usize, id: &str, way: usize) {
        if !number.is_multiple_of(ASKED_AGAIN) {
            return self.check_record(id, way);
        }
        let again = self.run(id, if way == WITH_PACKAGE { &["-p", "package"] } else { &[] });
        let error = String::from_utf8_lossy(&again.stderr);
        let ran = std::fs::read_to_string(self.counter(id)).unwrap_or_default().lines().count();
        let job = self.state.join("jobs").join(id);
        let end = std::fs::read_to_string(job.join("end"));
        let code = again.status.code();
        let what = format!("seed {}: {id}: {code:?} {error} {end:?}, ran {ran}", self.seed);
        match code {
            Some(7) => {
                assert_eq!(ran, 1, "{what}");
                let whole = format!("{id} begins\n{id} ends\n");
                assert_eq!(String::from_utf8_lossy(&again.stdout), whole, "{what}");
                let artifact = std::fs::read_to_string(job.join("artifacts/id")).expect(&what);
                assert_eq!(artifact.trim_end(), id, "{what}");
            }
            // Its supervisor was killed: it may have come to anything but a second time.
            Some(71) => assert!(ran <= 1, "{what}"),
            Some(130) => assert!(way == CANCELLED && ran <= 1, "{what}"),
            _ => panic!("{what}"),
        }
    }

    /// The same by what is written down.
    fn check_record(&self, id: &str, way: usize) {
        let ran = std::fs::read_to_string(self.counter(id)).unwrap_or_default().lines().count();
        let job = self.state.join("jobs").join(id);
        let end = || std::fs::read_to_string(job.join("end")).unwrap_or_default();
        wait_for(&format!("seed {}: the end of {id}", self.seed), || !end().is_empty());
        let (end, log) = (end(), std::fs::read_to_string(job.join("log")).unwrap_or_default());
        let what = format!("seed {}: {id}: {end:?}, ran {ran}, {log:?}", self.seed);
        match end.lines().next() {
            Some("kind exit") => {
                assert_eq!((ran, log), (1, format!("{id} begins\n{id} ends\n")), "{what}");
            }
            Some("kind lost") => assert!(ran <= 1, "{what}"),
            Some("kind cancelled") => assert!(way == CANCELLED && ran <= 1, "{what}"),
            _ => panic!("{what}"),
        }
    }
}

#[test]
fn with_kill_9_of_everybody_each_job_runs_once_or_never_and_nothing_is_left() {
    if !is_root("with_kill_9_of_everybody_each_job_runs_once_or_never_and_nothing_is_left") {
        return;
    }
    let is_long = std::env::var_os("OCTO_TEST_LONG").is_some();
    let lasts = Duration::from_secs(if is_long { 600 } else { 12 });
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut separated = Separated::start(&mut octopus, "allow=any user=daemon");
    octopus.sandbox.write("job.sh", SCRIPT);
    octopus.sandbox.write("package", vec![7; 300_000]);
    let counters = octopus.sandbox.path("counters");
    std::fs::create_dir(&counters).expect("mkdir");
    crate::support::set_mode(&counters, 0o777);
    let seed = std::env::var("OCTO_TEST_SEED").ok().map(|text| text.parse().expect("a number"));
    let seed = seed.unwrap_or_else(|| std::process::id().into());
    let soak = Soak {
        seed,
        octopus: &octopus,
        state: separated.tentacle.state.clone(),
        next: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        asked: Mutex::default(),
    };
    let mut random = Random(seed);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(|| soak.work())).collect();
        let (until, at_the_latest) = (Instant::now() + lasts, Instant::now() + lasts + PATIENCE);
        let is_short = || soak.asked.lock().expect("not poisoned").len() <= FEWEST;
        let goes_on = |now| now < until || (is_short() && now < at_the_latest);
        while goes_on(Instant::now()) && !workers.iter().any(|worker| worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(50 + random.below(400) as u64));
            soak.kill(&mut separated, &mut random);
        }
        soak.is_over.store(true, Ordering::Relaxed);
    });
    let asked = std::mem::take(&mut *soak.asked.lock().expect("not poisoned"));
    assert!(asked.len() > FEWEST, "seed {seed}: {} jobs", asked.len());
    for (number, (id, way)) in asked.iter().enumerate() {
        soak.check(number, id, *way);
    }
    check_what_is_left(&soak, &separated);
}

/// The spool is empty, both chains are whole, nothing runs on, no log has a false alarm.
fn check_what_is_left(soak: &Soak, separated: &Separated) {
    let (seed, state) = (soak.seed, &soak.state);
    let names = |directory: &str| -> Vec<String> {
        let entries = std::fs::read_dir(state.join(directory)).expect("read").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let spooled = || names("spool");
    let deadline = Instant::now() + PATIENCE;
    while !spooled().is_empty() {
        assert!(Instant::now() < deadline, "seed {seed}: {:?} stay in the spool", spooled());
        std::thread::sleep(Duration::from_millis(20));
    }
    wait_for(&format!("seed {seed}: the last one's end"), || programs(state).is_empty());
    assert_eq!(names("refused"), Vec::<String>::new(), "seed {seed}");
    let is_half_made = |name: &String| name.starts_with('.');
    wait_for(&format!("seed {seed}: nothing half made"), || {
        !names("jobs").iter().any(is_half_made)
    });
    wait_for(&format!("seed {seed}: no strays"), || with_job_of(state).is_empty());
    let mut check = soak.octopus.sandbox.tool("octo-listen");
    check.arg("--config").arg(&separated.tentacle.config).arg("--state").arg(state);
    let audited = check.arg("--check-audit").output().expect("octo-listen runs");
    assert!(audited.status.success(), "seed {seed}: {audited:?}");
    let logs = separated.logs();
    let odd: Vec<&str> = logs
        .lines()
        .filter(|line| !EXPECTED.iter().any(|expected| line.contains(expected)))
        .filter(|line| !line.contains("hint: "))
        .collect();
    assert_eq!(odd, Vec::<&str>::new(), "seed {seed}");
}

fn kill_all(processes: &[Pid]) {
    for process in processes {
        // It may be gone.
        let _ = kill_process(*process, Signal::KILL);
    }
}

/// The processes of this state directory that take something over, or lead its job.
fn programs(state: &Path) -> Vec<Pid> {
    let state = state.as_os_str().as_encoded_bytes();
    let is_one = |pid: i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|b| *b == 0).collect();
        words[0].ends_with(b"octo-exec") && words.contains(&&b"take"[..]) && words.contains(&state)
    };
    pids().into_iter().filter(|pid| is_one(*pid)).filter_map(Pid::from_raw).collect()
}

/// Processes that carry a job of this state directory in their environment.
fn with_job_of(state: &Path) -> Vec<i32> {
    let mark = state.join("jobs").into_os_string().into_encoded_bytes();
    let carries = |pid: &i32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.windows(mark.len()).any(|window| window == mark)
    };
    pids().into_iter().filter(carries).collect()
}

fn pids() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Thirteen letters of base32 for a number.
fn letters(mut number: usize) -> String {
    let mut letter = || {
        let letter = b"abcdefghijklmnopqrstuvwxyz234567"[number % 32] as char;
        number /= 32;
        letter
    };
    (0..13).map(|_| letter()).collect()
}
