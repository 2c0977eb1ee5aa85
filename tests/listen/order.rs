//! What a pusher is told is durable by then, and what may hold secrets is gone: the order of
//! system calls, of the listener and of the octo-exec that it starts.

use crate::listener::{Tentacle, job_id, sides};
use crate::support::{can_trace, wait_for};
use std::process::Command;

const CALLS: &str = "trace=openat,write,writev,sendto,sendmsg,fsync,fdatasync,rename,renameat,\
    renameat2,link,linkat,unlink,unlinkat,fchmod,fchmodat,chmod,fchown,fchownat,chown,lchown";

const RENAMES: [&str; 5] = ["rename", "renameat", "renameat2", "link", "linkat"];
const WRITES: [&str; 2] = ["write", "writev"];
const SYNCS: [&str; 2] = ["fsync", "fdatasync"];
const UNLINKS: [&str; 2] = ["unlink", "unlinkat"];
const CHANGES: [&str; 7] = ["fchmod", "fchmodat", "chmod", "fchown", "fchownat", "chown", "lchown"];

/// A system call: the lines of the trace where it began and ended.
#[derive(Debug)]
struct Call {
    thread: String,
    text: String,
    began: usize,
    ended: usize,
}

impl Call {
    fn is(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.text.starts_with(&format!("{name}(")))
    }

    /// Of a descriptor of this path.
    fn is_of(&self, names: &[&str], path: &str) -> bool {
        self.is(names) && self.text.contains(&format!("<{path}>"))
    }

    fn names(&self, path: &str) -> bool {
        self.text.contains(&format!("\"{path}\""))
    }

    fn is_to_the_pusher(&self) -> bool {
        self.is(&["write", "writev", "sendto", "sendmsg"]) && self.text.contains("<TCP")
    }
}

/// The calls of a trace, those that another thread's stand between put together.
fn calls(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        if text.starts_with("---") || text.starts_with("+++") {
            continue;
        }
        if let Some((_, rest)) = text.strip_prefix("<... ").and_then(|t| t.split_once("resumed>")) {
            let begun = calls.iter_mut().rev().find(|call| call.thread == thread);
            let begun = begun.expect("it was begun");
            begun.text.push_str(rest);
            begun.ended = at;
            continue;
        }
        let text = text.trim_end_matches("<unfinished ...>").to_string();
        calls.push(Call { thread: thread.to_string(), text, began: at, ended: at });
    }
    calls
}

/// The place of the first that is so, from this one on.
fn first(calls: &[Call], from: usize, what: &str, is_it: impl Fn(&Call) -> bool) -> usize {
    let found = calls.iter().skip(from).position(is_it);
    from + found.unwrap_or_else(|| panic!("no {what} after {from}: {calls:#?}"))
}

/// A job's life.
struct Life {
    calls: Vec<Call>,
    spool: String,
    entry: String,
    jobs: String,
    job: String,
}

/// Traces a listener, and its octo-exec, while a job runs and is followed to its end.
fn lived() -> Life {
    let (here, ci) = sides();
    let (trace, go) = (here.sandbox.path("trace"), here.sandbox.path("go"));
    let ours = here.command("octo-listen");
    let mut command = Command::new("strace");
    // By -D the listener is our child as ever, and not strace's.
    command.args(["-D", "-f", "-qq", "-yy", "-s", "0", "-e", CALLS, "-o"]);
    command.arg(&trace).arg(ours.get_program()).args(["-l", "127.0.0.1:0"]).env_clear();
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut tentacle = Tentacle::with(&here, &mut command, 1);
    let id = job_id();
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    let text = format!("echo begun; while [ ! -e {} ]; do sleep 0.02; done", go.display());
    assert_eq!(pusher.run(&id, &text).word(), "ok");
    pusher.yes(&format!("follow job={id}"), b"");
    // After both, in whatever order they come, nothing is told until it ends.
    let (mut runs, mut printed) = (false, false);
    while !runs || !printed {
        let message = pusher.reply().expect("a message");
        runs |= message.text("is") == Some("running");
        if message.word() == "out" {
            assert_eq!(pusher.body(&message), b"begun\n");
            printed = true;
        }
    }
    std::fs::write(&go, "").expect("write");
    assert_eq!(pusher.reply().expect("a message").word(), "end");
    let listener = tentacle.child.id().to_string();
    tentacle.kill();
    let read = || std::fs::read_to_string(&trace).expect("a trace");
    let is_its_end = |line: &str| {
        line.split_once(' ').is_some_and(|(thread, text)| {
            thread == listener && text.trim_start().starts_with("+++ killed by SIGKILL")
        })
    };
    wait_for("the listener's end", || read().lines().any(is_its_end));
    let calls = calls(&read());
    let state = here.sandbox.state("").display().to_string();
    let state = state.trim_end_matches('/');
    let (spool, jobs) = (format!("{state}/spool"), format!("{state}/jobs"));
    let (entry, job) = (format!("{spool}/{id}"), format!("{jobs}/{id}"));
    Life { calls, spool, entry, jobs, job }
}

#[test]
fn what_is_told_is_durable_and_what_is_over_is_gone() {
    if !can_trace("what_is_told_is_durable_and_what_is_over_is_gone") {
        return;
    }
    let life = lived();
    ok_follows_the_syncs_of_the_entry_and_its_name(&life);
    the_job_appears_with_records_that_are_synced(&life);
    end_follows_the_removal_of_what_was_spooled(&life);
}

fn ok_follows_the_syncs_of_the_entry_and_its_name(life: &Life) {
    let Life { calls, spool, entry, .. } = life;
    let named = first(calls, 0, "entry", |call| call.is(&RENAMES) && call.names(entry));
    let staged = calls[named].text.split('"').nth(1).expect("its name before").to_string();
    let listener = calls[named].thread.clone();
    let opened = first(calls, 0, "open", |call| call.is(&["openat"]) && call.names(&staged));
    let told =
        first(calls, opened, "ok", |call| call.thread == listener && call.is_to_the_pusher());
    let written = calls.iter().rposition(|call| call.is_of(&WRITES, &staged)).expect("written");
    let synced = first(calls, written, "sync", |call| call.is_of(&SYNCS, &staged));
    let listed = first(calls, named, "sync", |call| call.is_of(&SYNCS, spool));
    let order = [opened, written, synced, named, listed, told];
    assert!(order.is_sorted(), "{order:?} of {calls:#?}");
    assert!(calls[synced].ended < calls[named].began && calls[listed].ended < calls[told].began);
    assert!([synced, listed].iter().all(|at| calls[*at].text.ends_with("= 0")), "{calls:#?}");
}

fn the_job_appears_with_records_that_are_synced(life: &Life) {
    let Life { calls, jobs, job, .. } = life;
    let appears = first(calls, 0, "job", |call| call.is(&RENAMES) && call.names(job));
    let staged = calls[appears].text.split('"').nth(1).expect("its name before").to_string();
    // What else says what it is are copies of that.
    let record = format!("{staged}/record");
    let written = calls.iter().rposition(|call| call.is_of(&WRITES, &record)).expect("written");
    let synced = first(calls, written, "sync", |call| call.is_of(&SYNCS, &record));
    assert!(calls[synced].ended < calls[appears].began, "{calls:#?}");
    // Nor are their modes and owners changed any more.
    for name in ["record", "origin", "request", "request.sig", "request.crt", "spec"] {
        let record = format!("{job}/{name}");
        let changed = |call: &&Call| call.is_of(&CHANGES, &record) || call.names(&record);
        let changed = calls.iter().filter(|call| call.is(&CHANGES)).find(changed);
        assert!(changed.is_none(), "{changed:?}");
    }
    let synced = first(calls, 0, "sync", |call| call.is_of(&SYNCS, &staged));
    assert!(calls[synced].ended < calls[appears].began, "{calls:#?}");
    let started = format!("{job}/started");
    let starts = first(calls, 0, "start", |call| call.is(&RENAMES) && call.names(&started));
    let listed = first(calls, appears, "sync", |call| call.is_of(&SYNCS, jobs));
    assert!(calls[listed].ended < calls[starts].began, "{calls:#?}");
}

fn end_follows_the_removal_of_what_was_spooled(life: &Life) {
    let Life { calls, entry, job, .. } = life;
    let end = format!("{job}/end");
    let ends = first(calls, 0, "end", |call| call.is(&RENAMES) && call.names(&end));
    let told = first(calls, ends, "end", |call| call.is_to_the_pusher());
    let mut gone = calls.iter().filter(|call| call.is(&UNLINKS) && call.names(entry));
    assert!(gone.clone().any(|call| call.text.ends_with("= 0")), "{calls:#?}");
    // Who tells asks for it right before, and may find that another was faster.
    let asked = gone.find(|call| {
        call.thread == calls[told].thread
            && call.began > calls[ends].began
            && (call.text.ends_with("= 0") || call.text.contains("ENOENT"))
    });
    assert!(asked.is_some_and(|asked| asked.ended < calls[told].began), "{calls:#?}");
}
