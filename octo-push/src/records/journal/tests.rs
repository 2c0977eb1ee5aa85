#![allow(clippy::unwrap_used)]
use super::*;
use octo_core::base::digest::Digest;
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

fn entry(run: usize, second: i64, target: &str, status: u8) -> Entry {
    let run = JobId::parse(RUNS[run]).unwrap();
    Entry {
        time: time_of(&run).unwrap() + SignedDuration::from_secs(second),
        verb: "run".into(),
        job: Some(run.clone()),
        run,
        who: "alice@laptop".into(),
        target: target.into(),
        tentacle: Some(Thumbprint::of_certificate(target.as_bytes())),
        package: None,
        kind: "exit".into(),
        code: status.into(),
        status,
        audit: Some(head(second as u64 + 1)),
    }
}

fn read(journal: &Journal, filter: &Filter) -> Vec<String> {
    let mut found = Vec::new();
    let torn = journal.read(filter, &mut |entry| {
        found.push(format!("{} {}", entry.target, entry.status));
        true
    });
    assert_eq!(torn.unwrap(), 0);
    found
}

#[test]
fn an_entry_comes_back_from_its_line_and_stays_on_it() {
    let mut entry = entry(0, 5, "web1", 3);
    entry.package = Some(Digest::of(b"x"));
    let line = entry.encode();
    assert!(line.starts_with("2026-01-01T00:00:05Z run target=web1 kind=exit code=3 status=3 "));
    assert_eq!(Entry::parse(line.trim_end().as_bytes()), Some(entry.clone()));
    let later = format!("{} new=1", line.trim_end());
    assert_eq!(Entry::parse(later.as_bytes()), Some(entry.clone()));
    entry.who = "x y\n2026-01-01T00:00:00Z run \x1b[2J".into();
    (entry.job, entry.tentacle, entry.audit, entry.package) = (None, None, None, None);
    let line = entry.encode();
    assert!(line.trim_end().bytes().all(|b| (b' '..=b'~').contains(&b)) && line.ends_with('\n'));
    assert_eq!(Entry::parse(line.trim_end().as_bytes()), Some(entry.clone()));
    for cut in 0..line.len() - 1 {
        assert_eq!(Entry::parse(&line.as_bytes()[..cut.min(80)]), None, "{cut}");
    }
    entry.who = "\n".repeat(1 << 20);
    assert!(entry.encode().len() < LONGEST);
}

#[test]
fn lines_are_found_by_target_job_run_time_and_failure() {
    let scene = scene();
    let journal = &scene.journal;
    assert_eq!(read(journal, &Filter::default()), Vec::<String>::new());
    let last = Filter { run: Some(Run::Last), ..Filter::default() };
    assert_eq!(read(journal, &last), Vec::<String>::new());
    for entry in [
        entry(0, 0, "web1", 0),
        entry(0, 1, "web2", 4),
        entry(1, 0, "web1", 0),
        // Two invocations at the same time.
        entry(2, 0, "web1", 7),
        entry(1, 86400, "web2", 0),
        entry(2, 1, "web2", 0),
        Entry { kind: "skipped".into(), ..entry(2, 2, "web3", 130) },
        Entry { verb: "status".into(), ..entry(0, 3 * 86400, "web1", 69) },
    ] {
        journal.append(&entry).unwrap();
    }
    journal.sync().unwrap();
    let set = |word: &str| HashSet::from([word.to_string()]);
    let all = Filter::default;
    assert_eq!(read(journal, &all()).len(), 8);
    assert_eq!(
        read(journal, &Filter { targets: set("web2"), ..all() }),
        ["web2 4", "web2 0", "web2 0"]
    );
    assert_eq!(read(journal, &last), ["web1 0", "web2 4", "web1 69"]);
    let last = Filter { verbs: set("run"), ..last };
    assert_eq!(read(journal, &last), ["web1 7", "web2 0", "web3 130"]);
    assert_eq!(read(journal, &Filter { failed: true, ..last.clone() }), ["web1 7"]);
    assert_eq!(read(journal, &Filter { newest: Some(2), ..last }), ["web2 0", "web3 130"]);
    assert_eq!(read(journal, &Filter { newest: Some(1), ..all() }), ["web1 69"]);
    assert_eq!(read(journal, &Filter { newest: Some(0), ..all() }), Vec::<String>::new());
    let job = JobId::parse(RUNS[1]);
    assert_eq!(read(journal, &Filter { job: job.clone(), ..all() }), ["web1 0", "web2 0"]);
    let run = job.map(Run::Id);
    assert_eq!(read(journal, &Filter { run, ..all() }), ["web1 0", "web2 0"]);
    let since = time_of(&JobId::parse(RUNS[2]).unwrap()).map(|t| t + SignedDuration::from_secs(1));
    assert_eq!(read(journal, &Filter { since, ..all() }), ["web2 0", "web3 130", "web1 69"]);
    let mut first = None;
    journal
        .read(&all(), &mut |entry| {
            first = Some(entry);
            false
        })
        .unwrap();
    assert_eq!(first, Some(entry(0, 0, "web1", 0)));
}

#[test]
fn heads_are_found_back_to_the_last_proof() {
    let scene = scene();
    let journal = &scene.journal;
    for second in 0..6 {
        let verb = if second == 2 { "audit" } else { "run" };
        journal.append(&Entry { verb: verb.into(), ..entry(0, second, "web1", 0) }).unwrap();
        journal.append(&Entry { audit: None, ..entry(0, second, "web2", 69) }).unwrap();
    }
    let failed = Entry { verb: "audit".into(), ..entry(0, 5, "web1", 77) };
    journal.append(&failed).unwrap();
    let heads = journal.heads(&["web1", "web2", "web3"], 100).unwrap();
    let numbers = |limited: &HashMap<String, Vec<RecordedHead>>| {
        limited["web1"].iter().map(|given| given.head.seq).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&heads), [6, 5, 4, 3]);
    assert!(heads["web1"][3].proved && !heads["web1"][2].proved && heads.len() == 1);
    assert_eq!(numbers(&journal.heads(&["web1"], 1).unwrap()), [6]);
}

#[test]
fn torn_and_alien_lines_are_counted_and_passed_over() {
    let scene = scene();
    let journal = &scene.journal;
    journal.append(&entry(0, 0, "web1", 0)).unwrap();
    let whole = fs::read(&journal.path).unwrap();
    let alien = [&b"\n\xff\xfe\n"[..], &vec![b'x'; 200_000], b"\n", &vec![0; 70_000]].concat();
    let torn = [&whole[..], &whole[..30], &alien, &whole[..50]].concat();
    fs::write(&journal.path, torn).unwrap();
    at(scene.directory.path()).append(&entry(0, 1, "web2", 0)).unwrap();
    let mut found = Vec::new();
    let torn = journal.read(&Filter::default(), &mut |entry| {
        found.push(entry.target);
        true
    });
    assert_eq!((torn.unwrap(), found), (4, vec!["web1".to_string(), "web2".into()]));
    let newest = Filter { newest: Some(2), ..Filter::default() };
    let mut count = 0;
    journal
        .read(&newest, &mut |_| {
            count += 1;
            true
        })
        .unwrap();
    assert_eq!(count, 2);
    assert_eq!(journal.heads(&["web1"], 9).unwrap()["web1"].len(), 1);
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
                    journal.append(&entry(0, second, &format!("t{thread}"), 0)).unwrap();
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
    let error = scene.journal.append(&entry(0, 0, "web1", 0)).unwrap_err();
    assert!(error.message.ends_with("/journal: is a link"), "{error}");
}
