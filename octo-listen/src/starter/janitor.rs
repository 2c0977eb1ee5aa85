//! Takes entries out of the spool once octo-exec is done with them: secrets may be in
//! them. One thread, which sleeps until the kernel wakes it.

use crate::log::Log;
use octo_core::base::error::describe;
use octo_core::base::paths::Places;
use octo_core::base::watch::Watch;
use octo_core::base::watches::{News, Watches};
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spool::{EntryName, Spool};
use octo_core::tentacle::store::Store;
use octo_core::{Error, Exit, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::WatchFlags;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the spool is looked at where the kernel gives no watch, or a look failed.
const EVERY: Duration = Duration::from_secs(5);

const STACK: usize = 128 * 1024;

/// What is published, in whatever way.
const EVENTS: WatchFlags = WatchFlags::CREATE.union(WatchFlags::MOVED_TO);

/// What of a job says that an entry or a package is done with.
const OF_A_JOB: News =
    News { events: EVENTS, names: &["started", "waiting", "held", "cancel", "end"] };

/// What wakes the thread.
#[derive(Debug)]
pub(crate) struct Janitor {
    places: Places,
    spool: Spool,
    /// What pushers have put, and what octo-exec has taken over of it, where it is
    /// another user.
    stores: Option<(Store, Store)>,
    log: Log,
    watch: Watch,
    /// Jobs whose directories are watched until something of theirs is done with.
    awaited: Mutex<Vec<Awaited>>,
}

#[derive(Debug)]
struct Awaited {
    job: JobDirectory,
    what: What,
    /// Whether, and by what, its directory is watched; it may not be there yet.
    watched: Option<Option<i32>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A cancel, until it is obeyed or refused.
    Cancel,
    /// A request that is a job by now, until that can't be undone.
    Request,
    /// A package, until the job has its own.
    Package,
}

impl Janitor {
    /// Watches what octo-exec makes of entries.
    ///
    /// # Errors
    /// Exit 69 where octo-exec has not made its directories yet.
    pub(crate) fn new(
        watches: Option<&Arc<Watches>>,
        places: &Places,
        stores: Option<(Store, Store)>,
        log: Log,
    ) -> Result<Janitor> {
        let (jobs, refused) = (places.jobs(), places.refused());
        let failed = |e: std::io::Error| {
            Error::new(Exit::Unavailable, jobs.display(), describe(&e))
                .hint("octo-exec serve makes it")
        };
        let watch = Watch::new(watches, &jobs, EVENTS, EVERY).map_err(failed)?;
        watch.add(&refused, EVENTS).map_err(failed)?;
        // An entry may come when what it asks for is done already.
        watch.add(&places.spool(), EVENTS).map_err(failed)?;
        let spool = Spool::at(places);
        Ok(Janitor { places: places.clone(), spool, stores, log, watch, awaited: Mutex::default() })
    }

    /// Has the packages taken away of all that an earlier listener has handed over and that
    /// hasn't begun: what it awaited is gone with it.
    fn expect_left(&self) {
        if self.stores.is_none() {
            return;
        }
        let spooled = self.log.ok(self.spool.names()).unwrap_or_default();
        let spooled = spooled.into_iter().map(|name| JobDirectory::of(&self.places, &name.job));
        let jobs = self.log.ok(JobDirectory::under_way(&self.places)).unwrap_or_default();
        let waiting = jobs.into_iter().filter(|job| !has_begun(job));
        let package = |job| Awaited { job, what: What::Package, watched: None };
        let mut awaited = self.awaited();
        awaited.extend(spooled.chain(waiting).map(package));
        self.settle(&mut awaited);
    }

    /// Has the package of this job taken away as soon as octo-exec has it.
    pub(crate) fn expect_package(&self, job: &JobDirectory) {
        if self.stores.is_some() {
            let mut awaited = self.awaited();
            awaited.push(Awaited { job: job.clone(), what: What::Package, watched: None });
            self.settle(&mut awaited);
        }
    }

    /// Notes the entries of which more is to come, whoever put them there: a listener that
    /// was killed looks after none.
    fn expect_more(&self, names: &[EntryName], awaited: &mut Vec<Awaited>) {
        for name in names {
            let what = match name.is_cancel {
                true => What::Cancel,
                false if self.spool.is_undone_by_a_crash(name) => What::Request,
                false => continue,
            };
            let job = JobDirectory::of(&self.places, &name.job);
            let is_awaited = |one: &Awaited| one.what == what && one.job.id() == job.id();
            if !awaited.iter().any(is_awaited) {
                awaited.push(Awaited { job, what, watched: None });
            }
        }
        self.settle(awaited);
    }

    fn awaited(&self) -> MutexGuard<'_, Vec<Awaited>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the packages that octo-exec has taken over.
    pub(crate) fn drop_taken(&self) {
        if let Some((own, taken)) = &self.stores {
            self.log.ok(own.drop_taken(taken));
        }
    }

    /// The same, and what is left of those that are gone there.
    pub(crate) fn drop_all_taken(&self) {
        if let Some((own, taken)) = &self.stores {
            self.log.ok(own.drop_all_taken(taken));
        }
    }

    /// Does the kernel wake us when there is more to do?
    fn sweep(&self) -> Result<bool> {
        self.watch.clear();
        let names = self.spool.names();
        // Before what is done goes: what is done from here on wakes us.
        self.expect_more(names.as_deref().unwrap_or_default(), &mut self.awaited());
        let swept = names.and_then(|names| self.spool.remove_done(&names));
        let mut awaited = self.awaited();
        self.settle(&mut awaited);
        let is_seen = |awaited: &Awaited| !awaited.job.exists() || awaited.watched.is_some();
        swept.map(|()| awaited.iter().all(is_seen))
    }

    fn settle(&self, awaited: &mut Vec<Awaited>) {
        let done: Vec<Awaited> = awaited.extract_if(.., |awaited| self.is_done(awaited)).collect();
        for watched in done.iter().map(|done| done.watched) {
            // One watch may serve two.
            if !awaited.iter().any(|awaited| awaited.watched == watched) {
                self.watch.forget(watched.flatten());
            }
        }
        if done.iter().any(|done| done.what == What::Package) {
            self.drop_taken();
        }
    }

    /// Is it done with? If not, whatever happens next in its directory wakes us.
    fn is_done(&self, awaited: &mut Awaited) -> bool {
        let job = &awaited.job;
        if awaited.watched.is_none() && job.exists() {
            awaited.watched = self.watch.add(job.path(), OF_A_JOB).ok();
        }
        match awaited.what {
            What::Cancel => !self.spool.holds(&EntryName::cancel(job.id())),
            What::Request => !self.spool.holds(&EntryName::request(job.id())),
            What::Package => {
                has_begun(job)
                    || (!job.exists() && !self.spool.holds(&EntryName::request(job.id())))
            }
        }
    }
}

/// Has octo-exec its package by now, or never will?
fn has_begun(job: &JobDirectory) -> bool {
    ["started", "end"].iter().any(|file| job.file(file).exists())
}

/// Starts the thread.
///
/// # Errors
/// Where there is none to be had.
pub(crate) fn start(janitor: &Arc<Janitor>) -> Result<()> {
    let janitor = Arc::clone(janitor);
    let thread = std::thread::Builder::new().name("janitor".into()).stack_size(STACK);
    let started = thread.spawn(move || {
        let every = Timespec::try_from(EVERY).ok();
        let mut has_failed = false;
        janitor.expect_left();
        loop {
            let swept = janitor.sweep();
            if let Err(error) = &swept
                && !has_failed
            {
                janitor.log.error(error);
            }
            has_failed = swept.is_err();
            let is_woken = swept.unwrap_or(false);
            let mut fds = [PollFd::new(&janitor.watch, PollFlags::IN)];
            // Interrupted or not: a look does no harm.
            let _ = poll(&mut fds, every.as_ref().filter(|_| !is_woken));
        }
    });
    started.map(drop).map_err(|e| Error::new(Exit::Io, "thread", describe(&e)))
}
