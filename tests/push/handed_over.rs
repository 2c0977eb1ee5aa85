//! Who is believed where a request goes from one user to another: not the listener, in its
//! answer, its address or its clock.

use crate::separated::{LINE, Separated, job_id, marks, runs};
use crate::support::{NOBODY, PATIENCE, is_root, needs, wait_for};
use crate::tentacle::Octopus;
use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use octo_core::base::record::Record;
use octo_core::tentacle::statement::Statement;
use octo_wire::{Channel, Connection, Identity, Request, TlsStream};
use predicates::str::contains;
use rustix::process::Signal;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

/// A listener that says no, and hands over what it has refused: each statement that it did so
/// with, when its entry is in the spool.
fn liar(separated: &Separated, octopus: &mut Octopus) -> Receiver<Vec<u8>> {
    let tentacle = &separated.tentacle;
    let identity = Identity::load(&tentacle.config.join("identity.pem")).expect("identity");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address").to_string();
    octopus.add_target(&tentacle.line_at(&address, "liar").replacen("web1", "liar", 1));
    let state = tentacle.state.clone();
    let (sender, spooled) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let channel = Channel::tcp(stream.expect("accept")).expect("channel");
            let session = TlsStream::serve(&identity, channel, Box::new(|_| true.into()));
            let session = session.expect("handshake");
            let certificate = session.certificate().expect("a certificate").to_vec();
            let mut connection = Connection::new(session);
            while let Ok(Some(message)) = connection.read_message() {
                let request = Request::read(message).expect("a request");
                let body = connection.read_body(request.fields.body(), 1 << 20).expect("a body");
                let length = |key| request.fields.need::<u64>(key).expect(key) as usize;
                let (statement, rest) = body.split_at(length("request"));
                let (signature, spec) = rest.split_at(length("signature"));
                let parts = [statement, signature, &certificate, spec];
                let lengths = parts.map(|part| part.len().to_string()).join(" ");
                let head = format!("octo-spool 1 127.0.0.1 {lengths} 0 0 0\n").into_bytes();
                let job = request.fields.get::<&str>("job").expect("a job");
                spool(&state, job, &[&[&head[..]], &parts[..]].concat().concat());
                let no = b"no code=denied reason=not%20today\n";
                let told = connection.send_bytes(no);
                if told.is_err() || sender.send(statement.to_vec()).is_err() {
                    break;
                }
            }
            let _ = connection.close();
        }
    });
    spooled
}

/// As the listener does, in one rename and as its own file.
fn spool(state: &Path, job: &str, bytes: &[u8]) {
    let staged = state.join("spool").join(format!(".octo-tmp-{job}"));
    std::fs::write(&staged, bytes).expect("write");
    crate::support::set_mode(&staged, 0o600);
    chown(&staged, Some(NOBODY), Some(NOBODY)).expect("chown");
    std::fs::rename(staged, state.join("spool").join(job)).expect("rename");
}

/// A no is the listener's word, and a statement holds for an hour all the same.
#[test]
fn what_a_lying_listener_refused_runs_once_and_a_repeat_gets_its_end() {
    let test = "what_a_lying_listener_refused_runs_once_and_a_repeat_gets_its_end";
    if !is_root(test) {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let separated = Separated::start(&mut octopus, LINE);
    let spooled = liar(&separated, &mut octopus);
    let (job, mark) = (job_id(), marks(&octopus).join("mark"));
    let command = format!("echo ran >>{}; echo out; exit 7", mark.display());
    let run = |target: &str| octopus.push(&["-t", target, "run", "-j", &job, "-c", &command]);
    let ring = || drop(UnixStream::connect(separated.tentacle.state.join("doorbell")));
    let refused = run("liar").assert().code(77);
    let statement = spooled.recv().expect("it was spooled");
    let until = Statement::parse(&statement).expect("a statement").until;
    let until = octo_core::base::cli::utc(until);
    refused.stderr(contains(format!("denied: not today; not certain before {until}\n")));
    ring();
    run("web1").assert().code(7).stdout("out\n");
    assert_eq!(runs(&mark), 1);
    // The first statement is the one that counted.
    let kept = std::fs::read(separated.job(&job).join("request")).expect("a request");
    assert_eq!(kept, statement);
    // Neither the same once more nor a new one runs anything.
    for _ in 0..2 {
        run("liar").assert().code(77).stderr(contains("not certain before"));
        assert_ne!(spooled.recv().expect("it was spooled"), b"");
        ring();
        run("web1").assert().code(7).stdout("out\n");
    }
    octopus.push(&["-t", "web1", "run", "-c", "true"]).assert().success();
    assert_eq!(runs(&mark), 1);
    wait_for("an empty spool", || separated.spooled().is_empty());
}

/// A key that was renewed is the same pusher's: of the same name in the trust file.
#[test]
fn a_renewed_key_attaches_to_what_the_old_one_has_spooled() {
    if !is_root("a_renewed_key_attaches_to_what_the_old_one_has_spooled") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let separated = Separated::start(&mut octopus, LINE);
    octopus.sandbox.tool("octo-keys").args(["new", "renewed.pem"]).assert().success();
    let renewed = Identity::load(&octopus.sandbox.path("renewed.pem")).expect("identity");
    let keys = [octopus.thumbprint.clone(), renewed.thumbprint().to_string()];
    let lines = keys.map(|key| format!("{key} octopus {LINE} max-jobs=1\n"));
    separated.tentacle.set_trusted(&lines.concat());
    let (job, mark) = (job_id(), marks(&octopus).join("mark"));
    let command = format!("echo ran >>{}; exit 7", mark.display());
    let run = ["run", "-j", &job, "-c", &command];
    let old = |arguments: &[&str]| octopus.push(&[&["-t", "web1"], arguments].concat());
    let new = |arguments: &[&str]| {
        octopus.push(&[&["-i", "renewed.pem", "-t", "web1"], arguments].concat())
    };
    separated.signal_serve(Signal::STOP);
    old(&["run", "-D", "-j", &job, "-c", &command]).assert().success();
    assert_eq!(separated.spooled(), [job.as_str()]);
    let spooled = std::fs::read(separated.tentacle.state.join("spool").join(&job)).expect("read");
    new(&["run", "-D", "-j", &job, "-c", &command]).assert().success();
    let again = std::fs::read(separated.tentacle.state.join("spool").join(&job)).expect("read");
    assert_eq!(again, spooled);
    let other = new(&["run", "-j", &job, "-c", "true"]).assert().code(65);
    other.stderr(contains("is there with another spec"));
    for key in [&old as &dyn Fn(&[&str]) -> Command, &new] {
        let busy = key(&["-w", "10", "run", "-c", "true"]).timeout(PATIENCE).assert().code(75);
        busy.stderr(contains("busy: octopus has 1 jobs under way already; not certain before"));
    }
    separated.signal_serve(Signal::CONT);
    new(&run).assert().code(7);
    old(&run).assert().code(7);
    assert_eq!(runs(&mark), 1);
    new(&["run", "-c", "true"]).assert().success();
}

#[test]
fn what_root_hands_over_by_stdio_is_the_listeners() {
    if !is_root("what_root_hands_over_by_stdio_is_the_listeners") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut separated = Separated::start(&mut octopus, LINE);
    separated.end_listener();
    let state = &separated.tentacle.state;
    let owner = |name: &str| {
        let metadata = state.join(name).metadata().expect(name);
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
    };
    assert!(!state.join("listen/audit.log").exists());
    let (config, listen) =
        (separated.tentacle.config.display(), octopus.sandbox.program("octo-listen"));
    let over =
        format!("'{}' --config '{config}' --state '{}' --stdio", listen.display(), state.display());
    let job = job_id();
    let push =
        |arguments: &[&str]| octopus.push(&[&["-t", "web1", "-P", &over], arguments].concat());
    separated.signal_serve(Signal::STOP);
    push(&["run", "-D", "-j", &job, "-c", "id -un; exit 7"]).assert().success();
    let group = owner("spool").1;
    assert_eq!(owner(&format!("spool/{job}")), (NOBODY, group, 0o600));
    assert_eq!(owner("listen/audit.log"), (NOBODY, group, 0o640));
    std::thread::scope(|scope| {
        let follow = scope.spawn(|| push(&["follow", &job]).timeout(PATIENCE).output());
        // While it serves, it is that user, who gains no privileges either.
        wait_for("a listener without privileges", || {
            let served = processes_of(&state.display().to_string(), "--stdio");
            let is_one = |status: &String| {
                status.contains("\nUid:\t65534\t65534\t65534\t65534\n")
                    && status.contains("\nNoNewPrivs:\t1\n")
            };
            served.iter().any(is_one)
        });
        separated.signal_serve(Signal::CONT);
        let followed = follow.join().expect("a thread").expect("a follower");
        assert_eq!((followed.status.code(), &followed.stdout[..]), (Some(7), &b"daemon\n"[..]));
    });
    assert_eq!(separated.spooled(), Vec::<String>::new());
}

/// /proc/PID/status of the processes that have both among their arguments.
fn processes_of(one: &str, other: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let status = |entry: std::fs::DirEntry| {
        let words = std::fs::read(entry.path().join("cmdline")).ok()?;
        let has = |word: &str| words.split(|b| *b == 0).any(|found| found == word.as_bytes());
        let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
        (has(one) && has(other)).then_some(status)
    };
    entries.filter_map(status).collect()
}

/// The address is the listener's word: octo-exec never lets it choose among lines.
#[test]
fn a_line_that_came_while_a_job_was_held_lets_no_address_decide() {
    if !is_root("a_line_that_came_while_a_job_was_held_lets_no_address_decide") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let separated = Separated::start(&mut octopus, &format!("{LINE} hold"));
    let (job, mark) = (job_id(), marks(&octopus).join("mark"));
    let command = format!("echo ran >>{}", mark.display());
    let push = |arguments: &[&str]| octopus.push(&[&["-t", "web1"], arguments].concat());
    push(&["run", "-D", "-j", &job, "-c", &command]).assert().success();
    wait_for("it is held", || separated.job(&job).join("held").exists());
    let line = |options: &str| format!("{} octopus {LINE} {options}\n", octopus.thumbprint);
    // The line that it was held by stays as it was.
    separated.tentacle.set_trusted(&[line("sudo from=10.0.0.0/8"), line("hold")].concat());
    let approve = |job: &str| {
        let mut command = octopus.sandbox.tool("octo-exec");
        command.arg("--config").arg(&separated.tentacle.config);
        command.arg("--state").arg(&separated.tentacle.state).args(["approve", job]);
        command
    };
    approve(&job).assert().success();
    let said = format!(
        "lines 1 and 2 of {} in the trust file grant otherwise by from= alone",
        octopus.thumbprint
    );
    push(&["follow", &job]).timeout(PATIENCE).assert().code(78).stderr(contains(said));
    assert!(!mark.exists());
    assert!(!separated.job(&job).join("started").exists());
    // One line holds, whatever it says of addresses.
    let job = job_id();
    separated.tentacle.set_trusted(&line("hold from=127.0.0.1"));
    push(&["run", "-D", "-j", &job, "-c", &command]).assert().success();
    wait_for("it is held", || separated.job(&job).join("held").exists());
    approve(&job).assert().success();
    push(&["follow", &job]).assert().code(0);
    assert_eq!(runs(&mark), 1);
}

/// The clock of octo-exec alone is wrong: what counts is whether the statement still holds by it.
#[test]
fn octo_execs_own_clock_says_whether_a_statement_still_holds() {
    let test = "octo_execs_own_clock_says_whether_a_statement_still_holds";
    if !is_root(test) || !needs(test, "faketime") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut separated = Separated::start(&mut octopus, LINE);
    let marks = marks(&octopus);
    for (clock, is_late, year) in [
        ("+2h", true, ""),
        ("-2h", false, ""),
        ("2090-01-01 00:00:00", true, "2090"),
        ("1970-01-02 00:00:00", false, "1970"),
    ] {
        let date = format!("FAKETIME={clock}");
        // The library alone, as elsewhere; waiting goes by another clock.
        let fake = ["LD_PRELOAD=/usr/$LIB/faketime/libfaketime.so.1", "DONT_FAKE_MONOTONIC=1"];
        separated.restart_serve_with(&octopus, &[fake[0], fake[1], &date]);
        let (job, mark) = (job_id(), marks.join(clock));
        let command = format!("echo ran >>'{}'; exit 7", mark.display());
        let run = || octopus.push(&["-t", "web1", "run", "-j", &job, "-c", &command]);
        // The listener's clock is right: it accepts all of them.
        let said = run().assert().code(if is_late { 75 } else { 7 });
        let logs = separated.logs();
        assert!(logs.contains(&format!("run {job} ")), "{clock}: {logs}");
        if is_late {
            let said = said.stderr(contains(format!("here it is {year}")));
            let said = String::from_utf8_lossy(&said.get_output().stderr).into_owned();
            let word = |before: &str| {
                let rest = said.split_once(before).expect(before).1;
                let end = rest.find(['Z', ' ']).expect("an end") + 1;
                rest[..end].parse::<jiff::Timestamp>().expect("a time")
            };
            let (at, until) = (word("made at "), word(" by the pusher's clock, held until "));
            assert!(at < until && until < word("; here it is "), "{clock}: {said}");
            assert!(said.contains(": is one of the clocks wrong?"), "{clock}: {said}");
            assert_eq!(runs(&mark), 0, "{clock}");
            assert!(!separated.job(&job).exists(), "{clock}");
            assert!(logs.contains(&format!("octo-exec: {job}: refused: its statement")), "{logs}");
        } else {
            assert_eq!(runs(&mark), 1, "{clock}");
            let read = |name| std::fs::read(separated.job(&job).join(name)).expect("a record");
            let signed = Statement::parse(&read("request")).expect("a statement").at;
            let origin = Record::parse(&read("origin")).expect("a record");
            let received = origin.first("received").expect("a time");
            assert!(received.starts_with(year), "{clock}: {received}");
            let received: jiff::Timestamp = received.parse().expect("a time");
            assert!(received < signed, "{clock}: {received} {signed}");
        }
        wait_for("an empty spool", || separated.spooled().is_empty());
    }
}
