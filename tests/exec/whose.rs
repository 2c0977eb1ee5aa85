//! Whose STATE is: what others can write to is not used, and what others had is copied.

use crate::sandbox;
use crate::setup::{is, is_sound, setup};
use crate::support::{NOBODY, is_root, set_mode};
use predicates::prelude::*;
use predicates::str::contains;
use std::os::unix::fs::{MetadataExt, chown, symlink};

#[test]
fn of_what_a_listener_had_one_user_keeps_copies() {
    if !is_root("of_what_a_listener_had_one_user_keeps_copies") {
        return;
    }
    let sandbox = sandbox();
    setup(&sandbox, &["--listener", "nobody"]);
    let theirs = |name: &str, contents: &str| {
        let path = sandbox.state(name);
        std::fs::write(&path, contents).expect("write");
        set_mode(&path, 0o600);
        chown(&path, Some(NOBODY), Some(NOBODY)).expect("chown");
        path
    };
    // What it holds open it can write to whatever becomes of the name.
    let log = theirs("listen/audit.log", "of the listener's");
    let held = std::fs::File::options().write(true).open(&log).expect("open");
    let victim = sandbox.path("victim");
    std::fs::create_dir_all(victim.join("below")).expect("mkdir");
    std::fs::write(victim.join("below/file"), "of root's").expect("write");
    symlink(&victim, sandbox.state("listen/link")).expect("symlink");
    // Of another user: a directory in the place of anything, made by an accomplice.
    let foreign = sandbox.state("listen/foreign");
    std::fs::create_dir_all(foreign.join("a/b")).expect("mkdir");
    symlink(victim.join("below"), foreign.join("a/b/link")).expect("symlink");
    let said = setup(&sandbox, &["--listener", "root"]);
    assert!(said.contains("link removed: it is no file of its own"), "{said}");
    held.set_len(0).expect("truncate");
    assert_eq!(std::fs::read_to_string(&log).expect("read"), "of the listener's");
    assert_eq!(is(&sandbox, "listen/audit.log"), (0, 0, 0o600));
    assert_eq!(std::fs::read(victim.join("below/file")).expect("read"), b"of root's");
    assert_eq!(setup(&sandbox, &[]), "");
    is_sound(&sandbox, "one user");
}

#[test]
fn where_others_can_write_nothing_is_run() {
    let sandbox = sandbox();
    setup(&sandbox, &[]);
    for (name, mode) in [("", 0o777), ("jobs", 0o771), ("locks", 0o702)] {
        let path = sandbox.state(name);
        let was = path.metadata().expect("stat").mode() & 0o7777;
        set_mode(&path, mode);
        let run = sandbox.tool("octo-exec").args(["run", "-c", "echo ran"]).assert();
        run.code(78)
            .stdout("")
            .stderr(contains("is writable by others").and(contains("chmod ").and(contains("-w "))));
        sandbox.tool("octo-exec").arg("serve").assert().code(78).stdout("");
        set_mode(&path, was);
    }
    sandbox.tool("octo-exec").args(["run", "-c", "echo ran"]).assert().success().stdout("ran\n");
}

#[test]
fn what_root_runs_in_the_state_of_another_user_is_refused() {
    if !is_root("what_root_runs_in_the_state_of_another_user_is_refused") {
        return;
    }
    let sandbox = sandbox();
    setup(&sandbox, &[]);
    // A job that its owner has laid there, to be run as root: one that ran, as it was before.
    let ran = sandbox.path("ran");
    let touch = format!("touch {}", ran.display());
    sandbox.tool("octo-exec").args(["run", "-c", &touch]).assert().success();
    std::fs::remove_file(&ran).expect("it ran");
    let jobs = std::fs::read_dir(sandbox.state("jobs")).expect("jobs").flatten();
    let job = jobs.map(|entry| entry.path()).next().expect("a job");
    for name in ["grant", "started", "end", "log", "index"] {
        std::fs::remove_file(job.join(name)).expect("remove");
    }
    let id = job.file_name().and_then(|id| id.to_str()).expect("an id").to_string();
    let id = id.as_str();
    // Names that root would follow, to a file of its own and to none.
    let victim = sandbox.path("victim");
    std::fs::write(&victim, "of root's").expect("write");
    std::fs::remove_dir_all(sandbox.state("locks")).expect("remove");
    std::fs::create_dir(sandbox.state("locks")).expect("mkdir");
    for lock in ["jobs", "audit", "pruned", "serve"] {
        symlink(&victim, sandbox.state("locks").join(format!(".{lock}"))).expect("symlink");
    }
    for name in ["pruned", "kept", "underway"] {
        std::fs::remove_dir_all(sandbox.state(name)).expect("remove");
        symlink(&victim, sandbox.state(name)).expect("symlink");
    }
    let state = sandbox.state("");
    let everything = ["-R", &format!("{NOBODY}:{NOBODY}")].map(str::to_string);
    let chown = std::process::Command::new("chown").args(everything).arg(&state).status();
    assert!(chown.expect("chown").success());
    let package = sandbox.write("package", "x");
    let (package, job) = (package.to_str().expect("UTF-8"), job.to_str().expect("UTF-8"));
    for verb in [
        &["run", "-c", "echo ran"][..],
        &["serve"],
        &["start"],
        &["take", id],
        &["take", id, "why"],
        &["job", job],
        &["approve", id],
        &["deny", id],
        &["cancel", id],
        &["prune", "--older", "0"],
        &["add", package],
    ] {
        let refused = sandbox.tool("octo-exec").args(verb).assert().code(78).stdout("");
        refused.stderr(contains(format!("belongs to uid {NOBODY}, not to uid 0")));
    }
    assert!(!ran.exists());
    assert_eq!(std::fs::read(&victim).expect("read"), b"of root's");
    assert_eq!(victim.metadata().expect("stat").uid(), 0);
}
