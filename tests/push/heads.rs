//! Heads of the audit logs: what replies say is held against what was kept.

use crate::statements::{Scene, scene};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use octo_core::trust::Verb;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::fs;
use std::path::Path;

/// Both logs of a tentacle, and the files beside them.
fn logs(web1: &Tentacle) -> [(&'static str, std::path::PathBuf); 2] {
    [("exec", web1.state.clone()), ("listener", web1.state.join("listen"))]
}

/// Copies audit.log and audit.head.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("mkdir");
    for name in ["audit.log", "audit.head"] {
        fs::copy(from.join(name), to.join(name)).expect("copy");
    }
}

fn stdout_of(octopus: &Octopus, arguments: &[&str]) -> String {
    let output = octopus.push(arguments).output().expect("runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A log that was put back from a copy goes on as if nothing were: its newest heads all
/// hold. The last that was proved doesn't.
#[test]
fn a_log_that_was_put_back_is_told_at_once_and_for_ever() {
    let (octopus, mut web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let run = ["-a", "run", "-c", "true"];
    octopus.push(&run).assert().success();
    let copied = octopus.sandbox.path("copied");
    for (name, log) in logs(&web1) {
        copy(&log, &copied.join(name));
    }
    octopus.push(&run).assert().success();
    octopus.push(&["-a", "audit"]).assert().success();
    let proved = stdout_of(&octopus, &["audit", "--heads"]);
    assert_eq!(proved.matches(" proved\n").count(), 1, "{proved}");
    web1.kill();
    for (name, log) in logs(&web1) {
        copy(&copied.join(name), &log);
    }
    web1.start();
    // The job's own end is not lost: it is done, and the call says that something is wrong.
    let journal = || stdout_of(&octopus, &["journal"]);
    let told = octopus.push(&["-q", "--json", "-a", "run", "-c", "echo ran"]).assert().code(65);
    told.stdout(
        contains(r#""kind":"exit","code":0,"origin":"script","status":0"#).and(contains(
            r#""audit_fault":"the listener's audit log went backwards: it had line"#,
        )),
    )
    .stderr(
        contains("web1: warning: the listener's audit log went backwards")
            .and(contains("hint: octo-push -t web1 audit")),
    );
    assert!(journal().contains("audit-fault=the%20listener%27s"), "{}", journal());
    octopus.push(&["-a", "run", "-c", "exit 3"]).assert().code(3).stderr(contains("warning: "));
    // Until its numbers are beyond those that were proved, and then on.
    for _ in 0..8 {
        octopus.push(&["-q", "-a", "run", "-c", "true"]).assert().code(65);
    }
    for _ in 0..2 {
        let audit = octopus.push(&["-a", "audit"]).assert().code(65);
        audit.stderr(contains("audit log was changed").and(contains("octo-listen --check-audit")));
    }
    octopus.push(&["-a", "status"]).assert().code(65).stderr(contains("warning: "));
    // The log by itself is whole.
    let check = octopus
        .sandbox
        .tool("octo-listen")
        .arg("--config")
        .arg(&web1.config)
        .arg("--state")
        .arg(&web1.state)
        .arg("--check-audit")
        .assert();
    check.success();
    // Somebody has seen to it.
    let heads = octopus.sandbox.state("heads/web1");
    fs::rename(heads, octopus.sandbox.state("heads-of-web1")).expect("rename");
    octopus.push(&run).assert().success();
    octopus.push(&["-a", "audit"]).assert().success();
}

const JOB: &str = "20260101T000000-abcdefghijklm";

fn head(seq: u64) -> String {
    format!("{seq}:{}", Digest::of(&seq.to_be_bytes()))
}

/// A yes that carries heads of both logs.
fn ok(listener: u64, exec: u64) -> String {
    format!("ok audit={} audit-exec={}\n", head(listener), head(exec))
}

/// A tentacle that says these one after the other.
fn saying(answers: &[String]) -> Scene {
    let answers: Vec<&'static str> = answers.iter().map(|answer| &*answer.clone().leak()).collect();
    scene(answers.leak())
}

/// Asks something of it, the answer to which carries heads.
fn cancel(scene: &Scene) -> assert_cmd::assert::Assert {
    scene.octopus.push(&["-q", "-a", "cancel", JOB]).assert()
}

/// The heads that it was asked for, `CHAIN SEQ` each.
fn asked(scene: &Scene) -> Vec<String> {
    let of = |(request, _): (octo_wire::Request, _)| {
        if request.verb != Verb::Audit {
            return None;
        }
        let chain = request.fields.get::<&str>("chain").unwrap_or("listener").to_string();
        Some(format!("{chain} {}", request.fields.get::<u64>("seq")?))
    };
    scene.heard.try_iter().filter_map(of).collect()
}

#[test]
fn a_head_of_a_future_that_did_not_come_is_one_that_went_backwards() {
    let no = format!("no code=denied reason=x audit={}\n", head(7));
    let scene = saying(&[ok(5, 3), ok(1 << 40, 3), no, ok(8, 3)]);
    cancel(&scene).success();
    cancel(&scene).success().stderr("");
    // What is wrong with the job says more; also a no has heads.
    let said = "it had line 1099511627776 at 20";
    cancel(&scene).code(77).stderr(contains(said).and(contains("and ended at line 7 at 20")));
    cancel(&scene).code(65).stderr(contains(said).and(contains("and ended at line 8 at 20")));
    let heads = scene.octopus.push(&["audit", "--heads", "-t", "web1"]).assert().success();
    heads.stdout(contains("listener 1099511627776:").and(contains(" backwards\n")));
}

#[test]
fn what_cannot_be_seen_is_not_told_as_changed() {
    let missing = || "no code=missing reason=x\n".to_string();
    let scene = saying(&[
        ok(5, 3),
        ok(9, 3),
        // All of the first audit holds: 9, 5, and 3 of octo-exec's.
        ok(10, 3),
        ok(10, 3),
        ok(10, 3),
        ok(20, 3),
        // Of the second the last proved is there no more, nor what is older than 20.
        missing(),
        ok(21, 3),
        missing(),
        ok(21, 3),
        // Of the third 20 is the one that was proved, and 10 is older.
        ok(22, 3),
        ok(22, 3),
        missing(),
        ok(22, 3),
        // Of the fourth nothing is there.
        missing(),
    ]);
    cancel(&scene).success();
    cancel(&scene).success();
    scene.octopus.push(&["-v", "-a", "audit"]).assert().success().stderr(contains("3 of 3"));
    assert_eq!(asked(&scene), ["listener 9", "listener 5", "exec 3"]);
    cancel(&scene).success();
    let gap = scene.octopus.push(&["-a", "audit"]).assert().code(69);
    gap.stderr(
        contains("the listener's audit log, head 9 of 20")
            .and(contains("can't be seen any more"))
            .and(contains("changed").not()),
    );
    assert_eq!(asked(&scene), ["listener 9", "listener 20", "listener 10", "exec 3"]);
    let older = scene.octopus.push(&["-v", "-a", "audit"]).assert().success();
    older.stderr(contains(", 3 are older than what is kept there"));
    let json = stdout_of(&scene.octopus, &["--json", "audit", "--heads"]);
    assert!(json.contains(&format!(r#""unseen":["{}"]"#, head(9))), "{json}");
    scene.octopus.push(&["-a", "audit"]).assert().code(69).stderr(contains("changed").not());
}

#[test]
fn heads_of_another_octopus_are_asked_for_and_not_kept() {
    let mismatch = "no code=mismatch reason=x\n".to_string();
    let scene = saying(&[ok(5, 3), ok(6, 3), ok(6, 3), mismatch, ok(6, 3)]);
    cancel(&scene).success();
    let heads = stdout_of(&scene.octopus, &["audit", "--heads"]);
    let time = |line: &str| line.split(' ').nth(4).expect("a time").to_string();
    let expected: Vec<String> = [("listener", 5), ("exec", 3)]
        .iter()
        .zip(heads.lines())
        .map(|((chain, seq), line)| {
            let (seq, time) = (head(*seq), time(line));
            format!("web1 {} {chain} {seq} {time} seen\n", scene.tentacle)
        })
        .collect();
    assert_eq!(heads, expected.concat());
    let other = heads.replace("web1 ", "www ")
        + &heads.replace("web1 ", "x ").replace(&scene.tentacle.to_string(), &"0".repeat(64));
    scene.octopus.sandbox.write("heads", &other);
    let check = ["-v", "-a", "audit", "--check", "heads"];
    scene.octopus.push(&check).assert().success().stderr(contains("2 of 2 heads hold"));
    scene.octopus.push(&check).assert().code(65).stderr(
        contains("the listener's audit log, head 5 of heads: is not in it")
            .and(contains("the tentacle said: mismatch: x")),
    );
    // The file may be wrong: what it says is no fault for ever.
    cancel(&scene).success();
    let check = |text: &str| {
        scene.octopus.sandbox.write("heads", text);
        scene.octopus.push(&["-a", "audit", "--check", "heads"]).assert()
    };
    check("# mail\n").code(65).stderr(contains("heads:1: is no line of audit --heads"));
    for none_of_it in ["", &other.replace(&scene.tentacle.to_string(), &"1".repeat(64))] {
        check(none_of_it).code(69).stderr(contains("heads: no head of this tentacle"));
    }
    scene.octopus.push(&["audit", "--heads", "--check", "-"]).assert().code(64);
}

/// A monitor that may write nothing has its answer; whoever changes something leaves a trace
/// or changes nothing.
#[test]
fn who_only_asks_needs_no_place_to_write() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let nowhere =
        |words: &[&str]| octopus.push(&[&["--state", "/proc/none", "-a"], words].concat());
    let warned = "octo-push: warning: no audit head is kept: ";
    let assert = nowhere(&["status"]).assert().success();
    assert.stdout(contains("web1: version ")).stderr(contains(warned));
    nowhere(&["run", "-c", "true"]).assert().code(73);
    assert!(web1.jobs().is_empty());
}
