//! Descriptors: each job that runs has one here, and a job may have as many as serve was
//! given itself, not more. Some programs still use select(2), which knows 1,024.

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::os::fd::OwnedFd;

/// As many as may be, for this process alone.
pub(super) struct Descriptors {
    /// What we were given.
    given: Rlimit,
}

impl Descriptors {
    /// Takes as many as may be had.
    pub(super) fn new() -> Descriptors {
        let descriptors = Descriptors { given: getrlimit(Resource::Nofile) };
        descriptors.set(descriptors.given.maximum);
        descriptors
    }

    /// Starts a program that is given what we were.
    pub(super) fn given_to<T>(&self, start: impl FnOnce() -> T) -> T {
        // There is one thread here: nothing else is started or opened meanwhile.
        self.set(self.given.current);
        let started = start();
        self.set(self.given.maximum);
        started
    }

    /// The same descriptor, above those that [`Descriptors::given_to`] can open: what is kept
    /// must leave it room.
    pub(super) fn keep(&self, descriptor: OwnedFd) -> OwnedFd {
        let first = self.given.current.and_then(|first| i32::try_from(first).ok());
        let kept = first.and_then(|first| fcntl_dupfd_cloexec(&descriptor, first).ok());
        kept.unwrap_or(descriptor)
    }

    fn set(&self, current: Option<u64>) {
        // Somebody may have lowered it since: then nothing changes, and what can't be
        // started is started later.
        let _ = setrlimit(Resource::Nofile, Rlimit { current, ..self.given });
    }
}
