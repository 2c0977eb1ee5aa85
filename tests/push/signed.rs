//! What a job's directory keeps of its request can be verified by anybody, without any of
//! our tools: by the commands of octo-job(5), as they stand there.

use crate::support::needs;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: &str = include_str!("../../man/octo-job.5");

/// Stands before each example of the page that is run here, with the kinds of key that it
/// is for.
const MARK: &str = r#".\" run: tests/push/signed.rs "#;

/// The kinds of key that sign statements, and how openssl makes one.
const KINDS: [(&str, &[&str]); 4] = [
    ("ed25519", &["-newkey", "ed25519"]),
    ("p256", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]),
    ("p384", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"]),
    ("rsa", &["-newkey", "rsa:2048"]),
];

/// The examples of the page for this kind of key, as a shell gets them.
fn examples(kind: &str) -> Vec<String> {
    let marked = PAGE.split(MARK).skip(1).filter_map(|rest| {
        let (kinds, rest) = rest.split_once('\n')?;
        let (_, rest) = rest.split_once(".Bd -literal -offset indent\n")?;
        let (text, _) = rest.split_once("\n.Ed\n")?;
        kinds.split(' ').any(|other| other == kind).then(|| text.replace(r"\e", "\\"))
    });
    marked.collect()
}

/// What a shell says to them in this directory, and whether it was content.
fn run(example: &str, directory: &Path) -> (bool, String) {
    let output = Command::new("sh").args(["-ec", example]).current_dir(directory).output();
    let output = output.expect("sh");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// An identity of this kind that openssl made, with its thumbprint as openssl has it.
fn identity(octopus: &Octopus, kind: &str, made: &[&str]) -> (String, String) {
    let top = octopus.sandbox.path("");
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(&top).output();
        let output = output.expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let request = ["req", "-x509", "-nodes", "-subj", "/CN=x", "-keyout", "key", "-out", "crt"];
    openssl(&[&request, made].concat());
    let read = |name| std::fs::read_to_string(octopus.sandbox.path(name)).expect("read");
    let name = format!("{kind}.pem");
    let path = octopus.sandbox.write(&name, read("key") + &read("crt"));
    crate::support::set_mode(&path, 0o600);
    let fingerprint = openssl(&["x509", "-in", "crt", "-noout", "-fingerprint", "-sha256"]);
    (name, fingerprint.trim().to_string())
}

/// The directory of a job that was asked for by this identity.
fn job(octopus: &Octopus, tentacle: &Tentacle, identity: &str) -> PathBuf {
    let before = tentacle.jobs();
    let push = |arguments: &[&str]| octopus.push(&[&["-i", identity, "-a"], arguments].concat());
    push(&["run", "-c", "exit 3"]).assert().code(3);
    let new = |job: &PathBuf| !before.contains(job);
    tentacle.jobs().into_iter().find(new).expect("a job")
}

#[test]
fn the_page_verifies_a_request_of_each_kind_of_key() {
    if !needs("the_page_verifies_a_request_of_each_kind_of_key", "openssl") {
        return;
    }
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    for (kind, made) in KINDS {
        let (identity, thumbprint) = identity(&octopus, kind, made);
        web1.trust(&octopus.sandbox, &thumbprint, "allow=any");
        let job = job(&octopus, &web1, &identity);
        let examples = examples(kind);
        let [signature, digests] = &examples[..] else { panic!("{kind}: {examples:?}") };
        let (held, said) = run(signature, &job);
        assert!(held && said.contains("Verified Successfully"), "{kind}: {said}");
        let (held, said) = run(digests, &job);
        assert!(held && said == "request.crt: OK\nspec: OK\n", "{kind}: {said}");
        // The certificate is the one of the trust line, not any that fits.
        let trusted: String = thumbprint.split_once('=').expect("a value").1.replace(':', "");
        let request = std::fs::read_to_string(job.join("request")).expect("read");
        assert!(request.contains(&format!("pusher {}\n", trusted.to_lowercase())), "{request}");

        for (file, example) in [
            ("request", signature),
            ("request.sig", signature),
            ("request.crt", digests),
            ("spec", digests),
        ] {
            let path = job.join(file);
            let good = std::fs::read(&path).expect("read");
            let mut bytes = good.clone();
            // The last: what the signature's form says of its length stays.
            *bytes.last_mut().expect("a byte") ^= 1;
            std::fs::write(&path, bytes).expect("write");
            let (held, said) = run(example, &job);
            assert!(!held && !said.contains("Verified Successfully"), "{kind}, {file}: {said}");
            std::fs::write(&path, good).expect("write");
        }
    }
}
