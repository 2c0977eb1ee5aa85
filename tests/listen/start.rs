//! octo-listen from its command line to a socket: what keeps it from listening
//! is said with the object, the reason, what to do, and the right exit status.

use crate::listener::{Side, Tentacle, job_id, own_user};
use crate::support::{NOBODY, Sandbox, copy_program, is_root, set_mode, wait_for};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

fn side() -> Side {
    Side::new(cargo_bin!("octo-listen"))
}

#[test]
fn help_and_misuse() {
    let sandbox = Sandbox::new(cargo_bin!("octo-listen"));
    let listen = || sandbox.tool("octo-listen");
    listen().arg("--help").assert().code(0).stdout(contains("usage: octo-listen"));
    listen().arg("--version").assert().code(0).stdout(contains("octo-listen 0."));
    for (arguments, said) in [
        (&["--nonsense"][..], "nonsense"),
        (&["-l", "127.0.0.1:99999"], "-l 127.0.0.1:99999: not ADDRESS or ADDRESS:PORT"),
        (&["--stdio", "-l", "127.0.0.1"], "--stdio listens nowhere"),
        (&["here"], "here: one argument too many"),
        (&["--check-audit", "-l", "127.0.0.1"], "--check-audit serves nobody"),
        (&["--check-audit", "--stdio"], "--check-audit serves nobody"),
        (&["--head", "1:00"], "--head goes with --check-audit"),
    ] {
        let mut command = listen();
        // What is wrong with the command line is said before any file is touched.
        let assert = command.args(arguments).assert().code(64);
        assert.stderr(contains(said).and(contains("octo-listen --help").or(contains("-l"))));
    }
}

/// Relative paths begin where the listener was started; a job's are elsewhere.
#[test]
fn octo_exec_is_found_beside_it_or_where_it_is_said_to_be() {
    let (side, ci) = (side(), side());
    side.trust(&[(&ci, &format!("ci {}", own_user()))]);
    std::fs::create_dir(side.sandbox.path("bin")).expect("mkdir");
    let beside = side.sandbox.program("octo-exec").canonicalize().expect("a program");
    std::os::unix::fs::symlink(&beside, side.sandbox.path("bin/octo-exec")).expect("symlink");
    let linked = side.sandbox.path("bin").canonicalize().expect("a directory").join("octo-exec");
    // One that has none beside it.
    let alone = side.sandbox.path("octo-listen");
    copy_program(&side.sandbox.program("octo-listen"), &alone);
    let usual = "/usr/local/bin:/usr/bin:/bin";
    for (program, path, arguments, expected) in [
        (side.sandbox.program("octo-listen"), format!("bin:{usual}"), &[][..], &beside),
        (side.sandbox.program("octo-listen"), usual.into(), &["--exec", "bin/octo-exec"], &linked),
        (alone, format!("bin:{usual}"), &[], &linked),
    ] {
        let mut command = Command::new(program);
        let usual = side.command("octo-listen");
        command.env_clear().envs(usual.get_envs().filter_map(|(n, v)| Some((n, v?))));
        command.current_dir(side.sandbox.path("")).stdin(Stdio::null()).env("PATH", path);
        command.args(["-l", "127.0.0.1:0"]).args(arguments);
        let tentacle = Tentacle::with(&side, &mut command, 1);
        let mut pusher = tentacle.connect(&ci).expect("trusted");
        let id = job_id();
        let text = "tr '\\0' '\\n' </proc/$PPID/cmdline | head -n 1";
        assert_eq!(pusher.run(&id, text).word(), "ok");
        wait_for("its end", || side.sandbox.state("jobs").join(&id).join("end").exists());
        let out = String::from_utf8(pusher.follow(&id).out).expect("UTF-8");
        assert_eq!(out, format!("{}\n", expected.display()), "{arguments:?}");
    }
}

#[test]
fn an_identity_is_needed() {
    let sandbox = Sandbox::new(cargo_bin!("octo-listen"));
    let missing = sandbox.tool("octo-listen").args(["-l", "127.0.0.1:0"]).assert().code(78);
    missing.stderr(contains("identity.pem: ").and(contains("hint: octo-keys new")));
    let side = side();
    set_mode(&side.sandbox.config("identity.pem"), 0o644);
    let loose = side.sandbox.tool("octo-listen").args(["-l", "127.0.0.1:0"]).assert().code(78);
    loose.stderr(contains("identity.pem: "));
}

#[test]
fn an_unsound_trust_file_is_named_by_line() {
    let side = side();
    let listen = || {
        let mut command = side.sandbox.tool("octo-listen");
        command.args(["-l", "127.0.0.1:0"]);
        command
    };
    side.sandbox.write("config/trusted", format!("# x\n{} ci nonsense\n", side.thumbprint));
    set_mode(&side.sandbox.config("trusted"), 0o644);
    listen().assert().code(78).stderr(contains("trusted:2: ").and(contains("nonsense")));
    side.sandbox.write("config/trusted", "");
    set_mode(&side.sandbox.config("trusted"), 0o666);
    listen().assert().code(78).stderr(contains("writable by").and(contains("chmod go-w")));
}

#[test]
fn without_a_trust_file_it_listens_and_says_so() {
    let side = side();
    let mut tentacle = Tentacle::start(&side);
    tentacle.says("nobody is let in");
}

#[test]
fn sockets_are_printed_once_they_listen() {
    let side = side();
    side.trust(&[]);
    let mut command = side.command("octo-listen");
    command.args(["-l", "127.0.0.1:0", "-l", "127.0.0.2:0", "-l", "[::1]:0"]);
    let tentacle = Tentacle::with(&side, &mut command, 3);
    for (address, host) in tentacle.addresses.iter().zip(["127.0.0.1:", "127.0.0.2:", "[::1]:"]) {
        assert!(address.starts_with(host) && !address.ends_with(":0"), "{address}");
        std::net::TcpStream::connect(address).expect("it listens");
    }
}

#[test]
fn a_port_in_use_is_unavailable() {
    let (one, other) = (side(), side());
    let tentacle = Tentacle::start(&one);
    let mut second = other.sandbox.tool("octo-listen");
    let refused = second.args(["-l", tentacle.address()]).assert().code(69);
    refused.stderr(
        contains(format!("{}: address already in use", tentacle.address())).and(contains("ss -l")),
    );
}

#[test]
fn one_listener_a_state_directory() {
    let side = side();
    let mut tentacle = Tentacle::start(&side);
    let mut second = side.sandbox.tool("octo-listen");
    let refused = second.args(["-l", "127.0.0.1:0"]).assert().code(75);
    refused.stderr(contains("another octo-listen uses this state directory"));
    // The lock is the kernel's: it goes with its holder.
    tentacle.kill();
    Tentacle::start(&side);
}

#[test]
fn a_state_directory_that_cannot_be_written() {
    let side = side();
    side.sandbox.write("state", "a file");
    let mut listen = side.sandbox.tool("octo-listen");
    let refused = listen.args(["-l", "127.0.0.1:0"]).assert().code(73);
    refused.stderr(contains("/state").and(contains("can't create")));

    if !is_root("a_state_directory_that_cannot_be_written") {
        return;
    }
    let side = self::side();
    std::fs::create_dir(side.sandbox.path("state")).expect("mkdir");
    let nobody = Some(NOBODY);
    std::os::unix::fs::chown(side.sandbox.config("identity.pem"), nobody, nobody).expect("chown");
    let mut listen = side.sandbox.tool_as(NOBODY, "octo-listen");
    let refused = listen.args(["-l", "127.0.0.1:0"]).assert().code(78);
    refused.stderr(
        contains("/state: belongs to uid 0").and(contains("hint: as root: octo-listen -u")),
    );
}

/// Others would forge the requests of pushers there, and swap their packages.
#[test]
fn a_state_directory_that_others_can_write() {
    let side = side();
    for name in ["state", "state/packages", "state/jobs"] {
        std::fs::create_dir_all(side.sandbox.path(name)).expect("mkdir");
        set_mode(&side.sandbox.path(name), 0o777);
        let mut listen = side.sandbox.tool("octo-listen");
        let refused = listen.args(["-l", "127.0.0.1:0"]).assert().code(78);
        refused.stderr(contains(format!("{name}: is writable by others")).and(contains("-w /")));
        set_mode(&side.sandbox.path(name), 0o755);
    }
    if !is_root("a_state_directory_that_others_can_write") {
        return;
    }
    std::os::unix::fs::chown(side.sandbox.path("state/jobs"), Some(NOBODY), None).expect("chown");
    let mut listen = side.sandbox.tool("octo-listen");
    let refused = listen.args(["-l", "127.0.0.1:0"]).assert().code(78);
    refused.stderr(contains("state/jobs: is owned by uid 65534"));
}

#[test]
fn hangup_reads_the_identity_again_and_keeps_it_where_it_is_broken() {
    let (side, pusher) = (side(), side());
    side.trust(&[(&pusher, "ci")]);
    let mut tentacle = Tentacle::start(&side);
    let identity = side.sandbox.config("identity.pem");
    let good = std::fs::read(&identity).expect("read");
    std::fs::write(&identity, "not a key").expect("write");
    tentacle.signal(Signal::HUP);
    tentacle.says("the identity stays as it was");
    tentacle.connect(&pusher).expect("as before").yes("status", b"");
    std::fs::write(&identity, &good).expect("write");
    tentacle.signal(Signal::HUP);
    tentacle.says("identity read again");
    // Another one, of which octo-exec knows nothing: it would take nothing for it.
    let other = self::side();
    std::fs::copy(other.sandbox.config("identity.pem"), &identity).expect("copy");
    tentacle.signal(Signal::HUP);
    tentacle.says("has another thumbprint than our identity");
    tentacle.says("the identity stays as it was");
    tentacle.connect(&pusher).expect("as before").yes("status", b"");
    std::fs::remove_file(&identity).expect("remove");
    let new = side.sandbox.tool("octo-keys").arg("new").assert().success();
    let new = String::from_utf8_lossy(&new.get_output().stdout).trim().to_string();
    side.sandbox.tool("octo-keys").arg("tentacle").assert().success();
    tentacle.signal(Signal::HUP);
    tentacle.says(&format!("identity read again: {new}"));
    match tentacle.connect(&pusher).map(drop) {
        Err(octo_wire::Failure::Unexpected { seen, .. }) => assert_eq!(seen.to_string(), new),
        other => panic!("{other:?}"),
    }
}

#[test]
fn term_ends_it_at_once() {
    let side = side();
    let mut tentacle = Tentacle::start(&side);
    tentacle.signal(Signal::TERM);
    let status = tentacle.child.wait().expect("wait");
    assert_eq!(status.signal(), Some(15), "{status}");
}

/// A listener whose log is a pipe that nobody reads.
pub(crate) fn start_unread(side: &Side) -> Tentacle {
    let log = side.sandbox.path("log");
    rustix::fs::mkfifoat(rustix::fs::CWD, &log, 0o600.into()).expect("a pipe");
    let listen = side.command("octo-listen");
    let mut command = Command::new("sh");
    command.args(["-c", "exec 2<>\"$0\"; exec \"$@\""]).arg(&log);
    command.arg(listen.get_program()).args(["-l", "127.0.0.1:0"]).env_clear();
    command.envs(listen.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Tentacle::with(side, &mut command, 1)
}

/// From now on not a byte more fits into that log.
pub(crate) fn fill_log(side: &Side) {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let full = rustix::fs::open(side.sandbox.path("log"), flags, Mode::empty()).expect("its log");
    while rustix::io::write(&full, b"x").is_ok() {}
}

/// Reading the identity again hangs where the log does: the end doesn't wait for that.
#[test]
fn term_and_int_end_it_while_a_hangup_hangs() {
    for signal in [Signal::TERM, Signal::INT] {
        let (side, pusher) = (side(), side());
        side.trust(&[(&pusher, "ci")]);
        let mut tentacle = start_unread(&side);
        fill_log(&side);
        std::fs::remove_file(side.sandbox.config("identity.pem")).expect("remove");
        side.sandbox.tool("octo-keys").arg("new").assert().success();
        side.sandbox.tool("octo-keys").arg("tentacle").assert().success();
        tentacle.signal(Signal::HUP);
        // That is said next: the line that hangs.
        wait_for("the new identity", || {
            matches!(tentacle.connect(&pusher), Err(octo_wire::Failure::Unexpected { .. }))
        });
        tentacle.signal(signal);
        wait_for("its end", || tentacle.child.try_wait().expect("wait").is_some());
    }
}

#[test]
fn standard_output_that_is_full_or_closed_is_no_panic() {
    let side = side();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut command = side.command("octo-listen");
    let output = command.args(["-l", "127.0.0.1:0"]).stdout(full).output().expect("output");
    assert_eq!(output.status.code(), Some(74), "{output:?}");
}
