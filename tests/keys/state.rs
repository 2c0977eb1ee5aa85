//! octo-keys check of STATE: owners and modes, of one user and of two.

use crate::sandbox;
use crate::support::{NOBODY, Sandbox, is_root, set_mode};
use std::os::unix::fs::{MetadataExt, chown, symlink};

const JOB: &str = "20260131T120000-aaaaaaaaaaaaa";

/// One with a trust file that is sound, and a STATE with a job.
fn made(separated: bool) -> Sandbox {
    let sandbox = sandbox();
    sandbox.write("config/trusted", "# nobody\n");
    let own = std::fs::metadata("/proc/self").unwrap();
    let own = (own.uid(), own.gid());
    let listener = if separated { (NOBODY, NOBODY) } else { own };
    sandbox.write(&format!("state/jobs/{JOB}/origin"), "");
    for name in ["spec", "log", "lock", "secrets", "script"] {
        sandbox.write(&format!("state/jobs/{JOB}/{name}"), "");
    }
    for name in
        ["spool", "listen", "refused", "freezes", "packages", "locks", "pruned", "kept", "underway"]
    {
        std::fs::create_dir(sandbox.state(name)).unwrap();
    }
    sandbox.write("state/audit.log", "");
    sandbox.write("state/pruned/20260101", "");
    sandbox.write("state/kept/ci", "");
    sandbox.write("state/underway/built", "");
    sandbox.write(&format!("state/underway/{JOB}"), "");
    sandbox.write("state/freezes/shop", "");
    for (name, owner, mode) in [
        ("", own, 0o711),
        ("spool", listener, 0o700),
        ("listen", listener, 0o700),
        ("jobs", (own.0, listener.1), 0o751),
        ("refused", (own.0, listener.1), 0o750),
        ("freezes", (own.0, listener.1), 0o755),
        ("freezes/shop", (own.0, listener.1), 0o644),
        ("packages", (own.0, listener.1), 0o711),
        ("locks", own, 0o700),
        ("audit.log", (own.0, listener.1), 0o640),
        ("pruned", (own.0, listener.1), 0o750),
        ("pruned/20260101", (own.0, listener.1), 0o640),
        ("kept", (own.0, listener.1), 0o750),
        ("kept/ci", (own.0, listener.1), 0o640),
        ("underway", (own.0, listener.1), 0o750),
        ("underway/built", (own.0, listener.1), 0o640),
    ] {
        give(&sandbox, name, owner, mode);
    }
    give(&sandbox, &format!("jobs/{JOB}"), (own.0, listener.1), 0o751);
    for (name, mode) in [
        ("origin", 0o640),
        ("spec", 0o640),
        ("log", 0o640),
        ("lock", 0o600),
        ("secrets", 0o600),
        ("script", 0o440),
    ] {
        give(&sandbox, &format!("jobs/{JOB}/{name}"), (own.0, listener.1), mode);
    }
    sandbox
}

fn give(sandbox: &Sandbox, name: &str, (uid, gid): (u32, u32), mode: u32) {
    chown(sandbox.state(name), Some(uid), Some(gid)).unwrap();
    set_mode(&sandbox.state(name), mode);
}

/// What check says, and its exit status.
fn check(sandbox: &Sandbox, arguments: &[&str]) -> (i32, String) {
    let mut command = sandbox.tool("octo-keys");
    let output = command.arg("check").args(arguments).output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_sound_state_is_checked_in_silence() {
    let sandbox = made(false);
    assert_eq!(check(&sandbox, &[]), (0, String::new()));
    let (code, said) = check(&sandbox, &["-v"]);
    assert!(code == 0 && said.contains("/state: sound: one user\n"), "{said}");
    // No word on it where one file is asked for, or where there is none.
    set_mode(&sandbox.state("jobs"), 0o777);
    assert_eq!(check(&sandbox, &[sandbox.config("trusted").to_str().unwrap()]).0, 0);
    std::fs::remove_dir_all(sandbox.state("")).unwrap();
    assert_eq!(check(&sandbox, &[]), (0, String::new()));
}

#[test]
fn each_deviation_of_state_is_named_and_what_mends_it_once() {
    let sandbox = made(false);
    let job = |name: &str| sandbox.state(&format!("jobs/{JOB}/{name}"));
    set_mode(&sandbox.state("packages"), 0o755);
    set_mode(&sandbox.state("audit.log"), 0o666);
    set_mode(&job("log"), 0o644);
    set_mode(&sandbox.state("freezes"), 0o750);
    set_mode(&sandbox.state("freezes/shop"), 0o640);
    set_mode(&job("secrets"), 0o640);
    set_mode(&job(""), 0o755);
    std::fs::remove_file(job("spec")).unwrap();
    symlink("/etc/passwd", job("spec")).unwrap();
    std::fs::remove_dir(sandbox.state("refused")).unwrap();
    symlink("/", sandbox.state("refused")).unwrap();
    sandbox.write("state/listen.lock", "");
    sandbox.write("state/jobs/pruned", "");
    sandbox.write("state/jobs/20250131T120000-aaaaaaaaaaaaa/request", "");
    let (code, said) = check(&sandbox, &[]);
    assert_eq!(code, 78);
    for line in [
        "/state/packages: has mode 0755, not 0711\n".to_string(),
        "/state/audit.log: has mode 0666, not 0640\n".to_string(),
        "/state/freezes: has mode 0750, not 0755\n".to_string(),
        "/state/freezes/shop: has mode 0640, not 0644\n".to_string(),
        format!("/state/jobs/{JOB}: has mode 0755, not 0751\n"),
        format!("/state/jobs/{JOB}/log: has mode 0644, not 0640\n"),
        format!("/state/jobs/{JOB}/secrets: has mode 0640, not 0600\n"),
        format!("/state/jobs/{JOB}/spec: is not a regular file\n"),
        "/state/refused: is not a directory\n".to_string(),
        "/state/listen.lock: is of an older version\n".to_string(),
        "/state/jobs/pruned: is of an older version\n".to_string(),
        "/20250131T120000-aaaaaaaaaaaaa: is of an older version: it has no origin\n".to_string(),
    ] {
        assert!(said.contains(&line), "{line}: {said}");
    }
    assert_eq!(said.matches("hint: octo-exec setup\n").count(), 1, "{said}");
    assert!(!check(&sandbox, &["-v"]).1.contains("state: sound"));
}

#[test]
fn the_state_of_two_users_is_checked_as_such() {
    if !is_root("the_state_of_two_users_is_checked_as_such") {
        return;
    }
    let sandbox = made(true);
    assert_eq!(check(&sandbox, &[]), (0, String::new()));
    let (_, said) = check(&sandbox, &["-v"]);
    assert!(said.contains("/state: sound: listener nobody\n"), "{said}");
    // Where the listener could choose among lines, who adds one is told at once.
    let print = "0".repeat(64);
    for (options, warns) in [("from=127.0.0.0/8 user=daemon", false), ("user=nobody", true)] {
        let mut trust = sandbox.tool("octo-keys");
        let added = trust.args(["trust", "-o", options, &print, "ci"]).output().unwrap();
        let said = String::from_utf8(added.stderr).unwrap();
        assert_eq!(said.contains("warning: runs are refused: "), warns, "{said}");
        assert!(added.status.success());
    }
    sandbox.write("config/trusted", "# nobody\n");
    // Nobody is let in by a file that the listener can't read, and its log knows no better.
    for (name, shut, open, letter) in [("", 0o700, 0o711, 'x'), ("trusted", 0o600, 0o644, 'r')] {
        let path = sandbox.config(name);
        set_mode(&path, shut);
        let (code, said) = check(&sandbox, &[]);
        assert!(said.contains("nobody can't read it, as whom octo-listen runs"), "{said}");
        assert!(code == 78 && said.contains(&format!("hint: chmod o+{letter} ")), "{said}");
        set_mode(&path, open);
    }
    let origin = format!("jobs/{JOB}/origin");
    chown(sandbox.state(&origin), Some(NOBODY), Some(0)).unwrap();
    chown(sandbox.state("locks"), Some(NOBODY), None).unwrap();
    let (code, said) = check(&sandbox, &[]);
    assert_eq!(code, 78);
    let line = format!(
        "/{origin}: is owned by uid {NOBODY}, not by uid 0, is owned by gid 0, not by gid {NOBODY}\n"
    );
    assert!(said.contains(&line), "{said}");
    assert!(said.contains("/state/locks: is owned by uid 65534, not by uid 0\n"), "{said}");
    assert!(said.contains("hint: octo-exec setup --listener nobody\n"), "{said}");
    // One who can't look says so.
    set_mode(&sandbox.path(""), 0o755);
    let mut command = sandbox.tool_as(NOBODY + 1, "octo-keys");
    let output = command.arg("check").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(said.contains("/state/jobs: can't be looked at by uid 65535\n"), "{said}");
    assert!(said.contains("hint: run this as root\n"), "{said}");
}

#[test]
fn of_many_jobs_the_records_of_the_newest_are_looked_at() {
    let sandbox = made(false);
    for number in 0..2000 {
        let id = format!("20260201T{number:06}-aaaaaaaaaaaaa");
        std::fs::create_dir(sandbox.state(&format!("jobs/{id}"))).unwrap();
        set_mode(&sandbox.state(&format!("jobs/{id}")), 0o751);
    }
    set_mode(&sandbox.state(&format!("jobs/{JOB}/log")), 0o666);
    let ids = sandbox.state("jobs").read_dir().unwrap().count();
    assert_eq!(ids, 2001);
    assert_eq!(check(&sandbox, &[]), (0, String::new()));
    // Its directory is looked at all the same.
    set_mode(&sandbox.state(&format!("jobs/{JOB}")), 0o777);
    let (code, said) = check(&sandbox, &[]);
    assert!(code == 78 && said.contains("has mode 0777, not 0751"), "{said}");
}
