//! The script of a run goes compressed, where that is shorter: what it takes on the wire.

use crate::fault_proxy::{Direction, FaultProxy};
use crate::faults::{next_request, one_that, say};
use crate::separated::job_id;
use crate::support::random::Random;
use crate::support::set_mode;
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use std::sync::mpsc::channel;

/// A script that says `ran`, of so many bytes, which compress or don't.
fn script(length: usize, compresses: bool) -> Vec<u8> {
    let begin = b"#!/bin/sh\necho ran\nexit 0\n";
    let rest = match compresses {
        true => b"# a comment of a line\n".repeat(length / 22 + 1),
        false => Random(5).bytes(length),
    };
    [&begin[..], &rest].concat()[..length].to_vec()
}

/// web1, behind a proxy that counts.
fn counted() -> (Octopus, Tentacle, FaultProxy) {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let proxy = FaultProxy::start(&web1.address);
    octopus.set_targets(&web1.line_at(&proxy.address.to_string(), "web"));
    (octopus, web1, proxy)
}

#[test]
fn a_script_costs_what_it_takes_compressed() {
    let (octopus, web1, proxy) = counted();
    let cost = |bytes: Vec<u8>| {
        octopus.sandbox.write("s.sh", &bytes);
        let (job, before) = (job_id(), proxy.forwarded(Direction::Up));
        octopus.push(&["-a", "run", "-j", &job, "s.sh"]).assert().success().stdout("ran\n");
        let (all, _) = proxy.wait_closed(Direction::Up);
        let kept = std::fs::read(web1.state.join("jobs").join(job).join("script"));
        assert!(kept.expect("the script") == bytes);
        all - before
    };
    // Handshake, statement and spec are some 2,300 bytes.
    let (least, most) = (cost(script(100, true)), cost(script(100_000, true)));
    assert!((1000..4000).contains(&least), "{least}");
    assert!(most < least + 400, "{least} {most}");
    // What can't be compressed, and what is larger than a frame may be, goes as it is.
    for (size, compresses) in [(100_000, false), ((8 << 20) + 1, true)] {
        let cost = cost(script(size, compresses));
        assert!(cost > size as u64 && cost < (size + size / 200) as u64 + 4000, "{cost} {size}");
    }
    assert!(cost(script(8 << 20, true)) < least + 2000);
}

/// What stands in the request, of each kind of job.
#[test]
fn only_a_script_is_compressed() {
    let (sender, asked) = channel();
    let (octopus, _) = one_that(move |connection, _| {
        while let Some(request) = next_request(connection) {
            let said: &[u8] = match request.word() {
                "follow" => b"ok\nend kind=exit code=0\n",
                _ => b"ok\n",
            };
            let number = |key: &str| request.number(key).expect("a number");
            if request.word() == "run" {
                let parts = ["request", "signature", "spec"].map(number);
                let front: u64 = parts.into_iter().flatten().sum();
                let rest = number("body").expect("body") - front;
                sender.send([number("script"), number("frame"), Some(rest)]).expect("heard");
            }
            say(connection, said);
        }
    });
    let asks = |words: &[&str]| {
        octopus.push(&[&["-a", "run"], words].concat()).assert().success();
        asked.recv().expect("a run")
    };
    octopus.sandbox.write("large.sh", script(50_000, true));
    octopus.sandbox.write("noise.sh", script(50_000, false));
    octopus.sandbox.write("small.sh", script(1_023, true));
    let secrets = octopus.sandbox.write("secrets", format!("TOKEN={}\n", "a".repeat(5_000)));
    set_mode(&secrets, 0o600);
    let [script, frame, rest] = asks(&["large.sh"]);
    assert_eq!((script, rest), (Some(50_000), frame));
    assert!(frame.is_some_and(|frame| frame < 300), "{frame:?}");
    // A secret is as long as it is, however often it repeats itself, and so is the frame.
    let with_secrets = asks(&["-S", "secrets", "large.sh"]);
    assert_eq!(with_secrets[..2], [script, frame]);
    let secrets = 32 + "TOKEN=".len() as u64 + 5_000 + 1;
    assert_eq!(with_secrets[2], frame.map(|frame| frame + secrets));
    let long = format!("true {}", "#".repeat(5_000));
    for (words, length) in [
        (&["noise.sh"][..], 50_000),
        (&["small.sh"], 1_023),
        (&["--name", "deploy"], 0),
        (&["--installed", "web1", "large.sh"], 0),
        (&["-c", &long], 0),
    ] {
        assert_eq!(asks(words), [Some(length), None, Some(length)], "{words:?}");
    }
}
