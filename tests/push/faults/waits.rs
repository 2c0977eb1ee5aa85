//! Tentacles that live, and never come to an answer: every question ends all the same.

use super::played::{Played, next_request, one_that, say, take_parts};
use crate::support::PATIENCE;
use crate::tentacle::Octopus;
use predicates::prelude::*;
use predicates::str::contains;
use std::time::Duration;

/// Long enough for a handshake on a busy machine.
const LIMIT: &str = "5s";
const JOB: &str = "20260101T000000-abcdefghijklm";

/// Says this again and again, until the octopus has had enough.
fn again_and_again(connection: &mut Played, what: &[u8], pause: Duration) {
    while say(connection, what).is_some() {
        std::thread::sleep(pause);
    }
}

/// Runs octo-push, which is not to be waited for for ever.
fn ends(octopus: &Octopus, limit: &str, verb: &[&str]) -> assert_cmd::assert::Assert {
    let arguments = [&["-t", "web1", "--limit", limit][..], verb].concat();
    octopus.push(&arguments).timeout(PATIENCE).assert()
}

/// Each way to seem alive, for a reply and for a list.
#[test]
fn a_tentacle_that_only_lives_is_not_waited_for() {
    const TICK: Duration = Duration::from_millis(20);
    const WAYS: [(&str, &[u8], &[u8], Duration); 7] = [
        ("ticks", b"", b"tick\n", TICK),
        ("ticks without a pause", b"", b"tick\n", Duration::ZERO),
        ("ticks that say more", b"", b"tick mood=good body=3\nabc", TICK),
        ("a tick of terabytes", b"tick body=9000000000000000000\n", &[b'x'; 2000], TICK),
        ("a line that drips", b"ok audit=", b"a", TICK),
        ("a list that drips", b"ok body=60000000\n", b"job\n", TICK),
        ("a list of what nobody knows", b"ok body=60000000\n", &[b'x'; 1000], TICK),
    ];
    std::thread::scope(|scope| {
        for (way, first, then, pause) in WAYS {
            scope.spawn(move || {
                let (octopus, _) = one_that(move |connection, _| {
                    let _ = next_request(connection);
                    let _ = say(connection, first);
                    again_and_again(connection, then, pause);
                });
                let verb = if way.contains("list") { "jobs" } else { "status" };
                let ended = ends(&octopus, LIMIT, &[verb]).code(69);
                let said = format!("{verb} is not answered within --limit 5s");
                let hint = contains("hint: --limit TIME waits longer");
                ended.stderr(contains("octo-push: web1: 127.0.0.1:").and(contains(said)).and(hint));
            });
        }
    });
}

/// What each verb asks, and how far the tentacle goes along before it only ticks.
#[test]
fn every_question_of_every_verb_ends() {
    const QUESTIONS: [(&[&str], usize, &str, i32); 12] = [
        (&["status"], 0, "status", 69),
        (&["scripts"], 0, "scripts", 69),
        (&["jobs"], 0, "jobs", 69),
        (&["get", JOB], 0, "get", 69),
        (&["get", JOB, "log"], 0, "get", 69),
        (&["cancel", JOB], 0, "cancel", 69),
        (&["put", "p"], 0, "put", 69),
        // Whether it would be accepted is asked before the package is put.
        (&["run", "-p", "p", "-c", "true"], 0, "run", 69),
        (&["run", "-p", "p", "-c", "true"], 1, "put", 69),
        // From here on it may run.
        (&["run", "-c", "true"], 0, "perhaps accepted, its end unknown: ", 79),
        (&["run", "-c", "true"], 1, "web1: accepted, its end unknown: ", 79),
        (&["follow", JOB], 0, "follow", 69),
    ];
    std::thread::scope(|scope| {
        for (verb, answered, said, code) in QUESTIONS {
            scope.spawn(move || {
                let (octopus, connections) = one_that(move |connection, _| {
                    for _ in 0..answered {
                        let _ = next_request(connection);
                        let _ = say(connection, b"ok\n");
                    }
                    let _ = next_request(connection);
                    again_and_again(connection, b"tick\n", Duration::from_millis(20));
                });
                let ended = ends(&octopus, LIMIT, verb).code(code);
                ended.stderr(contains(said).and(contains("not answered within --limit 5s")));
                assert_eq!(connections.count(), 1, "{verb:?}: a wait that is over begins no other");
            });
        }
    });
}

/// Each audit head is asked for; the question that never ends is one of many.
#[test]
fn a_tentacle_that_proves_nothing_is_not_waited_for() {
    let (octopus, _) = one_that(|connection, number| {
        let _ = next_request(connection);
        if number == 0 {
            let head = format!("ok audit=7:{}\n", "0f".repeat(32));
            let _ = say(connection, head.as_bytes());
            return;
        }
        again_and_again(connection, b"tick\n", Duration::from_millis(20));
    });
    octopus.push(&["-t", "web1", "run", "-D", "-c", "true"]).assert().success();
    ends(&octopus, LIMIT, &["audit"]).code(69).stderr(contains("audit is not answered"));
}

/// It takes the whole package, and is never done with it.
#[test]
fn a_package_that_is_never_stored_is_not_waited_for() {
    let (octopus, connections) = one_that(|connection, _| {
        let _ = next_request(connection);
        let _ = say(connection, b"ok offset=0\n");
        let _ = take_parts(connection, 7);
        again_and_again(connection, b"tick\n", Duration::from_millis(20));
    });
    let ended = ends(&octopus, LIMIT, &["put", "p"]).code(69);
    ended.stderr(contains("put is not answered within --limit 5s"));
    ends(&octopus, LIMIT, &["run", "-p", "p", "-c", "true"]).code(69);
    assert_eq!(connections.count(), 2);
}

/// It ticks while it is sent bytes, or speaks half a line, instead of taking them.
#[test]
fn what_is_said_while_bytes_are_sent_holds_up_nothing() {
    const LARGE: usize = 12 << 20;
    let put = |then: &'static [u8]| {
        let (octopus, _) = one_that(move |connection, _| {
            let _ = next_request(connection);
            let _ = say(connection, b"ok offset=0\n");
            let _ = say(connection, then);
            // It takes all of it behind a tick, and nothing behind half a line.
            if then.ends_with(b"\n") {
                let _ = take_parts(connection, LARGE as u64);
                let _ = say(connection, b"ok\n");
            }
            let _ = connection.read_message();
        });
        octopus.sandbox.write("large", vec![1; LARGE]);
        ends(&octopus, "20s", &["put", "large"])
    };
    put(b"tick\ntick body=3\nabctick\n").success();
    put(b"tick\nok\n").code(76).stderr(contains("an early ok"));
    put(b"tick\nno code=full reason=full\n").code(74);
}

/// One of three only ticks: the others are told, and so is what became of it.
#[test]
fn one_that_only_lives_keeps_nobody_else_waiting() {
    let (mut octopus, _) = one_that(|connection, _| {
        let _ = next_request(connection);
        again_and_again(connection, b"tick\n", Duration::from_millis(20));
    });
    let others = ["web2", "web3"].map(|name| octopus.tentacle(name, "web"));
    let arguments = ["-t", "web", "--limit", LIMIT, "status"];
    let ended = octopus.push(&arguments).timeout(PATIENCE).assert().code(69);
    let told = contains(format!("{}: version", others[0].name));
    ended.stdout(told.and(contains(format!("{}: version", others[1].name))));
}

/// A job is no question: it is followed beyond any that was answered.
#[test]
fn a_job_that_only_ticks_is_followed_as_long_as_it_is_said() {
    let (octopus, _) = one_that(|connection, number| {
        for _ in 0..2 {
            let _ = next_request(connection);
            let _ = say(connection, b"ok\n");
        }
        let mut ticks = 0;
        while (ticks < 100 || number > 0) && say(connection, b"tick\n").is_some() {
            ticks += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = say(connection, b"out body=4\nend\nend kind=exit code=5\n");
        let _ = connection.read_message();
    });
    ends(&octopus, "30s", &["run", "-c", "true"]).code(5).stdout("end\n");
    let ended = ends(&octopus, LIMIT, &["run", "-c", "true"]).code(79);
    ended.stderr(contains("not over within --limit 5s"));
}
