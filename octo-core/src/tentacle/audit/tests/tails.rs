//! The log's end: cut, torn, rotated away.

use super::*;
use crate::tentacle::audit::line::AuditLine;

#[test]
fn a_cut_tail_is_missed_before_and_after_the_next_event() {
    let log = TestLog::of(6);
    let given = log.audit.head().unwrap().unwrap();
    let whole = log.lines();
    log.write(&whole[..4]);
    one(&log.faults(), "4: is the last line, but number 6 was written");
    log.other().append("request", &[]).unwrap();
    one(&log.faults(), "5: numbers 5 to 6 before this line were cut");
    // Without audit.head only a head that somebody kept shows it.
    log.write(&whole[..4]);
    fs::remove_file(log.directory.path().join("audit.head")).unwrap();
    assert_eq!(log.faults(), Vec::<String>::new());
    assert!(matches!(log.other().proves(given).unwrap(), Proof::Fails(_)));
    for _ in 0..3 {
        log.other().append("request", &[]).unwrap();
    }
    assert_eq!(log.faults(), Vec::<String>::new());
    let found = log.audit.verify(&[given]).unwrap();
    assert!(found.faults[0].line == 6 && found.faults[0].reason.contains("when its head"));
    // All of it.
    let log = TestLog::of(4);
    fs::write(log.path(), "").unwrap();
    one(&log.faults(), "0: the log is empty, but number 4 was written");
    log.other().append("request", &[]).unwrap();
    fs::remove_file(log.path()).unwrap();
    one(&log.faults(), "0: the log is empty, but number 6 was written");
}

#[test]
fn a_torn_tail_is_closed_at_whatever_byte_it_broke() {
    let log = TestLog::of(3);
    let whole = fs::read(log.path()).unwrap();
    let first = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
    let second = first + whole[first..].iter().position(|b| *b == b'\n').unwrap() + 1;
    for cut in 0..whole.len() {
        fs::write(log.path(), &whole[..cut]).unwrap();
        fs::remove_file(log.directory.path().join("audit.head")).ok();
        let unclosed = log.other();
        let head = unclosed.append("after", &[]).unwrap();
        let found = log.audit.verify(&[head]).unwrap();
        assert_eq!(found.faults, vec![], "{cut}");
        let whole_but_lf =
            [0, first, second, first - 1, second - 1, whole.len() - 1].contains(&cut);
        assert_eq!(found.notes.len(), usize::from(!whole_but_lf), "{cut}: {:#?}", found.notes);
    }
    // Zeros, as a power cut leaves them; and what is still open is a note too.
    fs::remove_file(log.directory.path().join("audit.head")).unwrap();
    fs::write(log.path(), [&whole[..], &[0; 300], b"end\n"].concat()).unwrap();
    log.other().append("after", &[]).unwrap();
    one(&log.notes(), "4: a crash tore this line: it is closed by the next");
    fs::write(log.path(), [&whole[..], b"4 2026"].concat()).unwrap();
    fs::remove_file(log.directory.path().join("audit.head")).unwrap();
    one(&log.notes(), "4: a crash tore this line: it is not closed yet");
    assert!(log.audit.head().unwrap().unwrap().seq == 3);
}

#[test]
fn a_torn_line_is_bound_into_the_chain() {
    let log = TestLog::of(3);
    let whole = fs::read(log.path()).unwrap();
    fs::write(log.path(), [&whole[..], b"4 2026"].concat()).unwrap();
    log.other().append("after", &[]).unwrap();
    one(&log.notes(), "4: a crash tore");
    let lines = log.lines();
    assert!(lines[3] == "4 2026\n" && lines[4].contains(" torn torn=6:"), "{lines:#?}");
    let mut other = lines.clone();
    other[3] = "4 2027\n".into();
    log.write(&other);
    one(&log.faults(), "4: was changed after");
    other.remove(3);
    log.write(&other);
    one(&log.faults(), "4: closes a torn line that was removed");
    other = lines.clone();
    other.remove(4);
    log.write(&other);
    assert!(log.faults()[0].starts_with("4: is no line of an audit log"));
}

#[test]
fn the_chain_goes_on_through_rotations() {
    let log = TestLog::of(4);
    let old = log.audit.head().unwrap().unwrap();
    log.rotate("audit.log.1");
    assert_eq!(log.audit.head().unwrap(), Some(old));
    let head = log.audit.append("request", &[]).unwrap();
    assert_eq!(head.seq, 6);
    assert!(log.lines()[0].contains(&format!("begin previous={old} ")));
    log.rotate("audit.log-20260131");
    // Without audit.head the newest rotated file names the head.
    fs::remove_file(log.directory.path().join("audit.head")).unwrap();
    fs::write(log.path(), "").unwrap();
    assert_eq!(log.other().append("request", &[]).unwrap().seq, 8);
    let found = log.audit.verify(&[old, head]).unwrap();
    assert_eq!((found.lines, found.faults), (8, vec![]));
    // The oldest is removed by retention: no fault, but old heads can't be shown.
    let kept = fs::read(log.directory.path().join("audit.log.1")).unwrap();
    fs::remove_file(log.directory.path().join("audit.log.1")).unwrap();
    let found = log.audit.verify(&[head]).unwrap();
    assert_eq!((found.lines, found.first, found.faults), (4, Some(5), vec![]));
    let found = log.audit.verify(&[old]).unwrap();
    assert_eq!(found.faults, vec![], "the next file's first line names it");
    let older = Head { seq: 2, ..old };
    assert_eq!(log.audit.proves(older).unwrap(), Proof::TooOld);
    let found = log.audit.verify(&[older]).unwrap();
    assert!(found.faults[0].reason.contains("was in an older file"));
    // A cut file, a missing one, one before its time.
    fs::write(log.directory.path().join("audit.log.1"), &kept[..kept.len() / 2]).unwrap();
    let faults = log.faults();
    assert!(faults[0].starts_with("audit.log-20260131:1: number"), "{faults:#?}");
    fs::write(log.directory.path().join("audit.log.1"), &kept).unwrap();
    fs::rename(log.directory.path().join("audit.log-20260131"), log.directory.path().join("x"))
        .unwrap();
    one(&log.faults(), "1: numbers 5 to 6 before this file are missing");
    let paths = ["audit.log", "audit.log.1", "x"].map(|name| log.directory.path().join(name));
    assert!(verify_files(&paths, &[old, head]).unwrap().is_whole());
}

#[test]
fn the_end_is_found_though_the_file_became_shorter() {
    let log = TestLog::of(3);
    let file = fs::File::open(log.path()).unwrap();
    let size = file.metadata().unwrap().len();
    // As one that looked at its size before a failed append was taken back.
    for more in [0, 1, 300, 1 << 20] {
        let found = tail::tail(&file, &log.path(), size + more).unwrap();
        assert_eq!(found.head, log.audit.head().unwrap());
    }
}

/// A listener that was taken over writes its own log: root who checks it must not read
/// terabytes that take no room.
#[test]
fn a_hole_of_terabytes_is_a_fault_and_not_read() {
    let log = TestLog::of(2);
    let file = fs::File::options().write(true).open(log.path()).unwrap();
    file.set_len(1 << 40).unwrap();
    let faults = log.faults();
    let said = "3: is no line, and has no end: what is behind it is not read";
    assert!(faults.iter().any(|fault| fault.ends_with(said)), "{faults:?}");
}

#[test]
fn a_noted_head_that_a_power_cut_set_back_is_not_given_out() {
    let log = TestLog::of(5);
    let given = log.audit.head().unwrap().unwrap();
    let noted = log.directory.path().join("audit.head");
    let older = AuditLine::parse(log.lines()[2].trim_end().as_bytes()).unwrap().head;
    fs::write(&noted, format!("{older}\n")).unwrap();
    let again = at(log.directory.path());
    assert_eq!((given.seq, again.head().unwrap()), (5, Some(given)));
    // From the next line on what is noted counts again: also of a log that was put back.
    assert_eq!(again.append("request", &[]).unwrap().seq, 6);
    assert_eq!(again.head().unwrap().map(|head| head.seq), Some(6));
    fs::write(&noted, format!("{}\n", Head { seq: 4, ..given })).unwrap();
    assert_eq!(again.head().unwrap().map(|head| head.seq), Some(4));
}
