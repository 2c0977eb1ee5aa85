//! hold: jobs that wait for an operator, and what exactly he approves.

use crate::jobs::{Draft, end, own_user, submit, trust};
use crate::sandbox;
use crate::support::{Sandbox, stdout_of, wait_for};
use octo_core::tentacle::job::JobDirectory;
use predicates::str::contains;
use std::path::PathBuf;

#[test]
fn a_job_that_waited_too_long_never_runs() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={}", own_user()));
    let old = Draft { received: "2026-01-01T00:00:00Z".into(), ..Draft::pushed("command true\n") };
    let job = old.submit(&sandbox);
    assert_eq!((end(&job).0.as_str(), end(&job).1), ("expired", 75));
    assert!(!job.file("started").exists());
}

#[test]
fn a_held_job_waits_for_exactly_what_was_approved() {
    let sandbox = sandbox();
    let user = own_user();
    trust(&sandbox, &format!("user={user} hold"));
    let job = submit(&sandbox, "command echo%20approved\n");
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
        Draft { script: Some(script.as_bytes()), ..Draft::pushed(&spec) }.submit(&sandbox)
    };
    for (name, script) in [("x.sh", "echo 1\n"), ("y.sh", "echo y\n"), ("x.sh", "echo 2\n")] {
        let job = hold(name, script);
        sandbox.tool("octo-exec").args(["approve", job.id().as_str()]).assert().success();
        wait_for("its end", || job.end().expect("readable").is_some());
        if script == "echo 1\n" {
            // Approvals are told apart by the second.
            let digest = octo_core::Digest::of(b"it");
            let approved = format!("digest {digest}\noperator me@here 2026-01-01T00:00:00Z\n");
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
fn nothing_hides_a_script_from_who_approves_it() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={} hold", own_user()));
    let held = |script: &[u8]| {
        let spec = format!("script {} x.sh\n", octo_core::Digest::of(script));
        Draft { script: Some(script), ..Draft::pushed(&spec) }.submit(&sandbox)
    };
    let shown =
        |job: &JobDirectory| stdout_of(sandbox.tool("octo-exec").args(["show", job.id().as_str()]));
    // diff calls one with a NUL byte binary, and says no more of it.
    let said = shown(&held(b"echo evil\nexit 0\n\0"));
    assert!(said.contains("+echo evil\n"), "{said}");
    // Of two large ones it may take minutes, for each job that is held.
    let job = held("echo 1\n".repeat(200_000).as_bytes());
    let said = shown(&job);
    let path = job.file("script").display().to_string();
    assert!(said.contains("too large to be shown here") && said.contains(&path), "{said}");
}

#[test]
fn an_approval_is_no_longer_worth_anything_after_its_time() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={} hold", own_user()));
    // Held for too long: nobody can approve it any more.
    let job = submit(&sandbox, "command true\n");
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
    let job = submit(&sandbox, "command true\n");
    let held = job.record("held").expect("readable").expect("held");
    let digest = held.first("digest").expect("a digest");
    let approved = format!("digest {digest}\noperator me@here 2026-01-01T00:00:00Z\n");
    std::fs::write(job.file("approved"), approved).expect("write");
    sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    assert_eq!(end(&job).0, "expired");
    assert!(!job.file("started").exists());
}

/// Who approved it was killed before it was started, or there was no process left for it.
#[test]
fn what_is_approved_and_was_not_started_is_approved_once_more() {
    let sandbox = sandbox();
    trust(&sandbox, &format!("user={} hold", own_user()));
    let job = submit(&sandbox, "command true\n");
    let held = job.record("held").expect("readable").expect("held");
    let digest = held.first("digest").expect("a digest");
    let now = octo_core::base::cli::utc_now();
    std::fs::write(job.file("approved"), format!("digest {digest}\noperator me@here {now}\n"))
        .expect("write");
    let listed = stdout_of(sandbox.tool("octo-exec").arg("list"));
    assert!(listed.contains(" queued "), "{listed}");
    let approve = ["approve", job.id().as_str(), digest];
    sandbox.tool("octo-exec").args(approve).assert().success();
    wait_for("its end", || job.end().expect("readable").is_some());
    assert_eq!(end(&job).0, "exit");
    let over = sandbox.tool("octo-exec").args(approve).assert().code(65);
    over.stderr(contains("is not held: exit"));
}

/// A job that was approved and waits for the lock db, and the file that ends its wait.
fn approved_and_waiting(sandbox: &Sandbox, spec: &str) -> (JobDirectory, PathBuf) {
    let go = sandbox.path("go");
    let holder = format!("until test -e {}; do sleep .02; done", go.display());
    let mut run = sandbox.tool("octo-exec");
    let holder = stdout_of(run.args(["run", "-D", "-L", "db", "-c", &holder]));
    let holder = sandbox.state("jobs").join(holder.trim());
    wait_for("the holder's start", || holder.join("started").exists());
    let job = submit(sandbox, &format!("{spec}lock db exclusive 60\n"));
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
    let job = submit(&sandbox, "command true\n");
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
