//! `octo-exec job DIR`: brings one job forward, as far as it can go. Calling it
//! again is always safe: it runs a job at most once.

use super::named::named;
use crate::admission::unstarted::Unstarted;
use crate::job::runner::Runner;
use crate::job::{settle, signals};
use octo_core::base::cli::Tool;
use octo_core::base::cli::options::Said;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::Places;
use octo_core::tentacle::job::{End, EndKind, JobDirectory, JobLock};
use rustix::process::{getpid, setsid};
use std::path::Path;

/// The verb.
pub(super) fn job(said: &Said, places: &Places) -> Result<u8> {
    let (tool, directory) = (said.tool(), &said.counted(1..=1)?[0]);
    let directory =
        std::path::absolute(directory).map_err(|e| Error::io(Path::new(directory), &e))?;
    let job = JobDirectory::at(&directory)?;
    if job.path().parent() != Some(&places.jobs()) {
        let reason = format!("not in {}", places.jobs().display());
        return Err(Error::new(Exit::Usage, job.path().display(), reason).hint("--state DIR"));
    }
    let job = named(said, places, job.id().as_str())?;
    // Its own session, so that what started us can be restarted, and a terminal
    // that closes takes nothing along. Fails only where we lead one already.
    let _ = setsid();
    signals::heed_in_scripts();
    let _ = rustix::process::set_child_subreaper(Some(getpid()));
    let Some(held) = job.try_hold()? else {
        return Ok(0);
    };
    if job.end()?.is_some() {
        return Ok(0);
    }
    if job.open("started")?.is_some() {
        settle::lost(tool, places, &job, &held, None)?;
        return Ok(0);
    }
    forward(tool, places, &job, &held)?;
    Ok(0)
}

fn forward(tool: &Tool, places: &Places, job: &JobDirectory, held: &JobLock) -> Result<()> {
    let mut room = None;
    let attempt = Runner::new(tool, places, job, held).map_err(Unstarted::Failed);
    let end = match attempt.and_then(|attempt| attempt.run(&mut room)) {
        Ok(end) | Err(Unstarted::Over(end)) => end,
        Err(Unstarted::Held) => return Ok(()),
        Err(Unstarted::Failed(error)) => {
            tool.report(&error);
            if job.open("started")?.is_some() {
                // As if we had been killed: nobody of it may stay.
                return settle::lost(tool, places, job, held, Some(error.message));
            }
            // Nothing of the script ran: that is what `denied` says.
            End::unstarted(EndKind::Denied(error.exit.code()), error.message)
        }
    };
    settle::over(tool, places, job, end, room)
}
