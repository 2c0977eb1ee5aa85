//! octo-exec, stopped right behind one of its system calls that names a path, so that
//! somebody else acts before the next. strace(1) sends the signal: no moment is guessed.

use crate::separated::Separated;
use crate::support::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

/// Behind which call of a process: its name, and the how manieth of that name.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    call: String,
    when: usize,
    /// It names what is the listener's: the next look at that is the one to be early for.
    pub(crate) is_near: bool,
}

/// octo-exec with these words under strace, which says this to its standard error.
fn traced(here: &Separated, verb: &[&str], words: &[String]) -> Command {
    let mut command = here.by(Command::new("strace"));
    command
        .args(["-f", "-qq", "-s", "200", "-o", "/dev/stderr"])
        .args(words)
        .arg(here.sandbox.program("octo-exec"))
        .args(verb)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// All places to stop at, in their order: each call that names a path, but for those of the
/// loader, before which nothing of ours was looked at. Those with one of these texts are near.
pub(crate) fn stops(here: &Separated, verb: &[&str], near: &[&str]) -> Vec<Stop> {
    let output = traced(here, verb, &["-e".into(), "trace=%file".into()]).output().expect("strace");
    let top = here.sandbox.path("").display().to_string();
    let (mut counts, mut looked) = (BTreeMap::new(), BTreeSet::new());
    let mut stops: Vec<Stop> = Vec::new();
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        let Some((process, call)) = line.split_once(' ') else { continue };
        let Some((name, rest)) = call.trim_start().split_once('(') else { continue };
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let when = counts.entry((process.to_string(), name.to_string())).or_insert(0);
        *when += 1;
        // A path of ours as an argument of the program is none that it has looked at.
        if rest.contains(&top) && name != "execve" {
            looked.insert(process.to_string());
        }
        if !looked.contains(process) {
            continue;
        }
        let is_near = near.iter().any(|words| rest.contains(words));
        match stops.iter_mut().find(|stop| stop.call == name && stop.when == *when) {
            // Another process has its own call of this number: both are stopped.
            Some(stop) => stop.is_near |= is_near,
            None => stops.push(Stop { call: name.to_string(), when: *when, is_near }),
        }
    }
    stops
}

/// Runs octo-exec, stopped there: `acts` is called once, while it stands still. Was it?
pub(crate) fn run_stopped(
    here: &Separated,
    verb: &[&str],
    stop: &Stop,
    mut acts: impl FnMut(),
) -> bool {
    let Stop { call, when, .. } = stop;
    let words = [
        "-e".into(),
        format!("trace={call}"),
        "-e".into(),
        format!("inject={call}:signal=STOP:when={when}"),
    ];
    let mut strace = traced(here, verb, &words).spawn().expect("strace");
    let lines = BufReader::new(strace.stderr.take().expect("standard error")).split(b'\n');
    let (sender, heard) = channel();
    std::thread::spawn(move || {
        lines.map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
    });
    let mut was_stopped = false;
    loop {
        let line = match heard.recv_timeout(PATIENCE) {
            Ok(line) => String::from_utf8_lossy(&line).into_owned(),
            // All that held its standard error have ended.
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                let _ = strace.kill();
                panic!("octo-exec hangs behind {stop:?}");
            }
        };
        // Behind the process, in a column of its own.
        let Some((process, said)) = line.split_once(' ') else { continue };
        if said.trim_start() != "--- stopped by SIGSTOP ---" {
            continue;
        }
        if !was_stopped {
            acts();
        }
        was_stopped = true;
        let process = process.parse().ok().and_then(Pid::from_raw).expect("a process");
        // One of several threads may have ended since.
        let _ = kill_process(process, Signal::CONT);
    }
    strace.wait().expect("wait");
    was_stopped
}
