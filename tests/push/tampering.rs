//! Who finds what was done to an audit log, and when: the table of octo-audit(5).

use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use std::fs;
use std::path::{Path, PathBuf};

/// What root does to a log.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Edited,
    Removed,
    Added,
    Reordered,
    /// The end of the log, and not what audit.head notes.
    Cut,
    /// Log and audit.head from a copy.
    PutBack,
    /// The same, and then as many lines as before and more.
    PutBackAndGoneOn,
    /// Log and audit.head are gone.
    Gone,
    /// A line is edited, and all hashes from there on are computed anew, with audit.head.
    Recomputed,
}

/// When it is done.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    /// No octopus has a head of it.
    Before,
    /// An octopus has one.
    Seen,
    /// An octopus has had one proved.
    Proved,
}

use Kind::*;
use Moment::*;

/// Of each: does the log itself show it to `octo-listen --check-audit`, does the next reply
/// show it to the octopus, and does `audit`?
type Row = (Kind, [(Moment, [bool; 3]); 3]);

const CHECK: [bool; 3] = [true, false, true];
const NOBODY: [bool; 3] = [false; 3];

const OF_BOTH: [Row; 7] = [
    (Edited, [(Before, CHECK), (Seen, CHECK), (Proved, CHECK)]),
    (Removed, [(Before, CHECK), (Seen, CHECK), (Proved, CHECK)]),
    (Added, [(Before, CHECK), (Seen, CHECK), (Proved, CHECK)]),
    (Reordered, [(Before, CHECK), (Seen, CHECK), (Proved, CHECK)]),
    (Cut, [(Before, CHECK), (Seen, CHECK), (Proved, CHECK)]),
    (PutBack, [(Before, NOBODY), (Seen, [false, true, true]), (Proved, [false, true, true])]),
    (
        PutBackAndGoneOn,
        [(Before, NOBODY), (Seen, [false, false, true]), (Proved, [false, false, true])],
    ),
];

const OF_EXEC: [Row; 2] = [
    (Gone, [(Before, NOBODY), (Seen, [false, false, true]), (Proved, [false, false, true])]),
    (Recomputed, [(Before, NOBODY), (Seen, [false, true, true]), (Proved, [false, true, true])]),
];

/// The listener writes a line of each question: a log of its that is gone begins anew, and one
/// that was computed anew grows, before the octopus hears of it.
const OF_LISTENER: [Row; 2] = [
    (Gone, [(Before, NOBODY), (Seen, [false, true, true]), (Proved, [false, true, true])]),
    (Recomputed, [(Before, NOBODY), (Seen, [false, false, true]), (Proved, [false, false, true])]),
];

/// A tentacle whose listener is started for each connection, and copies of its logs.
struct Scene {
    octopus: Octopus,
    web1: Tentacle,
    transport: String,
    /// Where the logs are, below STATE.
    copies: PathBuf,
}

const LOGS: [&str; 4] = ["audit.log", "audit.head", "listen/audit.log", "listen/audit.head"];

impl Scene {
    fn new() -> Scene {
        let (octopus, mut web1) = Octopus::with_one(cargo_bin!("octo-push"));
        web1.kill();
        let text = format!(
            "#!/bin/sh\nexec '{}' --config '{}' --state '{}' --stdio\n",
            octopus.sandbox.program("octo-listen").display(),
            web1.config.display(),
            web1.state.display()
        );
        let program = octopus.sandbox.write("program", text);
        crate::support::set_mode(&program, 0o755);
        let transport = program.display().to_string();
        let copies = octopus.sandbox.path("copies");
        let scene = Scene { octopus, web1, transport, copies };
        let run = || assert_eq!(scene.push(&["run", "-c", "true"]), 0);
        run();
        run();
        scene.save("early");
        for _ in 0..6 {
            run();
        }
        scene.save("seen");
        assert_eq!(scene.push(&["audit"]), 0);
        scene.save("proved");
        scene
    }

    fn push(&self, arguments: &[&str]) -> i32 {
        let all = [&["-q", "-a", "-P", &self.transport], arguments].concat();
        let output = self.octopus.push(&all).output().expect("runs");
        output.status.code().expect("a code")
    }

    fn heads(&self) -> PathBuf {
        self.octopus.sandbox.state("heads/web1")
    }

    /// Copies both logs, and what the octopus knows of them.
    fn save(&self, name: &str) {
        let to = self.copies.join(name);
        fs::create_dir_all(to.join("listen")).expect("mkdir");
        for log in LOGS {
            fs::copy(self.web1.state.join(log), to.join(log)).expect("copy");
        }
        fs::copy(self.heads(), to.join("heads")).expect("copy");
    }

    /// The logs as they were, and what the octopus knew at that moment.
    fn restore(&self, moment: Moment) {
        let from = self.copies.join(if moment == Proved { "proved" } else { "seen" });
        for log in LOGS {
            fs::copy(from.join(log), self.web1.state.join(log)).expect("copy");
        }
        let _ = fs::remove_file(self.heads());
        if moment != Before {
            fs::copy(from.join("heads"), self.heads()).expect("copy");
        }
    }

    /// What finds it: the check there, the next reply, `audit`.
    fn found(&self, kind: Kind, moment: Moment, log: &str) -> [bool; 3] {
        self.restore(moment);
        tamper(kind, &self.web1.state.join(log), &self.copies.join("early").join(log));
        let mut check = self.octopus.sandbox.tool("octo-listen");
        check.arg("--config").arg(&self.web1.config).arg("--state").arg(&self.web1.state);
        let check = check.arg("--check-audit").output().expect("runs").status.code();
        let said = [check.expect("a code"), self.push(&["status"]), self.push(&["audit"])];
        said.map(|code| match code {
            0 => false,
            65 => true,
            code => panic!("{kind:?} {moment:?} of {log}: exit {code}"),
        })
    }

    fn holds(&self, of_it: &[Row], log: &str) {
        let mut wrong = Vec::new();
        for (kind, moments) in OF_BOTH.iter().chain(of_it) {
            for (moment, expected) in moments {
                let found = self.found(*kind, *moment, log);
                if found != *expected {
                    wrong.push(format!("{kind:?} {moment:?}: {found:?}, not {expected:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{log}:\n{}", wrong.join("\n"));
    }
}

fn tamper(kind: Kind, log: &Path, early: &Path) {
    let head = log.with_extension("head");
    let text = fs::read_to_string(log).expect("read");
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    let middle = lines.len() / 2;
    match kind {
        Edited => lines[middle] = lines[middle].replacen("T", "U", 1),
        Removed => drop(lines.remove(middle)),
        Added => lines.insert(middle, lines[middle].clone()),
        Reordered => lines.swap(middle, middle + 1),
        Cut => lines.truncate(lines.len() - 2),
        PutBack | PutBackAndGoneOn => {
            let mut back: Vec<String> =
                fs::read_to_string(early).expect("read").lines().map(str::to_string).collect();
            if matches!(kind, PutBackAndGoneOn) {
                // What happened since, told otherwise, and more of it.
                let since = lines[back.len()..].iter().chain(&lines[middle..]);
                back.extend(since.map(|line| line.replacen("T", "T0", 1)));
                compute(&mut back, early_count(early));
            }
            lines = back;
        }
        Gone => {
            fs::remove_file(log).expect("remove");
            fs::remove_file(head).expect("remove");
            return;
        }
        Recomputed => {
            lines[middle] = lines[middle].replacen("T", "U", 1);
            compute(&mut lines, middle);
        }
    }
    fs::write(log, lines.join("\n") + "\n").expect("write");
    if matches!(kind, PutBack | PutBackAndGoneOn | Recomputed) {
        let last = lines.last().expect("a line");
        let (seq, hash) = (last.split(' ').next(), last.rsplit(' ').next());
        let noted = format!("{}:{}\n", seq.expect("a number"), hash.expect("a hash"));
        fs::write(head, noted).expect("write");
    }
}

fn early_count(early: &Path) -> usize {
    fs::read_to_string(early).expect("read").lines().count()
}

/// Numbers and hashes of all lines from this one on, as who owns the log can make them.
fn compute(lines: &mut [String], from: usize) {
    for index in from..lines.len() {
        let before = match index {
            0 => "0".repeat(64),
            _ => lines[index - 1].rsplit(' ').next().expect("a hash").to_string(),
        };
        let (rest, _) = lines[index].rsplit_once(' ').expect("a hash");
        let (_, rest) = rest.split_once(' ').expect("a number");
        let line = format!("{} {rest}", index + 1);
        let hash = Digest::of(format!("{before} {line}").as_bytes());
        lines[index] = format!("{line} {hash}");
    }
}

#[test]
fn the_page_has_the_table() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../man/octo-audit.5");
    let page = fs::read_to_string(page).expect("the page");
    let names = [
        "a line edited",
        "a line removed",
        "a line added",
        "lines reordered",
        "the end cut off",
        "put back from a copy",
        "put back, and gone on",
        "the files removed",
        "the chain computed anew",
    ];
    let letters = |found: [bool; 3]| {
        let all = ["C", "R", "A"].into_iter().zip(found).filter(|(_, found)| *found);
        let said: String = all.map(|(letter, _)| letter).collect();
        if said.is_empty() { "-".into() } else { said }
    };
    let exec = OF_BOTH.iter().chain(&OF_EXEC);
    let listener = OF_BOTH.iter().chain(&OF_LISTENER);
    for (name, (exec, listener)) in names.iter().zip(exec.zip(listener)) {
        let cells = exec.1.iter().chain(&listener.1).map(|(_, found)| letters(*found));
        let expected = [name.to_string()].into_iter().chain(cells).collect::<Vec<_>>().join(" ");
        let is_there =
            page.lines().any(|line| line.split_whitespace().eq(expected.split_whitespace()));
        assert!(is_there, "{expected}");
    }
}

#[test]
fn who_finds_what_was_done_to_octo_execs_log() {
    Scene::new().holds(&OF_EXEC, "audit.log");
}

#[test]
fn who_finds_what_was_done_to_the_listeners_log() {
    Scene::new().holds(&OF_LISTENER, "listen/audit.log");
}
