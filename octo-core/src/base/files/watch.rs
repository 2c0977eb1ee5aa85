//! Being woken when something changes in a directory.
//!
//! By inotify; where the kernel gives this user no more of it (128 instances
//! unless fs.inotify.max_user_instances says otherwise), by a timer: many jobs
//! at once are then seen a moment later, and not refused.

use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// A directory that is watched.
#[derive(Debug)]
pub struct Watch {
    descriptor: OwnedFd,
    is_timer: bool,
}

impl Watch {
    /// Watches a directory for these events, or looks `every` so often.
    ///
    /// # Errors
    /// Where there is no such directory, or no descriptors are left.
    pub fn new(directory: &Path, events: WatchFlags, every: Duration) -> io::Result<Watch> {
        match init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(descriptor) => match add_watch(&descriptor, directory, events) {
                Ok(_) => Ok(Watch { descriptor, is_timer: false }),
                // So many watches are in use that there is no room for one.
                Err(Errno::NOSPC) => Watch::timer(every),
                Err(error) => Err(error.into()),
            },
            // Of the process or of the user: a timer's descriptor tells which.
            Err(Errno::MFILE) => {
                std::fs::metadata(directory)?;
                Watch::timer(every)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Watches another directory too, until [`Watch::forget`] is told what this says.
    ///
    /// # Errors
    /// Where there is no such directory, or no watch left for it.
    pub fn add(&self, directory: &Path, events: WatchFlags) -> io::Result<Option<i32>> {
        if self.is_timer {
            std::fs::metadata(directory)?;
            return Ok(None);
        }
        Ok(Some(add_watch(&self.descriptor, directory, events)?))
    }

    /// Watches a directory no more.
    pub fn forget(&self, watched: Option<i32>) {
        if let Some(watched) = watched {
            // The directory may be gone, and its watch with it.
            let _ = remove_watch(&self.descriptor, watched);
        }
    }

    fn timer(every: Duration) -> io::Result<Watch> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let every = Timespec::try_from(every).map_err(io::Error::other)?;
        let timer = Itimerspec { it_interval: every, it_value: every };
        timerfd_settime(&descriptor, TimerfdTimerFlags::empty(), &timer)?;
        Ok(Watch { descriptor, is_timer: true })
    }

    /// Takes off what has woken us; before the look, so that nothing is missed.
    pub fn clear(&self) {
        if self.is_timer {
            // It may not have rung: then there is nothing to take off.
            let _ = rustix::io::read(&self.descriptor, &mut [0; 8]);
            return;
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.descriptor, &mut buffer);
        while reader.next().is_ok() {}
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    fn wakes(watch: &Watch, within: i64) -> bool {
        let within = Timespec { tv_sec: within, tv_nsec: 0 };
        let mut fds = [PollFd::new(watch, PollFlags::IN)];
        poll(&mut fds, Some(&within)).expect("poll") > 0
    }

    #[test]
    fn both_wake_and_sleep_again() {
        let top = tempfile::tempdir().expect("tempdir");
        let watch = Watch::new(top.path(), WatchFlags::CREATE, Duration::from_millis(1));
        let watch = watch.expect("a watch");
        assert!(watch.is_timer || !wakes(&watch, 0));
        std::fs::write(top.path().join("x"), "").expect("write");
        assert!(wakes(&watch, 60));
        watch.clear();
        // Others on this machine may have used up what the user has.
        assert!(watch.is_timer || !wakes(&watch, 0));

        assert!(!wakes(&Watch::timer(Duration::from_secs(3600)).expect("a timer"), 0));
        let timer = Watch::timer(Duration::from_millis(500)).expect("a timer");
        assert!(wakes(&timer, 60));
        // It may ring again before it is looked at.
        let quiet = |_| {
            timer.clear();
            !wakes(&timer, 0)
        };
        assert!((0..100).any(quiet));
        let missing = top.path().join("missing");
        assert!(Watch::new(&missing, WatchFlags::CREATE, Duration::from_secs(1)).is_err());
    }
}
