//! After years of cron a run costs what the first one did: what is over is not looked at.

use crate::support::{can_trace, wait_for};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use octo_core::JobId;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const OVER: usize = 300;

/// The calls that name a file, or list a directory, of this process and what it starts,
/// while this is done.
fn traced(pid: u32, to: &Path, work: impl FnOnce()) -> String {
    traced_calls(pid, "%file,getdents64", to, work)
}

/// The same, of these calls.
fn traced_calls(pid: u32, calls: &str, to: &Path, work: impl FnOnce()) -> String {
    let mut strace = Command::new("strace")
        .args(["-f", "-y", "-e", &format!("trace={calls}"), "-o"])
        .arg(to)
        .args(["-p", &pid.to_string()])
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace");
    let mut said = String::new();
    let mut stderr = BufReader::new(strace.stderr.take().expect("a pipe"));
    while !said.contains("attached") {
        assert!(stderr.read_line(&mut said).expect("a line") > 0, "{said}");
    }
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    work();
    let own = rustix::process::Pid::from_child(&strace);
    rustix::process::kill_process(own, rustix::process::Signal::INT).expect("signalled");
    strace.wait().expect("waited for");
    std::fs::read_to_string(to).expect("what was traced")
}

/// Jobs that were over two years ago.
fn copies(web1: &Tentacle) {
    let job = web1.jobs().into_iter().next().expect("a job");
    for number in 0..OVER {
        let id = JobId::derive("20240101T000000", &[number as u8, (number >> 8) as u8]);
        let copy = web1.state.join("jobs").join(id.expect("an id").as_str());
        let status = Command::new("cp").arg("-a").arg(&job).arg(&copy).status().expect("cp");
        assert!(status.success());
    }
}

fn is_settled(web1: &Tentacle) -> bool {
    let names = std::fs::read_dir(web1.state.join("underway")).expect("names");
    names.flatten().all(|name| name.file_name() == "built")
}

#[test]
fn a_run_looks_at_no_job_that_is_over() {
    if !can_trace("a_run_looks_at_no_job_that_is_over") {
        return;
    }
    let (octopus, mut web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let push =
        |verb: &[&str]| drop(octopus.push(&[&["-t", "web1"], verb].concat()).assert().success());
    push(&["run", "-c", "true"]);
    wait_for("its end", || is_settled(&web1));
    copies(&web1);
    let address = web1.address.clone();
    web1.kill();
    web1.start_at(&address);
    let text = traced(web1.pid(), &octopus.sandbox.path("trace"), || {
        push(&["run", "-c", "true"]);
        push(&["status"]);
        wait_for("its end", || is_settled(&web1));
    });
    assert!(text.contains("/underway/"), "{text}");
    let looks: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("20240101T") || is_list_of(line, &web1.state.join("jobs")))
        .collect();
    assert!(looks.is_empty(), "{} looks: {:#?}", looks.len(), &looks[..looks.len().min(9)]);
    // They count all the same.
    let kept = std::fs::read_dir(web1.state.join("kept")).expect("sums").flatten();
    let lines = kept.map(|of| std::fs::read_to_string(of.path()).expect("lines"));
    assert_eq!(lines.map(|lines| lines.lines().count()).sum::<usize>(), OVER + 2);
}

/// Objects of this pusher, as they lie in a store.
fn objects(web1: &Tentacle, names: &str, count: usize) {
    let packages = web1.state.join("packages");
    for number in 0..count {
        let digest = octo_core::Digest::of(&number.to_le_bytes());
        std::fs::write(packages.join(digest.to_string()), number.to_le_bytes()).expect("write");
        std::fs::write(packages.join(format!("{digest}.by")), names).expect("write");
    }
}

/// However many packages lie there, a run looks at none, and lists them not.
#[test]
fn a_run_looks_at_no_package_of_others() {
    if !can_trace("a_run_looks_at_no_package_of_others") {
        return;
    }
    let (octopus, mut web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let push =
        |verb: &[&str]| drop(octopus.push(&[&["-t", "web1"], verb].concat()).assert().success());
    let file = octopus.sandbox.write("package", "of its own");
    push(&["put", file.to_str().expect("UTF-8")]);
    let packages = web1.state.join("packages");
    let lists = std::fs::read_dir(&packages).expect("packages").flatten().map(|of| of.path());
    let list = lists.into_iter().find(|path| path.extension().is_some()).expect("a list");
    objects(&web1, &std::fs::read_to_string(list).expect("names"), OVER);
    let address = web1.address.clone();
    web1.kill();
    web1.start_at(&address);
    let looks = |text: &str| {
        let of = format!("{}/", packages.display());
        let is_object = |line: &&str| line.contains(&of) && !line.contains("/incoming");
        let is_look = |line: &&str| is_object(line) && !line.contains("/.lock");
        let is_any = |line: &&str| is_look(line) || is_list_of(line, &packages);
        text.lines().filter(is_any).map(str::to_string).collect::<Vec<_>>()
    };
    let text = traced(web1.pid(), &octopus.sandbox.path("trace"), || {
        push(&["run", "-c", "true"]);
        push(&["status"]);
        wait_for("its end", || is_settled(&web1));
    });
    assert!(text.contains("/kept/"), "{text}");
    assert_eq!(looks(&text), [""; 0]);
    // A put looks at its own.
    let file = octopus.sandbox.write("package", "another");
    let text = traced(web1.pid(), &octopus.sandbox.path("trace"), || {
        push(&["put", file.to_str().expect("UTF-8")]);
    });
    let own = octo_core::Digest::of(b"another").to_string();
    let others: Vec<String> = looks(&text).into_iter().filter(|at| !at.contains(&own)).collect();
    let others: Vec<&String> = others.iter().filter(|at| is_of_object(at)).collect();
    assert!(looks(&text).iter().any(|at| at.contains(&own)) && others.is_empty(), "{others:#?}");
    // They count all the same.
    let kept = std::fs::read_dir(web1.state.join("kept")).expect("sums").flatten();
    let lines: String = kept.map(|of| std::fs::read_to_string(of.path()).expect("lines")).collect();
    assert_eq!(lines.lines().filter(|line| line.starts_with("package/")).count(), OVER + 2);
}

/// A line a call, where those of two threads were written in turns.
fn whole_calls(text: &str) -> Vec<String> {
    let mut begun: HashMap<&str, &str> = HashMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').expect("a thread");
        if let Some(first) = call.strip_suffix("<unfinished ...>") {
            begun.insert(thread, first);
        } else if let Some((_, rest)) = call.split_once(" resumed>") {
            calls.push(format!("{}{rest}", begun.remove(thread).unwrap_or_default()));
        } else {
            calls.push(call.to_string());
        }
    }
    calls
}

/// Does this call name an object that a test made?
fn is_of_object(call: &str) -> bool {
    let made = |number: usize| octo_core::Digest::of(&number.to_le_bytes()).to_string();
    call.contains("getdents64(") || (0..OVER).any(|number| call.contains(&made(number)))
}

/// Who decides asks whether the trust file is as it was, and reads it no more than once a
/// process.
#[test]
fn a_run_reads_the_trust_file_once() {
    if !can_trace("a_run_reads_the_trust_file_once") {
        return;
    }
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let path = web1.config.join("trusted");
    let mut text = std::fs::read_to_string(&path).expect("trusted");
    for number in 0..2000_usize {
        let digest = octo_core::Digest::of(&number.to_le_bytes());
        text.push_str(&format!("{digest} other\n"));
    }
    std::fs::write(&path, &text).expect("write");
    let size = text.len();
    let run = || {
        let mut push = octopus.push(&["-t", "web1", "run", "-c", "true"]);
        push.assert().success();
        wait_for("its end", || is_settled(&web1));
    };
    // Of what changed a moment ago each look is one at its bytes.
    let is_at_rest = || {
        let changed = path.metadata().and_then(|file| file.modified()).expect("a time");
        changed.elapsed().is_ok_and(|passed| passed.as_secs() >= 4)
    };
    wait_for("a file at rest", is_at_rest);
    run();
    let trace = octopus.sandbox.path("trace");
    let text = traced_calls(web1.pid(), "read,pread64", &trace, run);
    let calls = whole_calls(&text);
    let reads = calls.iter().filter(|call| call.contains("/trusted>"));
    let bytes = reads.filter_map(|call| call.rsplit("= ").next()?.parse::<usize>().ok());
    // The listener may read it, too: it believes what it knows for ten seconds.
    let times = bytes.sum::<usize>() / size;
    assert!((1..=2).contains(&times), "{times} times: {text}");
}

fn is_list_of(line: &str, directory: &Path) -> bool {
    line.contains("getdents64(") && line.contains(&format!("<{}>", directory.display()))
}

/// Of a million lines that a monitor has left, a run reads none, and an id that is not on
/// record a few.
#[test]
fn a_run_reads_no_journal() {
    if !can_trace("a_run_reads_no_journal") {
        return;
    }
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let push = |arguments: &[&str]| octopus.push(&[&["-t", "web1"], arguments].concat());
    let line = "2024-01-01T00:00:00Z status target=web1 kind=done code=0 status=0 \
                run=20240101T000000-aaaaaaaaaaaaa who=ann@laptop\n";
    let count = 20_000;
    octopus.sandbox.write("state/journal", line.repeat(count));
    let read_by = |arguments: &[&str]| {
        let to = octopus.sandbox.path("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-e", "trace=read,pread64", "-o"]).arg(&to);
        let push = push(arguments);
        command.arg(push.get_program()).args(push.get_args()).env_clear();
        command.envs(push.get_envs().filter_map(|(name, value)| Some((name, value?))));
        assert!(command.status().expect("strace").success(), "{arguments:?}");
        let text = std::fs::read_to_string(to).expect("what was traced");
        let of_journal = text.lines().filter(|line| line.contains("/journal>"));
        of_journal.filter_map(|line| line.rsplit("= ").next()?.parse::<usize>().ok()).sum::<usize>()
    };
    let file = octopus.sandbox.config("targets");
    assert!(line.len() * count > 2_000_000);
    assert!(read_by(&["run", "-c", "true"]) < 100);
    assert!(read_by(&["put", file.to_str().expect("UTF-8")]) < 100);
    let id = JobId::generate().expect("an id").to_string();
    assert!(read_by(&["run", "-j", &id, "-c", "true"]) < 200_000);
    assert!(read_by(&["follow", &id]) < 200_000);
}
