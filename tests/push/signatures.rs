//! signed=: a package runs only with a signature of a key that its target lists, whoever
//! pushes it. The keys were made for this: their secret halves are gone.

use crate::separated::Separated;
use crate::support::{PATIENCE, is_root, set_mode};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use octo_core::base::record::Record;
use predicates::str::contains;
use std::path::PathBuf;

const LISTED: &str = "untrusted comment: minisign public key AA97798FD12FF6A1
RWSh9i/Rj3mXqkAk2CooRaUOD26U1KmbaohHqygUSffpRo4h+rYBY1dZ
";
const OTHER_KEY: &str = "RWS4GU85fKk7i5KckFAUBzGkHe0vu6k0IODqCfnWWfP+sk6os35dJpFR\n";
const PACKAGE: &str = "a package\n";
/// By the listed key, of [`PACKAGE`]; its trusted comment lies.
const GOOD: &str = "untrusted comment: signature from minisign secret key
RUSh9i/Rj3mXqk0uBytlTBnZ91YT7fqYLZC2F+d7TP1pbm2yGAnIiJM5bGCRVzX/yeDhFFd02OgaqCEoVHi4p0d8ELIBdg0OegA=
trusted comment: file:other-9.9.tar timestamp:0
8xEZz95vgndbLckobw27S5ywObauuKzHKMXha5aMvvOePLdwRtphM3GbIGWlFC2E3OHurWARF/pPWNX3Xzr7Dw==
";
/// The same, with a comment that would clear the screen.
const LOUD: &str = "untrusted comment: signature from minisign secret key
RUSh9i/Rj3mXqk0uBytlTBnZ91YT7fqYLZC2F+d7TP1pbm2yGAnIiJM5bGCRVzX/yeDhFFd02OgaqCEoVHi4p0d8ELIBdg0OegA=
trusted comment: clear \x1b[2J
6VfvmezOdvslfgaczRFb85iuhg1VKtQ6z+bQjPymEaghDBQDNoSmC6RvL8AkmKmVVC5DvhaTKY/PKchl7Rs4Cw==
";
/// By the other key, of [`PACKAGE`].
const OTHER: &str = "untrusted comment: signature from minisign secret key
RUS4GU85fKk7i7GkeQdAYdfJhJ2nZpDtjoof6ad1/Y/EU8xGKZlOEzrTeccnN9hlr2Sz7F5A17WKoQloVoTDRvTksPwBpyZRMw4=
trusted comment: by b
I16/2UXRyhD7hC/RrMEuvHUXs/7d1qKjf9WMLP76TvYf3wdSpCH9vza1hvNoBAcEQf7awDx3tkb6hOSq8ggyDA==
";
/// By the listed key, of `another package\n`.
const ELSEWHERE: &str = "untrusted comment: signature from minisign secret key
RUSh9i/Rj3mXqjCCistu2X1JWnCwunCG8ipo2dAuo3eZ/Ybbe5ypr82st51QBNUUTDLfqkfiOdw9l933SuYsU0TnzYRndxnaZAY=
trusted comment: of Q
EiGkAgupiJGn6eRtMRh/LQYjTz65Qorr7u3X3Qg0an2Jjj5T0qjWohl+6x3eWikFoRtK6zhurzLwxvKcyhY6Cg==
";
/// By the listed key, of [`PACKAGE`] itself and not of its digest.
const OLD: &str = "untrusted comment: signature from minisign secret key
RWSh9i/Rj3mXquNAwEgMiod/giEI3CyHTqnifgxIT+sg0KjlId5GHXmy5BK/5vI4f3k+2WToUUW3bFTNeFQPODylwRfb0NguDAw=
trusted comment: old
3Q+XxAvD54INjm6GlubleBMjcJ8dPzsT/ytKN+FRpFsckx0Vv91iZ1yaNmDrhQfjs9za+9QdasXn9nX74OIzBQ==
";
const RUN: [&str; 6] = ["-a", "run", "-p", "shop-1.tar", "-c", "cat $OCTO_PACKAGE"];

/// web1, which asks for signatures by a key of keys.pub; shop-1.tar without one.
fn scene() -> (Octopus, Tentacle) {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut tentacle = octopus.stranger("web1");
    let keys = list(&octopus, LISTED);
    let signed = format!("signed={}", keys.display());
    tentacle.trust(&octopus.sandbox, &octopus.thumbprint, &signed);
    tentacle.start();
    octopus.add_target(&tentacle.line("web"));
    octopus.sandbox.write("shop-1.tar", PACKAGE);
    (octopus, tentacle)
}

/// The file of keys, with these.
fn list(octopus: &Octopus, keys: &str) -> PathBuf {
    let path = octopus.sandbox.write("keys.pub", keys);
    set_mode(&path, 0o644);
    path
}

fn sign(octopus: &Octopus, signature: impl AsRef<[u8]>) {
    octopus.sandbox.write("shop-1.tar.minisig", signature);
}

/// The record of this name of the one job.
fn record(tentacle: &Tentacle, name: &str) -> Record {
    let jobs = tentacle.jobs();
    assert_eq!(jobs.len(), 1);
    Record::parse(&std::fs::read(jobs[0].join(name)).expect(name)).expect(name)
}

#[test]
fn a_package_signed_by_a_listed_key_runs_and_the_record_says_by_whom() {
    let (octopus, web1) = scene();
    sign(&octopus, LOUD);
    octopus.push(&RUN).assert().success().stdout("a package\n");
    let started = record(&web1, "started");
    let signed: Vec<_> = started.all("signed").collect();
    assert_eq!(signed, [[b"AA97798FD12FF6A1".to_vec(), b"clear \\x1b[2J".to_vec()]]);
    let audit = std::fs::read_to_string(web1.state.join("audit.log")).expect("a log");
    assert!(audit.contains(" signed=AA97798FD12FF6A1 "), "{audit}");
    let keys = octopus.sandbox.path("keys.pub");
    let granted = record(&web1, "grant").first("signed").map(str::to_string);
    assert_eq!(granted.as_deref(), keys.to_str());

    // What the job is told, no pusher says.
    let told = ["-a", "run", "-p", "shop-1.tar", "-c", "echo $OCTO_PACKAGE_SIGNED"];
    octopus.push(&told).assert().success().stdout("AA97798FD12FF6A1\n");
    let claimed = ["-a", "run", "-e", "OCTO_PACKAGE_SIGNED=AA97798FD12FF6A1", "-c", "true"];
    octopus.push(&claimed).assert().code(77).stderr(contains("OCTO_PACKAGE_SIGNED"));
    // By its sha256 alone: the signature is remembered here.
    let digest = Digest::of(PACKAGE.as_bytes()).to_string();
    let by_digest = ["-a", "run", "-p", &digest, "-c", "echo $OCTO_PACKAGE_SIGNED"];
    octopus.push(&by_digest).assert().success().stdout("AA97798FD12FF6A1\n");
    // It is about packages: a script alone is none.
    let alone = ["-a", "run", "-c", "echo $OCTO_PACKAGE_SIGNED."];
    octopus.push(&alone).assert().success().stdout(".\n");
}

/// Two comments of one signature, each signed: which is shown doesn't decide.
#[test]
fn a_trusted_comment_that_lies_decides_nothing() {
    let (octopus, web1) = scene();
    sign(&octopus, GOOD);
    octopus.push(&RUN).assert().success().stdout("a package\n");
    let started = record(&web1, "started");
    let signed = started.all("signed").next().expect("signed");
    assert_eq!(signed[1], b"file:other-9.9.tar timestamp:0");
}

#[test]
fn what_no_listed_key_signed_is_refused_by_its_key_and_never_runs() {
    let (octopus, web1) = scene();
    let package = web1.state.join("packages").join(Digest::of(PACKAGE.as_bytes()).to_string());
    let lines = |text: &'static str| -> Vec<&str> { text.lines().collect() };
    let (good, loud) = (lines(GOOD), lines(LOUD));
    let mixed = format!("{}\n{}\n{}\n{}\n", good[0], good[1], loud[2], good[3]);
    let claimed = OTHER.replace("RUS4GU85fKk7i7", "RUSh9i/Rj3mXqr");
    let keys = octopus.sandbox.path("keys.pub");
    let by = format!(": its signature by key AA97798FD12FF6A1 of {}", keys.display());
    let not_these = format!("{by} is not of these bytes, or its trusted comment was changed");
    let old = format!("{by} is of minisign's old kind: sign it anew");
    let unlisted =
        format!(" is signed by key 8B3BA97C394F19B8, which is none of {}", keys.display());
    for (signature, said) in [
        (OTHER, unlisted.as_str()),
        (ELSEWHERE, &not_these),
        (&mixed, &not_these),
        (&GOOD.replace("other-9.9", "shop-1.0"), &not_these),
        (&claimed, &not_these),
        (OLD, &old),
    ] {
        sign(&octopus, signature);
        let said = format!("web1: denied: package shop-1.tar{said}");
        octopus.push(&RUN).assert().code(77).stdout("").stderr(contains(&said));
    }
    assert!(web1.jobs().iter().all(|job| !job.join("started").exists()));
    // Without one nothing is even put.
    std::fs::remove_file(octopus.sandbox.path("shop-1.tar.minisig")).expect("removed");
    std::fs::remove_file(&package).expect("it was put");
    let none = "web1: denied: package shop-1.tar carries no signature";
    octopus.push(&RUN).assert().code(77).stderr(contains(none));
    let prepare = [&["-a", "run", "--prepare"], &RUN[2..]].concat();
    octopus.push(&prepare).assert().code(77).stderr(contains(none));
    assert!(!package.exists());
    // Who asks for none takes what is there, and says nothing of it.
    web1.set_trusted("");
    web1.trust(&octopus.sandbox, &octopus.thumbprint, "allow=any");
    sign(&octopus, OTHER);
    let unasked = ["-a", "run", "-p", "shop-1.tar", "-c", "echo $OCTO_PACKAGE_SIGNED."];
    octopus.push(&unasked).assert().success().stdout(".\n");
}

#[test]
fn a_file_beside_a_package_that_is_no_signature_is_refused_here() {
    let (octopus, web1) = scene();
    let two: String = GOOD.lines().take(2).map(|line| format!("{line}\n")).collect();
    for (bytes, said) in [
        (vec![b'x'; 5 << 20], "shop-1.tar.minisig: is larger than 4096 bytes"),
        (two.into_bytes(), "shop-1.tar.minisig: not a signature of minisign: 2 lines, not 4"),
        (Vec::new(), "shop-1.tar.minisig: not a signature of minisign: 0 lines, not 4"),
        (b"\xff\n".to_vec(), "shop-1.tar.minisig: not text"),
    ] {
        sign(&octopus, bytes);
        octopus.push(&RUN).assert().code(65).stderr(contains(said));
    }
    let path = octopus.sandbox.path("shop-1.tar.minisig");
    std::fs::remove_file(&path).expect("removed");
    // Whoever waits for what a FIFO says waits for ever.
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
    assert!(made.success());
    let run = || octopus.push(&RUN).timeout(PATIENCE).assert();
    run().code(65).stderr(contains("minisig: is not a regular file"));
    assert!(web1.jobs().is_empty());
}

#[test]
fn a_list_of_keys_that_is_unsound_lets_no_package_run() {
    let (octopus, web1) = scene();
    sign(&octopus, GOOD);
    let path = octopus.sandbox.path("keys.pub");
    let check = |said: &str| {
        let mut check = octopus.sandbox.tool("octo-keys");
        check.arg("--config").arg(&web1.config).args(["check"]).arg(web1.config.join("trusted"));
        check.assert().stderr(contains(format!("packages are refused: signed: {said}")));
    };
    for (keys, mode, said) in [
        ("", 0o644, "holds no key"),
        (LISTED, 0o666, "is writable by others (mode 0666)"),
        ("# ours\nRWSh9i\n", 0o644, ":2: not a public key of minisign"),
        (&format!("{LISTED}{LISTED}"), 0o644, ":4: line 2 has a key of this id already"),
    ] {
        list(&octopus, keys);
        set_mode(&path, mode);
        let said =
            format!("{}{}{said}", path.display(), if said.starts_with(':') { "" } else { ": " });
        octopus.push(&RUN).assert().code(78).stdout("").stderr(contains(&said));
        check(&said);
    }
    std::fs::remove_file(&path).expect("removed");
    octopus.push(&RUN).assert().code(78).stderr(contains("keys.pub: no such file"));
    // A key that was taken away since the package was put signs nothing.
    list(&octopus, OTHER_KEY);
    octopus.push(&["-a", "put", "shop-1.tar"]).assert().success();
    let unlisted = contains("package shop-1.tar is signed by key AA97798FD12FF6A1, which is none");
    octopus.push(&RUN).assert().code(77).stderr(unlisted);
    list(&octopus, &format!("{OTHER_KEY}{LISTED}"));
    octopus.push(&RUN).assert().success().stdout("a package\n");
}

/// The privileged side verifies, over the bytes that it took over itself.
#[test]
fn where_two_users_serve_the_privileged_one_verifies() {
    if !is_root("where_two_users_serve_the_privileged_one_verifies") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let keys = list(&octopus, LISTED);
    // The listener can't read it, and need not.
    set_mode(&keys, 0o600);
    let options = format!("user=daemon signed={}", keys.display());
    let separated = Separated::start(&mut octopus, &options);
    octopus.sandbox.write("shop-1.tar", PACKAGE);
    sign(&octopus, ELSEWHERE);
    octopus.push(&RUN).assert().code(77).stderr(contains("is not of these bytes"));
    sign(&octopus, GOOD);
    octopus.push(&RUN).assert().success().stdout("a package\n");
    let audit = std::fs::read_to_string(separated.tentacle.state.join("audit.log"));
    assert!(audit.expect("a log").contains(" signed=AA97798FD12FF6A1 "), "{}", separated.logs());
}
