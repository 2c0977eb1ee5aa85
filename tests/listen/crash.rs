//! kill -9 is a normal way to stop a listener, at any moment.

use crate::listener::{Pusher, Tentacle, job_id, sides};
use crate::support::{kill_session_of, wait_for};
use octo_core::Digest;
use octo_wire::{Failure, Message};
use std::path::Path;
use std::time::{Duration, Instant};

/// Every object of the store is whole, and has whom it belongs to beside it.
fn check_store(packages: &Path) {
    for entry in std::fs::read_dir(packages).expect("read_dir").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        if let Some(digest) = Digest::parse(&name) {
            let bytes = std::fs::read(entry.path()).expect("read");
            assert_eq!(Digest::of(&bytes), digest);
            assert!(packages.join(format!("{name}.by")).exists(), "{name} is nobody's");
        }
    }
}

#[test]
fn fifty_kills_in_the_midst_of_puts() {
    let (here, ci) = sides();
    let mut random = crate::support::random::Random(23);
    let packages = here.sandbox.state("packages");
    for round in 0..50u64 {
        let mut tentacle = Tentacle::start(&here);
        let length = 2_000_000 + random.below(1000);
        let package: Vec<u8> = (0..length).map(|i| (i as u64 * 131 + round * 7) as u8).collect();
        let mut pusher = tentacle.connect(&ci).expect("trusted");
        let delay = Duration::from_micros(random.below(12_000) as u64);
        let kill = std::thread::spawn(move || {
            std::thread::sleep(delay);
            tentacle.kill();
        });
        let put = put(&mut pusher, &package);
        kill.join().expect("killed");
        check_store(&packages);
        // What was acknowledged is there; what is there and was not, is whole.
        let there = packages.join(Digest::of(&package).to_string()).exists();
        assert!(there || put.is_err(), "round {round}: acknowledged and gone");
        let tentacle = Tentacle::start(&here);
        let reply = tentacle.connect(&ci).expect("trusted").put(&package);
        assert_eq!(reply.word(), "ok", "round {round}: {reply:?}");
        check_store(&packages);
    }
    let left = std::fs::read_dir(packages.join("incoming")).expect("read_dir").count();
    assert_eq!(left, 0);
    here.sandbox.tool("octo-listen").arg("--check-audit").assert().code(0);
}

fn put(pusher: &mut Pusher, package: &[u8]) -> Result<Message, Failure> {
    let request = format!("put sha256={} size={} name=x", Digest::of(package), package.len());
    let reply = pusher.ask(&request, b"")?;
    assert_eq!(reply.word(), "ok", "{reply:?}");
    if reply.number("offset")? == Some(0) {
        pusher.send_part(package.len(), package)?;
        return pusher.reply();
    }
    Ok(reply)
}

#[test]
fn a_job_outlives_its_listener_and_is_followed_on() {
    let (here, ci) = sides();
    let mut tentacle = Tentacle::start(&here);
    let id = job_id();
    let go = here.sandbox.path("go");
    let text = format!("echo one; while ! test -e {}; do sleep 0.02; done; echo two", go.display());
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    assert_eq!(pusher.run(&id, &text).word(), "ok");
    pusher.yes(&format!("follow job={id}"), b"");
    let first = loop {
        let message = pusher.reply().expect("a message");
        if message.word() == "out" {
            break pusher.body(&message);
        }
    };
    assert_eq!(first, b"one\n");
    tentacle.kill();
    assert!(matches!(pusher.reply(), Err(Failure::Truncated)));
    let tentacle = Tentacle::start(&here);
    std::fs::write(&go, "").expect("write");
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    pusher.yes(&format!("follow job={id} offset=4"), b"");
    let mut rest = Vec::new();
    let end = loop {
        let message = pusher.reply().expect("a message");
        match message.word() {
            "out" => rest.extend(pusher.body(&message)),
            "end" => break message,
            _ => {}
        }
    };
    assert_eq!(rest, b"two\n");
    assert_eq!((end.text("kind"), end.text("code")), (Some("exit"), Some("0")));
    assert!(end.value("audit").is_some());
}

#[test]
fn what_was_published_and_never_started_is_started_by_the_next_listener() {
    let (here, ci) = sides();
    // An octo-exec that never comes to anything.
    let lazy = here.sandbox.write("lazy", "#!/bin/sh\nexec sleep 300\n");
    crate::support::set_mode(&lazy, 0o755);
    let mut command = here.command("octo-listen");
    command.args(["-v", "-l", "127.0.0.1:0", "--exec"]).arg(&lazy);
    let mut tentacle = Tentacle::with(&here, &mut command, 1);
    let id = job_id();
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    assert_eq!(pusher.run(&id, "echo ran").word(), "ok");
    assert!(here.sandbox.state("spool").join(&id).exists());
    // It is attached to, and followed, before there is a job.
    assert_eq!(pusher.run(&id, "echo ran").text("attached"), Some("yes"));
    assert_eq!(pusher.run(&id, "echo other").text("code"), Some("conflict"));
    tentacle.kill();
    let mut tentacle = Tentacle::start(&here);
    tentacle.says("1 waiting jobs were started");
    let followed = tentacle.connect(&ci).expect("trusted").follow(&id);
    assert_eq!((followed.out.as_slice(), followed.code), (&b"ran\n"[..], 0));
    // Started once, over, and left alone from now on.
    tentacle.kill();
    let mut tentacle = Tentacle::start(&here);
    tentacle.connect(&ci).expect("trusted").yes("status", b"");
    assert!(!tentacle.log().contains("waiting jobs"));
}

#[test]
fn a_follower_is_told_that_its_job_was_lost() {
    let (here, ci) = sides();
    let tentacle = Tentacle::start(&here);
    let id = job_id();
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    assert_eq!(pusher.run(&id, "echo before; sleep 300").word(), "ok");
    let log = here.sandbox.state("jobs").join(&id).join("log");
    wait_for("output", || std::fs::read(&log).is_ok_and(|bytes| !bytes.is_empty()));
    let followed = std::thread::scope(|scope| {
        let follower = scope.spawn(|| pusher.follow(&id));
        kill_session_of(&here.sandbox.state("jobs").join(&id));
        follower.join().expect("a follower")
    });
    assert_eq!((followed.kind.as_str(), followed.code), ("lost", 71));
    assert_eq!(followed.out, b"before\n");
}

#[test]
fn a_killed_octo_exec_is_seen_to_though_nobody_follows() {
    let (here, ci) = sides();
    let tentacle = Tentacle::start(&here);
    let id = job_id();
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    let script = here.sandbox.path("pid");
    let text = format!("echo $$ >{}; exec sleep 300", script.display());
    assert_eq!(pusher.run(&id, &text).word(), "ok");
    drop(pusher);
    let job = here.sandbox.state("jobs").join(&id);
    let number = |text: String| text.trim().parse::<i32>().ok();
    wait_for("the script", || std::fs::read_to_string(&script).is_ok_and(|t| number(t).is_some()));
    let script = number(std::fs::read_to_string(&script).expect("read")).expect("a number");
    kill_session_of(&job);
    wait_for("its end", || job.join("end").exists());
    let end = std::fs::read_to_string(job.join("end")).expect("read");
    assert!(end.starts_with("kind lost\ncode 71\n"), "{end}");
    // What outlived it does not go on unseen.
    wait_for("the script's end", || {
        let stat = std::fs::read_to_string(format!("/proc/{script}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
}

#[test]
fn a_pusher_that_is_gone_costs_nothing_and_its_job_goes_on() {
    let (here, ci) = sides();
    let tentacle = Tentacle::start(&here);
    let id = job_id();
    let tasks = format!("/proc/{}/task", tentacle.child.id());
    let count = |name: &str| {
        let tasks = std::fs::read_dir(&tasks).expect("tasks").flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|comm| comm.trim_end() == name).count()
    };
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    let done = here.sandbox.path("done");
    let go = here.sandbox.path("go");
    let text = format!(
        "while ! test -e {}; do sleep 0.02; done; echo x > {}",
        go.display(),
        done.display()
    );
    assert_eq!(pusher.run(&id, &text).word(), "ok");
    pusher.yes(&format!("follow job={id}"), b"");
    drop(pusher);
    // The connection's thread ends at once; the one that waits for octo-exec stays.
    let began = Instant::now();
    wait_for("the thread's end", || count("connection") == 0);
    assert!(began.elapsed() < Duration::from_secs(10));
    std::fs::write(go, "").expect("write");
    wait_for("the job's end", || done.exists());
    wait_for("no zombie", || count("reaper") == 0);
}

#[test]
fn an_old_partial_upload_is_swept_and_a_new_one_stays() {
    let (here, ci) = sides();
    let mut tentacle = Tentacle::start(&here);
    let package = vec![7; 1_000_000];
    let request = format!("put sha256={} size=1000000 name=x", Digest::of(&package));
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    pusher.yes(&request, b"");
    pusher.send_part(package.len(), &package[..500_000]).expect("sent");
    drop(pusher);
    let partial =
        here.sandbox.state("packages/incoming").join(format!("{}.ci", Digest::of(&package)));
    wait_for("the partial upload", || partial.metadata().is_ok_and(|m| m.len() > 490_000));
    tentacle.kill();
    let mut tentacle = Tentacle::start(&here);
    tentacle.connect(&ci).expect("trusted").yes("status", b"");
    assert!(partial.exists());
    tentacle.kill();
    let old = std::time::SystemTime::now() - Duration::from_secs(8 * 86400);
    let file = std::fs::File::options().write(true).open(&partial).expect("open");
    file.set_modified(old).expect("touch");
    let mut tentacle = Tentacle::start(&here);
    tentacle.says("1 abandoned uploads were removed");
    assert!(!partial.exists());
}

/// Nobody waits for an hour to hear that nothing can run here.
#[test]
fn an_octo_exec_that_fails_is_told_and_logged() {
    let (here, ci) = sides();
    let broken = here.sandbox.write("broken", "#!/bin/sh\nexit 3\n");
    crate::support::set_mode(&broken, 0o755);
    let mut command = here.command("octo-listen");
    command.args(["-v", "-l", "127.0.0.1:0", "--exec"]).arg(&broken);
    let mut tentacle = Tentacle::with(&here, &mut command, 1);
    let id = job_id();
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    assert_eq!(pusher.run(&id, "echo ran").word(), "ok");
    let followed = pusher.follow(&id);
    assert_eq!((followed.kind.as_str(), followed.code), ("denied", 69));
    assert_eq!(followed.reason, "octo-exec could not take it over in 3 tries: exit status: 3");
    tentacle.says("its octo-exec failed: exit status: 3");
    wait_for("the spool is empty", || !here.sandbox.state("spool").join(&id).exists());
    // Asked again it is the same, and another one gets the same answer.
    assert_eq!(pusher.run(&id, "echo ran").text("attached"), Some("yes"));
    assert_eq!(pusher.follow(&id).code, 69);
    // Where there is none at all, nothing is accepted.
    std::fs::remove_file(broken).expect("remove");
    let id = job_id();
    assert_eq!(pusher.run(&id, "echo ran").text("code"), Some("unavailable"));
    assert!(!here.sandbox.state("spool").join(&id).exists());
    assert!(!here.sandbox.state("jobs").join(&id).exists());
}

/// What is refused for good is not tried again: one that was would be, each second, for ever.
#[test]
fn a_request_that_octo_exec_refuses_is_handed_to_it_once() {
    let (here, ci) = sides();
    let (calls, trusted) = (here.sandbox.path("calls"), here.sandbox.config("trusted"));
    // Between the two decisions the line goes.
    let text = format!(
        "#!/bin/sh\necho x >>{}\n: >{}\n{} \"$@\"\ncode=$?\necho $code >>{0}\nexit $code\n",
        calls.display(),
        trusted.display(),
        here.sandbox.program("octo-exec").display()
    );
    let late = here.sandbox.write("late", &text);
    crate::support::set_mode(&late, 0o755);
    let line = std::fs::read(&trusted).expect("read");
    let mut command = here.command("octo-listen");
    command.args(["-v", "-l", "127.0.0.1:0", "--exec"]).arg(&late);
    let mut tentacle = Tentacle::with(&here, &mut command, 1);
    let id = job_id();
    assert_eq!(tentacle.connect(&ci).expect("trusted").run(&id, "echo ran").word(), "ok");
    let said = || std::fs::read_to_string(&calls).unwrap_or_default();
    wait_for("a refusal", || said() == "x\n77\n");
    wait_for("the spool is empty", || !here.sandbox.state("spool").join(&id).exists());
    // Whoever looks after it has looked before the next one is.
    std::fs::write(&trusted, line).expect("write");
    let other = job_id();
    assert_eq!(tentacle.connect(&ci).expect("trusted").run(&other, "echo ran").word(), "ok");
    wait_for("another refusal", || said() == "x\n77\nx\n77\n");
    assert!(!tentacle.log().contains("its octo-exec failed"));
}

/// It is there and may be executed, as far as can be seen without trying.
#[test]
fn an_octo_exec_that_cannot_be_started_is_told_and_logged() {
    let (here, ci) = sides();
    for (name, bytes, said) in [
        ("interpreted", &b"#!/nonexistent/interpreter\n"[..], "no such file or directory"),
        ("foreign", b"\x7fELF, for another machine", "exec format error"),
        // Its first start is its last.
        ("fleeting", b"#!/bin/sh\nrm -- \"$0\"\nexit 3\n", "not found, no job can be started"),
    ] {
        let program = here.sandbox.write(name, bytes);
        crate::support::set_mode(&program, 0o755);
        let mut command = here.command("octo-listen");
        command.args(["-v", "-l", "127.0.0.1:0", "--exec"]).arg(&program);
        let mut tentacle = Tentacle::with(&here, &mut command, 1);
        let id = job_id();
        let mut pusher = tentacle.connect(&ci).expect("trusted");
        assert_eq!(pusher.run(&id, "echo ran").word(), "ok");
        let followed = pusher.follow(&id);
        assert_eq!((followed.kind.as_str(), followed.code), ("denied", 69), "{name}");
        let tries = "octo-exec could not take it over in 3 tries: ";
        assert!(followed.reason.starts_with(tries), "{name}: {}", followed.reason);
        assert!(followed.reason.contains(said), "{name}: {}", followed.reason);
        let line = tentacle.says(&format!("job {id}: its octo-exec failed: "));
        tentacle.says(said);
        wait_for("a line a try", || tentacle.log().matches("its octo-exec failed").count() >= 3);
        assert_eq!(tentacle.log().matches("its octo-exec failed").count(), 3, "{line}");
        let spooled = std::fs::read_dir(here.sandbox.state("spool")).expect("a spool").count();
        assert_eq!(spooled, 0, "{name}");
        assert!(!here.sandbox.state("jobs").join(&id).exists(), "{name}");
    }
}
