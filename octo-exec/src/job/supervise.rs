//! Runs the script and watches over it: output, cancel, time limit, the whole
//! tree. One thread, one poll(2): while nothing happens nothing wakes.

use crate::job::mask::Masker;
use crate::job::settle::joined;
use crate::job::tree;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::tentacle::job::{End, EndKind, JobDirectory, LogWriter, Stream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long grandchildren may keep the output open after the script's exit.
const STRAYS_WAIT: Duration = Duration::from_secs(5);
/// How long the tree may take to die of KILL before we say that it doesn't.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// What runs.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) words: Vec<OsString>,
    pub(crate) variables: Vec<(OsString, OsString)>,
    pub(crate) directory: PathBuf,
    pub(crate) timeout: Option<Duration>,
    pub(crate) grace: Duration,
    /// A hint is due when sudo fails for want of privileges.
    pub(crate) no_new_privileges: bool,
    /// A directory above the job that its user can't pass: worth a hint when it fails.
    pub(crate) shut_by: Option<PathBuf>,
}

/// How often the directory is looked at where the kernel doesn't wake us.
const EVERY: Duration = Duration::from_millis(250);

/// What can wake a supervisor besides the script's output: a `cancel` in the
/// job directory, a child's death, a signal to end.
#[derive(Debug)]
pub(crate) struct Watch {
    job: JobDirectory,
    directory: octo_core::base::watch::Watch,
    signals: UnixStream,
    told_to_end: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Watch {
    /// Begins to watch; before the first look at `cancel`, so that none is missed.
    pub(crate) fn new(job: &JobDirectory) -> Result<Watch> {
        let io = |e: std::io::Error| Error::doing("watch", job.path(), &e);
        let events = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        let directory =
            octo_core::base::watch::Watch::new(job.path(), events, EVERY).map_err(io)?;
        let (signals, theirs) = UnixStream::pair().map_err(io)?;
        signals.set_nonblocking(true).map_err(io)?;
        theirs.set_nonblocking(true).map_err(io)?;
        let told_to_end = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, told_to_end.clone()).map_err(io)?;
        }
        for signal in [SIGCHLD, SIGTERM, SIGINT] {
            signal_hook::low_level::pipe::register(signal, theirs.try_clone().map_err(io)?)
                .map_err(io)?;
        }
        // A closed terminal leaves the job running.
        signal_hook::low_level::pipe::register(SIGHUP, theirs).map_err(io)?;
        Ok(Watch { job: job.clone(), directory, signals, told_to_end })
    }

    /// Descriptors that become readable when it is worth to look again.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.directory.as_fd(), self.signals.as_fd()]
    }

    /// Takes off what has woken us: before all looks, never between them. A child
    /// that dies after it was looked for must wake us once more.
    pub(crate) fn clear(&self) {
        self.directory.clear();
        while matches!((&self.signals).read(&mut [0; 64]), Ok(count) if count > 0) {}
    }

    /// Is the job to end, and who says so?
    pub(crate) fn cancelled(&self) -> Option<String> {
        if self.told_to_end.load(std::sync::atomic::Ordering::Relaxed) {
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
        let mut fds: Vec<PollFd<'_>> = self
            .descriptors()
            .iter()
            .chain(others)
            .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
            .collect();
        let left = until.map(|u| u.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(Error::new(Exit::Io, "poll", describe(&error.into()))),
        }
    }
}

/// One stream of the script.
#[derive(Debug)]
struct Pipe {
    stream: Stream,
    file: File,
    masker: Masker,
}

/// Why the tree is being ended.
#[derive(Debug, Clone)]
struct Ending {
    kind: EndKind,
    reason: String,
    /// When KILL follows TERM, and when we stop to wait.
    kill_at: Instant,
    killing: bool,
    /// Who was sent TERM.
    asked: Vec<i32>,
}

impl Ending {
    /// TERM for each of ours that has not had it: a shell may fork in the very
    /// moment in which it is to end, and leave a child that was in no list yet.
    fn ask(&mut self) {
        let ours = tree::ours();
        let new: Vec<_> = ours.into_iter().filter(|p| !self.asked.contains(&p.pid)).collect();
        tree::signal(&new, Signal::TERM);
        // A stopped process would never see TERM.
        tree::signal(&new, Signal::CONT);
        self.asked.extend(new.iter().map(|p| p.pid));
    }

    fn has_failed(&self) -> bool {
        Instant::now() >= self.kill_at + KILL_WAIT
    }
}

/// Runs it to its end. The end is not written yet.
///
/// # Errors
/// Where the script can't be spawned for want of memory or processes.
pub(crate) fn run(
    launch: &Launch,
    watch: &Watch,
    log: &mut LogWriter,
    maskers: [Masker; 2],
) -> Result<End> {
    let [first, others @ ..] = &launch.words[..] else {
        return Err(Error::new(Exit::Data, "script", "nothing to run"));
    };
    let spawned = Command::new(first)
        .args(others)
        .env_clear()
        .envs(launch.variables.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return cant_spawn(&error, log),
    };
    let main = Pid::from_child(&child);
    let [out_mask, err_mask] = maskers;
    let mut pipes = Vec::new();
    if let Some(out) = child.stdout.take() {
        pipes.push(Pipe {
            stream: Stream::Out,
            file: File::from(OwnedFd::from(out)),
            masker: out_mask,
        });
    }
    if let Some(err) = child.stderr.take() {
        pipes.push(Pipe {
            stream: Stream::Err,
            file: File::from(OwnedFd::from(err)),
            masker: err_mask,
        });
    }
    // From here on any child is reaped by us, not by `child`: orphans come too.
    drop(child);
    Supervisor {
        launch,
        watch,
        log,
        pipes,
        main,
        status: None,
        ending: None,
        deadline: launch.timeout.map(|limit| Instant::now() + limit),
        drain_until: None,
        buffer: vec![0; 64 * 1024],
        log_error: None,
        sudo_failed: false,
    }
    .watch_over()
}

/// 127 and 126 as a shell has them; anything else is this machine's trouble.
fn cant_spawn(error: &std::io::Error, log: &mut LogWriter) -> Result<End> {
    let code = match error.kind() {
        std::io::ErrorKind::NotFound => Exit::NotFound,
        std::io::ErrorKind::PermissionDenied => Exit::NotExecutable,
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => Exit::NotExecutable,
        _ => return Err(Error::new(Exit::Temporary, "script", describe(error))),
    };
    say(log, &format!("can't run the script: {}", describe(error)));
    Ok(ended(EndKind::Exit(code.code()), log))
}

/// The end of this kind of a job whose log this is. What is lost of the log is
/// told in the record, and changes nothing about how the script ended.
pub(crate) fn ended(kind: EndKind, log: &mut LogWriter) -> End {
    let finished = log.finish();
    let mut end = End::now(kind, finished.length);
    end.truncated = finished.truncated;
    end.reason = finished.trouble.map(|e| format!("output may be lost: {}", e.message));
    end
}

/// A word of ours in the job's output, told from the script's by its beginning.
pub(crate) fn say(log: &mut LogWriter, text: &str) {
    let line = format!("octo-exec: {text}\n");
    let _ = log.append(Stream::Err, line.as_bytes());
}

struct Supervisor<'a> {
    launch: &'a Launch,
    watch: &'a Watch,
    log: &'a mut LogWriter,
    pipes: Vec<Pipe>,
    main: Pid,
    status: Option<WaitStatus>,
    ending: Option<Ending>,
    deadline: Option<Instant>,
    drain_until: Option<Instant>,
    buffer: Vec<u8>,
    log_error: Option<String>,
    sudo_failed: bool,
}

impl Supervisor<'_> {
    fn watch_over(mut self) -> Result<End> {
        let mut strays = Vec::new();
        loop {
            self.watch.clear();
            self.reap();
            self.look_for_an_end();
            let gone = self.status.is_some() && self.tree_is_gone();
            if gone && self.pipes.is_empty() {
                break;
            }
            // While the tree is being ended, that it is gone is waited for, not
            // that its pipes close.
            let ended = self.ending.as_ref().is_none_or(Ending::has_failed) || gone;
            if ended && self.drain_until.is_some_and(|until| Instant::now() >= until) {
                let inodes: Vec<u64> = self
                    .pipes
                    .iter()
                    .filter_map(|p| p.file.metadata().ok())
                    .map(|m| m.ino())
                    .collect();
                let mut left = tree::holders(&inodes);
                if self.ending.is_some() {
                    // Another user's, whom we may not end, or stuck in the kernel.
                    left.extend(tree::ours());
                    left.sort_by_key(|process| process.pid);
                    left.dedup_by_key(|process| process.pid);
                }
                strays = tree::names(&left);
                break;
            }
            let fds: Vec<BorrowedFd<'_>> = self.pipes.iter().map(|p| p.file.as_fd()).collect();
            self.watch.wait(&fds, self.next_moment())?;
            self.read_output();
        }
        Ok(self.finish(strays))
    }

    /// The next moment at which something is to be done without being woken.
    fn next_moment(&self) -> Option<Instant> {
        let again = Instant::now() + Duration::from_millis(50);
        let ending = self.ending.as_ref().map(|e| if e.killing { again } else { e.kill_at });
        // While the tree is being ended, its members are looked at: those that
        // are not our children die unseen.
        let look = self.ending.as_ref().filter(|_| self.status.is_some()).map(|_| again);
        let limit =
            if self.ending.is_none() && self.status.is_none() { self.deadline } else { None };
        [ending, look, limit, self.drain_until].into_iter().flatten().min()
    }

    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == self.main {
                self.status = Some(status);
                // The script is over: what still holds its output has a while.
                self.drain_until = Some(Instant::now() + STRAYS_WAIT);
            }
        }
    }

    /// A cancel or the time limit begins the end; the grace's end makes it KILL.
    fn look_for_an_end(&mut self) {
        let cancelled = self.watch.cancelled();
        let now = Instant::now();
        match &mut self.ending {
            None if self.status.is_some() => {}
            None => {
                let (kind, reason) = if let Some(who) = cancelled {
                    (EndKind::Cancelled, who)
                } else if self.deadline.is_some_and(|deadline| now >= deadline) {
                    let limit = self.launch.timeout.unwrap_or_default();
                    let limit = octo_core::base::units::human_duration(limit);
                    (EndKind::Timeout, format!("the time limit of {limit} has passed"))
                } else {
                    return;
                };
                let kill_at = now + self.launch.grace;
                let ending = Ending { kind, reason, kill_at, killing: false, asked: Vec::new() };
                self.ending.insert(ending).ask();
            }
            Some(ending) if now >= ending.kill_at => {
                // Again and again: a process may have been born meanwhile.
                ending.killing = true;
                tree::signal(&tree::ours(), Signal::KILL);
                if ending.has_failed() {
                    self.drain_until = Some(now);
                }
            }
            Some(ending) => ending.ask(),
        }
    }

    /// After a normal exit daemons may stay: a deployment starts servers. A
    /// cancel and the time limit leave nobody.
    fn tree_is_gone(&self) -> bool {
        self.ending.is_none() || tree::ours().is_empty()
    }

    fn read_output(&mut self) {
        let mut index = 0;
        while index < self.pipes.len() {
            let pipe = &mut self.pipes[index];
            let mut fds = [PollFd::from_borrowed_fd(pipe.file.as_fd(), PollFlags::IN)];
            let none = Timespec { tv_sec: 0, tv_nsec: 0 };
            if !matches!(poll(&mut fds, Some(&none)), Ok(count) if count > 0) {
                index += 1;
                continue;
            }
            let (shown, over) = match pipe.file.read(&mut self.buffer) {
                Ok(0) => (pipe.masker.finish(), true),
                Ok(count) => (pipe.masker.pass(&self.buffer[..count]), false),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                    (Vec::new(), false)
                }
                Err(_) => (pipe.masker.finish(), true),
            };
            let stream = pipe.stream;
            if over {
                self.pipes.remove(index);
            } else {
                index += 1;
            }
            self.record(stream, &shown);
        }
    }

    fn record(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Err && self.launch.no_new_privileges {
            let words = b"no new privileges";
            self.sudo_failed |= bytes.windows(words.len()).any(|w| w == words);
        }
        // A full disk must not end a deployment half-way: its output is drained,
        // and the record says what was lost.
        if let Err(error) = self.log.append(stream, bytes) {
            self.log_error.get_or_insert(error.message);
        }
    }

    fn finish(mut self, strays: Vec<String>) -> End {
        for mut pipe in std::mem::take(&mut self.pipes) {
            let rest = pipe.masker.finish();
            self.record(pipe.stream, &rest);
        }
        if self.sudo_failed {
            say(
                self.log,
                "hint: this job may not gain privileges; the option sudo of its line in the trust file lets it",
            );
        }
        let failed = self.status.and_then(|status| status.exit_status()).is_some_and(|c| c != 0);
        if let Some(directory) = self.launch.shut_by.as_ref().filter(|_| failed) {
            let directory = printable(directory.as_os_str().as_encoded_bytes());
            say(
                self.log,
                &format!("hint: {directory} keeps this job's user out: chmod o+x {directory}"),
            );
        }
        let kind = match (&self.ending, &self.status) {
            (Some(ending), _) => ending.kind,
            (None, Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => EndKind::Exit(code as u8),
                (_, Some(number)) => EndKind::Signal(number as u8),
                _ => EndKind::Lost,
            },
            (None, None) => EndKind::Lost,
        };
        let mut end = ended(kind, self.log);
        end.strays = strays;
        let reasons = [
            self.ending.map(|e| e.reason),
            self.log_error.map(|e| format!("output was lost: {e}")),
            end.reason.take(),
        ];
        end.reason = reasons.into_iter().fold(None, joined);
        end
    }
}
