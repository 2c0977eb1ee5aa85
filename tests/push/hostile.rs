//! A pusher who is let in and means harm, beside one who is served all the same.

use crate::support::{SmallDisk, impossible, wait_for};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;
use std::path::Path;

/// Prints as fast as it can, on and on, and makes as many processes as it may: a shell
/// that may make no more ends.
const HOSTILE: &str = "
    yes 'a line of sixteen' &
    mkdir $OCTO_ARTIFACTS/not-a-file
    for n in $(seq 20); do head -c 1000000 /dev/zero >$OCTO_ARTIFACTS/$n; done
    : > busy
    (n=0; while [ $n -lt 200 ]; do sleep 600 & n=$((n + 1)); done)
    exec sleep 600";

/// Takes all the memory that there is, where that is bounded.
const HOG: &str = r#"awk 'BEGIN { for (;;) all[n++] = sprintf("%2000s", n) }'"#;

const BOUNDS: &str =
    "max-store=8M max-size=4M max-log=2M max-jobs=2 timeout=1h tasks=40 memory=48M";

fn two(tentacle: &Tentacle, name: &str) -> Octopus {
    let mut hostile = Octopus::new(cargo_bin!("octo-push"));
    tentacle.trust(&hostile.sandbox, &hostile.thumbprint, BOUNDS);
    let trusted = tentacle.config.join("trusted");
    let text = std::fs::read_to_string(&trusted).expect("trusted");
    // Another name: what one keeps is none of the other's.
    let (first, last) = text.trim_end().rsplit_once('\n').expect("two lines");
    tentacle.set_trusted(&format!("{first}\n{}\n", last.replacen("octopus", name, 1)));
    hostile.add_target(&tentacle.line("web"));
    hostile
}

fn job_of(tentacle: &Tentacle, id: &str) -> std::path::PathBuf {
    tentacle.state.join("jobs").join(id)
}

fn detached(hostile: &Octopus, script: &str) -> String {
    let output = hostile.push(&["-t", "web1", "run", "-D", "-k", "1s", "-c", script]).output();
    let output = output.expect("octo-push starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let is_id = |word: &&str| word.len() == 29 && word.contains('T');
    text.split_whitespace().find(is_id).expect("a job's id").to_string()
}

fn says(path: &Path, text: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|found| found.contains(text))
}

/// Its disk, its processes and its memory are its own; what it may not have it is refused.
#[test]
fn beside_a_hostile_pusher_another_is_served() {
    let (friendly, mut tentacle) = Octopus::with_one(cargo_bin!("octo-push"));
    tentacle.kill();
    let disk = SmallDisk::mount(&tentacle.state, "192m");
    tentacle.start();
    let hostile = two(&tentacle, "hostile");
    let first = detached(&hostile, HOSTILE);
    let job = job_of(&tentacle, &first);
    wait_for("its worst", || job.join("work/busy").exists());
    let started = std::fs::read_to_string(job.join("started")).expect("started");
    if !started.contains("unlimited memory") {
        let mut run = hostile.push(&["-t", "web1", "run", "-c", HOG]);
        run.assert().code(137).stderr(contains("oom: its 48.0 MiB of memory were used up"));
    }
    let second = detached(&hostile, "sleep 600");
    let serve = |times: usize| {
        for _ in 0..times {
            let mut run = friendly.push(&["-t", "web1", "run", "-c", "echo served"]);
            run.assert().code(0).stdout(contains("served"));
        }
    };
    serve(5);
    // One more is too many: of its jobs two are under way, or its store is full.
    let output = hostile.push(&["-t", "web1", "-w", "10s", "run", "-c", "true"]).output();
    assert!(matches!(output.expect("starts").status.code(), Some(75 | 77)));
    if let Some(disk) = &disk {
        // Who was served is not told of a full disk, and who comes then is told at once.
        let filled = disk.fill_but(64 << 10);
        let mut run = friendly.push(&["-t", "web1", "run", "-c", "echo served"]);
        run.assert().code(74).stderr(contains("web1").and(contains("full").or(contains("free"))));
        friendly.push(&["-t", "web1", "jobs"]).assert().success();
        std::fs::remove_file(filled).expect("removed");
        serve(1);
    } else {
        impossible("beside_a_hostile_pusher_another_is_served", "no file system of its own");
    }
    for id in [&first, &second] {
        friendly.push(&["-t", "web1", "cancel", id]).assert().success();
        let end = job_of(&tentacle, id).join("end");
        wait_for("its end", || says(&end, "kind cancelled"));
    }
    assert!(says(&job.join("end"), "truncated yes"), "its output was cut");
    let length = |name: &str| job.join(name).metadata().map_or(0, |found| found.len());
    assert!(length("log") + length("index") <= 2 << 20, "{} {}", length("log"), length("index"));
    serve(1);
}

/// What a job handed back is fed on to programs; a tentacle that was taken over would send
/// what they obey.
#[test]
fn values_that_no_job_hands_back_are_refused_whole() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let job = detached(&octopus, "echo A=1 >$OCTO_OUTPUT");
    let follow = ["-t", "web1", "--json", "follow", "--end", "end", "--outputs", "values", &job];
    octopus.push(&follow).assert().success().stdout(contains(r#""outputs":{"A":"1"}"#));
    let values = octopus.sandbox.path("values");
    assert_eq!(std::fs::read_to_string(&values).expect("values"), "A=1\n");
    let sent = job_of(&web1, &job).join("outputs");
    for (lines, told) in [
        ("A=1\nPATH=/tmp/x\n", "variable PATH is refused: "),
        ("A=1\nLD_PRELOAD=x\nBASH_ENV=x\n", "variables BASH_ENV, LD_PRELOAD are refused: "),
        ("A=1\nrm -rf x\n", "not NAME=VALUE in line 2"),
        ("A=1\n$(x)=\n", "not NAME=VALUE in line 2"),
        ("A=\u{1b}]0;x\u{7}\n", "a control character in A"),
        ("A=1\nA=2\n", "twice there: A"),
    ] {
        std::fs::write(&sent, lines).expect("write");
        let said = contains("its values are refused: ").and(contains(told));
        let run = octopus.push(&follow).assert().code(65);
        run.stderr(contains("web1").and(said)).stdout(contains(r#""outputs":{}"#));
        let end = std::fs::read_to_string(octopus.sandbox.path("end")).expect("end");
        assert!(end.contains("kind exit\ncode 0\norigin script\n"), "{end}");
        assert!(end.contains("status 65\n"), "{end}");
        assert!(!values.exists(), "{lines}");
    }
}
