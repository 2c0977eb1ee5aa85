//! The job directory: one run, in files that a sysadmin can read with ls and cat.
//!
//! octo-job(5) is the page for it. Who writes what:
//!
//! ```text
//! octo-listen, octo-exec run   request spec script secrets lock     published by one rename
//! anyone who may                cancel, approved, denied            published files of their own
//! octo-exec job                 grant held waiting started log index end package work/ artifacts/
//! ```
//!
//! A job's state is read off these files; that somebody runs it is a held kernel
//! lock on `lock`, never a process id. Nothing here decides what is permitted.

mod end;
mod follow;
mod log;
mod publish;
mod state;

pub use end::{End, EndKind};
pub use follow::{Event, Follower};
pub use log::{Chunk, Finished, LogReader, LogWriter, MAXIMUM_CHUNK, Stream};
pub use publish::{NewJob, Published, is_pruned, mark_pruned, sweep};
pub use state::{JobLock, State};

use crate::base::digest::Digest;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::{JobId, PusherName};
use crate::base::paths::{Places, read_bounded};
use crate::base::record::Record;
use crate::base::thumbprint::Thumbprint;
use crate::tentacle::spec::Spec;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Records other than the spec are small; a larger one is not ours.
const MAXIMUM_RECORD: u64 = 1 << 20;

/// The directory of one job; the job may not exist.
#[derive(Debug, Clone)]
pub struct JobDirectory {
    id: JobId,
    path: PathBuf,
}

/// What the publisher of a job wrote down about who asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who asked; absent for a job that was started on this machine by hand.
    pub pusher: Option<Pusher>,
    /// user@host as the asker claims: shown, never used to decide.
    pub by: String,
    /// When it was received, RFC 3339.
    pub received: String,
}

/// An authenticated pusher, as the listener saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pusher {
    /// Its thumbprint.
    pub thumbprint: Thumbprint,
    /// Its name in the trust file when it asked.
    pub name: PusherName,
    /// Where it connected from, if that is known.
    pub address: Option<IpAddr>,
}

impl JobDirectory {
    /// The directory that a job has or would have.
    pub fn of(places: &Places, id: &JobId) -> JobDirectory {
        JobDirectory { id: id.clone(), path: places.jobs().join(id.as_str()) }
    }

    /// The job in this directory, which must be named by its id.
    ///
    /// # Errors
    /// Exit 64 if the last component is no job id.
    pub fn at(path: &Path) -> Result<JobDirectory> {
        let name = path.file_name().and_then(|n| n.to_str()).and_then(JobId::parse);
        let id =
            name.ok_or_else(|| Error::new(Exit::Usage, path.display(), "not a job directory"))?;
        Ok(JobDirectory { id, path: path.to_path_buf() })
    }

    /// All jobs of a state directory, by id, that is, by the time they claim.
    ///
    /// # Errors
    /// Where the directory can't be read; one that isn't there holds no jobs.
    pub fn all(places: &Places) -> Result<Vec<JobDirectory>> {
        let directory = places.jobs();
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|e| Error::io(&directory, &e))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io(&directory, &e))?;
            ids.extend(entry.file_name().to_str().and_then(JobId::parse));
        }
        ids.sort();
        Ok(ids.into_iter().map(|id| JobDirectory::of(places, &id)).collect())
    }

    /// The job's id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Is it there?
    pub fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// The spec's bytes.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn spec_bytes(&self) -> Result<Vec<u8>> {
        let path = self.file("spec");
        let bytes = self.read("spec", crate::tentacle::spec::MAXIMUM)?;
        bytes.ok_or_else(|| Error::new(Exit::Data, path.display(), "missing"))
    }

    /// The spec and its sha256.
    ///
    /// # Errors
    /// Where it can't be read or understood.
    pub fn spec(&self) -> Result<(Spec, Digest)> {
        let bytes = self.spec_bytes()?;
        let spec = Spec::parse(&bytes)
            .map_err(|e| Error::new(Exit::Data, self.file("spec").display(), e.reason))?;
        Ok((spec, Digest::of(&bytes)))
    }

    /// Who asked for the job.
    ///
    /// # Errors
    /// Where it can't be read or understood.
    pub fn request(&self) -> Result<Request> {
        let missing = || Error::new(Exit::Data, self.file("request").display(), "not of the form");
        let record = self.record("request")?.ok_or_else(missing)?;
        Request::of(&record).ok_or_else(missing)
    }

    /// The job's end, if it has one.
    ///
    /// # Errors
    /// Where it can't be read or understood.
    pub fn end(&self) -> Result<Option<End>> {
        let Some(record) = self.record("end")? else { return Ok(None) };
        let end = End::of(&record);
        end.map(Some)
            .ok_or_else(|| Error::new(Exit::Data, self.file("end").display(), "not of the form"))
    }

    /// The name of the pusher whose job this is: as granted, else as asked.
    /// `None` for a job of this machine.
    ///
    /// # Errors
    /// Where the records can't be read.
    pub fn owner(&self) -> Result<Option<PusherName>> {
        if let Some(grant) = self.record("grant")? {
            return Ok(grant.first("name").and_then(PusherName::parse));
        }
        Ok(self.request()?.pusher.map(|p| p.name))
    }

    /// One of the job's records, if it is there.
    ///
    /// # Errors
    /// Where it can't be read, or is not a record.
    pub fn record(&self, name: &str) -> Result<Option<Record>> {
        let Some(bytes) = self.read(name, MAXIMUM_RECORD)? else { return Ok(None) };
        Record::parse(&bytes).map(Some).map_err(|line| {
            Error::new(
                Exit::Data,
                format!("{}:{line}", self.file(name).display()),
                "not of the form",
            )
        })
    }

    /// Publishes one of the job's records under its name, for good.
    ///
    /// # Errors
    /// Exit 73 or 74.
    pub fn publish_record(&self, name: &str, record: &Record) -> Result<()> {
        crate::base::publish::replace(&self.file(name), record.encode().as_bytes(), 0o640)
    }

    /// Asks for the job's cancellation; whoever runs it sees the file appear.
    ///
    /// # Errors
    /// Exit 73 or 74. A job that was cancelled before, or is over, is no error.
    pub fn cancel(&self, by: &str) -> Result<()> {
        let mut record = Record::new();
        record.text("by", by);
        record.text("at", crate::base::cli::utc_now());
        let record = record.encode();
        let ask = || crate::base::publish::create(&self.file("cancel"), record.as_bytes(), 0o640);
        // Whoever ends a lost job or takes one over from its publisher sweeps its
        // directory, once: then the file in the making is gone, and is made anew.
        let asked = ask().or_else(|_| ask());
        match asked {
            Err(_) if matches!(self.end(), Ok(Some(_))) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Opens a file of the job for reading, never through a link.
    ///
    /// # Errors
    /// Where it is there and can't be opened, or is not a regular file.
    pub fn open(&self, name: &str) -> Result<Option<File>> {
        let path = self.file(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(Error::io(&path, &error.into())),
        };
        let metadata = file.metadata().map_err(|e| Error::io(&path, &e))?;
        if !metadata.is_file() {
            return Err(Error::new(Exit::Data, path.display(), "is not a regular file"));
        }
        Ok(Some(file))
    }

    /// Reads a file of the job, if it is there, up to a bound.
    ///
    /// # Errors
    /// As [`JobDirectory::open`], or where it is larger.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.open(name)? {
            Some(mut file) => read_bounded(&mut file, &self.file(name), limit).map(Some),
            None => Ok(None),
        }
    }
}

impl Request {
    /// The record that is written down.
    pub fn record(&self) -> Record {
        let mut record = Record::new();
        if let Some(pusher) = &self.pusher {
            record.text("thumbprint", pusher.thumbprint);
            record.text("name", &pusher.name);
            if let Some(address) = pusher.address {
                record.text("address", address);
            }
        }
        record.text("by", &self.by);
        record.text("received", &self.received);
        record
    }

    fn of(record: &Record) -> Option<Request> {
        let pusher = match record.first("thumbprint") {
            None => None,
            Some(thumbprint) => Some(Pusher {
                thumbprint: Thumbprint::parse(thumbprint).ok()?,
                name: PusherName::parse(record.first("name")?)?,
                address: match record.first("address") {
                    Some(address) => Some(address.parse().ok()?),
                    None => None,
                },
            }),
        };
        Some(Request {
            pusher,
            by: record.first("by")?.to_string(),
            received: record.first("received")?.to_string(),
        })
    }
}

/// Ends a job that was started and that nobody runs any more: closes its log and
/// writes `end kind=lost`. For the holder of the job's lock, who has made sure
/// that nobody of it is left.
///
/// # Errors
/// Where the record can't be written.
pub fn settle_lost(
    job: &JobDirectory,
    _held: &JobLock,
    reason: &str,
    strays: Vec<String>,
) -> Result<End> {
    let length = log::settle(job)?;
    let mut end = End::now(EndKind::Lost, length);
    end.reason = Some(reason.to_string());
    end.strays = strays;
    job.publish_record("end", &end.record())?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn places() -> (tempfile::TempDir, Places) {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        (top, places)
    }

    fn publish(places: &Places, id: &JobId) -> Published {
        let request =
            Request { pusher: None, by: "me@here".into(), received: crate::base::cli::utc_now() };
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
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(places.jobs().join("pruned"))
            .expect("open");
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
        let mut waiting = Record::new();
        waiting.text("holder", "job x");
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
    fn a_dead_writers_last_bytes_are_kept() {
        let (_top, places) = places();
        let job = new_job(&places);
        let mut log = LogWriter::create(&job, 100).expect("log");
        log.append(Stream::Err, b"abc").expect("append");
        let append = |name, bytes: &[u8]| {
            let mut file =
                std::fs::OpenOptions::new().append(true).open(job.file(name)).expect("open");
            file.write_all(bytes).expect("write");
        };
        append("log", b"def");
        append("index", b"3 3 ou");
        assert_eq!(log::settle(&job).expect("settle"), 6);
        let index = std::fs::read_to_string(job.file("index")).expect("read");
        assert!(index.ends_with("\n3 3 out 0\n"), "{index}");
    }
}
