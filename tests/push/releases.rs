//! `releases` against real tentacles: what it says of them, and with which exit status.

use crate::faults::{next_request, one_that, one_that_is_cut, say};
use crate::support::wait_for;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

/// As octo-release leaves an application: `release BASE/APP VERSION RESULT LAST-WHAT LAST-RESULT`.
const RELEASE: &str = r#"
release() {
  mkdir -p "$1/meta" "$1/releases/$2"
  ln -sfn "releases/$2" "$1/current"
  echo line >>"$1/journal"
  printf '%s\n' 'octo-release 1' "application ${1##*/}" "journal $(wc -c <"$1/journal")" \
    "version $2" "release $2" 'number 3' "sha256 $(printf %064d "${2%.*}")" \
    'since 2026-01-02T03:04:05Z' 'by ann' "result $3" "last-what $4" 'last-version 9' \
    "last-result $5" 'back-version 0.9' 'back-names A B' >"$1/meta/now"
  echo "releases=$1" >>"$OCTO_OUTPUT"
}
"#;

/// Has a job leave an application on this target.
fn release(octopus: &Octopus, target: &Tentacle, words: &str) {
    let base = octopus.sandbox.path(&target.name).join("srv");
    let script = format!("{RELEASE}\nrelease {}/{words}", base.display());
    octopus.push(&["-t", &target.name, "run", "-c", &script]).assert().success();
}

/// The fields of each line of `--tsv`.
fn fields(octopus: &Octopus, code: i32, arguments: &[&str]) -> Vec<Vec<String>> {
    let output = octopus.push(&[&["-q", "releases", "--tsv"], arguments].concat());
    let output = { output }.assert().code(code).get_output().stdout.clone();
    let text = String::from_utf8(output).expect("text");
    text.lines().map(|line| line.split('\t').map(String::from).collect()).collect()
}

#[test]
fn every_target_has_its_line_in_the_order_of_the_selection() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let web2 = octopus.tentacle("web2", "web");
    let mut away = octopus.tentacle("away", "web");
    let web1 = octopus.tentacle("web1", "web");
    let stranger = octopus.tentacle("stranger", "web");
    let closed = octopus.tentacle("closed", "web");
    release(&octopus, &web1, "shop 2.0 succeeded deploy failed");
    release(&octopus, &web1, "api 1.0 succeeded deploy succeeded");
    release(&octopus, &web2, "shop 1.0 succeeded rollback succeeded");
    away.kill();
    stranger.set_trusted("");
    closed.set_trusted(&format!("{} octopus allow=put\n", octopus.thumbprint));
    let lines = fields(&octopus, 1, &["-a", "shop"]);
    let states: Vec<[&str; 4]> = lines
        .iter()
        .map(|line| [&line[0], &line[1], &line[2], &line[3]].map(|s| s.as_str()))
        .collect();
    assert_eq!(
        states,
        [
            ["web2", "answered", "shop", "1.0#3"],
            ["away", "unreachable", "-", "-"],
            ["web1", "answered", "shop", "2.0#3"],
            ["stranger", "refused", "-", "-"],
            ["closed", "refused", "-", "-"],
        ]
    );
    assert!(lines.iter().all(|line| line.len() == 28), "{lines:?}");
    assert_eq!(lines[2][9..15], ["9", "failed", "deploy", "0.9", "-", "A,B"]);
    assert!(lines[0][20].starts_with("put,run"), "{lines:?}");
    assert!(lines[1][23].contains("refused") && lines[4][23].starts_with("denied: "), "{lines:?}");
    // Each alone has its exit status; nothing of the kind is 0.
    assert_eq!(fields(&octopus, 69, &["-t", "away"])[0][1], "unreachable");
    assert_eq!(fields(&octopus, 77, &["-t", "closed"])[0][1], "refused");
    assert_eq!(fields(&octopus, 0, &["-t", "web2", "api"])[0][1], "empty");
    assert_eq!(fields(&octopus, 0, &["-t", "web1"]).len(), 2);
    for line in ["releases ../shop", "releases --tsv --json", "--tsv releases"] {
        octopus
            .push(&[&["-a"], &line.split(' ').collect::<Vec<_>>()[..]].concat())
            .assert()
            .code(64);
    }
}

/// A target may say anything; what it says becomes arguments, labels and cells.
#[test]
fn a_target_that_lies_is_believed_nothing() {
    for line in [
        "release application=shop base=/srv user=app version=../../x",
        "release application=shop base=/srv user=app release=1%09forged number=1",
        "release application=shop base=/srv user=app since=2026",
        "release application=shop base=/srv/../forged user=app",
        "release application=shop base=/srv user=app\nrelease application=shop base=/srv user=app",
        "release base=/srv",
        "release application=%1B%5B31m",
    ] {
        let line = line.to_string();
        let (octopus, _) = one_that(move |connection, _| {
            next_request(connection);
            let told = format!("ok offers=put,run body={}\n{line}", line.len());
            say(connection, told.as_bytes());
            next_request(connection);
        });
        let lines = fields(&octopus, 76, &["-t", "web1"]);
        assert_eq!(lines[0][..4], ["web1", "unknown", "-", "-"], "{lines:?}");
        assert_eq!(lines[0][20], "-", "{lines:?}");
        octopus.push(&["-q", "-a", "releases", "--form", "nagios"]).assert().code(2).stdout(
            contains("OCTO CRITICAL - 1 target, 1 unknown |").and(contains("forged").not()),
        );
    }
}

#[test]
fn what_is_said_to_be_text_makes_no_second_field_or_line() {
    let (octopus, _) = one_that(|connection, _| {
        next_request(connection);
        let line = "release application=shop base=/srv user=app by=a%09b%0Ac \
            frozen-until=2100-01-01T00:00:00Z frozen-by=- frozen-why=%1B%5B31m%E2%80%AEx%7Cy";
        let told = format!("ok offers=a%09b,c%0Ad body={}\n{line}", line.len());
        say(connection, told.as_bytes());
        next_request(connection);
    });
    let lines = fields(&octopus, 0, &["-t", "web1"]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let expected = [r"a\tb\nc", r"\x2d", r"\x1b[31m\u{202e}x|y", r"a\tb,c\nd", "/srv", "app"];
    let found = [8, 18, 19, 20, 21, 22].map(|field: usize| lines[0][field].as_str());
    assert_eq!(found, expected);
    let verbose = ["-v", "-a", "releases", "--form", "nagios"];
    let frozen = contains("frozen: until 2100-01-01T00:00:00Z by -: \\x1b[31m\\u{202e}x/y\n");
    octopus.push(&verbose).assert().code(0).stdout(frozen);
}

/// A way there that ends before anybody answered, and a host that only looks alive.
#[test]
fn who_never_answers_is_unreachable_by_whatever_way() {
    let (octopus, _) = one_that_is_cut(|_, _, _| {});
    let over = |way: &str| fields(&octopus, 69, &["-t", "web1", "-w", "1s", "-P", way]);
    for way in ["false", "sh -c 'exec cat >/dev/null'", "/nonexistent"] {
        assert_eq!(over(way)[0][1], "unreachable", "{way}");
    }
    assert_eq!(fields(&octopus, 69, &["-t", "web1", "-w", "1s"])[0][1], "unreachable");
    // It did shake hands, and leaves.
    let (octopus, _) = one_that(|connection, _| drop(next_request(connection)));
    let lines = fields(&octopus, 69, &["-t", "web1", "--reconnect", "1s"]);
    assert_eq!(lines[0][1], "unknown", "{lines:?}");
}

/// One that hangs hides nothing of the others: it is reported by what is known of it.
#[test]
fn who_has_not_answered_in_time_is_reported_so() {
    // It shook hands and says nothing; what is behind the other way never did.
    let (octopus, _) = one_that(|connection, _| {
        next_request(connection);
        next_request(connection);
    });
    let silent = ["-P", "sh -c 'exec cat >/dev/null'", "-w", "1h"];
    for (way, state) in [(&[][..], "unknown"), (&silent, "unreachable")] {
        for (form, code, said) in
            [("table", 1, state), ("json", 1, state), ("html", 1, state), ("nagios", 2, state)]
        {
            let _ = std::fs::remove_file(octopus.sandbox.path("prom"));
            let own = ["-a", "releases", "--form", form, "--timeout", "1s", "--prometheus", "prom"];
            let report = [way, &own].concat();
            octopus.push(&report).assert().code(code).stdout(contains(said));
            let metrics = std::fs::read_to_string(octopus.sandbox.path("prom")).expect("metrics");
            assert!(metrics.contains("web1"), "{metrics}");
        }
        // An answer says so of each target.
        let answer = [way, &["-a", "releases", "--tsv", "--timeout", "1s"]].concat();
        let late = contains("web1: not answered: its time is over");
        let told = contains(format!("web1\t{state}\t-\t"));
        octopus.push(&answer).assert().code(69).stdout(told).stderr(late);
    }
}

/// Half a report would be taken for the whole.
#[test]
fn a_report_that_was_left_is_none() {
    let (octopus, _) = one_that(|connection, _| {
        next_request(connection);
        next_request(connection);
    });
    for form in ["table", "nagios"] {
        let report = ["-a", "releases", "--form", form, "--timeout", "1h", "--prometheus", "prom"];
        let mut push = octopus.start(&report);
        push.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let push = push.spawn().expect("starts");
        let id = rustix::process::Pid::from_child(&push);
        wait_for("it catches signals", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", push.id()));
            let caught = status.expect("status");
            let caught = caught.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = u64::from_str_radix(caught.expect("a mask").trim(), 16).expect("hex");
            caught & (1 << 14) != 0
        });
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("kill");
        let output = push.wait_with_output().expect("wait");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0), "{output:?}");
        assert!(!octopus.sandbox.path("prom").exists());
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let octopus = Octopus::new(cargo_bin!("octo-push"));
    for (line, said) in [
        ("--tsv --form json", "--tsv and --form can't stand together"),
        ("--json --form json", "--json and --form can't stand together"),
        ("--form yaml", "--form yaml: table, json, html or nagios"),
        ("--warning 1", "--warning is of --form nagios"),
        ("--form table --critical 1", "--critical is of --form nagios"),
        ("--form json --unverified x", "--unverified is of --form nagios"),
        ("--form nagios --warning 3:1", "--warning 3:1: not a range of whole numbers"),
        ("--base srv", "--base srv: not an absolute path"),
        ("--timeout soon", "--timeout soon: not a time"),
        ("a/b", "a/b: not a name of letters"),
    ] {
        let words: Vec<&str> = ["-a", "releases"].into_iter().chain(line.split(' ')).collect();
        octopus.push(&words).assert().code(64).stderr(contains(said));
    }
    // A file of another form is named with its line.
    octopus.sandbox.write("bad", "web1\t/srv\tshop\twhy\nx\n");
    let bad = ["-a", "releases", "--form", "nagios", "--unverified", "bad"];
    octopus
        .push(&bad)
        .assert()
        .code(65)
        .stderr(contains("bad:2: not TARGET, DIRECTORY, APP and WHY"));
    // A shard may have no target: its report is empty, and well.
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let none =
        ["-a", "--shard", "2/2", "releases", "--form", "nagios", "--prometheus", "p", "shop"];
    octopus.push(&none).assert().code(0).stdout(contains("OCTO OK - 0 targets | targets=0;;;0"));
    assert!(octopus.sandbox.path("p").exists());
    let own = ["-a", "releases", "--prometheus", "config/targets"];
    octopus.push(&own).assert().code(64).stderr(contains("--prometheus"));
}
