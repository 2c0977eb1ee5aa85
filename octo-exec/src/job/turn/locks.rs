//! Named locks: kernel locks on STATE/locks/NAME, held while the job runs.
//!
//! Everybody passes a turnstile (NAME.queue) one by one, and an exclusive waits
//! in it: later shared ones stay behind, so that it is not starved. A lock can't
//! go stale: it dies with its holder. Only the holder's script may outlive it;
//! the next holder settles that job first.

use octo_core::base::error::{Error, Result};
use octo_core::base::paths::{Places, create_directory};
use octo_core::tentacle::job::{JobDirectory, JobLock, State};
use octo_core::tentacle::spec::LockRequest;
use octo_core::{JobId, LockName};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldLock {
    file: File,
    path: PathBuf,
}

/// A try that is under way.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Readable when the lock was taken or can't be.
    pub(crate) ready: OwnedFd,
    thread: std::thread::JoinHandle<io::Result<File>>,
    path: PathBuf,
}

/// What a first look found.
#[derive(Debug)]
pub(crate) enum FirstLook {
    Taken(HeldLock),
    /// Somebody has it: who, and the way to wait for it.
    Waiting(Option<String>, Waiting),
}

/// Takes a lock, or begins to wait for it.
pub(crate) fn take(places: &Places, wanted: &LockRequest) -> Result<FirstLook> {
    create_directory(&places.locks(), 0o700)?;
    let path = path_of(places, &wanted.name);
    let io = |e: io::Error| Error::doing("lock", &path, &e);
    let queue = open(&path.with_file_name(format!("{}.queue", wanted.name))).map_err(io)?;
    let file = open(&path).map_err(io)?;
    let shared = wanted.shared;
    let at_once = queue
        .try_lock()
        .and_then(|()| if shared { file.try_lock_shared() } else { file.try_lock() });
    match at_once {
        Ok(()) => return Ok(FirstLook::Taken(HeldLock { file, path })),
        Err(TryLockError::Error(error)) => return Err(io(error)),
        Err(TryLockError::WouldBlock) => {}
    }
    let holder = holder(&file);
    let (ready, theirs) = io::pipe().map_err(io)?;
    // flock(2) has no time-out: a thread waits, and this process ends with the
    // job whether or not it ever gets it.
    let thread = std::thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(move || {
            let _tells = theirs;
            queue.lock()?;
            if shared {
                file.lock_shared()?
            } else {
                file.lock()?
            }
            Ok(file)
        })
        .map_err(io)?;
    Ok(FirstLook::Waiting(holder, Waiting { ready: ready.into(), thread, path }))
}

impl Waiting {
    /// The lock, once `ready` is readable.
    pub(crate) fn finish(self) -> Result<HeldLock> {
        let result =
            self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the waiter died")));
        let file = result.map_err(|e| Error::doing("lock", &self.path, &e))?;
        Ok(HeldLock { file, path: self.path })
    }
}

impl HeldLock {
    /// Writes down who holds it, for those who wait; says whose it was before.
    pub(crate) fn sign(&mut self, job: &JobId, pusher: &str) -> Result<Option<JobId>> {
        let io = |e: io::Error| Error::doing("write", &self.path, &e);
        let before = holder(&self.file);
        let before = before.and_then(|text| JobId::parse(text.split(' ').next()?));
        self.file.set_len(0).map_err(io)?;
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        self.file.write_all(format!("{job} {pusher}\n").as_bytes()).map_err(io)?;
        Ok(before)
    }
}

/// The last holder, if its octo-exec was killed, so that its script may still
/// run: with the right to end it.
pub(crate) fn unsettled(
    places: &Places,
    before: &JobId,
    shared: bool,
) -> Result<Option<(JobDirectory, JobLock)>> {
    let job = JobDirectory::of(places, before);
    // Beside us, other shared holders live. Alone, nobody of them does: a killed
    // one may only not have let go of its job yet, and is waited for.
    let waits = if shared { job.exists() && job.state()? == State::Lost } else { job.exists() };
    if !waits || job.end()?.is_some() || job.open("started")?.is_none() {
        return Ok(None);
    }
    let held = job.try_hold()?;
    Ok(held.filter(|_| matches!(job.end(), Ok(None))).map(|held| (job, held)))
}

fn path_of(places: &Places, name: &LockName) -> PathBuf {
    places.locks().join(name.as_str())
}

fn open(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn holder(file: &File) -> Option<String> {
    let mut file = file;
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(200).read_to_string(&mut text).ok()?;
    let line = text.lines().next()?.to_string();
    (!line.is_empty()).then_some(line)
}
