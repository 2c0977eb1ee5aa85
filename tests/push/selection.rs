//! Which targets are meant: ranges, patterns, files, those of a run on record; and what is
//! printed of names, taken back.

use crate::support::stdout_of;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:1 webpki";

fn octopus(lines: &[&str]) -> Octopus {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let lines = lines.iter().map(|line| match line.split_once(' ') {
        Some((name, tags)) => format!("{name} {NOBODY} {tags}\n"),
        None => format!("{line} {NOBODY}\n"),
    });
    octopus.set_targets(&lines.collect::<String>());
    octopus
}

fn fleet(names: &[&str]) -> (Octopus, Vec<Tentacle>) {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let tentacles = names.iter().map(|name| octopus.tentacle(name, "all")).collect();
    (octopus, tentacles)
}

/// The names that these words select.
fn selected(octopus: &Octopus, options: &[&str]) -> String {
    let listed = stdout_of(&mut octopus.push(&[options, &["targets"]].concat()));
    let names = listed.lines().map(|line| line.split_whitespace().next().expect("a name"));
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn ranges_and_patterns_select_wherever_targets_are_named() {
    let octopus = octopus(&["web1 web", "web2 web", "web3 web", "web01", "db1 z1", "Web4"]);
    octopus.sandbox.write("some", "# pasted\nweb[1,3],db1\n\nw?b01\n");
    octopus.sandbox.write("none", "\n");
    for (options, expected) in [
        (&["-t", "web[1-3]"][..], "web1 web2 web3"),
        (&["-t", "web[1-3/2],web[01]"], "web1 web3 web01"),
        (&["-tweb*", "-x", "web[1-2]"], "web3 web01"),
        (&["-t", "*", "-x", "w*,W*"], "db1"),
        (&["-t", "web[1-3]", "-t", "*[2-3]"], "web2 web3"),
        (&["-t", "z[1-1]"], "db1"),
        (&["-t", "@some"], "web1 web3 web01 db1"),
        (&["-a", "-x", "@some", "--exclude=@none"], "web2 Web4"),
    ] {
        assert_eq!(selected(&octopus, options), expected, "{options:?}");
    }
    octopus.sandbox.write("wrong", "web1\nweb[1-4]\nwbe3\n");
    octopus.sandbox.write("unclosed", "web1\nweb[1,\n2]\n");
    for (options, code, said) in [
        (&["-t", "wbe1"][..], 65, "wbe1: no target and no tag has this name"),
        (&["-t", "wbe1"], 65, "hint: did you mean web1?"),
        (&["-t", "wbe1"], 65, "hint: octo-push targets lists them"),
        (&["-t", "web[1-3,7,9]"], 65, "web[7,9]: no target and no tag has this name"),
        (&["-a", "-x", "wbe*"], 65, "wbe*: no target and no tag has this name"),
        (&["-a", "-x", "wbe*"], 65, "hint: did you mean web, web01, web1?"),
        (&["-t", "@wrong"], 65, "wbe3,web4: no target and no tag has this name"),
        (&["-t", "@unclosed"], 65, "web[1,: a [ is not closed"),
        (
            &["-t", "@web"],
            65,
            "hint: @FILE is a file of names; of a tag only its name is said: web",
        ),
        (&["-t", "web!web1"], 65, "web!web1: a ! is not understood here"),
        (&["-t", "web!web1"], 65, "hint: -x takes targets away: -t web -x web1"),
        (&["-t", "web&z1"], 65, "hint: several -t intersect: -t web -t production"),
        (&["-t", "web^z1"], 65, "hint: -t takes targets together, -x takes some away"),
        (&["-t", "z1,@web"], 65, "hint: @FILE stands alone; a group is a tag: its name alone"),
        (&["-t", "web[3-1]"], 65, "web[3-1]: '3-1' runs backwards"),
        (&["-t", "web[1-99999999999]"], 65, "stands for more than 1000000 names"),
        (&["-t", "faild:LAST"], 65, "faild:LAST: no target and no tag has this name"),
        (&["-t", "faild:LAST"], 65, "hint: did you mean failed:LAST?"),
        (&["-t", "web1:22"], 65, "hint: of a run there are failed: and unreachable:"),
        (&["-t", "failed:1"], 64, "failed:1: not failed:LAST or failed:JOB"),
        (&["-t", "unreachable:"], 64, "unreachable:: not unreachable:LAST or unreachable:JOB"),
        (&["-t", "web[1-3]", "-x", "web*"], 64, "no target is left by this selection"),
    ] {
        octopus.push(&[options, &["targets"]].concat()).assert().code(code).stderr(contains(said));
    }
}

#[test]
fn what_is_gathered_is_taken_back_as_one_word() {
    let names = ["web1", "web2", "web3", "n08", "n09", "n10", "a@b.c_1-x"];
    let (octopus, tentacles) = fleet(&names);
    let command = "case $PWD in */web2/*) echo odd;; *) echo even;; esac";
    let shown = stdout_of(&mut octopus.push(&["-a", "-g", "run", "-c", command]));
    let heads = shown.lines().filter_map(|line| line.strip_prefix("--- ")?.split_once(" ("));
    let heads: Vec<&str> = heads.map(|(names, _)| names).collect();
    assert_eq!(heads, ["a@b.c_1-x,n[08-10],web[1,3]", "web2"]);
    let all: Vec<&str> = names.iter().copied().filter(|name| *name != "web2").collect();
    assert_eq!(selected(&octopus, &["-t", heads[0]]), all.join(" "));
    octopus.sandbox.write("pasted", format!("{}\n", heads[0]));
    assert_eq!(selected(&octopus, &["-a", "-x", "@pasted"]), "web2");
    // Typed into a shell as it stands.
    let listed = typed(&octopus, &format!("octo-push -t {} targets", heads[0]));
    assert_eq!(listed.lines().count(), 6, "{listed}");
    drop(tentacles);
}

#[test]
fn those_that_could_not_be_reached_can_be_selected() {
    let (octopus, mut tentacles) = fleet(&["web1", "web2", "web3"]);
    octopus.push(&["-t", "unreachable:LAST", "targets"]).assert().code(65).stderr(
        contains("unreachable:LAST: no such run is on record").and(contains("octo-push journal")),
    );
    tentacles[1].kill();
    let id = "20260101T000000-aaaaaaaaaaaaa";
    let command = "case $PWD in */web3/*) exit 3;; esac";
    octopus.push(&["-a", "run", "-j", id, "-c", command]).assert().code(1);
    octopus.sandbox.write("names", format!("unreachable:{id},web1\n"));
    let of_id = format!("unreachable:{id}");
    for (options, expected) in [
        (&["-t", "unreachable:LAST"][..], "web2"),
        (&["-t", &of_id], "web2"),
        (&["-t", "failed:LAST"], "web2 web3"),
        (&["-t", "failed:LAST", "-x", "unreachable:LAST"], "web3"),
        (&["-t", "web[1],unreachable:LAST"], "web1 web2"),
        (&["-t", "@names"], "web1 web2"),
        (&["-a", "-x", "@names"], "web3"),
    ] {
        assert_eq!(selected(&octopus, options), expected, "{options:?}");
    }
    // Known not to answer, the rest is within the budget.
    let down = ["-a", "--unreachable", "unreachable:LAST", "--max-failures", "1"];
    octopus
        .push(&[&down[..], &["run", "-c", "true"]].concat())
        .assert()
        .code(69)
        .stderr(contains("web2: unreachable: it was not asked"));
    tentacles[1].start();
    octopus.push(&["-t", "unreachable:LAST", "run", "-c", "true"]).assert().success();
    octopus
        .push(&["-t", "unreachable:LAST", "targets"])
        .assert()
        .code(65)
        .stderr(contains("unreachable:LAST: each target was reached in that run"));
    // After a good run cron goes on as before.
    octopus.push(&["-a", "run", "-c", "true"]).assert().success();
    assert_eq!(selected(&octopus, &["-a", "-x", "unreachable:LAST"]), "web1 web2 web3");
    octopus.push(&[&down[..], &["run", "-c", "true"]].concat()).assert().success();
    assert_eq!(selected(&octopus, &["-t", &of_id]), "web2");
}

/// The command that continues a rollout, as it is printed.
fn again(said: &str) -> &str {
    said.split("to continue: ").nth(1).expect(said).lines().next().expect("a line")
}

#[test]
fn a_rollout_goes_on_with_the_targets_that_were_meant() {
    let (octopus, tentacles) = fleet(&["web1", "web2", "web3"]);
    let command = format!("exit $(cat {})", octopus.sandbox.path("code").display());
    let run = |options: &[&str], input: &str| {
        let line = [options, &["--batch", "1", "run", "-c", &command]].concat();
        let mut command = octopus.push(&line);
        let output = command.write_stdin(input).output().expect("runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let code = |code: &str| drop(octopus.sandbox.write("code", code));
    code("1");
    octopus.push(&["-t", "web[2,3]", "run", "-c", "exit 1"]).assert().code(1);
    octopus.sandbox.write("failed", "failed:LAST\n");
    octopus.sandbox.write("names", "web[1]\n");
    for (options, input, expected) in [
        (&["-t", "failed:LAST"][..], "", "octo-push -t failed:2"),
        (&["-qt", "@/dev/stdin"], "web2\nweb3", "octo-push -t 'web[2,3]' -q --batch 1 run -j 2"),
        (&["-t", "@failed", "-x", "web1"], "", "octo-push -t 'web[2,3]' --batch 1 run -j 2"),
        (&["-t", "web*", "-x", "@names"], "", "octo-push -t 'web*' -x @names --batch 1 run -j 2"),
    ] {
        octopus.push(&["-t", "web[2,3]", "run", "-c", "exit 1"]).assert().code(1);
        code("1");
        let said = run(options, input);
        assert!(again(&said).starts_with(expected), "{said}");
        // It still means the same after another run.
        octopus.push(&["-t", "web1", "run", "-c", "exit 1"]).assert().code(1);
        code("0");
        let before: Vec<usize> = tentacles.iter().map(|t| t.jobs().len()).collect();
        typed(&octopus, again(&said));
        let after = tentacles.iter().map(|t| t.jobs().len());
        let more: Vec<usize> = after.zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(more, [0, 1, 1], "{said}");
    }
}

#[test]
fn a_canary_and_the_journal_take_the_same_words() {
    let (octopus, tentacles) = fleet(&["web1", "web2", "db1"]);
    let run = |options: &[&str]| {
        let line = [&["-v"], options, &["run", "-c", "true"]].concat();
        octopus.push(&line).assert()
    };
    run(&["-a", "--canary", "web[2-2],d*"]).success().stderr(contains("batch: db1,web2\n"));
    // One of the canaries is not selected.
    run(&["-t", "web*", "--canary", "web2,db1"]).success().stderr(contains("batch: web2\n"));
    run(&["-t", "web1", "--canary", "db?"])
        .code(65)
        .stderr(contains("db?: none of the selected targets is this canary"));
    run(&["-a", "--canary", "wbe*"]).code(65).stderr(contains("did you mean web1, web2?"));
    run(&["-t", "web*", "--unreachable", "web[2-3]", "--max-failures", "2"])
        .code(65)
        .stderr(contains("--unreachable web3: is none of the selected targets"));
    run(&["-t", "web*", "--unreachable", "w*", "--max-failures", "2"])
        .code(69)
        .stderr(contains("web2: unreachable: it was not asked"));
    run(&["-a", "--unreachable", "web1,,db1"])
        .code(64)
        .stderr(contains("--unreachable: names joined by commas"));
    octopus.sandbox.write("s.sh", "true\n");
    octopus
        .push(&["-n", "-a", "run", "--installed", "web[1-3],d*", "s.sh"])
        .assert()
        .code(65)
        .stderr(contains("--installed web3: is none of the selected targets"));
    octopus.push(&["-n", "-a", "run", "--installed", "web[1-2],d*", "s.sh"]).assert().success();
    let of = |names: &[&str]| {
        let journal = stdout_of(&mut octopus.push(&[&["journal"], names].concat()));
        let mut targets: Vec<&str> =
            journal.lines().filter_map(|line| line.split(' ').nth(2)).collect();
        targets.sort_unstable();
        targets.dedup();
        targets.join(" ")
    };
    assert_eq!(of(&["web[1-9]"]), "web1 web2");
    assert_eq!(of(&["d*,web2", "gone"]), "db1 web2");
    assert_eq!(of(&["gone"]), "");
    drop(tentacles);
}

/// What such a line prints when it is typed into a shell.
fn typed(octopus: &Octopus, line: &str) -> String {
    let mut bash = std::process::Command::new("bash");
    let program = octopus.sandbox.program("octo-push");
    bash.arg("-c").arg(line.replacen("octo-push", &program.display().to_string(), 1));
    let scrubbed = octopus.start(&[]);
    for (name, value) in scrubbed.get_envs() {
        bash.env(name, value.unwrap_or_default());
    }
    let output = bash.current_dir(octopus.sandbox.path("")).output().expect("runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
