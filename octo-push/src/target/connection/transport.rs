//! `-P`: a program whose standard input and output are the connection, as ssh has its
//! ProxyCommand; and what can be told of it when it ends.
//!
//! What it writes to standard error is kept back, the last 4 KiB of it: banners of a
//! connection that works are nobody's business, the reason of one that doesn't is.

use crate::cli::argv;
use crate::target::connection::via::Via;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::last_words::LastWords;
use octo_core::targets::fill;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// A program that has closed the connection ends soon, if it ends.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

/// A running transport program; it ends with the connection.
#[derive(Debug)]
pub(crate) struct Transport {
    /// The command as it was started.
    command: Vec<String>,
    child: Child,
    words: LastWords,
    /// Waits for its end.
    watcher: Option<JoinHandle<()>>,
}

impl Transport {
    /// Starts the program; the stream is its standard input and output.
    ///
    /// # Errors
    /// Exit 69, where it can't be started.
    pub(crate) fn start(via: Via, command: &[String]) -> Result<(UnixStream, Transport)> {
        let (name, address) = (via.target.name.as_str(), via.target.roads.address());
        let filled = command.iter().map(|argument| fill(argument, name, address));
        let filled = filled.collect::<Option<Vec<String>>>().ok_or_else(|| {
            let reason = "has no address that %h and %p of -P could stand for";
            Error::new(Exit::Data, name, reason).hint("%n stands for its name")
        })?;
        let (program, arguments) = filled
            .split_first()
            .ok_or_else(|| Error::new(Exit::Unavailable, "transport", "no command"))?;
        let failed = |error: io::Error| Error::new(Exit::Unavailable, program, describe(&error));
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let (words, their_errors) = LastWords::listen().map_err(failed)?;
        let output = theirs.try_clone().map_err(failed)?;
        let shut = ours.try_clone().map_err(failed)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(output)))
            .stderr(their_errors)
            .spawn()
            .map_err(failed)?;
        let watcher = watch(&child, shut);
        Ok((ours, Transport { command: filled, child, words, watcher }))
    }

    /// Why the connection ended, if it did because the program has: its name, its status and
    /// its last words. Waits a moment for its end.
    pub(crate) fn end(&mut self) -> Option<String> {
        let status = self.status_within(ENDS_WITHIN)?;
        self.words.finish();
        let ended = match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with status {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_string(),
        };
        let program = self.command.first().map_or("", String::as_str);
        Some(format!("{} {ended}{}", printable(program.as_bytes()), self.last_words()))
    }

    /// The command as a shell takes it.
    pub(crate) fn to_type(&self) -> String {
        let words: Vec<_> = self.command.iter().map(|word| argv::quote(word)).collect();
        words.join(" ")
    }

    /// An error of the connection, with what the program has to say to it.
    pub(crate) fn explain(&mut self, error: Error) -> Error {
        let message = match self.end() {
            Some(end) => format!("{}; {end}", error.message),
            None => format!("{}{}", error.message, self.last_words()),
        };
        Error { message, ..error }
    }

    /// An error of a handshake that never came, though the program runs: it may have reached
    /// nobody.
    pub(crate) fn still_runs(&self, error: Error) -> Error {
        let message = format!("{}{}", error.message, self.last_words());
        Error {
            message,
            hints: vec![format!("does it connect? by hand: {}", self.to_type())],
            ..error
        }
    }

    /// What it said last, to stand behind something else.
    fn last_words(&self) -> String {
        let told = self.words.told();
        if told.is_empty() { told } else { format!(": {told}") }
    }

    fn status_within(&mut self, time: Duration) -> Option<ExitStatus> {
        // Without pidfds, as before Linux 5.3, it is asked once.
        if let Some(process) = descriptor_of(&self.child) {
            let mut ended = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
            let _ = poll(&mut ended, Timespec::try_from(time).ok().as_ref());
        }
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        // The session is over: what is still in its pipes is of no use.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.words.finish();
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

fn descriptor_of(child: &Child) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(child.id()).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// Shuts the connection when the program ends: what it has started may hold the other end open
/// for ever, and nobody would be told. What was sent before can still be read.
fn watch(child: &Child, shut: UnixStream) -> Option<JoinHandle<()>> {
    let process = descriptor_of(child)?;
    let thread = std::thread::Builder::new().stack_size(64 * 1024);
    let wait = move || {
        let mut ended = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
        while let Err(Errno::INTR) = poll(&mut ended, None) {}
        let _ = shut.shutdown(Shutdown::Both);
    };
    thread.spawn(wait).ok()
}
