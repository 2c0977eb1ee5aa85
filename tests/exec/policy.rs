//! octo-exec job: decides for itself, whoever published the job.

use crate::support::{NOBODY, Sandbox, is_root, set_mode, stdout_of, wait_for};
use assert_cmd::cargo::cargo_bin;
use octo_core::base::paths::Places;
use octo_core::tentacle::job::{JobDirectory, JobRequest, NewJob, Published, Pusher};
use octo_core::{JobId, PusherName, Thumbprint};
use predicates::prelude::*;
use predicates::str::contains;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

fn sandbox() -> Sandbox {
    Sandbox::new(cargo_bin!("octo-exec"))
}

fn thumbprint() -> Thumbprint {
    Thumbprint::of_certificate(b"a pusher")
}

fn places(sandbox: &Sandbox) -> Places {
    Places { config: sandbox.path("config"), state: sandbox.path("state") }
}

fn trust(sandbox: &Sandbox, options: &str) {
    let path = sandbox.write("config/trusted", format!("{} ci {options}\n", thumbprint()));
    set_mode(&path, 0o644);
}

/// Publishes a job as a listener would, and brings it forward.
fn submit(sandbox: &Sandbox, spec: &str, received: Option<&str>) -> JobDirectory {
    let job = publish(sandbox, spec, received);
    sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    job
}

fn publish(sandbox: &Sandbox, spec: &str, received: Option<&str>) -> JobDirectory {
    publish_with(sandbox, spec, received, None)
}

fn publish_with(
    sandbox: &Sandbox,
    spec: &str,
    received: Option<&str>,
    script: Option<&[u8]>,
) -> JobDirectory {
    let id = JobId::generate().expect("an id");
    let received = received.map_or_else(octo_core::base::cli::utc_now, str::to_string);
    let pusher = Pusher {
        thumbprint: thumbprint(),
        name: PusherName::parse("ci").expect("a name"),
        address: Some([10, 1, 2, 3].into()),
    };
    let request = JobRequest { pusher: Some(pusher), by: "me@laptop".into(), received };
    let new = NewJob { id: &id, request: &request, spec: spec.as_bytes(), script, secrets: None };
    match new.publish(&places(sandbox)).expect("publish") {
        Published::New(job) => job,
        other => panic!("{other:?}"),
    }
}

fn end(job: &JobDirectory) -> (String, u8, String) {
    let end = job.end().expect("readable").expect("an end");
    (end.kind.word().to_string(), end.kind.code(), end.reason.unwrap_or_default())
}

fn own_user() -> String {
    let mut id = assert_cmd::Command::new("id");
    stdout_of(id.arg("-un")).trim().to_string()
}

#[test]
fn it_believes_the_trust_file_and_nothing_else() {
    let sandbox = sandbox();
    let user = own_user();
    let mark = sandbox.path("ran");
    let spec = format!("command touch%20{}\n", mark.display());
    for (options, kind, code) in [
        (format!("user={user} allow=status"), "denied", 77),
        (format!("user={user} from=192.168.0.0/16"), "denied", 77),
        (format!("user={user} expires=2020-01-01"), "denied", 77),
        (format!("user={user} scripts={}", sandbox.path("none").display()), "denied", 77),
        (format!("user={user} nonsense"), "denied", 75),
        (
            "user=no-such-user-here".to_string(),
            "denied",
            if is_root("missing user") { 78 } else { 77 },
        ),
    ] {
        trust(&sandbox, &options);
        let (was, with, reason) = end(&submit(&sandbox, &spec, None));
        assert_eq!((was.as_str(), with), (kind, code), "{options}: {reason}");
        assert!(!mark.exists(), "{options}");
    }
    std::fs::remove_file(sandbox.config("trusted")).expect("remove");
    assert_eq!(end(&submit(&sandbox, &spec, None)).1, 75);
    assert!(!mark.exists());
    trust(&sandbox, &format!("user={user} from=10.0.0.0/8 set=APP=shop"));
    assert_eq!(end(&submit(&sandbox, &spec, None)).0, "exit");
    assert!(mark.exists());
}

#[test]
fn the_sysadmins_variables_and_limits_win() {
    let sandbox = sandbox();
    let user = own_user();
    trust(
        &sandbox,
        &format!("user={user} set=BASE=/srv/a set=OCTO_APPS=shop max-log=4K timeout=1s"),
    );
    let job = submit(
        &sandbox,
        "command echo%20%24BASE%20%24OCTO_APPS%20%24OCTO_PUSHER\nenv BASE /evil\n",
        None,
    );
    assert_eq!(std::fs::read(job.file("log")).expect("log"), b"/srv/a shop ci\n");
    let job = submit(&sandbox, "command head%20-c%2010000%20/dev/zero\n", None);
    let record = job.end().expect("readable").expect("an end");
    assert!(record.truncated && record.log == 4096, "{record:?}");
    let job = submit(&sandbox, "command sleep%2060\ntimeout 3600\ngrace 1\n", None);
    assert_eq!(end(&job).0, "timeout");
}

#[test]
fn a_job_that_waited_too_long_never_runs() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={}", own_user()));
    let job = submit(&sandbox, "command true\n", Some("2026-01-01T00:00:00Z"));
    assert_eq!((end(&job).0.as_str(), end(&job).1), ("expired", 75));
    assert!(!job.file("started").exists());
}

#[test]
fn a_held_job_waits_for_exactly_what_was_approved() {
    let sandbox = sandbox();
    let user = own_user();
    trust(&sandbox, &format!("user={user} hold"));
    let job = submit(&sandbox, "command echo%20approved\n", None);
    let id = job.id().as_str();
    assert!(job.end().expect("readable").is_none());
    let listed = stdout_of(sandbox.tool("octo-exec").args(["list", "--held"]));
    assert!(
        listed.contains(id) && listed.contains("me@laptop") && listed.contains("spec "),
        "{listed}"
    );
    let mut wrong = sandbox.tool("octo-exec");
    wrong
        .args(["approve", id, &"0".repeat(64)])
        .assert()
        .code(65)
        .stderr(contains("is not what you saw"));
    // Another line, and the approval is for something else.
    let shown = stdout_of(sandbox.tool("octo-exec").args(["show", id]));
    let digest =
        shown.lines().find_map(|l| l.trim().strip_prefix("digest ")).expect("a digest").to_string();
    trust(&sandbox, &format!("user={user} hold set=EVIL=1"));
    let before = std::fs::read(job.file("held")).expect("held");
    sandbox.tool("octo-exec").args(["approve", id, &digest]).assert().success();
    // Until the started octo-exec has looked at the job and held it anew.
    wait_for("a new approval", || std::fs::read(job.file("held")).expect("held") != before);
    wait_for("the old one's end", || !job.file("approved").exists());
    assert!(job.end().expect("readable").is_none(), "what was approved was another line");
    sandbox.tool("octo-exec").args(["approve", id]).assert().success();
    wait_for("its end", || job.end().expect("readable").is_some());
    assert_eq!(std::fs::read(job.file("log")).expect("log"), b"approved\n");
    let audit = std::fs::read_to_string(sandbox.state("audit.log")).expect("audit");
    assert!(audit.contains("approve") && audit.contains(id));
}

#[test]
fn a_held_script_is_shown_beside_the_last_of_its_name_that_was_approved() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={} hold", own_user()));
    let hold = |name: &str, script: &str| {
        let spec = format!("script {} {name}\n", octo_core::Digest::of(script.as_bytes()));
        let job = publish_with(&sandbox, &spec, None, Some(script.as_bytes()));
        sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
        job
    };
    for (name, script) in [("x.sh", "echo 1\n"), ("y.sh", "echo y\n"), ("x.sh", "echo 2\n")] {
        let job = hold(name, script);
        sandbox.tool("octo-exec").args(["approve", job.id().as_str()]).assert().success();
        wait_for("its end", || job.end().expect("readable").is_some());
        if script == "echo 1\n" {
            // Approvals are told apart by the second.
            let approved = "digest x\nby me\nat 2026-01-01T00:00:00Z\n";
            std::fs::write(job.file("approved"), approved).expect("write");
        }
    }
    let job = hold("x.sh", "echo 3\n");
    for arguments in [&["list", "--held"][..], &["show", job.id().as_str()]] {
        let shown = stdout_of(sandbox.tool("octo-exec").args(arguments));
        assert!(shown.contains("-echo 2\n") && shown.contains("+echo 3\n"), "{shown}");
        assert!(!shown.contains("echo 1") && !shown.contains("echo y"), "{shown}");
    }
}

#[test]
fn an_approval_is_no_longer_worth_anything_after_its_time() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={} hold", own_user()));
    // Held for too long: nobody can approve it any more.
    let job = submit(&sandbox, "command true\n", None);
    let id = job.id().as_str();
    let mut held = job.record("held").expect("readable").expect("held").encode();
    let since = held.lines().find(|l| l.starts_with("since ")).expect("since").to_string();
    held = held.replace(&since, "since 2026-01-01T00:00:00Z");
    std::fs::write(job.file("held"), held).expect("write");
    let mut approve = sandbox.tool("octo-exec");
    approve.args(["approve", id]).assert().code(65).stderr(contains("expired"));
    wait_for("its end", || job.end().expect("readable").is_some());
    assert_eq!(end(&job).0, "expired");
    // Approved, and nobody started it: as a queued one.
    let job = submit(&sandbox, "command true\n", None);
    let held = job.record("held").expect("readable").expect("held");
    let digest = held.first("digest").expect("a digest");
    let approved = format!("digest {digest}\nby me\nat 2026-01-01T00:00:00Z\n");
    std::fs::write(job.file("approved"), approved).expect("write");
    sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    assert_eq!(end(&job).0, "expired");
    assert!(!job.file("started").exists());
}

/// A job that was approved and waits for the lock db, and the file that ends its wait.
fn approved_and_waiting(sandbox: &Sandbox, spec: &str) -> (JobDirectory, PathBuf) {
    let go = sandbox.path("go");
    let holder = format!("until test -e {}; do sleep .02; done", go.display());
    let mut run = sandbox.tool("octo-exec");
    let holder = stdout_of(run.args(["run", "-D", "-L", "db", "-c", &holder]));
    let holder = sandbox.state("jobs").join(holder.trim());
    wait_for("the holder's start", || holder.join("started").exists());
    let job = submit(sandbox, &format!("{spec}lock db exclusive 60\n"), None);
    sandbox.tool("octo-exec").args(["approve", job.id().as_str()]).assert().success();
    wait_for("the wait for db", || job.file("waiting").exists());
    (job, go)
}

#[test]
fn a_script_swapped_while_its_approved_job_waits_for_a_lock_never_runs() {
    let sandbox = sandbox();
    let script = sandbox.write("scripts/hello", "echo approved\n");
    let directory = sandbox.path("scripts");
    trust(&sandbox, &format!("user={} hold scripts={}", own_user(), directory.display()));
    let (job, go) = approved_and_waiting(&sandbox, "name hello\n");
    std::fs::write(&script, "echo swapped\n").expect("write");
    std::fs::write(&go, "").expect("write");
    wait_for("its end", || job.end().expect("readable").is_some());
    let (kind, code, reason) = end(&job);
    assert_eq!((kind.as_str(), code), ("denied", 77));
    assert!(reason.contains("changed after it was approved"), "{reason}");
    assert!(!job.file("started").exists());
}

/// A comment above its line moves the line; what it grants is the same.
#[test]
fn a_line_that_moved_while_its_approved_job_waits_for_a_lock_still_grants_it() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={} hold", own_user()));
    let (job, go) = approved_and_waiting(&sandbox, "command true\n");
    let trusted = sandbox.config("trusted");
    let lines = std::fs::read_to_string(&trusted).expect("read");
    std::fs::write(&trusted, format!("# the pipeline\n{lines}")).expect("write");
    std::fs::write(&go, "").expect("write");
    wait_for("its end", || job.end().expect("readable").is_some());
    assert_eq!(end(&job), ("exit".into(), 0, String::new()));
}

#[test]
fn a_denied_job_says_why_and_never_runs() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={} hold", own_user()));
    let job = submit(&sandbox, "command true\n", None);
    let id = job.id().as_str();
    sandbox.tool("octo-exec").args(["deny", id, "not", "today"]).assert().success();
    let (kind, code, reason) = end(&job);
    assert_eq!((kind.as_str(), code), ("denied", 77));
    assert!(reason.contains("not today"), "{reason}");
    sandbox
        .tool("octo-exec")
        .args(["approve", id])
        .assert()
        .code(65)
        .stderr(contains("is not held"));
    sandbox.tool("octo-exec").arg("start").assert().success();
    assert!(!job.file("started").exists());
}

#[test]
fn installed_scripts_are_named_and_cant_be_escaped() {
    let sandbox = sandbox();
    let script = sandbox.write("scripts/hello", "#!/bin/sh\necho \"hello $1 $OCTO_NAMED\"\n");
    set_mode(&script, 0o755);
    sandbox.write("secret", "echo no");
    let directory = sandbox.path("scripts");
    trust(&sandbox, &format!("user={} scripts={}", own_user(), directory.display()));
    let job = submit(&sandbox, "name hello\narg you\n", None);
    assert_eq!(std::fs::read(job.file("log")).expect("log"), b"hello you 1\n");
    for (spec, code) in [("name nothing\n", 65), ("command id\n", 77), ("name .hidden\n", 77)] {
        assert_eq!(end(&submit(&sandbox, spec, None)).1, code, "{spec}");
    }
    // A link out of the directory is as good as what it leads to.
    std::os::unix::fs::symlink("../secret", directory.join("link")).expect("symlink");
    set_mode(&sandbox.path("secret"), 0o666);
    assert_eq!(end(&submit(&sandbox, "name link\n", None)).1, 78);
    set_mode(&sandbox.path("secret"), 0o644);
    assert_eq!(end(&submit(&sandbox, "name link\n", None)).0, "exit");
    set_mode(&directory, 0o777);
    assert_eq!(end(&submit(&sandbox, "name hello\n", None)).1, 78);
}

#[test]
fn jobs_run_as_the_user_of_their_line_and_no_more() {
    if !is_root("jobs_run_as_the_user_of_their_line_and_no_more") {
        return;
    }
    let sandbox = sandbox();
    set_mode(&sandbox.path(""), 0o711);
    trust(&sandbox, "user=nobody");
    let secret = sandbox.write("secret", "x");
    set_mode(&secret, 0o600);
    let script = format!(
        "id -un; id -G; cat {0} 2>&1 | grep -c denied; cat $OCTO_OUTPUT && echo V=1 >>$OCTO_OUTPUT; \
         touch ../end ../log ../grant 2>/dev/null || echo no; echo x >../log; grep NoNewPrivs /proc/self/status; echo $HOME; pwd -P >/dev/null && echo here",
        secret.display()
    );
    let spec = format!("command {}\n", octo_core::base::encoding::encode(script.as_bytes()));
    let job = submit(&sandbox, &spec, None);
    let log = std::fs::read_to_string(job.file("log")).expect("log");
    let groups = stdout_of(assert_cmd::Command::new("id").args(["-G", "nobody"]));
    assert!(log.starts_with(&format!("nobody\n{groups}1\n")), "{log}");
    assert!(
        log.contains("no\n") && log.contains("NoNewPrivs:\t1") && log.contains("here\n"),
        "{log}"
    );
    assert_eq!(end(&job).0, "exit");
    assert_eq!(std::fs::read(job.file("outputs")).expect("outputs"), b"V=1\n");
    let metadata = job.path().metadata().expect("stat");
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o750));
    assert_eq!(job.file("end").metadata().expect("stat").uid(), 0);
}

#[test]
fn a_directory_that_an_unprivileged_listener_forged_gains_nothing() {
    if !is_root("a_directory_that_an_unprivileged_listener_forged_gains_nothing") {
        return;
    }
    let sandbox = sandbox();
    set_mode(&sandbox.path(""), 0o711);
    trust(&sandbox, "user=nobody hold");
    let forge = |spec: &str, pusher: bool| {
        let job = publish(&sandbox, spec, None);
        if !pusher {
            std::fs::write(job.file("request"), "by me\nreceived 2099-01-01T00:00:00Z\n")
                .expect("write");
        }
        // What a listener that was broken into could leave there.
        std::fs::write(job.file("grant"), "line 1\nuser root\nsudo yes\n").expect("write");
        std::fs::write(job.file("approved"), "digest 0\n").expect("write");
        std::os::unix::fs::symlink("/etc/passwd", job.file("values")).expect("symlink");
        give(job.path());
        job
    };
    let mark = sandbox.path("ran");
    let spec = format!("command touch%20{}\n", mark.display());
    // No pusher: a job by hand, it says, of a user that is not root.
    let job = forge(&spec, false);
    sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    assert_eq!(end(&job).1, 77);
    // Approved, it says.
    let job = forge(&spec, true);
    sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    assert!(job.end().expect("readable").is_none());
    assert!(job.file("held").exists() && !job.file("approved").exists());
    let metadata = job.path().metadata().expect("stat");
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o1771));
    // Its link is gone, and its files are ours.
    assert!(std::fs::symlink_metadata(job.file("values")).is_err());
    assert_eq!(job.file("spec").metadata().expect("stat").uid(), 0);
    assert!(!mark.exists());
    // The listener's user still can ask for its end, and touch nothing else.
    let try_as = |command: &str| {
        let mut shell = assert_cmd::Command::new("setpriv");
        shell.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", command]);
        shell.current_dir(job.path()).output().expect("run").status.success()
    };
    assert!(try_as("cat spec held >/dev/null && echo by%20x >cancel"));
    assert!(
        !try_as("echo x >spec")
            && !try_as("rm held")
            && !try_as("mv held x")
            && !try_as("mv lock x; test ! -e lock")
    );
    // An operator's own approval counts, and the job runs as the line says.
    std::fs::remove_file(job.file("cancel")).expect("remove");
    sandbox.tool("octo-exec").args(["approve", job.id().as_str()]).assert().success();
    wait_for("its end", || job.end().expect("readable").is_some());
    assert!(!mark.exists(), "nobody can't write there");
}

#[test]
fn what_a_listener_adds_to_a_job_that_was_taken_over_becomes_a_copy() {
    if !is_root("what_a_listener_adds_to_a_job_that_was_taken_over_becomes_a_copy") {
        return;
    }
    let sandbox = sandbox();
    trust(&sandbox, "user=nobody hold");
    let digest = octo_core::Digest::of(b"echo late\n");
    let job = publish(&sandbox, &format!("script {digest} late\n"), None);
    give(job.path());
    sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    assert!(job.file("held").exists());
    let script = job.file("script");
    std::fs::write(&script, "echo late\n").expect("write");
    chown(&script, Some(NOBODY), Some(NOBODY)).expect("chown");
    sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    assert_eq!(script.metadata().expect("stat").uid(), 0);
    // We died right after we took the directory: it is no job by hand of ours.
    let job = publish(&sandbox, "command true\n", None);
    std::fs::write(job.file("request"), "by me\nreceived 2099-01-01T00:00:00Z\n").expect("write");
    give(job.path());
    chown(job.path(), Some(0), None).expect("chown");
    sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    assert_eq!((end(&job).0.as_str(), end(&job).1), ("denied", 77));
}

fn give(path: &Path) {
    for entry in std::fs::read_dir(path).expect("read").flatten() {
        std::os::unix::fs::lchown(entry.path(), Some(NOBODY), Some(NOBODY)).expect("chown");
    }
    chown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
}

#[test]
fn an_audit_that_cant_be_written_lets_nothing_start() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={}", own_user()));
    std::fs::create_dir_all(sandbox.state("audit.log")).expect("mkdir");
    let mark = sandbox.path("ran");
    let job = submit_any(&sandbox, &format!("command touch%20{}\n", mark.display()));
    assert_eq!(end(&job).0, "denied");
    assert!(!mark.exists());
    let mut run = sandbox.tool("octo-exec");
    run.args(["run", "-c", "echo ran"]).assert().stdout("").stderr(contains("audit.log")).failure();
    assert!(predicate::path::missing().eval(&mark));
}

fn submit_any(sandbox: &Sandbox, spec: &str) -> JobDirectory {
    let job = publish(sandbox, spec, None);
    sandbox.tool("octo-exec").arg("job").arg(job.path()).output().expect("run");
    job
}
