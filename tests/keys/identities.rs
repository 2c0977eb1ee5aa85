//! octo-keys new: identities as files, and what openssl says of them; misuse.

use crate::support::random::Random;
use crate::support::{NOBODY, is_root, mode_of, needs, stdout_of};
use crate::{make, openssl, sandbox, scrubbed};
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};
use std::process::Stdio;
use std::time::Duration;

#[test]
fn openssl_agrees() {
    if !needs("openssl_agrees", "openssl") {
        return;
    }
    let sandbox = sandbox();
    for (key, shown) in [("ed25519", "ED25519"), ("ecdsa-p256", "prime256v1")] {
        let file = sandbox.path(key);
        let file = file.to_str().unwrap();
        let thumbprint = make(&sandbox, &["-k", key, "--name", "web1", file]);
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        assert!(thumbprint.len() == 64 && thumbprint.chars().all(is_hex), "{thumbprint}");
        assert_eq!(mode_of(file.as_ref()), 0o600);

        let said = openssl(&["x509", "-in", file, "-noout", "-fingerprint", "-sha256"]);
        let digits = said.split('=').nth(1).unwrap().trim().replace(':', "").to_lowercase();
        assert_eq!(digits, thumbprint);
        let text = openssl(&["x509", "-in", file, "-noout", "-text"]);
        assert!(text.contains("Not After : Dec 31 23:59:59 9999 GMT"), "{text}");
        assert!(text.contains(shown), "{text}");
        let named = ["x509", "-in", file, "-noout", "-subject", "-nameopt", "RFC2253"];
        assert_eq!(openssl(&named), "subject=CN=web1\n");
        // The key is the certificate's own, and the certificate verifies by itself.
        let of_key = openssl(&["pkey", "-in", file, "-pubout"]);
        assert_eq!(of_key, openssl(&["x509", "-in", file, "-noout", "-pubkey"]));
        openssl(&["verify", "-CAfile", file, "-partial_chain", file]);

        sandbox
            .tool("octo-keys")
            .args(["show", file])
            .assert()
            .success()
            .stderr(is_empty())
            .stdout(format!(
                "thumbprint {thumbprint}\nname web1\nkey {key}\n\
                 valid-from 1970-01-01T00:00:00Z\nvalid-until 9999-12-31T23:59:59Z\n"
            ));
    }
}

#[test]
fn two_identities_differ_in_all() {
    if !needs("two_identities_differ_in_all", "openssl") {
        return;
    }
    let sandbox = sandbox();
    let (a, b) = (sandbox.path("a"), sandbox.path("b"));
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    assert_ne!(make(&sandbox, &["--name", "x", a]), make(&sandbox, &["--name", "x", b]));
    for field in ["-serial", "-pubkey"] {
        assert_ne!(
            openssl(&["x509", "-in", a, "-noout", field]),
            openssl(&["x509", "-in", b, "-noout", field])
        );
    }
}

#[test]
fn the_default_is_the_configuration() {
    let sandbox = sandbox();
    let thumbprint = make(&sandbox, &[]);
    assert_eq!(mode_of(&sandbox.config("identity.pem")), 0o600);
    assert_eq!(mode_of(&sandbox.path("config")), 0o755);
    sandbox.tool("octo-keys").arg("show").assert().success().stdout(contains(&thumbprint));
    // The option beats the environment, before the verb and behind it.
    for arguments in [["--config", "other", "show"], ["show", "--config", "other"]] {
        let mut command = sandbox.tool("octo-keys");
        command
            .args(arguments)
            .assert()
            .code(65)
            .stderr(contains("other/identity.pem: can't read"));
    }
}

#[test]
fn the_name_is_the_user_and_the_host() {
    let sandbox = sandbox();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_string();
    if !is_root("the_name_is_the_user_and_the_host") {
        return;
    }
    make(&sandbox, &[]);
    sandbox.tool("octo-keys").arg("show").assert().stdout(contains(format!("\nname {host}\n")));
    let pem = sandbox.tool_as(NOBODY, "octo-keys").args(["new", "-"]).assert().success();
    let pem = pem.get_output().stdout.clone();
    let mut show = sandbox.tool("octo-keys");
    show.args(["show", "-"])
        .write_stdin(pem)
        .assert()
        .stdout(contains(format!("\nname nobody@{host}\n")));
}

#[test]
fn nothing_is_ever_overwritten() {
    let sandbox = sandbox();
    let file = sandbox.write("precious", "precious");
    let link = sandbox.path("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    for path in [&file, &link] {
        sandbox.tool("octo-keys").arg("new").arg(path).assert().code(73).stdout(is_empty()).stderr(
            contains(format!("octo-keys: {}: exists, and is never overwritten", path.display())),
        );
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    assert!(!sandbox.path("nowhere").exists());
}

#[test]
fn of_many_at_once_one_makes_it() {
    let sandbox = sandbox();
    let program = sandbox.program("octo-keys");
    let start = |_| {
        let mut command = scrubbed(&sandbox, &program);
        command.args(["new", "--name", "x"]).arg(sandbox.path("id.pem"));
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..12).map(start).collect();
    let outputs: Vec<_> = children.into_iter().map(|c| c.wait_with_output().unwrap()).collect();
    let made: Vec<_> = outputs.iter().filter(|output| output.status.success()).collect();
    assert_eq!(made.len(), 1);
    assert!(outputs.iter().all(|o| matches!(o.status.code(), Some(0 | 73))));
    let thumbprint = String::from_utf8_lossy(&made[0].stdout).into_owned();
    sandbox.tool("octo-keys").args(["show", "id.pem"]).assert().stdout(contains(thumbprint.trim()));
}

#[test]
fn killed_at_any_moment_it_is_whole_or_not_there() {
    let sandbox = sandbox();
    let mut random = Random(1);
    for turn in 0..60 {
        let file = sandbox.path(&format!("id{turn}.pem"));
        let mut child = scrubbed(&sandbox, sandbox.program("octo-keys"))
            .args(["new", "--name", "x"])
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(random.below(8000) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        if file.exists() {
            assert_eq!(mode_of(&file), 0o600);
            sandbox.tool("octo-keys").arg("check").arg(&file).assert().success();
        } else {
            make(&sandbox, &["--name", "x", file.to_str().unwrap()]);
        }
    }
}

/// A thumbprint that was printed is of an identity that a power cut leaves.
#[test]
fn a_disk_that_fails_makes_no_identity() {
    if !crate::support::can_trace("a_disk_that_fails_makes_no_identity") {
        return;
    }
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("ids")).unwrap();
    for (turn, (injected, there)) in [
        ("write:error=ENOSPC:when=1", false),
        ("fsync:error=EIO:when=1", false),
        ("fsync:error=EIO:when=2", true),
    ]
    .into_iter()
    .enumerate()
    {
        let file = sandbox.path(&format!("ids/{turn}.pem"));
        let output = scrubbed(&sandbox, "strace")
            .args(["-qq", "-o", "/dev/null", "-e", &format!("inject={injected}")])
            .arg(sandbox.program("octo-keys"))
            .args(["new", "--name", "x"])
            .arg(&file)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(74), "{injected}: {error}");
        assert_eq!((output.stdout, file.exists()), (vec![], there), "{injected}");
    }
    assert_eq!(std::fs::read_dir(sandbox.path("ids")).unwrap().count(), 1);
}

#[test]
fn an_identity_can_go_to_a_pipe() {
    let sandbox = sandbox();
    let output = sandbox.tool("octo-keys").args(["new", "--name", "x", "-"]).assert().success();
    let output = output.get_output();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut show = sandbox.tool("octo-keys");
    let shown = stdout_of(show.args(["show", "-"]).write_stdin(output.stdout.clone()));
    let thumbprint = shown.lines().next().unwrap();
    assert!(said.contains(&format!("{thumbprint} of x")), "{said}");
    assert!(!sandbox.path("-").exists());
}

#[test]
fn what_cannot_be_made_is_said() {
    let sandbox = sandbox();
    sandbox
        .tool("octo-keys")
        .args(["new", "none/id.pem"])
        .assert()
        .code(73)
        .stderr(contains("octo-keys: none/id.pem: can't create: no such file or directory"));
    sandbox.write("file", "");
    sandbox.tool("octo-keys").args(["new", "--config", "file/x"]).assert().code(73);
    if is_root("what_cannot_be_made_is_said") {
        let mut command = sandbox.tool_as(NOBODY, "octo-keys");
        command
            .arg("new")
            .assert()
            .code(73)
            .stderr(contains("config: can't create: permission denied"));
    }
    let mut full = scrubbed(&sandbox, sandbox.program("octo-keys"));
    full.args(["new", "--name", "x", "-"]).stdout(std::fs::File::create("/dev/full").unwrap());
    assert_eq!(full.status().unwrap().code(), Some(74));
}

#[test]
fn misuse_is_64() {
    let sandbox = sandbox();
    let print = "9".repeat(64);
    for (arguments, said) in [
        (&[][..], "which verb? new, show"),
        (&["frobnicate"], "frobnicate: no such verb"),
        (&["--frobnicate"], "octo-keys: --frobnicate: no such option"),
        (&["new", "-k", "rsa"], "rsa: not a type of key"),
        (&["new", "--name", "a b"], "--name a b: a name is"),
        (&["new", "--name", "x\u{1b}[2J"], "--name x\\x1b[2J"),
        (&["new", "a", "b"], "b: one argument too many"),
        (&["new", "a", "--", "--name"], "--name: one argument too many"),
        (&["new", "a", "--nmae", "x"], "new: --nmae: no such option"),
        (&["show", "-o", "x"], "show: -o: no such option"),
        (&["trust", &print], "an argument is missing"),
        (&["trust", &print, "-x"], "trust: -x: no such option"),
        (&["trust", &print, "a/b"], "a/b: a pusher's name is"),
        (&["trust", "-o", "shell=sh", &print, "ci"], "unknown option 'shell'"),
        (&["trust", "-o", "sudo\nhold", &print, "ci"], "a line break is in them"),
        (&["distrust"], "an argument is missing"),
        (&["distrust", "a/b"], "a/b: "),
        (&["explain", &print], "an argument is missing"),
        (&["explain", &print, "10.0.0.1"], "10.0.0.1: no such verb"),
        (&["explain", &print, "deploy"], "deploy: of which application?"),
        (&["explain", &print, "deploy", "../x"], "../x: not a name of letters"),
        (&["explain", &print, "run", "x"], "x: one argument too many"),
        (&["explain", &print, "web1", "run"], "web1: not an IP address"),
        (&["explain", &print, "10.0.0.1", "any"], "any: no such verb"),
        (&["explain", &print, "-", "stauts"], "hint: status is one"),
        (&["explain", "--at", "noon", &print, "-", "run"], "--at noon: a time is"),
        (&["check", "a", "b"], "b: one argument too many"),
    ] {
        sandbox
            .tool("octo-keys")
            .args(arguments)
            .assert()
            .code(64)
            .stdout(is_empty())
            .stderr(contains(said).and(starts_with("octo-keys: ")));
    }
    assert!(!sandbox.path("config").exists(), "misuse changes nothing");
}

#[test]
fn help_and_version() {
    let sandbox = sandbox();
    for arguments in [&["--help"][..], &["-h"], &["new", "--help"]] {
        sandbox
            .tool("octo-keys")
            .args(arguments)
            .assert()
            .success()
            .stdout(starts_with("usage: octo-keys"))
            .stderr(is_empty());
    }
    let version = format!("octo-keys {}\n", env!("CARGO_PKG_VERSION"));
    sandbox.tool("octo-keys").arg("--version").assert().success().stdout(version);
}
