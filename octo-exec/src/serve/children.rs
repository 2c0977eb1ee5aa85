//! The programs that serve has started or found: who still takes its entry over, who
//! brings its job forward, and how often an entry was tried.

use super::descriptors::Descriptors;
use super::seen::Seen;
use octo_core::JobId;
use octo_core::base::error::Result;
use octo_core::base::leader::Leader;
use octo_core::base::paths::Places;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spool::EntryName;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::Child;

/// A program that works on a job.
pub(super) struct Working {
    pub(super) job: JobId,
    /// What it was started for, where that is in the spool.
    pub(super) entry: Option<Seen>,
    /// Ends when it has taken its entry over.
    pub(super) taking: Option<OwnedFd>,
    /// Readable when it ends.
    process: OwnedFd,
    /// `None` for one that an earlier serve has started.
    child: Option<Child>,
    /// It has ended by a signal: what it was making is half made.
    pub(super) was_killed: bool,
}

/// All of them.
pub(super) struct Children {
    descriptors: Descriptors,
    working: Vec<Working>,
    /// Started, and there was no descriptor to watch them.
    unwatched: Vec<Child>,
    /// How often each entry was tried, without its having been taken.
    tried: HashMap<EntryName, Tried>,
}

struct Tried {
    entry: Seen,
    times: u32,
}

/// What woke us, by its place in the list.
pub(super) struct Woken {
    /// Took its entry over.
    pub(super) taken: Vec<usize>,
    /// Ended.
    pub(super) ended: Vec<usize>,
}

impl Children {
    /// Nobody yet.
    pub(super) fn new() -> Children {
        Children {
            descriptors: Descriptors::new(),
            working: Vec::new(),
            unwatched: Vec::new(),
            tried: HashMap::new(),
        }
    }

    /// Starts a program for this job, and for this entry of the spool. False where its end
    /// will not be noticed, so that the job is to be looked at again.
    ///
    /// # Errors
    /// Where it can't be started.
    pub(super) fn start(
        &mut self,
        job: &JobId,
        entry: Option<&Seen>,
        program: impl FnOnce() -> Result<Child>,
    ) -> Result<bool> {
        let (mut child, process) = self.watched(program)?;
        entry.into_iter().for_each(|entry| self.count(entry));
        let taking = child.stdout.take();
        let Some(process) = process else {
            self.unwatched.push(child);
            return Ok(false);
        };
        self.working.push(Working {
            job: job.clone(),
            entry: entry.cloned(),
            taking: taking.map(|taking| self.descriptors.keep(taking.into())),
            process,
            child: Some(child),
            was_killed: false,
        });
        Ok(true)
    }

    /// Starts a program, with what is readable when it ends, where that can be had.
    ///
    /// # Errors
    /// Where it can't be started.
    pub(super) fn watched(
        &self,
        program: impl FnOnce() -> Result<Child>,
    ) -> Result<(Child, Option<OwnedFd>)> {
        let child = self.descriptors.given_to(program)?;
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).ok();
        Ok((child, process.map(|process| self.descriptors.keep(process))))
    }

    /// A supervisor that somebody else has started, if it lives: it runs the job, or
    /// waits for a lock. It is watched once: each look would take a descriptor more, and
    /// the end of whoever is watched already has the job looked at again.
    pub(super) fn find(&mut self, places: &Places, job: &JobId) -> bool {
        if self.hold(job) {
            return true;
        }
        let job_directory = JobDirectory::of(places, job);
        let record = |name| job_directory.record(name).ok().flatten();
        let record = record("started").or_else(|| record("waiting"));
        let process = record.and_then(|record| Leader::of(&record)?.watch());
        let Some(process) = process else { return false };
        self.working.push(Working {
            job: job.clone(),
            entry: None,
            taking: None,
            process: self.descriptors.keep(process),
            child: None,
            was_killed: false,
        });
        true
    }

    /// Is somebody taking an entry of this job over right now?
    pub(super) fn takes(&self, job: &JobId) -> bool {
        self.working.iter().any(|working| working.taking.is_some() && working.job == *job)
    }

    /// Does somebody still work at this very entry?
    pub(super) fn tries_now(&self, entry: &Seen) -> bool {
        self.working.iter().any(|working| working.entry.as_ref() == Some(entry))
    }

    /// Does somebody work on this job?
    pub(super) fn hold(&self, job: &JobId) -> bool {
        self.working.iter().any(|working| working.job == *job)
    }

    /// How many are taking something over.
    pub(super) fn taking(&self) -> usize {
        self.working.iter().filter(|working| working.taking.is_some()).count()
    }

    /// Counts a try of this entry.
    fn count(&mut self, entry: &Seen) {
        let times = self.tries(entry).saturating_add(1);
        self.tried.insert(entry.name.clone(), Tried { entry: entry.clone(), times });
    }

    /// How often this entry was tried.
    pub(super) fn tries(&self, entry: &Seen) -> u32 {
        let tried = self.tried.get(&entry.name).filter(|tried| tried.entry == *entry);
        tried.map_or(0, |tried| tried.times)
    }

    /// Forgets the entries that are in the spool no more.
    pub(super) fn forget_but(&mut self, names: &HashSet<&EntryName>) {
        self.tried.retain(|name, _| names.contains(name));
    }

    /// What to wait for: two descriptors for each that takes, one for each that works.
    pub(super) fn descriptors(&self) -> Vec<PollFd<'_>> {
        let fds = self.working.iter().flat_map(|working| {
            let taking = working.taking.as_ref().map(AsFd::as_fd);
            std::iter::once(working.process.as_fd()).chain(taking)
        });
        fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect()
    }

    /// Which of them have something to say, by what poll(2) left in their descriptors.
    pub(super) fn woken(&self, polled: &[bool]) -> Woken {
        let (mut taken, mut ended) = (Vec::new(), Vec::new());
        let mut polled = polled.iter().copied();
        for (index, working) in self.working.iter().enumerate() {
            if polled.next() == Some(true) {
                ended.push(index);
            }
            if working.taking.is_some() && polled.next() == Some(true) {
                taken.push(index);
            }
        }
        Woken { taken, ended }
    }

    /// What has taken its entry over, or died, takes no more; those that ended are handed
    /// back, waited for.
    pub(super) fn settle(&mut self, woken: Woken) -> Vec<Working> {
        // This takes the zombies among them away.
        self.unwatched.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        for index in woken.taken {
            self.working[index].taking = None;
        }
        let mut ended = Vec::new();
        for index in woken.ended.into_iter().rev() {
            let mut working = self.working.swap_remove(index);
            if let Some(child) = &mut working.child {
                // It is dead: this only takes its zombie away.
                working.was_killed = child.wait().is_ok_and(|s| s.signal().is_some());
            }
            ended.push(working);
        }
        ended
    }
}
