//! A rollout around what is down, killed or drained: budgets, records, commands around
//! each batch.

use crate::support::{can_trace, stdout_of, wait_for};
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

/// What would stop again at once is not told as the way on.
fn hints(change: &str) -> impl Predicate<str> {
    let again = "with --unreachable without those of web2 that answer again: octo-push -a ";
    contains(format!("hint: to continue, {change}{again}"))
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
            .and(contains("not begun: web[1,3]\n"))
            .and(hints("with --max-failures 1, or ")),
    );
    run(&["--max-failures", "1", "--min-healthy", "2"]).code(69).stderr(
        contains("2 of 3 are healthy, and 2 must stay so").and(hints("with --min-healthy 1, or ")),
    );
    run(&["--min-healthy", "2"])
        .code(69)
        .stderr(hints("with --max-failures 1 and --min-healthy 1, or "));
    run(&["--max-failures", "1", "--canary", "web2"])
        .code(69)
        .stderr(contains("no canary can be reached").and(hints("")));
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
    let down = format!("web2: {}: ", tentacles[1].address);
    run("1", id).stderr(contains("stopped").not().and(contains(down)));
    assert_eq!(runs(&tentacles), [1, 0, 1]);
    // It is back: it alone is left to do.
    tentacles[1].start();
    octopus.push(&["-a", "--batch", "1", "run", "-j", id, "-c", "true"]).assert().success();
    assert_eq!(runs(&tentacles), [1, 1, 1]);
}

/// As for more names than a command line holds.
#[test]
fn many_targets_are_named_by_a_file() {
    let (octopus, tentacles) = fleet(3);
    octopus.sandbox.write("names", "# two of them\nweb1\n\nweb3\r\n");
    octopus.sandbox.write("down,2", "web3\n");
    octopus.sandbox.write("none", "#\n");
    octopus.sandbox.write("wrong", "web1\nweb9\n");
    let targets = |options: &[&str]| {
        let listed = stdout_of(&mut octopus.push(&[options, &["targets"]].concat()));
        listed.lines().map(|line| line[..4].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(targets(&["-t", "@names"]), ["web1", "web3"]);
    assert_eq!(targets(&["-t@names", "-x", "@down,2"]), ["web1"]);
    assert_eq!(targets(&["-a", "--exclude=@names", "-x", "@none"]), ["web2"]);
    let down = ["--unreachable", "@down,2", "--max-failures", "1"];
    octopus
        .push(&[&["-t", "@names"], &down[..], &["run", "-c", "true"]].concat())
        .assert()
        .code(69)
        .stderr(contains("web3: unreachable: it was not asked"));
    assert_eq!(runs(&tentacles), [1, 0, 0]);
    for (options, code, said) in [
        (&["-t", "@none"][..], 65, "the file names no target"),
        (&["-t", "@none"], 65, "hint: it has a name or tag a line; -a takes all targets"),
        (&["-t", "failed:20260131T235959-abcdefghijklm"], 65, "hint: octo-push journal"),
        (&["-t", "@wrong"], 65, "web9: no target and no tag has this name"),
        (&["-t", "@nosuch"], 65, "nosuch: no such file or directory"),
        (&["-t", "web1,@names"], 65, "@names: no name begins with a @"),
        (&["-a", "--unreachable", "@wrong"], 65, "--unreachable web9: is none of the selected"),
    ] {
        let line = [options, &["run", "-c", "true"]].concat();
        octopus.push(&line).assert().code(code).stderr(contains(said));
    }
}

/// Waits for a file `go`.
fn waits(octopus: &Octopus, name: &str) -> String {
    format!("while ! test -e {}; do sleep 0.05; done", octopus.sandbox.path(name).display())
}

fn is_running(tentacle: &Tentacle) -> bool {
    tentacle.jobs().iter().any(|job| job.join("started").exists())
}

/// Kills octo-push in its first batch of two: web1 is done, web2 runs.
fn killed_in_a_batch(end: &str) -> (Octopus, Vec<Tentacle>) {
    let (octopus, tentacles) = fleet(3);
    for name in ["web1.end", "web2.end", "web3.end", "all"] {
        octopus.sandbox.write(name, "kind exit\ncode 0\n");
    }
    let command = format!("case $PWD in */web1/*) exit 0 ;; esac; {}", waits(&octopus, "go"));
    let line = ["-a", "-f", "1", "--batch", "2", "run", "-j", ID, "--end", end, "-c", &command];
    let mut push = octopus.start(&line).spawn().expect("starts");
    wait_for("its second job", || is_running(&tentacles[1]));
    push.kill().expect("kill");
    push.wait().expect("wait");
    (octopus, tentacles)
}

const ID: &str = "20260101T000000-aaaaaaaaaaaaa";

fn unknown(target: &str) -> String {
    format!("target {target}\nkind unknown\ncode 79\norigin octopus\nstatus 79\njob {ID}\n")
}

/// Whoever finds no record may take it for granted that nothing was begun.
#[test]
fn one_that_is_killed_in_a_batch_leaves_records_that_the_end_is_unknown() {
    let (octopus, tentacles) = killed_in_a_batch("%n.end");
    assert!(read(&octopus, "web1.end").contains("kind exit\n"));
    assert!(read(&octopus, "web2.end").starts_with(&unknown("web2")));
    // The second batch was never begun.
    assert!(!octopus.sandbox.path("web3.end").exists());
    // One that follows and is killed leaves no less.
    std::fs::remove_file(octopus.sandbox.path("web2.end")).expect("remove");
    let follow = ["-t", "web2", "follow", "--end", "%n.end", ID];
    let mut child = octopus.start(&follow).spawn().expect("starts");
    wait_for("its record", || read(&octopus, "web2.end").starts_with(&unknown("web2")));
    child.kill().expect("kill");
    child.wait().expect("wait");
    assert!(read(&octopus, "web2.end").starts_with(&unknown("web2")));
    octopus.sandbox.write("go", "");
    octopus.push(&follow).assert().success();
    assert!(read(&octopus, "web2.end").contains("kind exit\ncode 0\n"));
    assert_eq!(runs(&tentacles), [1, 1, 0]);
    // One file of all has the whole batch.
    let (octopus, tentacles) = killed_in_a_batch("all");
    let all = read(&octopus, "all");
    assert!(all.starts_with(&unknown("web1")) && all.contains(&unknown("web2")), "{all}");
    assert!(!all.contains("kind exit") && !all.contains("web3"), "{all}");
    octopus.sandbox.write("go", "");
    wait_for("its end", || tentacles[1].jobs().iter().all(|job| job.join("end").exists()));
}

/// Those of its batch that the budget held back have not begun, and nothing says so.
#[test]
fn what_the_budget_held_back_leaves_no_record() {
    let (octopus, tentacles) = fleet(6);
    for (id, end) in [(ID, "%n.end"), ("20260101T000000-bbbbbbbbbbbbb", "all")] {
        let line = ["-a", "-f", "1", "--batch", "6", "run", "-j", id, "--end", end, "-c", "exit 3"];
        octopus.push(&line).assert().code(3).stderr(contains("rollout stopped"));
        for tentacle in &tentacles {
            let has_run = tentacle.jobs().iter().any(|job| job.ends_with(id));
            let record = match end {
                "all" => read(&octopus, "all").contains(&format!("target {}\n", tentacle.name)),
                _ => octopus.sandbox.path(&format!("{}.end", tentacle.name)).exists(),
            };
            assert_eq!(has_run, record, "{end}: {}", tentacle.name);
        }
    }
    assert!(!read(&octopus, "all").contains("unknown"));
}

#[test]
fn a_batch_is_on_the_disk_before_it_begins_by_one_sync_of_each_file_system() {
    if !can_trace("a_batch_is_on_the_disk_before_it_begins_by_one_sync_of_each_file_system") {
        return;
    }
    let (octopus, _tentacles) = fleet(3);
    let line = ["-a", "--batch", "3", "run", "--end", "%n.end", "-c", "true"];
    let push = octopus.start(&line);
    let mut traced = std::process::Command::new("strace");
    traced.args(["-f", "-y", "-o", "trace", "-e", "trace=fsync,fdatasync,syncfs,connect,writev"]);
    traced.arg(push.get_program()).args(push.get_args()).current_dir(octopus.sandbox.path(""));
    traced.env_clear().envs(push.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = traced.output().expect("strace");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = read(&octopus, "trace");
    // The disk may take the journal while targets are dialled: a worker's third write to its socket
    // is the first behind the handshake, and so the first that asks for anything.
    let mut written = std::collections::HashMap::new();
    let lines: Vec<&str> = trace.lines().collect();
    let asked = lines.iter().position(|line| {
        let is_sent = line.contains("writev(") && line.contains("<socket:");
        let writes = written.entry(line.split(' ').next()).or_insert(0);
        *writes += i32::from(is_sent);
        *writes == 3
    });
    let asked = asked.expect("a request");
    let at = |call: &str| lines.iter().position(|line| line.contains(call));
    assert!(at("syncfs(") < at("connect("), "{lines:#?}");
    let count = |call: &str| lines[..asked].iter().filter(|line| line.contains(call)).count();
    // STATE and its journal are new: a sync each of the directory that has their name.
    assert_eq!((count("fdatasync("), count("fsync("), count("syncfs(")), (1, 2, 1), "{lines:#?}");
}

/// What an earlier call may have begun there isn't run again under another id.
#[test]
fn what_was_begun_before_its_target_went_down_is_not_taken_for_failed() {
    let (octopus, tentacles) = killed_in_a_batch("%n.end");
    let command = format!("case $PWD in */web1/*) exit 0 ;; esac; {}", waits(&octopus, "go"));
    let options = ["-t", "web1,web2", "--batch", "2", "--max-failures", "1"];
    let own = ["run", "-j", ID, "--end", "%n.end", "-c", &command];
    let down = [&options[..], &["--unreachable", "web2"], &own].concat();
    octopus.push(&down).assert().code(79).stderr(contains("web2: unreachable: perhaps accepted"));
    assert!(read(&octopus, "web2.end").starts_with(&unknown("web2")));
    octopus.sandbox.write("go", "");
    octopus.push(&[&options[..], &own].concat()).assert().success();
    assert_eq!(runs(&tentacles), [1, 1, 0]);
}
