//! `freeze`, `thaw` and `run --despite`, from the octopus to the targets and back.

use crate::support::stdout_of;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use octo_core::base::record::Record;
use predicates::prelude::*;
use predicates::str::contains;

fn frozen(tentacle: &Tentacle) -> Option<Record> {
    let bytes = std::fs::read(tentacle.state.join("freezes/shop")).ok()?;
    Record::parse(&bytes).ok()
}

/// What octo-push says behind this, as a command line.
fn pasted<'a>(said: &'a str, behind: &str) -> Vec<&'a str> {
    let line = said.lines().find_map(|line| line.split_once(behind)).expect(behind).1;
    line.strip_prefix("octo-push ").expect("a command").split(' ').collect()
}

#[test]
fn a_fleet_is_frozen_and_who_is_not_reached_is_named_with_the_line() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let mut tentacles = ["web1", "web2", "web3"].map(|name| octopus.tentacle(name, "web"));
    tentacles[1].kill();
    let freeze = ["-qat", "web", "freeze", "shop", "--until", "2h", "black", "friday"];
    octopus.push(&freeze).assert().code(64).stderr(contains("--all and --target"));
    let freeze = ["-a", "freeze", "shop", "--until", "2h", "black", "friday"];
    let dry = stdout_of(&mut octopus.push(&[&["-n"], &freeze[..]].concat()));
    assert!(dry.contains("web1 (") && dry.contains("): freeze shop until 2"), "{dry}");
    assert!(frozen(&tentacles[0]).is_none());
    let output = octopus.push(&freeze).assert().code(69).get_output().clone();
    let said = String::from_utf8(output.stdout).expect("text");
    assert_eq!(said.matches(": shop: frozen until 2").count(), 2, "{said}");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("octo-push: web2: "), "{said}");
    assert!(said.contains("octo-push: shop is not frozen on web2\n"), "{said}");
    let until = |tentacle: &Tentacle| frozen(tentacle)?.first("until").map(str::to_string);
    let first = until(&tentacles[0]).expect("frozen");
    assert_eq!((until(&tentacles[1]), until(&tentacles[2]).as_ref()), (None, Some(&first)));
    // The line means the same moment, however late it is typed.
    tentacles[1].start();
    octopus.set_targets(&tentacles.each_ref().map(|tentacle| tentacle.line("web")).join("\n"));
    let again = pasted(&said, "hint: to try them again: ");
    octopus.push(&again).assert().success();
    assert_eq!(until(&tentacles[1]), Some(first.clone()));
    // A script that calls us says it itself.
    tentacles[1].kill();
    let thaw = || octopus.push(&["-a", "thaw", "shop"]);
    let assert = thaw().env("OCTO_AGAIN", "").assert().code(69);
    assert.stderr(contains("to try them again").not()).stdout(contains("web1: shop: thawed; it"));
    thaw().assert().code(69).stderr(contains("again: octo-push -t web2 thaw shop\n"));
    assert_eq!(
        tentacles.each_ref().map(|tentacle| frozen(tentacle).is_some()),
        [false, true, false]
    );
}

/// Its record is that of any job.
#[test]
fn a_freeze_is_told_as_any_job_is() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let end = octopus.sandbox.path("end");
    let file = end.display().to_string();
    octopus
        .push(&["-t", "web1", "--end", &file, "freeze", "shop", "--until", "1h", "ask Ada"])
        .assert()
        .success()
        .stdout(contains("shop: frozen until 2"));
    let end = Record::parse(&std::fs::read(&end).expect("an end")).expect("a record");
    let keys = ["kind", "code", "origin"].map(|key| end.first(key));
    assert_eq!(keys, [Some("exit"), Some("0"), Some("tentacle")]);
    let job = end.first("job").expect("a job").to_string();
    octopus.push(&["follow", &job]).assert().success().stdout(contains("shop: frozen until 2"));
    let jobs = stdout_of(&mut octopus.push(&["-t", "web1", "jobs"]));
    assert!(jobs.contains("freeze shop until 2") && jobs.contains(": ask Ada"), "{jobs}");
    let journal = stdout_of(&mut octopus.push(&["journal"]));
    assert!(journal.contains(" freeze "), "{journal}");
    let listed = stdout_of(&mut octopus.push(&["--json", "-t", "web1", "releases"]));
    assert!(listed.contains(r#""frozen_why":"ask Ada""#), "{listed}");
    // It is no deployment: what failed last is what it was.
    octopus.push(&["-t", "web1", "run", "-c", "exit 3"]).assert().code(3);
    octopus.push(&["-t", "web1", "thaw", "shop"]).assert().success();
    let failed = stdout_of(&mut octopus.push(&["-t", "failed:LAST", "targets"]));
    assert!(failed.starts_with("web1 "), "{failed}");
    assert!(frozen(&web1).is_none());
}

/// A no comes at once, and from the tentacle where its listener had let it through.
#[test]
fn each_word_of_a_line_brings_its_own() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let user = stdout_of(Command::new("id").arg("-un"));
    let trust = |options: &str| {
        let line = format!("{} ci user={} {options}\n", octopus.thumbprint, user.trim());
        web1.set_trusted(&line);
    };
    let freeze = ["-t", "web1", "freeze", "shop", "--until", "1h", "x"];
    let run = ["-t", "web1", "run", "-c", "echo ${OCTO_DESPITE-none}"];
    let despite = ["-t", "web1", "run", "--despite", "it is down", "-c", "echo $OCTO_DESPITE"];
    let lines: &[(&str, [u8; 3])] = &[
        ("", [77, 0, 77]),
        ("allow=status", [77, 77, 77]),
        ("allow=freeze window=00:00-00:01,00:02-00:03 hold scripts=/x max-jobs=0", [0, 77, 77]),
        ("allow=run,despite", [77, 0, 0]),
        ("allow=run,freeze,despite", [0, 0, 0]),
    ];
    for (options, codes) in lines {
        trust(options);
        for (line, code) in [&freeze[..], &run, &despite].into_iter().zip(codes) {
            let jobs = web1.jobs().len();
            let assert = octopus.push(line).assert().code(i32::from(*code));
            if *code != 0 {
                let no = if *options == "allow=status" {
                    "may neither run scripts nor"
                } else {
                    "may not"
                };
                assert.stderr(contains(no));
                assert_eq!(web1.jobs().len(), jobs, "{options}: {line:?}");
            }
        }
    }
    octopus.push(&despite).assert().success().stdout("it is down\n");
    octopus.push(&run).assert().success().stdout("none\n");
    // Only asked, too.
    trust("");
    let ask = [&despite[..3], &["--ask"], &despite[3..]].concat();
    octopus.push(&ask).assert().code(77).stderr(contains("may not deploy despite a freeze"));
}

/// Two octopuses: what one has frozen, the other thaws, if its line lets it.
#[test]
fn another_pusher_thaws_it_and_both_are_audited() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let mut other = Octopus::new(cargo_bin!("octo-push"));
    other.add_target(&web1.line("web"));
    let trust = |word: &str| {
        let lines = format!(
            "{} ann allow=freeze,status\n{} bob allow={word},status\n",
            octopus.thumbprint, other.thumbprint
        );
        web1.set_trusted(&lines);
    };
    trust("run");
    octopus.push(&["-t", "web1", "freeze", "shop", "--until", "1h", "x"]).assert().success();
    let thaw = || other.push(&["-t", "web1", "thaw", "shop"]);
    thaw().assert().code(77).stderr(contains("bob may not freeze applications"));
    assert!(frozen(&web1).is_some());
    trust("freeze");
    thaw().assert().success().stdout(contains("thawed; it was until").and(contains(" by ann: x")));
    assert!(frozen(&web1).is_none());
    let audit = std::fs::read_to_string(web1.state.join("audit.log")).expect("a log");
    let line = audit.lines().find(|line| line.contains(" thaw=shop ")).expect("audited");
    assert!(line.contains(" pusher=bob ") && line.contains(" was-by=ann was-reason=x "), "{line}");
}

/// Digits alone would be seconds to one and a day to another.
#[test]
fn a_number_is_no_moment() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    for until in ["20991201", "2099", "90"] {
        let freeze = ["-t", "web1", "freeze", "shop", "--until", until, "x"];
        let said = format!("--until {until}: not a time such as 2h");
        octopus.push(&freeze).assert().code(64).stderr(contains(said));
    }
    assert!(frozen(&web1).is_none());
}

/// What is over is nothing.
#[test]
fn a_freeze_ends_by_itself() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    octopus.push(&["-t", "web1", "freeze", "shop", "--until", "1h", "x"]).assert().success();
    let listed = || stdout_of(&mut octopus.push(&["--json", "-t", "web1", "releases"]));
    assert!(listed().contains(r#""frozen_until":"2"#), "{}", listed());
    let file = web1.state.join("freezes/shop");
    let text = std::fs::read_to_string(&file).expect("frozen");
    let until = text.lines().next().expect("a line");
    std::fs::write(&file, text.replace(until, "until 2026-01-01T00:00:00Z")).expect("write");
    assert!(listed().contains(r#""frozen_until":null"#), "{}", listed());
    let thaw = octopus.push(&["-t", "web1", "thaw", "shop"]).assert().success();
    thaw.stdout("shop: was not frozen\n");
    assert!(!file.exists());
}
