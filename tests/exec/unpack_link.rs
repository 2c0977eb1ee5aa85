//! `octo-exec unpack --link`: what is the same as in the former release is that very file.

use crate::sandbox;
use crate::support::random::Random;
use crate::support::{Sandbox, can_inject, set_mode, wait_for};
use crate::tar::{archive, directory, file, hardlink, symlink};
use crate::unpack::{seconds_of, unpack};
use predicates::str::contains;
use std::os::unix::fs::MetadataExt;

const LINKED: [&str; 9] =
    ["--time", "2000", "--link", "--like", "1.0", "--like-manifest", "m1", "--manifest", "m2"];

/// The former release, of this.
fn released(sandbox: &Sandbox, bytes: &[u8]) {
    let words = ["--time", "1000", "--manifest", "m1"];
    unpack(sandbox, &words, bytes, "1.0").assert().success();
}

fn inode(sandbox: &Sandbox, path: &str) -> u64 {
    sandbox.path(path).symlink_metadata().expect("stat").ino()
}

/// Is it one file in both releases?
fn is_one(sandbox: &Sandbox, path: &str) -> bool {
    inode(sandbox, &format!("1.0/{path}")) == inode(sandbox, &format!("2.0/{path}"))
}

/// Whatever was written or linked, the release holds what its manifest says.
fn assert_verified(sandbox: &Sandbox, manifest: &str, release: &str) {
    sandbox.tool("octo-exec").args(["verify", manifest, release]).assert().success().stdout("");
}

#[test]
fn what_is_the_same_is_one_file_and_what_is_not_is_whole() {
    let sandbox = sandbox();
    // Compared in several pieces; what differs does so at the beginning, in the midst, at the end.
    let large = Random(1).bytes(300_000);
    let differs = |at: usize| {
        let mut bytes = large.clone();
        bytes[at] ^= 1;
        bytes
    };
    released(
        &sandbox,
        &archive(&[
            file("d/same", &large),
            file("empty", ""),
            file("first", &large),
            file("midst", &large),
            file("last", &large),
            file("longer", &large),
            file("shorter", &large),
            file("runs", "x"),
            file("private", "x"),
            file("kind", "x"),
            file("a", "one"),
            hardlink("b", "a"),
        ]),
    );
    let second = archive(&[
        file("d/same", &large),
        file("empty", ""),
        file("first", differs(0)),
        file("midst", differs(150_000)),
        file("last", differs(299_999)),
        file("longer", [&large[..], b"x"].concat()),
        file("shorter", &large[..299_999]),
        file("runs", "x").mode(0o755),
        file("private", "x").mode(0o600),
        symlink("kind", "d"),
        file("a", "one"),
        hardlink("b", "a"),
        file("new", "x"),
    ]);
    unpack(&sandbox, &LINKED, &second, "2.0").assert().success();
    for path in ["d/same", "empty", "a", "b"] {
        assert!(is_one(&sandbox, path), "{path}");
        assert_eq!(seconds_of(&sandbox.path("2.0").join(path)), (1000, 0), "{path}");
    }
    for path in ["first", "midst", "last", "longer", "shorter", "runs", "private", "kind"] {
        assert!(!is_one(&sandbox, path), "{path}");
    }
    for at in [0, 150_000, 299_999] {
        let name = ["first", "midst", "last"][at / 140_000];
        assert!(std::fs::read(sandbox.path("2.0").join(name)).expect("read") == differs(at));
    }
    assert_eq!(seconds_of(&sandbox.path("2.0/midst")), (2000, 0));
    assert_verified(&sandbox, "m2", "2.0");
    // The former one is as it was.
    assert_verified(&sandbox, "m1", "1.0");
}

#[test]
fn who_reads_a_link_or_gets_more_rights_by_it_gets_a_copy() {
    let sandbox = sandbox();
    let is_root = rustix::process::geteuid().is_root();
    let bytes = archive(&[
        file("d/file", "x"),
        file("link", "x"),
        file("pipe", "x"),
        file("noted", "x"),
        file("closed", "x"),
        file("own", "x"),
    ]);
    released(&sandbox, &bytes);
    let former = |path: &str| sandbox.path("1.0").join(path);
    // A link on the way to it, or in its place.
    std::fs::rename(former("d"), former("e")).expect("mv");
    std::os::unix::fs::symlink("e", former("d")).expect("symlink");
    std::fs::rename(former("link"), former("other")).expect("mv");
    std::os::unix::fs::symlink("other", former("link")).expect("symlink");
    std::fs::remove_file(former("pipe")).expect("rm");
    let made = std::process::Command::new("mkfifo").arg(former("pipe")).status();
    assert!(made.expect("mkfifo").success());
    set_mode(&former("closed"), 0o664);
    let has_attribute =
        rustix::fs::setxattr(former("noted"), "user.note", b"x", rustix::fs::XattrFlags::empty())
            .is_ok();
    if is_root {
        std::os::unix::fs::chown(former("own"), Some(1), None).expect("chown");
    }
    unpack(&sandbox, &LINKED, &bytes, "2.0").assert().success();
    assert_verified(&sandbox, "m2", "2.0");
    let of = |path: &str| sandbox.path("2.0").join(path).symlink_metadata().expect("stat");
    for path in ["d/file", "link", "pipe", "closed"] {
        assert!(of(path).is_file() && of(path).nlink() == 1, "{path}");
    }
    assert_eq!(of("noted").nlink(), if has_attribute { 1 } else { 2 });
    assert_eq!(of("own").nlink(), if is_root { 1 } else { 2 });
}

#[test]
fn what_is_private_is_one_file_for_the_same_group_only() {
    let sandbox = sandbox();
    let bytes = archive(&[file("private", "x").mode(0o600), file("open", "x")]);
    released(&sandbox, &bytes);
    unpack(&sandbox, &LINKED, &bytes, "2.0").assert().success();
    assert!(is_one(&sandbox, "private") && is_one(&sandbox, "open"));
    if !rustix::process::geteuid().is_root() {
        return;
    }
    std::os::unix::fs::chown(sandbox.path("1.0/private"), None, Some(7)).expect("chgrp");
    std::os::unix::fs::chown(sandbox.path("1.0/open"), None, Some(7)).expect("chgrp");
    std::fs::remove_dir_all(sandbox.path("2.0")).expect("rm");
    unpack(&sandbox, &LINKED, &bytes, "2.0").assert().success();
    assert!(!is_one(&sandbox, "private") && is_one(&sandbox, "open"));
    std::fs::remove_dir_all(sandbox.path("2.0")).expect("rm");
    let words: Vec<&str> = LINKED.iter().copied().chain(["--group", "7"]).collect();
    unpack(&sandbox, &words, &bytes, "2.0").assert().success();
    assert!(is_one(&sandbox, "private") && is_one(&sandbox, "open"));
}

#[test]
fn where_no_name_can_be_made_it_is_a_copy() {
    if !can_inject("where_no_name_can_be_made_it_is_a_copy") {
        return;
    }
    let sandbox = sandbox();
    let large = Random(2).bytes(3 << 20);
    let bytes = archive(&[directory("d"), file("d/large", &large), file("small", "x")]);
    released(&sandbox, &bytes);
    sandbox.write("archive", &bytes);
    let run = |words: &[&str], fault: &str| {
        let _ = std::fs::remove_dir_all(sandbox.path("2.0"));
        let mut command = assert_cmd::Command::new("strace");
        command.args(["-f", "-qq", "-o", "strace", "-e", &format!("inject={fault}")]).args(words);
        command.arg(sandbox.program("octo-exec")).arg("unpack").args(LINKED);
        command.args(["archive", "2.0"]).current_dir(sandbox.path(""));
        command.env_clear().env("HOME", sandbox.path("")).env("PATH", "/usr/bin:/bin");
        let assert = command.assert();
        let log = std::fs::read_to_string(sandbox.path("strace")).expect("what strace wrote");
        assert!(log.contains("(INJECTED)"), "{fault}");
        assert
    };
    for error in ["EMLINK", "EXDEV", "EPERM"] {
        run(&[], &format!("linkat:error={error}")).success();
        assert!(!is_one(&sandbox, "d/large") && !is_one(&sandbox, "small"), "{error}");
        assert_verified(&sandbox, "m2", "2.0");
        assert_eq!(seconds_of(&sandbox.path("2.0/small")), (1000, 0));
    }
    // What can't be read to its end is another file; what was the same can't be read again then.
    let former = sandbox.path("1.0/d/large").display().to_string();
    run(&["-P", &former], "pread64:error=EIO:when=30+")
        .code(75)
        .stderr(contains("2.0/d/large: its file in the former release was written to meanwhile"));
    assert!(!sandbox.path("2.0").exists());
    assert_verified(&sandbox, "m1", "1.0");
}

#[test]
fn a_link_is_to_a_former_release() {
    let sandbox = sandbox();
    let bytes = archive(&[file("a", "x")]);
    unpack(&sandbox, &["--link"], &bytes, "1.0").assert().code(64).stderr(contains("--like"));
    assert!(!sandbox.path("1.0").exists());
}

/// Somebody writes into a file of the former release just when it is looked at.
#[test]
fn what_is_touched_meanwhile_is_not_linked() {
    if !can_inject("what_is_touched_meanwhile_is_not_linked") {
        return;
    }
    let sandbox = sandbox();
    let bytes = archive(&[file("a", "x")]);
    released(&sandbox, &bytes);
    sandbox.write("archive", &bytes);
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-qq", "-o", "strace", "-e", "inject=flistxattr:signal=STOP:when=1"]);
    command.arg(sandbox.program("octo-exec")).arg("unpack").args(LINKED);
    command.args(["archive", "2.0"]).current_dir(sandbox.path(""));
    command.env_clear().env("HOME", sandbox.path("")).env("PATH", "/usr/bin:/bin");
    let unpack = command.stderr(std::process::Stdio::piped()).spawn().expect("strace");
    let stopped = || {
        let log = std::fs::read_to_string(sandbox.path("strace")).ok()?;
        let line = log.lines().find(|line| line.contains("--- stopped by SIGSTOP ---"))?;
        line.split(' ').next()?.parse().ok().and_then(rustix::process::Pid::from_raw)
    };
    wait_for("the stop", || stopped().is_some());
    let path = sandbox.path("1.0/a");
    let changed = || {
        let found = path.metadata().expect("stat");
        (found.ctime(), found.ctime_nsec())
    };
    let before = changed();
    // The clock of a file system goes on by steps.
    while changed() == before {
        set_mode(&path, 0o644);
    }
    let process = stopped().expect("its number");
    rustix::process::kill_process(process, rustix::process::Signal::CONT).expect("a signal");
    let output = unpack.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("2.0/a: its file in the former release was written to"), "{said}");
    assert!(!sandbox.path("2.0").exists());
}
