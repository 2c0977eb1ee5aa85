//! What wakes whoever brings a job forward: a `cancel` in the job directory, a
//! child's death, a signal to end.

use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::watch::Watch;
use octo_core::tentacle::job::JobDirectory;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the directory is looked at where the kernel doesn't wake us.
const EVERY: Duration = Duration::from_millis(250);

/// Watches a job for what may change its course.
#[derive(Debug)]
pub(crate) struct JobWatch {
    job: JobDirectory,
    directory: Watch,
    signals: UnixStream,
    told_to_end: Arc<AtomicBool>,
}

impl JobWatch {
    /// Begins to watch; before the first look at `cancel`, so that none is missed.
    pub(crate) fn new(job: &JobDirectory) -> Result<JobWatch> {
        let io = |e: std::io::Error| Error::doing("watch", job.path(), &e);
        let events = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        let directory = Watch::new(None, job.path(), events, EVERY).map_err(io)?;
        let (signals, theirs) = UnixStream::pair().map_err(io)?;
        signals.set_nonblocking(true).map_err(io)?;
        theirs.set_nonblocking(true).map_err(io)?;
        let told_to_end = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            flag::register(signal, told_to_end.clone()).map_err(io)?;
        }
        for signal in [SIGCHLD, SIGTERM, SIGINT] {
            pipe::register(signal, theirs.try_clone().map_err(io)?).map_err(io)?;
        }
        // A closed terminal leaves the job running.
        pipe::register(SIGHUP, theirs).map_err(io)?;
        Ok(JobWatch { job: job.clone(), directory, signals, told_to_end })
    }

    /// Takes off what has woken us: before all looks, never between them. A child
    /// that dies after it was looked for must wake us once more.
    pub(crate) fn clear(&self) {
        self.directory.clear();
        while matches!((&self.signals).read(&mut [0; 64]), Ok(count) if count > 0) {}
    }

    /// Is the job to end, and who says so?
    pub(crate) fn cancelled(&self) -> Option<String> {
        if self.told_to_end.load(Ordering::Relaxed) {
            return Some("octo-exec was told to end by a signal".into());
        }
        let record = self.job.record("cancel").ok().flatten();
        match record {
            Some(record) => Some(format!("by {}", record.first("by").unwrap_or("somebody"))),
            None => self.job.file("cancel").exists().then(|| "by somebody".to_string()),
        }
    }

    /// Waits until one of these, or one of ours, is readable, or until then.
    pub(crate) fn wait(&self, others: &[BorrowedFd<'_>], until: Option<Instant>) -> Result<()> {
        let ours = [self.directory.as_fd(), self.signals.as_fd()];
        let all = ours.iter().chain(others);
        let mut fds: Vec<PollFd<'_>> =
            all.map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        let left = until.map(|u| u.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(Error::new(Exit::Io, "poll", describe(&error.into()))),
        }
    }
}

/// Is there something to read now, or an end?
pub(crate) fn is_readable(file: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(file, PollFlags::IN)];
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut fds, Some(&none)), Ok(count) if count > 0)
}
