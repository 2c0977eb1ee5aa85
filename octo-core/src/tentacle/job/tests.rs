//! A job's files, states, followers and ends.

use super::log::LogReader;
use super::*;
use crate::base::names::JobId;
use crate::base::paths::Places;
use crate::base::record::Record;
use std::fs::File;
use std::io::Write;

fn places() -> (tempfile::TempDir, Places) {
    let top = tempfile::tempdir().expect("tempdir");
    let places = Places { config: top.path().join("c"), state: top.path().join("s") };
    (top, places)
}

fn publish(places: &Places, id: &JobId) -> Published {
    let request =
        JobRequest { pusher: None, by: "me@here".into(), received: crate::base::cli::utc_now() };
    let new = NewJob {
        id,
        request: &request,
        spec: b"command true\n",
        script: None,
        secrets: Some(b"s"),
    };
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
    assert_eq!(job.request().expect("request").by, "me@here");
    mark_pruned(&places, job.id()).expect("mark");
    std::fs::remove_dir_all(job.path()).expect("remove");
    // A torn line before ours doesn't hide the ids behind it.
    let mut file =
        std::fs::OpenOptions::new().append(true).open(places.jobs().join("pruned")).expect("open");
    file.write_all(b"2026").expect("write");
    let other = JobId::generate().expect("id");
    mark_pruned(&places, &other).expect("mark");
    assert!(is_pruned(&places, &other).expect("read"));
    assert!(matches!(publish(&places, job.id()), Published::Pruned));
    assert_eq!(JobDirectory::all(&places).expect("all").len(), 0);
}

#[test]
fn what_a_killed_publisher_left_is_swept_and_what_is_in_the_making_is_not() {
    let (_top, places) = places();
    sweep(&places).expect("nothing there yet");
    let job = new_job(&places);
    let left = places.jobs().join(".octo-tmp-killed");
    std::fs::create_dir(&left).expect("mkdir");
    std::fs::write(left.join("secrets"), "s").expect("write");
    let making = File::open(places.jobs()).expect("open");
    making.lock_shared().expect("lock");
    sweep(&places).expect("sweep");
    assert!(left.exists());
    drop(making);
    sweep(&places).expect("sweep");
    assert!(!left.exists() && job.exists());
}

#[test]
fn the_state_is_read_off_files_and_lock() {
    let (_top, places) = places();
    let job = new_job(&places);
    assert_eq!(job.state().expect("state"), State::Queued);
    job.publish_record("held", &Record::new()).expect("held");
    assert_eq!(job.state().expect("state"), State::Held);
    job.publish_record("approved", &Record::new()).expect("approved");
    assert_eq!(job.state().expect("state"), State::Queued);
    let lock = job.try_hold().expect("lock").expect("free");
    assert!(job.try_hold().expect("lock").is_none());
    let waiting = Record::new().with("holder", "job x");
    job.publish_record("waiting", &waiting).expect("waiting");
    assert_eq!(job.state().expect("state"), State::Waiting(Some("job x".into())));
    job.publish_record("started", &Record::new()).expect("started");
    assert_eq!(job.state().expect("state"), State::Running);
    drop(lock);
    assert_eq!(job.state().expect("state"), State::Lost);
    let lock = job.try_hold().expect("lock").expect("free");
    let end = settle_lost(&job, &lock, "killed", vec![]).expect("settle");
    assert_eq!(job.state().expect("state"), State::Over(end));
}

#[test]
fn followers_get_every_byte_once_from_any_offset() {
    let (_top, places) = places();
    let job = new_job(&places);
    let _lock = job.try_hold().expect("lock").expect("free");
    let mut live = Follower::new(&job, 0).expect("follower");
    assert_eq!(drain(&mut live), vec![Event::State(State::Queued)]);
    job.publish_record("started", &Record::new()).expect("started");
    let mut log = LogWriter::create(&job, 20).expect("log");
    log.append(Stream::Out, b"hello ").expect("append");
    log.append(Stream::Err, b"world").expect("append");
    let events = drain(&mut live);
    assert_eq!(events.len(), 3, "{events:?}");
    log.append(Stream::Out, b"1234567890").expect("append");
    let finished = log.finish();
    assert_eq!((finished.length, finished.truncated), (20, true));
    assert!(finished.trouble.is_none());
    job.publish_record("end", &End::now(EndKind::Exit(3), 20).record()).expect("end");
    let rest = drain(&mut live);
    assert!(matches!(&rest[..], [Event::Output(_), Event::End(_)]), "{rest:?}");
    let whole = std::fs::read(job.file("log")).expect("read");
    for offset in 0..=20 {
        let mut bytes = Vec::new();
        let mut ended = false;
        for event in drain(&mut Follower::new(&job, offset).expect("follower")) {
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
fn a_line_that_was_torn_and_taken_back_is_not_half_read() {
    let (_top, places) = places();
    let job = new_job(&places);
    let mut log = LogWriter::create(&job, 100).expect("log");
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
    let mut log = LogWriter::create(&job, 100).expect("log");
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
    let mut log = LogWriter::create(&job, 100).expect("log");
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
