//! Ends of real jobs, of each kind, are sealed, and proved to who pins the seal, octo-job(5).

use crate::separated::{LINE, Separated};
use crate::support::{PATIENCE, SmallDisk, impossible, is_root, needs, wait_for};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use octo_core::tentacle::job::EndKind;
use octo_core::tentacle::seal::{Content, Seal};
use predicates::prelude::*;
use predicates::str::contains;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PAGE: &str = include_str!("../../man/octo-job.5");

/// A running tentacle whose seal is pinned.
fn pinned() -> (Octopus, Tentacle) {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let seal = seal_of(&octopus, &web1);
    octopus.set_targets(&format!("{}\n", web1.line(&format!("web {seal}"))));
    (octopus, web1)
}

fn seal_of(octopus: &Octopus, tentacle: &Tentacle) -> String {
    let mut keys = octopus.sandbox.tool("octo-keys");
    keys.arg("--config").arg(&tentacle.config).arg("--state").arg(&tentacle.state).arg("seal");
    let seal = crate::support::stdout_of(&mut keys);
    assert!(seal.starts_with("seal="), "{seal}");
    seal.trim().to_string()
}

fn sealed(job: &Path) -> Seal {
    let bytes = std::fs::read(job.join("end.seal")).expect("a seal");
    Seal::parse(&bytes).expect("of the form")
}

#[test]
fn each_kind_of_end_is_sealed_and_proved() {
    let (octopus, web1) = pinned();
    for (script, code, kind) in [
        ("echo A=1 >$OCTO_OUTPUT; echo out; echo err >&2", 0, EndKind::Exit(0)),
        ("exit 7", 7, EndKind::Exit(7)),
        ("kill -9 $$", 137, EndKind::Signal(9)),
        ("echo slow; sleep 600", 124, EndKind::Timeout),
    ] {
        let before = web1.jobs();
        octopus
            .push(&["-v", "-t", "web1", "run", "-T", "1s", "-k", "1s", "-c", script])
            .timeout(PATIENCE)
            .assert()
            .code(code)
            .stderr(contains("is proved, by seal="));
        let job = web1.jobs().into_iter().find(|job| !before.contains(job)).expect("a job");
        let seal = sealed(&job);
        let log = std::fs::read(job.join("log")).unwrap_or_default();
        assert_eq!((seal.kind, seal.log), (kind, Content::of(&log)), "{script}");
        let values = std::fs::read(job.join("outputs")).ok();
        assert_eq!(seal.values, values.map(|values| Content::of(&values)));
        let spec = std::fs::read(job.join("spec")).expect("a spec");
        assert_eq!(seal.spec, Some(Digest::of(&spec)));
        assert_eq!(seal.tentacle.current.to_string(), web1.thumbprint);
        let audit = std::fs::read_to_string(web1.state.join("audit.log")).expect("a log");
        let head = seal.head.expect("a head");
        let ended = format!(" job-end job={} ", job.file_name().expect("a name").display());
        let line = audit.lines().find(|line| line.contains(&ended)).expect(&audit);
        assert!(line.starts_with(&format!("{} ", head.seq)), "{line}: {head}");
        // Later, too, by a job's id alone.
        let id = job.file_name().expect("a name").to_str().expect("UTF-8");
        octopus
            .push(&["-v", "-t", "web1", "follow", id])
            .assert()
            .code(code)
            .stderr(contains("is proved, by seal="));
    }
}

#[test]
fn the_end_of_a_job_whose_octo_exec_was_killed_is_sealed() {
    let (octopus, web1) = pinned();
    let run = ["-v", "-t", "web1", "run", "-c", "echo begun; sleep 600"];
    let follower = octopus
        .start(&run)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("octo-push starts");
    wait_for("its output", || {
        web1.jobs()
            .iter()
            .any(|job| std::fs::read(job.join("log")).is_ok_and(|log| log == b"begun\n"))
    });
    let job = web1.jobs().remove(0);
    let started = std::fs::read_to_string(job.join("started")).expect("started");
    let pid = started.lines().find_map(|line| line.strip_prefix("session ")).expect(&started);
    let pid = rustix::process::Pid::from_raw(pid.parse().expect("a number")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    let output = follower.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(71), "{said}");
    assert!(said.contains("is proved, by seal="), "{said}");
    let seal = sealed(&job);
    assert_eq!((seal.kind, seal.log), (EndKind::Lost, Content::of(b"begun\n")));
}

#[test]
fn the_page_verifies_a_seal() {
    if !needs("the_page_verifies_a_seal", "openssl") {
        return;
    }
    let (octopus, web1) = pinned();
    octopus.push(&["-t", "web1", "run", "-c", "exit 3"]).assert().code(3);
    let job = web1.jobs().remove(0);
    let id = job.file_name().expect("a name").to_str().expect("UTF-8");
    let (_, example) = PAGE
        .split_once(".\\\" run: tests/push/sealed.rs\n.Bd -literal -offset indent\n")
        .expect("it");
    let (example, _) = example.split_once("\n.Ed\n").expect("its end");
    let state = web1.state.to_str().expect("UTF-8");
    let typed = example.replace(r"\e", "\\").replace("/var/lib/octo", state).replace("JOB", id);
    let run = || {
        let output = Command::new("sh").args(["-ec", &typed]).output().expect("sh");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(run(), (true, "Signature Verified Successfully\n".to_string()));
    let path = job.join("end.seal");
    let seal = std::fs::read_to_string(&path).expect("a seal");
    std::fs::write(&path, seal.replace("code 3", "code 0")).expect("written");
    assert!(!run().0, "a seal that was changed");
    octopus
        .push(&["-t", "web1", "follow", id])
        .assert()
        .code(79)
        .stderr(contains("its seal is worth nothing"));
}

#[test]
fn the_listener_cant_read_the_key_of_seals() {
    if !is_root("the_listener_cant_read_the_key_of_seals") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let here = Separated::start(&mut octopus, LINE);
    let state = &here.tentacle.state;
    let seal = seal_of(&octopus, &here.tentacle);
    octopus.set_targets(&format!("{}\n", here.tentacle.line_at(&here.address, &seal)));
    let run = octopus.push(&["-v", "-t", "web1", "run", "-c", "true"]).timeout(PATIENCE).assert();
    run.code(0).stderr(contains("is proved, by seal="));
    let stat = |name: &str| {
        let stat = state.join(name).metadata().expect(name);
        (stat.uid(), stat.mode() & 0o7777, stat.gid())
    };
    let listener = state.join("spool").metadata().expect("a spool");
    assert_ne!(listener.uid(), 0);
    assert_eq!(stat("seal.pem"), (0, 0o600, 0));
    assert_eq!(stat("seal.crt"), (0, 0o640, listener.gid()));
}

#[test]
fn a_no_of_an_operator_and_an_order_are_proved_too() {
    let (octopus, web1) = pinned();
    octopus
        .push(&["-v", "-t", "web1", "freeze", "--until", "2h", "shop", "stock-taking"])
        .timeout(PATIENCE)
        .assert()
        .code(0)
        .stderr(contains("is proved, by seal="));
    web1.set_trusted("");
    web1.trust(&octopus.sandbox, &octopus.thumbprint, "allow=any hold");
    let before = web1.jobs();
    octopus.push(&["-t", "web1", "run", "-D", "-c", "true"]).assert().code(0);
    let job = || web1.jobs().into_iter().find(|job| !before.contains(job));
    wait_for("a held job", || job().is_some_and(|job| job.join("held").exists()));
    let job = job().expect("a job");
    let id = job.file_name().expect("a name").to_str().expect("UTF-8");
    wait_for("its octo-exec to let go", || deny_once(&octopus, &web1, id));
    octopus
        .push(&["-v", "-t", "web1", "follow", id])
        .timeout(PATIENCE)
        .assert()
        .code(77)
        .stderr(contains("is proved, by seal=").and(contains("not today")));
    assert_eq!(sealed(&job).kind, EndKind::Denied(77));
}

/// Is it denied now? Whoever brought it forward may hold it yet.
fn deny_once(octopus: &Octopus, tentacle: &Tentacle, job: &str) -> bool {
    let mut deny = octopus.sandbox.tool("octo-exec");
    deny.arg("--config").arg(&tentacle.config).arg("--state").arg(&tentacle.state);
    deny.args(["deny", job, "not", "today"]).output().is_ok_and(|output| output.status.success())
}

/// The room for the end is room for its seal, too.
#[test]
fn on_a_full_disk_an_end_is_sealed_all_the_same() {
    let test = "on_a_full_disk_an_end_is_sealed_all_the_same";
    let (mut octopus, mut web1) = Octopus::with_one(cargo_bin!("octo-push"));
    web1.kill();
    let Some(disk) = SmallDisk::mount(&web1.state, "8m") else {
        return impossible(test, "no file system of its own");
    };
    web1.start();
    let seal = seal_of(&octopus, &web1);
    octopus.set_targets(&format!("{}\n", web1.line(&seal)));
    let fifo = octopus.sandbox.path("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    let go_on = || std::fs::write(&fifo, "go on").expect("written");
    let begin = |padding: usize| {
        let script =
            format!("echo begun; cat {} >/dev/null; : {}", fifo.display(), "x".repeat(padding));
        let mut run = octopus.start(&["-v", "-t", "web1", "run", "-c", &script]);
        let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        run.expect("octo-push starts")
    };
    // How long the record is when the end comes, so that the next one fills its page.
    let first = begin(1);
    go_on();
    assert!(first.wait_with_output().expect("it ends").status.success());
    let before = web1.jobs();
    let record = std::fs::read(before[0].join("record")).expect("a record");
    let sealed = b"part end.seal ";
    let length = record.windows(sealed.len()).position(|part| part == sealed).expect("its end");
    let second = begin(2 * 4096 - length % 4096 - 100);
    let has_begun =
        |job: &PathBuf| std::fs::read(job.join("log")).is_ok_and(|log| log == b"begun\n");
    let job = || web1.jobs().into_iter().find(|job| !before.contains(job) && has_begun(job));
    wait_for("its output", || job().is_some());
    disk.fill_but(0);
    go_on();
    let output = second.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("is proved, by seal="), "{said}");
}
