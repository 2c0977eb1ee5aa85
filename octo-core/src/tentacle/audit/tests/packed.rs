//! Rotated files that are compressed: read, or said not to be.

use super::*;
use std::process::Command;

/// Compresses a file as logrotate does; the plain one is gone.
pub(super) fn pack(log: &TestLog, name: &str, program: &str) {
    let path = log.directory.path().join(name);
    let status = Command::new(program).arg(&path).status().unwrap();
    assert!(status.success(), "{program}");
    let _ = fs::remove_file(path);
}

/// Three files of a chain of nine lines, the oldest two of them compressed.
fn packed() -> (TestLog, Vec<Head>) {
    let log = TestLog::of(1);
    let mut heads = Vec::new();
    // gzip is a base utility; xz tells it apart where there is one.
    let older = if Command::new("xz").arg("-V").output().is_ok() { "xz" } else { "gzip" };
    for (number, name) in ["audit.log.2", "audit.log.1", ""].into_iter().enumerate() {
        for line in 0..2 {
            heads.push(log.audit.append("request", &[("n", &format!("{number}{line}"))]).unwrap());
        }
        if !name.is_empty() {
            log.rotate(name);
            pack(&log, name, if number == 0 { older } else { "gzip" });
        }
    }
    (log, heads)
}

/// Compresses it so that reading it takes more memory than its program grants.
pub(super) fn pack_shut(log: &TestLog, name: &str) -> bool {
    let path = log.directory.path().join(name);
    let script = format!("zstd -q --long=28 -c <'{0}' >'{0}.zst' && rm '{0}'", path.display());
    Command::new("sh").args(["-c", &script]).status().unwrap().success()
}

#[test]
fn compressed_files_are_read_as_part_of_the_chain() {
    let (log, heads) = packed();
    let found = log.audit.verify(&heads).unwrap();
    assert_eq!((found.lines, found.first, &found.faults), (9, Some(1), &vec![]));
    assert_eq!((found.unseen, found.unseen_to), (vec![], 0));
    for head in &heads {
        assert_eq!(log.audit.proves(*head).unwrap(), Proof::Holds);
        let other = Head { hash: heads[0].hash, ..*head };
        let proof = log.audit.proves(other).unwrap();
        assert_eq!(matches!(proof, Proof::Fails(_)), other != *head, "{proof:?}");
    }
    // Without one of them the others are not whole.
    fs::remove_file(log.directory.path().join("audit.log.1.gz")).unwrap();
    one(&log.faults(), "numbers 4 to 6 before this file are missing");
}

/// While it is compressed, both are there, and one of them is half written.
#[test]
fn a_file_that_is_being_compressed_is_read_once() {
    let log = TestLog::of(5);
    log.rotate("audit.log.1");
    log.audit.append("request", &[]).unwrap();
    fs::write(log.directory.path().join("audit.log.1.gz"), [0x1f, 0x8b]).unwrap();
    assert_eq!(log.faults(), Vec::<String>::new());
    assert_eq!(log.audit.verify(&[]).unwrap().lines, 7);
}

#[test]
fn what_the_program_says_is_damaged_is_a_fault() {
    let (log, _) = packed();
    let path = log.directory.path().join("audit.log.1.gz");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let faults = log.faults();
    assert!(faults[0].contains("audit.log.1.gz:") && faults[0].contains("is damaged: gzip: "));
    let mut wrong = whole.clone();
    let at = wrong.len() - 6;
    wrong[at] ^= 1;
    fs::write(&path, &wrong).unwrap();
    let faults = log.faults();
    assert!(faults.len() == 1 && faults[0].contains("is damaged: gzip: "), "{faults:?}");
    fs::write(&path, "no gzip at all").unwrap();
    assert!(log.faults().iter().any(|fault| fault.contains("is damaged: gzip: ")));
}

/// A few bytes that become gigabytes cost neither the memory nor the time for them.
#[test]
fn a_bomb_is_no_log() {
    let (log, _) = packed();
    let path = log.directory.path().join("audit.log.1.xz");
    fs::remove_file(log.directory.path().join("audit.log.1.gz")).unwrap();
    let script = format!("head -c 64M /dev/zero | xz -1 >'{}'", path.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let faults = log.faults();
    assert!(faults.iter().any(|fault| fault.contains("1024 times as long")), "{faults:?}");
}

#[test]
fn a_file_that_nobody_looked_at_is_no_fault_and_hides_no_other() {
    let log = TestLog::of(3);
    log.rotate("audit.log.2");
    let mut heads = vec![log.audit.append("request", &[]).unwrap()];
    log.rotate("audit.log.1");
    heads.push(log.audit.append("request", &[]).unwrap());
    heads.push(log.audit.append("request", &[]).unwrap());
    if !pack_shut(&log, "audit.log.1") {
        return;
    }
    let found = log.audit.verify(&heads).unwrap();
    assert_eq!((found.faults, found.unseen_to), (vec![], 5));
    let told = "audit.log.1.zst: is not looked at: zstd: ";
    assert!(found.unseen[0].contains(told), "{:?}", found.unseen);
    // What is behind it is shown, what is before it has nothing that leads on from it.
    for head in &heads {
        let proof = log.audit.proves(*head).unwrap();
        assert_eq!(matches!(proof, Proof::Unseen(_)), head.seq <= 5, "{head}: {proof:?}");
    }
    // It explains one hole, and none in a file.
    let mut lines = log.lines();
    lines.remove(1);
    log.write(&lines);
    one(&log.faults(), "2: number 7 before this line are missing");
    // Nor an end that was cut.
    log.write(&lines[..1]);
    one(&log.faults(), "is the last line, but number 8 was written");
}
