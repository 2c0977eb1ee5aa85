#![allow(clippy::unwrap_used)]
use super::entry::{BEGUN, Entry, LONGEST};
use super::file::Journal;
use super::labels::Labels;
use jiff::{SignedDuration, Timestamp};
use octo_core::base::digest::Digest;
use octo_core::base::names::JobId;
use octo_core::base::paths::Places;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::audit::Head;
use std::fs;
use std::path::Path;

const RUNS: [&str; 3] = [
    "20260101T000000-aaaaaaaaaaaaa",
    "20260102T000000-bbbbbbbbbbbbb",
    "20260103T000000-ccccccccccccc",
];

struct Scene {
    directory: tempfile::TempDir,
    journal: Journal,
}

fn scene() -> Scene {
    let directory = tempfile::tempdir().unwrap();
    Scene { journal: at(directory.path()), directory }
}

fn at(state: &Path) -> Journal {
    Journal::at(&Places { config: "/none".into(), state: state.into() })
}

fn head(seq: u64) -> Head {
    Head { seq, hash: Digest::of(&seq.to_be_bytes()) }
}

/// A line of one of the runs, so many seconds after the run's id says.
fn entry(run: usize, second: i64, target: &str, status: u8) -> Entry {
    let day: Timestamp = format!("2026-01-0{}T00:00:00Z", run + 1).parse().unwrap();
    let run = JobId::parse(RUNS[run]).unwrap();
    Entry {
        time: day + SignedDuration::from_secs(second),
        verb: "run".into(),
        job: Some(run.clone()),
        run,
        who: "alice@laptop".into(),
        target: target.into(),
        tentacle: Some(Thumbprint::of_certificate(target.as_bytes())),
        package: None,
        kind: "exit".into(),
        code: Some(status.into()),
        status: Some(status),
        audit: Some(head(second as u64 + 1)),
        audit_exec: Some(head(second as u64 + 101)),
        audit_fault: None,
        labels: Labels::default(),
    }
}

fn shown(entry: &Entry) -> String {
    let status = entry.status.map_or_else(|| "-".into(), |status| status.to_string());
    format!("{} {status}", entry.target)
}

/// The lines of a run, oldest first.
fn of(journal: &Journal, run: &str) -> Vec<String> {
    let mut found = Vec::new();
    journal.of(&JobId::parse(run).unwrap(), &mut |entry| found.push(shown(&entry))).unwrap();
    found.reverse();
    found
}

fn all(journal: &Journal) -> (Vec<String>, u64) {
    let mut found = Vec::new();
    let torn = journal.all(&mut |entry| {
        found.push(shown(&entry));
        true
    });
    (found, torn.unwrap())
}

#[test]
fn an_entry_comes_back_from_its_line_and_stays_on_it() {
    let mut entry = entry(0, 5, "web1", 3);
    entry.package = Some(Digest::of(b"x"));
    let labels = ["application=shop".to_string(), "note=a b\nc".into()];
    entry.labels = Labels::read(&labels).unwrap();
    entry.audit_fault = Some("the listener's audit log went backwards".into());
    let line = entry.encode();
    assert!(line.starts_with("2026-01-01T00:00:05Z run target=web1 kind=exit code=3 status=3 "));
    assert_eq!(Entry::parse(line.trim_end().as_bytes()), Some(entry.clone()));
    let later = format!("{} new=1", line.trim_end());
    assert_eq!(Entry::parse(later.as_bytes()), Some(entry.clone()));
    entry.who = "x y\n2026-01-01T00:00:00Z run \x1b[2J".into();
    (entry.job, entry.tentacle, entry.package) = (None, None, None);
    (entry.audit, entry.audit_exec) = (None, None);
    let line = entry.encode();
    assert!(line.trim_end().bytes().all(|b| (b' '..=b'~').contains(&b)) && line.ends_with('\n'));
    assert_eq!(Entry::parse(line.trim_end().as_bytes()), Some(entry.clone()));
    for cut in 0..line.len() - 1 {
        assert_eq!(Entry::parse(&line.as_bytes()[..cut.min(80)]), None, "{cut}");
    }
    entry.who = "\n".repeat(1 << 20);
    entry.labels = Labels::read(&[format!("a={}", "x".repeat(4000))]).unwrap();
    assert!(entry.encode().len() < LONGEST);
    // What is only begun has no code; all else without one is torn.
    (entry.who, entry.code, entry.status) = ("ann".into(), None, None);
    assert_eq!(Entry::parse(entry.encode().trim_end().as_bytes()), None);
    entry.kind = BEGUN.into();
    assert_eq!(Entry::parse(entry.encode().trim_end().as_bytes()), Some(entry));
}

#[test]
fn lines_are_found_by_run_and_by_job() {
    let scene = scene();
    let journal = &scene.journal;
    assert_eq!((all(journal), of(journal, RUNS[0])), ((vec![], 0), vec![]));
    assert_eq!(journal.last_run(&["run"], &|_| true).unwrap(), None);
    let begun = |run, target| Entry {
        kind: BEGUN.into(),
        code: None,
        status: None,
        ..entry(run, 0, target, 0)
    };
    journal.append([begun(0, "web1"), begun(0, "web2")]).unwrap();
    let retry = JobId::parse("20260101T000000-ddddddddddddd");
    journal
        .append([
            entry(0, 0, "web1", 0),
            entry(0, 1, "web2", 4),
            // Two runs at the same time, and one that is continued later.
            entry(1, 0, "web1", 0),
            entry(2, 0, "web1", 7),
            entry(1, 86400, "web2", 0),
            Entry { verb: "follow".into(), ..entry(0, 2 * 86400, "web3", 3) },
            Entry { job: retry.clone(), ..entry(0, 2 * 86400, "web2", 0) },
            Entry { verb: "status".into(), ..entry(2, 1, "web2", 0) },
        ])
        .unwrap();
    journal.sync().unwrap();
    assert_eq!(all(journal).0.len(), 10);
    let first = ["web1 -", "web2 -", "web1 0", "web2 4", "web3 3", "web2 0"];
    assert_eq!(of(journal, RUNS[0]), first);
    assert_eq!(of(journal, RUNS[1]), ["web1 0", "web2 0"]);
    assert_eq!(of(journal, retry.unwrap().as_str()), ["web2 0"]);
    let last = |verb: &str| journal.last_run(&[verb], &|_| true).unwrap();
    assert_eq!(last("run"), JobId::parse(RUNS[0]));
    assert_eq!(last("status"), JobId::parse(RUNS[2]));
    assert_eq!(last("put"), None);
    let mut first = None;
    journal
        .all(&mut |entry| {
            first = Some(entry);
            false
        })
        .unwrap();
    assert_eq!(first, Some(begun(0, "web1")));
}

#[test]
fn an_id_of_another_time_is_found_as_well() {
    let scene = scene();
    let journal = &scene.journal;
    let made_up = ["20200101T000000-aaaaaaaaaaaaa", "20990101T000000-aaaaaaaaaaaaa"];
    for id in made_up {
        let run = JobId::parse(id).unwrap();
        journal.append([Entry { job: Some(run.clone()), run, ..entry(0, 0, "web1", 0) }]).unwrap();
    }
    for second in 0..500 {
        journal.append([entry(2, second, "web2", 0)]).unwrap();
    }
    for id in made_up {
        assert_eq!(of(journal, id), ["web1 0"]);
    }
}

/// Of a new id, and of one that is known, the end is read and not years of lines: those
/// that stand in front of so many that are older are never come to.
#[test]
fn what_is_older_than_an_id_is_not_read() {
    let scene = scene();
    let journal = &scene.journal;
    let run = JobId::parse(RUNS[2]).unwrap();
    let missed = Entry { job: Some(run), ..entry(0, 0, "web3", 0) };
    let fill = |count: i64| {
        let old = (0..count).map(|second| entry(0, second, "x", 0).encode());
        let new = (0..500).map(|second| entry(2, second, "web2", 0).encode());
        // A clock that was wrong for a while.
        let wrong = entry(0, 1, "y", 0).encode();
        let late = entry(2, 3600, "web2", 0).encode();
        let lines = [missed.encode()].into_iter().chain(old).chain(new);
        let lines: String = lines.chain(std::iter::repeat_n(wrong, 200)).chain([late]).collect();
        fs::write(&journal.path, lines).unwrap();
    };
    fill(1000);
    assert_eq!(of(journal, RUNS[2]).len(), 501);
    assert_eq!(of(journal, "20260103T000000-aaaaaaaaaaaaa").len(), 0);
    fill(200);
    assert_eq!(of(journal, RUNS[2]).len(), 502);
    // Where an id was ahead of its lines, all of them are looked at.
    let ahead = JobId::parse("20260105T000000-aaaaaaaaaaaaa").unwrap();
    fill(1000);
    let line = Entry { run: ahead.clone(), job: None, ..entry(0, 5, "web1", 0) };
    journal.append([line]).unwrap();
    fill(1000);
    assert_eq!(of(journal, RUNS[2]).len(), 502);
}

#[test]
fn torn_and_alien_lines_are_counted_and_passed_over() {
    let scene = scene();
    let journal = &scene.journal;
    journal.append([entry(0, 0, "web1", 0)]).unwrap();
    let whole = fs::read(&journal.path).unwrap();
    let alien = [&b"\n\xff\xfe\n"[..], &vec![b'x'; 200_000], b"\n", &vec![0; 70_000]].concat();
    let torn = [&whole[..], &whole[..30], &alien, &whole[..50]].concat();
    fs::write(&journal.path, torn).unwrap();
    at(scene.directory.path()).append([entry(0, 1, "web2", 0)]).unwrap();
    assert_eq!(all(journal), (vec!["web1 0".to_string(), "web2 0".into()], 4));
    assert_eq!(of(journal, RUNS[0]), ["web1 0", "web2 0"]);
}

#[test]
fn many_at_once_write_whole_lines_through_a_rotation() {
    let scene = scene();
    let shared = &scene.journal;
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let state = scene.directory.path();
            scope.spawn(move || {
                let own = at(state);
                let journal = if thread % 2 == 0 { shared } else { &own };
                for second in 0..100 {
                    journal.append([entry(0, second, &format!("t{thread}"), 0)]).unwrap();
                }
            });
        }
        while !shared.path.exists() {
            std::thread::yield_now();
        }
        fs::rename(&shared.path, scene.directory.path().join("journal.1")).unwrap();
    });
    let old = fs::read(scene.directory.path().join("journal.1")).unwrap();
    let new = fs::read(&shared.path).unwrap_or_default();
    let lines = [old, new].concat();
    let lines: Vec<_> = lines.strip_suffix(b"\n").unwrap().split(|b| *b == b'\n').collect();
    assert_eq!(lines.len(), 800);
    assert!(lines.iter().all(|line| Entry::parse(line).is_some()));
}

#[test]
fn what_cannot_be_written_is_named() {
    let scene = scene();
    std::os::unix::fs::symlink("/dev/full", &scene.journal.path).unwrap();
    let error = scene.journal.append([entry(0, 0, "web1", 0)]).unwrap_err();
    assert!(error.message.ends_with("/journal: is a link"), "{error}");
}
