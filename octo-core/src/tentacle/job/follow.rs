//! Following a job: one code path for the listener and for octo-exec run, live
//! and after the end, from any offset, by any number of followers.

use super::log::LogReader;
use super::{End, JobDirectory, Refused, State};
use crate::base::error::{Error, Result};
use crate::base::paths::Places;
use crate::base::watch::{Watch, is_out_of_watches};
use crate::base::watches::{News, Watches};
use rustix::fs::inotify::WatchFlags;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often a follower looks whom the kernel doesn't wake.
const EVERY: Duration = Duration::from_millis(50);

/// Everything is published by rename.
const APPEARS: WatchFlags =
    WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(WatchFlags::ONLYDIR);

/// What a job's state and output are read off. The index grows by writes, each behind one to
/// the log.
const OF_A_JOB: News = News {
    events: APPEARS.union(WatchFlags::MODIFY),
    names: &["index", "end", "started", "waiting", "held", "approved"],
};

/// The watches of STATE/jobs and STATE/refused.
type Spooled = [Option<i32>; 2];

/// Watches for what octo-exec makes of an entry of the spool. Whether that is there by
/// now is looked at behind it: from here on nothing is missed.
fn await_job(watches: Option<&Arc<Watches>>, places: &Places) -> Result<(Watch, Option<Spooled>)> {
    let (jobs, refused) = (places.jobs(), places.refused());
    let failed = |path: &Path, e: io::Error| Error::doing("watch", path, &e);
    let watch = Watch::new(watches, &jobs, APPEARS, EVERY).map_err(|e| failed(&jobs, e))?;
    // The first is watched already, and says so once more.
    let add = |path: &Path| watch.add(path, APPEARS).map_err(|e| failed(path, e));
    let spooled = [add(&jobs)?, add(&refused)?];
    Ok((watch, Some(spooled)))
}

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
    places: Places,
    job: JobDirectory,
    watch: Watch,
    /// While the job is in the spool: it is not watched itself.
    spooled: Option<Spooled>,
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
    /// A follower that begins at this offset of the log. The job may still be in the
    /// spool: then what octo-exec makes of it is waited for. Who follows many has one
    /// instance for them all.
    ///
    /// # Errors
    /// Where no descriptors are left (exit 74), or the job is gone.
    pub fn new(
        watches: Option<&Arc<Watches>>,
        places: &Places,
        job: &JobDirectory,
        offset: u64,
    ) -> Result<Follower> {
        let (watch, spooled) = match Watch::new(watches, job.path(), OF_A_JOB, EVERY) {
            Ok(watch) => (watch, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => await_job(watches, places)?,
            Err(error) => return Err(Error::doing("watch", job.path(), &error)),
        };
        Ok(Follower {
            places: places.clone(),
            job: job.clone(),
            watch,
            spooled,
            death: None,
            reader: None,
            offset,
            shown: None,
            end: None,
            over: false,
        })
    }

    /// Has the job been taken over? From then on it alone is watched.
    fn has_come(&mut self) -> Result<bool> {
        let Some(spooled) = self.spooled else { return Ok(true) };
        if !self.job.exists() {
            return Ok(false);
        }
        let failed = |e: io::Error| Error::doing("watch", self.job.path(), &e);
        match self.watch.add(self.job.path(), OF_A_JOB) {
            Err(error) if is_out_of_watches(&error) => {
                self.watch = Watch::timer(EVERY).map_err(failed)?;
            }
            added => {
                added.map_err(failed)?;
                spooled.into_iter().for_each(|watched| self.watch.forget(watched));
            }
        }
        self.spooled = None;
        Ok(true)
    }

    /// The state of an entry that is no job yet, or never becomes one.
    fn spooled_state(&self) -> Result<State> {
        let refused = Refused::of(&self.places, self.job.id())?;
        Ok(refused.map_or(State::Queued, |refused| State::Over(refused.end)))
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
            let came = self.has_come()?;
            let mut state = if came { self.job.state()? } else { self.spooled_state()? };
            if state == State::Running && !self.observes_death() {
                // It died between the two looks, and nothing would wake us.
                state = self.job.state()?;
            }
            if state != State::Running {
                // One that is dead would wake us for ever.
                self.death = None;
            }
            if came && self.reader.is_none() {
                self.reader = LogReader::open(&self.job, self.offset)?;
            }
            if let State::Over(end) = state {
                self.end = Some(end);
            } else if self.shown.as_ref() != Some(&state) {
                self.shown = Some(state.clone());
                return Ok(Some(Event::State(state)));
            }
        }
    }

    /// Does it look every so often, as the kernel wakes nobody?
    pub fn is_timed(&self) -> bool {
        self.watch.is_timer()
    }

    /// The descriptors whose readability means that something may be new.
    pub fn wait_on(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.watch.as_fd()).chain(self.death.as_ref().map(AsFd::as_fd))
    }

    /// A killed octo-exec writes nothing: its process is watched as well, while it lives.
    fn observes_death(&mut self) -> bool {
        if self.death.is_none() {
            self.death = self.job.leader().and_then(|leader| leader.watch());
        }
        self.death.is_some()
    }
}
