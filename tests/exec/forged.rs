//! Job directories that a listener without privileges forged.

use crate::jobs::{Draft, end, trust};
use crate::sandbox;
use crate::support::{NOBODY, is_root, set_mode, wait_for};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

#[test]
fn a_directory_that_an_unprivileged_listener_forged_gains_nothing() {
    if !is_root("a_directory_that_an_unprivileged_listener_forged_gains_nothing") {
        return;
    }
    let sandbox = sandbox();
    set_mode(&sandbox.path(""), 0o711);
    trust(&sandbox, "user=nobody hold");
    let forge = |spec: &str, pusher: bool| {
        let job = Draft::pushed(spec).publish(&sandbox);
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
    let job = Draft::pushed(&format!("script {digest} late\n")).publish(&sandbox);
    give(job.path());
    sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    assert!(job.file("held").exists());
    let script = job.file("script");
    std::fs::write(&script, "echo late\n").expect("write");
    chown(&script, Some(NOBODY), Some(NOBODY)).expect("chown");
    sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
    assert_eq!(script.metadata().expect("stat").uid(), 0);
    // We died right after we took the directory: it is no job by hand of ours.
    let job = Draft::pushed("command true\n").publish(&sandbox);
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
