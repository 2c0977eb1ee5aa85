//! `octo-exec enter`: becomes a job's user and then its script. What to become and to
//! run comes by standard input: no program with privileges has a job's variables among
//! its own, where they could steer it, or anything of a job among its arguments.

pub(crate) mod identity;
pub(crate) mod message;

use crate::job::signals;
use message::{Entry, LARGEST};
use nix::unistd::execve;
use octo_core::base::cli::options::Said;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::base::{descriptors, no_core};
use rustix::thread::set_no_new_privs;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use zeroize::Zeroizing;

/// The verb. It returns only where it failed; nothing of the script ran then.
pub(crate) fn enter(said: &Said, _: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    // A listener that the kernel is to spare has jobs that it may end. This comes first:
    // of a process that leaves no core the file is root's.
    let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    no_core::of_us();
    // Before it is told: whoever tells it waits for the rest.
    signals::heed_in_scripts();
    let bytes = read().map_err(|error| cant_run(&error))?;
    let Entry { identity, no_new_privileges, words, variables } = message::parse(&bytes)
        .map_err(|wrong| Error::new(Exit::Data, "enter: standard input", wrong))?;
    // Where it is to be, what it reads, then the script's own words.
    let [directory, input, words @ ..] = &words[..] else {
        return Err(Error::new(Exit::Data, "enter: standard input", "words are missing"));
    };
    rustix::process::chdir(*directory).map_err(|error| cant_run(&error.into()))?;
    // By who we still are: it is octo-exec's own, in whose directory nobody else writes.
    descriptors::stdin_is(input).map_err(|error| cant_run(&error))?;
    // While we are who we were: /proc shows a process that changed its user to root only,
    // and the job's user must not find anything open here.
    descriptors::close_others().map_err(|error| cant_run(&error))?;
    identity::take_on(&identity)?;
    if no_new_privileges {
        set_no_new_privs(true).map_err(|error| cant_run(&error.into()))?;
    }
    // Not execvp(3), which has a shell read what the kernel doesn't know.
    let program = words.first().copied().unwrap_or_default();
    let Err(error) = execve(program, words, &variables);
    Err(cant_run(&error.into()))
}

/// All of standard input, which others hold no copy of.
pub(crate) fn read() -> io::Result<Zeroizing<Vec<u8>>> {
    // As large as it may get: a buffer that grows leaves what it held behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    input.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > LARGEST {
        true => Err(io::ErrorKind::ArgumentListTooLong.into()),
        false => Ok(bytes),
    }
}

/// 127 and 126 as a shell has them.
fn cant_run(error: &io::Error) -> Error {
    let exit = match error.kind() {
        io::ErrorKind::NotFound => Exit::NotFound,
        _ => Exit::NotExecutable,
    };
    Error::new(exit, "can't run the script", describe(error))
}
