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
    let state = sandbox.state("");
    std::fs::create_dir_all(&state).expect("mkdir");
    chown(&state, Some(NOBODY), Some(NOBODY)).expect("chown");
    for verb in [&["run", "-c", "echo ran"][..], &["serve"]] {
        let refused = sandbox.tool("octo-exec").args(verb).assert().code(78).stdout("");
        refused.stderr(contains(format!("belongs to uid {NOBODY}, not to uid 0")));
    }
}
