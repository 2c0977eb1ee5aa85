//! In what state a job is: read off its files and its lock.
//!
//! ```text
//! no `started`                 queued, or held (`held` without `approved`), or
//!                              waiting (for a named lock: its octo-exec lives)
//! `started`, lock held         running
//! `started`, lock free         lost, until somebody writes the `end` that says so
//! `end`                        over
//! ```

use super::{End, JobDirectory};
use crate::base::error::{Error, Result};
use std::fs::{File, TryLockError};
use std::time::{Duration, Instant};

/// A job's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Waits for a local operator's approval.
    Held,
    /// Waits for somebody to start it.
    Queued,
    /// Its octo-exec waits for a named lock, held by whom it says.
    Waiting(Option<String>),
    /// Runs.
    Running,
    /// Was started, and nobody runs it: its end is still to be written.
    Lost,
    /// Is over.
    Over(End),
}

impl State {
    /// The word of the wire and of lists.
    pub fn word(&self) -> &'static str {
        match self {
            State::Held => "held",
            State::Queued => "queued",
            State::Waiting(_) => "waiting",
            State::Running => "running",
            State::Lost => "lost",
            State::Over(end) => end.kind.word(),
        }
    }
}

/// The right to run or to end a job: an exclusive kernel lock on its `lock`
/// file, free again the moment its holder dies.
#[derive(Debug)]
pub struct JobLock {
    file: File,
}

impl JobLock {
    /// The lock file that is held.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// Observers hold the lock shared for a moment; a starter tries this long.
const STARTER_PATIENCE: Duration = Duration::from_secs(2);

impl JobDirectory {
    /// The job's state as it is now.
    ///
    /// # Errors
    /// Where its files can't be read.
    pub fn state(&self) -> Result<State> {
        if let Some(end) = self.end()? {
            return Ok(State::Over(end));
        }
        let started = self.open("started")?.is_some();
        let Some(_free) = self.lock_unless_held()? else {
            if started {
                return Ok(State::Running);
            }
            let waiting = self.record("waiting")?;
            return Ok(match waiting {
                Some(record) => State::Waiting(record.first("holder").map(str::to_string)),
                None => self.unstarted()?,
            });
        };
        // Between the first look and the lock the job may have started or ended;
        // while the lock is ours nobody starts it.
        if let Some(end) = self.end()? {
            return Ok(State::Over(end));
        }
        if self.open("started")?.is_some() {
            return Ok(State::Lost);
        }
        self.unstarted()
    }

    fn unstarted(&self) -> Result<State> {
        let held = self.open("held")?.is_some() && self.open("approved")?.is_none();
        Ok(if held { State::Held } else { State::Queued })
    }

    fn lock_file(&self) -> Result<File> {
        let path = self.file("lock");
        let opened = self.open("lock")?;
        opened.ok_or_else(|| Error::io(&path, &std::io::ErrorKind::NotFound.into()))
    }

    /// The lock, shared; `None` where somebody holds it.
    fn lock_unless_held(&self) -> Result<Option<File>> {
        let file = self.lock_file()?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io(&self.file("lock"), &error)),
        }
    }

    /// Takes the right to run or to end the job; `None` if somebody has it.
    ///
    /// # Errors
    /// Where the lock file can't be used.
    pub fn try_hold(&self) -> Result<Option<JobLock>> {
        let file = self.lock_file()?;
        let deadline = Instant::now() + STARTER_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(JobLock { file })),
                Err(TryLockError::Error(error)) => {
                    return Err(Error::io(&self.file("lock"), &error));
                }
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

/// Creates a lock file; for publishers.
pub(super) fn create_lock(path: &std::path::Path) -> std::io::Result<()> {
    crate::base::publish::create_new(path, 0o640).map(drop)
}
