//! .tar.xz, unpacked by the system's xz(1), which is gone when we are done with it.

use crate::stop::Stop;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::users::PATH;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

/// In place of as many threads and as much memory as the file asks for; xz(1) of busybox
/// has bounds of its own.
const BOUNDS: &str = "-T1 --memlimit-decompress=256MiB";

/// So often a signal is looked for while nothing comes.
const A_MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Of what it says is wrong.
const LONGEST_MESSAGE: u64 = 1000;

pub(super) struct Xz {
    child: Child,
    output: ChildStdout,
    stop: Stop,
}

impl Xz {
    /// Starts it over this file.
    ///
    /// # Errors
    /// Exit 69 where it isn't installed.
    pub(super) fn start(file: File, stop: &Stop) -> Result<Xz> {
        let mut command = Command::new("xz");
        command.arg("-dc").env_clear().env("PATH", PATH).env("XZ_OPT", BOUNDS);
        command.env("LC_ALL", "C").stdin(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Error::new(Exit::Unavailable, "xz", "not installed, and this archive needs it")
                    .hint("install xz-utils there, or pack a .tar, .tar.gz or .tar.zst")
            }
            _ => Error::new(Exit::Io, "xz", describe(&error)),
        })?;
        match child.stdout.take() {
            Some(output) => Ok(Xz { child, output, stop: stop.clone() }),
            None => Err(Error::new(Exit::Io, "xz", "has no output")),
        }
    }

    /// How it ended, once it prints nothing more.
    fn end(&mut self) -> io::Result<usize> {
        let mut said = Vec::new();
        if let Some(errors) = self.child.stderr.take() {
            errors.take(LONGEST_MESSAGE).read_to_end(&mut said)?;
        }
        if self.child.wait()?.success() {
            return Ok(0);
        }
        let said = String::from_utf8_lossy(&said);
        let first =
            said.lines().next().unwrap_or("xz failed, and gave no reason").replace("(stdin): ", "");
        Err(io::Error::other(first))
    }
}

impl Read for Xz {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.is_told() {
                return Err(ErrorKind::Interrupted.into());
            }
            match poll(&mut [PollFd::new(&self.output, PollFlags::IN)], Some(&A_MOMENT)) {
                Ok(0) | Err(Errno::INTR) => continue,
                other => other?,
            };
            return match self.output.read(buffer)? {
                0 => self.end(),
                count => Ok(count),
            };
        }
    }
}

impl Drop for Xz {
    fn drop(&mut self) {
        // One that has ended is neither killed nor waited for twice.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
