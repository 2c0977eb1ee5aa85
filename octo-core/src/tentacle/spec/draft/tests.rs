use super::super::options::{BY_NAME, EACH, JOB};
use super::*;
use crate::base::cli::Tool;
use crate::base::cli::options::Order;
use std::os::unix::fs::PermissionsExt;

const ID: &str = "20260101T000000-abcdefghijklm";

fn draft(directory: &Path, words: &[&str]) -> Result<Draft> {
    draft_for(directory, words, &[Destination::Target("web1"), Destination::Target("web2")])
}

fn draft_for(directory: &Path, words: &[&str], there: &[Destination]) -> Result<Draft> {
    const TOOL: Tool = Tool { name: "x", help: String::new };
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let said = TOOL.said(&[&JOB, &BY_NAME, &EACH], &words, Order::BeforeArguments)?;
    let options = JobOptions::read(&said.expect("no --help"))?;
    let places = Places { config: "/c".into(), state: directory.join("state") };
    Draft::read(&places, options, there, Programs::Run)
}

fn parts(draft: &Draft, target: &str) -> Result<Parts> {
    let job = JobId::parse(ID).expect("an id");
    draft.parts(&job, Destination::Target(target), None, None)
}

#[test]
fn later_variables_win_and_targets_have_their_own() {
    let directory = tempfile::tempdir().expect("tempdir");
    let at = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(at("all"), "A=1\nB=1\n").expect("write");
    std::fs::write(at("web1"), "B=2\n").expect("write");
    let (all, own) = (at("all"), at("%n"));
    let words = ["-e", "C=3", "-e", "A=4", "-E", &all, "-E", &own, "-c", "true", "x"];
    assert!(draft(directory.path(), &words).expect_err("no file").message.contains("web2"));
    std::fs::write(at("web2"), "").expect("write");
    let draft = draft(directory.path(), &words).expect("a draft");
    assert!(draft.differs());
    // What is written there later is for another job.
    std::fs::write(at("web1"), "B=5\n").expect("write");
    let text = String::from_utf8(parts(&draft, "web1").expect("parts").spec).expect("text");
    assert_eq!(text, "command true\narg x\nenv A 4\nenv B 2\nenv C 3\n");
    assert!(parts(&draft, "web3").expect_err("not asked for").message.contains("not read"));
    // Here %n is a name like any other.
    let error = draft_for(directory.path(), &words, &[Destination::Here]).expect_err("no file");
    assert!(error.message.contains("%n"), "{error}");
}

#[test]
fn where_a_script_is_installed_it_is_named_and_not_sent() {
    let directory = tempfile::tempdir().expect("tempdir");
    let script = directory.path().join("release");
    std::fs::write(&script, "true\n").expect("write");
    let script = script.display().to_string();
    // Many are named in a file.
    let names = directory.path().join("names");
    std::fs::write(&names, "web2\n").expect("write");
    let names = format!("@{}", names.display());
    let draft = draft(directory.path(), &["--installed", &names, &script, "x"]);
    let draft = draft.expect("a draft");
    assert!(draft.differs());
    let spec = |target| String::from_utf8(parts(&draft, target).expect(target).spec);
    assert!(spec("web1").expect("text").starts_with("script "), "{:?}", spec("web1"));
    assert_eq!(spec("web2").as_deref(), Ok("name release\narg x\n"));
    assert_eq!(draft.script(Destination::Target("web1")), Some(&b"true\n"[..]));
    assert_eq!(draft.script(Destination::Target("web2")), None);
    for (words, exit) in [
        (&["--installed", "web1", "-c", "true"][..], Exit::Usage),
        (&["--installed", "web1,,web2", &script], Exit::Usage),
        (&["--installed", "web4", &script], Exit::Data),
    ] {
        let error = tests::draft(directory.path(), words).expect_err("misuse");
        assert_eq!(error.exit, exit, "{words:?}");
    }
}

#[test]
fn what_needs_a_permission_is_said_where_it_is_needed() {
    let directory = tempfile::tempdir().expect("tempdir");
    let words = ["--despite", "it is on fire", "-c", "true"];
    let all = draft(directory.path(), &words).expect("a draft");
    let some = draft(directory.path(), &[&["--frozen", "web2"], &words[..]].concat());
    let some = some.expect("a draft");
    assert!(some.differs() && !all.differs());
    let is_said = |draft: &Draft, target| {
        let spec = String::from_utf8(parts(draft, target).expect(target).spec).expect("text");
        spec.contains("despite ")
    };
    assert_eq!(["web1", "web2"].map(|target| is_said(&all, target)), [true, true]);
    assert_eq!(["web1", "web2"].map(|target| is_said(&some, target)), [false, true]);
    let error = draft(directory.path(), &[&["--frozen", ""], &words[..]].concat());
    assert_eq!(error.expect_err("no name").exit, Exit::Usage);
    let error = draft(directory.path(), &["--frozen", "web2", "-c", "true"]);
    assert!(error.expect_err("no reason").message.contains("--frozen: only with --despite"));
}

#[test]
fn secrets_are_hidden_and_repeatable() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("s");
    let file = path.display().to_string();
    std::fs::write(&path, "TOKEN=hunter2\n").expect("write");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let error = draft(directory.path(), &["-S", &file, "-ctrue"]).expect_err("readable");
    assert!(error.message.contains("others can read") && error.exit == Exit::Configuration);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let hidden = draft(directory.path(), &["-S", &file, "-c", "true"]).expect("a draft");
    let [one, again, other] = ["web1", "web1", "web2"].map(|t| parts(&hidden, t).expect(t));
    assert_eq!((&one.spec, &one.secrets), (&again.spec, &again.secrets));
    assert_ne!(one.spec, other.spec);
    assert!(!String::from_utf8_lossy(&one.spec).contains("hunter2"));
    let words = ["-e", "TOKEN=x", "-S", &file, "-c", "true"];
    let both = draft(directory.path(), &words).expect("a draft");
    assert_eq!(parts(&both, "web1").expect_err("both").exit, Exit::Data);
}

#[test]
fn secrets_that_their_reader_would_refuse_are_not_published() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("s");
    let file = path.display().to_string();
    for (lines, fits) in [(8, true), (12, false)] {
        let value = "x".repeat(100_000);
        let lines: String = (0..lines).map(|i| format!("A{i}={value}\n")).collect();
        std::fs::write(&path, lines).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        let draft = draft(directory.path(), &["-S", &file, "-c", "true"]).expect("a draft");
        let made = parts(&draft, "web1");
        assert_eq!(made.is_ok(), fits, "{:?}", made.err());
        if let Err(error) = made {
            assert_eq!(error.exit, Exit::Refused);
            assert!(error.message.starts_with("--secrets: are "), "{error}");
        }
    }
}

#[test]
fn what_is_missing_or_too_large_is_told() {
    let directory = tempfile::tempdir().expect("tempdir");
    let error = draft(directory.path(), &["/nonexistent/x.sh"]).expect_err("missing");
    assert_eq!(error.exit, Exit::Data);
    assert!(error.hints[0].contains("-c COMMAND"));
    let long = "x".repeat(200_000);
    let large = draft(directory.path(), &["-c", "true", &long]).expect("a draft");
    assert_eq!(parts(&large, "web1").expect_err("too large").exit, Exit::Refused);
}
