//! The chain: what is written is found again, what was changed is named.
#![allow(clippy::unwrap_used)]

mod given;
mod packed;
mod tails;

use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

struct TestLog {
    directory: tempfile::TempDir,
    audit: Audit,
}

impl TestLog {
    /// A log of so many lines, the first of which is `begin`.
    fn of(lines: usize) -> TestLog {
        let directory = tempfile::tempdir().unwrap();
        let log = TestLog { audit: at(directory.path()), directory };
        for index in 1..lines {
            log.audit.append("request", &[("index", &index.to_string())]).unwrap();
        }
        log
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path()).unwrap();
        text.split_inclusive('\n').map(str::to_string).collect()
    }

    fn write(&self, lines: &[String]) {
        fs::write(self.path(), lines.concat()).unwrap();
    }

    /// What the check says, `LINE: reason` each, with the file's name where it
    /// isn't audit.log.
    fn faults(&self) -> Vec<String> {
        let found = self.audit.verify(&[]).unwrap();
        let told = |problem: &Problem| {
            let name = problem.path.file_name().unwrap().to_str().unwrap();
            match name {
                "audit.log" => format!("{}: {}", problem.line, problem.reason),
                _ => format!("{name}:{}: {}", problem.line, problem.reason),
            }
        };
        found.faults.iter().map(told).collect()
    }

    fn notes(&self) -> Vec<String> {
        let found = self.audit.verify(&[]).unwrap();
        assert_eq!(found.faults, vec![]);
        found.notes.iter().map(|note| format!("{}: {}", note.line, note.reason)).collect()
    }

    fn rotate(&self, name: &str) {
        fs::rename(self.path(), self.directory.path().join(name)).unwrap();
    }

    /// Another process, as far as the files can tell.
    fn other(&self) -> Audit {
        at(self.directory.path())
    }
}

fn at(state: &Path) -> Audit {
    Audit::of(Side::Executor, &Places { config: "/none".into(), state: state.into() })
}

#[track_caller]
fn one(faults: &[String], expected: &str) {
    assert!(faults.len() == 1 && faults[0].contains(expected), "{expected}: {faults:#?}");
}

#[test]
fn lines_are_chained_and_the_head_is_the_last() {
    let log = TestLog::of(1);
    assert_eq!(log.audit.head().unwrap(), None);
    let head = log.audit.append("job-end", &[("job", "x"), ("kind", "exit")]).unwrap();
    assert_eq!(head.seq, 2);
    assert_eq!(log.audit.head().unwrap(), Some(head));
    assert_eq!(log.other().head().unwrap(), Some(head));
    let next = log.other().append("status", &[]).unwrap();
    assert_eq!(log.audit.append("status", &[]).unwrap().seq, 4);
    for (head, expected) in [
        (head, None),
        (next, None),
        (Head { seq: 3, ..head }, Some("is not the line that number 3 was")),
        (Head { seq: 5, ..head }, Some("is the last line, but number 5 was written")),
    ] {
        let fault = match log.audit.proves(head).unwrap() {
            Proof::Fails(problem) => Some(problem.reason),
            proof => {
                assert_eq!(proof, Proof::Holds);
                None
            }
        };
        assert_eq!(fault.is_some(), expected.is_some());
        assert!(fault.unwrap_or_default().contains(expected.unwrap_or_default()));
    }
    let found = log.audit.verify(&[head, next]).unwrap();
    assert_eq!((found.lines, found.first, found.faults), (4, Some(1), vec![]));
    let lines = log.lines();
    assert!(lines[1].starts_with("2 20") && lines[1].contains("Z job-end job=x kind=exit "));
    assert_eq!(log.path().metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    for reserved in ["begin", "torn", "cut"] {
        assert!(log.audit.append(reserved, &[]).is_err());
    }
}

#[test]
fn no_value_makes_a_second_line_or_drives_a_terminal() {
    let log = TestLog::of(1);
    let evil = "x\n2 2026-01-01T00:00:00.000Z begin \u{9b}\x1b[2J=\u{202e} %";
    log.audit.append("refused", &[("by", evil), ("empty", "")]).unwrap();
    log.audit.append("refused", &[("by", &"\n".repeat(1 << 20))]).unwrap();
    let lines = log.lines();
    assert_eq!(lines.len(), 3);
    assert!(lines.concat().bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
    assert!(lines[2].len() < 2048 && lines[2].contains("%0A... "));
    assert_eq!(log.faults(), Vec::<String>::new());
}

#[test]
fn an_edit_is_named() {
    let log = TestLog::of(8);
    let whole = log.lines();
    for victim in 0..8 {
        let mut lines = whole.clone();
        lines[victim] = match victim {
            0 => lines[0].replace("Z begin", "Z start"),
            _ => lines[victim].replace("index=", "index=9"),
        };
        log.write(&lines);
        let faults = log.faults();
        assert!(faults[0].starts_with(&format!("{}: ", victim + 1)), "{victim}: {faults:#?}");
        assert!(victim == 0 || faults.len() == 1, "{victim}: {faults:#?}");
        // One bit of the hash itself.
        let mut lines = whole.clone();
        let at = lines[victim].len() - 2;
        let other = if lines[victim].as_bytes()[at] == b'0' { "1" } else { "0" };
        lines[victim].replace_range(at..=at, other);
        log.write(&lines);
        assert!(!log.faults().is_empty(), "{victim}");
        // A line that is none any more.
        let mut lines = whole.clone();
        lines[victim] = "oops\n".into();
        log.write(&lines);
        let faults = log.faults();
        assert!(faults[0].starts_with(&format!("{}: ", victim + 1)), "{victim}: {faults:#?}");
    }
}

#[test]
fn a_line_edited_with_its_hash_shows_in_the_next() {
    let log = TestLog::of(5);
    let mut lines = log.lines();
    let text = lines[2].replace("index=", "index=9");
    let before = Head::parse(&format!("2:{}", lines[1].trim_end().rsplit(' ').next().unwrap()));
    let body = text.trim_end().rsplit_once(' ').unwrap().0;
    let hash = line::hash(before.unwrap().hash, body.as_bytes());
    lines[2] = format!("{body} {hash}\n");
    log.write(&lines);
    one(&log.faults(), "4: was edited, or put in place of another");
}

#[test]
fn removed_inserted_and_moved_lines_are_named() {
    let log = TestLog::of(9);
    let whole = log.lines();
    let check = |lines: Vec<String>, expected: &str| {
        log.write(&lines);
        one(&log.faults(), expected);
    };
    for victim in 1..8 {
        let mut lines = whole.clone();
        lines.remove(victim);
        let expected =
            format!("{}: number {} before this line are missing", victim + 1, victim + 1);
        check(lines, &expected);
    }
    let mut lines = whole.clone();
    lines.drain(2..5);
    check(lines, "3: numbers 3 to 5 before this line are missing");
    let mut lines = whole.clone();
    lines.swap(3, 4);
    check(lines, "4: is out of order: number 5 belongs before the line of number 6");
    let mut lines = whole.clone();
    lines.insert(6, whole[2].clone());
    check(lines, "7: was inserted or moved here: it is number 3, behind 6");
    let mut lines = whole.clone();
    lines.insert(3, whole[3].replace("index", "other"));
    check(lines, "4: was edited, or put in place of another");
    let mut lines = whole.clone();
    lines.insert(3, "\n".into());
    check(lines, "4: is no line of an audit log");
    log.write(&whole[1..]);
    one(&log.faults(), "1: is the first line, but lines before it are missing");
}

#[test]
fn what_is_no_log_is_never_written_to() {
    let log = TestLog::of(3);
    let said = |audit: &Audit| audit.append("e", &[]).unwrap_err();
    let place = log.path();
    let elsewhere = log.directory.path().join("elsewhere");
    fs::rename(&place, &elsewhere).unwrap();
    let check = |expected: &str| {
        let error = said(&log.other());
        assert!(error.message.contains(expected), "{expected}: {error}");
        assert!(error.message.starts_with(place.to_str().unwrap()), "{error}");
        if place.is_dir() {
            fs::remove_dir(&place).unwrap();
        } else {
            fs::remove_file(&place).unwrap();
        }
    };
    symlink("/dev/full", &place).unwrap();
    check("is a link");
    fs::hard_link(&elsewhere, &place).unwrap();
    check("second name");
    fs::create_dir(&place).unwrap();
    check("is a directory");
    fs::write(&place, "x".repeat(1 << 20)).unwrap();
    check("its end is not that of an audit log");
    fs::copy(&elsewhere, &place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o666)).unwrap();
    check("writable by others");
    rustix::fs::mkfifoat(rustix::fs::CWD, &place, 0o600.into()).unwrap();
    check("not a regular file");
}

#[test]
fn threads_and_rotations_at_once_keep_one_chain() {
    let log = TestLog::of(1);
    let shared = Arc::new(log.other());
    let heads: Vec<Head> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                // Half of them share one handle, half have their own.
                let audit = if thread % 2 == 0 { shared.clone() } else { Arc::new(log.other()) };
                scope.spawn(move || {
                    let append = |i: usize| audit.append("e", &[("i", &i.to_string())]).unwrap();
                    (0..40).map(append).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut rotations = 0;
        while !threads.iter().all(|thread| thread.is_finished()) {
            if fs::metadata(log.path()).is_ok_and(|m| m.len() > 2000) {
                log.rotate(&format!("audit.log.{rotations}"));
                rotations += 1;
            }
        }
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let found = log.audit.verify(&heads).unwrap();
    assert_eq!(found.faults, vec![]);
    assert!(found.lines > 8 * 40, "{}", found.lines);
    let mut numbers: Vec<_> = heads.iter().map(|head| head.seq).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 8 * 40);
}

#[test]
fn no_flipped_bit_passes_and_no_garbage_panics() {
    let log = TestLog::of(6);
    let whole = fs::read(log.path()).unwrap();
    for at in 0..whole.len() {
        for bit in [0, 5, 7] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(log.path(), bytes).unwrap();
            assert!(!log.faults().is_empty(), "byte {at}, bit {bit}");
        }
    }
    for junk in [&[b'x'; 1 << 20][..], &[0; 70_000], &[b'\n'; 70_000], b"1 t e ", &[0xff; 9]] {
        for place in [0, whole.len() / 2, whole.len()] {
            let bytes = [&whole[..place], junk, &whole[place..]].concat();
            fs::write(log.path(), &bytes).unwrap();
            let found = log.audit.verify(&[]).unwrap();
            assert!(!found.faults.is_empty() || !found.notes.is_empty());
            assert!(found.faults.len() <= 100);
        }
    }
}

/// A line of any length is one fault, and what stands behind it is read.
#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let log = TestLog::of(6);
    let lines = log.lines();
    let whole = log.audit.verify(&[]).unwrap();
    for length in [64 * 1024, 1 << 20] {
        let junk = "x".repeat(length) + "\n";
        for place in 0..=lines.len() {
            let mut with_junk = lines.clone();
            with_junk.insert(place, junk.clone());
            log.write(&with_junk);
            let found = log.audit.verify(&[]).unwrap();
            let told = found.faults.iter().map(|fault| fault.line).collect::<Vec<_>>();
            assert_eq!(told, [place + 1]);
            assert_eq!((found.lines, found.head), (whole.lines, whole.head));
        }
    }
}
