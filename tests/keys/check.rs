//! octo-keys check: what is wrong with the files of a configuration, and what is odd.

use crate::support::{NOBODY, is_root, set_mode};
use crate::{make, print, sandbox};
use predicates::prelude::*;
use predicates::str::{contains, is_empty};

#[test]
fn a_sound_file_is_checked_in_silence() {
    let sandbox = sandbox();
    sandbox
        .tool("octo-keys")
        .arg("check")
        .assert()
        .code(78)
        .stderr(contains("config/trusted: there is no trust file"));
    sandbox.write(
        "config/trusted",
        format!("# c\r\n\n{} ci allow=put\r\n{} ci allow=put\n", print("a"), print("b")),
    );
    sandbox.tool("octo-keys").arg("check").assert().success().stdout(is_empty()).stderr(is_empty());
    let mut command = sandbox.tool("octo-keys");
    command
        .args(["check", "-v"])
        .assert()
        .success()
        .stdout(is_empty())
        .stderr(contains("config/trusted: sound: 2 lines, 1 pushers"));
    // A draft beside it, under any name.
    sandbox.write("draft", format!("{} ci allow=put oops\n", print("a")));
    let mut command = sandbox.tool("octo-keys");
    command
        .args(["check", "draft"])
        .assert()
        .code(78)
        .stderr(contains("draft:1: unknown option 'oops'"));
}

#[test]
fn a_list_of_variables_that_permits_nothing_is_told() {
    let sandbox = sandbox();
    let check = |options: &str| {
        sandbox.write("config/trusted", format!("{} ci {options}\n", print("a")));
        sandbox.tool("octo-keys").arg("check").assert()
    };
    let nothing = "trusted:1: env=LD_* permits nothing: the loader takes code from it; set= gives";
    check("user=root env=A,LD_*").stderr(contains(nothing));
    check("user=root env=A,NODE_*,*").stderr(contains("permits nothing").not());
    check("env=A allow=put").stderr(contains("without run in allow= nothing comes of env"));
    check("allow=put,despite").stderr(contains("nothing comes of allow=despite"));
    // Exactly said, it is an error: nobody is let in by a line that promises it.
    let exact = "trusted:1: env=A,npm_config_x: no pusher may set npm_config_x: ";
    check("env=A,npm_config_x")
        .code(78)
        .stderr(contains(exact))
        .stderr(contains("set=npm_config_x=VALUE"));
    check("env=A-B").code(78).stderr(contains("'A-B' is neither a variable's name nor PREFIX*"));
    check("env=A,A").code(78).stderr(contains("A stands there twice"));
}

#[test]
fn each_problem_is_named_with_its_line() {
    let sandbox = sandbox();
    let a = print("a");
    sandbox.write(
        "config/trusted",
        format!("# c\n{a} ci oops\n{a} ok user=root\n{} short\n{a} ci user=\"x\n\u{200e}{a} ci\n\x1b[2J ci\n", &a[..40]),
    );
    let assert = sandbox.tool("octo-keys").arg("check").assert().code(78).stdout(is_empty());
    let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    let path = sandbox.config("trusted");
    let lines: Vec<&str> = said.lines().collect();
    for (index, (number, reason, text)) in [
        (2, "unknown option 'oops'", format!("{a} ci oops")),
        (4, "40 hex digits are a SHA-1", format!("{} short", &a[..40])),
        (5, "a double quote is not closed", format!("{a} ci user=\"x")),
        (6, "an invisible character (U+200E)", format!("\\u{{200e}}{a} ci")),
        (7, "'\\x1b' is not a hex digit", "\\x1b[2J ci".to_string()),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(
            lines[2 * index]
                .starts_with(&format!("octo-keys: {}:{number}: {reason}", path.display())),
            "{said}"
        );
        assert_eq!(lines[2 * index + 1], format!("octo-keys:   {text}"));
    }
    assert_eq!(lines.len(), 10);
}

#[test]
fn files_that_others_can_write_are_unsound() {
    let sandbox = sandbox();
    let path = sandbox.write("config/trusted", format!("{} ci user=root\n", print("a")));
    let refused = |said: &str| {
        sandbox
            .tool("octo-keys")
            .arg("check")
            .assert()
            .code(78)
            .stderr(contains(said).and(contains("hint: chmod go-w ")));
        // And nobody is let in by it.
        let mut explain = sandbox.tool("octo-keys");
        explain
            .args(["explain", &print("a"), "10.0.0.1", "status"])
            .assert()
            .code(78)
            .stdout(is_empty());
    };
    set_mode(&path, 0o664);
    refused("config/trusted: is writable by its group (mode 0664)");
    set_mode(&path, 0o644);
    set_mode(&sandbox.path("config"), 0o777);
    refused("config: is writable by others (mode 0777)");
    set_mode(&sandbox.path("config"), 0o1777);
    sandbox.tool("octo-keys").arg("check").assert().success();
}

#[test]
fn what_is_sound_and_odd_is_a_warning() {
    if !is_root("what_is_sound_and_odd_is_a_warning") {
        return;
    }
    let sandbox = sandbox();
    let (a, b, c) = (print("a"), print("b"), print("c"));
    sandbox.write("scripts/good", "");
    set_mode(&sandbox.write("scripts/loose", ""), 0o777);
    let scripts = sandbox.path("scripts");
    sandbox.write(
        "config/trusted",
        format!(
            "{a} ci from=10.0.0.0/8 user=root\n{a} ci from=10.1.0.0/16 user=root\n{b} b\n{b} b2 user=root\n\
             {c} c expires=2020-01-01\n{c} c allow=put sudo hold\n{a} a user=nosuchuser\n\
             {} d user=root scripts={}\n{} e user=root scripts=/none\n{} f user=root",
            print("d"),
            scripts.display(),
            print("e"),
            print("f")
        ),
    );
    let assert = sandbox.tool("octo-keys").arg("check").assert().success().stdout(is_empty());
    let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    let mut warned = said.lines().filter_map(|line| line.strip_prefix("octo-keys: warning: "));
    for (number, reason) in [
        (2, "never decides: line 1 holds whenever it does"),
        (3, "runs are refused: an octo-exec that is root asks for user="),
        (4, "never decides: line 3 holds whenever it does"),
        (5, "expired at the end of 2020-01-01 (UTC)"),
        (6, "without run in allow= nothing comes of sudo, hold"),
        (7, "there is no user nosuchuser on this machine"),
        (8, "scripts: "),
        (9, "scripts: /none: no such file or directory"),
        (10, "the last line has no line end: is it whole?"),
    ] {
        let place = format!("{}:{number}: {reason}", sandbox.config("trusted").display());
        let line = warned.next().unwrap_or_default();
        assert!(line.starts_with(&place), "{place}\n{said}");
    }
    assert_eq!(warned.next(), None);
    assert!(said.contains("scripts/loose: is writable by others"), "{said}");

    // As another user: who can become whom, and what its jobs can rewrite.
    let sandbox = crate::sandbox();
    sandbox.write("config/trusted", format!("{a} ci\n{b} b user=root\n{c} c user=nobody\n"));
    let mut command = sandbox.tool_as(NOBODY, "octo-keys");
    command.arg("check").assert().success().stderr(
        contains(":1: jobs run as nobody itself, and can rewrite the record and this file")
            .and(contains(":2: runs are refused: nobody is not root and can't become root"))
            .and(contains(":3: jobs run as nobody itself")),
    );
}

#[test]
fn the_targets_file_is_checked_too() {
    let sandbox = sandbox();
    sandbox.write(
        "config/targets",
        format!("web1 10.0.0.1 {}\nweb2 10.0.0.2 {}\n", print("a"), print("b")),
    );
    // A machine that only pushes needs no trust file.
    sandbox.tool("octo-keys").arg("check").assert().success().stderr(is_empty());
    sandbox.write(
        "config/targets",
        format!("web1 10.0.0.1 {}\nweb2 10.0.0.2 {}\n", print("a"), print("a")),
    );
    sandbox.tool("octo-keys").arg("check").assert().success().stderr(
        contains("warning: ")
            .and(contains(format!("web1, web2 have the same thumbprint, {}", print("a")))),
    );
    sandbox.write(
        "config/targets",
        format!("web1 10.0.0.1 {}\nweb1 10.0.0.2 {}\n", print("a"), print("a")),
    );
    sandbox
        .tool("octo-keys")
        .arg("check")
        .assert()
        .code(78)
        .stderr(contains("config/targets:2: target web1 is on line 1 already"));
    sandbox.write("fleet", "web1 10.0.0.1 webpki web\nweb1 10.0.0.1 webpki\n");
    sandbox
        .tool("octo-keys")
        .args(["check", "fleet"])
        .assert()
        .code(78)
        .stderr(contains("fleet:2: target web1"));
}

#[test]
fn an_identity_is_checked_whole() {
    let sandbox = sandbox();
    make(&sandbox, &[]);
    make(&sandbox, &["--name", "x", "-k", "ecdsa-p256", "x.pem"]);
    make(&sandbox, &["--name", "y", "y.pem"]);
    sandbox.write("config/trusted", "");
    sandbox.tool("octo-keys").arg("check").assert().success().stdout(is_empty()).stderr(is_empty());
    let read = |name: &str| std::fs::read_to_string(sandbox.path(name)).unwrap();
    let key = |name: &str| {
        read(name).split_inclusive("-----END PRIVATE KEY-----\n").next().unwrap().to_string()
    };
    let certificate = |name: &str| read(name)[key(name).len()..].to_string();
    for (contents, said) in [
        (key("x.pem") + &certificate("y.pem"), "the key is not that of the certificate"),
        (certificate("y.pem"), "there is no private key in it"),
        (key("y.pem"), "there is no whole certificate in it"),
        (
            key("x.pem").replacen("MIG", "AAA", 1) + &certificate("x.pem"),
            "the private key is damaged",
        ),
        // The version's number in base64: 2 in place of 3.
        (key("y.pem") + &certificate("y.pem").replacen("AgEC", "AgEB", 1), "X.509 version 2"),
        (read("x.pem")[..400].to_string(), "there is no whole certificate in it"),
        (String::new(), "neither an identity nor a certificate"),
    ] {
        let path = sandbox.write("config/identity.pem", contents);
        set_mode(&path, 0o600);
        let said = contains("config/identity.pem: ").and(contains(said));
        sandbox.tool("octo-keys").arg("check").assert().code(78).stderr(said);
    }
    // Certificate first, then the key: also an identity.
    let path = sandbox.write("config/identity.pem", certificate("x.pem") + &key("x.pem"));
    set_mode(&path, 0o600);
    sandbox.tool("octo-keys").arg("tentacle").assert().success();
    sandbox
        .tool("octo-keys")
        .args(["check", "-v"])
        .assert()
        .success()
        .stderr(contains("identity.pem: sound: x "));
}

#[test]
fn settings_of_octo_exec_are_checked_with_the_program_that_they_name() {
    let sandbox = sandbox();
    sandbox.write("config/trusted", format!("{} ci allow=put\n", print("a")));
    let tell = sandbox.write("tell", "#!/bin/sh\n");
    let check = |text: &str| {
        sandbox.write("config/octo-exec", text);
        sandbox.tool("octo-keys").args(["check", "-v"]).assert()
    };
    let line = format!("notify={} ops\n", tell.display());
    check(&line).code(78).stderr(contains("can't be executed, and notify= names it"));
    set_mode(&tell, 0o755);
    check(&line).success().stderr(contains("octo-exec: sound: what waits for approval is told by"));
    check("# nothing\n").success().stderr(contains("octo-exec: sound: nothing is set"));
    check("\nnotice=x\n").code(78).stderr(contains("octo-exec:2: no such setting; there are:"));
    check("notify=/nowhere/tell\n").code(78).stderr(contains("/nowhere: no such file"));
    check("notify=tell\n").code(78).stderr(contains("begins with the absolute path"));
}
