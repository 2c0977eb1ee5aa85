//! Several ways to one target, and `exec:COMMAND` among them: in which order they are tried,
//! which of them ends it, and what is said of those that failed.

use crate::support::set_mode;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;

/// An octopus with web1, which is reached by `ways`; {web1} in them is where it listens, {stdio}
/// a command that leads there, written as a line has it.
fn with_ways(ways: &str) -> (Octopus, Tentacle) {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let text = format!(
        "#!/bin/sh\nexec '{}' --config '{}' --state '{}' --stdio\n",
        octopus.sandbox.program("octo-listen").display(),
        web1.config.display(),
        web1.state.display()
    );
    let program = octopus.sandbox.write("lead there", text);
    set_mode(&program, 0o755);
    let stdio = format!("exec:\"{}\"", program.display()).replace(' ', "%20");
    let ways = ways.replace("{web1}", &web1.address).replace("{stdio}", &stdio);
    octopus.set_targets(&format!("web1 {ways} {} web\n", web1.thumbprint));
    (octopus, web1)
}

const RUN: [&str; 5] = ["-t", "web1", "run", "-c", "echo there"];

#[test]
fn the_first_that_leads_there_is_taken() {
    for (ways, passed) in [
        ("{web1}", None),
        ("{stdio}", None),
        ("{web1},exec:/nonexistent/never%20started", None),
        ("127.0.0.1:1,{web1}", Some("127.0.0.1:1: connection refused")),
        ("127.0.0.1:1,{stdio}", Some("127.0.0.1:1: connection refused")),
        ("nowhere.invalid,{web1}", Some("nowhere.invalid: does not resolve")),
        ("exec:/nonexistent/nc%20a,{web1}", Some("/nonexistent/nc: no such file")),
        (
            "exec:sh%20-c%20'echo%20no%20route%20>&2;exit%204',{web1}",
            Some("sh ended with status 4: no route"),
        ),
        // An answer, but of none of ours.
        ("exec:echo%20HTTP/1.1%20403%20Forbidden,{web1}", Some("; another way leads there")),
    ] {
        let (octopus, _web1) = with_ways(ways);
        octopus.push(&RUN).assert().success().stdout("there\n").stderr("");
        let shown = octopus.push(&[&["-v"][..], &RUN].concat()).assert().success();
        match passed {
            Some(passed) => drop(shown.stderr(contains(passed).and(contains("another way")))),
            None => drop(shown.stderr(contains("another way").not())),
        }
    }
}

#[test]
fn one_that_only_hangs_has_a_wait_of_its_own() {
    let (octopus, _web1) = with_ways("exec:sleep%20600,exec:sleep%20500,{web1}");
    let words = [&["-v", "-w", "1s"][..], &RUN].concat();
    octopus
        .push(&words)
        .assert()
        .success()
        .stdout("there\n")
        .stderr(contains("exec:sleep%20600: no TLS handshake within 1s; another way leads there"));
}

/// Another machine at an address of ours is news, whatever the next way leads to.
#[test]
fn who_is_another_ends_it() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let other = octopus.tentacle("other", "");
    octopus
        .set_targets(&format!("web1 {},{} {} web\n", other.address, web1.address, web1.thumbprint));
    octopus.push(&RUN).assert().code(77).stdout("").stderr(
        contains(format!("{}: another thumbprint", other.address)).and(contains(format!(
            "web1 {},{} {} web",
            other.address, web1.address, other.thumbprint
        ))),
    );
    assert!(web1.jobs().is_empty());
}

#[test]
fn where_none_leads_there_each_has_its_reason() {
    let ways = "127.0.0.1:1,exec:sh%20-c%20'printf%20\\\\033[31mno%20>&2;exit%203',nowhere.invalid";
    let (octopus, web1) = with_ways(ways);
    octopus.push(&RUN).assert().code(69).stdout("").stderr(
        contains("127.0.0.1:1: connection refused; exec:sh%20-c")
            .and(contains("sh ended with status 3: "))
            .and(contains("; nowhere.invalid: does not resolve"))
            .and(contains("\u{1b}").not())
            .and(contains("hint: by hand: sh -c")),
    );
    assert!(web1.jobs().is_empty());
}

/// So many tries are rounds over all of them.
#[test]
fn retries_are_of_all_ways() {
    let (octopus, _web1) = with_ways("127.0.0.1:1,exec:sh%20-c%20'echo%20x>>starts;exit%201'");
    let words = [&["--retries", "2"][..], &RUN].concat();
    let mut push = octopus.push(&words);
    push.current_dir(octopus.sandbox.path("")).assert().code(69);
    let starts = std::fs::read_to_string(octopus.sandbox.path("starts")).expect("starts");
    assert_eq!(starts.lines().count(), 3);
}

/// `-P` goes before what the line says.
#[test]
fn a_transport_replaces_all_ways() {
    let (octopus, _web1) = with_ways("one.example:7,exec:/nonexistent/b,two.example");
    let words = [&["-P", "sh -c 'echo to $0 $1 of $2 >&2; exit 4' %h %p %n"][..], &RUN].concat();
    octopus.push(&words).assert().code(69).stderr(contains("to one.example 7 of web1"));
    let (octopus, _web1) = with_ways("exec:/nonexistent/b");
    let words = [&["-P", "nc %h %p"][..], &RUN].concat();
    octopus
        .push(&words)
        .assert()
        .code(65)
        .stderr(contains("web1: has no address that %h and %p of -P could stand for"));
}

#[test]
fn the_words_of_the_target_are_filled_in() {
    let (octopus, _web1) =
        with_ways("h.example:7,exec:sh%20-c%20'echo%20$*>&2;exit%204'%20x%20%n%20%h:%p%20100%25");
    octopus
        .push(&[&["-w", "2s"][..], &RUN].concat())
        .assert()
        .code(69)
        .stderr(contains("status 4: web1 h.example:7 100%"));
}

/// After contact it goes on with the way that led there, then with the others in their order.
#[test]
fn the_way_that_worked_is_taken_again() {
    let (mut octopus, web1) = with_ways("{web1}");
    let listen = std::fs::read_to_string(octopus.sandbox.path("lead there")).expect("written");
    let exec = listen.lines().last().expect("a line");
    let text = format!("#!/bin/sh\necho $$ >>'{}'\n{exec}\n", octopus.sandbox.path("b").display());
    let program = octopus.sandbox.write("way", text);
    set_mode(&program, 0o755);
    octopus.set_targets(&format!(
        "web1 exec:sh%20-c%20'echo%20x>>a;exit%201',exec:{} {} web\n",
        program.display(),
        web1.thumbprint
    ));
    let place = octopus.sandbox.path("b").display().to_string();
    let script = format!(
        "kill -9 $(cat '{place}'); until [ $(wc -l <'{place}') -gt 1 ]; do sleep 0.05; done; echo on"
    );
    let mut push = octopus.push(&["-t", "web1", "run", "-c", &script]);
    push.current_dir(octopus.sandbox.path("")).assert().success().stdout("on\n");
    let starts = |name| std::fs::read_to_string(octopus.sandbox.path(name)).expect(name);
    assert_eq!((starts("a").lines().count(), starts("b").lines().count()), (1, 2));
}

/// What the program started may hold its output open for as long as it likes.
#[test]
fn its_end_is_told_though_a_child_of_it_lives() {
    let (octopus, _web1) = with_ways("exec:sh%20-c%20'sleep%20600%20&%20echo%20$!>child;exit%205'");
    let mut push = octopus.push(&[&["-w", "60s"][..], &RUN].concat());
    let began = std::time::Instant::now();
    push.current_dir(octopus.sandbox.path("")).assert().code(69).stderr(contains("status 5"));
    let child = std::fs::read_to_string(octopus.sandbox.path("child")).expect("child");
    std::process::Command::new("kill").arg(child.trim()).status().expect("kill");
    // Without a look at its end, the whole wait.
    assert!(began.elapsed() < std::time::Duration::from_secs(50));
}

/// A login that is refused is tried a few times, though a dead address stands beside it.
#[test]
fn a_program_that_ends_is_not_tried_often_beside_a_dead_address() {
    let (mut octopus, web1) = with_ways("{web1}");
    let listen = std::fs::read_to_string(octopus.sandbox.path("lead there")).expect("written");
    let exec = listen.lines().last().expect("a line");
    let place = octopus.sandbox.path("b").display().to_string();
    let text = format!(
        "#!/bin/sh\necho $$ >>'{place}'\n[ $(wc -l <'{place}') = 1 ] || exit 255\n{exec}\n"
    );
    let program = octopus.sandbox.write("way", text);
    set_mode(&program, 0o755);
    let ways = format!("127.0.0.1:1,exec:{}", program.display());
    octopus.set_targets(&format!("web1 {ways} {} web\n", web1.thumbprint));
    let script = format!("kill -9 $(cat '{place}'); exec sleep 300");
    octopus
        .push(&["-t", "web1", "--reconnect", "12s", "run", "-c", &script])
        .assert()
        .code(79)
        .stderr(contains("status 255"));
    let starts = std::fs::read_to_string(&place).expect("starts").lines().count();
    assert!((2..=4).contains(&starts), "{starts}");
    octopus.set_targets(&web1.line(""));
    for job in web1.jobs() {
        crate::support::kill_session_of(&job);
    }
}

#[test]
fn lines_that_are_wrong_are_named() {
    for (ways, said) in [
        ("exec:", "exec:: no command"),
        ("exec:nc%20%h", "%h and %p stand for an address, and there is none"),
        ("exec:a%00", "%00: %20 is a blank"),
        ("{web1},{web1}", "stands there twice"),
    ] {
        let (octopus, _web1) = with_ways(ways);
        octopus.push(&RUN).assert().code(78).stderr(contains("targets:1: ").and(contains(said)));
    }
}
