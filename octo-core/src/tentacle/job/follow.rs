//! Following a job: one code path for the listener and for octo-exec run, live
//! and after the end, from any offset, by any number of followers.

use super::log::LogReader;
use super::{End, JobDirectory, State};
use crate::base::error::{Error, Result};
use crate::base::watch::Watch;
use rustix::fs::inotify;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How often a follower looks whom the kernel doesn't wake.
const EVERY: Duration = Duration::from_millis(50);

/// What a follower is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The job is in another state than before.
    State(State),
    /// A piece of output, which stands at this offset of the log.
    Output(super::Chunk),
    /// The job is over; nothing comes after it.
    End(End),
}

/// Follows one job. Call [`Follower::next_event`] until it says `None`, then
/// wait until one of [`Follower::wait_on`] is readable, or a time-out, and call again.
#[derive(Debug)]
pub struct Follower {
    job: JobDirectory,
    watch: Watch,
    /// Readable when the job's octo-exec is gone, however it went.
    death: Option<OwnedFd>,
    reader: Option<LogReader>,
    /// Where in the log the reader begins.
    offset: u64,
    shown: Option<State>,
    end: Option<End>,
    over: bool,
}

impl Follower {
    /// A follower that begins at this offset of the log.
    ///
    /// # Errors
    /// Where the kernel gives no more watches (exit 74), or the job is gone.
    pub fn new(job: &JobDirectory, offset: u64) -> Result<Follower> {
        // Everything is published by rename; log and index grow by writes.
        let events = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::ONLYDIR;
        let watch = Watch::new(job.path(), events, EVERY)
            .map_err(|e| Error::doing("watch", job.path(), &e))?;
        Ok(Follower {
            job: job.clone(),
            watch,
            death: None,
            reader: None,
            offset,
            shown: None,
            end: None,
            over: false,
        })
    }

    /// The next thing to tell, or `None` when there is nothing new for now.
    ///
    /// # Errors
    /// Where the job's files can't be read.
    pub fn next_event(&mut self) -> Result<Option<Event>> {
        if self.over {
            return Ok(None);
        }
        let mut looked = false;
        loop {
            if let Some(reader) = &mut self.reader
                && let Some(chunk) = reader.next_chunk()?
            {
                return Ok(Some(Event::Output(chunk)));
            }
            // All output is written before the end: once the end was seen, and
            // the log was read to its end after that, nothing can come.
            if let Some(end) = self.end.take() {
                self.over = true;
                return Ok(Some(Event::End(end)));
            }
            if looked {
                return Ok(None);
            }
            // Wake-ups are taken off before the look, never after it: one that
            // comes in between then wakes us once more.
            self.watch.clear();
            looked = true;
            let state = self.job.state()?;
            if self.reader.is_none() {
                self.reader = LogReader::open(&self.job, self.offset)?;
            }
            if let State::Over(end) = state {
                self.end = Some(end);
            } else if self.shown.as_ref() != Some(&state) {
                self.observe_death(&state);
                self.shown = Some(state.clone());
                return Ok(Some(Event::State(state)));
            }
        }
    }

    /// The descriptors whose readability means that something may be new.
    pub fn wait_on(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.watch.as_fd()).chain(self.death.as_ref().map(AsFd::as_fd))
    }

    /// A killed octo-exec writes nothing: its process is watched as well. The
    /// lock stays the proof; a recycled process id only wakes us once too often.
    fn observe_death(&mut self, state: &State) {
        self.death = None;
        if *state != State::Running {
            return;
        }
        let session = self.job.record("started").ok().flatten().and_then(|r| r.number("session"));
        let process = session.and_then(|s| i32::try_from(s).ok()).and_then(Pid::from_raw);
        self.death = process.and_then(|p| pidfd_open(p, PidfdFlags::empty()).ok());
    }
}
