//! In what state a job is: read off its files, and off whether the process lives that
//! they name. No lock is tested: one who only looks could hold it, and keep the job
//! from its start.
//!
//! ```text
//! no `started`                   queued, or held (`held`, and too few in `approved`), or
//!                                waiting (for a named lock: its octo-exec lives)
//! `started`, its leader lives    running
//! `started`, its leader is gone  lost, until octo-exec writes the `end` that says so
//! `end`                          over
//! ```

use super::{End, JobDirectory};
use crate::base::error::{Error, Result};
use crate::base::leader::Leader;
use crate::tentacle::approval;
use std::fs::{File, TryLockError};
use std::time::{Duration, Instant};

/// A job's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Waits for somebody's approval.
    Held,
    /// Waits for somebody to start it.
    Queued,
    /// Its octo-exec waits for a named lock, held by whom it says.
    Waiting(Option<String>),
    /// Runs.
    Running,
    /// Was started, and nobody seems to run it: its end is still to be written.
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
    _file: File,
}

/// Whoever denies or prunes a job holds its lock for a moment, and so does an octo-exec
/// that ends; this long is tried.
const STARTER_PATIENCE: Duration = Duration::from_secs(10);

impl JobDirectory {
    /// The job's state as it is now.
    ///
    /// # Errors
    /// Where its files can't be read.
    pub fn state(&self) -> Result<State> {
        if let Some(end) = self.end()? {
            return Ok(State::Over(end));
        }
        if let Some(started) = self.record("started")? {
            if Leader::of(&started).is_some_and(|leader| leader.is_alive()) {
                return Ok(State::Running);
            }
            // It may have ended between the two looks: the end comes before the death.
            return Ok(self.end()?.map_or(State::Lost, State::Over));
        }
        if let Some(waiting) = self.record("waiting")?
            && Leader::of(&waiting).is_some_and(|leader| leader.is_alive())
        {
            return Ok(State::Waiting(waiting.first("holder").map(str::to_string)));
        }
        let Some(held) = self.record("held")? else { return Ok(State::Queued) };
        let is_approved = approval::is_enough(&held, self.record("approved")?.as_ref());
        Ok(if is_approved { State::Queued } else { State::Held })
    }

    /// The process that brings the job forward, where one says so.
    pub(super) fn leader(&self) -> Option<Leader> {
        self.record("started").ok().flatten().and_then(|started| Leader::of(&started))
    }

    /// Takes the right to run or to end the job; `None` if somebody has it.
    ///
    /// # Errors
    /// Where the lock file can't be used: it is octo-exec's alone.
    pub fn try_hold(&self) -> Result<Option<JobLock>> {
        let path = self.file("lock");
        let opened = self.open("lock")?;
        let file = opened.ok_or_else(|| Error::io(&path, &std::io::ErrorKind::NotFound.into()))?;
        let deadline = Instant::now() + STARTER_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(JobLock { _file: file })),
                Err(TryLockError::Error(error)) => return Err(Error::io(&path, &error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}
