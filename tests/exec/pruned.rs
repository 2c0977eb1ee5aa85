//! octo-exec prune, of jobs whose users have left what is hard to remove.

use crate::sandbox;
use crate::support::needs::SYSTEM_PATH;
use crate::support::{SmallDisk, impossible, is_root, needs, stdout_of};
use predicates::str::contains;
use std::path::Path;
use std::process::Command;

const ALL: [&str; 5] = ["prune", "--older", "0s", "--keep", "0"];

/// Each level that a removal goes down costs a descriptor, and some of the stack.
#[test]
fn a_tree_of_any_depth_is_removed_with_few_descriptors() {
    let test = "a_tree_of_any_depth_is_removed_with_few_descriptors";
    if !needs(test, "prlimit") {
        return;
    }
    let sandbox = sandbox();
    let deep = "i=0; while [ $i -lt 300 ]; do mkdir d && cd d || exit; i=$((i + 1)); done";
    sandbox.tool("octo-exec").args(["run", "-c", deep]).assert().success();
    let exec = sandbox.tool("octo-exec");
    let mut prune = Command::new("prlimit");
    prune.args(["--nofile=64", "--stack=262144"]).arg(exec.get_program()).args(ALL).env_clear();
    prune.envs(exec.get_envs().filter_map(|(name, value)| Some((name, value?))));
    prune.env("PATH", SYSTEM_PATH);
    let pruned = prune.output().expect("prlimit starts");
    assert!(pruned.status.success(), "{}", String::from_utf8_lossy(&pruned.stderr));
    assert_eq!(sandbox.state("jobs").read_dir().expect("jobs").count(), 0);
}

#[test]
fn one_that_cannot_be_removed_keeps_no_other() {
    let test = "one_that_cannot_be_removed_keeps_no_other";
    if !is_root(test) {
        return;
    }
    let sandbox = sandbox();
    let run = |script: &str| stdout_of(sandbox.tool("octo-exec").args(["run", "-c", script]));
    let mounted = run("pwd");
    run("true");
    let directory = Path::new(mounted.trim_end());
    let Some(disk) = SmallDisk::mount(directory, "1m") else {
        return impossible(test, "can't mount a small tmpfs");
    };
    let pruned = sandbox.tool("octo-exec").args(ALL).output().expect("output");
    let left: Vec<_> = sandbox.state("jobs").read_dir().expect("jobs").flatten().collect();
    drop(disk);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(pruned.status.code(), Some(74));
    let said = String::from_utf8_lossy(&pruned.stderr).into_owned();
    assert!(said.starts_with("octo-exec: ") && said.contains("jobs/"), "{said}");
    // The next one takes what is left.
    sandbox.tool("octo-exec").args(ALL).assert().success().stderr(contains("jobs/").count(0));
    assert_eq!(sandbox.state("jobs").read_dir().expect("jobs").count(), 0);
}

/// Its octo-exec may hold it for a moment after its end.
#[test]
fn one_that_is_held_stays_and_is_not_said_to_be_gone() {
    let sandbox = sandbox();
    sandbox.tool("octo-exec").args(["run", "-c", "true"]).assert().success();
    let job = sandbox.state("jobs").read_dir().expect("jobs").flatten().next().expect("one").path();
    let lock = std::fs::File::open(job.join("lock")).expect("its lock");
    lock.try_lock().expect("free");
    let pruned = sandbox.tool("octo-exec").args(ALL).assert().code(75).stdout("");
    pruned.stderr(contains("its octo-exec still holds it; the next prune takes it"));
    assert!(job.exists());
    drop(lock);
    let name = job.file_name().expect("a name").to_string_lossy().into_owned();
    let pruned = sandbox.tool("octo-exec").args(ALL).assert().success();
    pruned.stdout(format!("job {name}\n"));
    assert!(!job.exists());
}

/// The next version is made of what is there: of what is released now, and of what was before.
#[test]
fn packages_of_what_is_released_go_for_want_of_space_alone() {
    let sandbox = sandbox();
    let add = |name: &str| {
        let path = sandbox.write(name, name);
        stdout_of(sandbox.tool("octo-exec").arg("add").arg(path)).trim_end().to_string()
    };
    let [old, before, now] = ["shop-1", "shop-2", "shop-3"].map(add);
    let shop = sandbox.write("srv/shop/journal", "x").with_file_name("");
    let facts = format!("octo-release 1\napplication shop\nsha256 {now}\nback-sha256 {before}\n");
    sandbox.write("srv/shop/meta/now", facts);
    let released = format!("echo releases={} >$OCTO_OUTPUT", shop.display());
    sandbox.tool("octo-exec").args(["run", "-c", &released]).assert().success();
    let prune = |words: &[&str]| {
        let said = stdout_of(sandbox.tool("octo-exec").args(words));
        let packages = said.lines().filter_map(|line| line.strip_prefix("package "));
        packages.map(|line| line.split(' ').next().expect("a sha256").to_string()).collect()
    };
    let pruned: Vec<String> = prune(&["prune", "--older", "0s", "--keep", "1"]);
    assert_eq!(pruned, [old]);
    // Who wants none kept means these, too; and so does who wants space.
    let named: Vec<String> = prune(&["prune", "-n", "--older", "0s", "--keep", "0"]);
    assert_eq!(named.len(), 2);
    let mut pruned: Vec<String> = prune(&["prune", "--free", "100%"]);
    pruned.sort();
    let mut both = [before, now];
    both.sort();
    assert_eq!(pruned, both);
}
