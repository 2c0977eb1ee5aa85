//! Ends are believed where a seal proves them, octo-job(5) and octo-targets(5): a listener that
//! makes one up is played.

use crate::faults::one_that;
use crate::support::PATIENCE;
use crate::tentacle::Octopus;
use octo_core::base::paths::Places;
use octo_core::tentacle::job::EndKind;
use octo_core::tentacle::known::OwnThumbprints;
use octo_core::tentacle::seal::{Content, Seal, SealKey, Sealed, certificate};
use octo_core::tentacle::statement::{Asks, Statement};
use octo_core::{Digest, JobId, Thumbprint};
use predicates::prelude::*;
use predicates::str::contains;

const OUTPUT: &[u8] = b"hello\n";
const VALUES: &[u8] = b"A=1\n";
const REASON: &str = "not tidied up";

/// A key of seals, and the directory that has it.
struct Key {
    _top: tempfile::TempDir,
    places: Places,
}

impl Key {
    fn new() -> Key {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        SealKey::load_or_make(&places).expect("a key");
        Key { _top: top, places }
    }

    fn key(&self) -> SealKey {
        SealKey::load(&self.places).expect("sound").expect("there")
    }

    fn certificate(&self) -> Vec<u8> {
        certificate(&self.places).expect("readable").expect("there")
    }
}

/// What a listener tells of a job: what octo-exec sealed, and what becomes of it.
struct Told {
    kind: &'static str,
    code: u8,
    reason: &'static str,
    truncated: bool,
    output: Vec<u8>,
    values: Vec<u8>,
    sealed: Option<Sealed>,
    certificate: Vec<u8>,
}

/// One thing that a listener, or who has its key, does to an end.
type Lie = fn(&mut Told, &Seal, &[Key; 2]);

fn resealed(told: &mut Told, keys: &[Key; 2], seal: Seal) {
    told.sealed = Some(keys[0].key().sign(&seal));
}

/// What is told, and what is said of it.
static LIES: &[(&str, Lie)] = &[
    ("it has no seal", |told, _, _| told.sealed = None),
    ("its seal says exit 3", |told, seal, keys| {
        resealed(told, keys, Seal { kind: EndKind::Exit(3), ..seal.clone() });
    }),
    ("its seal says exit 0", |told, _, _| (told.kind, told.code) = ("cancelled", 130)),
    ("its seal is of another job", |told, seal, keys| {
        let job = JobId::generate().expect("an id");
        resealed(told, keys, Seal { job, ..seal.clone() });
    }),
    ("its seal is of another spec", |told, seal, keys| {
        resealed(told, keys, Seal { spec: Some(Digest::of(b"x")), ..seal.clone() });
    }),
    ("its seal is of another spec, none", |told, seal, keys| {
        resealed(told, keys, Seal { spec: None, ..seal.clone() });
    }),
    ("its seal is of another tentacle", |told, seal, keys| {
        let current = Thumbprint::of_certificate(b"x");
        let tentacle = OwnThumbprints { current, previous: None };
        resealed(told, keys, Seal { tentacle, ..seal.clone() });
    }),
    ("its seal is of another reason", |told, _, _| told.reason = "all is well"),
    ("its seal is of another reason", |told, _, _| told.reason = ""),
    ("its seal is of another reason, none", |told, seal, keys| {
        resealed(told, keys, Seal { reason: None, ..seal.clone() });
    }),
    ("its seal says that its output was not cut", |told, _, _| told.truncated = true),
    ("its seal says that its output was cut", |told, seal, keys| {
        resealed(told, keys, Seal { truncated: true, ..seal.clone() });
    }),
    ("its seal is of another output, 6 bytes", |told, _, _| told.output = b"hellO\n".to_vec()),
    ("its seal is of another output, 6 bytes", |told, _, _| told.output = Vec::new()),
    ("its seal is of other values, 4 bytes", |told, _, _| told.values = b"A=2\n".to_vec()),
    ("its seal is of other values, 4 bytes", |told, _, _| told.values = Vec::new()),
    ("its seal is by another key", |told, seal, keys| {
        told.sealed = Some(keys[1].key().sign(seal));
        told.certificate = keys[1].certificate();
    }),
    ("not by the key of its certificate", |told, seal, keys| {
        told.sealed = Some(keys[1].key().sign(seal));
    }),
    ("not by the key of its certificate", |told, seal, keys| {
        let better = Seal { at: "2026-01-01T00:00:00Z".into(), ..seal.clone() };
        let signature = keys[0].key().sign(seal).signature;
        told.sealed = Some(Sealed { seal: better.encode(), signature });
    }),
    ("its seal is by another key", |told, _, _| told.certificate = b"none".to_vec()),
];

/// An octopus and a tentacle that is played, whose line pins the first key where it is to;
/// octo-exec would have sealed an exit 0, and this becomes of it.
fn lying(lie: Option<Lie>, is_pinned: bool) -> Octopus {
    let keys = [Key::new(), Key::new()];
    let pin = format!("seal={}", keys[0].key().thumbprint());
    let (mut octopus, _) = one_that(move |connection, _| {
        let mut asked = None;
        while let Ok(Some(request)) = connection.read_message() {
            let length = request.body().unwrap_or(0);
            let body = connection.read_body(length, 1 << 20).expect("a body");
            let answer = match request.word() {
                "run" => {
                    let value = request.value("request").expect("a length");
                    let length: usize =
                        std::str::from_utf8(value).expect("text").parse().expect("a number");
                    let statement = Statement::parse(&body[..length]).expect("a statement");
                    let answer = format!("ok job={}\n", statement.job);
                    asked = Some(statement);
                    answer.into_bytes()
                }
                _ => story(asked.as_ref().expect("a job"), lie, &keys),
            };
            if connection.send_bytes(&answer).is_err() {
                return;
            }
        }
    });
    if is_pinned {
        let path = octopus.sandbox.path("config/targets");
        let line = std::fs::read_to_string(path).expect("targets");
        octopus.set_targets(&format!("{} {pin}\n", line.trim_end()));
    }
    octopus
}

/// The stream of a job to its end.
fn story(asked: &Statement, lie: Option<Lie>, keys: &[Key; 2]) -> Vec<u8> {
    let Asks::Request(spec) = asked.asks else { panic!("{asked:?}") };
    let seal = Seal {
        job: asked.job.clone(),
        tentacle: OwnThumbprints { current: asked.tentacle, previous: None },
        spec: Some(spec),
        kind: EndKind::Exit(0),
        at: "2026-01-31T12:00:00Z".into(),
        reason: Some(Digest::of(REASON.as_bytes())),
        log: Content::of(OUTPUT),
        truncated: false,
        values: Some(Content::of(VALUES)),
        head: None,
    };
    let mut told = Told {
        kind: "exit",
        code: 0,
        reason: REASON,
        truncated: false,
        output: OUTPUT.to_vec(),
        values: VALUES.to_vec(),
        sealed: Some(keys[0].key().sign(&seal)),
        certificate: keys[0].certificate(),
    };
    if let Some(lie) = lie {
        lie(&mut told, &seal, keys);
    }
    let piece = |word: &str, bytes: &[u8]| match bytes.len() {
        0 => Vec::new(),
        length => [format!("{word} body={length}\n").as_bytes(), bytes].concat(),
    };
    let sealed = told.sealed.map(|Sealed { seal, signature }| {
        let body = [&seal[..], &signature, &told.certificate].concat();
        let (seal, signature) = (seal.len(), signature.len());
        piece(&format!("seal seal={seal} signature={signature}"), &body)
    });
    let Told { kind, code, reason, .. } = told;
    let reason = match reason.replace(' ', "%20") {
        empty if empty.is_empty() => empty,
        reason => format!(" reason={reason}"),
    };
    let cut = if told.truncated { " truncated=yes" } else { "" };
    let end = format!("end kind={kind} code={code} log={}{reason}{cut}\n", told.output.len());
    let output = piece("out", &told.output);
    let values = piece("outputs", &told.values);
    [b"ok\n".to_vec(), output, values, sealed.unwrap_or_default(), end.into_bytes()].concat()
}

#[test]
fn an_end_that_its_seal_does_not_bear_out_is_unknown() {
    for (said, lie) in LIES {
        let octopus = lying(Some(*lie), true);
        let files = ["--end", "end", "--outputs", "values", "--record", "record"];
        let run = [&["-t", "web1", "run"][..], &files, &["-c", "true"]].concat();
        octopus
            .push(&run)
            .timeout(PATIENCE)
            .assert()
            .code(79)
            .stderr(contains("its end is not believed").and(contains(*said)))
            // It may never have been taken up, and still be.
            .stderr(contains("; not certain before 20"));
        let read = |name| std::fs::read_to_string(octopus.sandbox.path(name)).expect(name);
        let end = read("end");
        assert!(end.contains("kind unknown\ncode 79\n") && end.contains("proved no\n"), "{end}");
        assert!(!octopus.sandbox.path("values").exists(), "{said}");
        let record = read("record");
        assert!(record.contains(r#""proved":false,"outputs":{}"#), "{said}: {record}");
    }
}

#[test]
fn where_no_seal_is_pinned_the_listener_is_believed_and_that_is_said() {
    for (lie, said) in [(None, "it came with seal="), (Some(LIES[0].1), "no seal came")] {
        let octopus = lying(lie, false);
        octopus
            .push(&["-v", "-t", "web1", "run", "-c", "true"])
            .timeout(PATIENCE)
            .assert()
            .code(0)
            .stderr(contains("is unproved: ").and(contains(said)));
        let json = octopus.push(&["--json", "-t", "web1", "run", "-c", "true"]).assert();
        json.code(0).stdout(contains(r#""proved":false,"outputs":{"A":"1"}"#));
    }
    lying(None, true)
        .push(&["-v", "-t", "web1", "run", "-c", "true"])
        .assert()
        .code(0)
        .stderr(contains("is proved, by seal="));
}
