//! What one pusher may use up: packages, jobs, logs and artifacts count together, and
//! several at once take no more than one by one.

use crate::fleet::{Fleet, fleet_with};
use crate::listener::{Pusher, Side, Tentacle, job_id, own_user};
use crate::support::{SmallDisk, impossible, is_root, wait_for};
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use octo_wire::Message;
use std::path::Path;
use std::sync::{Barrier, Mutex};

const MEBIBYTE: u64 = 1 << 20;

/// The bytes of all files below, holes included.
fn below(directory: &Path) -> u64 {
    let Ok(entries) = directory.read_dir() else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => below(&entry.path()),
        other => other.map_or(0, |found| found.len()),
    };
    entries.flatten().map(size).sum()
}

fn jobs(fleet: &Fleet) -> u64 {
    below(&fleet.here.sandbox.state("jobs"))
}

/// Asks for a job that is over at once and of which so much is sent in this part.
fn run_of(pusher: &mut Pusher, id: &str, part: &str, size: usize) -> Message {
    let padding = vec![b'x'; size];
    let padded = String::from_utf8(padding.clone()).expect("UTF-8");
    let (spec, script) = match part {
        "spec" => (format!("command true%20{padded}\n"), vec![]),
        "script" => {
            let script = [b"#!/bin/sh\n#", &padding[..]].concat();
            (format!("script {} x\n", Digest::of(&script)), script)
        }
        "stdin" => {
            let input = [padding, id.as_bytes().to_vec()].concat();
            let spec = format!("command true\nstdin {} {}\n", Digest::of(&input), input.len());
            let (request, body) = pusher.request(id, &spec, b"", &input);
            // It stands where the secrets are.
            let request = format!("{request} stdin={}", input.len());
            return pusher.ask(&request, &body).expect("a reply");
        }
        _ => unreachable!("{part}"),
    };
    let (request, body) = pusher.request(id, &spec, &script, b"");
    pusher.ask(&request, &body).expect("a reply")
}

/// Each part on its own, so many times that they would take several times as much.
#[test]
fn specs_and_scripts_count_against_max_store() {
    // Of a job that is over the standard input is gone.
    for (part, size, more) in
        [("spec", 1_800_000, ""), ("script", 1_800_000, ""), ("stdin", 1_800_000, "hold")]
    {
        let options = format!("max-size=10M max-store=20M max-jobs=100 {more}");
        let fleet = fleet_with(&options, "");
        let mut pusher = fleet.ci();
        let mut taken = 0;
        for _ in 0..40 {
            let id = job_id();
            let reply = run_of(&mut pusher, &id, part, size);
            if reply.word() == "ok" {
                taken += 1;
                continue;
            }
            assert_eq!(reply.text("code"), Some("limit"), "{part}: {reply:?}");
            let reason = reply.text("reason").expect("a reason");
            for said in ["MiB on top of", "would pass max-store=20.0 MiB", "octo-exec prune"] {
                assert!(reason.contains(said), "{reason}");
            }
            assert!(!fleet.job(&id, "").exists());
        }
        // A command becomes a script, too.
        let most = if part == "spec" { 5 } else { 11 };
        assert!((most - 1..=most).contains(&taken), "{part}: {taken} taken");
        assert!(jobs(&fleet) <= 20 * MEBIBYTE, "{part}: {}", jobs(&fleet));
    }
}

#[test]
fn packages_and_jobs_share_a_bound_and_pruning_gives_room_back() {
    let fleet = fleet_with("max-size=10M max-store=5M", "max-store=5M");
    let mut pusher = fleet.ci();
    let package = vec![7; 3 << 20];
    assert_eq!(pusher.put(&package).word(), "ok");
    let (one, other) = (job_id(), job_id());
    assert_eq!(run_of(&mut pusher, &one, "script", 1_500_000).word(), "ok");
    assert_eq!(run_of(&mut pusher, &other, "script", 1_500_000).text("code"), Some("limit"));
    let put = format!("put sha256={} size=1500000 name=x", Digest::of(b"x"));
    assert_eq!(pusher.no(&put, b""), "limit");
    let ahead = "put size=1500000 name=x offset=0 body=1";
    assert_eq!(fleet.ci().no(ahead, b"x"), "limit");
    // What is there is attached to, and put again, for nothing.
    assert_eq!(pusher.put(&package).word(), "ok");
    assert_eq!(run_of(&mut pusher, &one, "script", 1_500_000).text("attached"), Some("yes"));
    // Another pusher has its own.
    assert_eq!(run_of(&mut fleet.cron(), &job_id(), "script", 1_500_000).word(), "ok");
    assert_eq!(pusher.follow(&one).code, 0);
    let mut prune = fleet.here.sandbox.tool("octo-exec");
    prune.args(["prune", "--older", "0s", "--keep", "0"]).assert().success();
    assert_eq!(run_of(&mut pusher, &other, "script", 1_500_000).word(), "ok");
    assert_eq!(pusher.put(&package).word(), "ok");
}

/// A job of a few bytes takes more of the disk than its bytes.
#[test]
fn a_crowd_of_small_jobs_is_bounded_as_well() {
    let fleet = fleet_with("max-store=1M", "");
    let mut pusher = fleet.ci();
    let mut taken = 0;
    while pusher.run(&job_id(), "true").word() == "ok" {
        taken += 1;
        assert!(taken < 30, "{taken} jobs");
    }
    assert!(taken >= 7, "{taken} jobs");
    // Small packages no less.
    let fleet = fleet_with("max-store=1M", "");
    let mut pusher = fleet.ci();
    for n in 0..=256_u32 {
        let put = format!("put sha256={} size=4 name=x", Digest::of(&n.to_be_bytes()));
        if n == 256 {
            assert_eq!(pusher.no(&put, b""), "limit");
        } else {
            pusher.put(&n.to_be_bytes());
        }
    }
}

#[test]
fn several_at_once_take_no_more_than_one_by_one() {
    let fleet = fleet_with("max-store=4M", "");
    let (start, words) = (Barrier::new(8), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let (fleet, start, words) = (&fleet, &start, &words);
            scope.spawn(move || {
                let mut pusher = fleet.ci();
                let package = vec![thread; 1_500_000];
                let put = format!("put sha256={} size=1500000 name=x", Digest::of(&package));
                start.wait();
                let reply = match thread % 2 {
                    0 => run_of(&mut pusher, &job_id(), "script", 1_500_000),
                    _ => pusher.ask(&put, b"").expect("a reply"),
                };
                // An upload that has begun holds its room until it ends.
                words.lock().expect("lock").push((reply, pusher));
            });
        }
    });
    let words = words.into_inner().expect("lock");
    let granted = words.iter().filter(|(reply, _)| reply.word() == "ok").count();
    // What a listener lets in octo-exec may still refuse; the rest is what counts.
    assert!((1..=3).contains(&granted), "{granted} granted");
    let packages = below(&fleet.here.sandbox.state("packages"));
    assert!(jobs(&fleet) + packages <= 4 * MEBIBYTE, "{} and {packages}", jobs(&fleet));
}

/// max-log permits each of them all of it: what they write meanwhile counts.
#[test]
fn running_jobs_print_no_more_than_is_left() {
    let fleet = fleet_with("max-store=3M max-log=1G", "");
    let mut pusher = fleet.ci();
    let ids = [job_id(), job_id(), job_id()];
    let go = fleet.here.sandbox.path("go");
    // None of them has printed anything when octo-exec has let the last one in.
    let command = format!(
        "while [ ! -e {} ]; do sleep 0.02; done; head -c 4000000 /dev/zero; echo done >&2; exit 7",
        go.display()
    );
    ids.iter().for_each(|id| assert_eq!(pusher.run(id, &command).word(), "ok"));
    wait_for("three jobs", || ids.iter().all(|id| fleet.job(id, "started").exists()));
    std::fs::write(&go, "").expect("write");
    let mut cut = 0;
    for id in &ids {
        let followed = pusher.follow(id);
        // How a script ends is its own, whatever became of its output.
        assert_eq!((followed.kind.as_str(), followed.code), ("exit", 7), "{followed:?}");
        let record = std::fs::read_to_string(fleet.job(id, "end")).expect("an end");
        cut += usize::from(record.contains("max-store") && record.contains("truncated"));
    }
    assert_eq!(cut, 3);
    let all = jobs(&fleet);
    assert!(all <= 3 * MEBIBYTE && all > 2 * MEBIBYTE, "{all}");
}

/// Put has asked for it before the first byte, and run must not take what it leaves.
#[test]
fn a_run_leaves_the_reserve_of_the_disk_alone() {
    let test = "a_run_leaves_the_reserve_of_the_disk_alone";
    if !is_root(test) {
        return;
    }
    let side = || Side::new(cargo_bin!("octo-listen"));
    let (here, ci) = (side(), side());
    let Some(disk) = SmallDisk::mount(&here.sandbox.state(""), "20m") else {
        return impossible(test, "can't mount a small tmpfs");
    };
    here.trust(&[(&ci, &format!("ci {}", own_user()))]);
    let tentacle = Tentacle::start(&here);
    let mut pusher = tentacle.connect(&ci).expect("trusted");
    // A twentieth is the reserve: there is room for this, and none beside the reserve.
    let filled = disk.fill_but(2_500_000);
    let id = job_id();
    let reply = run_of(&mut pusher, &id, "spec", 1_800_000);
    assert_eq!(reply.text("code"), Some("full"), "{reply:?}");
    let reason = reply.text("reason").expect("a reason");
    assert!(reason.contains(" is free, of which 1.0 MiB stays free"), "{reason}");
    assert!(!here.sandbox.state("jobs").join(&id).exists());
    std::fs::remove_file(filled).expect("remove");
    assert_eq!(run_of(&mut pusher, &id, "spec", 1_800_000).word(), "ok");
    assert_eq!(pusher.follow(&id).code, 0);
    // What a job prints leaves it alone, too.
    let filled = disk.fill_but(4_000_000);
    let id = job_id();
    assert_eq!(pusher.run(&id, "head -c 8000000 /dev/zero; exit 7").word(), "ok");
    let followed = pusher.follow(&id);
    assert_eq!(followed.code, 7);
    assert!(followed.reason.contains("stays free"), "{}", followed.reason);
    assert!(followed.out.len() < 3_000_000, "{}", followed.out.len());
    std::fs::remove_file(filled).expect("remove");
}
