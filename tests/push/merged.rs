//! `journal --from DIR…`: the journals of several pushers as one.

use crate::support::stdout_of;
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;
use std::path::PathBuf;

/// An octopus with one target and the states of two pushers, each of which has run something.
fn two_states() -> (Octopus, [PathBuf; 2]) {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let states = ["one", "two"].map(|name| octopus.sandbox.path(name));
    for (state, code) in states.iter().zip(["3", "4"]) {
        let state = state.display().to_string();
        let script = format!("exit {code}");
        octopus.push(&["--state", &state, "-t", "web1", "run", "-c", &script]).assert().failure();
    }
    (octopus, states)
}

#[test]
fn journals_are_merged_in_the_order_of_time() {
    let (octopus, [one, two]) = two_states();
    let (first, second) = (one.display().to_string(), two.display().to_string());
    // Each of them begun, then ended.
    let line = |time: u8, kind: &str, job: &str| {
        let end = if kind == "begun" { "" } else { " code=0 status=0" };
        format!(
            "2026-01-01T00:00:{time:02}Z run target=web{time} kind={kind}{end} \
             run=20260101T000000-{job} who=ann@desk job=20260101T000000-{job}\n"
        )
    };
    let (a, b) = ("aaaaaaaaaaaaa", "bbbbbbbbbbbbb");
    let text = [line(1, "begun", a), line(4, "exit", a), line(4, "exit", b)].concat();
    std::fs::write(one.join("journal"), text).expect("write");
    let torn = "2026-01-01T00:00:09Z run target=we";
    let text = [line(2, "begun", b), line(4, "exit", b), torn.to_string()].concat();
    std::fs::write(two.join("journal"), text).expect("write");
    let before = std::fs::read_dir(&two).expect("state").count();

    let shown = stdout_of(&mut octopus.push(&["journal", "--from", &first, "--from", &second]));
    let order: Vec<&str> = shown.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    assert_eq!(order, ["web1", "web2", "web4", "web4"], "{shown}");
    assert_eq!(shown.matches(b).count(), 2, "once what both hold: {shown}");
    assert!(shown.lines().nth(1).expect("a line").ends_with(&format!(" from={second}")));
    // Several behind one --from, as a pattern of the shell's leaves them; names of targets.
    let words = ["--json", "journal", "--from", &first, &second, "web2"];
    let shown = stdout_of(&mut octopus.push(&words));
    assert_eq!(shown.lines().count(), 1);
    assert!(shown.contains(&format!("\"from\":\"{second}\"")), "{shown}");
    let mut there = octopus.push(&["-v", "journal", "--from", "one", "two", "web1"]);
    there
        .current_dir(octopus.sandbox.path(""))
        .assert()
        .success()
        .stderr(contains("two: journal: 1 lines were torn by a crash"));
    assert_eq!(std::fs::read_dir(&two).expect("state").count(), before, "nothing is made there");
}

/// Who appends second may have looked at the clock first.
#[test]
fn copies_of_a_journal_whose_times_go_back_are_one() {
    let (octopus, [one, two]) = two_states();
    let line = |second: u32| {
        format!(
            "2026-01-01T00:00:{second:02}Z put target=web{second} kind=done code=0 status=0 \
             run=20260101T000000-aaaaaaaaaaaaa who=ann@desk\n"
        )
    };
    let all: String = [5, 3, 5, 9, 2, 9].map(line).concat();
    let older: String = [5, 3, 5, 9].map(line).concat();
    std::fs::write(one.join("journal"), &all).expect("write");
    std::fs::write(two.join("journal"), older).expect("write");
    let alone = stdout_of(&mut octopus.push(&["--state", &one.display().to_string(), "journal"]));
    for states in [[&one, &two], [&two, &one], [&one, &one]] {
        let [first, second] = states.map(|state| state.display().to_string());
        let shown = stdout_of(&mut octopus.push(&["journal", "--from", &first, &second]));
        let shown: String = shown
            .lines()
            .filter_map(|line| line.split_once(" from=").map(|(line, _)| format!("{line}\n")))
            .collect();
        assert_eq!(shown, alone, "{first} {second}");
    }
}

#[test]
fn what_has_no_journal_is_said() {
    let (octopus, [one, _]) = two_states();
    let one = one.display().to_string();
    std::fs::create_dir(octopus.sandbox.path("empty")).expect("mkdir");
    for place in ["empty/", "/nonexistent"] {
        let mut push = octopus.push(&["journal", "--from", &one, place]);
        push.current_dir(octopus.sandbox.path(""))
            .assert()
            .code(65)
            .stdout("")
            .stderr(contains(format!("{place}: has no journal")).and(contains("hint: a STATE")));
    }
    // Ours is another one, and has none of theirs.
    octopus.push(&["journal"]).assert().success().stdout("");
    let all = stdout_of(&mut octopus.push(&["--json", "journal", "--from", &one]));
    assert_eq!(all.lines().count(), 2, "{all}");
    assert!(all.contains("\"code\":3"), "{all}");
}
