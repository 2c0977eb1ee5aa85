//! Runs the script and watches over it: output, cancel, time limit, the whole
//! tree. One thread, one poll(2): while nothing happens nothing wakes.

use super::ending::Ending;
use super::mask::Masker;
use super::tree;
use super::watch::{JobWatch, is_readable};
use crate::start;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::base::units::human_duration;
use octo_core::tentacle::job::{End, EndKind, LogWriter, Stream};
use rustix::process::{Pid, WaitOptions, WaitStatus};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long grandchildren may keep the output open after the script's exit.
const STRAYS_WAIT: Duration = Duration::from_secs(5);

/// How it runs.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) places: &'a Places,
    pub(crate) directory: PathBuf,
    pub(crate) timeout: Option<Duration>,
    pub(crate) grace: Duration,
    /// A hint is due when sudo fails for want of privileges.
    pub(crate) no_new_privileges: bool,
    /// A directory above the job that its user can't pass: worth a hint when it fails.
    pub(crate) shut_by: Option<PathBuf>,
}

/// One stream of the script.
#[derive(Debug)]
struct Pipe {
    stream: Stream,
    file: File,
    masker: Masker,
}

/// Runs what `octo-exec enter` is told by this entry to its end. The end is not written yet.
pub(crate) fn run(
    launch: &Launch<'_>,
    entry: Zeroizing<Vec<u8>>,
    watch: &JobWatch,
    log: &mut LogWriter,
    maskers: [Masker; 2],
) -> Result<End> {
    let failed = |e: io::Error| Error::new(Exit::Temporary, "octo-exec enter", describe(&e));
    let mut child = enter(launch, entry).map_err(failed)?;
    let main = Pid::from_child(&child);
    let [out_mask, err_mask] = maskers;
    let pipe = |stream, end: OwnedFd, masker| Pipe { stream, file: File::from(end), masker };
    let out = child.stdout.take().map(|out| pipe(Stream::Out, out.into(), out_mask));
    let err = child.stderr.take().map(|err| pipe(Stream::Err, err.into(), err_mask));
    let pipes = out.into_iter().chain(err).collect();
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

/// Starts what becomes the script, and tells it how. It has nothing of the job's in its
/// arguments and environment: it still has our privileges.
fn enter(launch: &Launch<'_>, entry: Zeroizing<Vec<u8>>) -> io::Result<Child> {
    let mut child = start::own(launch.places)?
        .arg("enter")
        .env_clear()
        .current_dir(&launch.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // It reads all of it before it does anything else: this doesn't wait for long.
    let told = child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(&entry));
    match told {
        // It died, and how it ended tells.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(child),
        told => told.map(|()| child),
    }
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
    launch: &'a Launch<'a>,
    watch: &'a JobWatch,
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
                strays = self.strays();
                break;
            }
            let fds: Vec<BorrowedFd<'_>> = self.pipes.iter().map(|p| p.file.as_fd()).collect();
            self.watch.wait(&fds, self.next_moment())?;
            self.read_output();
        }
        Ok(self.finish(strays))
    }

    /// Who still holds the output open, or could not be ended: another user's, whom
    /// we may not end, or stuck in the kernel.
    fn strays(&self) -> Vec<String> {
        let open = self.pipes.iter().filter_map(|pipe| pipe.file.metadata().ok());
        let inodes: Vec<u64> = open.map(|metadata| metadata.ino()).collect();
        let mut left = tree::holders(&inodes);
        if self.ending.is_some() {
            left.extend(tree::ours());
            left.sort_by_key(|process| process.pid);
            left.dedup_by_key(|process| process.pid);
        }
        tree::names(&left)
    }

    /// The next moment at which something is to be done without being woken. While the
    /// tree is being ended, it comes from that alone: `drain_until` may be long past.
    fn next_moment(&self) -> Option<Instant> {
        let is_over = self.status.is_some();
        if let Some(ending) = &self.ending {
            return Some(ending.next_look(is_over));
        }
        let limit = self.deadline.filter(|_| !is_over);
        [limit, self.drain_until].into_iter().flatten().min()
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
        if let Some(ending) = &mut self.ending {
            ending.go_on();
            if ending.has_failed() {
                self.drain_until = Some(Instant::now());
            }
        } else if self.status.is_none()
            && let Some((kind, reason)) = self.reason_to_end()
        {
            self.ending = Some(Ending::begin(kind, reason, self.launch.grace));
        }
    }

    fn reason_to_end(&self) -> Option<(EndKind, String)> {
        if let Some(who) = self.watch.cancelled() {
            return Some((EndKind::Cancelled, who));
        }
        self.deadline.filter(|deadline| Instant::now() >= *deadline)?;
        let limit = human_duration(self.launch.timeout.unwrap_or_default());
        Some((EndKind::Timeout, format!("the time limit of {limit} has passed")))
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
            if !is_readable(pipe.file.as_fd()) {
                index += 1;
                continue;
            }
            let (shown, over) = match pipe.file.read(&mut self.buffer) {
                Ok(0) => (pipe.masker.finish(), true),
                Ok(count) => (pipe.masker.pass(&self.buffer[..count]), false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (Vec::new(), false),
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
        self.say_hints();
        let (kind, why) = match (self.ending, &self.status) {
            (Some(ending), _) => (ending.kind, Some(ending.reason)),
            (None, status) => (kind_of(status.as_ref()), None),
        };
        let mut end = End { strays, ..ended(kind, self.log) };
        let lost = self.log_error.map(|error| format!("output was lost: {error}"));
        let kept = end.reason.take();
        [why, lost, kept].into_iter().flatten().for_each(|reason| end.add_reason(reason));
        end
    }

    fn say_hints(&mut self) {
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
    }
}

fn kind_of(status: Option<&WaitStatus>) -> EndKind {
    let Some(status) = status else { return EndKind::Lost };
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => EndKind::Exit(code as u8),
        (_, Some(number)) => EndKind::Signal(number as u8),
        (None, None) => EndKind::Lost,
    }
}
