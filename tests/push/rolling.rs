//! A rollout around what is down, killed or drained: budgets, records, commands around
//! each batch.

use crate::support::stdout_of;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;

fn fleet(count: usize) -> (Octopus, Vec<Tentacle>) {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let tentacles = (1..=count).map(|number| octopus.tentacle(&format!("web{number}"), "web"));
    let tentacles = tentacles.collect();
    (octopus, tentacles)
}

fn read(octopus: &Octopus, name: &str) -> String {
    std::fs::read_to_string(octopus.sandbox.path(name)).unwrap_or_else(|e| format!("{name}: {e}"))
}

fn runs(tentacles: &[Tentacle]) -> Vec<usize> {
    tentacles.iter().map(|tentacle| tentacle.jobs().len()).collect()
}

/// web2 would answer: that it is asked nothing is seen there.
#[test]
fn a_target_that_is_known_to_be_down_is_counted_and_not_asked() {
    let (octopus, tentacles) = fleet(3);
    let run = |front: &[&str]| {
        let options = ["-a", "--batch", "1", "--unreachable", "web2"];
        let own = ["run", "--end", "%n.end", "-c", "true"];
        octopus.push(&[&options, front, &own].concat()).assert()
    };
    run(&[]).code(69).stderr(
        contains("rollout stopped: a target can't be reached")
            .and(contains("unreachable: web2\n"))
            .and(contains("not begun: web[1,3]\n")),
    );
    run(&["--max-failures", "1", "--min-healthy", "2"])
        .code(69)
        .stderr(contains("2 of 3 are healthy, and 2 must stay so"));
    assert_eq!(runs(&tentacles), [0, 0, 0]);
    run(&["--max-failures", "1"])
        .code(69)
        .stderr(contains("web2: unreachable: it was not asked").and(contains("stopped").not()));
    assert_eq!(runs(&tentacles), [1, 0, 1]);
    let end = read(&octopus, "web2.end");
    assert!(end.contains("kind failed\ncode 69\norigin octopus\nstatus 69\nmessage"), "{end}");
    assert!(read(&octopus, "web3.end").contains("kind exit\n"));
    let last = stdout_of(&mut octopus.push(&["-t", "failed:LAST", "targets"]));
    assert!(last.starts_with("web2 ") && last.lines().count() == 1, "{last}");
    let options = ["-n", "-a", "--unreachable", "web1,web2", "--max-failures", "2"];
    let dry = stdout_of(&mut octopus.push(&[&options[..], &["run", "-c", "true"]].concat()));
    assert!(dry.contains("web1 (") && dry.matches("unreachable, not asked").count() == 2, "{dry}");
    octopus
        .push(&["-t", "web1", "--unreachable", "web2", "run", "-c", "true"])
        .assert()
        .code(65)
        .stderr(contains("--unreachable web2: is none of the selected targets"));
}

#[test]
fn a_target_that_goes_down_in_its_batch_is_within_the_budget() {
    let (octopus, mut tentacles) = fleet(3);
    tentacles[1].kill();
    let run = |budget: &str, id: &str| {
        let options = ["-a", "--batch", "1", "--max-failures", budget];
        octopus.push(&[&options[..], &["run", "-j", id, "-c", "true"]].concat()).assert().code(69)
    };
    let id = "20260101T000000-aaaaaaaaaaaaa";
    run("0", id).stderr(
        contains("rollout stopped: a target can't be reached").and(contains("not begun: web3")),
    );
    run("1", id).stderr(contains("stopped").not().and(contains("web2: 127.0.0.1:")));
    assert_eq!(runs(&tentacles), [1, 0, 1]);
    // It is back: it alone is left to do.
    tentacles[1].start();
    octopus.push(&["-a", "--batch", "1", "run", "-j", id, "-c", "true"]).assert().success();
    assert_eq!(runs(&tentacles), [1, 1, 1]);
}
