//! A job's files, states, followers and ends.

use super::log::LogReader;
use super::*;
use crate::base::digest::Digest;
use crate::base::leader::Leader;
use crate::base::names::JobId;
use crate::base::paths::Places;
use crate::base::publish::SWEEP;
use crate::base::record::Record;
use crate::base::remove::PATIENCE;
use crate::base::thumbprint::Thumbprint;
use crate::tentacle::layout;
use crate::tentacle::statement::{Asks, Statement};
use std::io::Write;
use std::time::Duration;

fn places() -> (tempfile::TempDir, Places) {
    let top = tempfile::tempdir().expect("tempdir");
    let places = Places { config: top.path().join("c"), state: top.path().join("s") };
    (top, places)
}

fn publish(places: &Places, id: &JobId) -> Published {
    let origin =
        Origin { pusher: None, by: "me@here".into(), received: crate::base::cli::utc_now() };
    let (origin, spec, script, secrets) = (&origin, b"command true\n", None, Some(&b"s"[..]));
    let new = NewJob { id, origin, request: None, spec, script, stdin: None, secrets };
    new.publish(places).expect("publish")
}

fn new_job(places: &Places) -> JobDirectory {
    match publish(places, &JobId::generate().expect("id")) {
        Published::New(job) => job,
        other => panic!("{other:?}"),
    }
}

fn drain(follower: &mut Follower) -> Vec<Event> {
    std::iter::from_fn(|| follower.next_event().expect("event")).collect()
}

#[test]
fn an_id_is_claimed_once_and_never_after_it_was_pruned() {
    let (_top, places) = places();
    let job = new_job(&places);
    assert!(matches!(publish(&places, job.id()), Published::Exists(_)));
    assert_eq!(job.origin().expect("origin").by, "me@here");
    mark_pruned(&places, &job).expect("mark");
    std::fs::remove_dir_all(job.path()).expect("remove");
    // A torn line before ours doesn't hide the ids behind it.
    let day = places.pruned().join(&job.id().time()[..8]);
    let mut file = std::fs::OpenOptions::new().append(true).open(day).expect("open");
    file.write_all(b"2026").expect("write");
    let beside = JobId::derive(job.id().time(), b"beside").expect("an id");
    let other = JobDirectory::of(&places, &beside);
    mark_pruned(&places, &other).expect("mark");
    assert!(is_pruned(&places, other.id()).expect("read"));
    assert!(matches!(publish(&places, job.id()), Published::Pruned));
    assert_eq!(JobDirectory::all(&places).expect("all").len(), 0);
}

#[test]
fn an_id_is_forgotten_a_day_after_its_statement_has_ceased_to_hold() {
    let (_top, places) = places();
    let (by_hand, pushed) = (new_job(&places), new_job(&places));
    let at: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let statement = Statement {
        asks: Asks::Request(Digest::of(b"spec")),
        job: pushed.id().clone(),
        tentacle: Thumbprint::of_certificate(b"tentacle"),
        pusher: Thumbprint::of_certificate(b"pusher"),
        by: "me@here".into(),
        at,
        until: at + jiff::SignedDuration::from_hours(1),
    };
    std::fs::write(pushed.file("request"), statement.encode()).expect("write");
    for job in [&by_hand, &pushed] {
        mark_pruned(&places, job).expect("mark");
    }
    let hours = |hours| at + jiff::SignedDuration::from_hours(hours);
    let is_pruned = |job: &JobDirectory| is_pruned(&places, job.id()).expect("read");
    assert_eq!(forget_pruned(&places, hours(25)).expect("forget"), 0);
    assert!(is_pruned(&pushed) && is_pruned(&by_hand));
    assert_eq!(forget_pruned(&places, hours(26)).expect("forget"), 1);
    assert!(!is_pruned(&pushed) && is_pruned(&by_hand));
}

#[test]
fn what_a_killed_publisher_left_is_swept_and_what_is_in_the_making_is_not() {
    let (_top, places) = places();
    sweep(&places, SWEEP).expect("nothing there yet");
    let job = new_job(&places);
    let left = places.jobs().join(".octo-tmp-killed");
    std::fs::create_dir(&left).expect("mkdir");
    std::fs::write(left.join("secrets"), "s").expect("write");
    let making = layout::lock_file(&places, "jobs").expect("open");
    making.lock_shared().expect("lock");
    sweep(&places, SWEEP).expect("sweep");
    assert!(left.exists());
    drop(making);
    sweep(&places, SWEEP).expect("sweep");
    assert!(!left.exists() && job.exists());
}

/// A daemon of a job that was pruned may add to its directories, and so hold up the sweep.
#[test]
fn what_is_added_to_while_it_is_swept_keeps_no_job_from_coming() {
    let (_top, places) = places();
    let job = new_job(&places);
    let left = places.jobs().join(".octo-tmp-pruned-x");
    for name in 0..5000 {
        std::fs::create_dir_all(left.join(name.to_string())).expect("mkdir");
    }
    let count = || std::fs::read_dir(&left).map_or(0, Iterator::count);
    let is_free = std::thread::scope(|scope| {
        let sweeping = scope.spawn(|| sweep(&places, PATIENCE));
        while count() == 5000 && !sweeping.is_finished() {
            std::thread::yield_now();
        }
        let making = layout::lock_file(&places, "jobs").expect("open");
        let is_free = making.try_lock_shared().is_ok();
        sweeping.join().expect("swept").expect("swept");
        is_free
    });
    assert!(is_free && job.exists() && !left.exists());
}

#[test]
fn the_state_is_read_off_files_and_off_who_lives() {
    let (_top, places) = places();
    let (job, own) = (new_job(&places), Leader::this_process());
    let dead = Leader { ticks: own.ticks + 1, ..own.clone() };
    assert_eq!(job.state().expect("state"), State::Queued);
    let held = Record::new().with("digest", Digest::of(b"this"));
    job.publish_record("held", &held).expect("held");
    assert_eq!(job.state().expect("state"), State::Held);
    job.publish_bytes("approved", (held.encode() + "operator ann 1\n").as_bytes()).expect("ok");
    assert_eq!(job.state().expect("state"), State::Queued);
    let waiting = || Record::new().with("holder", "job x");
    job.publish_record("waiting", &dead.add_to(waiting())).expect("waiting");
    assert_eq!(job.state().expect("state"), State::Queued);
    job.publish_record("waiting", &own.add_to(waiting())).expect("waiting");
    assert_eq!(job.state().expect("state"), State::Waiting(Some("job x".into())));
    job.publish_record("started", &own.add_to(Record::new())).expect("started");
    assert_eq!(job.state().expect("state"), State::Running);
    job.publish_record("started", &dead.add_to(Record::new())).expect("started");
    assert_eq!(job.state().expect("state"), State::Lost);
    let lock = job.try_hold().expect("lock").expect("free");
    assert!(job.try_hold().expect("lock").is_none());
    let end = lost(&job, &lock, "killed", vec![]).expect("settle");
    job.publish_end(&end, None, None).expect("published");
    assert_eq!(job.state().expect("state"), State::Over(end));
}

#[test]
fn followers_get_every_byte_once_from_any_offset() {
    let (_top, places) = places();
    let job = new_job(&places);
    let mut live = Follower::new(None, &places, &job, 0).expect("follower");
    assert_eq!(drain(&mut live), vec![Event::State(State::Queued)]);
    let started = Leader::this_process().add_to(Record::new());
    job.publish_record("started", &started).expect("started");
    let mut log = LogWriter::create(&job, 1000, None).expect("log");
    log.append(Stream::Out, b"hello ").expect("append");
    log.append(Stream::Err, b"world").expect("append");
    let events = drain(&mut live);
    assert_eq!(events.len(), 3, "{events:?}");
    log.append(Stream::Out, b"123456789").expect("append");
    let finished = log.finish();
    assert_eq!((finished.length, finished.truncated), (20, false));
    assert!(finished.trouble.is_none());
    job.publish_record("end", &End::now(EndKind::Exit(3), 20).record()).expect("end");
    let rest = drain(&mut live);
    assert!(matches!(&rest[..], [Event::Output(_), Event::End(_)]), "{rest:?}");
    let whole = std::fs::read(job.file("log")).expect("read");
    for offset in 0..=20 {
        let mut bytes = Vec::new();
        let mut ended = false;
        for event in drain(&mut Follower::new(None, &places, &job, offset).expect("follower")) {
            match event {
                Event::Output(chunk) => bytes.extend_from_slice(&chunk.bytes),
                Event::End(end) => ended = end.kind == EndKind::Exit(3),
                Event::State(state) => panic!("{state:?}"),
            }
        }
        assert!(ended);
        assert_eq!(bytes, whole[offset as usize..]);
    }
}

#[test]
fn an_entry_of_the_spool_is_followed_to_its_job_or_to_its_refusal() {
    let (_top, places) = places();
    layout::make(&places).expect("made");
    let followed = |id: &JobId| {
        let job = JobDirectory::of(&places, id);
        let mut live = Follower::new(None, &places, &job, 0).expect("follower");
        assert_eq!(drain(&mut live), vec![Event::State(State::Queued)]);
        live
    };
    let id = JobId::generate().expect("id");
    let mut live = followed(&id);
    assert!(matches!(publish(&places, &id), Published::New(_)));
    assert_eq!(drain(&mut live), vec![]);
    let job = JobDirectory::of(&places, &id);
    job.publish_record("end", &End::now(EndKind::Exit(3), 0).record()).expect("end");
    assert!(matches!(&drain(&mut live)[..], [Event::End(_)]));

    let id = JobId::generate().expect("id");
    let mut live = followed(&id);
    let end = End::denied(crate::Exit::Refused, "nobody signed it");
    let refused = Refused::new(end.clone());
    refuse(&places, id.as_str(), &refused).expect("refused");
    assert_eq!(drain(&mut live), vec![Event::End(end)]);
    assert_eq!(Refused::of(&places, &id).expect("read"), Some(refused));
}

#[test]
fn the_newest_notes_are_kept_and_those_that_are_still_needed() {
    let (_top, places) = places();
    layout::make(&places).expect("made");
    layout::make_for_listener(&places, layout::Owner::this_process()).expect("made");
    let refused = Refused::new(End::denied(crate::base::error::Exit::Data, "no"));
    let ids: Vec<JobId> = (0..1005).map(|_| JobId::generate().expect("id")).collect();
    // Statements of which one holds, one has ceased to a little ago, and one long ago.
    for (id, hours) in [(&ids[0], 1), (&ids[1], -23), (&ids[2], -25)] {
        let until = Some(jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours));
        refuse(&places, id.as_str(), &Refused { until, ..refused.clone() }).expect("noted");
    }
    for (age, id) in (0..).zip(ids.iter().rev()) {
        let path = places.refused().join(id.as_str());
        let note = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("open");
        let time = std::time::SystemTime::now() - Duration::from_secs(10 + age);
        note.set_modified(time).expect("a time");
    }
    std::fs::write(places.spool().join(ids[4].as_str()), "odd").expect("write");
    let last = JobId::generate().expect("id");
    refuse(&places, last.as_str(), &refused).expect("noted");
    let is_noted = |id: &JobId| places.refused().join(id.as_str()).exists();
    assert_eq!(
        ids[..8].iter().map(is_noted).collect::<Vec<_>>(),
        [true, true, false, false, true, false, true, true]
    );
    assert!(is_noted(&last));
}

#[test]
fn a_line_that_was_torn_and_taken_back_is_not_half_read() {
    let (_top, places) = places();
    let job = new_job(&places);
    let mut log = LogWriter::create(&job, 100, None).expect("log");
    log.append(Stream::Out, b"abc").expect("append");
    let index = job.file("index");
    let whole = std::fs::read(&index).expect("read");
    let mut reader = LogReader::open(&job, 0).expect("open").expect("there");
    assert_eq!(reader.next_chunk().expect("read").expect("a piece").bytes, b"abc");
    std::fs::write(&index, [&whole[..], b"3 99 ou"].concat()).expect("write");
    assert_eq!(reader.next_chunk().expect("read"), None);
    std::fs::write(&index, &whole).expect("write");
    log.append(Stream::Err, b"de").expect("append");
    let piece = reader.next_chunk().expect("read").expect("a piece");
    assert_eq!((piece.stream, &piece.bytes[..]), (Stream::Err, &b"de"[..]));
}

#[test]
fn a_reader_names_the_file_that_is_damaged() {
    let (_top, places) = places();
    let job = new_job(&places);
    let mut log = LogWriter::create(&job, 100, None).expect("log");
    log.append(Stream::Out, b"abc").expect("append");
    let refused = || {
        let mut reader = LogReader::open(&job, 0).expect("open").expect("there");
        reader.next_chunk().expect_err("damaged").message
    };
    let is_of =
        |name: &str, said: &str| said.starts_with(&format!("{}: ", job.file(name).display()));
    std::fs::write(job.file("log"), b"a").expect("write");
    assert!(is_of("log", &refused()), "{}", refused());
    std::fs::write(job.file("index"), b"0 3 mid 0\n").expect("write");
    assert!(is_of("index", &refused()), "{}", refused());
}

#[test]
fn a_dead_writers_last_bytes_are_kept() {
    let (_top, places) = places();
    let job = new_job(&places);
    let mut log = LogWriter::create(&job, 100, None).expect("log");
    log.append(Stream::Err, b"abc").expect("append");
    let append = |name, bytes: &[u8]| {
        let mut file = std::fs::OpenOptions::new().append(true).open(job.file(name)).expect("open");
        file.write_all(bytes).expect("write");
    };
    append("log", b"def");
    append("index", b"3 3 ou");
    assert_eq!(log::settle(&job).expect("settle"), 6);
    let index = std::fs::read_to_string(job.file("index")).expect("read");
    assert!(index.ends_with("\n3 3 out 0\n"), "{index}");
}

/// A byte a piece costs more in the index than in the log: both are within the limit, and
/// nothing comes behind a gap.
#[test]
fn log_and_index_together_keep_to_the_limit() {
    for limit in [0, 1, 10, 11, 12, 100, 1000, 4096] {
        for piece in [1, 7, 5000] {
            let (_top, places) = places();
            let job = new_job(&places);
            let mut log = LogWriter::create(&job, limit, None).expect("log");
            let sent: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
            sent.chunks(piece).for_each(|piece| log.append(Stream::Out, piece).expect("append"));
            let length = |name| job.file(name).metadata().expect("stat").len();
            let all = length("log") + length("index");
            assert!(all <= limit, "{all} of {limit}");
            assert!(all + 40 + piece.min(40) as u64 > limit, "{all} of {limit}");
            assert!(log.finish().truncated);
            let kept = std::fs::read(job.file("log")).expect("read");
            assert_eq!(kept, sent[..kept.len()]);
        }
    }
}

/// Room for two pieces; says why there is no more.
#[derive(Debug, Default)]
struct Narrow {
    asked: std::cell::RefCell<Vec<(u64, u64)>>,
}

impl Room for Narrow {
    fn claim(&self, length: u64, wanted: u64) -> crate::Result<(u64, Box<dyn std::fmt::Debug>)> {
        self.asked.borrow_mut().push((length, wanted));
        match wanted {
            ..=40 => Ok((40, Box::new(()))),
            _ => Err(crate::Error::new(crate::Exit::Io, "log", "no room")),
        }
    }
}

#[test]
fn a_log_asks_for_room_and_ends_where_there_is_none() {
    let (_top, places) = places();
    let job = new_job(&places);
    let room = std::rc::Rc::new(Narrow::default());
    let asks = std::rc::Rc::clone(&room) as std::rc::Rc<dyn Room>;
    let mut log = LogWriter::create(&job, 1000, Some(asks)).expect("log");
    log.append(Stream::Out, b"123").expect("room");
    log.append(Stream::Out, b"4").expect("room");
    let error = log.append(Stream::Out, &[b'x'; 40]).expect_err("no room");
    assert!(error.message.contains("no room"), "{error}");
    // Said once; a smaller piece would fit, and leave a gap.
    log.append(Stream::Out, b"5").expect("dropped");
    assert_eq!(std::fs::read(job.file("log")).expect("read"), b"1234");
    assert!(log.finish().truncated);
    let asked = room.asked.borrow();
    assert_eq!((asked.len(), asked[0].0), (2, 0), "{asked:?}");
}

/// Others have what says whether there is room.
#[derive(Debug, Default)]
struct Busy {
    for_so_often: std::cell::Cell<u32>,
}

impl Room for Busy {
    fn claim(&self, _: u64, wanted: u64) -> crate::Result<(u64, Box<dyn std::fmt::Debug>)> {
        let left = self.for_so_often.get();
        self.for_so_often.set(left.saturating_sub(1));
        match left {
            0 => Ok((wanted, Box::new(()))),
            _ => Err(crate::Error::new(crate::Exit::Temporary, "log", "not now")),
        }
    }
}

/// Also of a piece that passes the limit.
#[test]
fn what_comes_again_once_there_is_room_leaves_no_gap() {
    let (_top, places) = places();
    let job = new_job(&places);
    let room = std::rc::Rc::new(Busy::default());
    let asks = std::rc::Rc::clone(&room) as std::rc::Rc<dyn Room>;
    let mut log = LogWriter::create(&job, 100, Some(asks)).expect("log");
    for (piece, kept) in [(&b"12"[..], 2), (b"345", 5), (&[b'x'; 200], 60)] {
        room.for_so_often.set(3);
        for _ in 0..3 {
            let error = log.append(Stream::Out, piece).expect_err("not now");
            assert_eq!(error.exit, crate::Exit::Temporary);
        }
        log.append(Stream::Out, piece).expect("room");
        let length = job.file("log").metadata().expect("stat").len();
        assert!(length >= kept, "{length}");
    }
    assert!(log.finish().truncated);
}
