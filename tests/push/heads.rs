//! Heads of the audit logs: what replies say is held against what was kept.

use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
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
