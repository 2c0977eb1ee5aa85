//! `octo-exec drain`: reads on what the daemons of a job print once the job is over, and
//! throws it away. It is a process of its own, so that nobody waits for it, and it ends
//! when nobody holds the output open any more.

use crate::start;
use octo_core::base::cli::options::Said;
use octo_core::base::descriptors;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};
use rustix::process::setsid;
use rustix::stdio::{stdin, stdout};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process::Stdio;

/// Starts it for these pipes: two at most, which take the places of its standard input and
/// output.
///
/// # Errors
/// Where it can't be started.
pub(crate) fn start(places: &Places, pipes: impl Iterator<Item = OwnedFd>) -> io::Result<()> {
    let mut pipes = pipes.map(Stdio::from);
    let mut command = start::own(places)?;
    command.arg("drain").env_clear().current_dir("/");
    command.stdin(pipes.next().unwrap_or_else(Stdio::null));
    command.stdout(pipes.next().unwrap_or_else(Stdio::null));
    // Whoever reads our messages is not to wait for a daemon's end.
    command.stderr(Stdio::null()).spawn().map(drop)
}

/// The verb.
pub(crate) fn drain(said: &Said, _: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    let failed = |error: io::Error| Error::new(Exit::Io, "drain", describe(&error));
    // It outlives whoever started it, and holds nothing that isn't its own.
    let _ = setsid();
    descriptors::close_others().map_err(failed)?;
    let mut open: Vec<BorrowedFd<'static>> = vec![stdin(), stdout()];
    let mut buffer = vec![0; 64 * 1024];
    while !open.is_empty() {
        let mut fds: Vec<PollFd<'_>> =
            open.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
        let readable: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut readable = readable.into_iter();
        open.retain(|fd| {
            !readable.next().unwrap_or_default() || !matches!(read(fd, &mut buffer), Ok(0) | Err(_))
        });
    }
    Ok(0)
}
