//! Jobs as their pusher sees them: how they ended, how soon their output comes,
//! who follows them, and what may be replaced while they run.

use crate::support::{PATIENCE, copy_program, kill_session_of, wait_for};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

fn read(octopus: &Octopus, name: &str) -> String {
    std::fs::read_to_string(octopus.sandbox.path(name)).expect(name)
}

/// The one job that runs.
fn running(web1: &Tentacle) -> std::path::PathBuf {
    let runs = |job: &Path| job.join("started").exists() && !job.join("end").exists();
    wait_for("a running job", || web1.jobs().iter().any(|job| runs(job)));
    web1.jobs().into_iter().find(|job| runs(job)).expect("a running job")
}

/// A script may exit with any number: the word beside it tells who says so.
#[test]
fn every_kind_of_end_is_told_apart() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let push = |options: &[&str], command: &str| {
        let front = ["-t", "web1", "--record", "record", "run", "--end", "end", "-k", "1s"];
        octopus.push(&[&front, options, &["-c", command]].concat())
    };
    let check = |status: i32, kind: &str, code: u8, origin: &str, said: &str| {
        let end = read(&octopus, "end");
        let wanted = format!("kind {kind}\ncode {code}\norigin {origin}\nstatus {status}\n");
        assert!(end.contains(&wanted), "{end}");
        let json = read(&octopus, "record");
        let wanted = format!(
            "\"kind\":\"{kind}\",\"code\":{code},\"origin\":\"{origin}\",\"status\":{status}"
        );
        assert!(json.contains(&wanted), "{json}");
        let message = end.lines().find_map(|l| l.strip_prefix("message ")).unwrap_or_default();
        assert!(message.replace("%20", " ").contains(said), "{end}");
    };
    push(&[], "exit 137").assert().code(137);
    check(137, "exit", 137, "script", "exit 137");
    push(&[], "kill -9 $$").assert().code(137);
    check(137, "signal", 9, "script", "died of signal 9");
    push(&["-T", "1s"], "sleep 60").assert().code(124);
    check(124, "timeout", 124, "tentacle", "time limit of 1s");
    // The same record, where whoever runs it is killed, or told to cancel.
    std::thread::scope(|scope| {
        let lost = scope.spawn(|| push(&[], "sleep 60").output().expect("runs"));
        kill_session_of(&running(&web1));
        assert_eq!(lost.join().expect("join").status.code(), Some(71));
        check(71, "lost", 71, "tentacle", "lost");
        let cancelled = scope.spawn(|| push(&["-L", "deploy"], "sleep 60").output().expect("runs"));
        let job = running(&web1).file_name().expect("a name").to_string_lossy().into_owned();
        // While it has the lock: a job that never runs.
        let mut denied = octopus.push(&["-t", "web1", "--json", "run", "-L", "deploy", "-W", "0s"]);
        let output = denied.args(["-c", "echo ran"]).assert().code(75).get_output().stdout.clone();
        let json = String::from_utf8(output).expect("UTF-8");
        let wanted = r#""kind":"denied","code":75,"origin":"tentacle","status":75"#;
        assert!(json.contains(wanted) && json.contains(&format!("is held by {job}")), "{json}");
        octopus.push(&["-t", "web1", "cancel", &job]).assert().success();
        assert_eq!(cancelled.join().expect("join").status.code(), Some(130));
        check(130, "cancelled", 130, "tentacle", "cancelled: by octopus");
    });
}

/// Of two streams, in pieces that are gathered: nothing more of it wakes who follows it.
#[test]
fn an_output_that_is_complete_is_told_without_a_pause() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let script =
        "for i in $(seq 40); do head -c 20000 /dev/zero; head -c 20000 /dev/zero >&2; done";
    octopus.push(&["-t", "web1", "run", "--detach", "-c", script]).assert().success();
    wait_for("its end", || web1.jobs().iter().any(|job| job.join("end").exists()));
    let job = web1.jobs().remove(0);
    let id = job.file_name().expect("a name").to_str().expect("UTF-8");
    // Behind each pause is a tick, 15 s later.
    let follow = octopus.push(&["-t", "web1", "follow", id]).timeout(PATIENCE).assert().success();
    assert_eq!(follow.get_output().stdout.len(), 800_000);
}

/// The script says 0, and knows nothing of what else is to be told.
#[test]
fn what_a_job_left_behind_is_told_beside_its_end() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut web1 = octopus.stranger("web1");
    web1.trust(&octopus.sandbox, &octopus.thumbprint, "allow=any max-log=4K");
    web1.start();
    octopus.add_target(&web1.line("web"));
    let script = "sleep 300 & echo $! >pid; head -c 9000 /dev/zero";
    let mut command = octopus.push(&["-t", "web1", "run", "--end", "end", "-c", script]);
    let output = command.output().expect("runs");
    let job = web1.jobs().remove(0);
    let pid = std::fs::read_to_string(job.join("work/pid")).expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().expect("a number"));
    let signal = rustix::process::Signal::KILL;
    rustix::process::kill_process(pid.expect("a pid"), signal).expect("it was left alone");
    assert_eq!(output.status.code(), Some(0));
    // What says which bytes came when is part of it.
    let index = job.join("index").metadata().expect("an index").len();
    let kept = output.stdout.len() as u64 + index;
    assert!((4000..=4096).contains(&kept), "{kept}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("web1: its output is longer than its log may be: cut"), "{said}");
    assert!(said.contains("left running with its output open: sleep\n"), "{said}");
    assert!(read(&octopus, "end").contains("output%20open:%20sleep"), "{said}");
    let record = std::fs::read_to_string(job.join("end")).expect("an end");
    assert!(record.contains("truncated yes\nstray "), "{record}");
}

#[test]
fn many_followers_each_get_all_of_it() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let go = octopus.sandbox.path("go");
    let script = format!(
        "seq 5000; while ! test -e {}; do sleep 0.02; done; seq 5001 10000; exit 3",
        go.display()
    );
    let job = octopus.push(&["-t", "web1", "run", "-D", "-c", &script]).output().expect("runs");
    let job = String::from_utf8(job.stdout).expect("UTF-8").trim().to_string();
    let wanted: String = (1..=10_000).map(|n| format!("{n}\n")).collect();
    let follow = || octopus.push(&["follow", &job]).output().expect("runs");
    std::thread::scope(|scope| {
        let live: Vec<_> = (0..12).map(|_| scope.spawn(follow)).collect();
        let log = running(&web1).join("log");
        wait_for("the first half", || log.metadata().is_ok_and(|m| m.len() > 23_000));
        std::fs::write(&go, "").expect("write");
        for one in live.into_iter().map(|one| one.join().expect("join")).chain([follow()]) {
            assert_eq!(one.status.code(), Some(3), "{}", String::from_utf8_lossy(&one.stderr));
            assert!(one.stdout == wanted.as_bytes(), "{} bytes", one.stdout.len());
        }
    });
}

#[test]
fn each_line_arrives_before_the_script_writes_the_next() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let seen = octopus.sandbox.path("seen");
    let script = format!(
        "for i in $(seq 30); do echo $i; until test -e {0}.$i; do sleep 0.01; done; done",
        seen.display()
    );
    let mut command = octopus.start(&["-t", "web1", "run", "-c", &script]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let lines = lines.map(|line| {
        let line = line.expect("a line");
        std::fs::write(format!("{}.{line}", seen.display()), "").expect("write");
        line
    });
    let wanted = (1..=30).map(|i| i.to_string());
    assert!(lines.eq(wanted));
    assert!(child.wait().expect("wait").success());
}

/// New programs are put in place while the old ones run a job.
#[test]
fn the_programs_are_replaced_while_a_job_runs() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut web1 = octopus.stranger("web1");
    web1.trust(&octopus.sandbox, &octopus.thumbprint, "allow=any");
    let programs = octopus.sandbox.path("bin");
    std::fs::create_dir(&programs).expect("mkdir");
    let install = |program: &dyn Fn(&str) -> std::path::PathBuf| {
        for name in ["octo-listen", "octo-exec"] {
            let staged = programs.join(format!("{name}.new"));
            copy_program(&program(name), &staged);
            std::fs::rename(staged, programs.join(name)).expect("rename");
        }
    };
    install(&|name| octopus.sandbox.program(name));
    web1.use_program(&programs.join("octo-listen"));
    web1.start();
    octopus.add_target(&web1.line("web"));
    let go = octopus.sandbox.path("go");
    let script = format!(
        "echo one; while ! test -e {}; do sleep 0.02; done; echo two; exit 5",
        go.display()
    );
    let mut command = octopus.start(&["-t", "web1", "run", "-c", &script]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    running(&web1);
    install(&|name| octopus.sandbox.program(name));
    // The old listener starts jobs by the new octo-exec.
    octopus.push(&["-t", "web1", "run", "-c", "exit 6"]).assert().code(6);
    web1.kill();
    web1.start();
    std::fs::write(&go, "").expect("write");
    let output = child.wait_with_output().expect("wait");
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"one\ntwo\n");
}
