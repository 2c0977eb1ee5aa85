//! octo-keys new, show and cert: identities as files, and what openssl says of them.

#![allow(clippy::unwrap_used)]

use crate::support::{NOBODY, Random, Sandbox, is_root, mode_of, set_mode, stdout_of};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::{contains, is_empty, is_match, starts_with};
use std::process::{Command, Stdio};
use std::time::Duration;

fn sandbox() -> Sandbox {
    Sandbox::new(cargo_bin!("octo-keys"))
}

/// Makes an identity; its thumbprint.
fn make(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let mut command = sandbox.tool("octo-keys");
    stdout_of(command.arg("new").args(arguments)).trim_end().to_string()
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn openssl_agrees() {
    let sandbox = sandbox();
    for (key, shown) in [("ed25519", "ED25519"), ("ecdsa-p256", "prime256v1")] {
        let file = sandbox.path(key);
        let file = file.to_str().unwrap();
        let thumbprint = make(&sandbox, &["-k", key, "--name", "web1", file]);
        assert!(is_match("^[0-9a-f]{64}$").unwrap().eval(&thumbprint), "{thumbprint}");
        assert_eq!(mode_of(file.as_ref()), 0o600);

        let said = openssl(&["x509", "-in", file, "-noout", "-fingerprint", "-sha256"]);
        let digits = said.split('=').nth(1).unwrap().trim().replace(':', "").to_lowercase();
        assert_eq!(digits, thumbprint);
        let text = openssl(&["x509", "-in", file, "-noout", "-text"]);
        assert!(text.contains("Not After : Dec 31 23:59:59 9999 GMT"), "{text}");
        assert!(text.contains(shown) && text.contains("CN = web1"), "{text}");
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
        let mut command = Command::new(&program);
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
        let mut child = Command::new(sandbox.program("octo-keys"))
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
    let traced = Command::new("strace").args(["-qq", "true"]).stderr(Stdio::null()).status();
    if !traced.is_ok_and(|status| status.success()) {
        crate::support::skipped("a_disk_that_fails_makes_no_identity", "needs strace");
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
        let output = Command::new("strace")
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
fn cert_gives_the_certificate_alone() {
    let sandbox = sandbox();
    let thumbprint = make(&sandbox, &["--name", "x", "id.pem"]);
    let pem = stdout_of(sandbox.tool("octo-keys").args(["cert", "id.pem"]));
    assert!(starts_with("-----BEGIN CERTIFICATE-----\n").eval(&pem));
    assert!(pem.ends_with("-----END CERTIFICATE-----\n") && !pem.contains("PRIVATE"));
    // A certificate is shown as the identity is; the key need not be there.
    let crlf = pem.replace('\n', "\r\n");
    for text in [pem.clone(), crlf, format!("a comment\n{pem}")] {
        let mut command = sandbox.tool("octo-keys");
        command.args(["show", "-"]).write_stdin(text).assert().stdout(contains(&thumbprint));
    }
    // Of a chain, the first is the peer's own.
    make(&sandbox, &["--name", "ca", "ca.pem"]);
    let ca = stdout_of(sandbox.tool("octo-keys").args(["cert", "ca.pem"]));
    let chain = format!("{pem}{ca}");
    let mut command = sandbox.tool("octo-keys");
    let shown = stdout_of(command.args(["show", "-"]).write_stdin(chain.clone()));
    assert!(shown.contains(&thumbprint) && shown.ends_with("chain 1\n"), "{shown}");
    let mut command = sandbox.tool("octo-keys");
    assert_eq!(stdout_of(command.args(["cert", "-"]).write_stdin(chain.clone())), chain);
}

#[test]
fn what_is_no_certificate_is_said() {
    let sandbox = sandbox();
    make(&sandbox, &["--name", "x", "id.pem"]);
    let pem = stdout_of(sandbox.tool("octo-keys").args(["cert", "id.pem"]));
    let identity = std::fs::read_to_string(sandbox.path("id.pem")).unwrap();
    let (begin, end) = (identity.find("-----BEGIN CERT").unwrap(), pem.len());
    for (contents, said) in [
        (Vec::new(), "neither an identity nor a certificate"),
        (b"\xff\xfe\0".to_vec(), "neither an identity nor a certificate"),
        (vec![b'x'; 2 << 20], "is larger than 1048576 bytes"),
        (identity.as_bytes()[..begin].to_vec(), "there is no whole certificate in it"),
        (pem.as_bytes()[..end / 2].to_vec(), "there is no whole certificate in it"),
        (pem.replacen("MI", "M!", 1).into_bytes(), "damaged"),
        (pem.replacen("MI", "AA", 1).into_bytes(), "damaged"),
    ] {
        let mut command = sandbox.tool("octo-keys");
        command
            .args(["show", "-"])
            .write_stdin(contents)
            .assert()
            .code(65)
            .stdout(is_empty())
            .stderr(contains("octo-keys: standard input: ").and(contains(said)));
    }
    sandbox.tool("octo-keys").arg("show").assert().code(65).stderr(
        contains("config/identity.pem: can't read: no such file")
            .and(contains("octo-keys new makes one")),
    );
    sandbox
        .tool("octo-keys")
        .args(["show", "."])
        .assert()
        .code(65)
        .stderr(contains("is a directory"));
}

#[test]
fn a_peers_name_cannot_drive_the_terminal() {
    let sandbox = sandbox();
    let (key, cert) = (sandbox.path("k"), sandbox.path("c"));
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-utf8",
        "-days",
        "1",
        "-keyout",
        key.to_str().unwrap(),
        "-out",
        cert.to_str().unwrap(),
        "-subj",
        "/CN=a\u{1b}[31m\u{202e}b\nkey forged",
    ]);
    let shown = stdout_of(sandbox.tool("octo-keys").args(["show", "c"]));
    assert!(shown.contains("name a\\x1b[31m\\u{202e}b\\nkey forged\nkey rsa-2048\n"), "{shown}");
}

/// Identities need not be ours: an internal CA's are shown as openssl shows them.
#[test]
fn what_openssl_makes_is_shown() {
    let sandbox = sandbox();
    let path = |name: &str| sandbox.path(name).to_str().unwrap().to_string();
    let (key, request, certificate) = (path("k"), path("r"), path("c"));
    for (algorithm, shown) in [
        (&["rsa:2048"][..], "rsa-2048"),
        (&["ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"], "ecdsa-p521"),
    ] {
        let new = ["req", "-nodes", "-keyout", &key, "-out", &request, "-newkey"];
        openssl(&[&new[..], algorithm, &["-subj", "/C=DE/O=Example AG"]].concat());
        // Of version 1 or 3, as it likes, with a date that is a UTCTime and one that isn't.
        let sign = ["x509", "-req", "-in", &request, "-signkey", &key, "-out", &certificate];
        openssl(&[&sign[..], &["-days", "20000"]].concat());
        let date = |which| {
            let said = openssl(&["x509", "-in", &certificate, "-noout", which]);
            let said = said.trim().split_once('=').unwrap().1;
            let time = jiff::civil::DateTime::strptime("%b %d %H:%M:%S %Y GMT", said).unwrap();
            format!("{time}Z")
        };
        sandbox.tool("octo-keys").args(["show", "c"]).assert().stdout(
            contains(format!("\nname C=DE, O=Example AG\nkey {shown}\n"))
                .and(contains(format!("\nvalid-from {}\n", date("-startdate"))))
                .and(contains(format!("\nvalid-until {}\n", date("-enddate")))),
        );
    }
}

#[test]
fn a_key_that_others_can_read_is_told_of() {
    let sandbox = sandbox();
    make(&sandbox, &["--name", "x", "id.pem"]);
    set_mode(&sandbox.path("id.pem"), 0o640);
    let mut command = sandbox.tool("octo-keys");
    command
        .args(["show", "id.pem"])
        .assert()
        .success()
        .stderr(contains("others can read this key (mode 0640)").and(contains("chmod 600 id.pem")));
    sandbox
        .tool("octo-keys")
        .args(["check", "id.pem"])
        .assert()
        .code(78)
        .stderr(contains("others can read this key"));
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
    sandbox
        .tool("octo-keys")
        .args(["check", "-v"])
        .assert()
        .success()
        .stderr(contains("identity.pem: sound: x "));
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
    let mut full = Command::new(sandbox.program("octo-keys"));
    full.args(["new", "--name", "x", "-"]).stdout(std::fs::File::create("/dev/full").unwrap());
    assert_eq!(full.status().unwrap().code(), Some(74));
}

#[test]
fn misuse_is_64() {
    let sandbox = sandbox();
    let print = "9".repeat(64);
    for (arguments, said) in [
        (&[][..], "no verb"),
        (&["frobnicate"], "frobnicate: no such verb"),
        (&["--frobnicate"], "octo-keys: --frobnicate: no such option"),
        (&["new", "-k", "rsa"], "rsa: not a type of key"),
        (&["new", "--name", "a b"], "--name a b: a name is"),
        (&["new", "--name", "x\u{1b}[2J"], "--name x\\x1b[2J"),
        (&["new", "a", "b"], "b: one argument too many"),
        (&["new", "id.pem", "--name", "x"], "--name: options come before the arguments"),
        (&["show", "-o", "x"], "--options is not an option of this verb"),
        (&["trust", &print], "an argument is missing"),
        (&["trust", &print, "-x"], "-x: options come before"),
        (&["trust", &print, "a/b"], "a/b: a pusher's name is"),
        (&["trust", "-o", "shell=sh", &print, "ci"], "unknown option 'shell'"),
        (&["trust", "-o", "sudo\nhold", &print, "ci"], "a line break is in them"),
        (&["distrust"], "an argument is missing"),
        (&["distrust", "a/b"], "a/b: "),
        (&["explain", &print, "10.0.0.1"], "an argument is missing"),
        (&["explain", &print, "web1", "run"], "web1: not an IP address"),
        (&["explain", &print, "10.0.0.1", "any"], "any: no such verb"),
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
