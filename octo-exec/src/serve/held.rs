//! Jobs that wait for approval: each is looked at once more when it has waited for too
//! long, to be ended.

use crate::admission::approval::expires_in;
use octo_core::JobId;
use octo_core::base::paths::Places;
use octo_core::tentacle::job::{JobDirectory, State};
use std::time::{Duration, Instant};

/// Clocks are set, and machines sleep: behind the moment, never right before it.
const BEHIND: Duration = Duration::from_secs(1);

/// Those that are held, and when they expire.
#[derive(Debug, Default)]
pub(super) struct Held {
    jobs: Vec<(Instant, JobId)>,
}

impl Held {
    /// Notes a held job; false where it has expired, so that it is to be ended.
    pub(super) fn notes(&mut self, job: &JobDirectory) -> bool {
        let Some(left) = expires_in(job) else { return false };
        self.jobs.retain(|(_, other)| other != job.id());
        self.jobs.push((Instant::now() + left + BEHIND, job.id().clone()));
        true
    }

    /// Those that are held no more: approved, denied, cancelled. They are noted no more.
    pub(super) fn changed(&mut self, places: &Places) -> Vec<JobId> {
        let is_held =
            |job: &JobId| matches!(JobDirectory::of(places, job).state(), Ok(State::Held));
        let (held, changed) =
            std::mem::take(&mut self.jobs).into_iter().partition(|(_, job)| is_held(job));
        self.jobs = held;
        let changed: Vec<(Instant, JobId)> = changed;
        changed.into_iter().map(|(_, job)| job).collect()
    }

    /// Is this one noted?
    pub(super) fn holds(&self, job: &JobId) -> bool {
        self.jobs.iter().any(|(_, held)| held == job)
    }

    /// When the next one expires.
    pub(super) fn next(&self) -> Option<Instant> {
        self.jobs.iter().map(|(at, _)| *at).min()
    }

    /// Those that have expired, once.
    pub(super) fn due(&mut self) -> Vec<JobId> {
        let now = Instant::now();
        let due = self.jobs.iter().filter(|(at, _)| *at <= now);
        let due: Vec<JobId> = due.map(|(_, job)| job.clone()).collect();
        self.jobs.retain(|(at, _)| *at > now);
        due
    }
}
