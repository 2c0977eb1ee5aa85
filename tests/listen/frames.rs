//! The script of a run as one frame, as it should be and as a hostile pusher sends it: what is
//! not of the form is refused, harms nothing, and the next one runs.

use crate::fleet::{fleet, fleet_with};
use crate::listener::{Pusher, job_id};
use crate::parts::frame;
use crate::support::random::Random;
use crate::support::{peak_of, wait_for};
use octo_core::Digest;
use octo_core::patch::longest_frame;
use octo_core::tentacle::statement::Asks;
use octo_wire::Message;
use rustix::process::Pid;

fn spec_of(script: &[u8]) -> String {
    format!("script {} s.sh\n", Digest::of(script))
}

/// The line and the body of a run of this spec, whose script is announced by these keys and
/// comes as these bytes.
fn request(pusher: &Pusher, id: &str, spec: &str, keys: &str, came: &[u8]) -> (String, Vec<u8>) {
    let statement = pusher.statement(id, Asks::Request(Digest::of(spec.as_bytes())));
    let (signed, front) = pusher.signed(&statement);
    let body = [&front, spec.as_bytes(), came].concat();
    let (spec, length) = (spec.len(), body.len());
    (format!("run job={id} {signed} spec={spec} {keys} body={length}"), body)
}

fn ask(pusher: &mut Pusher, id: &str, spec: &str, keys: &str, came: &[u8]) -> Message {
    let (line, body) = request(pusher, id, spec, keys, came);
    pusher.ask(&line, &body).expect(keys)
}

fn announced(script: &[u8], frame: &[u8]) -> String {
    format!("script={} frame={}", script.len(), frame.len())
}

/// A frame of 5000 times `x`, by hand: descriptor, what it announces, and one block.
fn by_hand(descriptor: u8, announced: &[u8]) -> Vec<u8> {
    let block = (5000_u32 << 3 | 0b011).to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd, descriptor], announced, &block[..3], b"x"].concat()
}

/// The exponent of a window, as its byte.
fn window(exponent: u8) -> [u8; 1] {
    [(exponent - 10) << 3]
}

#[test]
fn a_script_that_comes_as_a_frame_is_the_script() {
    let fleet = fleet();
    let script = ["#!/bin/sh\necho ran\n", &"# a comment\n".repeat(20_000)].concat().into_bytes();
    let (spec, came) = (spec_of(&script), frame(b"", &script));
    assert!(script.len() > 200_000 && came.len() < 500, "{}", came.len());
    let (mut pusher, id) = (fleet.ci(), job_id());
    let reply = ask(&mut pusher, &id, &spec, &announced(&script, &came), &came);
    assert_eq!(reply.word(), "ok", "{reply:?}");
    assert_eq!(pusher.follow(&id).out, b"ran\n");
    assert!(std::fs::read(fleet.job(&id, "script")).expect("the script") == script);
    // Asked again as it is, it is the same job.
    let again = ask(&mut pusher, &id, &spec, &format!("script={}", script.len()), &script);
    assert_eq!(again.text("attached"), Some("yes"), "{again:?}");
}

/// What it is makes it large, not what it takes on the wire.
#[test]
fn a_script_is_judged_by_its_own_length() {
    let fleet = fleet_with("max-size=100000", "");
    let script = vec![b'\n'; 200_000];
    let came = frame(b"", &script);
    assert!(came.len() < 100, "{}", came.len());
    let keys = announced(&script, &came);
    let reply = ask(&mut fleet.ci(), &job_id(), &spec_of(&script), &keys, &came);
    assert_eq!(reply.text("code"), Some("limit"), "{reply:?}");
}

#[test]
fn a_frame_that_is_not_of_the_form_is_malformed_and_the_next_one_runs() {
    let fleet = fleet();
    let script = vec![b'x'; 5000];
    let spec = spec_of(&script);
    let good = frame(b"", &script);
    let large = frame(b"", &vec![0; 8 << 20]);
    let size = 5000_u64.to_le_bytes();
    let twice = [&good[..], &good].concat();
    let behind = [&good[..], b"x"].concat();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"abcd"].concat();
    let sums = [&by_hand(0xc4, &[&window(20)[..], &size].concat())[..], b"sum!"].concat();
    let with_dictionary = by_hand(0xc1, &[&window(20)[..], &[7], &size].concat());
    let framed = |script: usize, came: &[u8]| format!("script={script} frame={}", came.len());
    let mut cases = vec![
        (framed(5000, &twice), twice.clone(), "exactly one"),
        (framed(5000, &behind), behind.clone(), "exactly one"),
        (framed(5000, &by_hand(0, &window(20))), by_hand(0, &window(20)), "does not state"),
        (framed(4999, &good), good.clone(), "does not state"),
        (framed(5001, &good), good.clone(), "does not state"),
        (framed(5000, &large), large.clone(), "does not state"),
        (framed(4, &skippable), skippable.clone(), "does not state"),
        (framed(5000, &script), script.clone(), "does not state"),
        (framed(5000, &with_dictionary), with_dictionary, "wants a dictionary"),
        (framed(5000, &sums), sums, "damaged"),
        // Of nothing, and nothing.
        (framed(0, &good), good.clone(), "size that it may"),
        (framed(0, b""), Vec::new(), "size that it may"),
        (framed(5000, b""), Vec::new(), "does not state"),
        (format!("frame={}", good.len()), good.clone(), "size that it may"),
        // Lengths that don't add up, before a byte of the body is looked at.
        (format!("script=5000 frame={}", good.len() + 1), good.clone(), "longer than body"),
        (format!("script=5000 frame={}", i64::MAX), good.clone(), "longer than body"),
        (
            framed(10, &vec![0; longest_frame(10) + 1]),
            vec![0; longest_frame(10) + 1],
            "does not come",
        ),
        (framed((8 << 20) + 1, &large), large.clone(), "does not come"),
    ];
    cases.extend((1..good.len()).map(|cut| {
        let cut = good[..cut].to_vec();
        (framed(5000, &cut), cut, "the script: ")
    }));
    for (keys, came, said) in &cases {
        let mut pusher = fleet.ci();
        let reply = ask(&mut pusher, &job_id(), &spec, keys, came);
        assert_eq!(reply.text("code"), Some("malformed"), "{keys}: {reply:?}");
        let reason = reply.text("reason").unwrap_or_default();
        assert!(reason.contains(said), "{keys}: {reason}");
        assert!(matches!(pusher.connection.read_message(), Ok(None)), "{keys}");
    }
    let (id, keys) = (job_id(), announced(&script, &good));
    assert_eq!(ask(&mut fleet.ci(), &id, &spec, &keys, &good).word(), "ok");
    fleet.ci().follow(&id);
    assert_eq!(fleet.ci().list("jobs").len(), 1);
}

#[test]
fn a_frame_is_that_of_its_spec_whatever_window_it_states() {
    let fleet = fleet();
    let script = vec![b'x'; 5000];
    let (spec, good) = (spec_of(&script), frame(b"", &script));
    let large = frame(b"", &vec![0; 8 << 20]);
    // Larger than any script, of another spec, of no script.
    for (keys, spec, came, code) in [
        (format!("script=17000000 frame={}", good.len()), &spec, &good, "limit"),
        (announced(&script, &good), &spec_of(b"other"), &good, "mismatch"),
        (format!("script={} frame={}", 8 << 20, large.len()), &spec, &large, "mismatch"),
        (announced(&script, &good), &"name x\n".into(), &good, "mismatch"),
    ] {
        let reply = ask(&mut fleet.ci(), &job_id(), spec, &keys, came);
        assert_eq!(reply.text("code"), Some(code), "{keys}: {reply:?}");
    }
    let question = format!("run job={} size=9 frame=1 body=9", job_id());
    assert_eq!(fleet.ci().no(&question, b""), "malformed");
    // A window of a gigabyte, which nobody makes.
    let size = 5000_u64.to_le_bytes();
    for came in [&good, &by_hand(0xc0, &[&window(30)[..], &size].concat())] {
        let id = job_id();
        let reply = ask(&mut fleet.ci(), &id, &spec, &announced(&script, came), came);
        assert_eq!(reply.word(), "ok", "{reply:?}");
        assert_eq!(fleet.ci().follow(&id).kind, "exit");
        assert!(std::fs::read(fleet.job(&id, "script")).expect("the script") == script);
    }
}

/// A few hundred bytes make 8 MiB, or announce a window of two gigabytes: of all who send such
/// at once few are served at once.
#[test]
fn frames_that_make_much_take_little_memory() {
    let fleet = fleet();
    let (many, spec) = (frame(b"", &vec![0; 8 << 20]), spec_of(b"other"));
    let size = 5000_u64.to_le_bytes();
    let wide = by_hand(0xc0, &[&window(31)[..], &size].concat());
    let listener = fleet.tentacle.pid();
    let peak = || peak_of(listener).expect("VmHWM");
    fleet.ci().yes("status", b"");
    let before = peak();
    let requests: Vec<_> = (0..12)
        .map(|number| {
            let (size, came) = if number % 4 == 3 { (5000, &wide) } else { (8 << 20, &many) };
            let pusher = fleet.ci();
            let keys = format!("script={size} frame={}", came.len());
            let (line, body) = request(&pusher, &job_id(), &spec, &keys, came);
            (pusher, line, body)
        })
        .collect();
    std::thread::scope(|scope| {
        for (mut pusher, line, body) in requests {
            scope.spawn(move || assert_eq!(pusher.no(&line, &body), "mismatch"));
        }
    });
    assert!(peak() < before + (44 << 10), "{before} {}", peak());
    // What can't be compressed is no larger in memory than it was.
    let noise = Random(4).bytes(8 << 20);
    let came = frame(b"", &noise);
    let reply = ask(&mut fleet.ci(), &job_id(), &spec, &announced(&noise, &came), &came);
    assert_eq!(reply.text("code"), Some("mismatch"), "{reply:?}");
}

/// Nor where they are what they are said to be, however long the store keeps them waiting; and of
/// small ones, which need no turn, each takes what it is.
#[test]
fn scripts_that_are_accepted_take_little_memory_too() {
    let fleet = fleet();
    let listener = fleet.tentacle.pid();
    fleet.ci().yes("status", b"");
    let data = || memory_of(listener, "VmData:");
    let before = (peak_of(listener).expect("VmHWM"), data());
    let path = fleet.packages(".lock");
    let lock = std::fs::File::options().append(true).create(true).open(&path);
    let lock = lock.expect("the lock of the store");
    let waiting = || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", listener.as_raw_pid()));
        let files = open.expect("its files").flatten();
        files.filter(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == path)).count()
    };
    for (size, at_once) in [(100_000, 8), (8 << 20, 4)] {
        lock.lock().expect("locked");
        let script = vec![b'\n'; size];
        let (came, spec) = (frame(b"", &script), spec_of(&script));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let mut pusher = fleet.ci();
                let keys = announced(&script, &came);
                let (line, body) = request(&pusher, &job_id(), &spec, &keys, &came);
                scope.spawn(move || pusher.yes(&line, &body));
            }
            wait_for("all who have a turn", || waiting() >= at_once);
            // Long enough for others, were they let in.
            (0..50).for_each(|_| drop(fleet.ci().yes("status", b"")));
            let (waiting, taken) = (waiting(), data() - before.1);
            lock.unlock().expect("unlocked");
            assert_eq!(waiting, at_once);
            assert!(taken < if size > 1 << 20 { 200 << 10 } else { 64 << 10 }, "{size}: {taken}");
        });
    }
    let peak = peak_of(listener).expect("VmHWM");
    assert!(peak < before.0 + (44 << 10), "{} {peak}", before.0);
}

/// So many KiB of this kind.
fn memory_of(process: Pid, kind: &str) -> u64 {
    let status = format!("/proc/{}/status", process.as_raw_pid());
    let said = std::fs::read_to_string(status).expect("its status");
    let line = said.lines().find_map(|line| line.strip_prefix(kind)).expect(kind);
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
