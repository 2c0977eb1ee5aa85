//! What a program prints, within a time and a size: one that takes longer or prints more
//! is ended, with all that it started and that still descends from it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long one that was ended has to be gone: what the kernel holds goes later.
const A_MOMENT: Duration = Duration::from_millis(100);
/// So often those that are started meanwhile are looked for.
const ROUNDS: usize = 100;

/// How much of our time and memory it may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From its start to its end.
    pub time: Duration,
    /// Of its standard output.
    pub bytes: usize,
}

/// What came of it.
#[derive(Debug)]
pub enum Printed {
    /// All that it printed, and how it ended.
    Whole(Vec<u8>, ExitStatus),
    /// It printed more.
    TooMuch,
    /// It ran longer, or something that it started kept its output open.
    TooLong,
}

/// Runs it without standard input. It stays in our process group: a terminal's Ctrl-C
/// ends it too, and what asks for a passphrase there may.
///
/// # Errors
/// Where it can't be started or waited for.
pub fn printed(mut command: Command, bounds: Bounds) -> io::Result<Printed> {
    let until = Instant::now() + bounds.time;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let printed = match &child.stdout {
        Some(pipe) => collect(pipe, bounds.bytes, until),
        None => Ok(Collected::All(Vec::new())),
    };
    match printed {
        Ok(Collected::All(bytes)) => match wait(&mut child, until)? {
            Some(status) => return Ok(Printed::Whole(bytes, status)),
            None => end(&mut child),
        },
        Ok(Collected::TooMuch) => {
            end(&mut child);
            return Ok(Printed::TooMuch);
        }
        Ok(Collected::TooLong) => end(&mut child),
        Err(error) => {
            end(&mut child);
            return Err(error);
        }
    }
    Ok(Printed::TooLong)
}

enum Collected {
    All(Vec<u8>),
    TooMuch,
    TooLong,
}

fn collect(pipe: impl AsFd, most: usize, until: Instant) -> io::Result<Collected> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 32 << 10]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(Collected::TooLong),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match read(&pipe, &mut buffer) {
            Ok(0) => return Ok(Collected::All(bytes)),
            Ok(count) if bytes.len() + count > most => return Ok(Collected::TooMuch),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// `None` if it still runs at this time.
fn wait(child: &mut Child, until: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        match child.try_wait()? {
            None if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
            ended => return Ok(ended),
        }
    }
}

/// Ends it with its descendants. Each is stopped before its children are listed: it makes
/// no more of them then, and its own are nobody else's yet.
fn end(child: &mut Child) {
    let first = child.id().cast_signed();
    let mut stopped = HashSet::new();
    let mut found = vec![first];
    for _ in 0..ROUNDS {
        for pid in found {
            signal(pid, Signal::STOP);
            stopped.insert(pid);
        }
        found = children(&stopped);
        if found.is_empty() {
            break;
        }
    }
    for pid in stopped {
        signal(pid, Signal::KILL);
    }
    let _ = wait(child, Instant::now() + A_MOMENT);
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// The processes whose parent is one of these, less these.
fn children(parents: &HashSet<i32>) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| !parents.contains(pid))
        .filter(|pid| parent(*pid).is_some_and(|parent| parents.contains(&parent)))
        .collect()
}

/// The second field behind the name, which stands in parentheses and may hold anything.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn run(script: &str, time: Duration) -> Printed {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        printed(command, Bounds { time, bytes: 100 }).expect("it runs")
    }

    #[test]
    fn what_it_prints_and_how_it_ends() {
        for (script, bytes, code) in [
            ("echo one; cat; echo two; exit 3", &b"one\ntwo\n"[..], 3),
            ("exec >&-; sleep 0.1; exit 4", b"", 4),
            ("printf %0100d 0", &[b'0'; 100], 0),
        ] {
            let Printed::Whole(found, status) = run(script, LONG) else { panic!("{script}") };
            assert_eq!((found.as_slice(), status.code()), (bytes, Some(code)), "{script}");
        }
        assert!(printed(Command::new("/nowhere"), Bounds { time: LONG, bytes: 1 }).is_err());
    }

    #[test]
    fn a_flood_or_silence_is_ended_with_all_that_it_started() {
        assert!(matches!(run("printf %0101d 0; exec sleep 1000", LONG), Printed::TooMuch));
        for script in [
            "exec sleep 1000",
            // Nor is it enough to end the first.
            "sleep 1000 & sh -c 'sleep 1000; :' & printf '%s ' $$ $! >pids; wait",
            "sleep 1000 & printf %s $! >pids; exec >&-; wait",
        ] {
            let top = tempfile::tempdir().expect("tempdir");
            let named = script.contains("pids");
            let script = format!("cd '{}'; {script}", top.path().display());
            // On a busy machine it may not come that far at once.
            let pids = [300, 3_000, 30_000].into_iter().find_map(|time| {
                assert!(matches!(run(&script, Duration::from_millis(time)), Printed::TooLong));
                let pids = std::fs::read_to_string(top.path().join("pids")).unwrap_or_default();
                (!named || !pids.is_empty()).then_some(pids)
            });
            let pids = pids.expect("it began");
            for pid in pids.split_ascii_whitespace() {
                let until = Instant::now() + LONG;
                // A zombie's parent has yet to hear of it.
                while runs(pid) && Instant::now() < until {
                    std::thread::yield_now();
                }
                assert!(!runs(pid), "{script}: {pid}");
            }
        }
    }

    fn runs(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }
}
