//! octo-exec serve and octo-exec take, killed at each of their system calls: whoever comes
//! next brings the job to its end, its script ran once, and the audit chain is whole.
//!
//! The short form takes some of the calls, OCTO_TEST_LONG=1 all of them.

use crate::separated::{Separated, injectable, job_id, unserved};
use crate::support::wait_for;
use jiff::{SignedDuration, Timestamp};
use octo_core::JobId;
use octo_core::base::cli::utc;
use octo_core::tentacle::audit::Audit;
use octo_core::tentacle::job::EndKind;
use octo_core::tentacle::layout::Side;
use octo_core::tentacle::releases;
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

/// The short form of each test kills so often.
const SHORT: usize = 24;

/// At which call: its name, and the how manieth of that name.
type Point = (String, usize);

struct Tested {
    /// Does it with this job, killed at this point: was it?
    acts: fn(&Separated, &JobId, Option<&Point>) -> bool,
    /// How often the job did what it is for.
    done: fn(&Separated, &JobId) -> usize,
    /// It runs the job itself: who kills it may have that lost.
    runs_jobs: bool,
}

/// These words of octo-exec under strace(1): that one process, and not what it starts.
fn traced(here: &Separated, words: &[&str], point: Option<&Point>) -> Command {
    let mut strace = here.by(Command::new("strace"));
    strace.args(["-D", "-qq", "-s", "200", "-e", "signal=none"]);
    strace.arg("-o").arg(here.sandbox.path("trace"));
    if let Some((call, when)) = point {
        strace.args(["-e", &format!("trace={call}")]);
        strace.args(["-e", &format!("inject={call}:signal=KILL:when={when}")]);
    }
    strace.arg(here.sandbox.program("octo-exec")).args(words).stderr(Stdio::null());
    strace
}

fn was_killed(status: std::process::ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// Spools the job, rings, and stays until it is over and waited for.
fn served(here: &Separated, job: &JobId, point: Option<&Point>) -> bool {
    let mut serve = traced(here, &["serve"], point).stdout(Stdio::piped()).spawn().expect("strace");
    let mut line = String::new();
    let out = serve.stdout.take().expect("standard output");
    BufReader::new(out).read_line(&mut line).expect("a line, or its end");
    here.spool_request(job, &here.marking(job));
    // Nobody answers where it was killed.
    drop(UnixStream::connect(here.places.doorbell()));
    let pid = Pid::from_child(&serve).as_raw_pid();
    let mut status = None;
    wait_for("its end, or the job's", || {
        status = serve.try_wait().expect("wait");
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let is_idle = children.is_ok_and(|children| children.is_empty());
        status.is_some() || is_idle && matches!(here.job(job).end(), Ok(Some(_)))
    });
    let _ = serve.kill();
    serve.wait().expect("wait");
    status.is_some_and(was_killed)
}

fn taken(here: &Separated, job: &JobId, point: Option<&Point>) -> bool {
    here.spool_request(job, &here.marking(job));
    let mut take = traced(here, &["take", job.as_str()], point);
    was_killed(take.stdout(Stdio::null()).status().expect("strace"))
}

/// An order: octo-exec itself freezes an application, which is called as the job is.
fn frozen(here: &Separated, job: &JobId, point: Option<&Point>) -> bool {
    here.trust(&[(&here.ci, "ci allow=freeze")]);
    let until = utc(Timestamp::now() + SignedDuration::from_hours(2));
    here.spool_request(job, format!("freeze {job} {until} x\n").as_bytes());
    let mut take = traced(here, &["take", job.as_str()], point);
    was_killed(take.stdout(Stdio::null()).status().expect("strace"))
}

/// Whole, and never without a line of the audit log.
fn freezes(here: &Separated, job: &JobId) -> usize {
    let (found, wrong) = releases::freezes(&here.places, Timestamp::now()).expect("readable");
    assert!(wrong.is_empty(), "{wrong:?}");
    let own = found.iter().filter(|freeze| freeze.application == job.as_str()).count();
    let audit = std::fs::read_to_string(here.places.audit()).unwrap_or_default();
    let told = audit.matches(&format!(" freeze={job} ")).count();
    // One that was killed behind its line begins again, with another.
    assert!(own <= told && told <= 2, "{own} of {told}");
    own
}

/// All calls of what is tested, but for the loader's, before which nothing was looked at.
fn points(here: &Separated, tested: &Tested) -> Vec<Point> {
    assert!(!(tested.acts)(here, &job_id(), None));
    let trace = std::fs::read_to_string(here.sandbox.path("trace")).expect("a trace");
    let top = here.sandbox.path("").display().to_string();
    let (mut counts, mut points, mut looked) = (BTreeMap::new(), Vec::new(), false);
    for line in trace.lines() {
        let Some((name, rest)) = line.split_once('(') else { continue };
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let when = counts.entry(name.to_string()).or_insert(0);
        *when += 1;
        looked |= name != "execve" && rest.contains(&top);
        if looked {
            points.push((name.to_string(), *when));
        }
    }
    points
}

/// Kills it there, has another serve do the rest, and looks at what came of it.
fn check(here: &mut Separated, tested: &Tested, point: &Point) -> bool {
    let job = job_id();
    let was_killed = (tested.acts)(here, &job, Some(point));
    let before = here.job(&job).file("started").exists();
    here.serve();
    here.ring();
    let end = here.end_of(&job);
    let runs = (tested.done)(here, &job);
    match end.kind {
        EndKind::Exit(0) => assert_eq!(runs, 1, "{point:?}: {end:?}"),
        // Only who had begun to run it could lose it.
        EndKind::Lost if tested.runs_jobs && before => assert!(runs <= 1, "{point:?}: {end:?}"),
        _ => panic!("{point:?}: {end:?}"),
    }
    // What a script hands back may be a secret, and is masked only elsewhere.
    assert!(!here.job(&job).file("values").exists(), "{point:?}: {end:?}");
    here.stop_serving();
    let chain = Audit::of(Side::Executor, &here.places).verify(&[]).expect("an audit log");
    assert!(chain.is_whole(), "{point:?}: {chain:?}");
    was_killed
}

/// At each point, or at some: each worker has a tentacle of its own.
fn at_each(test: &str, tested: &Tested) {
    let Some(here) = injectable(test) else { return };
    let all = points(&here, tested);
    let is_long = std::env::var_os("OCTO_TEST_LONG").is_some();
    let step = if is_long { 1 } else { all.len().div_ceil(SHORT) };
    let tried: Vec<&Point> = all.iter().step_by(step).collect();
    let work = |points: &[&Point]| {
        let mut here = unserved(test).expect("as before");
        points.iter().filter(|point| check(&mut here, tested, point)).count()
    };
    let reached: usize = std::thread::scope(|scope| {
        let half = tried.len().div_ceil(2);
        let workers: Vec<_> = tried.chunks(half).map(|some| scope.spawn(|| work(some))).collect();
        workers.into_iter().map(|worker| worker.join().expect("join")).sum()
    });
    // How often it waits is not the same each time.
    assert!(reached * 2 > tried.len(), "{reached} of {} at {} calls", tried.len(), all.len());
}

#[test]
fn killed_at_each_call_serve_leaves_a_job_that_runs_once() {
    let test = "killed_at_each_call_serve_leaves_a_job_that_runs_once";
    at_each(test, &Tested { acts: served, done: Separated::runs, runs_jobs: false });
}

#[test]
fn killed_at_each_call_take_leaves_a_job_that_runs_once_or_is_lost() {
    let test = "killed_at_each_call_take_leaves_a_job_that_runs_once_or_is_lost";
    at_each(test, &Tested { acts: taken, done: Separated::runs, runs_jobs: true });
}

#[test]
fn killed_at_each_call_take_leaves_a_whole_freeze_that_is_audited_or_none() {
    let test = "killed_at_each_call_take_leaves_a_whole_freeze_that_is_audited_or_none";
    at_each(test, &Tested { acts: frozen, done: freezes, runs_jobs: true });
}
