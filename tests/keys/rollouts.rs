//! octo-keys explain: by a name, from nowhere in particular, and whole rollouts.

use crate::support::{Sandbox, set_mode};
use crate::{own_user, print};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};

/// Lines are `KEY NAME OPTIONS`; OWN is who runs this, HERE the sandbox.
fn sandbox(lines: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new(cargo_bin!("octo-keys"));
    let here = sandbox.path("").display().to_string();
    let lines = lines.iter().map(|line| {
        let (key, rest) = line.split_once(' ').expect("a key");
        format!("{} {rest}\n", print(key)).replace("OWN", &own_user()).replace("HERE/", &here)
    });
    let lines: String = lines.collect();
    sandbox.write("config/trusted", lines);
    sandbox
}

fn explain(sandbox: &Sandbox, words: &[&str]) -> (i32, String) {
    let mut command = sandbox.tool("octo-keys");
    let output = command.env("TZ", "UTC").arg("explain").args(words).output().expect("runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().expect("a code"), String::from_utf8(said).expect("UTF-8"))
}

#[test]
fn a_name_stands_for_all_its_keys() {
    let sandbox =
        sandbox(&["a ci user=OWN", "b ci allow=status", "c night from=10.0.0.0/8 user=OWN"]);
    let (code, said) = explain(&sandbox, &["ci", "10.0.0.1", "run"]);
    // One of its keys may.
    assert_eq!(code, 0, "{said}");
    let (first, second) = said.split_once("\n\n").expect("two answers");
    assert!(first.starts_with(&format!("thumbprint {}\nyes\nline 1 ", print("a"))), "{first}");
    assert!(second.starts_with(&format!("thumbprint {}\nno\nline 2 ", print("b"))), "{second}");
    let (code, said) = explain(&sandbox, &["night", "11.0.0.1", "status"]);
    assert_eq!((code, said.starts_with("no\n")), (77, true), "{said}");
    let mut command = sandbox.tool("octo-keys");
    let unknown = command.args(["explain", "nigth", "status"]).assert();
    unknown
        .code(65)
        .stdout(is_empty())
        .stderr(contains("trusted: no line is named nigth").and(contains("hint: night is one")));
}

#[test]
fn without_an_address_it_comes_from_where_it_may() {
    let sandbox = sandbox(&["a ci expires=2020-01-01", "a ci from=10.0.0.0/8", "b ann user=OWN"]);
    for (who, from) in [("ci", "from 10.0.0.0\n"), ("ann", "from anywhere\n")] {
        let (code, said) = explain(&sandbox, &[who, "status"]);
        assert!(code == 0 && said.ends_with(from), "{who}: {said}");
    }
}

#[test]
fn a_time_of_the_day_is_the_next_one() {
    let sandbox = sandbox(&["a night user=OWN window=\"02:00-03:00\""]);
    for (at, wanted) in [("02:30", 0), ("03:00", 75), ("14:00", 75)] {
        assert_eq!(explain(&sandbox, &["--at", at, "night", "run"]).0, wanted, "{at}");
    }
}

#[test]
fn each_step_of_a_rollout_has_its_answer() {
    for (options, words, code, step) in [
        ("user=OWN", &["deploy", "shop"][..], 0, "step script yes: octo-release is sent along\n"),
        ("user=OWN", &["rollback", "shop"], 0, "step approval yes: none is needed\n"),
        ("allow=put,run user=OWN", &["deploy", "shop"], 77, "step releases no: allow: "),
        ("allow=status,run user=OWN", &["deploy", "shop"], 77, "step put no: allow: "),
        ("allow=status,run user=OWN", &["rollback", "shop"], 0, "step run yes\n"),
        ("user=OWN hold", &["deploy", "shop"], 0, "step approval waits: hold: "),
        (
            "user=OWN window=\"02:00-03:00\"",
            &["deploy", "shop"],
            75,
            "step run no: window: outside",
        ),
        ("user=OWN set=OCTO_APPS=shop,api", &["deploy", "shop"], 0, "step application yes\n"),
        ("user=OWN set=OCTO_APPS=api", &["deploy", "shop"], 77, "no: set=OCTO_APPS permits api\n"),
        ("user=OWN set=OCTO_BASE=/srv", &["deploy", "shop"], 0, "step application yes: in /srv\n"),
        ("user=OWN scripts=HERE/scripts", &["deploy", "shop"], 0, "scripts/octo-release\n"),
        ("user=OWN scripts=HERE/config", &["deploy", "shop"], 65, "octo-release: no such file"),
        (
            "user=OWN",
            &["deploy", "web"],
            75,
            "step not-frozen no: by ann until 2099-01-01T00:00:00Z: no\n",
        ),
        ("user=OWN", &["rollback", "web"], 0, "step run yes\n"),
        ("user=OWN allow=status,put,run,despite", &["deploy", "web"], 75, "REASON may\n"),
    ] {
        let sandbox = sandbox(&[&format!("a ci {options}")]);
        let script = sandbox.write("scripts/octo-release", "#!/bin/sh\n");
        set_mode(&script, 0o755);
        let frozen = "until 2099-01-01T00%3A00%3A00Z\nby ann\nat 2026-01-01T00:00:00Z\nreason no\n";
        sandbox.write("state/freezes/web", frozen.replace("%3A", ":"));
        let words = [&["--at", "2026-06-01 12:00", "ci"], words].concat();
        let (status, said) = explain(&sandbox, &words);
        assert!(status == code && said.contains(step), "{options} {words:?}: {status}\n{said}");
        assert!(said.starts_with(if code == 0 { "yes\n" } else { "no\n" }), "{said}");
    }
}
