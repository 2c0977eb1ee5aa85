//! Runs the script and watches over it: output, cancel, time limit, the whole
//! tree. One thread, one poll(2): while nothing happens nothing wakes.

use super::drain;
use super::mask::Masker;
use super::output::{Output, ended, say};
use super::watch::{JobWatch, is_readable};
use crate::cgroup::Placed;
use crate::processes::Processes;
use crate::processes::ending::Ending;
use crate::processes::tree::{self, Process};
use octo_core::base::encoding::printable;
use octo_core::base::error::{Result, describe};
use octo_core::base::paths::Places;
use octo_core::base::units::{human_duration, human_size};
use octo_core::tentacle::job::{End, EndKind, LogWriter, Stream};
use octo_core::trust::Resources;
use rustix::io::Errno;
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, WaitOptions, WaitStatus};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

/// How long grandchildren may keep the output open after the script's exit.
const STRAYS_WAIT: Duration = Duration::from_secs(5);
/// How soon output that is kept back is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// So much of a script's output is taken at once, in bytes, and fits into the pipe before it:
/// each look at all that is watched costs as much as moving some of it.
const PIECE: usize = 256 * 1024;

/// How it runs.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) places: &'a Places,
    /// What all of it may use.
    pub(crate) resources: Resources,
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

/// Runs what was told what to run to its end. The end is not written yet.
pub(crate) fn run(
    launch: &Launch<'_>,
    mut child: Child,
    placed: Placed,
    watch: &JobWatch,
    log: &mut LogWriter,
    maskers: [Masker; 2],
) -> Result<End> {
    let main = Pid::from_child(&child);
    let [out_mask, err_mask] = maskers;
    let pipe = |stream, end: OwnedFd, masker| {
        // Where it can't be so large it is smaller: the script then waits more often. What all
        // pipes of a user may take is bounded, so the other stream is left as it is.
        if stream == Stream::Out {
            let _ = fcntl_setpipe_size(&end, PIECE);
        }
        Pipe { stream, file: File::from(end), masker }
    };
    let out = child.stdout.take().map(|out| pipe(Stream::Out, out.into(), out_mask));
    let err = child.stderr.take().map(|err| pipe(Stream::Err, err.into(), err_mask));
    let pipes = out.into_iter().chain(err).collect();
    // From here on any child is reaped by us, not by `child`: orphans come too.
    drop(child);
    Supervisor {
        launch,
        watch,
        output: Output::to(log),
        pipes,
        main,
        processes: Processes::ours(placed.group),
        status: None,
        has_children: true,
        ending: None,
        why: None,
        deadline: launch.timeout.map(|limit| Instant::now() + limit),
        drain_until: None,
        buffer: vec![0; PIECE],
        sudo_failed: false,
    }
    .watch_over()
}

struct Supervisor<'a> {
    launch: &'a Launch<'a>,
    watch: &'a JobWatch,
    output: Output<'a>,
    pipes: Vec<Pipe>,
    main: Pid,
    processes: Processes,
    status: Option<WaitStatus>,
    /// Somebody of the job lives: it is our child, or was made by one.
    has_children: bool,
    ending: Option<Ending>,
    /// Why it has to end: for the record.
    why: Option<(EndKind, String)>,
    deadline: Option<Instant>,
    drain_until: Option<Instant>,
    buffer: Vec<u8>,
    sudo_failed: bool,
}

impl Supervisor<'_> {
    fn watch_over(mut self) -> Result<End> {
        let strays = loop {
            self.watch.clear();
            self.reap();
            self.look_for_an_end();
            self.ask_again();
            let gone = self.status.is_some() && self.tree_is_gone();
            if gone && self.pipes.is_empty() && !self.output.is_kept_back() {
                break Vec::new();
            }
            // While the tree is being ended, that it is gone is waited for, not
            // that its pipes close.
            let ended = self.ending.as_ref().is_none_or(Ending::has_failed) || gone;
            if ended && self.drain_until.is_some_and(|until| Instant::now() >= until) {
                break self.strays();
            }
            // What is kept back comes first: the job waits for it, and nobody else.
            let read = self.pipes.iter().filter(|_| !self.output.is_kept_back());
            let fds: Vec<BorrowedFd<'_>> = read.map(|p| p.file.as_fd()).collect();
            self.watch.wait(&fds, self.next_moment())?;
            self.read_output();
        };
        Ok(self.finish(&strays))
    }

    /// Who still holds the output open, or could not be ended: another user's, whom
    /// we may not end, or stuck in the kernel.
    fn strays(&self) -> Vec<Process> {
        let open = self.pipes.iter().filter_map(|pipe| pipe.file.metadata().ok());
        let inodes: Vec<u64> = open.map(|metadata| metadata.ino()).collect();
        let mut left = tree::holders(&inodes);
        if self.ending.is_some() {
            left.extend(self.processes.living());
            left.sort_by_key(|process| process.pid);
            left.dedup_by_key(|process| process.pid);
        }
        left
    }

    /// Who lives on after a normal exit, besides those.
    fn daemons(&self, strays: &[Process]) -> Vec<Process> {
        // A wait that finds no child is cheaper than a look at all of /proc.
        if self.ending.is_some() || !self.has_children {
            return Vec::new();
        }
        let mut living = self.processes.living();
        living.retain(|process| strays.iter().all(|stray| stray.pid != process.pid));
        living
    }

    /// The next moment at which something is to be done without being woken. While the
    /// tree is being ended, it comes from that alone: `drain_until` may be long past.
    fn next_moment(&self) -> Option<Instant> {
        let again = self.output.is_kept_back().then(|| Instant::now() + AGAIN);
        [again, self.next_change()].into_iter().flatten().min()
    }

    fn next_change(&self) -> Option<Instant> {
        let is_over = self.status.is_some();
        if let Some(ending) = &self.ending {
            return Some(ending.next_look(is_over));
        }
        let limit = self.deadline.filter(|_| !is_over);
        [limit, self.drain_until].into_iter().flatten().min()
    }

    fn reap(&mut self) {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.main => {
                    self.status = Some(status);
                    // The script is over: what still holds its output has a while.
                    self.drain_until = Some(Instant::now() + STRAYS_WAIT);
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return,
                Err(_) => {
                    self.has_children = false;
                    return;
                }
            }
        }
    }

    /// A cancel or the time limit begins the end; the grace's end makes it KILL.
    fn look_for_an_end(&mut self) {
        if let Some(ending) = &mut self.ending {
            ending.go_on(&self.processes);
            if ending.has_failed() {
                self.drain_until = Some(Instant::now());
            }
        } else if self.status.is_none()
            && let Some(why) = self.reason_to_end()
        {
            self.ending = Some(Ending::begin(&self.processes, self.launch.grace));
            self.why = Some(why);
        }
    }

    /// Asks again for room for what is kept back. Strays have their while all the same, when
    /// they are read; what is ended waits no longer than that, and its end says what was lost.
    fn ask_again(&mut self) {
        let unread = self.output.ask_again();
        if self.ending.is_none() {
            self.drain_until = self.drain_until.map(|until| until + unread);
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
        // Orphans become our children: without a child there is no descendant, whatever a
        // list of /proc shows, or misses.
        self.ending.is_none() || (!self.has_children && self.processes.have_left_group())
    }

    fn read_output(&mut self) {
        let mut index = 0;
        while index < self.pipes.len() && !self.output.is_kept_back() {
            let pipe = &mut self.pipes[index];
            if !is_readable(pipe.file.as_fd()) {
                index += 1;
                continue;
            }
            let (shown, over) = match pipe.file.read(&mut self.buffer) {
                Ok(0) => (Cow::Owned(pipe.masker.finish()), true),
                Ok(count) => (pipe.masker.pass(&self.buffer[..count]), false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => (Cow::Owned(pipe.masker.finish()), true),
            };
            let stream = pipe.stream;
            if stream == Stream::Err && self.launch.no_new_privileges {
                let words = b"no new privileges";
                self.sudo_failed |= shown.windows(words.len()).any(|w| w == words);
            }
            self.output.take(stream, &shown);
            if over {
                self.pipes.remove(index);
            } else {
                index += 1;
            }
        }
    }

    fn finish(mut self, strays: &[Process]) -> End {
        let daemons = self.daemons(strays);
        let mut open = std::mem::take(&mut self.pipes);
        self.output.finish(open.iter_mut().map(|pipe| (pipe.stream, pipe.masker.finish())));
        if self.ending.is_none() && !open.is_empty() {
            self.leave_to_drain(open, strays);
        }
        self.say_hints();
        let out_of_memory = self.out_of_memory();
        self.leave_group(!daemons.is_empty() || !strays.is_empty());
        let (kind, why) = match self.why {
            Some((kind, reason)) => (kind, Some(reason)),
            None => (kind_of(self.status.as_ref()), None),
        };
        let escaped =
            (self.ending.is_some() && self.has_children && strays.is_empty()).then(|| {
                "some of its processes live on: they make new ones faster than they are found"
                    .to_string()
            });
        let (strays, daemons) = (tree::names(strays), tree::names(&daemons));
        let mut end = End { strays, daemons, ..ended(kind, self.output.log) };
        let lost = self.output.lost();
        let kept = end.reason.take();
        let reasons = [out_of_memory, why, escaped, lost, kept];
        reasons.into_iter().flatten().for_each(|reason| end.add_reason(reason));
        end
    }

    /// A server that prints its log would die of SIGPIPE at its next line, right after it
    /// was reported healthy.
    fn leave_to_drain(&mut self, open: Vec<Pipe>, strays: &[Process]) {
        let names = tree::names(strays).join(", ");
        let text = match drain::start(self.launch.places, open.into_iter().map(|p| p.file.into())) {
            Ok(()) => {
                format!("{names} holds the output open; what it prints from now on is not kept")
            }
            Err(error) => format!("{names} can't print any more: {}", describe(&error)),
        };
        say(self.output.log, &text);
    }

    /// The kernel's word that memory= was used up.
    fn out_of_memory(&self) -> Option<String> {
        let memory = self.launch.resources.memory.map(human_size)?;
        if kind_of(self.status.as_ref()) == EndKind::Exit(0) {
            return None;
        }
        let was = self.processes.group.as_ref()?.was_out_of_memory();
        was.then(|| format!("oom: its {memory} of memory were used up (memory=)"))
    }

    /// What lives on is the machine's own from now on.
    fn leave_group(&self, is_inhabited: bool) {
        match &self.processes.group {
            Some(group) if is_inhabited && self.launch.resources != Resources::default() => {
                group.lift()
            }
            Some(group) => group.remove(),
            None => {}
        }
    }

    fn say_hints(&mut self) {
        if self.sudo_failed {
            say(
                self.output.log,
                "hint: this job may not gain privileges; the option sudo of its line in the trust file lets it",
            );
        }
        let failed = self.status.and_then(|status| status.exit_status()).is_some_and(|c| c != 0);
        if let Some(directory) = self.launch.shut_by.as_ref().filter(|_| failed) {
            let directory = printable(directory.as_os_str().as_encoded_bytes());
            say(
                self.output.log,
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
