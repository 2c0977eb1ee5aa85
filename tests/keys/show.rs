//! octo-keys show and cert: identities and certificates, whoever made them.

use crate::support::{needs, set_mode, stdout_of};
use crate::{make, openssl, sandbox};
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};

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
    if !needs("a_peers_name_cannot_drive_the_terminal", "openssl") {
        return;
    }
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
    if !needs("what_openssl_makes_is_shown", "openssl") {
        return;
    }
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
