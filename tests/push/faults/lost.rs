//! A connection that breaks, at every byte it can break at: the job runs once,
//! its output comes whole, its exit code is right.

use crate::fault_proxy::{Direction, FaultProxy, Faults, Plan};
use crate::support::random::Random;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use predicates::prelude::*;
use predicates::str::contains;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Output, Stdio};

/// An octopus that reaches its tentacle web1 through a proxy.
fn through_a_proxy() -> (Octopus, Tentacle, FaultProxy) {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let proxy = FaultProxy::start(&web1.address);
    octopus.set_targets(&format!("{}\n", web1.line_at(&proxy.address.to_string(), "web")));
    (octopus, web1, proxy)
}

const OUTPUT: &str = "one\ntwo\nthree\n";

/// A run that leaves a trace of each time it ran.
fn run(octopus: &Octopus, index: usize) -> Output {
    let trace = octopus.sandbox.path(&format!("trace{index}"));
    let command =
        format!("echo x >> {}; cat \"$OCTO_PACKAGE\"; echo err >&2; exit 7", trace.display());
    let arguments = ["-t", "web1", "-w", "60", "run", "-p", "package", "-c", &command];
    octopus.push(&arguments).output().expect("runs")
}

fn check(octopus: &Octopus, index: usize, output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{what}: {said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), OUTPUT, "{what}: {said}");
    assert_eq!(said.matches("err\n").count(), 1, "{what}: {said}");
    let trace = std::fs::read(octopus.sandbox.path(&format!("trace{index}"))).expect("it ran");
    assert_eq!(trace, b"x\n", "{what}: it ran once");
}

/// Cuts the first connection after N bytes, for N over a whole session.
fn cut_everywhere(direction: Direction) {
    let (octopus, _web1, proxy) = through_a_proxy();
    octopus.sandbox.write("package", OUTPUT);
    check(&octopus, 0, &run(&octopus, 0), "uncut");
    let (whole, ends) = proxy.wait_closed(direction);
    assert!(ends.len() > 5 && ends.last() == Some(&whole), "{ends:?} of {whole}");
    // Every byte takes many minutes. Every message's end, the byte before and the
    // byte after it don't, with some in between.
    let cuts: BTreeSet<u64> = if std::env::var_os("OCTO_TEST_LONG").is_some() {
        (0..=whole).collect()
    } else {
        let around = ends.iter().flat_map(|end| [end - 1, *end, end + 1]);
        around.chain((0..whole).step_by(307)).filter(|cut| *cut <= whole).collect()
    };
    for (index, cut) in cuts.iter().enumerate() {
        let faults = Faults { cut_at: Some(*cut), ..Faults::default() };
        let plan = match direction {
            Direction::Up => Plan { up: faults, ..Plan::default() },
            Direction::Down => Plan { down: faults, ..Plan::default() },
        };
        proxy.next(plan);
        check(&octopus, index + 1, &run(&octopus, index + 1), &format!("cut at {cut} of {whole}"));
    }
}

#[test]
fn cut_at_every_byte_up() {
    cut_everywhere(Direction::Up);
}

#[test]
fn cut_at_every_byte_down() {
    cut_everywhere(Direction::Down);
}

/// Starts octo-push, and waits for its job's first line.
fn until_it_spoke(octopus: &Octopus, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut command = octopus.start(arguments);
    let mut push = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut output = BufReader::new(push.stdout.take().expect("a pipe"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "one\n");
    (push, output)
}

#[test]
fn a_listener_that_is_killed_loses_nothing() {
    let (octopus, mut web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let go = octopus.sandbox.path("go");
    let command = format!(
        "echo one; while ! test -e {}; do sleep 0.05; done; echo two; exit 5",
        go.display()
    );
    let (mut push, mut output) = until_it_spoke(&octopus, &["-t", "web1", "run", "-c", &command]);
    web1.kill();
    std::fs::write(&go, "").expect("write");
    web1.start();
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "two\n");
    assert_eq!(push.wait().expect("wait").code(), Some(5));
    assert_eq!(web1.jobs().len(), 1);
}

#[test]
fn contact_lost_for_good_is_79_only_where_something_may_run() {
    let (octopus, mut web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let go = octopus.sandbox.path("go");
    let command = format!("echo one; while ! test -e {}; do sleep 0.05; done", go.display());
    let end = octopus.sandbox.path("end");
    let run = ["-t", "web1", "--reconnect", "2", "run", "--end", "end", "-c", &command];
    let (push, _output) = until_it_spoke(&octopus, &run);
    web1.kill();
    let finished = push.wait_with_output().expect("wait");
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert_eq!(finished.status.code(), Some(79), "{said}");
    assert!(said.contains("accepted, its end unknown"), "{said}");
    let job = web1.jobs()[0].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(said.contains(&format!("hint: octo-push -t web1 follow {job}")), "{said}");
    let end = std::fs::read_to_string(end).expect("an end file");
    assert!(end.contains("kind unknown\n") && end.contains("origin octopus\n"), "{end}");
    // Nothing can have been accepted: repeating is safe.
    octopus
        .push(&["-t", "web1", "-w", "2", "run", "-c", "true"])
        .assert()
        .code(69)
        .stderr(contains("connection refused").and(contains("is octo-listen running")));
    web1.start();
    std::fs::write(&go, "").expect("write");
    octopus.push(&["follow", &job]).assert().success().stdout("one\n");
}

/// Each message of the tentacle's is the last one, on every connection.
#[test]
fn what_breaks_again_and_again_is_not_tried_as_fast_as_it_breaks() {
    let (octopus, _web1, proxy) = through_a_proxy();
    let run = ["-t", "web1", "-w", "1", "--limit", "20", "run", "-c", "true"];
    octopus.push(&["-t", "web1", "run", "-c", "true"]).assert().success();
    let (whole, ends) = proxy.wait_closed(Direction::Down);
    let mut unknown = 0;
    for end in ends.iter().filter(|end| **end < whole) {
        let down = Faults { cut_at: Some(*end), ..Faults::default() };
        proxy.always(Plan { down, ..Plan::default() });
        let before = proxy.accepted();
        let output = octopus.push(&run).output().expect("runs");
        let tries = proxy.accepted() - before;
        assert!(tries <= 4, "cut at {end}: {tries} connections");
        unknown += usize::from(output.status.code() == Some(79));
    }
    assert!(unknown > 0, "none that was asked for in vain");
}

#[test]
fn a_repeat_that_reaches_nobody_is_79_only_where_it_was_asked_before() {
    let (octopus, mut web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let run = |id: &'static str| {
        octopus.push(&["-t", "web1", "run", "-j", id, "-c", "echo once; exit 3"])
    };
    let (first, second) = ("20260101T000000-aaaaaaaaaaaaa", "20260101T000000-bbbbbbbbbbbbb");
    let third = "20260101T000000-ccccccccccccc";
    run(first).assert().code(3);
    web1.kill();
    // It ran: 69 would say that it did not, nor will.
    run(first).assert().code(79).stderr(contains(format!("follow {first}")));
    // Of this one nobody ever heard, however often it is repeated.
    run(second).assert().code(69);
    run(second).assert().code(69);
    // Written down, and then killed: nobody knows what went out.
    let journal = octopus.sandbox.path("state/journal");
    let lines = std::fs::read_to_string(&journal).expect("a journal");
    let begun = |line: &&str| line.contains("kind=begun") && line.contains(first);
    let begun = lines.lines().find(begun).expect("begun").replace(first, third);
    std::fs::write(&journal, format!("{lines}{begun}\n")).expect("write");
    run(third).assert().code(79);
    web1.start();
    run(first).assert().code(3).stdout("once\n");
    run(second).assert().code(3);
    run(third).assert().code(3);
    assert_eq!(web1.jobs().len(), 3);
}

#[test]
fn an_upload_that_breaks_goes_on_where_it_was() {
    let (octopus, _web1, proxy) = through_a_proxy();
    // What can be compressed may never come to the cut.
    octopus.sandbox.write("big", Random(1).bytes(8 << 20));
    proxy.next(Plan {
        up: Faults { cut_at: Some(5 << 20), ..Faults::default() },
        ..Plan::default()
    });
    octopus.push(&["-v", "-t", "web1", "put", "big"]).assert().success();
    let sent = proxy.forwarded(Direction::Up);
    assert!(sent < 10 << 20, "{sent} bytes for 8 MiB");
}

#[test]
fn a_bit_that_flips_harms_nothing() {
    let (octopus, _web1, proxy) = through_a_proxy();
    octopus.sandbox.write("package", OUTPUT);
    for index in 0..24 {
        let bit = 5_003 + index as u64 * 1_009;
        proxy.next(Plan {
            up: Faults { flip_bit: Some(bit), ..Faults::default() },
            ..Plan::default()
        });
        let output = run(&octopus, index);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let trace = octopus.sandbox.path(&format!("trace{index}"));
        let ran = std::fs::read(trace).unwrap_or_default();
        match output.status.code() {
            // It was taken for a broken connection.
            Some(7) => check(&octopus, index, &output, &format!("bit {bit}")),
            // It was seen before anything was accepted.
            Some(69 | 76) => assert!(ran.is_empty(), "bit {bit}: {said}"),
            Some(79) => assert!(ran.len() <= 2, "bit {bit}: {said}"),
            other => panic!("bit {bit}: {other:?}: {said}"),
        }
    }
}
