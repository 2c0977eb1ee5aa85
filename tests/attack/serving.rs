//! octo-exec serve in trouble: jobs that others started or lost, a disk that takes nothing.
//! It rests, tries again by itself, and ends what is to end.

use crate::separated::{Separated, command, job_id, separated, traceable, unserved};
use crate::support::{PATIENCE, kill_session_of, wait_for};
use octo_core::JobId;
use octo_core::tentacle::job::{EndKind, State};
use octo_core::tentacle::spool::EntryName;
use octo_core::tentacle::statement::Asks;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

/// What serve starts, and where it waits.
const STARTS_AND_WAITS: &str = "?clone,?clone3,?vfork,?fork,?poll,?ppoll";

/// A gate at which scripts wait, without a turn of the processor, until it is opened.
pub(crate) struct Gate<'a>(&'a Separated);

impl<'a> Gate<'a> {
    pub(crate) fn new(here: &'a Separated) -> Gate<'a> {
        let path = here.sandbox.path("gate");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::from_raw_mode(0o644)).expect("mkfifo");
        Gate(here)
    }

    /// A script that says that it ran and waits here.
    pub(crate) fn script(&self, job: &JobId) -> String {
        format!("echo ran >>{}; read -r x <{} || :", self.0.mark(job).display(), self.path())
    }

    /// A job of it that has begun.
    pub(crate) fn begin(&self) -> JobId {
        let job = job_id();
        self.0.begin(&job, &command(&self.script(&job)));
        job
    }

    fn path(&self) -> String {
        self.0.sandbox.path("gate").display().to_string()
    }

    /// Who waits goes on, and who comes later is not held.
    pub(crate) fn open(self) {
        let path = self.0.sandbox.path("gate");
        let opened = rustix::fs::open(&path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty());
        drop(opened.ok());
        let other = self.0.sandbox.path("opened");
        std::fs::write(&other, "").expect("write");
        std::fs::rename(&other, &path).expect("rename");
    }
}

/// Rings, and waits until serve has heard it: what had rung before, it has looked at.
pub(crate) fn ring_until_heard(here: &Separated) {
    let mut rung = UnixStream::connect(here.places.doorbell()).expect("the doorbell");
    rung.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    // It is closed there, with or without a byte of ours that was not read.
    let _ = rung.read(&mut [0]);
}

/// How many processes serve watches.
pub(crate) fn watched(serving: Pid) -> usize {
    let descriptors = format!("/proc/{}/fd", serving.as_raw_pid());
    let links = std::fs::read_dir(descriptors).expect("descriptors").flatten();
    let to = links.filter_map(|link| std::fs::read_link(link.path()).ok());
    to.filter(|to| to.to_string_lossy().contains("pidfd")).count()
}

/// How many programs serve has started that it has not waited for.
pub(crate) fn children(serving: Pid) -> usize {
    let pid = serving.as_raw_pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    children.expect("children").split_whitespace().count()
}

/// How often serve has started something, and how often it did that without a rest since the
/// time before.
fn starts(trace: &Path) -> (usize, usize) {
    let (mut starts, mut at_once, mut rested) = (0, 0, true);
    for line in std::fs::read_to_string(trace).expect("a trace").lines() {
        if line.contains("poll(") {
            rested |= line.contains("Timeout");
        } else if line.contains('(') && !line.contains("CLONE_THREAD") {
            starts += 1;
            at_once += usize::from(!rested);
            rested = false;
        }
    }
    (starts, at_once)
}

#[test]
fn start_holds_nobody_who_reads_what_it_says() {
    let Some(here) = unserved("start_holds_nobody_who_reads_what_it_says") else { return };
    let (gate, job) = (Gate::new(&here), job_id());
    here.spool_request(&job, &command(&gate.script(&job)));
    let (sender, returned) = channel();
    std::thread::scope(|scope| {
        let mut start = here.by(Command::new(here.sandbox.program("octo-exec")));
        scope.spawn(move || sender.send(start.arg("start").output()).ok());
        let output = returned.recv_timeout(PATIENCE);
        wait_for("its script", || here.runs(&job) == 1);
        let runs_on = here.job(&job).end().expect("readable").is_none();
        gate.open();
        let output = output.expect("it returns").expect("octo-exec");
        assert!(output.status.success() && runs_on, "{output:?}");
    });
    assert_eq!(here.end_of(&job).kind.code(), 0);
}

/// Starts what is spooled, as an operator does whom serve does not see.
fn start_by_hand(here: &Separated) {
    let mut start = here.by(Command::new(here.sandbox.program("octo-exec")));
    let status = start.arg("start").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.expect("octo-exec").success());
}

#[test]
fn a_lost_job_that_serve_did_not_start_is_ended_when_somebody_rings() {
    let test = "a_lost_job_that_serve_did_not_start_is_ended_when_somebody_rings";
    let Some(here) = separated(test) else { return };
    let (gate, job) = (Gate::new(&here), job_id());
    here.spool_request(&job, &command(&gate.script(&job)));
    start_by_hand(&here);
    wait_for("its script", || here.runs(&job) == 1);
    kill_session_of(here.job(&job).path());
    wait_for("its loss", || matches!(here.job(&job).state(), Ok(State::Lost)));
    // As whoever follows it does.
    here.ring();
    let end = here.end_of(&job);
    assert_eq!((end.kind, here.runs(&job)), (EndKind::Lost, 1), "{end:?}");
}

#[test]
fn a_job_by_hand_is_watched_from_the_next_ring_on() {
    let Some(here) = separated("a_job_by_hand_is_watched_from_the_next_ring_on") else { return };
    let (gate, job) = (Gate::new(&here), job_id());
    let mut run = here.by(Command::new(here.sandbox.program("octo-exec")));
    run.args(["run", "-D", "-j", job.as_str(), "-c", &gate.script(&job)]);
    assert!(run.stdout(Stdio::null()).status().expect("octo-exec").success());
    wait_for("its script", || here.runs(&job) == 1);
    here.ring();
    wait_for("a watch", || watched(here.serving()) == 1);
    kill_session_of(here.job(&job).path());
    assert_eq!(here.end_of(&job).kind, EndKind::Lost);
}

/// One whose first try to watch a job fails.
#[test]
fn a_job_that_could_not_be_watched_is_watched_later() {
    let test = "a_job_that_could_not_be_watched_is_watched_later";
    let Some(mut here) = traceable(test) else { return };
    let fails = "inject=pidfd_open:error=EMFILE:when=1";
    here.serve_under(&["strace", "-D", "-qq", "-o", "/dev/null", "-e", fails]);
    let here = here;
    let gate = Gate::new(&here);
    let job = gate.begin();
    wait_for("a watch", || watched(here.serving()) == 1);
    kill_session_of(here.job(&job).path());
    assert_eq!(here.end_of(&job).kind, EndKind::Lost);
}

#[test]
fn nothing_wakes_one_that_has_nothing_to_do() {
    let test = "nothing_wakes_one_that_has_nothing_to_do";
    let Some(mut here) = traceable(test) else { return };
    let trace = here.serve_traced("?poll,?ppoll");
    // At the doorbell alone, and without a deadline.
    let waits = || {
        let trace = std::fs::read_to_string(&trace).expect("a trace");
        trace
            .lines()
            .last()
            .is_some_and(|line| line.contains("], 1, NULL") && !line.contains(" = "))
    };
    wait_for("that it waits", waits);
    let job = job_id();
    assert_eq!(here.hand_over(&job, &here.request(&job, b"command true\n")).kind.code(), 0);
    here.ring();
    wait_for("that it waits again", waits);
}

/// May its process write files?
fn may_write(process: Pid, may: bool) {
    let current = if may { None } else { Some(0) };
    prlimit(Some(process), Resource::Fsize, Rlimit { current, maximum: None }).expect("prlimit");
}

#[test]
fn a_held_job_whose_end_cannot_be_written_is_tried_with_pauses() {
    let test = "a_held_job_whose_end_cannot_be_written_is_tried_with_pauses";
    let Some(mut here) = traceable(test) else { return };
    here.serve();
    here.trust(&[(&here.ci, &format!("ci user={} hold", here.user.name))]);
    let job = job_id();
    here.spool_request(&job, &here.marking(&job));
    here.ring();
    wait_for("that it is held", || matches!(here.job(&job).state(), Ok(State::Held)));
    here.stop_serving();
    let held = std::fs::read_to_string(here.job(&job).file("held")).expect("read");
    let old = |line: &str| match line.starts_with("since ") {
        true => "since 2020-01-01T00:00:00Z\n".to_string(),
        false => format!("{line}\n"),
    };
    std::fs::write(here.job(&job).file("held"), held.lines().map(old).collect::<String>())
        .expect("write");
    let trace = here.sandbox.path("trace");
    let (filter, path) = (format!("trace={STARTS_AND_WAITS}"), trace.display().to_string());
    here.serve_under(&[
        "strace",
        "-D",
        "-qq",
        "-e",
        "signal=none",
        "-e",
        &filter,
        "-o",
        &path,
        "prlimit",
        "--fsize=0:",
    ]);
    wait_for("three tries", || starts(&trace).0 >= 3);
    assert_eq!(starts(&trace).1, 0);
    may_write(here.serving(), true);
    let end = here.end_of(&job);
    assert_eq!((end.kind.word(), here.runs(&job)), ("expired", 0), "{end:?}");
}

/// Spools a cancel of this job's pusher's, later than what is noted of one before.
fn spool_cancel(here: &Separated, job: &JobId, is_forged: bool) {
    let statement = here.ci.statement(here.tentacle, job, Asks::Cancel);
    let mut parts = here.ci.sign(statement.encode(), b"");
    if is_forged {
        parts.signature = vec![7; 64];
    }
    let name = EntryName::cancel(job);
    wait_for("a later entry", || {
        here.spool(&name.to_string(), &parts.bytes());
        !name.is_done(&here.places)
    });
}

#[test]
fn a_job_is_watched_once_however_many_cancels_come() {
    let Some(here) = separated("a_job_is_watched_once_however_many_cancels_come") else { return };
    let gate = Gate::new(&here);
    let job = gate.begin();
    for _ in 0..2 {
        spool_cancel(&here, &job, true);
        here.ring();
        wait_for("a note", || EntryName::cancel(&job).is_done(&here.places));
        wait_for("the end of its octo-exec", || children(here.serving()) == 1);
    }
    ring_until_heard(&here);
    assert_eq!(watched(here.serving()), 1);
    gate.open();
    assert_eq!(here.end_of(&job).kind.code(), 0);
}

#[test]
fn a_cancel_that_was_given_up_may_come_again() {
    let test = "a_cancel_that_was_given_up_may_come_again";
    let Some(mut here) = traceable(test) else { return };
    let trace = here.serve_traced(STARTS_AND_WAITS);
    let here = here;
    let gate = Gate::new(&here);
    let job = gate.begin();
    let name = EntryName::cancel(&job);
    // Neither can it be taken over, nor can that be noted.
    let obstacles =
        [here.job(&job).file("cancel.request"), here.places.refused().join(name.to_string())];
    obstacles.iter().for_each(|path| std::fs::create_dir(path).expect("mkdir"));
    spool_cancel(&here, &job, false);
    let before = starts(&trace);
    here.ring();
    wait_for("three tries, and what notes it", || starts(&trace).0 >= before.0 + 4);
    // The first of them came as somebody rang.
    assert_eq!(starts(&trace).1, before.1 + 1);
    obstacles.iter().for_each(|path| std::fs::remove_dir(path).expect("rmdir"));
    wait_for("its note", || here.refused(&name.to_string()).is_some());
    let note = here.refused(&name.to_string()).expect("waited for");
    assert_eq!(note.kind.code(), 69, "{note:?}");
    spool_cancel(&here, &job, false);
    here.ring();
    assert_eq!(here.end_of(&job).kind.code(), 130);
}

#[test]
fn an_entry_that_cannot_be_taken_over_is_told_after_three_tries() {
    let test = "an_entry_that_cannot_be_taken_over_is_told_after_three_tries";
    let Some(mut here) = traceable(test) else { return };
    let trace = here.serve_traced(STARTS_AND_WAITS);
    let job = job_id();
    std::fs::write(here.job(&job).path(), "").expect("write");
    here.spool_request(&job, &here.marking(&job));
    here.ring();
    wait_for("its note", || here.refused(job.as_str()).is_some());
    let note = here.refused(job.as_str()).expect("waited for");
    here.assert_refused(&job, &note, 69, "octo-exec could not take it over in 3 tries");
    // What is started is traced a little later.
    wait_for("three tries, and what notes it", || starts(&trace).0 >= 4);
    assert_eq!(starts(&trace), (4, 0));
}
