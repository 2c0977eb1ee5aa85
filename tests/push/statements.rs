//! What octo-push signs, and what it says of a `no` that it can't be certain of.

use crate::support::needs;
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use octo_core::base::record::Record;
use octo_core::tentacle::statement::{Asks, HOLDS_FOR, Statement};
use octo_core::trust::Verb;
use octo_core::{Digest, JobId, Thumbprint};
use octo_wire::{Channel, Connection, Identity, Request, TlsStream};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

const JOB: &str = "20260101T000000-abcdefghijklm";

/// An octopus whose only target takes each request whole and says the next of some
/// answers, the last of them again and again; at an empty one it leaves.
pub(crate) struct Scene {
    pub(crate) octopus: Octopus,
    pub(crate) tentacle: Thumbprint,
    pub(crate) heard: Receiver<(Request, Vec<u8>)>,
}

pub(crate) fn scene(answers: &'static [&'static str]) -> Scene {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let web1 = octopus.stranger("web1");
    let identity = Identity::load(&web1.config.join("identity.pem")).expect("identity");
    let tentacle = identity.thumbprint();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address").to_string();
    octopus.add_target(&web1.line_at(&address, "web"));
    let (sender, heard) = channel();
    std::thread::spawn(move || {
        let mut answers = answers.iter();
        let mut last = "";
        for stream in listener.incoming() {
            let channel = Channel::tcp(stream.expect("accept")).expect("channel");
            let session = TlsStream::serve(&identity, channel, Box::new(|_| true.into()));
            let mut connection = Connection::new(session.expect("handshake"));
            while let Ok(Some(message)) = connection.read_message() {
                let request = Request::read(message).expect("a request");
                let body = connection.read_body(request.fields.body(), 1 << 20).expect("a body");
                let _ = sender.send((request, body));
                last = answers.next().unwrap_or(&last);
                if last.is_empty() || connection.send_bytes(last.as_bytes()).is_err() {
                    break;
                }
            }
            let _ = connection.close();
        }
    });
    Scene { octopus, tentacle, heard }
}

impl Scene {
    /// The requests so far, each with its statement and what stands behind that.
    fn asked(&self) -> Vec<(Request, Statement, Vec<u8>)> {
        let ours = Identity::load(&self.octopus.sandbox.config("identity.pem")).expect("identity");
        let taken_apart = self.heard.try_iter().map(|(request, mut body)| {
            let mut next = |key| {
                let length = request.fields.need::<u64>(key).expect(key);
                let rest = body.split_off(usize::try_from(length).expect("small"));
                std::mem::replace(&mut body, rest)
            };
            let (bytes, signature) = (next("request"), next("signature"));
            // One key makes one signature of the same bytes.
            assert_eq!(ours.sign(&bytes).as_ref(), Ok(&signature));
            let statement = Statement::parse(&bytes).expect("a statement");
            assert_eq!((statement.pusher, statement.tentacle), (ours.thumbprint(), self.tentacle));
            assert_eq!(statement.until, statement.at + HOLDS_FOR);
            assert!(statement.by.contains('@'), "{}", statement.by);
            assert_eq!(Some(statement.job.as_str()), request.fields.get("job"));
            (request, statement, body)
        });
        taken_apart.collect()
    }
}

#[test]
fn a_run_is_signed_for_this_tentacle_this_job_and_this_spec() {
    let scene = scene(&["no code=late reason=too%20old\n"]);
    let file = scene.octopus.sandbox.write("s", "#!/bin/sh\n");
    let secrets = scene.octopus.sandbox.write("secrets", "A=secret\n");
    crate::support::set_mode(&secrets, 0o600);
    let run = scene
        .octopus
        .push(&["-a", "run", "-j", JOB, "-S", "secrets", "--end", "end", "s", "x"])
        .assert()
        .code(75);
    let asked = scene.asked();
    let [(request, statement, rest)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(request.verb, Verb::Run);
    let (spec, rest) = rest.split_at(request.fields.need::<u64>("spec").expect("spec") as usize);
    assert_eq!(statement.asks, Asks::Request(Digest::of(spec)));
    assert_eq!(Some(&statement.job), JobId::parse(JOB).as_ref());
    let script = std::fs::read(&file).expect("read");
    assert_eq!(request.fields.get("script"), Some(script.len() as u64));
    let secrets = rest.strip_prefix(&script[..]).expect("the script");
    assert!(secrets.ends_with(b"A=secret\0"), "{secrets:?}");
    let until = octo_core::base::cli::utc(statement.until);
    run.stderr(contains(format!("late: too old; not certain before {until}\n")));
    let end = std::fs::read(scene.octopus.sandbox.path("end")).expect("read");
    let end = Record::parse(&end).expect("a record");
    assert_eq!(end.first("not-certain-before"), Some(until.as_str()));
    let message = format!("late: too old; not certain before {until}");
    assert_eq!((end.first("message"), end.first("refusal")), (Some(&message[..]), Some("late")));
}

#[test]
fn a_cancel_is_signed_too() {
    let scene = scene(&["no code=denied reason=no\n", "ok state=running\n"]);
    let cancel = ["-a", "--json", "cancel", JOB];
    let refused = scene.octopus.push(&cancel).assert().code(77);
    let asked = scene.asked();
    let [(request, statement, rest)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((request.verb, statement.asks, rest.len()), (Verb::Cancel, Asks::Cancel, 0));
    let until = octo_core::base::cli::utc(statement.until);
    let key = format!(r#""not_certain_before":"{until}""#);
    let said = contains(format!("no; not certain before {until}\"")).and(contains(key));
    refused.stdout(said);
    let said = contains(r#""message":"asked to cancel, was running","not_certain_before":null"#);
    scene.octopus.push(&cancel).assert().success().stdout(said);
}

/// It may have taken the first of them.
#[test]
fn an_unanswered_request_stays_in_doubt_while_nothing_there_could_start_it() {
    let scene = scene(&["", "no code=unavailable reason=octo-exec%20is%20silent\n"]);
    let run = ["-a", "--json", "--reconnect", "1", "run", "-j", JOB, "-c", "true"];
    let first = scene.octopus.push(&run).assert().code(79);
    let asked = scene.asked();
    assert!(asked.len() > 1, "{asked:?}");
    let until = octo_core::base::cli::utc(asked.last().expect("one").1.until);
    first.stdout(
        contains("perhaps accepted")
            .and(contains(format!("octo-exec is silent; not certain before {until}\""))),
    );
    let run = ["-a", "run", "-c", "true"];
    let known = scene.octopus.push(&run).assert().code(69);
    known.stderr(contains("unavailable: octo-exec is silent; not certain before 20"));
}

#[test]
fn what_asked_for_nothing_is_certain() {
    let scene = scene(&["no code=busy reason=later\n"]);
    let status = scene.octopus.push(&["-a", "--json", "-w", "10", "status"]).assert().code(75);
    status.stdout(contains(r#""message":"busy: later","not_certain_before":null"#));
    let (_, body) = scene.heard.try_iter().next().expect("one");
    assert!(body.is_empty());
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    octopus.add_target(&format!("web1 127.0.0.1:1 {}", octopus.thumbprint));
    let run = octopus.push(&["-a", "run", "-c", "true"]).assert().code(69);
    run.stderr(contains("not certain").not());
}

#[test]
fn a_key_that_signs_no_statements_sends_none() {
    if !needs("a_key_that_signs_no_statements_sends_none", "openssl") {
        return;
    }
    let scene = scene(&["ok\n"]);
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"])
        .args(["-nodes", "-subj", "/CN=x", "-keyout", "key", "-out", "certificate"])
        .current_dir(scene.octopus.sandbox.path(""))
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |name| std::fs::read_to_string(scene.octopus.sandbox.path(name)).expect("read");
    let other: PathBuf = scene.octopus.sandbox.write("other", read("key") + &read("certificate"));
    crate::support::set_mode(&other, 0o600);
    for verb in [&["run", "-c", "true"][..], &["cancel", JOB]] {
        let refused =
            scene.octopus.push(&[&["-a", "-i", "other"], verb].concat()).assert().code(78);
        let said = contains("other: its key is of a kind").and(contains("not certain").not());
        refused.stderr(said);
    }
    assert_eq!(scene.heard.try_iter().count(), 0);
}

#[test]
fn the_heads_of_both_logs_are_kept_and_proved() {
    let head = |seq: u64| format!("{seq}:{}", Digest::of(&seq.to_be_bytes()));
    let reply = format!("ok state=running audit={} audit-exec={}\n", head(5), head(3));
    let answers = vec![reply.leak(), "ok\n", "ok\n", "ok\n", "no code=mismatch reason=x\n"];
    let scene = scene(answers.leak());
    let heads = format!(r#""audit":"{}","audit_exec":"{}""#, head(5), head(3));
    let cancel = scene.octopus.push(&["-a", "--json", "cancel", JOB]).assert().success();
    cancel.stdout(contains(&heads));
    scene.octopus.push(&["--json", "journal"]).assert().success().stdout(contains(heads));
    let heads = format!(" audit={} audit-exec={}\n", head(5), head(3));
    scene.octopus.push(&["journal"]).assert().success().stdout(contains(heads));
    let audit = scene.octopus.push(&["-v", "-a", "audit"]).assert().success();
    audit.stderr(contains("2 of 2 heads hold"));
    let asked: Vec<_> = scene.heard.try_iter().skip(1).map(|(request, _)| request.fields).collect();
    let text = |key| asked.iter().map(|said| said.get(key)).collect::<Vec<Option<&str>>>();
    assert_eq!(
        (text("seq"), text("chain")),
        (vec![Some("5"), Some("3")], vec![None, Some("exec")])
    );
    let changed = scene.octopus.push(&["-a", "audit"]).assert().code(65);
    changed.stderr(
        contains("octo-exec's audit log was changed: its line 3 is no longer that of 20")
            .and(contains("octo-listen --check-audit")),
    );
}
