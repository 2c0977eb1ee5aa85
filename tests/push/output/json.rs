//! What `--json` prints: octo-json(5) is the contract, and its examples work.

use crate::faults::one_that_says;
use crate::support::{needs, stdout_of, wait_for};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use octo_core::trust::Verb;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

/// Prints the keys of each line in their order, those of an object inside as
/// `tentacle.load`; a key that stands twice, or a line that is no object, fails.
const KEYS: &str = r#"
import json, sys
def unique(pairs):
    assert len({key for key, _ in pairs}) == len(pairs), pairs
    return dict(pairs)
for line in sys.stdin:
    words = []
    for key, value in json.loads(line, object_pairs_hook=unique).items():
        inner = value if key == "tentacle" else [None]
        words += [key if word is None else key + "." + word for word in inner]
        if key == "type":
            words = [value]
    print(" ".join(words))
"#;

/// The kind of each line, and its keys.
fn keys(lines: &str) -> Vec<String> {
    let mut python = Command::new("python3");
    let mut child = python
        .args(["-c", KEYS])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut input = child.stdin.take().expect("a pipe");
    let lines = lines.to_string();
    let writer =
        std::thread::spawn(move || std::io::Write::write_all(&mut input, lines.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("a thread").expect("written");
    assert!(output.status.success(), "not JSON as it should be");
    String::from_utf8(output.stdout).expect("text").lines().map(String::from).collect()
}

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    std::fs::read_to_string(root.join("man/octo-json.5")).expect("the page")
}

/// The keys of each kind of octo-push's objects, as the page has them.
fn documented() -> BTreeMap<String, String> {
    let page = page();
    let section = page.split(".Sh OBJECTS OF OCTO-PUSH\n").nth(1).expect("a section");
    let section = section.split("\n.Sh ").next().expect("its text");
    let kinds = section.split(".Ss ").skip(1).map(|kind| {
        let name = kind.lines().next().expect("a name").to_string();
        let keys = kind.lines().filter_map(|line| line.strip_prefix(".It Cm "));
        let line = [name.as_str()].into_iter().chain(keys).collect::<Vec<_>>().join(" ");
        (name, line)
    });
    kinds.collect()
}

/// The keys of an answer whose kind the page leaves to its verb's row.
fn answer(kind: &str) -> String {
    let verb = Verb::from_word(kind).expect(kind);
    let keys = verb.row().reply.iter().map(|key| format!(" tentacle.{}", key.word));
    format!("{kind} target{}", keys.collect::<String>().replace('-', "_"))
}

fn json_of(octopus: &Octopus, arguments: &[&str]) -> String {
    let output = octopus.push(&[&["--json"], arguments].concat()).output().expect("runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn install_a_script(web1: &Tentacle) {
    let scripts = web1.config.join("scripts");
    std::fs::create_dir(&scripts).expect("mkdir");
    std::fs::write(scripts.join("hello"), "#!/bin/sh\n").expect("write");
    crate::support::set_mode(&scripts.join("hello"), 0o755);
    let trusted = web1.config.join("trusted");
    let line = std::fs::read_to_string(&trusted).expect("read");
    let line = line.replace("allow=any", &format!("allow=any scripts={}", scripts.display()));
    std::fs::write(&trusted, line).expect("write");
}

/// Each line has the keys that the page says, and each object of the page is among them.
fn are_those_of_the_page(lines: &str) {
    let documented = documented();
    let mut seen = BTreeSet::new();
    for line in keys(lines) {
        let kind = line.split(' ').next().expect("a kind").to_string();
        match documented.get(&kind) {
            Some(keys) => assert_eq!(&line, keys, "{kind}"),
            None => assert_eq!(line, answer(&kind)),
        }
        seen.insert(kind);
    }
    seen.retain(|kind| documented.contains_key(kind));
    assert_eq!(seen, documented.into_keys().collect());
}

/// A job of somebody else, who has to wait for an approval there; its id.
fn held_by_another(web1: &Tentacle) -> String {
    let ann = Octopus::new(cargo_bin!("octo-push"));
    let user = stdout_of(assert_cmd::Command::new("id").arg("-un"));
    let (line, trusted) = (web1.line("web"), web1.config.join("trusted"));
    let lines_of = std::fs::read_to_string(&trusted).expect("a trust file");
    web1.set_trusted(&format!("{lines_of}{} ann user={} hold\n", ann.thumbprint, user.trim()));
    ann.sandbox.write("config/targets", &line);
    let run = ["-t", "web1", "run", "-D", "-c", "echo waits"];
    let held = stdout_of(&mut ann.push(&run)).trim().to_string();
    let path = web1.state.join("jobs").join(&held).join("held");
    wait_for("a held job", || path.exists());
    held
}

#[test]
fn each_kind_has_the_keys_of_the_page_in_each_line() {
    if !needs("each_kind_has_the_keys_of_the_page_in_each_line", "python3") {
        return;
    }
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus.sandbox.write("p", "package");
    octopus.add_target(&format!("down 127.0.0.1:1 {} far", web1.thumbprint));
    let id = "20260101T000000-abcdefghijklm";
    let command = "echo a; printf 'A=1\\nB=\\377\\nA=2\\n' >$OCTO_OUTPUT; \
                   printf '\\377' >&2; echo x >$OCTO_ARTIFACTS/made; exit 3";
    let mut lines = json_of(
        &octopus,
        &["-a", "run", "--label", "application=shop", "-j", id, "-p", "p", "-c", command],
    );
    assert!(lines.contains(r#""text":{"hex":"ff"}"#), "{lines}");
    assert!(lines.contains(r#""outputs":{"B":{"hex":"ff"},"A":"2"}"#), "{lines}");
    octopus.sandbox.write("web1/state/freezes/shop", "until 2999-01-01T00:00:00Z\n");
    let held = held_by_another(&web1);
    // Nobody asks to connect, approving and fetching are shown as runs and audits are, and
    // scripts are installed below.
    let mut tried: Vec<Option<Verb>> =
        [Verb::Connect, Verb::Approve, Verb::Fetch, Verb::Scripts].into_iter().map(Some).collect();
    for arguments in [
        &["-t", "web1", "put", "p"][..],
        &["-t", "web1", "run", "-e", "PATH=x", "-c", "true"],
        &["-t", "web1", "follow", id],
        &["-a", "cancel", id],
        &["-a", "status"],
        &["-a", "jobs"],
        &["-t", "web1", "freeze", "blog", "--until", "1h", "x"],
        &["-t", "web1", "get", id],
        &["-t", "web1", "get", id, "made"],
        &["-a", "audit"],
        &["audit", "--heads"],
        &["-t", "web1", "held"],
        &["-t", "web1", "show", &held],
        &["targets"],
        &["journal"],
        &["journal", "--story"],
    ] {
        lines.push_str(&json_of(&octopus, arguments));
        tried.push(arguments.iter().find_map(|word| Verb::from_word(word)));
    }
    // A verb that isn't among them shows its objects, too.
    for verb in Verb::all().filter(|verb| !tried.contains(&Some(*verb))) {
        lines.push_str(&json_of(&octopus, &["-a", verb.word()]));
    }
    install_a_script(&web1);
    lines.push_str(&json_of(&octopus, &["-a", "scripts"]));
    are_those_of_the_page(&lines);
}

/// Its keys can't be taken for ours: no `end` of another target comes of them.
#[test]
fn a_peers_words_stand_in_an_object_of_their_own() {
    let status = b"ok version=1 target=db1 type=end kind=exit code=0 tentacle=x\n";
    let octopus = one_that_says(status);
    let out = stdout_of(&mut octopus.push(&["-t", "web1", "--json", "status"]));
    let line = concat!(
        r#"{"type":"status","target":"web1","tentacle":{"name":null,"version":"1","#,
        r#""features":null,"time":null,"free":null,"load":null,"running":null}}"#
    );
    assert_eq!(out.lines().next(), Some(line));
    assert_eq!(out.matches("db1").count(), 0, "{out}");
    let items = "script name=%FF%22 type=end target=db1\nnews x=y\n";
    let items = format!("ok body={}\n{items}", items.len()).leak().as_bytes();
    let out = json_of(&one_that_says(items), &["-t", "web1", "scripts"]);
    let line = r#"{"type":"script","target":"web1","tentacle":{"name":{"hex":"ff22"}}}"#;
    assert_eq!(out.lines().next(), Some(line));
    assert_eq!(out.matches("db1").count(), 0, "{out}");
}

#[test]
fn the_examples_of_the_page_work() {
    if !needs("the_examples_of_the_page_work", "jq") {
        return;
    }
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let page = page();
    let examples = page.split(".Sh EXAMPLES\n").nth(1).expect("a section");
    let examples = examples.split("\n.Sh ").next().expect("its text");
    let program = octopus.sandbox.program("octo-push");
    let directory = program.parent().expect("a directory").display();
    let path = format!("{directory}:{}", std::env::var("PATH").expect("PATH"));
    // A run of which an octo-push that was killed has left the beginning.
    let id = "20260101T000000-abcdefghijklm";
    let begun =
        format!("2026-01-01T00:00:00Z run target=web1 kind=begun run={id} who=a job={id}\n");
    octopus.sandbox.write("state/journal", begun);
    let follow = format!("octo-push -t web1 follow {id}\n");
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let expected = ["\tweb1\n", "web1: exit ", "{\"web1\":\"", &host, &follow];
    let examples = examples.split(".Bd -literal -offset indent\n").skip(1);
    let examples: Vec<&str> = examples.filter(|text| text.starts_with("octo-push ")).collect();
    assert_eq!(examples.len(), expected.len());
    for (example, expected) in examples.into_iter().zip(expected) {
        let example = example.split(".Ed").next().expect("its text").replace("\\e", "\\");
        // Each command that octo-push runs may fail: that is what some look for.
        let mut bash = Command::new("bash");
        bash.args(["-c", &example]).env_clear().env("PATH", &path);
        for (name, value) in octopus.start(&[]).get_envs().filter(|(name, _)| *name != "PATH") {
            bash.env(name, value.unwrap_or_default());
        }
        let output = bash.current_dir(octopus.sandbox.path("")).output().expect("bash");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("jq:"), "{example}: {said}");
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(out.contains(expected), "{example}: {out}");
    }
}
