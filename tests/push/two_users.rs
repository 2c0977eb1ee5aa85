//! The two halves of a tentacle of two users: what a pusher gets where one is gone or has no
//! room, and what they leave and say when all is well.

use crate::separated::{LINE, Separated, job_id, marks, runs};
use crate::support::{PATIENCE, SmallDisk, impossible, is_root, set_mode, wait_for};
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;
use rustix::process::Signal;

#[test]
fn where_nobody_is_behind_the_doorbell_nothing_is_spooled() {
    if !is_root("where_nobody_is_behind_the_doorbell_nothing_is_spooled") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut separated = Separated::start(&mut octopus, LINE);
    let doorbell = separated.tentacle.state.join("doorbell");
    let marks = marks(&octopus);
    for (name, reason) in
        [("missing", "no such file or directory"), ("silent", "connection refused")]
    {
        separated.end_serve();
        if name == "missing" {
            std::fs::remove_file(&doorbell).expect("remove");
        }
        let (job, mark) = (job_id(), marks.join(name));
        let command = format!("echo ran >>{}; exit 7", mark.display());
        let run = || octopus.push(&["-t", "web1", "run", "-j", &job, "-c", &command]);
        let said = format!("{}: octo-exec doesn't answer: {reason}", doorbell.display());
        // Where it is taken all the same, nothing comes of it.
        run()
            .timeout(PATIENCE)
            .assert()
            .code(69)
            .stderr(contains(said).and(contains("unavailable: ")));
        assert_eq!(separated.spooled(), Vec::<String>::new());
        assert!(!separated.job(&job).exists());
        assert!(separated.logs().contains("hint: start it as STATE's owner, or restart it"));
        separated.restart_serve(&octopus);
        run().assert().code(7);
        assert_eq!(runs(&mark), 1);
    }
}

#[test]
fn a_spool_without_room_is_told_and_nothing_runs() {
    let test = "a_spool_without_room_is_told_and_nothing_runs";
    if !is_root(test) {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let Some(disk) = SmallDisk::mount(&octopus.sandbox.path("web1/state"), "2m") else {
        return impossible(test, "can't mount a small tmpfs");
    };
    let separated = Separated::start(&mut octopus, LINE);
    let (job, mark) = (job_id(), marks(&octopus).join("mark"));
    // Room for a line of a log, and none for this.
    let script = format!("echo ran >>{}; exit 7\n#{}\n", mark.display(), "x".repeat(200_000));
    octopus.sandbox.write("script", script);
    let run = || octopus.push(&["-t", "web1", "run", "-j", &job, "script"]);
    let filled = disk.fill_but(100_000);
    let said = contains("full: ").and(contains("stays free"));
    run().assert().code(74).stderr(said);
    assert_eq!(separated.spooled(), Vec::<String>::new());
    assert!(!separated.job(&job).exists());
    std::fs::remove_file(filled).expect("remove");
    run().assert().code(7);
    assert_eq!(runs(&mark), 1);
}

/// What octo-exec has, its listener can't list: it doesn't try.
#[test]
fn the_question_for_a_size_is_no_trouble() {
    if !is_root("the_question_for_a_size_is_no_trouble") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let separated = Separated::start(&mut octopus, LINE);
    let file = std::fs::File::create(octopus.sandbox.path("large")).expect("created");
    file.set_len(70 << 20).expect("a hole");
    let run = ["-t", "web1", "run", "-p", "large", "-c", "true"];
    octopus.push(&run).assert().success();
    let _ = std::fs::remove_file(octopus.sandbox.path("state/digests"));
    octopus.push(&["-t", "web1", "put", "large"]).assert().success();
    assert!(!separated.logs().contains("denied"), "{}", separated.logs());
}

/// What the listener keeps of a package is for octo-exec alone.
#[test]
fn the_listeners_copy_of_a_package_goes_though_nobody_follows() {
    if !is_root("the_listeners_copy_of_a_package_goes_though_nobody_follows") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut separated = Separated::start(&mut octopus, LINE);
    let store = separated.tentacle.state.join("listen/packages");
    let copies = || {
        let entries = std::fs::read_dir(&store);
        let names = entries.expect("a store").flatten().map(|e| e.file_name());
        names.filter(|name| name.len() == 64).collect::<Vec<_>>()
    };
    // The one that has put it there may have been killed.
    for (text, is_killed) in [("one\n", false), ("another\n", false), ("a third\n", true)] {
        let package = octopus.sandbox.write("package", text);
        separated.signal_serve(Signal::STOP);
        let job = job_id();
        let command = "cat \"$OCTO_PACKAGE\"";
        let run = ["-t", "web1", "run", "-D", "-j", &job, "-p", "package", "-c", command];
        octopus.push(&run).assert().success();
        let digest = octo_core::Digest::of(&std::fs::read(package).expect("read")).to_string();
        if is_killed {
            separated.restart_listener(&octopus);
            // Its first look is over when it answers.
            octopus.push(&["-t", "web1", "status"]).assert().success();
        }
        assert!(copies().iter().any(|name| *name == digest.as_str()), "{:?}", copies());
        separated.signal_serve(Signal::CONT);
        wait_for("no copy is left", || copies().is_empty());
        octopus.push(&["-t", "web1", "follow", &job]).assert().success().stdout(text);
        assert!(separated.tentacle.state.join("packages").join(digest).exists());
    }
}

/// Whoever put it there was killed, and nothing else happens that would have it looked at.
#[test]
fn a_cancel_of_a_killed_listener_goes_once_it_is_obeyed() {
    if !is_root("a_cancel_of_a_killed_listener_goes_once_it_is_obeyed") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut separated = Separated::start(&mut octopus, LINE);
    let job = job_id();
    let push = |arguments: &[&str]| octopus.push(&[&["-t", "web1"], arguments].concat());
    push(&["run", "-D", "-j", &job, "-c", "sleep 600"]).assert().success();
    wait_for("an empty spool", || separated.spooled().is_empty());
    separated.signal_serve(Signal::STOP);
    push(&["cancel", &job]).assert().success();
    assert_eq!(separated.spooled(), [format!("{job}.cancel")]);
    separated.restart_listener(&octopus);
    // Its own look is over when it answers.
    push(&["status"]).assert().success();
    assert_eq!(separated.spooled(), [format!("{job}.cancel")]);
    separated.signal_serve(Signal::CONT);
    wait_for("its end", || separated.job(&job).join("end").exists());
    // Nobody follows it: a follower's listener would look there.
    wait_for("an empty spool", || separated.spooled().is_empty());
}

/// A job may end while a cancel of it is on its way.
#[test]
fn a_cancel_that_comes_too_late_does_not_stay() {
    if !is_root("a_cancel_that_comes_too_late_does_not_stay") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let separated = Separated::start(&mut octopus, LINE);
    let job = job_id();
    octopus.push(&["-t", "web1", "run", "-j", &job, "-c", "true"]).assert().success();
    wait_for("an empty spool", || separated.spooled().is_empty());
    let cancel = separated.tentacle.state.join("spool").join(format!("{job}.cancel"));
    std::fs::write(cancel, "").expect("write");
    wait_for("an empty spool", || separated.spooled().is_empty());
}

/// The listener may have been taken over, or let it in by an older line.
#[test]
fn a_package_beyond_max_store_is_not_taken_over() {
    if !is_root("a_package_beyond_max_store_is_not_taken_over") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let separated = Separated::start(&mut octopus, LINE);
    let package = octopus.sandbox.write("package", "packed\n".repeat(30_000));
    let digest = octo_core::Digest::of(&std::fs::read(package).expect("read")).to_string();
    let (job, mark) = (job_id(), marks(&octopus).join("mark"));
    let command = format!("cat $OCTO_PACKAGE >>{}", mark.display());
    let push = |arguments: &[&str]| octopus.push(&[&["-t", "web1"], arguments].concat());
    separated.signal_serve(Signal::STOP);
    push(&["run", "-D", "-j", &job, "-p", "package", "-c", &command]).assert().success();
    assert_eq!(separated.spooled(), [job.as_str()]);
    let line = |options: &str| format!("{} octopus {LINE} {options}\n", octopus.thumbprint);
    separated.tentacle.set_trusted(&line("max-store=200K"));
    separated.signal_serve(Signal::CONT);
    let said = contains("would pass max-store=200.0 KiB");
    push(&["follow", &job]).timeout(PATIENCE).assert().code(77).stderr(said);
    let taken = separated.tentacle.state.join("packages").join(digest);
    assert!(!mark.exists() && !taken.exists());
    separated.tentacle.set_trusted(&line("max-store=1M"));
    push(&["run", "-p", "package", "-c", &command]).assert().success();
    assert!(mark.exists() && taken.exists());
}

/// What a log says on a good day hides what it says on a bad one.
#[test]
fn good_days_leave_no_alarm_in_either_log() {
    if !is_root("good_days_leave_no_alarm_in_either_log") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let separated = Separated::start(&mut octopus, LINE);
    octopus.sandbox.write("package", "packed\n");
    let secrets = octopus.sandbox.write("secrets", "TOKEN=secret\n");
    set_mode(&secrets, 0o600);
    let push = |arguments: &[&str]| octopus.push(&[&["-t", "web1"], arguments].concat());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                push(&["run", "-c", "exit 7"]).assert().code(7);
                let package = ["run", "-p", "package", "-S", "secrets", "-c", "cat $OCTO_PACKAGE"];
                push(&package).assert().success().stdout("packed\n");
                let job = job_id();
                let makes = "echo made >$OCTO_ARTIFACTS/made; echo A=b >>$OCTO_OUTPUT";
                push(&["run", "-j", &job, "-c", makes]).assert().success();
                push(&["get", "-o", &job, &job, "made"]).assert().success();
                let job = job_id();
                push(&["run", "-D", "-j", &job, "-c", "sleep 300"]).assert().success();
                push(&["cancel", &job]).assert().success();
                push(&["follow", &job]).assert().code(130);
                push(&["run", "-T", "1s", "-c", "sleep 300"]).assert().code(124);
            });
        }
    });
    push(&["jobs"]).assert().success();
    push(&["status"]).assert().success();
    wait_for("an empty spool", || separated.spooled().is_empty());
    let logs = separated.logs();
    let (expected, others): (Vec<&str>, Vec<&str>) = logs.lines().partition(|line| {
        line.starts_with("octo-listen: 127.0.0.1: octopus: ")
            && [": accepted", ": asked", ": stored"].iter().any(|what| line.ends_with(what))
    });
    assert_eq!(others, Vec::<&str>::new());
    let runs = expected.iter().filter(|line| line.ends_with(": accepted")).count();
    assert_eq!(runs, 20, "{expected:#?}");
}

/// octo-exec looks as the job's user, and keeps what it saw for the listener's.
#[test]
fn what_is_released_is_told_by_a_listener_of_another_user() {
    if !is_root("what_is_released_is_told_by_a_listener_of_another_user") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let separated = Separated::start(&mut octopus, LINE);
    let base = marks(&octopus);
    let script = format!(
        "mkdir -p {0}/shop/meta {0}/shop/releases/1.0; cd {0}/shop; echo x >journal; ln -s releases/1.0 current
         printf 'octo-release 1\\napplication shop\\njournal 2\\nversion 1.0\\nrelease 1.0\\n' >meta/now
         echo releases={0}/shop >$OCTO_OUTPUT",
        base.display()
    );
    octopus.push(&["-t", "web1", "run", "-c", &script]).assert().success();
    let told = |seen: &str| {
        let said = contains(r#""version":"1.0""#)
            .and(contains(r#""user":"daemon""#))
            .and(contains(format!(r#""seen":{seen}"#)));
        octopus.push(&["--json", "-t", "web1", "releases"]).assert().success().stdout(said);
    };
    told("null");
    std::fs::write(base.join("shop/journal"), "x\nmore\n").expect("write");
    told(r#""changed-since""#);
    // Of what the listener's user can't reach it says so, and not that all is as it was.
    set_mode(&base.join("shop"), 0o700);
    told(r#""unchecked""#);
    assert_eq!(separated.spooled(), Vec::<String>::new());
}

/// It can list nothing of octo-exec's, and finds its rotated files by their usual names.
#[test]
fn compressed_logs_are_read_by_a_listener_of_another_user() {
    if !is_root("compressed_logs_are_read_by_a_listener_of_another_user") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let separated = Separated::start(&mut octopus, LINE);
    let state = &separated.tentacle.state;
    let run = || octopus.push(&["-t", "web1", "run", "-c", "true"]).assert().success();
    let mut whole = String::new();
    for name in ["audit.log.2", "audit.log.1", ""] {
        run();
        whole.push_str(&std::fs::read_to_string(state.join("audit.log")).expect("a log"));
        if !name.is_empty() {
            std::fs::rename(state.join("audit.log"), state.join(name)).expect("rename");
        }
    }
    for name in ["audit.log.2", "audit.log.1"] {
        let packed = std::process::Command::new("gzip").arg(state.join(name)).status();
        assert!(packed.expect("gzip").success());
    }
    octopus.push(&["-t", "web1", "audit"]).assert().success();
    octopus.push(&["-t", "web1", "audit", "--fetch"]).assert().success();
    let copy = octopus.sandbox.state("audit/web1/exec.log");
    assert_eq!(std::fs::read_to_string(copy).expect("a copy"), whole);
    // Root's check of the listener's own: unpacked as the listener's user.
    let log = state.join("listen/audit.log");
    std::fs::rename(&log, log.with_extension("log.1")).expect("rename");
    let packed = std::process::Command::new("gzip").arg(log.with_extension("log.1")).status();
    assert!(packed.expect("gzip").success());
    let mut check = octopus.sandbox.tool("octo-listen");
    check.arg("--config").arg(&separated.tentacle.config).arg("--state").arg(state);
    check.arg("--check-audit").assert().success();
}
