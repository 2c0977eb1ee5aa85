//! Connections that break again and again: without a gain pauses grow, and it ends.

use super::played::{Played, next_request, one_that, one_that_is_cut, say, take_parts};
use crate::fault_proxy::{FaultProxy, Faults, Plan};
use crate::support::PATIENCE;
use crate::tentacle::Octopus;
use assert_cmd::cargo::cargo_bin;
use octo_wire::Message;
use predicates::str::contains;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Within `-w 4` five tries or six gain nothing. Three more may follow a gain: the package,
/// the job, a longer wait.
const MANY: usize = 9;

/// What a tentacle says to each verb before it breaks off, on every connection the same.
#[derive(Clone, Copy, Default)]
struct Part {
    put: Option<&'static str>,
    run: Option<&'static str>,
    follow: Option<&'static str>,
}

impl Part {
    fn plays(self, connection: &mut Played) {
        while let Some(request) = next_request(connection) {
            let words = match request.word() {
                "put" => self.put,
                // A question is no request to run.
                "run" if request.text("size").is_some() => Some("ok\n"),
                "run" => self.run,
                _ => self.follow,
            };
            let Some(words) = words else { return };
            let _ = say(connection, words.as_bytes());
            if words == TAKEN {
                let _ = take_parts(connection, 7);
                let _ = say(connection, b"ok\n");
            } else if words.contains("offset") || request.word() == "follow" {
                return;
            }
        }
    }
}

const TAKEN: &str = "ok offset=0\n";

#[test]
fn an_ok_that_comes_again_gains_nothing() {
    let ok = Some("ok\n");
    let parts = [
        ("nothing", Part::default(), 69),
        ("an offset", Part { put: Some("ok offset=3\n"), ..Part::default() }, 69),
        ("put: it is there", Part { put: ok, ..Part::default() }, 79),
        ("put: it came", Part { put: Some(TAKEN), ..Part::default() }, 79),
        ("run", Part { put: ok, run: ok, ..Part::default() }, 79),
        ("follow", Part { put: ok, run: ok, follow: ok }, 79),
        (
            "a state",
            Part { put: ok, run: ok, follow: Some("ok\nstate is=running\ntick\nout body=0\n") },
            79,
        ),
    ];
    std::thread::scope(|scope| {
        for (what, part, code) in parts {
            scope.spawn(move || {
                let (octopus, connections) = one_that(move |connection, _| part.plays(connection));
                let run = ["-t", "web1", "-w", "4", "run", "-p", "p", "-c", "true"];
                let ended = octopus.push(&run).timeout(PATIENCE).assert();
                let ended = ended.stderr(contains("the connection broke off"));
                assert_eq!(ended.get_output().status.code(), Some(code), "{what}");
                let count = connections.count();
                assert!((2..=MANY).contains(&count), "{what}: {count} connections");
            });
        }
    });
}

/// It takes a byte more each time, of a package that is long.
#[test]
fn a_package_that_grows_by_a_byte_gains_nothing() {
    let taken = AtomicUsize::new(0);
    let (octopus, connections) = one_that(move |connection, _| {
        let _ = next_request(connection);
        let offset = taken.fetch_add(1, Ordering::SeqCst);
        let _ = say(connection, format!("ok offset={offset}\n").as_bytes());
    });
    octopus.sandbox.write("large", vec![1; 1 << 20]);
    let put = ["-t", "web1", "-w", "4", "put", "large"];
    octopus.push(&put).timeout(PATIENCE).assert().code(69);
    assert!(connections.count() <= MANY, "{} connections", connections.count());
}

fn offset_of(request: &Message) -> usize {
    request.number("offset").expect("a number").expect("an offset") as usize
}

/// Each connection brings something and breaks: together they take longer than contact may
/// be lost.
#[test]
fn who_gains_a_little_each_time_comes_to_the_end() {
    const OUTPUT: &str = "one\ntwo\nthree\n";
    let (octopus, connections) = one_that(|connection, _| {
        while let Some(request) = next_request(connection) {
            let _ = say(connection, b"ok\n");
            if request.word() != "follow" {
                continue;
            }
            let Some(more) = OUTPUT[offset_of(&request)..].get(..2) else { break };
            let _ = say(connection, format!("out body=2\n{more}").as_bytes());
            return;
        }
        let _ = say(connection, b"end kind=exit code=3\n");
        let _ = connection.read_message();
    });
    let run = ["-t", "web1", "-w", "3", "run", "-c", "true"];
    octopus.push(&run).timeout(PATIENCE).assert().code(3).stdout(OUTPUT);
    assert_eq!(connections.count(), OUTPUT.len() / 2 + 1);
}

/// Of several files those that came are not fetched again.
#[test]
fn files_that_came_before_a_break_are_not_asked_for_again() {
    let (octopus, connections) = one_that(|connection, _| {
        let Some(request) = next_request(connection) else { return };
        let _ = say(connection, b"ok body=4\n");
        let _ = say(connection, request.text("artifact").expect("a name").as_bytes());
        // Breaks off instead of the next.
        let _ = next_request(connection);
    });
    let job = "20260101T000000-abcdefghijklm";
    let get = ["-t", "web1", "-w", "4", "get", job, "one1", "two2", "six6"];
    octopus.push(&get).timeout(PATIENCE).assert().success();
    for name in ["one1", "two2", "six6"] {
        let path = octopus.sandbox.path(name);
        assert_eq!(std::fs::read_to_string(path).expect("it came"), name);
    }
    assert_eq!(connections.count(), 3);
}

/// A flood may cost a newcomer its place: before it has shaken hands, or within.
#[test]
fn a_first_handshake_that_is_cut_is_tried_again() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let proxy = FaultProxy::start(&web1.address);
    let address = proxy.address.to_string();
    octopus.set_targets(&format!("{}\n", web1.line_at(&address, "web")));
    let thumbprint = ["plumb", "thumbprint", "web1", &address];
    for verb in [&["-t", "web1", "status"][..], &["-t", "web1", "run", "-c", "true"], &thumbprint] {
        let before = proxy.accepted();
        for cut in [0, 100] {
            let down = Faults { cut_at: Some(cut), ..Faults::default() };
            proxy.next(Plan { down, ..Plan::default() });
        }
        octopus.push(verb).timeout(PATIENCE).assert().success();
        assert_eq!(proxy.accepted() - before, 3, "{verb:?}");
    }
}

/// One that never shakes hands is tried as long as was said, and not often.
#[test]
fn handshakes_that_are_always_cut_come_to_an_end() {
    for unread in [false, true] {
        let (octopus, connections) = one_that_is_cut(move |stream, _, _| {
            if !unread {
                // Closed with nothing in it, it ends; else it is reset.
                let _ = stream.set_nonblocking(false);
                let _ = std::io::Read::read(&mut &stream, &mut [0; 4096]);
            }
        });
        let status = octopus.push(&["-t", "web1", "-w", "4", "status"]).timeout(PATIENCE).assert();
        status.code(69).stderr(contains("the connection broke off"));
        assert!((2..=MANY).contains(&connections.count()), "{} tries", connections.count());
    }
}

#[test]
fn one_that_is_another_is_not_tried_again() {
    let (mut octopus, connections) = one_that(|_, _| ());
    let targets = std::fs::read_to_string(octopus.sandbox.config("targets")).expect("targets");
    let thumbprint = targets.split_whitespace().nth(2).expect("a thumbprint");
    octopus.set_targets(&targets.replace(thumbprint, &"0".repeat(64)));
    let refused = octopus.push(&["-t", "web1", "status"]).timeout(PATIENCE).assert();
    refused.code(77).stderr(contains("another thumbprint"));
    assert_eq!(connections.count(), 1);
}
