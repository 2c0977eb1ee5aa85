//! Seals: one spelling, and of one end each.

use super::*;
use crate::base::paths::Places;
use crate::tentacle::layout;
use std::os::unix::fs::PermissionsExt;

const REASON: &str = "not tidied up: \u{e4}\n";

fn seal() -> Seal {
    let print = |seed: &str| Thumbprint::of_certificate(seed.as_bytes());
    Seal {
        job: JobId::parse("20260101T000000-abcdefghijklm").expect("an id"),
        tentacle: OwnThumbprints { current: print("new"), previous: Some(print("old")) },
        spec: Some(Digest::of(b"spec")),
        kind: EndKind::Exit(0),
        at: "2026-01-01T00:00:00Z".into(),
        reason: reason(Some(REASON)),
        log: Content::of(b"hello\n"),
        truncated: true,
        values: Some(Content::of(b"A=1\n")),
        head: Head::parse(&format!("7:{}", "0f".repeat(32))),
    }
}

fn told(seal: &Seal) -> Told<'_> {
    let tentacle = Some(seal.tentacle.current);
    let &Seal { ref job, spec, kind, log, truncated, values, .. } = seal;
    Told { job, spec, tentacle, kind, reason: Some(REASON), log, truncated, values }
}

fn places() -> (tempfile::TempDir, Places) {
    let top = tempfile::tempdir().expect("tempdir");
    let places = Places { config: top.path().join("c"), state: top.path().join("s") };
    (top, places)
}

#[test]
fn it_comes_back_and_has_one_spelling() {
    let whole = seal();
    let tentacle = OwnThumbprints { previous: None, ..whole.tentacle };
    let least = Seal {
        tentacle,
        spec: None,
        reason: None,
        truncated: false,
        values: None,
        head: None,
        ..whole.clone()
    };
    for made in [whole, least] {
        let bytes = made.encode();
        assert!((bytes.len() as u64) < MAXIMUM);
        assert_eq!(Seal::parse(&bytes), Some(made));
        let text = String::from_utf8(bytes.clone()).expect("text");
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.swap(1, 2);
        for bad in [
            lines.concat(),
            format!("{text}more 1\n"),
            format!("{text}kind exit\n"),
            text.replace("seal 1", "seal 2"),
            text.replace("1 end", "1 start"),
            text.replace("code 0", "code 00"),
            text.replace("code 0", "code 256"),
            text.replace("kind exit", "kind party"),
            text.replace("log 6 ", "log 06 "),
            text.replace("log 6 ", "log 6  "),
            text.replace("kind", "reason x\nkind"),
            text.replace("log 6", "truncated yes\nlog 6"),
            format!("{text}truncated no\n"),
            format!("{text}by {}\n", "x".repeat(3000)),
            String::new(),
        ] {
            assert_eq!(Seal::parse(bad.as_bytes()), None, "{bad}");
        }
        for cut in 0..bytes.len() {
            // The last lines may be missing: then it says less, in its one spelling.
            let parsed = Seal::parse(&bytes[..cut]);
            assert!(parsed.is_none_or(|seal| seal.encode() == bytes[..cut]), "{cut}");
        }
    }
}

#[test]
fn it_proves_one_end_of_one_job_by_one_key() {
    let (_top, places) = places();
    let (made, key) = (seal(), SealKey::load_or_make(&places).expect("a key"));
    let der = certificate(&places).expect("readable").expect("there");
    let pins = [Thumbprint::of_certificate(b"x"), key.thumbprint()];
    let Sealed { seal: bytes, signature } = key.sign(&made);
    let signed = Signed { statement: &bytes, signature: &signature, certificate: &der };
    let right = told(&made);
    let previous = Told { tentacle: made.tentacle.previous, ..right.clone() };
    for told in [right.clone(), previous, Told { spec: None, ..right.clone() }] {
        assert_eq!(prove(&signed, &pins, &told), Ok(made.clone()));
    }

    let other = JobId::parse("20260101T000000-abcdefghijkln").expect("an id");
    for (told, said) in [
        (Told { job: &other, ..right.clone() }, "another job"),
        (Told { tentacle: Some(pins[0]), ..right.clone() }, "another tentacle"),
        (Told { tentacle: None, ..right.clone() }, "another tentacle"),
        (Told { spec: Some(Digest::of(b"x")), ..right.clone() }, "another spec"),
        (Told { kind: EndKind::Exit(1), ..right.clone() }, "its seal says exit 0"),
        (Told { kind: EndKind::Lost, ..right.clone() }, "its seal says exit 0"),
        (Told { reason: Some("tidied up"), ..right.clone() }, "another reason"),
        (Told { reason: None, ..right.clone() }, "another reason"),
        (Told { reason: Some(""), ..right.clone() }, "another reason"),
        (Told { truncated: false, ..right.clone() }, "its output was cut"),
        (Told { log: Content::of(b""), ..right.clone() }, "another output, 6 bytes"),
        (Told { values: None, ..right.clone() }, "other values, 4 bytes"),
        (Told { values: Some(Content::of(b"A=2\n")), ..right.clone() }, "other values"),
    ] {
        let why = prove(&signed, &pins, &told).expect_err(said);
        assert!(why.contains(said), "{why}");
    }
    let why = prove(&signed, &pins[..1], &right).expect_err("another key");
    assert!(why.contains("another key"), "{why}");
    let (_top, others) = self::places();
    let theirs = SealKey::load_or_make(&others).expect("a key").sign(&made);
    let why = prove(&Signed { signature: &theirs.signature, ..signed }, &pins, &right);
    assert!(why.expect_err("another's").contains("not by the key of its certificate"));
    let said = b"octo-seal 1 start\n".to_vec();
    let signature = key.pair_signs(&said);
    let why = prove(&Signed { statement: &said, signature: &signature, ..signed }, &pins, &right);
    assert!(why.expect_err("no seal").contains("not of the form"));
}

#[test]
fn a_seal_without_a_spec_proves_nothing_of_one() {
    for kind in [EndKind::Denied(77), EndKind::Exit(0)] {
        let bare = Seal { spec: None, kind, ..seal() };
        let why = bare.check(&Told { spec: Some(Digest::of(b"x")), ..told(&bare) });
        assert_eq!(why.expect_err("no spec"), "its seal is of another spec, none");
    }
}

#[test]
fn the_key_is_made_once_and_its_certificate_follows_it() {
    let (_top, places) = places();
    assert!(SealKey::load(&places).expect("none").is_none());
    let made: Vec<_> = std::thread::scope(|scope| {
        let make = || SealKey::load_or_make(&places).expect("a key").thumbprint();
        let all: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    assert!(made.iter().all(|thumbprint| *thumbprint == made[0]), "{made:?}");
    let mode = |path: std::path::PathBuf| path.metadata().expect("stat").permissions().mode();
    assert_eq!(mode(places.seal()) & 0o7777, 0o600);
    assert_eq!(mode(places.seal_certificate()) & 0o7777, 0o640);
    let mut faults = Vec::new();
    layout::check::check(&places, &mut |error| faults.push(error.message.clone()));
    assert_eq!(faults, [""; 0]);

    std::fs::write(places.seal_certificate(), "another's").expect("written");
    SealKey::load(&places).expect("sound");
    let der = certificate(&places).expect("readable").expect("there");
    assert_eq!(Thumbprint::of_certificate(&der), made[0]);
    std::fs::write(places.seal(), "no key").expect("written");
    let error = SealKey::load_or_make(&places).expect_err("unsound");
    assert!(error.message.contains("no private key"), "{error}");
}
