//! octo-keys explain: the function that decides, asked from the command line,
//! now and at times to come.

use crate::support::{NOBODY, Sandbox, is_root};
use crate::{own_user, print};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};

/// One pusher, `a`, with these lines; each is `NAME OPTIONS`.
fn sandbox(lines: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new(cargo_bin!("octo-keys"));
    let lines: String = lines.iter().map(|line| format!("{} {line}\n", print("a"))).collect();
    sandbox.write("config/trusted", lines);
    sandbox
}

struct Answer {
    code: i32,
    text: String,
}

impl Answer {
    /// The value behind a key.
    fn value(&self, key: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
    }
}

fn ask(sandbox: &Sandbox, zone: &str, at: &str, address: &str, verb: &str) -> Answer {
    let mut command = sandbox.tool("octo-keys");
    command.env("TZ", zone).args(["explain", "--at", at, &print("a"), address, verb]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let code = output.status.code().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with(if code == 0 { "yes\n" } else { "no\n" }), "{text}{error}");
    Answer { code, text }
}

#[test]
fn each_option_answers_with_its_line_and_its_code() {
    let own = own_user();
    for (options, address, verb, code, option) in [
        ("user=OWN", "10.0.0.1", "run", 0, "allow"),
        ("user=OWN", "10.0.0.1", "connect", 0, ""),
        ("user=OWN", "-", "run", 0, "allow"),
        ("allow=status", "10.0.0.1", "run", 77, "allow"),
        ("allow=status", "10.0.0.1", "put", 77, "allow"),
        ("allow=status", "10.0.0.1", "status", 0, "allow"),
        ("allow=status", "10.0.0.1", "audit", 0, ""),
        ("allow=put", "10.0.0.1", "status", 77, "allow"),
        ("allow=put", "10.0.0.1", "follow", 77, "allow"),
        ("allow=run user=OWN", "10.0.0.1", "cancel", 0, "allow"),
        ("from=10.0.0.0/8", "10.255.0.1", "status", 0, "allow"),
        ("from=10.0.0.0/8", "::ffff:10.255.0.1", "status", 0, "allow"),
        ("from=10.0.0.0/8", "11.0.0.1", "status", 77, ""),
        ("from=10.0.0.0/8", "-", "status", 77, ""),
        ("from=2001:db8::/32", "2001:db8::1", "connect", 0, ""),
        ("user=OWN scripts=/etc/octo/scripts", "10.0.0.1", "run", 0, "allow"),
        ("user=OWN scripts=/etc/octo/scripts", "10.0.0.1", "scripts", 0, "allow"),
        ("user=OWN hold sudo locks= set=A=1", "10.0.0.1", "run", 0, "allow"),
        ("user=OWN window=\"Sun 10:00-12:00\"", "10.0.0.1", "run", 75, "window"),
        ("user=OWN window=\"Sun 10:00-12:00\"", "10.0.0.1", "put", 0, "allow"),
        ("user=OWN max-jobs=0", "10.0.0.1", "run", 0, "allow"),
        ("user=OWN", "10.0.0.1", "freeze", 77, "allow"),
        (
            "allow=freeze hold scripts=/x window=\"Sun 10:00-12:00\"",
            "10.0.0.1",
            "freeze",
            0,
            "allow",
        ),
        ("allow=freeze", "10.0.0.1", "follow", 0, "allow"),
        ("allow=freeze", "10.0.0.1", "cancel", 77, "allow"),
        ("expires=2026-05-31", "10.0.0.1", "status", 77, ""),
        ("expires=2026-06-01", "10.0.0.1", "status", 0, "allow"),
    ] {
        let options = options.replace("OWN", &own);
        let sandbox = sandbox(&[&format!("ci {options}")]);
        let answer = ask(&sandbox, "UTC", "2026-06-01 12:00", address, verb);
        assert_eq!(answer.code, code, "{options} {verb}: {}", answer.text);
        assert_eq!(
            answer.value("option").unwrap_or(""),
            option,
            "{options} {verb}: {}",
            answer.text
        );
        let line = format!("1 {} ci {options}", print("a"));
        let decided = if code != 0 && option.is_empty() { "none" } else { line.as_str() };
        assert_eq!(answer.value("line"), Some(decided));
    }
}

#[test]
fn what_a_yes_is_bounded_by() {
    let own = own_user();
    // Only root becomes somebody else.
    let user = if own == "root" { "app" } else { &own };
    let sandbox = sandbox(&[&format!(
        "ci user={user} sudo scripts=/etc/octo/scripts hold set=A=1 set=\"B=two words\" locks=db,web max-wait=90s timeout=1h max-size=1M"
    )]);
    let run = ask(&sandbox, "UTC", "2026-06-01 12:00", "10.0.0.1", "run");
    for line in [
        "name ci",
        &format!("user {user}"),
        "sudo yes",
        "scripts /etc/octo/scripts",
        "window at any time",
        "hold yes",
        "set A=1",
        "set B=two words",
        "locks db,web",
        "max-jobs 64",
        "max-size 1M",
        "max-log 1G",
        "max-wait 90s",
        "timeout 1h",
        "despite no",
    ] {
        assert!(run.text.lines().any(|l| l == line), "{line}\n{}", run.text);
    }
    let put = ask(&sandbox, "UTC", "2026-06-01 12:00", "10.0.0.1", "put");
    assert_eq!((put.value("max-size"), put.value("max-store")), (Some("1M"), Some("20G")));
    let follow = ask(&sandbox, "UTC", "2026-06-01 12:00", "10.0.0.1", "follow");
    assert_eq!(follow.value("jobs"), Some("own"));
}

#[test]
fn the_first_line_that_holds_is_the_one_shown() {
    let sandbox = sandbox(&[
        "old expires=2026-05-31",
        "far from=192.0.2.0/24",
        "near from=10.0.0.0/8 allow=status",
        "wide allow=any",
    ]);
    let answer = ask(&sandbox, "UTC", "2026-06-01 12:00", "10.0.0.1", "put");
    assert_eq!(
        (answer.code, answer.value("option"), answer.value("code")),
        (77, Some("allow"), Some("denied"))
    );
    assert!(answer.value("line").unwrap().starts_with("3 "), "{}", answer.text);
    let over: Vec<&str> =
        answer.text.lines().filter(|line| line.starts_with("passed-over")).collect();
    assert_eq!(
        over,
        [
            "passed-over 1 expires: it expired at the end of 2026-05-31 (UTC)",
            "passed-over 2 from: 10.0.0.1 is in none of its networks",
        ]
    );
    let wide = ask(&sandbox, "UTC", "2026-06-01 12:00", "203.0.113.1", "jobs");
    assert_eq!((wide.code, wide.value("jobs")), (0, Some("all")));
    let before = ask(&sandbox, "UTC", "2026-05-31 12:00", "10.0.0.1", "put");
    assert!(before.value("line").unwrap().starts_with("1 "), "{}", before.text);
}

#[test]
fn a_stranger_is_told_from_one_who_comes_from_elsewhere() {
    let sandbox = sandbox(&["ci from=10.0.0.0/8"]);
    let mut command = sandbox.tool("octo-keys");
    command
        .args(["explain", &print("b"), "10.0.0.1", "status"])
        .assert()
        .code(77)
        .stdout("no\nline none\ncode denied\nreason no line of this thumbprint\n");
}

#[test]
fn expiry_is_the_end_of_the_day_in_utc() {
    let sandbox = sandbox(&["ci expires=2027-06-30"]);
    for (zone, at, code) in [
        ("UTC", "2027-06-30 23:59", 0),
        ("UTC", "2027-07-01 00:00", 77),
        ("America/New_York", "2027-06-30 19:59", 0),
        ("America/New_York", "2027-06-30 20:00", 77),
        ("Asia/Tokyo", "2027-07-01 08:59", 0),
        ("Asia/Tokyo", "2027-07-01 09:00", 77),
        ("Asia/Tokyo", "2027-06-30T23:59:59Z", 0),
        ("Asia/Tokyo", "2027-07-01T00:00:00Z", 77),
        ("UTC", "2027-07-01T01:59:59+02:00", 0),
        ("UTC", "2027-07-01T02:00:00+02:00", 77),
        ("UTC", "1970-01-01T00:00:00Z", 0),
        ("UTC", "2090-01-01T00:00:00Z", 77),
    ] {
        assert_eq!(ask(&sandbox, zone, at, "10.0.0.1", "status").code, code, "{zone} {at}");
    }
}

#[test]
fn windows_go_by_the_clock_on_the_wall() {
    let sandbox = sandbox(&[&format!(
        "ci user={} window=\"Mon-Fri 22:00-05:00,Sat,Sun 02:30-03:30\"",
        own_user()
    )]);
    for (zone, at, opens) in [
        ("UTC", "2026-06-01 21:59", Some("2026-06-01T22:00:00+00:00")),
        ("UTC", "2026-06-01 22:00", None),
        ("UTC", "2026-06-02 04:59", None),
        ("UTC", "2026-06-02 05:00", Some("2026-06-02T22:00:00+00:00")),
        ("UTC", "2026-06-06 05:00", Some("2026-06-07T02:30:00+00:00")),
        // The same moment, by three clocks.
        ("Europe/Berlin", "2026-06-01T20:00:00Z", None),
        ("UTC", "2026-06-01T20:00:00Z", Some("2026-06-01T22:00:00+00:00")),
        ("America/New_York", "2026-06-01T20:00:00Z", Some("2026-06-01T22:00:00-04:00")),
        // Spring: 02:00 becomes 03:00, and 02:30 isn't.
        ("Europe/Berlin", "2026-03-29 01:59", Some("2026-03-29T03:00:00+02:00")),
        ("Europe/Berlin", "2026-03-29 03:00", None),
        ("Europe/Berlin", "2026-03-29 03:30", Some("2026-03-30T22:00:00+02:00")),
        ("America/New_York", "2026-03-08 01:59", Some("2026-03-08T03:00:00-04:00")),
        // Autumn: 03:00 becomes 02:00, and 02:30 is twice.
        ("Europe/Berlin", "2026-10-25 01:00", Some("2026-10-25T02:30:00+02:00")),
        ("Europe/Berlin", "2026-10-25T00:45:00Z", None),
        ("Europe/Berlin", "2026-10-25T01:15:00Z", Some("2026-10-25T02:30:00+01:00")),
        ("Europe/Berlin", "2026-10-25T01:30:00Z", None),
        ("Europe/Berlin", "2026-10-25T02:30:00Z", Some("2026-10-26T22:00:00+01:00")),
    ] {
        let answer = ask(&sandbox, zone, at, "10.0.0.1", "run");
        assert_eq!(answer.value("opens"), opens, "{zone} {at}: {}", answer.text);
        assert_eq!(answer.code, if opens.is_some() { 75 } else { 0 });
        // What is under way may be followed at any time.
        assert_eq!(ask(&sandbox, zone, at, "10.0.0.1", "follow").code, 0);
    }
}

#[test]
fn local_times_that_the_clock_skips_or_repeats() {
    let sandbox = sandbox(&["ci"]);
    let explain = |at: &str| {
        let mut command = sandbox.tool("octo-keys");
        command.env("TZ", "Europe/Berlin").args([
            "explain",
            "--at",
            at,
            &print("a"),
            "10.0.0.1",
            "status",
        ]);
        command.assert()
    };
    explain("2026-03-29 02:30")
        .code(64)
        .stdout(is_empty())
        .stderr(contains("the clock skips this time"));
    explain("2026-10-25 02:30").code(0).stderr(contains("comes twice: the first, +02, is taken"));
    for bad in ["2026-02-30 10:00", "25:00", "2026-06-01", "tomorrow", "2026-06-01 24:00", ""] {
        explain(bad).code(64).stderr(contains("a time is"));
    }
}

#[test]
fn who_starts_jobs_counts() {
    if !is_root("who_starts_jobs_counts") {
        return;
    }
    for (options, uid, code) in [
        ("", 0, 77),
        ("user=nobody", 0, 0),
        ("", NOBODY, 0),
        ("user=nobody", NOBODY, 0),
        ("user=root", NOBODY, 77),
    ] {
        let sandbox = sandbox(&[&format!("ci {options}")]);
        let mut command = sandbox.tool_as(uid, "octo-keys");
        let assert = command.args(["explain", &print("a"), "10.0.0.1", "run"]).assert().code(code);
        if code != 0 {
            assert.stdout(contains("option user\n"));
        }
    }
}

#[test]
fn an_unsound_file_lets_nobody_in() {
    let sandbox = sandbox(&["ci", "ci oops"]);
    let mut command = sandbox.tool("octo-keys");
    command
        .args(["explain", &print("a"), "10.0.0.1", "status"])
        .assert()
        .code(78)
        .stdout(is_empty())
        .stderr(
            contains("config/trusted:2: unknown option 'oops'").and(contains("hint: line 2: ")),
        );
    std::fs::remove_file(sandbox.config("trusted")).unwrap();
    let mut command = sandbox.tool("octo-keys");
    command
        .args(["explain", &print("a"), "10.0.0.1", "status"])
        .assert()
        .code(78)
        .stderr(contains("config/trusted: there is no trust file: nobody is let in"));
}

/// Both orders of octo-push(1) are one question.
#[test]
fn a_thaw_is_asked_for_as_a_freeze() {
    let sandbox = sandbox(&[&format!("ann user={} allow=freeze", own_user())]);
    let [freeze, thaw] =
        ["freeze", "thaw"].map(|verb| ask(&sandbox, "UTC", "2026-06-01 12:00", "10.0.0.1", verb));
    assert_eq!((thaw.code, &thaw.text), (0, &freeze.text));
}
