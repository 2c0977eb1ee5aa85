//! `octo-exec unpack` makes a release or nothing: told to end, without room, where a
//! system call fails.

use crate::sandbox;
use crate::support::{Sandbox, SmallDisk, can_inject, can_trace, impossible, is_root, needs};
use crate::tar::{archive, directory, file, hardlink, symlink};
use crate::unpack::unpack;
use predicates::prelude::*;
use predicates::str::contains;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

/// Of everything a little.
fn small() -> Vec<u8> {
    archive(&[
        directory("d").mode(0o700),
        file("d/file", "x"),
        file("e/f", [b'x'; 3000]),
        symlink("link", "d/file"),
        hardlink("same", "d/file"),
    ])
}

/// Unpacks it with a fault, and says whether that was; `None` behind the last such call.
fn injected(sandbox: &Sandbox, fault: &str) -> Option<Output> {
    let _ = std::fs::remove_dir_all(sandbox.path("release"));
    let _ = std::fs::remove_file(sandbox.path("manifest"));
    let log = sandbox.path("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).args(["-e", &format!("inject={fault}")]);
    command.arg(sandbox.program("octo-exec")).args(["unpack", "--manifest", "manifest"]);
    command.args(["--time", "5", "archive", "release"]).current_dir(sandbox.path(""));
    command.env_clear().env("HOME", sandbox.path("")).env("PATH", "/usr/bin:/bin");
    let output = command.output().expect("strace");
    let log = std::fs::read_to_string(&log).expect("what strace wrote");
    let was = log.contains("(INJECTED)") || log.contains("--- SIG");
    was.then_some(output)
}

fn is_whole(sandbox: &Sandbox) -> bool {
    let mut verify = sandbox.tool("octo-exec");
    verify.args(["verify", "manifest", "release"]);
    sandbox.path("manifest").exists() && verify.output().is_ok_and(|o| o.status.success())
}

fn is_nothing(sandbox: &Sandbox) -> bool {
    let mut left: Vec<String> = std::fs::read_dir(sandbox.path(""))
        .expect("read")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    left.sort();
    left == ["archive", "strace"]
}

#[test]
fn told_to_end_at_any_call_it_leaves_all_or_nothing() {
    if !can_inject("told_to_end_at_any_call_it_leaves_all_or_nothing") {
        return;
    }
    let sandbox = sandbox();
    sandbox.write("archive", small());
    let (mut undone, mut done) = (0, 0);
    let calls = [
        ("mkdirat", "TERM"),
        ("write", "INT"),
        ("openat2", "HUP"),
        ("symlinkat", "TERM"),
        ("linkat", "TERM"),
        ("utimensat", "TERM"),
        ("syncfs", "INT"),
        ("fsync", "TERM"),
        ("rename,renameat,renameat2", "TERM"),
    ];
    for (call, signal) in calls {
        for when in 1.. {
            let fault = format!("{call}:signal={signal}:when={when}");
            let Some(output) = injected(&sandbox, &fault) else { break };
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.code() {
                Some(130) => {
                    assert!(
                        said.contains(&format!("unpack: ended by SIG{signal}")),
                        "{fault}: {said}"
                    );
                    assert!(is_nothing(&sandbox), "{fault}");
                    undone += 1;
                }
                Some(0) => {
                    assert!(is_whole(&sandbox), "{fault}");
                    done += 1;
                }
                // Before it heeds any.
                None if output.status.signal().is_some() => {
                    assert!(is_nothing(&sandbox), "{fault}")
                }
                code => panic!("{fault}: {code:?}: {said}"),
            }
        }
    }
    // What comes behind the last look comes too late.
    assert!(undone >= 15 && done >= 1, "{undone} undone, {done} done");
}

#[test]
fn told_to_end_it_reads_no_further() {
    if !can_inject("told_to_end_it_reads_no_further") {
        return;
    }
    let sandbox = sandbox();
    sandbox.write("archive", archive(&[file("large", vec![b'x'; 16 << 20])]));
    let output = injected(&sandbox, "write:signal=TERM:when=1").expect("a write");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let log = std::fs::read_to_string(sandbox.path("strace")).expect("what strace wrote");
    let writes = log.lines().filter(|line| line.contains("write(")).count();
    assert!((1..8).contains(&writes), "{writes} of more than 60");
    assert!(is_nothing(&sandbox));
}

#[test]
fn where_a_call_fails_it_leaves_nothing_and_says_which() {
    if !can_trace("where_a_call_fails_it_leaves_nothing_and_says_which") {
        return;
    }
    let sandbox = sandbox();
    sandbox.write("archive", small());
    let mut failed = 0;
    for (call, error) in [
        ("mkdirat", "ENOSPC"),
        ("write", "ENOSPC"),
        ("write", "EDQUOT"),
        ("openat2", "EIO"),
        ("symlinkat", "ENOSPC"),
        ("linkat", "EDQUOT"),
        ("utimensat", "EIO"),
        ("syncfs", "EIO"),
        ("fsync", "EIO"),
        ("rename,renameat,renameat2", "ENOSPC"),
    ] {
        let mut here = 0;
        for when in 1.. {
            let fault = format!("{call}:error={error}:when={when}");
            let Some(output) = injected(&sandbox, &fault) else { break };
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.code() == Some(0) {
                // The sync of the manifest's directory, behind its rename, is none of these.
                panic!("{fault}: passed over");
            }
            // The message itself may be what can't be written; an fsync names the directory.
            let is_mute = (call == "write" && said.is_empty()) || call == "fsync";
            assert_eq!(output.status.code(), Some(74), "{fault}: {said}");
            assert!(
                is_mute || said.contains("release") || said.contains("manifest"),
                "{fault}: {said}"
            );
            let is_undone = !sandbox.path("release").exists();
            assert!(is_undone, "{fault}: {said}");
            here += 1;
        }
        assert!(here > 0, "{call} was never called");
        failed += here;
    }
    assert!(failed >= 20, "{failed}");
}

#[test]
fn a_file_that_may_grow_no_more_is_named() {
    let sandbox = sandbox();
    sandbox.write("archive", archive(&[file("good", "x"), file("d/large", vec![b'x'; 100_000])]));
    let mut command = assert_cmd::Command::new("bash");
    command.args(["-c", "ulimit -f 16; \"$@\"", "bash"]).arg(sandbox.program("octo-exec"));
    command.args(["unpack", "archive", "release"]).current_dir(sandbox.path(""));
    command.env("HOME", sandbox.path(""));
    command.assert().code(74).stderr(contains("release/d/large: can't write: file too large"));
    assert!(!sandbox.path("release").exists());
}

#[test]
fn a_full_disk_is_74_and_has_its_room_again() {
    let test = "a_full_disk_is_74_and_has_its_room_again";
    let sandbox = sandbox();
    if !is_root(test) {
        return;
    }
    let many = archive(&(0..60).map(|n| file(format!("d{n}/f"), [b'x'; 9000])).collect::<Vec<_>>());
    for (name, size, said) in [
        ("bytes", "256k", "can't write: no space left"),
        ("inodes", "4M,nr_inodes=50", "can't create: no space left"),
    ] {
        let Some(_disk) = SmallDisk::mount(&sandbox.path(name), size) else {
            return impossible(test, "may not mount");
        };
        let full = unpack(&sandbox, &[], &many, &format!("{name}/release")).assert().code(74);
        full.stderr(contains(said).and(contains(format!("{name}/release/d"))));
        assert_eq!(std::fs::read_dir(sandbox.path(name)).expect("read").count(), 0);
        let few = archive(&[file("version", "1")]);
        unpack(&sandbox, &[], &few, &format!("{name}/release")).assert().success();
    }
}

#[test]
fn without_xz_its_archives_have_a_code_of_their_own() {
    let test = "without_xz_its_archives_have_a_code_of_their_own";
    if !can_trace(test) || !needs(test, "xz") {
        return;
    }
    let sandbox = sandbox();
    sandbox.write("plain", small());
    let packed = Command::new("xz").arg("-c").arg(sandbox.path("plain")).output().expect("xz");
    sandbox.write("archive", packed.stdout);
    std::fs::remove_file(sandbox.path("plain")).expect("rm");
    // Of each process the first is strace's own, or a look for xz.
    let output = injected(&sandbox, "execve:error=ENOENT:when=1+").expect("injected");
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("xz: not installed, and this archive needs it\n"), "{said}");
    assert!(said.contains("hint: install xz-utils there, or pack a .tar"), "{said}");
    assert!(is_nothing(&sandbox));
}

#[test]
fn who_may_not_write_there_is_told_so() {
    let sandbox = sandbox();
    if !is_root("who_may_not_write_there_is_told_so") {
        return;
    }
    sandbox.write("archive", small());
    let mut command = sandbox.tool_as(crate::support::NOBODY, "octo-exec");
    let refused = command.args(["unpack", "archive", "release"]).assert().code(73);
    refused.stderr(contains("release: can't create: permission denied"));
}
