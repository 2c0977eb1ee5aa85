//! What is wrong is said: which object, why, by which exit status, and what to do.

use crate::support::set_mode;
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

fn octopus() -> Octopus {
    Octopus::new(cargo_bin!("octo-push"))
}

/// Something else that listens: answers each connection with these bytes.
fn speaker(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let _ = stream.write_all(bytes);
                let mut waste = [0; 4096];
                while matches!(stream.read(&mut waste), Ok(1..)) && bytes.is_empty() {}
            });
        }
    });
    address
}

const SOME: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

#[test]
fn an_identity_that_can_not_be_used() {
    let mut octopus = octopus();
    octopus.add_target(&format!("web1 127.0.0.1:1 {SOME}"));
    let path = octopus.sandbox.config("identity.pem");
    let whole = std::fs::read(&path).expect("read");
    set_mode(&path, 0o644);
    octopus.push(&["-a", "status"]).assert().code(78).stderr(contains("chmod 600"));
    set_mode(&path, 0o600);
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("write");
    octopus.push(&["-a", "status"]).assert().code(78).stderr(contains("identity.pem: "));
    std::fs::remove_file(&path).expect("remove");
    octopus.push(&["-a", "status"]).assert().code(78).stderr(contains("hint: octo-keys new"));
}

#[test]
fn a_targets_file_that_can_not_be_believed() {
    let mut octopus = octopus();
    octopus.set_targets(&format!("web1 h {SOME}\nweb1 h {SOME}\n"));
    octopus
        .push(&["-a", "status"])
        .assert()
        .code(78)
        .stderr(contains("targets:2: target web1 is on line 1 already").and(contains("line 2: ")));
    octopus.set_targets("web1 h 9f86\n");
    octopus.push(&["-a", "status"]).assert().code(78).stderr(contains("targets:1: "));
    let path = octopus.sandbox.config("targets");
    set_mode(&path, 0o666);
    octopus.push(&["-a", "status"]).assert().code(78).stderr(contains("writable by others"));
    std::fs::remove_file(&path).expect("remove");
    octopus.push(&["-a", "status"]).assert().code(65).stderr(contains("octo-targets(5)"));
}

#[test]
fn an_authority_that_can_not_be_read_is_a_fault_here() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let file = octopus.sandbox.config("fleet.pem");
    octopus.set_targets(&format!("web1 {} ca=fleet.pem\n", web1.address));
    let refused = |said: &str| {
        let said = format!("web1: {}: ca={}: {said}", web1.address, file.display());
        octopus.push(&["-a", "status"]).assert().code(78).stderr(contains(said));
    };
    refused("no such file or directory");
    std::fs::write(&file, "nothing of that kind\n").expect("write");
    refused("");
}

#[test]
fn who_does_not_answer_is_named() {
    let mut octopus = octopus();
    let silent = speaker(b"");
    for (address, said, code) in [
        ("nowhere.invalid".to_string(), "nowhere.invalid: does not resolve", 69),
        ("127.0.0.1:1".into(), "127.0.0.1:1: connection refused", 69),
        ("[::1]:1".into(), "[::1]:1: ", 69),
        (silent.to_string(), "no TLS handshake within 1s", 69),
        (speaker(b"HTTP/1.1 400 Bad Request\r\n\r\n").to_string(), "speaks plain HTTP", 76),
        (speaker(b"SSH-2.0-OpenSSH_9.9\r\n").to_string(), "speaks SSH", 76),
    ] {
        octopus.set_targets(&format!("web1 {address} {SOME}\n"));
        let began = Instant::now();
        // What answers has all the time that it needs.
        let wait = if code == 69 { "1" } else { "60" };
        octopus
            .push(&["-a", "-w", wait, "run", "-c", "true"])
            .assert()
            .code(code)
            .stderr(contains(said));
        assert!(began.elapsed() < Duration::from_secs(10), "{address}");
    }
}

#[test]
fn two_who_have_not_met_are_told_what_to_add() {
    let mut octopus = octopus();
    let mut web1 = octopus.stranger("web1");
    web1.start();
    octopus.add_target(&web1.line("production web"));
    let me = octopus.thumbprint.clone();
    octopus.push(&["-a", "status"]).assert().code(77).stderr(
        contains("doesn't trust this identity")
            .and(contains(format!("octo-keys trust -o user=USER {me} ")))
            .and(contains(octopus.sandbox.path("config").display().to_string())),
    );
    web1.trust(&octopus.sandbox, &me, "allow=any");
    octopus.push(&["-a", "status"]).assert().success();
    // A cloned or exchanged tentacle.
    octopus.set_targets(&format!("web1 {} {SOME} production web\n", web1.address));
    octopus.push(&["-a", "run", "-c", "true"]).assert().code(77).stderr(
        contains(format!("expected {SOME}, seen {}", web1.thumbprint)).and(contains(format!(
            "as line 1 of {}: web1 {} {} production web",
            octopus.sandbox.config("targets").display(),
            web1.address,
            web1.thumbprint
        ))),
    );
    // In rotation either will do; a certificate of its own is no public one.
    octopus.set_targets(&format!("web1 {} {SOME},{} web\n", web1.address, web1.thumbprint));
    octopus.push(&["-a", "status"]).assert().success();
    octopus.set_targets(&format!("web1 {} webpki web\n", web1.address));
    octopus.push(&["-a", "status"]).assert().code(77).stderr(contains("not accepted"));
    // Trust that is taken back is gone with the next request.
    octopus.set_targets(&format!("{}\n", web1.line("web")));
    web1.set_trusted("");
    octopus.push(&["-a", "status"]).assert().code(77);
}

#[test]
fn who_cant_be_connected_is_tried_as_often_as_was_said() {
    let mut octopus = octopus();
    octopus.add_target(&format!("web1 127.0.0.1:1 {SOME}"));
    for (retries, tries) in [(&["--retries", "0"][..], 0), (&["--retries", "1"], 1), (&[], 0)] {
        let line = [&["-v", "-a"], retries, &["status"]].concat();
        let failed = octopus.push(&line).assert().code(69);
        let said = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
        assert_eq!(said.matches("trying again").count(), tries, "{line:?}: {said}");
    }
}

#[test]
fn packages_that_can_not_be_sent() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    std::fs::create_dir(octopus.sandbox.path("dir")).expect("mkdir");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        octopus.sandbox.path("fifo"),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .expect("mkfifo");
    for (name, said) in [
        ("nothing.tar", "nothing.tar: "),
        ("dir", "dir: is a directory"),
        ("fifo", "fifo: is not a regular file"),
    ] {
        octopus.push(&["-a", "put", name]).assert().code(65).stderr(contains(said));
        octopus.push(&["-a", "run", "-p", name, "-c", "true"]).assert().code(65);
    }
    // A digest that is remembered, of a file whose bytes changed without a trace.
    octopus.sandbox.write("p", "new");
    octopus.push(&["-a", "put", "p"]).assert().success();
}

/// Scans within scans over such files took minutes.
#[test]
fn files_of_many_variables_cost_little() {
    let mut octopus = octopus();
    octopus.add_target(&format!("web1 127.0.0.1:1 {SOME}"));
    let file = |name: &str, letter: char, count: usize| {
        let lines: String = (0..count).map(|n| format!("{letter}{n:x}=\n")).collect();
        set_mode(&octopus.sandbox.write(name, lines), 0o600);
    };
    file("many", 'A', 140_000);
    file("plain", 'A', 60_000);
    file("hidden", 'B', 60_000);
    let run = |files: &[&str]| {
        let mut push = octopus.push(&[&["-n", "-a", "run"], files, &["-c", "true"]].concat());
        push.timeout(Duration::from_secs(45)).assert()
    };
    run(&["-E", "many"]).code(77).stderr(contains("are larger than 2097152 bytes in all"));
    run(&["-E", "plain", "-S", "hidden"]).success().stdout(contains("run sh -c true"));
    run(&["-E", "plain", "-S", "hidden", "-e", "Bea5f="])
        .code(65)
        .stderr(contains("Bea5f: is both a secret and a plain variable"));
}

#[test]
fn limits_and_policy_are_refused_with_the_tentacles_reason() {
    let mut octopus = octopus();
    let mut web1 = octopus.stranger("web1");
    web1.trust(&octopus.sandbox, &octopus.thumbprint, "allow=status,put max-size=1K");
    web1.start();
    octopus.add_target(&web1.line("web"));
    octopus.push(&["-a", "run", "-c", "true"]).assert().code(77).stderr(contains("denied"));
    octopus.sandbox.write("big", vec![0; 5000]);
    octopus.push(&["-a", "put", "big"]).assert().code(77).stderr(contains("may send at once"));
    let line = std::fs::read_to_string(web1.config.join("trusted")).expect("read");
    web1.set_trusted(&format!("{line}nonsense\n"));
    // It is trusted, and not told that it isn't.
    octopus.push(&["-a", "status"]).assert().code(75).stderr(
        contains("this tentacle lets nobody in at the moment")
            .and(contains("ask its admin to run octo-keys check")),
    );
}

#[test]
fn a_transport_program_is_the_connection() {
    let mut octopus = octopus();
    let web1 = octopus.stranger("web1");
    web1.trust(&octopus.sandbox, &octopus.thumbprint, "allow=any");
    octopus.add_target(&format!("web1 web1.example {} web", web1.thumbprint));
    let listen = octopus.sandbox.program("octo-listen");
    let command = format!(
        "'{}' --config '{}' --state '{}' --stdio",
        listen.display(),
        web1.config.display(),
        web1.state.display()
    );
    octopus
        .push(&["-t", "web1", "-P", &command, "run", "-c", "echo through; exit 3"])
        .assert()
        .code(3)
        .stdout("through\n");
    octopus
        .push(&["-t", "web1", "-P", "/nonexistent/%h", "status"])
        .assert()
        .code(69)
        .stderr(contains("/nonexistent/web1.example: no such file"));
    octopus.push(&["-t", "web1", "-w", "2", "-P", "false", "status"]).assert().code(69);
}

#[test]
fn clones_are_warned_of() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus.set_targets(&format!("{}\nweb2 {} {}\n", web1.line(""), web1.address, web1.thumbprint));
    octopus
        .push(&["-t", "web1", "status"])
        .assert()
        .success()
        .stderr(contains("warning: web[1,2] share the thumbprint"));
    octopus.push(&["-q", "-t", "web1", "status"]).assert().success().stderr("");
}

/// `ulimit -f` sends a signal that ends whoever writes more and says nothing.
#[test]
fn output_that_may_not_grow_is_an_error_that_is_told() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let push = octopus.start(&["-t", "web1", "run", "-c", "head -c 300000 /dev/zero; exit 5"]);
    let mut limited = assert_cmd::Command::new("sh");
    limited.env_clear().envs(push.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.args(["-c", "ulimit -f 200; exec \"$0\" \"$@\" >out"]).arg(push.get_program());
    limited.args(push.get_args()).current_dir(octopus.sandbox.path(""));
    limited.assert().code(5).stderr(contains("standard output: file too large"));
    // The job went on all the same.
    let end = std::fs::read_to_string(web1.jobs()[0].join("end")).expect("end");
    assert!(end.contains("code 5"), "{end}");
}

/// Those that print, of every tool; what fails is a target that nobody answers for.
const PRINTING: [(&str, &str); 14] = [
    ("octo-push", "--help|--version|run --help|plumb --help|targets|targets --json|journal"),
    ("octo-push", "--json journal|-t web1 -n status|-t web1 -n run -c true|-t web1 status"),
    ("octo-push", "-t web1 --json status|-t web1 jobs|-t web1 --json jobs|-t web1 --json audit"),
    ("octo-push", "-t web1 releases|-t web1 --json releases|-t web1 releases --tsv"),
    ("octo-push", "-a releases --form table|-a releases --form json|-a releases --form html"),
    ("octo-push", "-a releases --form nagios|-t web1 run -D -c true|-t web1 run -c pwd"),
    ("octo-push", "-t web1 -g run -c pwd|-t web1 --json run -c true|-t web1 thaw shop"),
    ("octo-push", "-t web1 freeze shop --until 1h why|plumb places|plumb hosts web1|plumb job"),
    ("octo-push", "plumb offers VERB|plumb nearest rnu run|plumb package --sha256 shop-1.0.tar"),
    ("octo-push", "-t web1 follow JOB|-t web1 get JOB"),
    ("octo-keys", "--help|--version|show|cert|new -"),
    ("octo-exec", "--help|--version|HERE list|HERE show JOB|HERE run -c pwd"),
    ("octo-exec", "HERE run -D -c true|HERE add shop-1.0.tar"),
    ("octo-listen", "--help|--version|HERE --check-audit"),
];

/// What nobody could read was not told: no verb ends as if it had been.
#[test]
fn what_can_not_be_printed_is_an_error_of_every_verb() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus.add_target(&format!("gone 127.0.0.1:1 {}", octopus.thumbprint));
    let job = "20260101T000000-aaaaaaaaaaaaa";
    let made = "echo x >$OCTO_ARTIFACTS/made; echo out";
    octopus.push(&["-t", "web1", "run", "-j", job, "-c", made]).assert().success();
    octopus.sandbox.write("shop-1.0.tar", "x");
    let here = format!("--config {} --state {}", web1.config.display(), web1.state.display());
    let mut wrong = Vec::new();
    for (tool, lines) in PRINTING {
        for line in lines.split('|') {
            let words = line.replace("JOB", job).replace("HERE", &here);
            let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("open");
            let mut command = std::process::Command::new(octopus.sandbox.program(tool));
            command.args(words.split(' ')).env_clear().env("PATH", "/usr/bin:/bin");
            command.env("OCTO_CONFIG", octopus.sandbox.path("config"));
            command.env("OCTO_STATE", octopus.sandbox.path("state"));
            command.current_dir(octopus.sandbox.path("")).stdout(full);
            let output = command.output().expect("runs");
            let said = String::from_utf8_lossy(&output.stderr);
            if output.status.code() != Some(74) || !said.contains(": standard output: no space") {
                wrong.push(format!("{tool} {line}: {}: {said}", output.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
