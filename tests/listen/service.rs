//! What systemd is told: how the listener is, and how much a line of its log matters.

use crate::listener::{Side, Tentacle, sides};
use crate::startup::behind;
use crate::support::{PATIENCE, set_mode};
use rustix::process::Signal;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

/// Standard error as systemd's stream to the journal is named.
const JOURNAL: &str = "export JOURNAL_STREAM=$(stat -Lc %d:%i /dev/stderr)";

/// What would be systemd's socket, and the listener that knows of it.
fn notified(side: &Side) -> (UnixDatagram, Command) {
    let path = side.sandbox.path("notify");
    let socket = UnixDatagram::bind(&path).expect("bind");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut command = side.command("octo-listen");
    command.args(["-l", "127.0.0.1:0"]).env("NOTIFY_SOCKET", &path);
    (socket, command)
}

fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 1024];
    let count = socket.recv(&mut buffer).expect("a message");
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

#[test]
fn it_is_ready_when_it_listens_and_reloads_and_stops() {
    let (here, ci) = sides();
    let (socket, mut command) = notified(&here);
    let tentacle = Tentacle::with(&here, &mut command, 1);
    // It had been told before anybody could read where it listens.
    socket.set_nonblocking(true).expect("no waiting");
    assert_eq!(told(&socket), format!("READY=1\nSTATUS=listening {}", tentacle.address()));
    socket.set_nonblocking(false).expect("waiting");
    assert!(tentacle.connect(&ci).is_ok());

    tentacle.signal(Signal::HUP);
    let reloading = told(&socket);
    let now = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    assert!(now.parse::<u64>().is_ok_and(|now| now > 0), "{reloading}");
    let again = format!("READY=1\nSTATUS=identity read again: {}", here.thumbprint);
    assert_eq!(told(&socket), again);

    // One that is broken changes nothing, and it goes on.
    let identity = here.sandbox.config("identity.pem");
    set_mode(&identity, 0o644);
    tentacle.signal(Signal::HUP);
    assert!(told(&socket).starts_with("RELOADING=1\n"));
    assert_eq!(told(&socket), "READY=1\nSTATUS=the identity stays as it was");
    assert!(tentacle.connect(&ci).is_ok());

    tentacle.signal(Signal::TERM);
    assert_eq!(told(&socket), "STOPPING=1");
}

#[test]
fn one_that_can_not_listen_is_never_ready() {
    let (here, _) = sides();
    let (socket, mut command) = notified(&here);
    set_mode(&here.sandbox.config("identity.pem"), 0o644);
    let status = command.status().expect("it runs");
    assert_eq!(status.code(), Some(78));
    socket.set_nonblocking(true).expect("no waiting");
    assert!(socket.recv(&mut [0; 64]).is_err());
}

#[test]
fn systemd_that_is_gone_is_said_and_changes_nothing() {
    let (here, ci) = sides();
    let (socket, mut command) = notified(&here);
    drop(socket);
    let mut tentacle = Tentacle::with(&here, &mut command, 1);
    tentacle.says("NOTIFY_SOCKET: connection refused");
    assert!(tentacle.connect(&ci).is_ok());
}

#[test]
fn refusals_are_warnings_in_the_journal_and_errors_are_errors() {
    let (here, ci) = sides();
    let stranger = Side::new(here.sandbox.program("octo-listen").as_path());
    let start =
        |lines| Tentacle::with(&here, &mut behind(&here, lines, &["-v", "-l", "127.0.0.1:0"]), 1);
    let mut tentacle = start(JOURNAL);
    drop(tentacle.connect(&stranger));
    let refused = tentacle.says("is not trusted");
    assert!(refused.starts_with("<4>octo-listen: 127.0.0.1: refused: "), "{refused}");
    let hint = tentacle.says("hint: to trust it");
    assert!(hint.starts_with("<4>octo-listen: hint: "), "{hint}");
    assert!(tentacle.connect(&ci).is_ok());
    let connected = tentacle.says("connected");
    assert!(connected.starts_with("octo-listen: "), "{connected}");
    set_mode(&here.sandbox.config("identity.pem"), 0o644);
    tentacle.signal(Signal::HUP);
    let failed = tentacle.says("identity.pem");
    assert!(failed.starts_with("<3>octo-listen: "), "{failed}");
    drop(tentacle);

    // What keeps it from listening, too; and where a file of somebody's has it, it is bare.
    for (lines, prefix) in [(JOURNAL, "<3>"), ("export JOURNAL_STREAM=1:1", "")] {
        let failing = behind(&here, lines, &["-l", "127.0.0.1:0"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&failing.stderr).into_owned();
        assert_eq!(failing.status.code(), Some(78), "{said}");
        let prefix = format!("{prefix}octo-listen: ");
        assert!(said.lines().count() > 1 && said.lines().all(|l| l.starts_with(&prefix)), "{said}");
    }
}
