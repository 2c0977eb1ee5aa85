//! The programs that say what held jobs would change: a few at once, and each is waited
//! for. At a restart there may be as many held jobs as fit on the disk.

use super::children::Children;
use crate::start;
use octo_core::JobId;
use octo_core::base::cli::Tool;
use octo_core::base::paths::Places;
use octo_core::tentacle::job::JobDirectory;
use rustix::event::{PollFd, PollFlags};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::time::{Duration, Instant};

/// So many programs run at once.
const AT_ONCE: usize = 4;
/// One whose end nobody tells us is looked at so often.
const PAUSE: Duration = Duration::from_secs(1);

/// Those that run, and the jobs whose turn comes.
#[derive(Debug, Default)]
pub(super) struct Announcing {
    waiting: VecDeque<JobId>,
    /// Each with what is readable when it ends, where there was a descriptor for that.
    running: Vec<(Child, Option<OwnedFd>)>,
}

impl Announcing {
    /// Has it said of this job, some time.
    pub(super) fn put(&mut self, job: &JobId) {
        if !self.waiting.contains(job) {
            self.waiting.push_back(job.clone());
        }
    }

    /// Waits for those that have ended, or they are zombies as long as we live; then starts
    /// as many as may be.
    pub(super) fn go_on(&mut self, tool: &Tool, places: &Places, children: &Children) {
        self.running.retain_mut(|(child, _)| matches!(child.try_wait(), Ok(None)));
        while self.running.len() < AT_ONCE
            && let Some(job) = self.waiting.pop_front()
        {
            let job = JobDirectory::of(places, &job);
            match children.watched(|| start::announcing(places, &job)) {
                Ok(started) => self.running.push(started),
                Err(error) => tool.report(&error),
            }
        }
    }

    /// What to wait for.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = PollFd<'_>> {
        let watched = self.running.iter().filter_map(|(_, process)| process.as_ref());
        watched.map(|process| PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN))
    }

    /// When to look at those that can't be waited for.
    pub(super) fn next(&self) -> Option<Instant> {
        let is_watched = self.running.iter().all(|(_, process)| process.is_some());
        (!is_watched).then(|| Instant::now() + PAUSE)
    }
}
