//! octo-keys tentacle, and what new and check do with its file; renew is beside it.

use crate::support::{NOBODY, Sandbox, is_root, mode_of, set_mode, stdout_of};
use crate::{make, print, sandbox};
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use std::os::unix::fs::{MetadataExt, chown};

/// The thumbprints in CONFIG/tentacle, in their order.
pub(crate) fn noted(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.config("tentacle")).expect("CONFIG/tentacle");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(String::from).collect()
}

/// Notes that an identity is this tentacle's.
fn note(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let mut command = sandbox.tool("octo-keys");
    stdout_of(command.arg("tentacle").args(arguments)).trim_end().to_string()
}

#[test]
fn the_first_identity_is_noted_and_no_other() {
    let sandbox = sandbox();
    make(&sandbox, &["--name", "x", "elsewhere.pem"]);
    sandbox.tool("octo-keys").args(["new", "--name", "x", "-"]).assert().success();
    assert!(!sandbox.config("tentacle").exists());
    let first = make(&sandbox, &["--name", "x"]);
    assert_eq!(noted(&sandbox), [&first[..]]);
    assert_eq!(mode_of(&sandbox.config("tentacle")), 0o644);
    make(&sandbox, &["--name", "x", "another.pem"]);
    assert_eq!(noted(&sandbox), [&first[..]]);

    // It may name a key that lives elsewhere.
    std::fs::remove_file(sandbox.config("identity.pem")).unwrap();
    let made = sandbox.tool("octo-keys").args(["new", "--name", "x"]).assert().success();
    made.stderr(
        contains("config/tentacle: is of another identity, and stays so")
            .and(contains("hint: octo-keys tentacle")),
    );
    assert_eq!(noted(&sandbox), [first]);
}

/// As one that was made before there was such a file, or whose new was killed.
#[test]
fn an_identity_without_its_note_gets_it_by_the_hint() {
    let sandbox = sandbox();
    let own = make(&sandbox, &["--name", "x"]);
    sandbox.tool("octo-keys").arg("new").assert().code(73).stderr(contains("tentacle").not());
    std::fs::remove_file(sandbox.config("tentacle")).unwrap();
    // One who only pushes needs none.
    sandbox.write("config/targets", format!("web1 10.0.0.1 {}\n", print("a")));
    sandbox.tool("octo-keys").arg("check").assert().success().stderr(is_empty());
    sandbox.write("config/trusted", "");
    let missing = contains("config/tentacle: there is none: ")
        .and(contains("octo-keys: hint: octo-keys tentacle\n"));
    sandbox.tool("octo-keys").arg("check").assert().code(78).stderr(missing);
    let again = sandbox.tool("octo-keys").arg("new").assert().code(73);
    again.stderr(contains("hint: octo-keys tentacle notes it as this tentacle's"));
    assert_eq!(note(&sandbox, &[]), own);
    assert_eq!(noted(&sandbox), [&own[..]]);
    let sound = sandbox.tool("octo-keys").args(["check", "-v"]).assert().success();
    sound.stderr(contains(format!("config/tentacle: sound: this tentacle is {own}")));
}

#[test]
fn what_was_current_is_previous_and_a_second_time_changes_nothing() {
    let sandbox = sandbox();
    let a = make(&sandbox, &["--name", "x"]);
    let b = make(&sandbox, &["--name", "x", "b.pem"]);
    let c = make(&sandbox, &["--name", "x", "c.pem"]);
    let inode = || sandbox.config("tentacle").metadata().unwrap().ino();
    let before = inode();
    assert_eq!(note(&sandbox, &[]), a);
    assert_eq!((noted(&sandbox), inode()), (vec![a.clone()], before));
    for _ in 0..2 {
        assert_eq!(note(&sandbox, &["b.pem"]), b);
        assert_eq!(noted(&sandbox), [b.clone(), a.clone()]);
    }
    // A certificate alone, from standard input.
    let certificate = stdout_of(sandbox.tool("octo-keys").args(["cert", "c.pem"]));
    let mut command = sandbox.tool("octo-keys");
    command.args(["tentacle", "-"]).write_stdin(certificate).assert().success();
    assert_eq!(noted(&sandbox), [c, b.clone()]);
    // And back, by what is there.
    note(&sandbox, &["b.pem"]);
    assert_eq!(noted(&sandbox)[0], b);
}

#[test]
fn what_is_no_identity_is_not_noted() {
    let sandbox = sandbox();
    make(&sandbox, &["--name", "x", "x.pem"]);
    make(&sandbox, &["--name", "y", "y.pem"]);
    let read = |name: &str| std::fs::read_to_string(sandbox.path(name)).unwrap();
    let end = "-----END PRIVATE KEY-----\n";
    let (key, _) =
        read("x.pem").split_once(end).map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
    let (_, certificate) =
        read("y.pem").split_once(end).map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
    sandbox.write("mixed.pem", format!("{key}{end}{certificate}"));
    sandbox.write("empty.pem", "");
    for (arguments, code, said) in [
        (&["tentacle"][..], 78, "config/identity.pem: there is no identity"),
        (&["tentacle", "none.pem"], 65, "none.pem: can't read"),
        (&["tentacle", "empty.pem"], 65, "neither an identity nor a certificate"),
        // Whoever shows that certificate can't prove that it is his.
        (&["tentacle", "mixed.pem"], 78, "the key is not that of the certificate"),
        (&["tentacle", "x.pem", "y.pem"], 64, "one argument too many"),
    ] {
        let refused = sandbox.tool("octo-keys").args(arguments).assert().code(code);
        refused.stdout(is_empty()).stderr(contains(said));
    }
    assert!(!sandbox.config("tentacle").exists());
    note(&sandbox, &["x.pem"]);
    set_mode(&sandbox.config("tentacle"), 0o666);
    let refused = sandbox.tool("octo-keys").args(["tentacle", "y.pem"]).assert().code(78);
    refused.stderr(contains("config/tentacle: is writable by others"));
    assert_eq!(noted(&sandbox).len(), 1);
}

#[test]
fn the_tentacle_file_is_checked() {
    let sandbox = sandbox();
    let own = make(&sandbox, &["--name", "x"]);
    sandbox.write("config/trusted", "");
    let (a, path) = (print("a"), sandbox.config("tentacle"));
    let refused = |text: String, said: &str| {
        std::fs::write(&path, text).unwrap();
        for arguments in [&["check"][..], &["check", "config/tentacle"]] {
            let checked = sandbox.tool("octo-keys").args(arguments).assert().code(78);
            checked.stdout(is_empty()).stderr(contains(said));
        }
    };
    let not_first = "tentacle: the first thumbprint is not that of ";
    refused(format!("{a}\n"), not_first);
    refused(format!("{a}\n{own}\n"), not_first);
    refused(format!("{own}\n{a}\n{a}\n"), "config/tentacle:3: a third thumbprint");
    refused("oops\n".into(), "config/tentacle:1: 'o' is not a hex digit");
    refused(String::new(), "config/tentacle: no thumbprint is in it");
    std::fs::write(&path, format!("{a}\n{own}\n")).unwrap();
    let checked = sandbox.tool("octo-keys").arg("check").assert().code(78);
    checked.stderr(contains(format!("hint: octo-keys tentacle makes {own} the first")));
    note(&sandbox, &[]);
    sandbox.tool("octo-keys").arg("check").assert().success().stderr(is_empty());
    // The end of the changeover.
    std::fs::write(&path, format!("{own}\n")).unwrap();
    sandbox.tool("octo-keys").arg("check").assert().success().stderr(is_empty());
    // A key that lives elsewhere.
    std::fs::remove_file(sandbox.config("identity.pem")).unwrap();
    sandbox.tool("octo-keys").arg("check").assert().success().stderr(is_empty());
    refused("oops\n".into(), "config/tentacle:1: 'o' is not a hex digit");
}

#[test]
fn a_user_has_a_tentacle_of_his_own() {
    if !is_root("a_user_has_a_tentacle_of_his_own") {
        return;
    }
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("config")).unwrap();
    chown(sandbox.path("config"), Some(NOBODY), Some(NOBODY)).unwrap();
    let own = stdout_of(sandbox.tool_as(NOBODY, "octo-keys").arg("new"));
    let new = stdout_of(sandbox.tool_as(NOBODY, "octo-keys").arg("renew"));
    assert_eq!(stdout_of(sandbox.tool_as(NOBODY, "octo-keys").arg("tentacle")), new);
    assert_eq!(noted(&sandbox), [new.trim_end(), own.trim_end()]);
    sandbox.write("config/trusted", "");
    chown(sandbox.config("trusted"), Some(NOBODY), Some(NOBODY)).unwrap();
    sandbox.tool_as(NOBODY, "octo-keys").arg("check").assert().success().stderr(is_empty());
}

/// STATE/spool is that of a listener which is another user, and says the addresses.
#[test]
fn where_the_listener_is_another_user_no_address_chooses_what_is_granted() {
    let name = "where_the_listener_is_another_user_no_address_chooses_what_is_granted";
    if !is_root(name) {
        return;
    }
    let sandbox = sandbox();
    make(&sandbox, &["--name", "x"]);
    let (a, b) = (print("a"), print("b"));
    let line = |options: &str| format!("{a} ci user=root {options}\n");
    let trusted = |text: String| sandbox.write("config/trusted", text);
    trusted(
        line("from=10.0.0.0/8 sudo") + &line("") + &format!("{b} b from=10.0.0.0/8 user=root\n"),
    );
    let check = || sandbox.tool("octo-keys").arg("check").assert();
    check().success().stderr(is_empty());
    std::fs::create_dir_all(sandbox.state("spool")).unwrap();
    set_mode(&sandbox.state("spool"), 0o700);
    check().success().stderr(is_empty());
    chown(sandbox.state("spool"), Some(NOBODY), Some(NOBODY)).unwrap();
    let reason = "config/trusted:2: line 1 grants otherwise, and only the address chooses";
    check().code(78).stderr(contains(reason).and(contains(format!("octo-keys:   {a} ci"))));
    trusted(line("from=10.0.0.0/8 sudo") + &line("sudo"));
    check().success().stderr(is_empty());

    // Its identity is the listener's own, and nobody else's.
    let identity = sandbox.config("identity.pem");
    chown(&identity, Some(NOBODY), Some(NOBODY)).unwrap();
    check().success().stderr(is_empty());
    chown(&identity, Some(NOBODY - 1), None).unwrap();
    check().code(78).stderr(contains("config/identity.pem: is owned by uid 65533"));
    chown(&identity, Some(NOBODY), None).unwrap();
    set_mode(&identity, 0o640);
    check().code(78).stderr(contains("others can read this key"));
}
