//! What becomes a job's script, started before there is anything to tell it: a program takes
//! most of a millisecond to start, and the kernel up to 30 to take it into a cgroup. Meanwhile
//! the job is published, and the script's files are made.

use crate::cgroup::{self, Placed};
use crate::start;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::tentacle::job::JobDirectory;
use octo_core::trust::Resources;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use zeroize::Zeroizing;

/// More than the deepest of what the thread calls needs.
const STACK: usize = 256 * 1024;

/// It is on its way into its cgroup. Dropped, it ends, and nothing ran.
#[derive(Debug)]
pub(crate) struct Entering {
    thread: Option<JoinHandle<io::Result<(Child, Placed)>>>,
    resources: Resources,
}

/// It is there, and waits to be told what to run. Dropped, it ends as well.
#[derive(Debug)]
pub(crate) struct Entered {
    child: Option<Child>,
    pub(crate) placed: Placed,
}

impl Entering {
    /// Starts `octo-exec enter` for this job, which need not be there yet. It has nothing of
    /// the job's in its arguments and environment: it still has our privileges.
    ///
    /// # Errors
    /// Exit 75: a later try may pass.
    pub(crate) fn begin(
        places: &Places,
        job: &JobDirectory,
        resources: Resources,
    ) -> Result<Entering> {
        let mut command = start::own(places).map_err(failed)?;
        command.arg("enter").env_clear().current_dir("/");
        let job = job.clone();
        let spawn = |mut command: Command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
        };
        let thread = std::thread::Builder::new().name("entering".into()).stack_size(STACK);
        let thread = thread.spawn(move || cgroup::start(command, spawn, &job, resources));
        thread.map(|thread| Entering { thread: Some(thread), resources }).map_err(failed)
    }

    /// Was it started with these limits?
    pub(crate) fn is_with(&self, resources: Resources) -> bool {
        self.resources == resources
    }

    /// Waits until it is there.
    ///
    /// # Errors
    /// Exit 75, where it could not be started.
    pub(crate) fn wait(mut self) -> Result<Entered> {
        self.join()
    }

    fn join(&mut self) -> Result<Entered> {
        let died = || failed(io::Error::other("a thread died"));
        let ended = self.thread.take().ok_or_else(died)?.join().map_err(|_| died())?;
        let (child, placed) = ended.map_err(failed)?;
        Ok(Entered { child: Some(child), placed })
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        if self.thread.is_some() {
            drop(self.join());
        }
    }
}

impl Entered {
    /// Tells it what to become and to run.
    ///
    /// # Errors
    /// Where the pipe breaks otherwise than by its death, which its end tells.
    pub(crate) fn tell(mut self, entry: &Zeroizing<Vec<u8>>) -> Result<(Child, Placed)> {
        let died = || failed(io::ErrorKind::NotConnected.into());
        let mut child = self.child.take().ok_or_else(died)?;
        // It reads all of it before it does anything else: this doesn't wait for long.
        let told = child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(entry));
        match told {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed(error)),
            _ => Ok((child, std::mem::take(&mut self.placed))),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // The end of its input is the end of it.
        drop(child.stdin.take());
        let _ = child.wait();
        self.placed.remove();
    }
}

fn failed(error: io::Error) -> Error {
    Error::new(Exit::Temporary, "octo-exec enter", describe(&error))
}
