//! What a pusher asks back: artifacts, scripts, proofs of the audit log.

use crate::fleet::fleet;
use crate::listener::{Side, Tentacle, job_id, own_user};
use crate::support::{NOBODY, is_root, wait_for};
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use octo_core::base::encoding::encode;
use rustix::process::geteuid;
use std::os::unix::fs::{chown, symlink};

#[test]
fn artifacts_come_back_and_nothing_else_does() {
    let fleet = fleet();
    let mut pusher = fleet.ci();
    let id = job_id();
    let text = "cd \"$OCTO_ARTIFACTS\"; printf hello > 'a b'; printf '' > empty; mkfifo pipe
        ln -s /etc/passwd link; mkdir d; echo x > d/in; printf '\\377' > \"$(printf 'x\\377\\n')\"
        head -c 3000000 /dev/zero > large";
    assert_eq!(pusher.run(&id, text).word(), "ok");
    assert_eq!(pusher.follow(&id).code, 0);
    let listed = pusher.list(&format!("get job={id}"));
    let names: Vec<&[u8]> = listed.iter().filter_map(|line| line.value("name")).collect();
    assert_eq!(names, [&b"a b"[..], b"empty", b"large", b"x\xff"]);
    for (name, expected) in
        [(&b"a b"[..], b"hello".to_vec()), (b"empty", vec![]), (b"x\xff", vec![255])]
    {
        let reply = pusher.yes(&format!("get job={id} artifact={}", encode(name)), b"");
        assert_eq!(pusher.body(&reply), expected);
    }
    let reply = pusher.yes(&format!("get job={id} artifact=large"), b"");
    assert_eq!(pusher.body(&reply).len(), 3_000_000);
    // A link that is swapped in afterwards is no better.
    symlink("../spec", fleet.job(&id, "artifacts/later")).expect("symlink");
    for name in ["link", "later", "pipe", "d", "d/in", "..", "../spec", "/etc/passwd", "none", ""] {
        let request = format!("get job={id} artifact={name}");
        assert_eq!(pusher.no(&request, b""), "missing", "{name}");
    }
    // Nor is a file of somebody else's, which a hard link could bring here.
    if is_root("artifacts_come_back_and_nothing_else_does") {
        let path = fleet.job(&id, "artifacts/alien");
        std::fs::write(&path, "x").expect("write");
        chown(&path, Some(NOBODY), None).expect("chown");
        assert_eq!(pusher.no(&format!("get job={id} artifact=alien"), b""), "missing");
    }
    // What a job hands back has its bound as what it was given has.
    fleet.here.trust(&[(&fleet.ci, &format!("ci {} max-size=1M", own_user()))]);
    assert_eq!(pusher.no(&format!("get job={id} artifact=large"), b""), "limit");
    pusher.yes(&format!("get job={id} artifact=empty"), b"");
}

#[test]
fn scripts_are_listed_and_run_by_name() {
    let fleet = fleet();
    assert!(fleet.ci().list("scripts").is_empty());
    for (name, mode) in [("good", 0o755), ("loose", 0o777)] {
        let path =
            fleet.here.sandbox.write(&format!("scripts/{name}"), "#!/bin/sh\necho \"<$1>\"\n");
        crate::support::set_mode(&path, mode);
    }
    crate::support::set_mode(&fleet.here.sandbox.path("scripts"), 0o755);
    let line =
        format!("ci {} scripts={}", own_user(), fleet.here.sandbox.path("scripts").display());
    fleet.here.trust(&[(&fleet.ci, &line)]);
    let mut pusher = fleet.ci();
    let listed = pusher.list("scripts");
    assert_eq!(listed.iter().filter_map(|l| l.text("name")).collect::<Vec<_>>(), ["good"]);
    let id = job_id();
    let spec = "name good\narg a%20b\n";
    let (request, body) = pusher.request(&id, spec, b"", b"");
    pusher.yes(&request, &body);
    assert_eq!(pusher.follow(&id).out, b"<a b>\n");
    for (spec, code) in [
        ("command true\n", "denied"),
        ("name .good\n", "denied"),
        ("name ..%2Fgood\n", "malformed"),
    ] {
        let (request, body) = pusher.request(&job_id(), spec, b"", b"");
        assert_eq!(pusher.no(&request, &body), code, "{spec}");
    }
}

/// A job may close what it hands back to octo-exec, where that is not root.
#[test]
fn an_artifact_that_cannot_be_read_hides_no_other() {
    let (here, ci) = (Side::new(cargo_bin!("octo-listen")), Side::new(cargo_bin!("octo-listen")));
    here.trust(&[(&ci, "ci")]);
    let mut command = here.command("octo-listen");
    if geteuid().is_root() {
        std::fs::create_dir(here.sandbox.state("")).expect("mkdir");
        for path in [here.sandbox.state(""), here.sandbox.config("identity.pem")] {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
        }
        command = here.command_as(NOBODY, "octo-listen");
    }
    let tentacle = Tentacle::with(&here, command.args(["-l", "127.0.0.1:0"]), 1);
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    let id = job_id();
    let text = "cd $OCTO_ARTIFACTS; for name in a b c; do echo $name >$name; done; chmod 0 b";
    assert_eq!(pusher.run(&id, text).word(), "ok");
    assert_eq!(pusher.follow(&id).code, 0);
    let listed = pusher.list(&format!("get job={id}"));
    let names: Vec<&str> = listed.iter().filter_map(|line| line.text("name")).collect();
    assert_eq!(names, ["a", "c"]);
    let reply = pusher.yes(&format!("get job={id} artifact=c"), b"");
    assert_eq!(pusher.body(&reply), b"c\n");
    assert_eq!(pusher.no(&format!("get job={id} artifact=b"), b""), "missing");
    let end = std::fs::read_to_string(here.sandbox.state("jobs").join(&id).join("end"));
    assert!(end.expect("an end").contains("its%20artifact%20b%20is%20not%20kept:%20permission"));
}

#[test]
fn heads_that_it_gave_are_proved() {
    let fleet = fleet();
    let mut pusher = fleet.ci();
    let head = pusher.yes("status", b"").text("audit").expect("a head").to_string();
    let (seq, hash) = head.split_once(':').expect("SEQ:HASH");
    let (seq, hash) = (seq.to_string(), hash.to_string());
    pusher.put(&[7; 10]);
    pusher.yes(&format!("audit seq={seq} head={hash}"), b"");
    let other = Digest::of(b"x");
    assert_eq!(pusher.no(&format!("audit seq={seq} head={other}"), b""), "mismatch");
    assert_eq!(pusher.no(&format!("audit seq=1000 head={other}"), b""), "mismatch");
    let listen = || fleet.here.sandbox.tool("octo-listen");
    listen().arg("--check-audit").assert().code(0);
    let with_head = |head: &str| listen().args(["--check-audit", "--head", head]).assert();
    with_head(&head).code(0);
    with_head(&format!("{seq}:{other}")).code(65).stderr(predicates::str::contains(&seq));
    with_head(&format!("1000:{other}")).code(65);
    with_head("1000").code(64);
    // A copy of the log, anywhere.
    let log = fleet.here.sandbox.state("listen/audit.log");
    let copy = fleet.here.sandbox.path("copy");
    std::fs::copy(&log, &copy).expect("copy");
    let both = listen().arg("--check-audit").assert().get_output().stdout.clone();
    let both = String::from_utf8(both).expect("text");
    let whole = both.lines().find_map(|line| line.split_once("listen/audit.log: "));
    let whole = format!("{}\n", whole.expect("the listener's").1);
    let check = |head: &str| {
        let mut command = listen();
        command.args(["--check-audit", "--head", head]).arg(&copy).assert()
    };
    check(&head).code(0).stdout(whole);
    check(&format!("{seq}:{other}")).code(65).stderr(predicates::str::contains(&seq));
    listen().args(["--head", &head]).assert().code(64);
    // Every reply moved the chain, refusals too.
    let log = std::fs::read_to_string(fleet.here.sandbox.state("listen/audit.log")).expect("read");
    for event in [" accepted ", " status ", " put ", " stored ", " audit ", " denied "] {
        assert!(log.contains(event), "{event} is not in {log}");
    }
    let edited = log.replace("size=10 ", "size=11 ");
    assert_ne!(edited, log);
    std::fs::write(fleet.here.sandbox.state("listen/audit.log"), edited).expect("write");
    let found = listen().arg("--check-audit").assert().code(65);
    let said = String::from_utf8_lossy(&found.get_output().stderr).into_owned();
    let (_, line) = said.split_once("audit.log:").expect("the file");
    assert!(line.starts_with(|c: char| c.is_ascii_digit()), "{said}");
    assert_eq!(pusher.no(&format!("audit seq={seq} head={hash}"), b""), "mismatch");
}

#[test]
fn what_cannot_be_audited_is_not_done() {
    let fleet = fleet();
    let id = job_id();
    let mut pusher = fleet.ci();
    assert_eq!(pusher.run(&id, "sleep 300").word(), "ok");
    wait_for("its start", || fleet.job(&id, "started").exists());
    let log = fleet.here.sandbox.state("listen/audit.log");
    std::fs::remove_file(&log).expect("remove");
    std::fs::create_dir(&log).expect("mkdir");
    let package = [7; 10];
    let put = format!("put sha256={} size=10 name=x", Digest::of(&package));
    assert_eq!(pusher.no(&put, b""), "io");
    assert_eq!(pusher.run(&job_id(), "true").text("code"), Some("io"));
    pusher.yes("status", b"");
    pusher.cancel(&id);
    assert_eq!(pusher.follow(&id).kind, "cancelled");
    assert!(!fleet.packages(&Digest::of(&package).to_string()).exists());
}
