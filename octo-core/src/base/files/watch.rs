//! Being woken when something changes in a directory.
//!
//! By inotify; where the kernel gives this user no more of it (128 instances and
//! some thousand watches, unless fs.inotify.max_user_instances and
//! fs.inotify.max_user_watches say otherwise), by a timer: many jobs at once are
//! then seen a moment later, and not refused.

use super::watches::{Bell, News, Watches};
use rustix::fs::inotify::{CreateFlags, Reader, add_watch, init, remove_watch};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A directory that is watched.
#[derive(Debug)]
pub struct Watch(Kind);

#[derive(Debug)]
enum Kind {
    /// An instance of its own: for a process that watches one thing.
    Own(OwnedFd),
    /// One that others use, too.
    Shared(Arc<Watches>, Arc<Bell>),
    Timer(OwnedFd),
}

impl Watch {
    /// Watches a directory for such news, or looks `every` so often; by this instance,
    /// where there is one for all.
    ///
    /// # Errors
    /// Where there is no such directory, or no descriptors are left.
    pub fn new(
        watches: Option<&Arc<Watches>>,
        directory: &Path,
        news: impl Into<News>,
        every: Duration,
    ) -> io::Result<Watch> {
        let watch = match watches {
            Some(watches) => Kind::Shared(Arc::clone(watches), Arc::new(Bell::new()?)),
            None => match init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
                Ok(instance) => Kind::Own(instance),
                // Of the process or of the user: a timer's descriptor tells which.
                Err(Errno::MFILE) => {
                    std::fs::metadata(directory)?;
                    return Watch::timer(every);
                }
                Err(error) => return Err(error.into()),
            },
        };
        let watch = Watch(watch);
        match watch.add(directory, news) {
            Err(error) if is_out_of_watches(&error) => Watch::timer(every),
            added => added.map(|_| watch),
        }
    }

    /// Watches another directory too, until [`Watch::forget`] is told what this says.
    ///
    /// # Errors
    /// Where there is no such directory, or no watch left for it.
    pub fn add(&self, directory: &Path, news: impl Into<News>) -> io::Result<Option<i32>> {
        let news = news.into();
        Ok(match &self.0 {
            Kind::Own(instance) => Some(add_watch(instance, directory, news.events)?),
            Kind::Shared(watches, bell) => Some(watches.add(bell, directory, news)?),
            Kind::Timer(_) => {
                std::fs::metadata(directory)?;
                None
            }
        })
    }

    /// Watches a directory no more.
    pub fn forget(&self, watched: Option<i32>) {
        let Some(watched) = watched else { return };
        match &self.0 {
            // The directory may be gone, and its watch with it.
            Kind::Own(instance) => drop(remove_watch(instance, watched)),
            Kind::Shared(watches, bell) => watches.forget(bell, Some(watched)),
            Kind::Timer(_) => {}
        }
    }

    /// One that looks so often, at whatever it is.
    ///
    /// # Errors
    /// Where no descriptors are left.
    pub fn timer(every: Duration) -> io::Result<Watch> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let every = Timespec::try_from(every).map_err(io::Error::other)?;
        let timer = Itimerspec { it_interval: every, it_value: every };
        timerfd_settime(&descriptor, TimerfdTimerFlags::empty(), &timer)?;
        Ok(Watch(Kind::Timer(descriptor)))
    }

    /// Does it look every so often, as the kernel wakes nobody?
    pub fn is_timer(&self) -> bool {
        matches!(self.0, Kind::Timer(_))
    }

    /// Takes off what has woken us; before the look, so that nothing is missed.
    pub fn clear(&self) {
        match &self.0 {
            Kind::Own(instance) => {
                let mut buffer = Box::new_uninit_slice(4096);
                let mut reader = Reader::new(instance, &mut buffer);
                while reader.next().is_ok() {}
            }
            Kind::Shared(_, bell) => bell.clear(),
            // It may not have rung: then there is nothing to take off.
            Kind::Timer(timer) => drop(rustix::io::read(timer, &mut [0; 8])),
        }
    }
}

/// So many watches are in use that there is no room for one.
pub fn is_out_of_watches(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NOSPC)
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Kind::Shared(watches, bell) = &self.0 {
            watches.forget(bell, None);
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Kind::Own(descriptor) | Kind::Timer(descriptor) => descriptor.as_fd(),
            Kind::Shared(_, bell) => bell.descriptor.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::fs::inotify::WatchFlags;

    fn wakes(watch: &Watch, within: i64) -> bool {
        let within = Timespec { tv_sec: within, tv_nsec: 0 };
        let mut fds = [PollFd::new(watch, PollFlags::IN)];
        poll(&mut fds, Some(&within)).expect("poll") > 0
    }

    #[test]
    fn all_kinds_wake_and_sleep_again() {
        let top = tempfile::tempdir().expect("tempdir");
        let shared = Watches::start().expect("a thread");
        for watches in [None, shared.as_ref()] {
            let every = Duration::from_millis(1);
            let watch = Watch::new(watches, top.path(), WatchFlags::CREATE, every);
            let watch = watch.expect("a watch");
            assert!(watch.is_timer() || !wakes(&watch, 0));
            std::fs::write(top.path().join("x"), "").expect("write");
            assert!(wakes(&watch, 60));
            watch.clear();
            // Others on this machine may have used up what the user has.
            assert!(watch.is_timer() || !wakes(&watch, 0));
            std::fs::remove_file(top.path().join("x")).expect("remove");
            let missing = top.path().join("missing");
            assert!(Watch::new(watches, &missing, WatchFlags::CREATE, every).is_err());
        }
        assert!(!wakes(&Watch::timer(Duration::from_secs(3600)).expect("a timer"), 0));
        let timer = Watch::timer(Duration::from_millis(500)).expect("a timer");
        assert!(wakes(&timer, 60));
        // It may ring again before it is looked at.
        let quiet = |_| {
            timer.clear();
            !wakes(&timer, 0)
        };
        assert!((0..100).any(quiet));
    }

    /// What is in the making wakes nobody, nor does a name that nobody waits for.
    #[test]
    fn names_that_say_nothing_wake_nobody() {
        let top = tempfile::tempdir().expect("tempdir");
        let Some(watches) = Watches::start().expect("a thread") else { return };
        let watch = |names| {
            let news = News { events: WatchFlags::CREATE, names };
            Watch::new(Some(&watches), top.path(), news, Duration::from_secs(3600)).expect("one")
        };
        let (end, staged, last) = (watch(&["end"]), watch(&[".octo-tmp-1"]), watch(&["last"]));
        if [&end, &staged, &last].iter().any(|watch| watch.is_timer()) {
            return;
        }
        let make = |name: &str| std::fs::write(top.path().join(name), "").expect("write");
        // The thread takes them in their order.
        let woken_by = |name: &str, watch: &Watch| {
            make(name);
            make("last");
            assert!(wakes(&last, 60));
            last.clear();
            std::fs::remove_file(top.path().join("last")).expect("remove");
            wakes(watch, 0)
        };
        assert!(woken_by("end", &end));
        end.clear();
        assert!(!woken_by("other", &end));
        // Of several names in one directory, any.
        end.add(top.path(), WatchFlags::CREATE).expect("added");
        assert!(woken_by("another", &end));
        assert!(!woken_by(".octo-tmp-1", &staged));
    }

    /// Each is woken by what it waits for, in the directories that it watches.
    #[test]
    fn those_who_share_an_instance_are_woken_each_by_its_own() {
        let top = tempfile::tempdir().expect("tempdir");
        let Some(watches) = Watches::start().expect("a thread") else { return };
        let path = |name: &str| top.path().join(name);
        for name in ["a", "b"] {
            std::fs::create_dir(path(name)).expect("mkdir");
        }
        let watch = |name: &str, events| {
            let watch = Watch::new(Some(&watches), &path(name), events, Duration::from_secs(3600));
            watch.expect("a watch")
        };
        let (both, renames) = (WatchFlags::CREATE | WatchFlags::MODIFY, WatchFlags::MOVED_TO);
        let (first, second, other) = (watch("a", both), watch("a", renames), watch("b", both));
        if [&first, &second, &other].iter().any(|watch| watch.is_timer()) {
            return;
        }
        std::fs::write(path("a/x"), "x").expect("write");
        assert!(wakes(&first, 60));
        std::fs::rename(path("a/x"), path("a/y")).expect("rename");
        assert!(wakes(&second, 60));
        assert!(!wakes(&other, 0));
        first.clear();
        // One goes, and the other is still woken; then it, too, is woken no more.
        drop(first);
        second.clear();
        std::fs::rename(path("a/y"), path("a/x")).expect("rename");
        assert!(wakes(&second, 60));
        second.clear();
        let added = other.add(&path("a"), both).expect("added");
        std::fs::write(path("a/z"), "").expect("write");
        assert!(wakes(&other, 60));
        assert!(!wakes(&second, 0));
        other.forget(added);
        other.clear();
        std::fs::write(path("a/zz"), "").expect("write");
        std::fs::write(path("b/x"), "").expect("write");
        assert!(wakes(&other, 60));
        other.clear();
        // Of a directory that goes, whoever watches it hears.
        std::fs::remove_dir_all(path("b")).expect("remove");
        assert!(wakes(&other, 60));
    }
}
