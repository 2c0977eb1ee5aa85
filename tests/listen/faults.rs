//! Pushers who are trusted and mean harm, or whose machine fails: what they cost.

use crate::listener::{Pusher, Side, Tentacle, job_id, own_user, sides};
use crate::support::{PATIENCE, peak_of, wait_for};
use assert_cmd::cargo::cargo_bin;
use octo_core::targets::TargetTrust;
use octo_core::{Digest, Thumbprint};
use octo_wire::{Channel, Connection, Identity, TlsStream};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

/// Taken apart as a whole, a spec of the shortest lines took forty times its size,
/// and a word of 4 MiB came back in the log.
#[test]
fn a_spec_of_millions_of_lines_or_words_costs_little() {
    let (here, ci) = sides();
    let mut tentacle = Tentacle::start(&here);
    for spec in [
        "a\n".repeat(2_000_000),
        format!("a{}\n", " ".repeat(4_000_000)),
        "a".repeat(4_000_000) + "\n",
    ] {
        let mut pusher = tentacle.connect(&ci).expect("trusted");
        let (request, body) = pusher.request(&job_id(), &spec, b"", b"");
        assert_eq!(pusher.no(&request, &body), "malformed");
    }
    let peak = peak_of(tentacle.pid()).expect("a peak");
    assert!(peak < 40_000, "{peak} KiB");
    tentacle.says("unknown key");
    assert!(tentacle.log().lines().all(|line| line.len() < 4000));
}

#[test]
fn a_listener_that_starts_sweeps_what_a_killed_one_left() {
    let (here, ci) = sides();
    let secrets = here.sandbox.write("state/jobs/.octo-tmp-left/secrets", "x");
    let tentacle = Tentacle::start(&here);
    wait_for("the sweep", || !secrets.parent().expect("a directory").exists());
    tentacle.connect(&ci).expect("trusted").yes("status", b"");
}

/// inetd and systemd's Accept=yes hand over the connection as 0 and 1, inetd as 2
/// as well: what the log has to say must not get between the records of TLS.
#[test]
fn a_super_server_hands_it_the_connection() {
    let (here, ci) = sides();
    here.trust(&[(&ci, &format!("ci from=127.0.0.1 {}", own_user()))]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let identity = Identity::load(&ci.sandbox.config("identity.pem")).expect("identity");
    let known = Thumbprint::parse(&here.thumbprint).expect("a thumbprint");
    for standard_error in [false, true] {
        let stream = TcpStream::connect(address).expect("connect");
        let (theirs, _) = listener.accept().expect("accept");
        let copy = || Stdio::from(OwnedFd::from(theirs.try_clone().expect("clone")));
        let mut command = here.command("octo-listen");
        command.args(["-v", "--stdio"]).stdin(copy()).stdout(copy());
        command.stderr(if standard_error { copy() } else { Stdio::null() });
        let mut child = command.spawn().expect("starts");
        drop(command);
        drop(theirs);
        let mut channel = Channel::tcp(stream).expect("channel");
        channel.set_idle(Some(PATIENCE));
        let trust = TargetTrust::Thumbprints(vec![known]);
        let session = TlsStream::connect(&identity, channel, &trust, "x").expect("handshake");
        let mut pusher = Pusher {
            connection: Connection::new(session),
            identity: identity.clone(),
            tentacle: known,
        };
        assert_eq!(pusher.put(b"a package, which is logged").word(), "ok");
        pusher.yes("status", b"");
        pusher.connection.close().expect("farewell");
        assert!(pusher.connection.read_message().expect("farewell").is_none());
        assert!(child.wait().expect("wait").success());
    }
}

/// `listening` is a promise: it was once printed before the last threads were there.
#[test]
fn it_says_that_it_listens_once_its_threads_are_there() {
    if !crate::support::can_trace("it_says_that_it_listens_once_its_threads_are_there") {
        return;
    }
    let (here, ci) = sides();
    let failing = |nth: usize| {
        let mut command = Command::new("strace");
        let listen = here.command("octo-listen");
        command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=clone3,clone", "-e"]);
        command.arg(format!("inject=clone3,clone:error=EAGAIN:when={nth}"));
        command.arg(listen.get_program()).env_clear().stdin(Stdio::null());
        command.envs(listen.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.args(["-l", "127.0.0.1:0"]);
        command
    };
    let cannot = |nth: usize| {
        let mut child =
            failing(nth).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("strace");
        let mut line = String::new();
        let out = child.stdout.take().expect("standard output");
        BufReader::new(out).read_line(&mut line).expect("a line");
        if !line.is_empty() {
            child.kill().expect("kill");
            child.wait().expect("wait");
            return false;
        }
        let output = child.wait_with_output().expect("wait");
        let why = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(74), "{nth}: {why}");
        assert!(why.contains("resource temporarily unavailable"), "{nth}: {why}");
        true
    };
    let threads = (1..).take_while(|nth| cannot(*nth)).count();
    // One that accepts, one that attends, and some that only wait.
    assert!(threads > 3, "{threads}");
    let tentacle = Tentacle::with(&here, &mut failing(threads + 1), 1);
    tentacle.connect(&ci).expect("served").yes("status", b"");
}

/// Threads run out as descriptors do; the accept loop rests and goes on.
#[test]
fn without_threads_it_rests_and_recovers() {
    if !crate::support::can_trace("without_threads_it_rests_and_recovers") {
        return;
    }
    let (here, ci) = sides();
    let mut tentacle = Tentacle::start(&here);
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e", "trace=clone3,clone"]);
    command.args(["-e", "inject=clone3,clone:error=EAGAIN:when=1..2", "-p"]);
    command.arg(tentacle.child.id().to_string()).stderr(Stdio::piped());
    let mut strace = command.spawn().expect("strace");
    let mut said = BufReader::new(strace.stderr.take().expect("standard error"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    if !line.contains("attached") {
        strace.wait().expect("wait");
        let test = "without_threads_it_rests_and_recovers";
        return crate::support::impossible(test, "may not trace what runs");
    }
    for _ in 0..2 {
        assert!(tentacle.connect(&ci).is_err());
    }
    tentacle.says("accept: resource temporarily unavailable, resting");
    tentacle.connect(&ci).expect("accepted at last").yes("status", b"");
    strace.kill().expect("kill");
    strace.wait().expect("wait");
}

/// Those who are trusted have places, too: a few of the descriptors are left for
/// the rest, and who comes too late is told to come back. One alone can't take all.
#[test]
fn a_pusher_too_many_is_told_to_come_back() {
    let (here, ci) = sides();
    let cron = Side::new(cargo_bin!("octo-listen"));
    here.trust(&[(&ci, "ci"), (&cron, "cron")]);
    let mut tentacle = Tentacle::with_descriptors(&here, 64);
    let mut served: Vec<Pusher> = (0..3)
        .map(|_| {
            let mut pusher = tentacle.connect(&ci).expect("trusted");
            pusher.yes("status", b"");
            pusher
        })
        .collect();
    let turned_away = |side: &Side, reason: &str| {
        let told = tentacle.connect(side).expect("trusted").reply().expect("a word unasked");
        assert_eq!((told.word(), told.text("code")), ("no", Some("busy")));
        assert!(told.text("reason").is_some_and(|told| told.contains(reason)), "{told:?}");
    };
    turned_away(&ci, "you are connected 3 times");
    let mut last = tentacle.connect(&cron).expect("trusted");
    last.yes("status", b"");
    turned_away(&cron, "too many pushers are connected");
    tentacle.says("turned away: too many pushers are connected");
    drop((served.pop(), last));
    wait_for("a place", || {
        let mut pusher = tentacle.connect(&ci).expect("trusted");
        pusher.ask("status", b"").is_ok_and(|reply| reply.word() == "ok")
    });
}

/// `ulimit -f` sends a signal that ends whoever writes more, and with it all that
/// others are doing there.
#[test]
fn a_file_size_limit_refuses_one_put_and_nothing_else() {
    let (here, ci) = sides();
    let mut command = Command::new("sh");
    let listen = here.command("octo-listen");
    command.args(["-c", "ulimit -f 200; exec \"$0\" -l 127.0.0.1:0"]).arg(listen.get_program());
    command.env_clear().envs(listen.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let tentacle = Tentacle::with(&here, &mut command, 1);
    let mut other = tentacle.connect(&ci).expect("trusted");
    let mut large = tentacle.connect(&ci).expect("trusted");
    let request = format!("put sha256={} size={} name=x", Digest::of(&[1; 1 << 20]), 1 << 20);
    let mut told = large.ask(&request, b"").expect("a reply");
    // Some file systems see it when they reserve the space.
    if told.word() == "ok" {
        let _ = large.send_part(1 << 20, &[1; 1 << 20]);
        told = large.reply().expect("a reply");
    }
    assert_eq!((told.word(), told.text("code")), ("no", Some("full")));
    other.yes("status", b"");
    // A log that may grow no more loses output; the job ends as it ended.
    let id = job_id();
    assert_eq!(other.run(&id, "head -c 300000 /dev/zero; exit 3").word(), "ok");
    let followed = other.follow(&id);
    assert_eq!((followed.kind.as_str(), followed.code), ("exit", 3));
    assert!(followed.out.len() < 300_000);
    // What jobs may do about it is theirs.
    let id = job_id();
    let text = "grep SigIgn /proc/self/status; trap - XFSZ; head -c 300000 /dev/zero > big";
    assert_eq!(other.run(&id, text).word(), "ok");
    let followed = other.follow(&id);
    assert_eq!(followed.kind, "exit");
    assert!(followed.code != 0, "{followed:?}");
    let ignored = String::from_utf8_lossy(&followed.out).into_owned();
    let ignored = ignored.split_whitespace().nth(1).expect("a mask").to_string();
    let ignored = u64::from_str_radix(&ignored, 16).expect("a mask");
    assert_eq!(ignored & (1 << 24), 0, "SIGXFSZ is ignored: {ignored:x}");
}
