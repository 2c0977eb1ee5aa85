//! Whoever has not shown that he is trusted can't keep others out, can't make
//! the listener busy, and is told nothing.

use crate::listener::{Side, Tentacle, sides};
use crate::support::{PATIENCE, needs, wait_for};
use assert_cmd::cargo::cargo_bin;
use octo_wire::Failure;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn side() -> Side {
    Side::new(cargo_bin!("octo-listen"))
}

/// A tentacle that trusts `ci`.
fn trusting() -> (Tentacle, Side, Side) {
    let (here, ci) = sides();
    (Tentacle::start(&here), here, ci)
}

/// Connections that say nothing, until it is dropped. They are another process's: this
/// one may open few files, and its limit is that of every test in it.
struct Silent(Child);

impl Silent {
    fn connect(tentacle: &Tentacle, count: usize) -> Silent {
        let (host, port) = tentacle.address().rsplit_once(':').expect("a port");
        let script = "for ((n = 0; n < $3; n++)); do exec {fd}<>\"/dev/tcp/$1/$2\" || exit; done
            echo connected; read -r";
        let mut child = Command::new("bash")
            .args(["-c", script, "bash", host, port, &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let mut said = String::new();
        let output = child.stdout.take().expect("standard output");
        BufReader::new(output).read_line(&mut said).expect("a line");
        assert_eq!(said, "connected\n");
        Silent(child)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long until the peer hangs up, however.
fn until_hung_up(mut stream: TcpStream, since: Instant) -> Duration {
    stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return since.elapsed(),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return since.elapsed(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_silent_peer_and_a_dripping_one_last_ten_seconds() {
    let (mut tentacle, _here, ci) = trusting();
    let began = Instant::now();
    let silent = TcpStream::connect(tentacle.address()).expect("connect");
    let dripping = TcpStream::connect(tentacle.address()).expect("connect");
    let mut drip = dripping.try_clone().expect("clone");
    std::thread::spawn(move || {
        // The beginning of a ClientHello, a byte at a time.
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        for byte in hello.iter().chain(std::iter::repeat(&0)) {
            if drip.write_all(&[*byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    tentacle.connect(&ci).expect("served meanwhile").yes("status", b"");
    for stream in [silent, dripping] {
        let lasted = until_hung_up(stream, began);
        assert!((Duration::from_secs(9)..PATIENCE).contains(&lasted), "{lasted:?}");
    }
    tentacle.says("127.0.0.1: refused: no handshake within 10 s");
}

#[test]
fn a_thousand_silent_connections_leave_a_pusher_served() {
    let (tentacle, _here, ci) = trusting();
    let mut crowd = Vec::new();
    for _ in 0..10 {
        crowd.push(Silent::connect(&tentacle, 100));
        // From the same address, in the midst of them.
        tentacle.connect(&ci).expect("served").yes("status", b"");
    }
    let tasks = format!("/proc/{}/task", tentacle.child.id());
    wait_for("few threads", || std::fs::read_dir(&tasks).expect("tasks").count() < 12);
    let descriptors = format!("/proc/{}/fd", tentacle.child.id());
    assert!(std::fs::read_dir(&descriptors).expect("fd").count() < 600);
    // Whoever is served keeps his place, however many come.
    let mut pusher = tentacle.connect(&ci).expect("served");
    // Served he is only once he was answered: a client may be done before.
    pusher.yes("status", b"");
    crowd.push(Silent::connect(&tentacle, 50));
    pusher.yes("status", b"");
}

#[test]
fn a_flood_of_strangers_writes_few_lines() {
    let (mut tentacle, here, _ci) = trusting();
    let strangers = [side(), side()];
    let began = Instant::now();
    // More, and the address would have to wait.
    for n in 0..20 {
        match tentacle.connect(&strangers[n % 2]) {
            Err(Failure::Refused | Failure::Truncated) => {}
            // A client may be done before the tentacle has said no.
            Ok(mut pusher) => assert!(pusher.ask("status", b"").is_err()),
            Err(other) => panic!("{other:?}"),
        }
    }
    // A stranger has heard before it is written down.
    for stranger in &strangers {
        tentacle.says(&format!(" {} NAME", stranger.thumbprint));
    }
    let log = tentacle.log();
    assert!(log.lines().count() < 20, "{log}");
    let audit = std::fs::read_to_string(here.sandbox.state("listen/audit.log")).expect("read");
    // A line an address and minute; the log names both for whoever waits for one.
    let refused = audit.lines().filter(|line| line.contains(" refused ")).count();
    let minutes = began.elapsed().as_secs() / 60;
    assert!((1..=1 + minutes).contains(&(refused as u64)), "{minutes} minutes: {audit}");
    assert!(!audit.contains(" status "), "{audit}");
}

#[test]
fn first_contact_is_one_command_away() {
    let (mut tentacle, here, _ci) = trusting();
    let stranger = side();
    let refused = match tentacle.connect(&stranger) {
        Ok(mut pusher) => pusher.ask("status", b"").map(drop),
        Err(failure) => Err(failure),
    };
    assert!(matches!(refused, Err(Failure::Refused)), "{refused:?}");
    let line = tentacle.says("hint: to trust it: octo-keys");
    let (_, command) = line.split_once("to trust it: ").expect("a command");
    // Root's octo-exec asks as whom jobs run.
    let is_roots = here.sandbox.path("").metadata().expect("stat").uid() == 0;
    let user = if is_roots { "-o user=USER " } else { "" };
    let trust = format!("trust {user}{} NAME", stranger.thumbprint);
    assert!(command.ends_with(&trust), "{command}");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let name = words.iter().map(|word| if *word == "NAME" { "newcomer" } else { word });
    here.sandbox.tool("octo-keys").args(name).assert().success();
    tentacle.connect(&stranger).expect("trusted now").yes("status", b"");
}

#[test]
fn conditions_that_do_not_hold_are_logged_and_not_told() {
    let (here, ci) = (side(), side());
    here.trust(&[(&ci, "ci from=10.0.0.0/8")]);
    let mut tentacle = Tentacle::start(&here);
    let refused = |tentacle: &Tentacle| match tentacle.connect(&ci) {
        Ok(mut pusher) => pusher.ask("status", b"").map(drop),
        Err(failure) => Err(failure),
    };
    assert!(matches!(refused(&tentacle), Err(Failure::Refused)));
    let line = tentacle.says("line 1: ");
    assert!(line.contains(&ci.thumbprint) && line.contains("127.0.0.1"), "{line}");
    here.trust(&[(&ci, "ci expires=2020-01-01"), (&ci, "ci")]);
    tentacle.connect(&ci).expect("the second line holds").yes("status", b"");
}

/// What openssl's client says to it, and its exit.
fn s_client(tentacle: &Tentacle, options: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", tentacle.address(), "-alpn", "octo/1"])
        .args(options)
        .stdin(Stdio::null())
        .output()
        .expect("openssl");
    [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat()
}

#[test]
fn only_tls_1_3_with_a_certificate_and_octo_1() {
    if !needs("only_tls_1_3_with_a_certificate_and_octo_1", "openssl") {
        return;
    }
    let (mut tentacle, _here, ci) = trusting();
    let said = s_client(&tentacle, &["-tls1_2"]);
    assert!(said.contains("alert protocol version"), "{said}");
    // Its handshake is over before it is refused: it has to wait for that.
    let said = s_client(&tentacle, &["-tls1_3", "-ign_eof"]);
    assert!(said.contains("alert certificate required"), "{said}");
    tentacle.says("it presented none");
    let identity = ci.sandbox.config("identity.pem");
    let identity = identity.to_str().expect("UTF-8");
    let said = s_client(&tentacle, &["-cert", identity, "-key", identity, "-alpn", "http/1.1"]);
    assert!(said.contains("alert no application protocol"), "{said}");
    // No tickets: a session that is resumed would skip the trust file.
    let said = s_client(&tentacle, &["-cert", identity, "-key", identity]);
    assert!(said.contains("CONNECTED") && !said.contains("Session-ID: 0"), "{said}");
    assert!(!said.contains("New Session Ticket") && !said.contains("Post-Handshake New"), "{said}");
    for greeting in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.9\r\n", b"\n"] {
        let mut stream = TcpStream::connect(tentacle.address()).expect("connect");
        stream.write_all(greeting).expect("write");
        let lasted = until_hung_up(stream, Instant::now());
        assert!(lasted < Duration::from_secs(5), "{greeting:?}: {lasted:?}");
    }
    tentacle.connect(&ci).expect("trusted").yes("status", b"");
}

#[test]
fn openssl_is_a_debugging_client() {
    if !needs("openssl_is_a_debugging_client", "openssl") {
        return;
    }
    let (tentacle, _here, ci) = trusting();
    let identity = ci.sandbox.config("identity.pem");
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-alpn", "octo/1", "-connect", tentacle.address()])
        .arg("-cert")
        .arg(&identity)
        .arg("-key")
        .arg(&identity)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    let mut stdin = client.stdin.take().expect("stdin");
    stdin.write_all(b"status\n").expect("write");
    let mut reply = [0; 3];
    client.stdout.take().expect("stdout").read_exact(&mut reply).expect("read");
    assert_eq!(&reply, b"ok ");
    let _ = client.kill();
    let _ = client.wait();
}

/// Processor time of a process, in seconds.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|f| f.parse::<u64>().expect("ticks")).sum();
    ticks as f64 / 100.0
}

/// A stranger takes two descriptors: with an even number left it is accept(2) that
/// fails, and its connection stays in the queue; with an odd one, what follows it.
#[test]
fn without_descriptors_it_rests_and_recovers() {
    std::thread::scope(|scope| {
        for most in [21, 22] {
            scope.spawn(move || rests_and_recovers_with(most));
        }
    });
}

fn rests_and_recovers_with(most: u32) {
    let (here, ci) = sides();
    let mut tentacle = Tentacle::with_descriptors(&here, most);
    let crowd: Vec<TcpStream> =
        (0..30).map(|_| TcpStream::connect(tentacle.address()).expect("connect")).collect();
    tentacle.says("accept: too many open files, resting");
    let (before, began) = (cpu(tentacle.child.id()), Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    let share = (cpu(tentacle.child.id()) - before) / began.elapsed().as_secs_f64();
    assert!(share < 0.05, "{share}");
    drop(crowd);
    wait_for("a pusher is served", || {
        tentacle.connect(&ci).and_then(|mut pusher| pusher.ask("status", b"")).is_ok()
    });
}

#[test]
fn accept_errors_of_all_kinds_never_end_it() {
    let (here, ci) = sides();
    if !crate::support::can_trace("accept_errors_of_all_kinds_never_end_it") {
        return;
    }
    for error in ["EMFILE", "ECONNABORTED", "ENOBUFS"] {
        let mut command = Command::new("strace");
        let listen = here.command("octo-listen");
        command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=accept4", "-e"]);
        command.arg(format!("inject=accept4:error={error}:when=1..5"));
        command.arg(listen.get_program()).env_clear().stdin(Stdio::null());
        for (name, value) in listen.get_envs() {
            command.env(name, value.expect("a value"));
        }
        command.args(["-l", "127.0.0.1:0"]);
        let tentacle = Tentacle::with(&here, &mut command, 1);
        // Errors come without a connection as well: the loop must not spin on them.
        tentacle.connect(&ci).expect("accepted at last").yes("status", b"");
    }
}
