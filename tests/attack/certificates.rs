//! Kinds of keys: what octo-job(5) has is verified without TLS, and no other.

use crate::separated::{Pusher, Separated, job_id, separated};
use crate::support::{needs, set_mode};
use octo_core::tentacle::statement::Asks;
use octo_core::{Digest, Thumbprint};
use std::process::Command;

/// One whose certificate openssl makes.
fn made(here: &Separated, name: &str, words: &[&str]) -> Pusher {
    let sandbox = &here.sandbox;
    let text = words.join(" ");
    let script = format!("set -e; {text}; cat key certificate >{name}.pem; chmod 600 {name}.pem");
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(sandbox.path(""))
        .output()
        .expect("sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = sandbox.path(&format!("{name}.pem"));
    set_mode(&path, 0o600);
    Pusher::load(&path)
}

const REQUEST: &str = "openssl req -x509 -nodes -subj /CN=x -keyout key -out certificate -newkey";

#[test]
fn four_kinds_of_keys_sign_statements() {
    let test = "four_kinds_of_keys_sign_statements";
    if !needs(test, "openssl") {
        return;
    }
    let Some(here) = separated(test) else { return };
    for (name, kind) in [
        ("ed25519", "ed25519"),
        ("p256", "ec -pkeyopt ec_paramgen_curve:prime256v1"),
        ("p384", "ec -pkeyopt ec_paramgen_curve:secp384r1"),
        ("rsa", "rsa:2048"),
    ] {
        let pusher = made(&here, name, &[REQUEST, kind]);
        here.trust(&[(&pusher, &format!("{name} user={}", here.user.name))]);
        let request = |job: &octo_core::JobId| {
            let spec = here.marking(job);
            let asks = Asks::Request(Digest::of(&spec));
            pusher.sign(pusher.statement(here.tentacle, job, asks).encode(), &spec)
        };
        let job = job_id();
        let end = here.hand_over(&job, &request(&job));
        assert_eq!((end.kind.code(), here.runs(&job)), (0, 1), "{name}: {end:?}");
        // A bit of it, and of what it signs.
        let job = job_id();
        let mut changed = request(&job);
        let last = changed.signature.len() - 1;
        changed.signature[last] ^= 1;
        let end = here.hand_over(&job, &changed);
        here.assert_refused(&job, &end, 77, "signature is not by the key");
        let job = job_id();
        let mut changed = request(&job);
        let statement = String::from_utf8(changed.statement).expect("text");
        changed.statement = statement.replace("test@here", "root@here").into_bytes();
        let end = here.hand_over(&job, &changed);
        here.assert_refused(&job, &end, 77, "signature is not by the key");
    }
}

/// openssl signs here: our own tools don't, with such keys.
#[test]
fn other_keys_and_old_certificates_sign_none() {
    let test = "other_keys_and_old_certificates_sign_none";
    if !needs(test, "openssl") {
        return;
    }
    let Some(here) = separated(test) else { return };
    let v1 = "openssl req -new -nodes -subj /CN=x -keyout key -newkey ed25519 -out csr;
        openssl x509 -req -in csr -signkey key -out certificate";
    for (text, sign, said) in [
        (
            &format!("{REQUEST} ec -pkeyopt ec_paramgen_curve:secp521r1")[..],
            "-digest sha512",
            "its key is of a kind that signs no statements",
        ),
        (&format!("{REQUEST} ed448"), "", "its key is of a kind that signs no statements"),
        (
            &format!("{REQUEST} rsa:1024"),
            "-digest sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:32",
            "signature is not by the key",
        ),
        // Not the one way to sign that its kind has.
        (&format!("{REQUEST} rsa:2048"), "-digest sha256", "signature is not by the key"),
        (v1, "", "its certificate can't be used"),
    ] {
        let run = |text: &str| {
            let output = Command::new("sh")
                .args(["-c", &format!("set -e; {text}")])
                .current_dir(here.sandbox.path(""))
                .output()
                .expect("sh");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        run(&format!("{text}; openssl x509 -in certificate -outform DER -out der"));
        let certificate = std::fs::read(here.sandbox.path("der")).expect("read");
        let thumbprint = Thumbprint::of_certificate(&certificate);
        here.write_config("trusted", &format!("{thumbprint} x user={}\n", here.user.name));
        let job = job_id();
        let mut parts = here.request(&job, &here.marking(&job));
        let statement = String::from_utf8(parts.statement).expect("text");
        let ours = here.ci.thumbprint().to_string();
        parts.statement = statement.replace(&ours, &thumbprint.to_string()).into_bytes();
        here.sandbox.write("statement", &parts.statement);
        run(&format!(
            "openssl pkeyutl -sign -inkey key -rawin {sign} -in statement -out signature"
        ));
        parts.signature = std::fs::read(here.sandbox.path("signature")).expect("read");
        parts.certificate = certificate;
        let end = here.hand_over(&job, &parts);
        here.assert_refused(&job, &end, 77, said);
    }
}
