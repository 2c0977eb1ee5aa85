//! A connection that breaks, at every byte it can break at: the job runs once,
//! its output comes whole, its exit code is right.

#[path = "support/fault_proxy.rs"]
mod fault_proxy;
mod support;

use assert_cmd::cargo::cargo_bin;
use fault_proxy::{Direction, FaultProxy, Faults, Plan};
use std::process::Output;
use support::tentacle::{Octopus, Tentacle};

/// An octopus that reaches its tentacle web1 through a proxy.
fn through_a_proxy() -> (Octopus, Tentacle, FaultProxy) {
    let (mut octopus, web1) = Octopus::with_one(&cargo_bin!("octo-push"));
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
    let arguments = ["-t", "web1", "-w", "10", "run", "-p", "package", "-c", &command];
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
    let whole = proxy.forwarded(direction);
    // Every byte takes minutes; a step that is prime to the records' sizes meets
    // each kind of place often enough in between.
    let step = if std::env::var_os("OCTO_TEST_LONG").is_some() { 1 } else { 53 };
    let cuts: Vec<u64> = (0..=whole).step_by(step).collect();
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
