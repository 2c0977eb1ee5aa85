//! The processes of a job, as /proc shows them: its session, and whatever descends from
//! us, however it tried to leave; we are a subreaper, so orphans become our children. What
//! makes new ones fast enough is in no list: a cgroup ends that, this can't.

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A process, as /proc/PID/stat has it.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) name: String,
    parent: i32,
    session: i32,
    zombie: bool,
    /// Ticks after the boot: with the pid it names one process of this boot.
    pub(crate) started: u64,
}

/// Everything that runs on this machine and can be seen.
fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// One process, if it is there.
pub(crate) fn process(pid: i32) -> Option<Process> {
    parse(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// What /proc/PID/stat says; `None` if it is not of its form.
fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    let stat = String::from_utf8_lossy(stat);
    // The name is in parentheses and may hold anything, parentheses too.
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat.get(close + 2..)?.split_ascii_whitespace().collect();
    Some(Process {
        pid,
        name: stat.get(open + 1..close)?.to_string(),
        zombie: fields.first() == Some(&"Z"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// The living processes of the job that this process runs, less itself.
pub(crate) fn ours() -> Vec<Process> {
    of_job(processes(), getpid().as_raw_pid())
}

/// Those in the session of this process, and those that descend from it.
fn of_job(mut all: Vec<Process>, me: i32) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for process in &all {
        children.entry(process.parent).or_default().push(process.pid);
    }
    let mut family = HashSet::new();
    let mut waiting = vec![me];
    while let Some(pid) = waiting.pop() {
        // Each once: /proc is no snapshot, and a reused pid could close a circle.
        waiting.extend(children.remove(&pid).unwrap_or_default());
        family.insert(pid);
    }
    all.retain(|p| p.pid != me && !p.zombie && (p.session == me || family.contains(&p.pid)));
    all
}

/// What is left of a job whose octo-exec died on this boot: its session, and
/// whatever has this in its environment: a `NAME=VALUE` that no other job has, of this
/// machine's other tentacles neither.
pub(crate) fn survivors(session: i32, started: u64, mark: &[u8]) -> Vec<Process> {
    // The leader's pid can be another process' by now, with a session of its own.
    let reused = process(session).is_some_and(|leader| leader.started != started);
    let me = getpid().as_raw_pid();
    let carries = |pid: i32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|b| *b == 0).any(|variable| variable == mark)
    };
    let all = processes();
    all.into_iter()
        .filter(|p| p.pid != me && !p.zombie)
        .filter(|p| (!reused && p.session == session) || carries(p.pid))
        .collect()
}

/// Those of ours that still hold one of these pipes open for writing.
pub(crate) fn holders(pipes: &[u64]) -> Vec<Process> {
    let names: Vec<String> = pipes.iter().map(|inode| format!("pipe:[{inode}]")).collect();
    let holds = |pid: i32| {
        let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let link = |path: &Path| std::fs::read_link(path).ok();
        entries
            .flatten()
            .filter_map(|e| link(&e.path()))
            .any(|l| names.iter().any(|n| l == Path::new(n)))
    };
    let me = getpid().as_raw_pid();
    processes().into_iter().filter(|p| p.pid != me && holds(p.pid)).collect()
}

/// Those of these pids that live.
pub(crate) fn of(pids: &[i32]) -> Vec<Process> {
    let me = getpid().as_raw_pid();
    let others = pids.iter().filter(|pid| **pid != me);
    others.filter_map(|pid| process(*pid)).filter(|process| !process.zombie).collect()
}

/// Sends a signal to each; what is gone meanwhile is no error.
pub(crate) fn signal(processes: &[Process], signal: Signal) {
    for listed in processes {
        let Some(pid) = Pid::from_raw(listed.pid) else { continue };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // The pid may be another's by now; the descriptor stays with whose it is.
        if process(listed.pid).is_some_and(|found| found.started == listed.started) {
            let _ = pidfd_send_signal(&descriptor, signal);
        }
    }
}

/// This moment, as [`Process::started`] counts.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let ticks = clock_ticks_per_second();
    // Neither is ever below zero.
    now.tv_sec.unsigned_abs() * ticks + now.tv_nsec.unsigned_abs() * ticks / 1_000_000_000
}

/// How a process is named in records: `PID NAME`.
pub(crate) fn names(processes: &[Process]) -> Vec<String> {
    processes.iter().take(50).map(|p| format!("{} {}", p.pid, p.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(pid: i32, parent: i32, session: i32) -> Process {
        let rest = "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 4711 1 2";
        let stat = format!("{pid} (a) b) S {parent} {pid} {session} {rest}\n");
        parse(pid, stat.as_bytes()).expect("of the form")
    }

    #[test]
    fn a_name_may_hold_anything() {
        let process = stat(7, 1, 5);
        assert_eq!((process.name.as_str(), process.parent, process.session), ("a) b", 1, 5));
        assert_eq!((process.started, process.zombie), (4711, false));
        for cut in
            [&b""[..], b"7", b"7 (x", b"7 (x)", b"7 (x) ", b"7 )x( S 1 1 1", b"7 (x) Z 1 a 5"]
        {
            assert!(parse(7, cut).is_none(), "{cut:?}");
        }
    }

    /// A chain as long as there are pids costs no square of its length.
    #[test]
    fn a_job_is_its_session_and_its_descendants() {
        let mut all: Vec<Process> = (2..200_000).map(|pid| stat(pid, pid - 1, pid)).collect();
        all.push(stat(300_000, 1_000_000, 100));
        all.push(stat(1, 199_999, 1));
        let ours = of_job(all, 100);
        // Descendants of 100, round the circle back to 99, and one of its session.
        assert_eq!(ours.len(), 199_999);
        assert!(!ours.iter().any(|process| process.pid == 100));
        let apart = of_job(vec![stat(5, 4, 4), stat(6, 5, 9), stat(7, 1, 1)], 4);
        assert_eq!(apart.iter().map(|p| p.pid).collect::<Vec<_>>(), [5, 6]);
    }
}
