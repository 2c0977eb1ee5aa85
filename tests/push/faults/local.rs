//! octo-push where its own side is odd: files that change under it, names that
//! are not text, clocks that are wrong, IPv6, output that nobody takes.

use super::played::one_that_says;
use crate::fault_proxy::{FaultProxy, Faults, Plan};
use crate::support::can_trace;
use crate::support::random::Random;
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// More than the sockets of three programs hold.
const LARGE: usize = 48 << 20;

/// What changes after it was hashed is not what was announced: the tentacle's
/// sha256 says so, nothing of it stays, and the next try puts what it is now.
#[test]
fn a_file_that_changes_while_it_is_sent_is_refused() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let proxy = FaultProxy::start(&web1.address);
    octopus.set_targets(&format!("{}\n", web1.line_at(&proxy.address.to_string(), "web")));
    // What can be compressed may be so little that it passes before the pause.
    let mut bytes = Random(1).bytes(4 << 20);
    bytes.resize(LARGE, 1);
    let path = octopus.sandbox.write("big", bytes);
    let file = std::fs::File::options().write(true).open(&path).expect("open");
    for (said, change) in [
        (
            "big: changed while it was sent",
            &(|| file.write_all_at(b"x", LARGE as u64 - 1)) as &dyn Fn() -> _,
        ),
        ("big: became shorter while it was read", &|| file.set_len(LARGE as u64 - 1)),
    ] {
        proxy.next(Plan {
            up: Faults { pause_at: Some(1 << 20), ..Faults::default() },
            ..Plan::default()
        });
        let mut command = octopus.start(&["-t", "web1", "put", "big"]);
        let child = command.stderr(Stdio::piped()).spawn().expect("starts");
        proxy.wait_paused();
        change().expect("changed");
        proxy.resume();
        let output = child.wait_with_output().expect("wait");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{error}");
        assert!(error.contains(said), "{error}");
    }
    let objects = || {
        let entries = std::fs::read_dir(web1.state.join("packages")).expect("read_dir").flatten();
        entries.filter(|e| e.file_name().len() == 64).count()
    };
    assert_eq!(objects(), 0);
    octopus.push(&["-t", "web1", "put", "big"]).assert().success();
    assert_eq!(objects(), 1);
}

#[test]
fn a_name_that_is_not_text_gets_its_own_message() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let mut command = octopus.push(&["-t", "web1", "put"]);
    command.arg(OsStr::from_bytes(b"caf\xe9.tar"));
    command.assert().code(64).stderr(
        contains("octo-push: argument caf\\xe9.tar: not UTF-8").and(contains("hint: rename")),
    );
}

/// A farewell before the final reply is no answer, however polite: never 0.
#[test]
fn a_tentacle_that_leaves_before_its_answer_said_nothing() {
    let octopus = one_that_says(b"");
    for (verb, code) in
        [(&["status"][..], 69), (&["put", "p"], 69), (&["jobs"], 69), (&["run", "-c", "true"], 79)]
    {
        let arguments = [&["-t", "web1", "--reconnect", "1"][..], verb].concat();
        let refused = octopus.push(&arguments).assert().code(code);
        refused.stderr(contains("the connection broke off"));
    }
}

#[test]
fn a_tentacle_that_makes_no_sense_is_named() {
    for (answer, verb, said) in [
        (&b"ok offset=8\n"[..], &["put", "p"][..], "offset 8 of 7"),
        (b"ok offset=9223372036854775807\n", &["put", "p"], "offset 9223372036854775807 of 7"),
        (b"ok offset=18446744073709551616\n", &["put", "p"], "offset is not a whole number"),
        (b"ok body=9223372036854775807\n", &["jobs"], "67108864 at most"),
        (b"ok body=3\n\x1b[\n", &["jobs"], "form"),
        (b"HTTP/1.1 200 OK\r\n", &["status"], "no word begins the line"),
        (b"yes\n", &["status"], "an unexpected yes"),
        (b"no reason=gone\n", &["status"], "refused without a code: gone"),
        (b"no code=why reason=%1B%5B2J\n", &["status"], "unknown code why"),
    ] {
        let arguments = [&["-t", "web1"][..], verb].concat();
        let refused = one_that_says(answer).push(&arguments).assert().code(76);
        refused.stderr(contains(said).and(contains("\x1b").not()));
    }
}

/// Whoever owns the file can read the key, and can put another in its place.
#[test]
fn a_key_of_somebody_else_is_not_used() {
    if !crate::support::is_root("a_key_of_somebody_else_is_not_used") {
        return;
    }
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let identity = octopus.sandbox.config("identity.pem");
    std::os::unix::fs::chown(identity, Some(12345), None).expect("chown");
    octopus
        .push(&["-t", "web1", "status"])
        .assert()
        .code(78)
        .stderr(contains("identity.pem: is owned by uid 12345"));
}

#[test]
fn targets_are_reached_by_ipv6_too() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return crate::support::impossible("targets_are_reached_by_ipv6_too", "no IPv6 here");
    }
    let mut web1 = octopus.stranger("web1");
    web1.trust(&octopus.sandbox, &octopus.thumbprint, "allow=any from=::1");
    web1.start_at("[::1]:0");
    assert!(web1.address.starts_with("[::1]:"), "{}", web1.address);
    octopus.add_target(&web1.line("web"));
    octopus.push(&["-t", "web1", "run", "-c", "echo six"]).assert().success().stdout("six\n");
}

/// Machines without a battery begin in 1970, and trust is no matter of dates.
#[test]
fn clocks_of_1970_and_2090_are_no_hindrance() {
    const TEST: &str = "clocks_of_1970_and_2090_are_no_hindrance";
    // The library alone: the program faketime gives up where a file of its process number is left in
    // /dev/shm by one that was killed. Waiting goes by another clock.
    let fake = |date: &str| {
        let date = format!("FAKETIME={date}");
        ["LD_PRELOAD=/usr/$LIB/faketime/libfaketime.so.1", "DONT_FAKE_MONOTONIC=1", &date]
            .map(String::from)
    };
    if !crate::support::needs(TEST, "faketime") {
        return;
    }
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let plain = octopus.start(&["-t", "web1", "run", "-c", "exit 7"]);
    let over = |transport: &str| {
        let listen = octopus.sandbox.program("octo-listen");
        let (config, state) = (web1.config.display(), web1.state.display());
        format!("{transport} '{}' --config '{config}' --state '{state}' --stdio", listen.display())
    };
    for date in ["1970-01-02 00:00:00", "2090-01-01 00:00:00"] {
        // The octopus' clock is wrong.
        let mut command = Command::new("env");
        command.args(fake(date)).arg(plain.get_program()).args(plain.get_args());
        command.env_clear().stdin(Stdio::null());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.output().expect("runs");
        let error = String::from_utf8_lossy(&output.stderr);
        // What was signed in a time that is past holds no more; `at` is not judged.
        let (code, said) = match date.starts_with("1970") {
            true => (75, "held until 1970-01-02T01:00:00Z"),
            false => (7, ""),
        };
        assert_eq!(output.status.code(), Some(code), "{date}: {error}");
        assert!(error.contains(said), "{date}: {error}");
        octopus.push(&["journal"]).assert().success().stdout(contains(&date[..10]));
        // The tentacle's is.
        let transport = format!("env '{}'", fake(date).join("' '"));
        octopus
            .push(&["-t", "web1", "-P", &over(&transport), "run", "-c", "exit 7"])
            .assert()
            .code(if date.starts_with("1970") { 7 } else { 75 });
        let received = |job: &PathBuf| std::fs::read_to_string(job.join("origin")).expect("read");
        let said = format!("received {}", &date[..4]);
        let has_run = web1.jobs().iter().any(|job| received(job).contains(&said));
        assert_eq!(has_run, date.starts_with("1970"), "{date}");
    }
}

/// A reader that goes is no failure of what was asked; a full disk is one.
#[test]
fn results_that_nobody_takes() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    for (verb, prints) in [
        (&["-t", "web1", "status"][..], true),
        (&["-t", "web1", "targets"], true),
        (&["-t", "web1", "jobs"], false),
        (&["journal"], false),
        (&["--help"], true),
    ] {
        let run = |out: Stdio| {
            let mut command = octopus.start(verb);
            let output = command.stdout(out).stderr(Stdio::piped()).output().expect("runs");
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!error.contains("panic"), "{verb:?}: {error}");
            (output.status.code(), error)
        };
        let (reader, writer) = std::io::pipe().expect("pipe");
        drop(reader);
        assert_eq!(run(writer.into()).0, Some(0), "{verb:?}");
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("open");
        let (code, error) = run(full.into());
        if prints {
            assert_eq!(code, Some(74), "{verb:?}: {error}");
            assert!(error.contains("standard output: no space left"), "{verb:?}: {error}");
        }
    }
}

/// The disk is slower than the handshake, and then doesn't take what is to be asked for: no
/// target hears of it, also in batches that may fail.
#[test]
fn what_the_disk_does_not_take_is_asked_for_nowhere() {
    if !can_trace("what_the_disk_does_not_take_is_asked_for_nowhere") {
        return;
    }
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let web2 = octopus.tentacle("web2", "web");
    for options in [&[][..], &["--batch", "1", "--max-failures", "2"]] {
        let push = octopus.start(&[&["-t", "web1,web2"], options, &["run", "-c", "true"]].concat());
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"]);
        command.arg("inject=fdatasync:error=EIO:delay_enter=500000:when=1");
        command.arg(push.get_program()).args(push.get_args()).env_clear();
        command.envs(push.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.output().expect("strace");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("/journal: can't write: input/output error"), "{error}");
        assert_eq!(output.status.code(), Some(74), "{options:?}: {error}");
        assert_eq!((web1.jobs().len(), web2.jobs().len()), (0, 0), "{options:?}: {error}");
    }
    // What a disk takes after it has refused is not believed: the second batch never began.
    let journal = std::fs::read_to_string(octopus.sandbox.state("journal")).expect("a journal");
    let begun = |target: &str| journal.matches(&format!(" target={target} kind=begun ")).count();
    assert_eq!((begun("web1"), begun("web2")), (2, 1), "{journal}");
}
