//! `octo-exec substitute` leaves each file old or new, whole, and nothing beside it: told to
//! end, without room, where a system call fails.

use crate::sandbox;
use crate::support::{Sandbox, SmallDisk, can_inject, can_trace, impossible};
use predicates::str::contains;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

const OLD: &str = "a #{X} b";
const NEW: &str = "a 1 b";

/// Fills two files in with a fault, and says whether that was; `None` behind the last such call.
fn injected(sandbox: &Sandbox, fault: &str) -> Option<Output> {
    let _ = std::fs::remove_dir_all(sandbox.path("release"));
    sandbox.write("release/one", OLD);
    sandbox.write("release/d/two", OLD);
    let log = sandbox.path("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).args(["-e", &format!("inject={fault}")]);
    command.arg(sandbox.program("octo-exec")).args(["substitute", "--time", "5", "one", "d/two"]);
    command.current_dir(sandbox.path("release")).env_clear().env("HOME", sandbox.path(""));
    let output = command.env("X", "1").env("OCTO_SECRETS", "X").output().expect("strace");
    let log = std::fs::read_to_string(&log).expect("what strace wrote");
    let was = log.contains("(INJECTED)") || log.contains("--- SIG");
    was.then_some(output)
}

/// What the files hold; nothing else is there.
fn found(sandbox: &Sandbox) -> [String; 2] {
    for (directory, names) in [("release", 2), ("release/d", 1)] {
        let entries = std::fs::read_dir(sandbox.path(directory)).expect("read").flatten();
        let left: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        assert_eq!(left.len(), names, "{left:?}");
    }
    let read = |name: &str| std::fs::read_to_string(sandbox.path(name)).expect(name);
    ["release/one", "release/d/two"].map(read)
}

#[test]
fn told_to_end_at_any_call_it_leaves_all_or_nothing() {
    if !can_inject("told_to_end_at_any_call_it_leaves_all_or_nothing") {
        return;
    }
    let sandbox = sandbox();
    let (mut undone, mut done) = (0, 0);
    for (call, signal) in [
        ("openat2", "TERM"),
        ("openat", "HUP"),
        ("write", "INT"),
        ("fchmod", "TERM"),
        ("utimensat", "TERM"),
        ("rename,renameat,renameat2", "TERM"),
        ("syncfs", "INT"),
    ] {
        for when in 1.. {
            let fault = format!("{call}:signal={signal}:when={when}");
            let Some(output) = injected(&sandbox, &fault) else { break };
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.code() {
                Some(130) => {
                    let ended = format!("substitute: ended by SIG{signal}");
                    assert!(said.contains(&ended), "{fault}: {said}");
                    assert_eq!(found(&sandbox), [OLD, OLD], "{fault}");
                    undone += 1;
                }
                Some(0) => {
                    assert_eq!(found(&sandbox), [NEW, NEW], "{fault}");
                    done += 1;
                }
                // Before it heeds any.
                None if output.status.signal().is_some() => {
                    assert_eq!(found(&sandbox), [OLD, OLD], "{fault}");
                }
                code => panic!("{fault}: {code:?}: {said}"),
            }
        }
    }
    // What comes behind the last look comes too late.
    assert!(undone >= 8 && done >= 3, "{undone} undone, {done} done");
}

#[test]
fn where_a_call_fails_each_file_is_the_old_one_or_the_new() {
    if !can_trace("where_a_call_fails_each_file_is_the_old_one_or_the_new") {
        return;
    }
    let sandbox = sandbox();
    for (call, error, counted) in [
        ("openat2", "EIO", 3),
        ("write", "ENOSPC", 2),
        ("write", "EDQUOT", 2),
        ("fchmod", "EIO", 2),
        ("utimensat", "EIO", 2),
        ("rename,renameat,renameat2", "EIO", 2),
        ("syncfs", "EIO", 1),
    ] {
        let mut failed = 0;
        for when in 1.. {
            let fault = format!("{call}:error={error}:when={when}");
            let Some(output) = injected(&sandbox, &fault) else { break };
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // What it says about the error may fail, too.
            let is_message = call == "write" && output.status.success();
            if is_message {
                continue;
            }
            assert_eq!(output.status.code(), Some(74), "{fault}: {said}");
            failed += 1;
            let [one, two] = found(&sandbox);
            let renamed = call.starts_with("rename") && when == 2 || call == "syncfs";
            // In the order of their names.
            assert_eq!(two, if renamed { NEW } else { OLD }, "{fault}");
            assert_eq!(one, if call == "syncfs" { NEW } else { OLD }, "{fault}");
        }
        // An older kernel has no such call.
        assert!(failed == counted || (failed == 0 && call == "openat2"), "{call}: {failed}");
    }
}

#[test]
fn a_full_disk_leaves_all_as_it_was() {
    let sandbox = sandbox();
    let Some(disk) = SmallDisk::mount(&sandbox.path("release"), "200k") else {
        return impossible("a_full_disk_leaves_all_as_it_was", "no file system can be mounted");
    };
    let text = "#{X}".repeat(10);
    sandbox.write("release/one", "#{X}");
    sandbox.write("release/d/two", &text);
    let filled = disk.fill_but(64 * 1024);
    let fill = |value: &str| {
        let mut command = sandbox.tool("octo-exec");
        command.current_dir(sandbox.path("release")).args(["substitute", "d/two", "one"]);
        command.env("X", value).assert()
    };
    let refused = fill(&"x".repeat(10_000)).code(74);
    refused.stderr(contains("d/two: can't write: no space left on device"));
    std::fs::remove_file(filled).expect("rm");
    assert_eq!(found(&sandbox), ["#{X}", &text]);
    fill("xx").success();
    assert_eq!(found(&sandbox), ["xx", &"xx".repeat(10)]);
}
