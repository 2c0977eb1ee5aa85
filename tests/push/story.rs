//! What the journal tells of an application: its lines by labels and by time, and a line
//! a rollout.

use crate::support::{stdout_of, wait_for};
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;

const FIRST: &str = "20260101T000000-aaaaaaaaaaaaa";
const SECOND: &str = "20260102T000000-aaaaaaaaaaaaa";
const THIRD: &str = "20260103T000000-aaaaaaaaaaaaa";
const FOURTH: &str = "20260104T000000-aaaaaaaaaaaaa";
const FIFTH: &str = "20260105T000000-aaaaaaaaaaaaa";
const SIXTH: &str = "20260106T000000-aaaaaaaaaaaaa";

/// A fleet of three, web3 of which is down.
fn fleet() -> (Octopus, Vec<crate::tentacle::Tentacle>) {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let tentacles: Vec<_> =
        ["web1", "web2"].map(|name| octopus.tentacle(name, "web")).into_iter().collect();
    octopus.add_target(&format!("web3 127.0.0.1:1 {} web", tentacles[0].thumbprint));
    (octopus, tentacles)
}

fn labels(words: &[&'static str]) -> Vec<&'static str> {
    words.iter().flat_map(|word| ["--label", word]).collect()
}

fn journal(octopus: &Octopus, arguments: &[&str]) -> String {
    stdout_of(&mut octopus.push(&[&["journal"], arguments].concat()))
}

#[test]
fn a_story_has_a_line_a_rollout() {
    let (octopus, _tentacles) = fleet();
    let of =
        labels(&["application=shop", "version=2.0", "environment=prod", "what=deploy", "from=1.0"]);
    let command = "case $PWD in */web2/*) exit 3 ;; esac";
    let front = ["-a", "--batch", "2", "--max-failures", "2", "run", "-j", FIRST];
    octopus.push(&[&front[..], &of, &["-c", command]].concat()).assert().code(1);
    // Its way back, and what has nothing to do with it.
    let mut of = labels(&["application=shop", "version=1.0", "what=back", "from=2.0"]);
    let rollout = format!("rollout={FIRST}");
    of.extend(["--label"]);
    let back = [&["-t", "web1", "run"], &of[..], &[&rollout, "-c", "true"]].concat();
    octopus.push(&back).assert().success();
    octopus
        .push(&["-t", "web1", "run", "--label", "application=blog", "-c", "true"])
        .assert()
        .success();
    octopus.push(&["-t", "web1", "run", "-c", "true"]).assert().success();
    octopus.push(&["-t", "web1", "cancel", FIRST]).assert().success();
    let story = journal(&octopus, &["--story", "--app", "shop"]);
    let (time, line) = story.trim_end().split_once(' ').expect("a line");
    assert!(time.ends_with('Z') && time.len() == 20, "{time}");
    let (who, line) = line.split_once(" web[1-3] ").expect(line);
    assert!(who.starts_with("shop 2.0 prod ") && who.contains('@'), "{who}");
    let deployed = "deploy from 1.0: 1 succeeded, 1 failed, 1 unreachable";
    assert_eq!(line, format!("{deployed}; then back to 1.0: 1 succeeded"));
    let blog = journal(&octopus, &["--story", "--app", "blog"]);
    assert!(blog.contains(" blog - - ") && blog.ends_with(" web1 1 succeeded\n"), "{blog}");
    assert_eq!(journal(&octopus, &["--story"]), story + &blog);
    assert_eq!(journal(&octopus, &["--story", "web2"]).lines().count(), 1);
    assert_eq!(journal(&octopus, &["--story", "nobody"]), "");
    // All that was asked about it from here, also by its job alone.
    let lines = journal(&octopus, &["--app", "shop"]);
    let counts = |part: &str| lines.lines().filter(|line| line.contains(part)).count();
    assert_eq!((counts(" run "), counts(" cancel ")), (8, 1), "{lines}");
    assert_eq!(counts(" application=shop version=2.0 environment=prod what=deploy"), 6, "{lines}");
    assert_eq!(counts("blog"), 0, "{lines}");
    let json = journal(&octopus, &["--json", "--app", "shop", "--story"]);
    for part in [
        r#"{"type":"rollout","time":""#,
        r#""application":"shop","what":"deploy","from":"1.0","version":"2.0","environment":"prod","by":""#,
        &format!(
            r#""rollout":"{FIRST}","succeeded":["web1"],"failed":["web2"],"unreachable":["web3"],"unknown":[],"skipped":[],"others":{{"#
        ),
        r#":{"what":"back","from":"2.0","version":"1.0","succeeded":["web1"],"failed":[]"#,
    ] {
        assert!(json.contains(part), "{part}: {json}");
    }
    let json = journal(&octopus, &["--json", "--app", "blog"]);
    assert!(json.contains(r#""labels":{"application":"blog"},"from":null}"#), "{json}");
}

/// One that stopped has not done what it was about, nor has one that was taken back.
#[test]
fn a_rollout_is_complete_where_all_of_it_runs_its_version() {
    let (octopus, _tentacles) = fleet();
    let run = |options: &[&'static str], id: &str, version: &str, rollout: &str, command: &str| {
        let version = format!("version={version}");
        let rollout = format!("rollout={rollout}");
        let of = ["--label", "application=shop", "--label", &version, "--label", &rollout];
        let line = [options, &["run", "-j", id], &of, &["-c", command]].concat();
        octopus.push(&line).assert()
    };
    let told = |last: &str| {
        let json = journal(&octopus, &["--json", "--story", "--app", "shop"]);
        let line = json.lines().find(|line| line.contains(&format!("\"rollout\":\"{last}\"")));
        line.unwrap_or(&json).to_string()
    };
    let both = &["-t", "web1,web2", "--batch", "1"];
    let gated = &["-t", "web1,web2", "--batch", "1", "--gate", "false"];
    run(gated, FIRST, "2.0", FIRST, "true").code(1);
    let part =
        r#""succeeded":["web1"],"failed":[],"unreachable":[],"unknown":[],"skipped":["web2"]"#;
    assert!(told(FIRST).contains(part), "{}", told(FIRST));
    assert!(told(FIRST).ends_with(r#","complete":false}"#), "{}", told(FIRST));
    // What stopped is not over: it is continued, and what failed stays so behind a stop.
    run(both, FIRST, "2.0", FIRST, "true").success();
    assert!(told(FIRST).ends_with(r#","complete":true}"#), "{}", told(FIRST));
    let fails = "case $PWD in */web1/*) exit 3 ;; esac";
    run(both, SECOND, "3.0", SECOND, fails).code(3);
    let gone = &["-t", "web1,web2", "--unreachable", "web2", "--max-failures", "0"];
    run(gone, SECOND, "3.0", SECOND, fails).code(69);
    assert!(told(SECOND).contains(r#""failed":["web1"]"#), "{}", told(SECOND));
    // Another application's rollout of the same name is another one.
    let other = ["--label", "application=blog", "--label", "rollout=r", "-c", "true"];
    octopus.push(&[&["-t", "web1", "run"], &other[..]].concat()).assert().success();
    run(&["-t", "web1"], THIRD, "4.0", "r", "true").success();
    assert_eq!(journal(&octopus, &["--story"]).lines().count(), 4);
    assert_eq!(journal(&octopus, &["--story", "--app", "blog"]).lines().count(), 1);
    // Its way back, of one.
    run(&["-t", "web2"], FOURTH, "1.0", FIRST, "true").success();
    assert!(told(FIRST).ends_with(r#","complete":false}"#), "{}", told(FIRST));
    // A hook that ran once somewhere puts no release there; what isn't well is not done.
    let gone = &["-t", "web1", "--unreachable", "web1", "--max-failures", "1"];
    run(gone, FIFTH, "5.0", FIFTH, "true").code(69);
    run(both, SIXTH, "6.0", SIXTH, "true").success();
    assert!(told(SIXTH).ends_with(r#""complete":true}"#), "{}", told(SIXTH));
    for (what, rollout, version) in
        [("once", FIFTH, "version=5.0"), ("unhealthy", SIXTH, "version=6.0")]
    {
        let labels = [format!("what={what}"), format!("rollout={rollout}")];
        let of = [&labels[0], "--label", &labels[1], "--label", version, "-c", "true"];
        let front = ["-t", "web1", "run", "--label", "application=shop", "--label"];
        octopus.push(&[&front[..], &of].concat()).assert().success();
        assert!(told(rollout).ends_with(r#""complete":false}"#), "{}", told(rollout));
    }
}

/// A rollout whose octo-push was killed is no success, and no failure.
#[test]
fn a_rollout_that_was_killed_is_unknown_until_somebody_follows_it() {
    let (octopus, tentacles) = fleet();
    let go = octopus.sandbox.path("go");
    let command = format!("while ! test -e {}; do sleep 0.05; done", go.display());
    let line = ["-t", "web1", "run", "--label", "application=shop", "-j", SECOND, "-c", &command];
    let mut push = octopus.start(&line).spawn().expect("starts");
    wait_for("its job", || tentacles[0].jobs().iter().any(|job| job.join("started").exists()));
    push.kill().expect("kill");
    push.wait().expect("wait");
    let story = || journal(&octopus, &["--story", "--app", "shop"]);
    assert!(story().ends_with(" web1 1 unknown\n"), "{}", story());
    std::fs::write(&go, "").expect("write");
    octopus.push(&["follow", SECOND]).assert().success();
    assert!(story().ends_with(" web1 1 succeeded\n"), "{}", story());
}

#[test]
fn what_is_older_is_left_out() {
    let (octopus, _tentacles) = fleet();
    let line = ["-t", "web1", "run", "--label", "application=shop", "-c", "true"];
    octopus.push(&line).assert().success();
    let path = octopus.sandbox.state("journal");
    let lines = std::fs::read_to_string(&path).expect("a journal");
    // The same call, years ago.
    let run = lines.split(" run=").nth(1).and_then(|rest| rest.split(' ').next()).expect("a run");
    let old = lines.lines().map(|line| format!("2020-05-05T05:05:05Z{}\n", &line[20..]));
    let old = old.collect::<String>().replace(run, "20200505T050505-aaaaaaaaaaaaa");
    std::fs::write(&path, old + &lines).expect("write");
    for (since, expected, rollouts) in [
        (&[][..], 4, 2),
        (&["--since", "2020-05-05"], 4, 2),
        (&["--since", "2020-05-06"], 2, 1),
        (&["--since", "2020-05-05T05:05:06Z"], 2, 1),
        (&["--since", "1000d"], 2, 1),
        (&["--since", "yesterday"], 2, 1),
        (&["--since", "2999-01-01"], 0, 0),
    ] {
        assert_eq!(journal(&octopus, since).lines().count(), expected, "{since:?}");
        let story = journal(&octopus, &[&["--story"], since].concat());
        assert_eq!(story.lines().count(), rollouts, "{since:?}: {story}");
    }
}
