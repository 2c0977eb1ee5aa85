//! octo-keys renew: another identity, and no moment at which what is shown isn't believed.

use crate::support::{NOBODY, Sandbox, can_trace, is_root, mode_of, needs, set_mode, stdout_of};
use crate::tentacle::noted;
use crate::{make, print, sandbox, scrubbed};
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

fn renew(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let mut command = sandbox.tool("octo-keys");
    stdout_of(command.arg("renew").args(arguments)).trim_end().to_string()
}

/// What `show` says of an identity's file: by its key.
fn shown(sandbox: &Sandbox, file: &Path, key: &str) -> String {
    let text = stdout_of(sandbox.tool("octo-keys").arg("show").arg(file));
    let value = text.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
    value.trim().to_string()
}

#[test]
fn both_thumbprints_hold_and_the_old_identity_is_kept() {
    let sandbox = sandbox();
    let (identity, previous) =
        (sandbox.config("identity.pem"), sandbox.config("identity.pem.previous"));
    let a = make(&sandbox, &["--name", "web1", "-k", "ecdsa-p256"]);
    let old = std::fs::read(&identity).unwrap();
    let b = renew(&sandbox, &[]);
    assert_eq!(noted(&sandbox), [b.clone(), a.clone()]);
    assert_eq!(std::fs::read(&previous).unwrap(), old);
    assert_eq!((mode_of(&previous), mode_of(&identity)), (0o600, 0o600));
    let of = |key| shown(&sandbox, &identity, key);
    assert_eq!([of("thumbprint"), of("name"), of("key")], [&b[..], "web1", "ecdsa-p256"]);
    sandbox.write("config/trusted", "");
    sandbox.tool("octo-keys").arg("check").assert().success().stderr(is_empty());

    let again = sandbox
        .tool("octo-keys")
        .args(["renew", "--name", "web2", "-k", "ed25519"])
        .assert()
        .success()
        .stderr(contains(format!("octo-keys: {a} is this tentacle's no more")));
    let c = String::from_utf8_lossy(&again.get_output().stdout).trim_end().to_string();
    assert_eq!(noted(&sandbox), [c, b.clone()]);
    assert_eq!([of("name"), of("key")], ["web2", "ed25519"]);
    assert_eq!(shown(&sandbox, &previous, "thumbprint"), b);
    // To go back, as the page says.
    std::fs::rename(&previous, &identity).unwrap();
    sandbox.tool("octo-keys").arg("tentacle").assert().success();
    assert_eq!(noted(&sandbox)[0], b);
    sandbox.tool("octo-keys").arg("check").assert().success().stderr(is_empty());
}

#[test]
fn what_the_octopuses_change_can_be_pasted() {
    if !needs("what_the_octopuses_change_can_be_pasted", "sed") {
        return;
    }
    let sandbox = sandbox();
    let old = make(&sandbox, &["--name", "x"]);
    let targets = format!("web1 10.0.0.1 {old} web\nweb2 10.0.0.2 {} web\n", print("b"));
    let path = sandbox.write("targets", &targets);
    let renewed = sandbox.tool("octo-keys").arg("renew").assert().success();
    let output = renewed.get_output();
    let new = String::from_utf8_lossy(&output.stdout).trim_end().to_string();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let commands: Vec<&str> =
        said.lines().filter_map(|line| line.strip_prefix("octo-keys:   ")).collect();
    for (command, thumbprints) in commands.iter().zip([format!("{old},{new}"), new.clone()]) {
        let mut sh = Command::new("sh");
        assert!(sh.args(["-c", command]).current_dir(sandbox.path("")).status().unwrap().success());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), targets.replace(&old, &thumbprints));
        sandbox.tool("octo-keys").args(["check", "targets"]).assert().success();
    }
    assert_eq!(commands.len(), 2, "{said}");
    assert!(
        said.contains(
            "octo-listen still shows the old one: restart it (a HUP is not enough with -u)"
        ),
        "{said}"
    );
}

#[test]
fn where_there_is_nothing_sound_to_renew_nothing_changes() {
    let sandbox = sandbox();
    let refused = |arguments: &[&str], code, said: &str| {
        let mut command = sandbox.tool("octo-keys");
        let refused = command.arg("renew").args(arguments).assert().code(code);
        refused.stdout(is_empty()).stderr(contains(said));
    };
    refused(&[], 78, "config/identity.pem: there is no identity\nocto-keys: hint: octo-keys new\n");
    refused(&["x.pem"], 64, "x.pem: one argument too many");
    refused(&["-k", "rsa"], 64, "rsa: not a type of key");
    assert!(!sandbox.path("config").exists());
    let own = make(&sandbox, &["--name", "x"]);
    let identity = sandbox.config("identity.pem");
    let before = std::fs::read(&identity).unwrap();
    set_mode(&identity, 0o640);
    refused(&[], 78, "config/identity.pem: others can read this key");
    set_mode(&identity, 0o600);
    set_mode(&sandbox.config("tentacle"), 0o662);
    refused(&[], 78, "config/tentacle: is writable by others");
    set_mode(&sandbox.config("tentacle"), 0o644);
    set_mode(&sandbox.path("config"), 0o777);
    refused(&[], 78, "config: is writable by others");
    set_mode(&sandbox.path("config"), 0o755);
    assert_eq!((noted(&sandbox), std::fs::read(&identity).unwrap()), (vec![own], before));
    assert!(!sandbox.config("identity.pem.previous").exists());
}

/// Else a listener that isn't root couldn't read what it is to show.
#[test]
fn the_new_identity_belongs_to_whom_the_old_one_did() {
    if !is_root("the_new_identity_belongs_to_whom_the_old_one_did") {
        return;
    }
    let sandbox = sandbox();
    make(&sandbox, &["--name", "x"]);
    // It may lie elsewhere: the link stays.
    let real = sandbox.path("keys/id.pem");
    std::fs::create_dir(sandbox.path("keys")).unwrap();
    std::fs::rename(sandbox.config("identity.pem"), &real).unwrap();
    symlink("../keys/id.pem", sandbox.config("identity.pem")).unwrap();
    chown(&real, Some(NOBODY), Some(NOBODY)).unwrap();
    let new = renew(&sandbox, &[]);
    assert!(sandbox.config("identity.pem").is_symlink());
    for file in [&real, &sandbox.path("keys/id.pem.previous")] {
        let found = file.metadata().unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (NOBODY, NOBODY, 0o600));
    }
    assert_eq!(shown(&sandbox, &real, "thumbprint"), new);
    assert_eq!(sandbox.config("tentacle").metadata().unwrap().uid(), 0);
}

/// A call that is killed at one of its system calls; is it done?
fn killed(sandbox: &Sandbox, call: &str, when: usize, verb: &str) -> bool {
    let status = scrubbed(sandbox, "strace")
        .args(["-qq", "-o", "/dev/null", "-e"])
        .arg(format!("inject={call}:signal=KILL:when={when}"))
        .arg(sandbox.program("octo-keys"))
        .args([verb, "--name", "x", "--config"])
        .arg(sandbox.path("config"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let status = status.expect("strace runs");
    assert!(status.success() || status.code().is_none(), "neither done nor killed: {status}");
    status.success()
}

const CALLS: &[&str] =
    &["write", "fsync", "renameat2,renameat,rename,linkat,link", "fchmod", "flock"];

#[test]
fn killed_at_any_moment_what_is_shown_is_believed() {
    if !can_trace("killed_at_any_moment_what_is_shown_is_believed") {
        return;
    }
    let mut kills = 0;
    for call in CALLS {
        for when in 1.. {
            let sandbox = sandbox();
            let old = make(&sandbox, &["--name", "x"]);
            sandbox.write("config/trusted", "");
            let identity = sandbox.config("identity.pem");
            if killed(&sandbox, call, when, "renew") {
                break;
            }
            kills += 1;
            let place = format!("{call} {when}");
            let now = shown(&sandbox, &identity, "thumbprint");
            let known = noted(&sandbox);
            // A listener shows either the old one still, or what it has read anew.
            assert!(known.contains(&now) && known.contains(&old), "{place}: {known:?} {now}");
            sandbox.tool("octo-keys").arg("check").arg(&identity).assert().success();
            let previous = sandbox.config("identity.pem.previous");
            assert!(now == old || shown(&sandbox, &previous, "thumbprint") == old, "{place}");
            // Either call mends it.
            sandbox.tool("octo-keys").arg("tentacle").assert().success().stdout(contains(&now));
            sandbox.tool("octo-keys").arg("check").assert().success().stderr(is_empty());
            let new = renew(&sandbox, &[]);
            assert_eq!(noted(&sandbox), [new, now], "{place}");
        }
    }
    assert!(kills > 8, "only {kills} moments");
}

#[test]
fn a_new_one_that_is_killed_is_noted_by_the_next_call() {
    if !can_trace("a_new_one_that_is_killed_is_noted_by_the_next_call") {
        return;
    }
    let mut mended = 0;
    for call in CALLS {
        for when in 1.. {
            let sandbox = sandbox();
            if killed(&sandbox, call, when, "new") {
                break;
            }
            let is_noted = sandbox.config("tentacle").exists();
            if sandbox.config("identity.pem").exists() {
                mended += usize::from(!is_noted);
                let mut again = sandbox.tool("octo-keys");
                let hint = contains("octo-keys tentacle notes it");
                let again = again.arg("new").assert().code(73);
                assert_eq!(
                    hint.eval(&String::from_utf8_lossy(&again.get_output().stderr)),
                    !is_noted
                );
            } else {
                assert!(!is_noted, "{call} {when}");
                make(&sandbox, &["--name", "x"]);
            }
            let own = stdout_of(sandbox.tool("octo-keys").arg("tentacle"));
            sandbox.write("config/trusted", "");
            assert_eq!(noted(&sandbox), [own.trim_end()], "{call} {when}");
            sandbox.tool("octo-keys").arg("check").assert().success().stderr(is_empty());
        }
    }
    assert!(mended > 2, "only {mended} moments between the two files");
}

/// Two at once: one waits for the other, and none is lost.
#[test]
fn of_many_at_once_each_follows_another() {
    let sandbox = sandbox();
    make(&sandbox, &["--name", "x"]);
    let program = sandbox.program("octo-keys");
    let start = |_| {
        let mut command = scrubbed(&sandbox, &program);
        command.args(["renew", "--config"]).arg(sandbox.path("config"));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..8).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let of = |file: &str| shown(&sandbox, &sandbox.config(file), "thumbprint");
    assert_eq!(noted(&sandbox), [of("identity.pem"), of("identity.pem.previous")]);
}
