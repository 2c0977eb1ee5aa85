//! The verbs of octo/1 as a pusher of plain messages sees them.

use crate::fleet::{fleet, fleet_with};
use crate::listener::{Side, job_id, own_user};
use crate::support::wait_for;
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use octo_core::tentacle::statement::Asks;
use octo_wire::Message;

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 256) as u8).collect()
}

#[test]
fn status_says_how_it_is() {
    let fleet = fleet();
    let reply = fleet.ci().yes("status", b"");
    for key in ["name", "version", "features", "time", "free", "load", "running", "audit"] {
        assert!(reply.value(key).is_some_and(|value| !value.is_empty()), "{key}: {reply:?}");
    }
    assert_eq!(reply.text("running"), Some("0"));
}

#[test]
fn what_is_not_of_the_protocol_is_refused_by_name() {
    let fleet = fleet();
    let mut pusher = fleet.ci();
    // These leave the connection as it was.
    assert_eq!(pusher.no("fly", b""), "unsupported");
    assert_eq!(pusher.no("connect", b""), "unsupported");
    assert_eq!(pusher.no("status verbose=1", b""), "unsupported");
    pusher.yes("status", b"");
    // These make what follows unreadable: it is told why, and ends.
    let digest = Digest::of(b"");
    let signed = "request=5 signature=5";
    let malformed = [
        "put sha256=abc size=1 name=x".to_string(),
        format!("put sha256={digest} size=-1 name=x"),
        format!("put sha256={digest} size=9223372036854775808 name=x"),
        format!("put sha256={digest} size=18446744073709551616 name=x"),
        format!("put sha256={digest} name=x"),
        format!("put sha256={digest} size=1"),
        format!("put sha256={digest} size=1 name=..%00"),
        format!("put sha256={digest} size=1 name=a/b"),
        format!("put sha256={digest} size=1 name="),
        "run job=../../etc body=0".to_string(),
        format!("run job={} {signed} body=9 spec={m} script={m}", job_id(), m = i64::MAX),
        format!("run job={} {signed} body=19 spec=5 script=5", job_id()),
        format!("run job={} body=9 spec=5", job_id()),
        format!("run job={} signature=5 body=9", job_id()),
        format!("cancel job={}", job_id()),
        "follow job=x".to_string(),
        format!("follow job={} offset=-1", job_id()),
        "cancel".to_string(),
        "audit seq=0 head=x".to_string(),
    ];
    for request in &malformed {
        let mut pusher = fleet.ci();
        assert_eq!(pusher.no(request, b""), "malformed", "{request}");
        assert!(matches!(pusher.connection.read_message(), Ok(None)), "{request}");
    }
    for keys in ["request=5 signature=5", "request=5000 signature=5", "request=5 signature=5000"] {
        let huge = format!("run job={} {keys} body={}", job_id(), i64::MAX);
        assert_eq!(fleet.ci().no(&huge, b""), "limit", "{keys}");
    }
    for raw in [&b"STATUS\n"[..], b" status\n", b"status\r\n", b"put a=%2f\n", b"\n", b"\0\0\0\n"] {
        let mut pusher = fleet.ci();
        pusher.connection.send_bytes(raw).expect("sent");
        let reply = pusher.reply().expect("a reply");
        assert_eq!(reply.text("code"), Some("malformed"), "{raw:?}");
    }
    let mut pusher = fleet.ci();
    pusher.connection.send_bytes(&vec![b'x'; 20_000]).expect("sent");
    assert_eq!(pusher.reply().expect("a reply").text("code"), Some("malformed"));
    // A body that is announced and refused is not read as a request.
    let mut pusher = fleet.ci();
    assert_eq!(pusher.no("fly body=7", b"status\n"), "unsupported");
    assert!(matches!(pusher.connection.read_message(), Ok(None)));
}

#[test]
fn put_skips_what_is_there_and_goes_on_where_it_was() {
    let fleet = fleet();
    for length in [0, 1, 5000, 3_000_001] {
        let package = bytes(length);
        let digest = Digest::of(&package);
        assert_eq!(fleet.ci().put(&package).word(), "ok");
        assert_eq!(std::fs::read(fleet.packages(&digest.to_string())).expect("read"), package);
        // Again: nothing is asked for.
        let again = format!("put sha256={digest} size={length} name=other");
        assert_eq!(fleet.ci().yes(&again, b"").number("offset").expect("a number"), None);
    }
    let package = bytes(2_000_000);
    let digest = Digest::of(&package);
    let request = format!("put sha256={digest} size={} name=x", package.len());
    let partial = fleet.packages(&format!("incoming/{digest}.ci"));
    let mut there = 0;
    for sent in [1, 4096, 1_234_567] {
        let mut pusher = fleet.ci();
        assert_eq!(pusher.yes(&request, b"").number("offset").expect("a number"), Some(there));
        let rest = &package[there as usize..];
        pusher.send_part(rest.len(), &rest[..sent]).expect("sent");
        drop(pusher);
        // Whole blocks are kept; a new connection waits until the old one let go.
        there = (there + sent as u64) / 4096 * 4096;
        wait_for("the partial upload", || {
            partial.metadata().map_or(0, |metadata| metadata.len()) == there
        });
        assert!(!fleet.packages(&digest.to_string()).exists());
    }
    assert_eq!(fleet.ci().put(&package).word(), "ok");
    assert!(!partial.exists());
}

#[test]
fn put_refuses_bytes_that_are_not_those_announced() {
    let fleet = fleet();
    let package = bytes(700_000);
    let digest = Digest::of(&package);
    let mut wrong = package.clone();
    wrong[699_999] ^= 0x10;
    let mut pusher = fleet.ci();
    let request = format!("put sha256={digest} size={} name=x", package.len());
    pusher.yes(&request, b"");
    pusher.send_part(wrong.len(), &wrong).expect("sent");
    let reply = pusher.reply().expect("a reply");
    assert_eq!(reply.text("code"), Some("mismatch"), "{reply:?}");
    assert!(!fleet.packages(&digest.to_string()).exists());
    assert!(!fleet.packages(&format!("incoming/{digest}.ci")).exists());
    // All of it was read: the connection goes on.
    assert_eq!(pusher.put(&package).word(), "ok");
}

#[test]
fn put_keeps_to_the_limits_of_the_line() {
    let fleet = fleet_with("max-size=1M max-store=1500K", "");
    let mut pusher = fleet.ci();
    let put = |size: u64, n: u8| format!("put sha256={} size={size} name=x", Digest::of(&[n]));
    assert_eq!(pusher.no(&put((1 << 20) + 1, 1), b""), "limit");
    assert_eq!(pusher.no(&put(1 << 62, 1), b""), "limit");
    assert_eq!(pusher.put(&bytes(1 << 20)).word(), "ok");
    assert_eq!(pusher.no(&put(600_000, 2), b""), "limit");
    // Another pusher has its own share, as large as the disk.
    let mut other = fleet.cron();
    assert_eq!(other.put(&bytes(600_000)).word(), "ok");
    assert_eq!(other.no(&put(1 << 62, 1), b""), "limit");
}

#[test]
fn another_pushers_package_is_not_shown_to_exist() {
    let fleet = fleet();
    let package = bytes(100_000);
    let digest = Digest::of(&package);
    fleet.ci().put(&package);
    let mut cron = fleet.cron();
    let spec = format!("command true\npackage {digest} x\n");
    let (run, body) = cron.request(&job_id(), &spec, b"", b"");
    let reply = cron.ask(&run, &body).expect("a reply");
    assert_eq!(reply.text("code"), Some("missing"));
    // It sends all of the bytes, and may use them from then on.
    let request = format!("put sha256={digest} size={} name=x", package.len());
    assert_eq!(cron.yes(&request, b"").number("offset").expect("a number"), Some(0));
    cron.send_part(package.len(), &package).expect("sent");
    assert_eq!(cron.reply().expect("a reply").word(), "ok");
    let reply = cron.ask(&run, &body).expect("a reply");
    assert_eq!(reply.word(), "ok", "{reply:?}");
    let by = std::fs::read_to_string(fleet.packages(&format!("{digest}.by"))).expect("read");
    assert_eq!(by, "ci\ncron\n");
}

#[test]
fn the_same_package_on_many_connections_is_one_object() {
    let fleet = fleet();
    let package = bytes(5_000_000);
    std::thread::scope(|scope| {
        for n in 0..6 {
            let package = &package;
            let mut pusher = if n % 2 == 0 { fleet.ci() } else { fleet.cron() };
            scope.spawn(move || assert_eq!(pusher.put(package).word(), "ok"));
        }
    });
    let entries = std::fs::read_dir(fleet.packages("")).expect("read_dir");
    let objects = entries.flatten().filter(|e| e.file_name().len() == 64).count();
    assert_eq!(objects, 1);
}

#[test]
fn run_gives_back_output_streams_and_code() {
    let fleet = fleet();
    for code in [0u64, 1, 4, 5, 44, 255] {
        let id = job_id();
        let mut pusher = fleet.ci();
        let reply = pusher.run(&id, &format!("echo out; echo err >&2; exit {code}"));
        assert_eq!(reply.word(), "ok", "{reply:?}");
        assert_eq!(reply.text("job"), Some(id.as_str()));
        let followed = pusher.follow(&id);
        assert_eq!(followed.out, b"out\n");
        assert_eq!(followed.err, b"err\n");
        assert_eq!((followed.kind.as_str(), followed.code), ("exit", code));
        // Afterwards it is the same, and the connection serves on.
        assert_eq!(pusher.follow(&id).out, b"out\n");
        pusher.yes("status", b"");
    }
}

#[test]
fn a_run_carries_its_script_and_secrets_and_they_are_checked() {
    let fleet = fleet();
    let script = b"#!/bin/sh\necho \"$1 $TOKEN\" | rev\nVALUE=x; echo A=b >> \"$OCTO_OUTPUT\"\n";
    let token = octo_core::VariableName::parse("TOKEN").expect("a name");
    let hidden =
        octo_core::tentacle::spec::secrets::encode_with(&[7; 32], &[(token, b"hunter22".to_vec())]);
    let spec = format!(
        "script {} a%20b.sh\narg x%20y\nsecret TOKEN\nsecrets {}\n",
        Digest::of(script),
        Digest::of(&hidden)
    );
    let id = job_id();
    let mut pusher = fleet.ci();
    let (request, body) = pusher.request(&id, &spec, script, &hidden);
    pusher.yes(&request, &body);
    let followed = pusher.follow(&id);
    assert_eq!(followed.out, b"22retnuh y x\n", "{followed:?}");
    assert_eq!(followed.outputs, b"A=b\n");
    assert!(!fleet.job(&id, "secrets").exists());

    for (script, hidden, code) in [
        (&b"#!/bin/sh\nfalse\n"[..], &hidden[..], "mismatch"),
        (script, &hidden[1..], "mismatch"),
        (script, b"", "mismatch"),
    ] {
        let (request, body) = pusher.request(&job_id(), &spec, script, hidden);
        assert_eq!(pusher.no(&request, &body), code);
    }
    // Lengths that don't add up, or are beyond all bounds.
    for (keys, code) in [
        ("spec=10 script=10 body=15", "malformed"),
        ("spec=9223372036854775807 script=9223372036854775807 body=15", "malformed"),
        ("spec=5000000 body=5000010", "limit"),
        ("spec=0 script=17000000 body=17000010", "limit"),
        ("spec=0 script=0 stdin=16777217 body=16777227", "limit"),
        ("spec=0 stdin=9223372036854775807 body=15", "malformed"),
        ("spec=0 script=0 body=2000000", "limit"),
        ("body=9223372036854775807", "limit"),
    ] {
        let request = format!("run job={} request=5 signature=5 {keys}", job_id());
        assert_eq!(fleet.ci().no(&request, b""), code, "{keys}");
    }
    // What the spec's own parser refuses keeps its code.
    for (spec, code) in [
        ("nonsense\n", "malformed"),
        ("command true\nenv LD_PRELOAD x\n", "denied"),
        ("", "malformed"),
    ] {
        let mut pusher = fleet.ci();
        let (request, body) = pusher.request(&job_id(), spec, b"", b"");
        assert_eq!(pusher.no(&request, &body), code, "{spec}");
    }
}

#[test]
fn a_job_runs_once_however_often_it_is_asked_for() {
    let fleet = fleet();
    let id = job_id();
    let counter = fleet.here.sandbox.path("count");
    let text = format!("echo x >> {}; sleep 0.2", counter.display());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (mut pusher, id, text) = (fleet.ci(), &id, &text);
            scope.spawn(move || {
                loop {
                    let reply = pusher.run(id, text);
                    if reply.word() == "ok" {
                        break;
                    }
                    assert_eq!(reply.text("code"), Some("busy"), "{reply:?}");
                }
                assert_eq!(pusher.follow(id).kind, "exit");
            });
        }
    });
    assert_eq!(std::fs::read_to_string(&counter).expect("read"), "x\n");
    let mut pusher = fleet.ci();
    let reply = pusher.run(&id, &text);
    assert_eq!((reply.word(), reply.text("attached")), ("ok", Some("yes")));
    assert_eq!(pusher.run(&id, "echo other").text("code"), Some("conflict"));
    let listed = fleet.ci().list("jobs");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].text("job"), Some(id.as_str()));
    assert_eq!(listed[0].text("state"), Some("exit"));
    assert_eq!(listed[0].text("name"), Some("ci"));
    // Pruned, it never runs again, nor for a new key of the same name.
    fleet
        .here
        .sandbox
        .tool("octo-exec")
        .args(["prune", "--older", "0", "--keep", "0"])
        .assert()
        .success();
    assert_eq!(fleet.ci().run(&id, &text).text("code"), Some("gone"));
    let new = Side::new(cargo_bin!("octo-listen"));
    fleet.here.trust(&[(&new, &format!("ci {}", own_user()))]);
    let mut pusher = fleet.tentacle.connect(&new).expect("trusted");
    assert_eq!(pusher.run(&id, &text).text("code"), Some("gone"));
    assert_eq!(std::fs::read_to_string(&counter).expect("read"), "x\n");
}

#[test]
fn whose_job_it_is_is_nobody_elses_business() {
    let fleet = fleet();
    let id = job_id();
    let counter = fleet.here.sandbox.path("count");
    let text = format!("echo x >> {}", counter.display());
    let mut pusher = fleet.ci();
    assert_eq!(pusher.run(&id, &text).word(), "ok");
    assert_eq!(pusher.follow(&id).kind, "exit");
    let mut cron = fleet.cron();
    assert_eq!(cron.run(&id, &text).text("code"), Some("missing"));
    for verb in ["follow", "cancel", "get"] {
        let mut refusal_of = |id: &str| {
            let (keys, body) = match verb {
                "cancel" => cron.signed(&cron.statement(id, Asks::Cancel)),
                _ => (String::new(), Vec::new()),
            };
            let keys = match body.len() {
                0 => keys,
                length => format!(" {keys} body={length}"),
            };
            let reply = cron.ask(&format!("{verb} job={id}{keys}"), &body).expect("a reply");
            let text = String::from_utf8_lossy(&reply.encode().expect("a line")).into_owned();
            text.split(" audit=").next().map(|text| text.replace(id, "ID")).expect("a reply")
        };
        let theirs = refusal_of(&id);
        assert!(theirs.starts_with("no code=missing"), "{theirs}");
        assert_eq!(theirs.matches("ID").count(), 1, "{theirs}");
        assert_eq!(theirs, refusal_of(&job_id()));
    }
    assert!(cron.list("jobs").is_empty());
    assert_eq!(fleet.ci().list("jobs").len(), 1);
    // A new key of the same name keeps its jobs; allow=any sees all.
    let new = Side::new(cargo_bin!("octo-listen"));
    fleet.here.trust(&[(&new, &format!("ci {}", own_user())), (&fleet.cron, "cron allow=any")]);
    assert_eq!(fleet.tentacle.connect(&new).expect("trusted").list("jobs").len(), 1);
    assert_eq!(fleet.cron().list("jobs").len(), 1);
    assert_eq!(std::fs::read_to_string(&counter).expect("read"), "x\n");
}

#[test]
fn a_pusher_has_so_many_jobs_at_once() {
    let fleet = fleet_with("max-jobs=2", "");
    let mut pusher = fleet.ci();
    let ids = [job_id(), job_id(), job_id()];
    assert_eq!(pusher.run(&ids[0], "sleep 300").word(), "ok");
    assert_eq!(pusher.run(&ids[1], "sleep 300").word(), "ok");
    assert_eq!(pusher.run(&ids[2], "true").text("code"), Some("busy"));
    assert!(!fleet.job(&ids[2], "").exists());
    for id in &ids[..2] {
        pusher.cancel(id);
        assert_eq!(pusher.follow(id).kind, "cancelled");
    }
    assert_eq!(pusher.run(&ids[2], "true").word(), "ok");
    assert_eq!(pusher.follow(&ids[2]).code, 0);
}

#[test]
fn a_request_while_a_stream_runs_ends_it() {
    let fleet = fleet();
    let id = job_id();
    let mut pusher = fleet.ci();
    assert_eq!(pusher.run(&id, "sleep 300").word(), "ok");
    pusher.yes(&format!("follow job={id}"), b"");
    pusher.connection.send(&Message::new("status"), b"").expect("sent");
    let last = loop {
        match pusher.reply() {
            Ok(message) if message.word() == "no" => break message,
            Ok(message) => assert_eq!(message.word(), "state"),
            Err(failure) => panic!("{failure:?}"),
        }
    };
    assert_eq!(last.text("code"), Some("malformed"));
    fleet.ci().cancel(&id);
    assert_eq!(fleet.ci().no("follow job=x", b""), "malformed");
}
