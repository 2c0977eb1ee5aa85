//! Copies of the audit logs, from good tentacles and from those that lie.

use super::played::{Played, next_request, one_that, say};
use crate::support::{mode_of, wait_for};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use octo_core::base::paths::Places;
use octo_core::tentacle::audit::{Audit, Head};
use octo_core::tentacle::layout::Side;
use predicates::prelude::*;
use predicates::str::contains;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn copy_of(octopus: &Octopus, log: &str) -> PathBuf {
    octopus.sandbox.state("audit/web1").join(log)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn run_true(octopus: &Octopus) {
    octopus.push(&["-a", "run", "-c", "true"]).assert().success();
}

fn rotate(tentacle: &Tentacle, from: &str, to: &str) {
    std::fs::rename(tentacle.state.join(from), tentacle.state.join(to)).expect("rename");
}

fn gzip(path: &Path) {
    let status = std::process::Command::new("gzip").arg(path).status();
    assert!(status.expect("gzip").success());
}

/// Through rotations and compression, and whatever a crash left at the copy's end.
#[test]
fn both_logs_are_copied_and_copying_goes_on_where_it_ended() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    run_true(&octopus);
    let fetch = || octopus.push(&["-v", "-a", "audit", "--fetch"]).assert();
    fetch().success().stderr(contains("octo-exec: 3 new lines, to 3"));
    let (exec, listener) = (copy_of(&octopus, "exec.log"), copy_of(&octopus, "listener.log"));
    assert_eq!(read(&exec), read(&web1.state.join("audit.log")));
    assert!(read(&web1.state.join("listen/audit.log")).starts_with(&read(&listener)));
    assert!(read(&listener).contains(" run "));
    assert_eq!((mode_of(&exec), mode_of(exec.parent().expect("a parent"))), (0o600, 0o700));
    // Two rotations, one of them compressed, between two calls.
    for (from, to) in [("audit.log", "audit.log.1"), ("audit.log.1", "audit.log.2")] {
        rotate(&web1, from, to);
    }
    gzip(&web1.state.join("audit.log.2"));
    run_true(&octopus);
    octopus.push(&["-a", "audit"]).assert().success();
    let first = read(&exec);
    for torn in ["", "4 2026-", "\0\0\0\0", "4 2026-01-01T00:00:00.000Z x 00\nab"] {
        std::fs::write(&exec, format!("{first}{torn}")).expect("write");
        fetch().success().stderr(contains("octo-exec: 3 new lines, to 6"));
        assert_eq!(read(&exec), first.clone() + &read(&web1.state.join("audit.log")), "{torn:?}");
    }
    // Where a call was killed, the next goes on; one that brings nothing changes nothing.
    let lines: Vec<&str> = first.split_inclusive('\n').collect();
    std::fs::write(&exec, lines[..2].concat()).expect("write");
    fetch().success().stderr(contains("octo-exec: 4 new lines, to 6"));
    fetch().success().stderr(contains("octo-exec: 0 new lines, to 6"));
    // It is a log: what checks one checks it, and shows what was changed.
    for copy in [&exec, &listener] {
        let check = || octopus.sandbox.tool("octo-listen").arg("--check-audit").arg(copy).assert();
        check().success();
        let text = read(copy);
        std::fs::write(copy, text.replacen(" address=", " addres=", 1).replace(" pusher=", " p="))
            .expect("write");
        check().code(65);
    }
}

/// More than a reply holds; and whoever is killed while it comes leaves what goes on.
#[test]
fn a_long_log_comes_in_many_replies_and_a_killed_call_is_gone_on_with() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    run_true(&octopus);
    let places = Places { config: web1.config.clone(), state: web1.state.clone() };
    let value = "x".repeat(1000);
    let fields: Vec<(&str, &str)> =
        ["a", "b", "c", "d", "e", "f", "g", "h"].iter().map(|key| (*key, &value[..])).collect();
    let events = vec![("job-end", &fields[..]); 600];
    Audit::of(Side::Executor, &places).append_all(&events).expect("appended");
    let copy = copy_of(&octopus, "exec.log");
    let length = || copy.metadata().map_or(0, |found| found.len());
    for turn in 1..4 {
        let before = length();
        let mut call = octopus.start(&["-a", "audit", "--fetch"]).spawn().expect("it starts");
        wait_for("a part of it", || {
            length() > before || call.try_wait().is_ok_and(|end| end.is_some())
        });
        // Of one that was killed there may be half a line.
        let _ = call.kill();
        call.wait().expect("it ends");
        let mut file = std::fs::File::options().append(true).open(&copy).expect("open");
        file.write_all(&b"605 2026-01-01"[..turn * 3]).expect("write");
    }
    let found = octopus.push(&["-a", "--json", "audit", "--fetch"]).assert().success();
    found.stdout(contains(r#""kind":"done""#).and(contains("octo-exec: ")));
    assert_eq!(read(&copy), read(&web1.state.join("audit.log")));
}

#[test]
fn the_lines_are_for_whom_the_admin_lets_copy_them() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let trusted = read(&web1.config.join("trusted"));
    web1.set_trusted(&trusted.replace("allow=any", "allow=status,put,run"));
    octopus.push(&["-a", "audit"]).assert().success();
    let fetch = || octopus.push(&["-a", "audit", "--fetch"]).assert();
    fetch().code(77).stderr(contains("octopus may not copy the audit logs"));
    web1.set_trusted(&trusted.replace("allow=any", "allow=audit"));
    fetch().success();
    assert!(read(&copy_of(&octopus, "listener.log")).contains(" code=denied "));
    octopus.push(&["-a", "run", "-c", "true"]).assert().code(77);
}

/// What a played tentacle has and says of its log.
#[derive(Clone, Default)]
struct Story {
    lines: Vec<String>,
    /// The head that it states; the last line's, if nothing is said.
    head: Option<Head>,
    /// It states none.
    is_silent: bool,
    more: bool,
}

/// A chain of so many lines.
fn chain(lines: u64) -> Story {
    let top = tempfile::tempdir().expect("tempdir");
    let places = Places { config: top.path().join("c"), state: top.path().to_path_buf() };
    let audit = Audit::of(Side::Executor, &places);
    for line in 1..lines {
        audit.append("job-end", &[("job", &line.to_string())]).expect("appended");
    }
    let text = read(&top.path().join("audit.log"));
    Story { lines: text.split_inclusive('\n').map(String::from).collect(), ..Story::default() }
}

fn number_of(line: &str) -> u64 {
    line.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn head_of(line: &str) -> Option<Head> {
    let hash = line.trim_end().rsplit(' ').next()?;
    Head::parse(&format!("{}:{hash}", number_of(line)))
}

/// Answers each question with the lines from that number on.
fn tell(connection: &mut Played, story: &Story) -> Option<()> {
    loop {
        let request = next_request(connection)?;
        if request.text("chain").is_none() {
            say(connection, b"ok body=0\n")?;
            continue;
        }
        let from = request.number("from").ok()??;
        let body: String =
            story.lines.iter().filter(|line| number_of(line) >= from).cloned().collect();
        let head = story.head.or_else(|| head_of(story.lines.last()?));
        let head = head
            .filter(|_| !story.is_silent)
            .map(|head| format!(" audit-exec={head}"))
            .unwrap_or_default();
        let more = if story.more { " more=yes" } else { "" };
        say(connection, format!("ok{head}{more} body={}\n{body}", body.len()).as_bytes())?;
    }
}

/// An octopus, and the tentacle's story, which can be changed.
fn storyteller(story: Story) -> (Octopus, Arc<Mutex<Story>>) {
    let story = Arc::new(Mutex::new(story));
    let told = Arc::clone(&story);
    let (octopus, _) = one_that(move |connection, _| {
        let story = told.lock().expect("a story").clone();
        let _ = tell(connection, &story);
    });
    (octopus, story)
}

/// The same hashes for other lines: as root of the tentacle can make them.
fn rewritten(story: &Story, from: usize) -> Story {
    let mut story = story.clone();
    let mut before = head_of(&story.lines[from - 1]).expect("a head").hash;
    for line in &mut story.lines[from..] {
        let (body, _) = line.rsplit_once(' ').expect("a hash");
        let body = body.replace("job=", "jab=");
        before = Digest::of(format!("{before} {body}").as_bytes());
        *line = format!("{body} {before}\n");
    }
    story
}

/// Nothing is added behind what doesn't follow, and both are kept.
#[test]
fn a_tentacle_that_tells_another_story_is_found_out() {
    let good = chain(12);
    let first = Story { lines: good.lines[..6].to_vec(), ..Story::default() };
    let without = |gone: usize| {
        let mut lines = good.lines.clone();
        lines.remove(gone);
        Story { lines, ..Story::default() }
    };
    let mut edited = good.clone();
    edited.lines[8] = edited.lines[8].replace("job=8", "job=9");
    let mut twice = good.clone();
    twice.lines.insert(7, good.lines[6].clone());
    let mut none = good.clone();
    none.lines.insert(7, "99 no line\n".into());
    let mut open = good.clone();
    open.lines[11].pop();
    let future = Head { seq: 1_000_000_000, hash: Digest::of(b"x") };
    let other = Head { seq: 12, hash: Digest::of(b"x") };
    let backwards = Story { lines: good.lines[..4].to_vec(), ..Story::default() };
    let forgets = Story { head: head_of(&good.lines[11]), ..backwards.clone() };
    let more = Story { more: true, head: Some(future), ..good.clone() };
    for (name, story, said, kept) in [
        ("other", rewritten(&good, 4), "line 6 is not the one that it was", 6),
        ("behind", rewritten(&good, 6), "line 12 is not the one whose head was given", 11),
        ("left out", without(8), "lines 9 to 9 are left out", 8),
        ("edited", edited, "line 9 doesn't follow from the one before it", 8),
        ("twice", twice, "line 7 comes again, behind line 7", 7),
        ("none", none, "what stands before line 8 is no line of a log", 7),
        ("open", open, "the last of these lines has no end", 11),
        ("head", Story { head: Some(other), ..good.clone() }, "line 12 is not the one whose", 11),
        ("future", Story { head: Some(future), ..good.clone() }, "withholds lines", 12),
        ("more", more, "withholds lines: its head is 1000000000, and they end with 12", 12),
        ("backwards", backwards, "went backwards: its head is 4:", 6),
        ("forgets", forgets, "went backwards: it has no line 6", 6),
    ] {
        let (octopus, told) = storyteller(first.clone());
        let fetch = || octopus.push(&["-a", "audit", "--fetch"]).assert();
        fetch().success();
        // What the journal has of an earlier reply is a promise, too.
        let mut story = story;
        if name == "behind" {
            story.head = head_of(&good.lines[11]);
        }
        *told.lock().expect("a story") = story;
        let found = fetch().append_context("story", name).code(65);
        found.stderr(contains(said).and(contains("exec.log")));
        let copy = copy_of(&octopus, "exec.log");
        assert_eq!(number_of(read(&copy).lines().last().expect("a line")), kept, "{name}");
        octopus.sandbox.tool("octo-listen").arg("--check-audit").arg(&copy).assert().success();
        let conflict = copy.with_extension("log.conflict");
        let is_shown = !["withholds", "backwards"].iter().any(|word| said.contains(word));
        assert_eq!(conflict.exists(), is_shown, "{name}");
        // It stays so, however often it is asked.
        fetch().append_context("again", name).code(65);
        assert_eq!(number_of(read(&copy).lines().last().expect("a line")), kept, "{name}");
    }
}

/// Who says nothing of its head is held to the one that it gave out before.
#[test]
fn a_tentacle_that_states_no_head_hides_no_lines() {
    let good = chain(12);
    let (octopus, told) = storyteller(good.clone());
    let fetch = || octopus.push(&["-a", "audit", "--fetch"]).assert();
    fetch().success();
    let copy = copy_of(&octopus, "exec.log");
    let half = good.lines[..6].concat();
    for (kept, lines) in [(&half, 5..6), (&half, 0..6), (&String::new(), 0..6), (&half, 5..11)] {
        std::fs::write(&copy, kept).expect("write");
        let lines = good.lines[lines].to_vec();
        *told.lock().expect("a story") = Story { lines, is_silent: true, ..Story::default() };
        fetch().code(65).stderr(contains("withholds lines: its head is 12, and they end with"));
    }
    // Without a copy, and without a line.
    std::fs::write(&copy, "").expect("write");
    *told.lock().expect("a story") = Story { is_silent: true, ..Story::default() };
    fetch().code(65).stderr(contains("withholds lines: its head is 12, and they end with 0"));
    *told.lock().expect("a story") = Story { is_silent: true, ..good.clone() };
    fetch().success();
    assert_eq!(read(&copy), good.lines.concat());
}

#[test]
fn lines_that_are_rotated_away_are_not_seen_and_not_called_a_fault() {
    let good = chain(3);
    let (octopus, told) = storyteller(good.clone());
    let fetch = || octopus.push(&["-a", "audit", "--fetch"]).assert();
    fetch().success();
    let copy = copy_of(&octopus, "exec.log");
    // A chain that goes on: only its last file is left.
    let top = tempfile::tempdir().expect("tempdir");
    let places = Places { config: top.path().join("c"), state: top.path().to_path_buf() };
    let audit = Audit::of(Side::Executor, &places);
    for line in 0..7 {
        audit.append("job-end", &[("job", &line.to_string())]).expect("appended");
    }
    let log = top.path().join("audit.log");
    std::fs::rename(&log, top.path().join("audit.log.1")).expect("rename");
    audit.append("job-end", &[]).expect("appended");
    let lines = read(&log).split_inclusive('\n').map(String::from).collect();
    *told.lock().expect("a story") = Story { lines, ..Story::default() };
    fetch().code(69).stderr(contains("can't see lines 4 to 8").and(contains("mv ")));
    assert_eq!(read(&copy), good.lines.concat());
    assert!(!copy.with_extension("log.conflict").exists());
    // As the hint says.
    std::fs::rename(&copy, copy.with_extension("log.1")).expect("rename");
    fetch().success().stderr(contains("its log begins with line 9"));
    assert_eq!(read(&copy), read(&log));
}

/// Of each call a bounded part is taken, however much there is.
#[test]
fn a_tentacle_that_never_ends_fills_no_disk() {
    let huge = 1_u64 << 40;
    let (octopus, _) = one_that(move |connection, _| {
        let _ = next_request(connection);
        let _ = say(connection, format!("ok body={huge}\n").as_bytes());
    });
    let mut fetch = octopus.push(&["-a", "audit", "--fetch"]);
    fetch.assert().code(76).stderr(contains("1.0 TiB of lines in one reply"));
    assert_eq!(read(&copy_of(&octopus, "listener.log")), "");
    let mut story = chain(40);
    story.head = Some(Head { seq: 1_000, hash: Digest::of(b"x") });
    let (octopus, _) = storyteller(story);
    let mut fetch = octopus.push(&["-a", "audit", "--fetch", "--max", "1K"]);
    fetch.assert().code(75).stderr(contains("to line 40 of 1000").and(contains("same again")));
}

/// Two at once: one adds, and the other waits for it.
#[test]
fn who_is_copying_has_the_copy_alone() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    run_true(&octopus);
    let calls: Vec<_> = (0..3)
        .map(|_| octopus.start(&["-a", "audit", "--fetch"]).spawn().expect("octo-push starts"))
        .collect();
    for mut call in calls {
        assert!(call.wait().expect("it ends").success());
    }
    let copy = copy_of(&octopus, "listener.log");
    octopus.sandbox.tool("octo-listen").arg("--check-audit").arg(&copy).assert().success();
    // One that is no log is nobody's to overwrite.
    let mut file = std::fs::File::create(&copy).expect("create");
    file.write_all(b"mine\n").expect("write");
    octopus.push(&["-a", "audit", "--fetch"]).assert().code(65).stderr(contains("mv "));
    assert_eq!(read(&copy), "mine\n");
}
