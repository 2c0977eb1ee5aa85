//! What could not be done, and when it is tried again: nobody else may ever ask for it.

use octo_core::JobId;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The first pause, and what each further one is longer by.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// However long trouble lasts, a try comes and a word is said each minute.
const A_MINUTE: u32 = 60;

/// Trouble, and when the next try is.
#[derive(Debug, Default)]
pub(super) struct Pause {
    /// How often it was tried, one time after another.
    times: u32,
    /// `None` while there is nothing to try.
    until: Option<Instant>,
}

impl Pause {
    /// It did not work. Should that be said? Not at each try.
    pub(super) fn begin(&mut self) -> bool {
        self.until = Some(Instant::now() + PAUSE);
        self.times = self.times % A_MINUTE + 1;
        self.times == 1
    }

    /// It did not work, as before: a disk that is full may stay full for days.
    fn grow(&mut self) {
        self.times = (self.times + 1).min(A_MINUTE);
        self.until = Some(Instant::now() + PAUSE * self.times);
    }

    /// There is something to try, now.
    pub(super) fn end_now(&mut self) {
        self.end_at(Instant::now());
    }

    /// There is something to try, at this moment, or sooner where that was said before.
    pub(super) fn end_at(&mut self, moment: Instant) {
        self.until = Some(self.until.map_or(moment, |until| until.min(moment)));
    }

    /// It worked.
    pub(super) fn end(&mut self) {
        *self = Pause::default();
    }

    /// When the next try is.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Is it too early for the next try?
    pub(super) fn is_on(&self) -> bool {
        self.until.is_some_and(|until| until > Instant::now())
    }

    /// Is it time for the next try?
    pub(super) fn is_due(&self) -> bool {
        self.until.is_some() && !self.is_on()
    }
}

/// The jobs with which something went wrong.
#[derive(Debug, Default)]
pub(super) struct Again {
    jobs: HashMap<JobId, Pause>,
}

impl Again {
    /// Something of this job could not be done.
    pub(super) fn put_off(&mut self, job: &JobId) {
        self.jobs.entry(job.clone()).or_default().grow();
    }

    /// Does this job wait for its next try?
    pub(super) fn holds(&self, job: &JobId) -> bool {
        self.jobs.get(job).is_some_and(|pause| pause.until.is_some())
    }

    /// It went well: the next trouble is a first one.
    pub(super) fn forget(&mut self, job: &JobId) {
        self.jobs.remove(job);
    }

    /// Forgets those that neither wait nor are tried right now.
    pub(super) fn forget_but(&mut self, is_tried: impl Fn(&JobId) -> bool) {
        self.jobs.retain(|job, pause| pause.until.is_some() || is_tried(job));
    }

    /// When the next one is tried.
    pub(super) fn next(&self) -> Option<Instant> {
        self.jobs.values().filter_map(Pause::until).min()
    }

    /// Those that are to be tried now.
    pub(super) fn due(&mut self) -> Vec<JobId> {
        let due = self.jobs.iter_mut().filter(|(_, pause)| pause.is_due());
        let due = due.map(|(job, pause)| {
            pause.until = None;
            job.clone()
        });
        due.collect()
    }
}
