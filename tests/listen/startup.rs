//! What octo-listen is given when it starts: a user to become, sockets and credentials
//! of systemd's.

use crate::listener::{Side, Tentacle, sides};
use crate::support::needs::SYSTEM_PATH;
use crate::support::{
    NOBODY, is_root, loopback_apart, needs, session_of, set_mode, stdout_of, wait_for,
};
use predicates::str::contains;
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NOT_ROOT: &str = "nobody";

/// octo-listen behind these lines of sh, which end before it begins.
pub(crate) fn behind(side: &Side, lines: &str, arguments: &[&str]) -> Command {
    let usual = side.command("octo-listen");
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{lines}; exec \"$@\"")).arg("sh");
    command.arg(usual.get_program()).args(arguments).env_clear();
    command.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(side.sandbox.path("")).stdin(Stdio::null());
    command
}

/// Starts it as systemd does: with standard input as number 3.
fn activated(side: &Side, given: impl Into<OwnedFd>, arguments: &[&str]) -> Command {
    let lines = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=octo";
    let mut command = behind(side, lines, arguments);
    command.stdin(Stdio::from(given.into()));
    command
}

fn bound() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port")
}

fn bound_apart() -> TcpListener {
    TcpListener::bind((loopback_apart(), 0)).expect("a port")
}

/// A line of a process' status for each of its threads.
fn of_all_threads(process: u32, line: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("threads");
    let statuses = threads
        .map(|thread| std::fs::read_to_string(thread.expect("thread").path().join("status")));
    let line = |status: String| {
        let found = status.lines().find_map(|of| of.strip_prefix(line)).expect("a line");
        found.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    };
    statuses.filter_map(|status| status.ok().map(line)).collect()
}

/// What octo-push prints on this side, asked for one tentacle.
fn push(ci: &Side, tentacle: &Tentacle, here: &Side, arguments: &[&str]) -> String {
    let line = format!("web1 {} {}\n", tentacle.address(), here.thumbprint);
    set_mode(&ci.sandbox.write("config/targets", line), 0o644);
    stdout_of(ci.sandbox.tool("octo-push").args(["-t", "web1"]).args(arguments))
}

/// The directories of the jobs here.
fn jobs(side: &Side) -> Vec<PathBuf> {
    let jobs = std::fs::read_dir(side.sandbox.state("jobs")).expect("jobs");
    jobs.map(|job| job.expect("a job").path()).collect()
}

fn owner_of(path: &Path) -> u32 {
    path.symlink_metadata().expect("stat").uid()
}

#[test]
fn a_user_to_become_is_named_by_root() {
    let (side, _) = sides();
    let mut listen = side.sandbox.tool("octo-listen");
    for other in ["--stdio", "--check-audit"] {
        let mut listen = side.sandbox.tool("octo-listen");
        listen.args([other, "-u", NOT_ROOT]).assert().code(64).stderr(contains("-u"));
    }
    listen.args(["-l", "127.0.0.1:0", "-u", NOT_ROOT]);
    if !is_root("a_user_to_become_is_named_by_root") {
        listen.assert().code(77).stderr(contains("-u nobody: only root can become another user"));
        return;
    }
    let mut listen = side.sandbox.tool_as(NOBODY, "octo-listen");
    listen.args(["-l", "127.0.0.1:0", "-u", NOT_ROOT]);
    listen.assert().code(77).stderr(contains("only root can become another user"));
    let unknown = "no such user here\nocto-listen: hint: useradd --system no-such-user\n";
    for (user, said) in [("no-such-user", unknown), ("root", "is root")] {
        let mut listen = side.sandbox.tool("octo-listen");
        let refused = listen.args(["-l", "127.0.0.1:0", "-u", user]).assert().code(78);
        refused.stderr(contains(format!("-u {user}: {said}")));
    }
    assert!(!side.sandbox.state("spool").exists(), "nothing was made for them");
}

/// What a process has open besides its lock, pipes and sockets.
fn foreign(process: u32, lock: &str) -> Vec<PathBuf> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).expect("descriptors");
    let links = open.filter_map(|open| open.expect("open").path().read_link().ok());
    let is_own = |link: &PathBuf| {
        let link = link.to_string_lossy();
        ["/dev/null", lock].contains(&&*link)
            || ["pipe:", "socket:", "anon_inode:"].iter().any(|kind| link.starts_with(kind))
    };
    links.filter(|link| !is_own(link)).collect()
}

/// Whoever takes the listener over has what this process has: nothing of root's.
#[test]
fn a_listener_that_root_started_has_nothing_of_roots() {
    if !is_root("a_listener_that_root_started_has_nothing_of_roots") {
        return;
    }
    let (side, ci) = sides();
    let secret = side.sandbox.write("secret", "root's");
    set_mode(&secret, 0o600);
    let lines = format!("exec 9<'{}' 7>'{}.out'", secret.display(), secret.display());
    let mut command =
        behind(&side, &lines, &["-v", "-l", "127.0.0.1:0", "-l", "127.0.0.2:0", "-u", NOT_ROOT]);
    let home = side.sandbox.path("");
    command.env("SECRET", "root's").env("LD_LIBRARY_PATH", &home);
    let mut tentacle = Tentacle::with(&side, &mut command, 2);
    // The process that was started is the one that listens.
    let process = tentacle.child.id();
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).expect("a name");
    assert_eq!(name, "octo-listen\n");
    let threads = of_all_threads(process, "Uid:");
    assert!(threads.len() > 1, "{threads:?}");
    let four = [NOBODY.to_string().as_str(); 4].join(" ");
    for (line, expected) in [
        ("Uid:", four.as_str()),
        ("Gid:", &four),
        ("CapPrm:", "0000000000000000"),
        ("NoNewPrivs:", "1"),
    ] {
        assert!(of_all_threads(process, line).iter().all(|of| of == expected), "{line}");
    }
    for groups in of_all_threads(process, "Groups:") {
        assert!(!groups.split(' ').any(|group| group == "0"), "{groups}");
    }
    // It looks into its own directories when it begins.
    let lock = side.sandbox.state("listen/lock").display().to_string();
    wait_for("nothing of root's to be open", || foreign(process, &lock).is_empty());
    assert_eq!(std::fs::read_link(format!("/proc/{process}/cwd")).expect("a link"), Path::new("/"));
    let environment = std::fs::read(format!("/proc/{process}/environ")).expect("environ");
    for variable in String::from_utf8_lossy(&environment).split_terminator('\0') {
        let name = variable.split('=').next().unwrap_or_default();
        assert!(["PATH", "TZ", "LANG", "OCTO_LISTEN_HANDED"].contains(&name), "{variable}");
    }
    let identity = side.sandbox.config("identity.pem").metadata().expect("stat");
    assert_eq!((identity.uid(), identity.mode() & 0o777), (0, 0o600));
    for (name, owner) in [("spool", NOBODY), ("listen", NOBODY), ("jobs", 0), ("packages", 0)] {
        assert_eq!(owner_of(&side.sandbox.state(name)), owner, "{name}");
    }
    tentacle.connect(&ci).expect("trusted").yes("status", b"");
    let other = tentacle.addresses[1].clone();
    tentacle.connect_at(&other, &ci).expect("trusted").yes("status", b"");

    tentacle.signal(Signal::HUP);
    tentacle
        .says("the identity was handed over by root and can't be read again: restart octo-listen");
    tentacle.says("the identity stays as it was");
    tentacle.connect(&ci).expect("as before").yes("status", b"");
}

#[test]
fn what_one_user_did_alone_is_given_to_two() {
    if !is_root("what_one_user_did_alone_is_given_to_two") {
        return;
    }
    let (side, ci) = sides();
    let mut alone = Tentacle::start(&side);
    assert_eq!(push(&ci, &alone, &side, &["run", "-c", "echo kept"]), "kept\n");
    // As long as one listens there, nothing is given away.
    let mut second = side.sandbox.tool("octo-listen");
    let refused = second.args(["-l", "127.0.0.1:0", "-u", NOT_ROOT]).assert().code(75);
    refused.stderr(contains("an octo-listen runs that could not go on"));
    assert_eq!(owner_of(&side.sandbox.state("spool")), 0);
    alone.kill();
    let mut command = side.command("octo-listen");
    let tentacle = Tentacle::with(&side, command.args(["-l", "127.0.0.1:0", "-u", NOT_ROOT]), 1);
    let id = jobs(&side)[0].file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(tentacle.connect(&ci).expect("trusted").follow(&id).out, b"kept\n");
    assert_eq!(owner_of(&side.sandbox.state("listen/audit.log")), NOBODY);
    // Who is root and doesn't become that user would have it all again.
    let mut root = side.sandbox.tool("octo-listen");
    let refused = root.args(["-l", "127.0.0.1:0"]).assert().code(78);
    refused.stderr(contains("hint: octo-listen -u nobody"));
}

/// Its jobs are started by the listener then, as that user.
#[test]
fn a_user_that_owns_state_does_all_but_keep_the_key() {
    if !is_root("a_user_that_owns_state_does_all_but_keep_the_key") {
        return;
    }
    let (side, ci) = sides();
    side.trust(&[(&ci, "ci")]);
    std::fs::create_dir(side.sandbox.path("state")).expect("mkdir");
    chown(side.sandbox.path("state"), Some(NOBODY), Some(NOBODY)).expect("chown");
    let mut command = side.command("octo-listen");
    let tentacle = Tentacle::with(&side, command.args(["-l", "127.0.0.1:0", "-u", NOT_ROOT]), 1);
    assert_eq!(push(&ci, &tentacle, &side, &["run", "-c", "id -u"]), "65534\n");
    assert_eq!(owner_of(&side.sandbox.state("jobs")), NOBODY);
}

#[test]
fn what_its_user_cant_read_is_said_before_it_listens() {
    if !is_root("what_its_user_cant_read_is_said_before_it_listens") {
        return;
    }
    let (side, _) = sides();
    for name in ["trusted", "tentacle"] {
        set_mode(&side.sandbox.config(name), 0o600);
        let mut listen = side.sandbox.tool("octo-listen");
        let refused = listen.args(["-l", "127.0.0.1:0", "-u", NOT_ROOT]).assert().failure();
        refused.stderr(contains(format!("config/{name}: permission denied")));
        set_mode(&side.sandbox.config(name), 0o644);
    }
    // Nothing is believed to be handed over because a variable says so.
    let mut listen = side.sandbox.tool("octo-listen");
    let refused = listen.env("OCTO_LISTEN_HANDED", "1").assert().code(78);
    refused.stderr(contains("standard input: "));
}

#[test]
fn sockets_of_systemd_are_listened_on() {
    let (side, ci) = sides();
    let socket = bound_apart();
    let address = socket.local_addr().expect("an address").to_string();
    let mut tentacle = Tentacle::with(&side, &mut activated(&side, socket, &["-v"]), 1);
    assert_eq!(tentacle.addresses, [address.as_str()]);
    push(&ci, &tentacle, &side, &["run", "--detach", "-c", "exec sleep 60"]);
    let started = || jobs(&side).into_iter().find(|job| session_of(job).is_some());
    wait_for("its start", || started().is_some());
    let job = started().expect("a job");
    let session = session_of(&job).expect("a session");
    let environment =
        std::fs::read(format!("/proc/{}/environ", session.as_raw_pid())).expect("environ");
    assert!(!String::from_utf8_lossy(&environment).contains("LISTEN_"));
    // What outlives the listener holds no port of its.
    tentacle.kill();
    TcpStream::connect(&address).expect_err("nobody listens");
    crate::support::kill_session_of(&job);
}

/// What has root's terminal can have commands read there as if root had typed them.
#[test]
fn a_listener_of_another_user_has_nobodys_terminal() {
    let test = "a_listener_of_another_user_has_nobodys_terminal";
    if !is_root(test) || !needs(test, "script") || !needs(test, "setsid") {
        return;
    }
    let (side, _) = sides();
    let listen = side.command("octo-listen");
    let program = listen.get_program().to_str().expect("UTF-8");
    // script(1) leads a session of its own, and what it starts is the leader of a group.
    let in_a_terminal = |before: &str, after: &str| {
        let line = format!("{before} {program} -l 127.0.0.1:0 -u {NOT_ROOT} {after}");
        let mut command = Command::new("script");
        command.args(["-qefc", &line, "/dev/null"]).env_clear().stdin(Stdio::null());
        command.envs(listen.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("SHELL", "/bin/sh").current_dir(side.sandbox.path(""));
        command
    };
    let output = in_a_terminal("exec", "").output().expect("output");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("is started in a terminal, and nobody could type there"), "{said}");
    assert!(said.contains("hint: start it by setsid(1)"), "{said}");
    // Of a session without it, it speaks there and can't hear.
    let mut setsid = in_a_terminal("setsid -w", "");
    let mut started = setsid.stdout(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(started.stdout.take().expect("standard output")).lines();
    let is_listening = |line: std::io::Result<String>| line.is_ok_and(|l| l.contains("listening"));
    assert!(lines.into_iter().any(is_listening));
    let listener = std::fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let words = std::fs::read(entry.path().join("cmdline")).ok()?;
        let state = side.sandbox.state("").display().to_string();
        let is_ours = String::from_utf8_lossy(&words).contains(state.trim_end_matches('/'));
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        (is_ours && name == "octo-listen\n").then(|| entry.path())
    });
    let listener = listener.expect("it listens");
    let stat = std::fs::read_to_string(listener.join("stat")).expect("stat");
    let terminal = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(4));
    assert_eq!(terminal, Some("0"), "{stat}");
    for descriptor in ["1", "2"] {
        let info = std::fs::read_to_string(listener.join("fdinfo").join(descriptor));
        let info = info.expect("it is open");
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags");
        let flags = u32::from_str_radix(flags.trim(), 8).expect("octal");
        assert_eq!(flags & 3, 1, "{descriptor}: {info}");
    }
    let process = listener.file_name().and_then(|name| name.to_str()?.parse().ok());
    let process = process.and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(process, Signal::KILL).expect("it is there");
    started.wait().expect("it ends");
}

#[test]
fn sockets_of_systemd_are_handed_on_to_a_user() {
    if !is_root("sockets_of_systemd_are_handed_on_to_a_user") {
        return;
    }
    let (side, ci) = sides();
    let tentacle = Tentacle::with(&side, &mut activated(&side, bound(), &["-u", NOT_ROOT]), 1);
    assert_eq!(
        of_all_threads(tentacle.child.id(), "Uid:")[0],
        [NOBODY.to_string().as_str(); 4].join(" ")
    );
    tentacle.connect(&ci).expect("trusted").yes("status", b"");
}

#[test]
fn a_descriptor_that_is_no_listening_socket_is_named() {
    let (side, _) = sides();
    let silent = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    );
    let file = std::fs::File::open("/dev/null").expect("/dev/null");
    let unix = std::os::unix::net::UnixListener::bind(side.sandbox.path("socket")).expect("bind");
    for (given, said) in [
        (silent.expect("a socket"), "LISTEN_FDS: descriptor 3: doesn't listen"),
        (file.into(), "LISTEN_FDS: descriptor 3: is no TCP socket"),
        (unix.into(), "LISTEN_FDS: descriptor 3: is no TCP socket"),
    ] {
        let output = activated(&side, given, &[]).output().expect("output");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{errors}");
        assert!(errors.contains(said), "{errors}");
    }
    let output = activated(&side, bound(), &["-l", "127.0.0.1:0"]).output().expect("output");
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let many = behind(&side, "export LISTEN_PID=$$ LISTEN_FDS=many", &[]).output().expect("output");
    assert_eq!(many.status.code(), Some(78), "{many:?}");
    // What was meant for another process is not for this one.
    let lines = "export LISTEN_PID=1 LISTEN_FDS=1";
    Tentacle::with(&side, &mut behind(&side, lines, &["-l", "127.0.0.1:0"]), 1);
}

#[test]
fn systemd_itself_starts_it_at_the_first_connection() {
    let test = "systemd_itself_starts_it_at_the_first_connection";
    if !needs(test, "systemd-socket-activate") {
        return;
    }
    let (side, ci) = sides();
    let at = bound_apart().local_addr().expect("an address").to_string();
    let mut command = Command::new("systemd-socket-activate");
    command.arg("-l").arg(&at).arg(side.sandbox.program("octo-listen")).env_clear();
    command.arg("--config").arg(side.sandbox.path("config"));
    command.arg("--state").arg(side.sandbox.path("state")).env("PATH", SYSTEM_PATH);
    let waker = std::thread::spawn({
        let at = at.clone();
        move || wait_for("a connection", || TcpStream::connect(&at).is_ok())
    });
    let tentacle = Tentacle::with(&side, &mut command, 1);
    waker.join().expect("it was woken");
    assert_eq!(tentacle.addresses, [at]);
    tentacle.connect(&ci).expect("trusted").yes("status", b"");
}

#[test]
fn the_identity_is_a_credential_where_systemd_has_one() {
    let (side, ci) = sides();
    let identity = side.sandbox.config("identity.pem");
    let credential = side.sandbox.write("credentials/identity.pem", "");
    std::fs::rename(&identity, &credential).expect("rename");
    let directory = side.sandbox.path("credentials");
    let start = || {
        let mut command = side.command("octo-listen");
        command.args(["-l", "127.0.0.1:0"]).env("CREDENTIALS_DIRECTORY", &directory);
        command
    };
    // As systemd makes it for a service's user by an access control list.
    set_mode(&credential, 0o440);
    let mut tentacle = Tentacle::with(&side, &mut start(), 1);
    tentacle.connect(&ci).expect("trusted").yes("status", b"");
    tentacle.signal(Signal::HUP);
    tentacle.says("identity read again");
    tentacle.kill();
    set_mode(&credential, 0o444);
    let output = start().output().expect("output");
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("credentials/identity.pem: "));
    // Without one there, CONFIG has it; there the group is somebody.
    std::fs::rename(&credential, &identity).expect("rename");
    set_mode(&identity, 0o440);
    assert_eq!(start().output().expect("output").status.code(), Some(78));
    set_mode(&identity, 0o400);
    Tentacle::with(&side, &mut start(), 1);
}
