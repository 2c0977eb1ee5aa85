//! The processes of a job: its session, and whatever descends from us, however
//! it tried to leave; we are a subreaper, so orphans become our children.

use rustix::process::{Pid, Signal, getpid, kill_process};
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
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name is in parentheses and may hold anything, parentheses too.
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat.get(close + 2..)?.split(' ').collect();
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
    let me = getpid().as_raw_pid();
    let all = processes();
    let parents: HashMap<i32, i32> = all.iter().map(|p| (p.pid, p.parent)).collect();
    let descends = |pid: i32| {
        let mut seen = HashSet::new();
        let mut at = pid;
        // /proc is no snapshot: a reused pid could close a circle.
        while let Some(parent) = parents.get(&at) {
            if *parent == me {
                return true;
            }
            if !seen.insert(at) {
                return false;
            }
            at = *parent;
        }
        false
    };
    all.iter()
        .filter(|p| p.pid != me && !p.zombie && (p.session == me || descends(p.pid)))
        .cloned()
        .collect()
}

/// What is left of a job whose octo-exec died on this boot: its session, and
/// whatever carries its id in its environment.
pub(crate) fn survivors(session: i32, started: u64, job: &str) -> Vec<Process> {
    // The leader's pid can be another process' by now, with a session of its own.
    let reused = process(session).is_some_and(|leader| leader.started != started);
    let mark = format!("OCTO_JOB={job}");
    let me = getpid().as_raw_pid();
    let carries = |pid: i32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|b| *b == 0).any(|variable| variable == mark.as_bytes())
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

/// Sends a signal to each; what is gone meanwhile is no error.
pub(crate) fn signal(processes: &[Process], signal: Signal) {
    for process in processes {
        if let Some(pid) = Pid::from_raw(process.pid) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// How a process is named in records: `PID NAME`.
pub(crate) fn names(processes: &[Process]) -> Vec<String> {
    processes.iter().take(50).map(|p| format!("{} {}", p.pid, p.name)).collect()
}
