//! Ends are believed where a seal proves them, octo-job(5) and octo-targets(5): a listener that
//! makes one up is played.

use crate::faults::one_that;
use crate::separated::{LINE, Separated};
use crate::support::{PATIENCE, is_root, needs, wait_for};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use octo_core::base::paths::Places;
use octo_core::tentacle::job::EndKind;
use octo_core::tentacle::known::OwnThumbprints;
use octo_core::tentacle::seal::{Content, Seal, SealKey, Sealed, certificate};
use octo_core::tentacle::statement::{Asks, Statement};
use octo_core::{Digest, JobId, Thumbprint};
use predicates::prelude::*;
use predicates::str::contains;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

const PAGE: &str = include_str!("../../man/octo-job.5");
const OUTPUT: &[u8] = b"hello\n";
const VALUES: &[u8] = b"A=1\n";

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
        log: Content::of(OUTPUT),
        values: Some(Content::of(VALUES)),
        head: None,
    };
    let mut told = Told {
        kind: "exit",
        code: 0,
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
    let end = format!("end kind={} code={} log={}\n", told.kind, told.code, told.output.len());
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
            .stderr(contains("its end is not believed").and(contains(*said)));
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

/// A running tentacle whose seal is pinned.
fn pinned() -> (Octopus, Tentacle) {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let seal = seal_of(&octopus, &web1);
    octopus.set_targets(&format!("{}\n", web1.line(&format!("web {seal}"))));
    (octopus, web1)
}

fn seal_of(octopus: &Octopus, tentacle: &Tentacle) -> String {
    let mut keys = octopus.sandbox.tool("octo-keys");
    keys.arg("--config").arg(&tentacle.config).arg("--state").arg(&tentacle.state).arg("seal");
    let seal = crate::support::stdout_of(&mut keys);
    assert!(seal.starts_with("seal="), "{seal}");
    seal.trim().to_string()
}

fn sealed(job: &Path) -> Seal {
    let bytes = std::fs::read(job.join("end.seal")).expect("a seal");
    Seal::parse(&bytes).expect("of the form")
}

#[test]
fn each_kind_of_end_is_sealed_and_proved() {
    let (octopus, web1) = pinned();
    for (script, code, kind) in [
        ("echo A=1 >$OCTO_OUTPUT; echo out; echo err >&2", 0, EndKind::Exit(0)),
        ("exit 7", 7, EndKind::Exit(7)),
        ("kill -9 $$", 137, EndKind::Signal(9)),
        ("echo slow; sleep 600", 124, EndKind::Timeout),
    ] {
        let before = web1.jobs();
        octopus
            .push(&["-v", "-t", "web1", "run", "-T", "1s", "-k", "1s", "-c", script])
            .timeout(PATIENCE)
            .assert()
            .code(code)
            .stderr(contains("is proved, by seal="));
        let job = web1.jobs().into_iter().find(|job| !before.contains(job)).expect("a job");
        let seal = sealed(&job);
        let log = std::fs::read(job.join("log")).unwrap_or_default();
        assert_eq!((seal.kind, seal.log), (kind, Content::of(&log)), "{script}");
        let values = std::fs::read(job.join("outputs")).ok();
        assert_eq!(seal.values, values.map(|values| Content::of(&values)));
        let spec = std::fs::read(job.join("spec")).expect("a spec");
        assert_eq!(seal.spec, Some(Digest::of(&spec)));
        assert_eq!(seal.tentacle.current.to_string(), web1.thumbprint);
        let audit = std::fs::read_to_string(web1.state.join("audit.log")).expect("a log");
        let head = seal.head.expect("a head");
        let ended = format!(" job-end job={} ", job.file_name().expect("a name").display());
        let line = audit.lines().find(|line| line.contains(&ended)).expect(&audit);
        assert!(line.starts_with(&format!("{} ", head.seq)), "{line}: {head}");
        // Later, too, by a job's id alone.
        let id = job.file_name().expect("a name").to_str().expect("UTF-8");
        octopus
            .push(&["-v", "-t", "web1", "follow", id])
            .assert()
            .code(code)
            .stderr(contains("is proved, by seal="));
    }
}

#[test]
fn the_end_of_a_job_whose_octo_exec_was_killed_is_sealed() {
    let (octopus, web1) = pinned();
    let run = ["-v", "-t", "web1", "run", "-c", "echo begun; sleep 600"];
    let follower = octopus
        .start(&run)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("octo-push starts");
    wait_for("its output", || {
        web1.jobs()
            .iter()
            .any(|job| std::fs::read(job.join("log")).is_ok_and(|log| log == b"begun\n"))
    });
    let job = web1.jobs().remove(0);
    let started = std::fs::read_to_string(job.join("started")).expect("started");
    let pid = started.lines().find_map(|line| line.strip_prefix("session ")).expect(&started);
    let pid = rustix::process::Pid::from_raw(pid.parse().expect("a number")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    let output = follower.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(71), "{said}");
    assert!(said.contains("is proved, by seal="), "{said}");
    let seal = sealed(&job);
    assert_eq!((seal.kind, seal.log), (EndKind::Lost, Content::of(b"begun\n")));
}

#[test]
fn the_page_verifies_a_seal() {
    if !needs("the_page_verifies_a_seal", "openssl") {
        return;
    }
    let (octopus, web1) = pinned();
    octopus.push(&["-t", "web1", "run", "-c", "exit 3"]).assert().code(3);
    let job = web1.jobs().remove(0);
    let id = job.file_name().expect("a name").to_str().expect("UTF-8");
    let (_, example) = PAGE
        .split_once(".\\\" run: tests/push/seals.rs\n.Bd -literal -offset indent\n")
        .expect("it");
    let (example, _) = example.split_once("\n.Ed\n").expect("its end");
    let state = web1.state.to_str().expect("UTF-8");
    let typed = example.replace(r"\e", "\\").replace("/var/lib/octo", state).replace("JOB", id);
    let run = || {
        let output = Command::new("sh").args(["-ec", &typed]).output().expect("sh");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(run(), (true, "Signature Verified Successfully\n".to_string()));
    let path = job.join("end.seal");
    let seal = std::fs::read_to_string(&path).expect("a seal");
    std::fs::write(&path, seal.replace("code 3", "code 0")).expect("written");
    assert!(!run().0, "a seal that was changed");
    octopus
        .push(&["-t", "web1", "follow", id])
        .assert()
        .code(79)
        .stderr(contains("its seal is worth nothing"));
}

#[test]
fn the_listener_cant_read_the_key_of_seals() {
    if !is_root("the_listener_cant_read_the_key_of_seals") {
        return;
    }
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let here = Separated::start(&mut octopus, LINE);
    let state = &here.tentacle.state;
    let seal = seal_of(&octopus, &here.tentacle);
    octopus.set_targets(&format!("{}\n", here.tentacle.line_at(&here.address, &seal)));
    let run = octopus.push(&["-v", "-t", "web1", "run", "-c", "true"]).timeout(PATIENCE).assert();
    run.code(0).stderr(contains("is proved, by seal="));
    let stat = |name: &str| {
        let stat = state.join(name).metadata().expect(name);
        (stat.uid(), stat.mode() & 0o7777, stat.gid())
    };
    let listener = state.join("spool").metadata().expect("a spool");
    assert_ne!(listener.uid(), 0);
    assert_eq!(stat("seal.pem"), (0, 0o600, 0));
    assert_eq!(stat("seal.crt"), (0, 0o640, listener.gid()));
}
