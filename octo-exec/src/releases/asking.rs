//! Asking a process of the job's user what is in its directories: it is one of ours, and may
//! be kept by a file system that stands still. Then it is left behind.

use crate::enter::identity::Identity;
use crate::enter::message;
use crate::start;
use octo_core::base::paths::Places;
use octo_core::tentacle::releases::{Directory, Looked, answers};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// So long the end of a job waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// So much is read of what it prints, in bytes: as much as so many directories can have, each
/// with the longest lists of names.
const LARGEST: usize = 8 << 20;
/// How long one that is ended has to be gone.
const A_MOMENT: Duration = Duration::from_millis(100);

/// What is in these directories, in their order; `None` where no answer came in time.
///
/// # Errors
/// Where nobody could be asked.
pub(crate) fn ask(
    places: &Places,
    identity: &Identity,
    directories: &[Directory],
) -> io::Result<Vec<Option<Looked>>> {
    let words: Vec<OsString> =
        directories.iter().map(|directory| directory.path().into_os_string()).collect();
    let entry = message::encode(identity, true, &words, &[]);
    let mut command = start::own(places)?;
    command.arg("look").env_clear().current_dir("/");
    let output = told(command, &entry, Instant::now() + PATIENCE)?;
    Ok(answers(&output, directories.len()))
}

/// Starts it, tells it this, and returns what it prints until it ends or the time is up.
fn told(mut command: Command, entry: &[u8], until: Instant) -> io::Result<Vec<u8>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    // It reads all of it before it does anything else, as whom we are.
    let written = child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(entry));
    let printed = match (&child.stdout, written) {
        (Some(pipe), Ok(())) => printed(pipe, LARGEST, until),
        (_, written) => written.map(|()| Vec::new()),
    };
    end(&mut child);
    printed
}

/// What comes out of a pipe until it ends, the time is up, or so many bytes are there.
///
/// # Errors
/// Where it can't be read.
pub(crate) fn printed(pipe: impl AsFd, most: usize, until: Instant) -> io::Result<Vec<u8>> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 32 << 10]);
    while bytes.len() < most {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => break,
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match read(&pipe, &mut buffer) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(most);
    Ok(bytes)
}

/// Ends it, and waits a moment: one that the kernel holds goes when that lets go.
pub(crate) fn end(child: &mut Child) {
    let until = Instant::now() + A_MOMENT;
    let _ = child.kill();
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output_of(script: &str, patience: Duration) -> Vec<u8> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        told(command, b"told", Instant::now() + patience).expect("it ran")
    }

    #[test]
    fn neither_silence_nor_a_flood_keeps_us() {
        let long = Duration::from_secs(60);
        assert_eq!(output_of("cat; echo; echo more", long), b"told\nmore\n");
        assert_eq!(output_of("cat; exec sleep 1000", Duration::from_millis(300)), b"told");
        let begun = Instant::now();
        assert_eq!(output_of("cat; exec yes", long).len(), LARGEST);
        assert!(begun.elapsed() < long);
    }
}
