//! Lines that are handed out, and copies that are made of them.

use super::packed::{pack, pack_shut};
use super::*;

/// All lines from a number on, asked for in pieces, and how many replies that took.
fn all(log: &TestLog, from: u64, most: usize) -> (String, usize) {
    let (mut text, mut replies) = (String::new(), 0);
    let mut lines = log.audit.lines(from).unwrap();
    loop {
        let given = lines.give(most).unwrap();
        assert!(
            given.bytes.len() <= most || given.bytes.iter().filter(|b| **b == b'\n').count() == 1
        );
        text.push_str(&String::from_utf8(given.bytes).unwrap());
        replies += 1;
        if !given.more {
            return (text, replies);
        }
    }
}

#[test]
fn lines_come_whole_from_any_number_on_through_all_files() {
    let log = TestLog::of(8);
    let mut whole = log.lines();
    for (name, program) in [("audit.log.2", "gzip"), ("audit.log.1", "")] {
        log.rotate(name);
        if !program.is_empty() {
            pack(&log, name, program);
        }
        for _ in 0..7 {
            log.audit.append("request", &[("index", "x")]).unwrap();
        }
        whole.extend(log.lines());
    }
    assert_eq!(whole.len(), 24);
    for from in 1..=25 {
        for most in [1, 500, 1 << 20] {
            let (text, replies) = all(&log, from, most);
            assert_eq!(text, whole[from as usize - 1..].concat(), "{from} {most}");
            assert!(most > 1 || replies + from as usize >= 24, "{from}: {replies}");
        }
    }
    // The oldest are gone: it begins with what is there.
    fs::remove_file(log.directory.path().join("audit.log.2.gz")).unwrap();
    assert_eq!(all(&log, 3, 500).0, whole[8..].concat());
}

/// Such a line may be taken back, where the disk is full, and another has its number then.
#[test]
fn a_line_that_is_not_on_the_disk_is_not_handed_out() {
    let log = TestLog::of(4);
    let head = log.directory.path().join("audit.head");
    let noted = fs::read(&head).unwrap();
    log.audit.append("request", &[]).unwrap();
    fs::write(&head, noted).unwrap();
    assert_eq!(all(&log, 1, 1 << 20).0, log.lines()[..4].concat());
    assert_eq!(all(&log, 5, 1 << 20).0, "");
}

#[test]
fn lines_behind_a_file_that_cannot_be_seen_are_not_told_as_the_next() {
    let log = TestLog::of(3);
    log.rotate("audit.log.2");
    log.audit.append("request", &[]).unwrap();
    log.rotate("audit.log.1");
    log.audit.append("request", &[]).unwrap();
    if !pack_shut(&log, "audit.log.1") {
        return;
    }
    let mut lines = log.audit.lines(2).unwrap();
    let given = lines.give(1 << 20).unwrap();
    assert!(given.more && given.bytes.starts_with(b"2 ") && lines.next_number() == 4);
    let error = lines.give(1 << 20).unwrap_err();
    assert_eq!(error.exit, Exit::Unavailable);
    assert!(error.message.starts_with("line 4: audit.log.1.zst: is not looked at: zstd: "));
    assert!(log.audit.lines(4).unwrap().give(100).is_err());
    assert_eq!(all(&log, 6, 1 << 20).0, log.lines().concat());
}

/// Whatever a crash left in the log is in the copy, and both are whole.
#[test]
fn a_copy_is_the_same_log_wherever_a_crash_tore_it() {
    let log = TestLog::of(3);
    let mut text = fs::read(log.path()).unwrap();
    text.extend_from_slice(&[0; 300]);
    text.extend_from_slice(b"end\n");
    fs::write(log.path(), &text).unwrap();
    log.other().append("after", &[]).unwrap();
    fs::write(log.path(), [&fs::read(log.path()).unwrap()[..], b"5 2026"].concat()).unwrap();
    log.other().append("after", &[]).unwrap();
    let path = log.directory.path().join("copies/web1/exec.log");
    for most in [1, 1 << 20] {
        let mut copy = AuditCopy::open(&path).unwrap();
        let mut lines = log.audit.lines(1).unwrap();
        loop {
            let given = lines.give(most).unwrap();
            assert_eq!(copy.add(&given.bytes, &[]).unwrap().1, None);
            if !given.more {
                break;
            }
        }
        assert_eq!(copy.end(), log.audit.head().unwrap());
        assert_eq!(fs::read(&path).unwrap(), fs::read(log.path()).unwrap());
        assert_eq!(verify_files(std::slice::from_ref(&path), &[]).unwrap().faults, vec![]);
        fs::remove_file(&path).unwrap();
    }
}

/// At whatever byte it broke off: what is whole stays, and the rest comes again.
#[test]
fn a_copy_that_was_torn_goes_on_behind_its_last_whole_line() {
    let log = TestLog::of(5);
    let whole = fs::read(log.path()).unwrap();
    let path = log.directory.path().join("copy");
    for cut in (0..=whole.len()).step_by(7) {
        fs::write(&path, &whole[..cut]).unwrap();
        let mut copy = AuditCopy::open(&path).unwrap();
        let lines = whole[..cut].iter().filter(|b| **b == b'\n').count() as u64;
        assert_eq!(copy.end().map_or(0, |end| end.seq), lines, "{cut}");
        let given = log.audit.lines(lines.max(1)).unwrap().give(1 << 20).unwrap();
        assert_eq!(copy.add(&given.bytes, &[]).unwrap(), (5 - lines, None), "{cut}");
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    // A page that never reached the disk, and a line with a wrong bit.
    for end in [vec![0; 4096], whole[whole.len() / 2..].to_vec()] {
        fs::write(&path, [&whole[..], &end].concat()).unwrap();
        assert_eq!(AuditCopy::open(&path).unwrap().end(), log.audit.head().unwrap());
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert_eq!(fs::read(log.directory.path().join("copy.torn")).unwrap(), end);
    }
    // Of one that is longer than what is looked at.
    let mut long = whole.clone();
    let mut head = log.audit.head().unwrap().unwrap();
    while long.len() < 3 << 20 {
        head = line::push(&mut long, head, "t", &format!("e k={}", "x".repeat(9000)));
    }
    fs::write(&path, [&long[..], b"5 2026"].concat()).unwrap();
    assert_eq!(AuditCopy::open(&path).unwrap().end(), Some(head));
    assert_eq!(fs::read(&path).unwrap(), long);
    fs::write(&path, "no log\n").unwrap();
    assert_eq!(AuditCopy::open(&path).unwrap_err().exit, Exit::Data);
}
