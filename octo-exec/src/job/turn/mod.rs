//! A job's turn: it takes its named locks one by one, in the order of its spec,
//! and waits for each of them.

mod locks;

use super::settle;
use super::watch::{JobWatch, is_readable};
use crate::admission::unstarted::Unstarted;
use locks::{FirstLook, HeldLock, Waiting};
use octo_core::base::cli::Tool;
use octo_core::base::error::Exit;
use octo_core::base::leader::Leader;
use octo_core::base::paths::Places;
use octo_core::base::record::Record;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spec::LockRequest;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// A job that waits for its turn.
pub(crate) struct Turn<'a> {
    pub(crate) tool: &'a Tool,
    pub(crate) places: &'a Places,
    pub(crate) job: &'a JobDirectory,
    pub(crate) watch: &'a JobWatch,
    /// How the locks' files name it.
    pub(crate) pusher: &'a str,
    /// The longest wait for a lock, whatever is asked for.
    pub(crate) longest: Option<Duration>,
}

/// The locks of a job, held until this is dropped.
pub(crate) struct Locks {
    _held: Vec<HeldLock>,
    /// Time has passed: what was permitted before may not be any more.
    pub(crate) waited: bool,
}

impl Turn<'_> {
    /// Takes all of them.
    ///
    /// # Errors
    /// Where one isn't free in time, or the job is cancelled meanwhile.
    pub(crate) fn take(&self, wanted: &[LockRequest]) -> Result<Locks, Unstarted> {
        let mut held = Vec::new();
        let mut waited = false;
        for request in wanted {
            let longest = self.longest.map_or(request.wait, |limit| request.wait.min(limit));
            let until = Instant::now() + longest;
            let mut lock = match locks::take(self.places, request)? {
                FirstLook::Taken(lock) => lock,
                FirstLook::Waiting(holder, waiting) => {
                    waited = true;
                    self.wait(request, holder, waiting, until)?
                }
            };
            if let Some(before) = lock.sign(self.job.id(), self.pusher)?
                && let Some((job, held)) = locks::unsettled(self.places, &before, request.shared)?
            {
                // Its script may have outlived its octo-exec: never two at once.
                settle::lost(self.tool, self.places, &job, &held, None)?;
            }
            held.push(lock);
        }
        let _ = std::fs::remove_file(self.job.file("waiting"));
        Ok(Locks { _held: held, waited })
    }

    fn wait(
        &self,
        wanted: &LockRequest,
        holder: Option<String>,
        waiting: Waiting,
        until: Instant,
    ) -> Result<HeldLock, Unstarted> {
        let holder = holder.unwrap_or_else(|| "somebody".into());
        let record = Record::new().with("lock", &wanted.name).with("holder", &holder);
        let record = Leader::this_process().add_to(record);
        self.job.publish_record("waiting", &record)?;
        loop {
            self.watch.clear();
            if let Some(who) = self.watch.cancelled() {
                return Err(Unstarted::cancelled(who));
            }
            if is_readable(waiting.ready.as_fd()) {
                return Ok(waiting.finish()?);
            }
            if Instant::now() >= until {
                let reason = format!("lock {} is held by {holder}", wanted.name);
                return Err(Unstarted::denied(Exit::Temporary, reason));
            }
            self.watch.wait(&[waiting.ready.as_fd()], Some(until))?;
        }
    }
}
