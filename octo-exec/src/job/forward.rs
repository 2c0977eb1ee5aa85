//! Bringing one job forward, as far as it can go. Doing it again is always safe: a
//! job runs at most once.

use super::entering::Entering;
use super::runner::Runner;
use super::{orders, settle, signals};
use crate::admission::unstarted::Unstarted;
use crate::start;
use octo_core::JobId;
use octo_core::base::cli::Tool;
use octo_core::base::error::{Error, Result};
use octo_core::base::paths::Places;
use octo_core::base::publish::{Reserved, sync_directory};
use octo_core::tentacle::job::{End, EndKind, JobDirectory, JobLock};
use octo_core::tentacle::spool::{EntryName, Spool};
use rustix::process::{getpid, setsid};

/// Makes this process what a job's processes descend from.
pub(crate) fn lead() {
    // Its own session, so that what started us can be restarted, and a terminal
    // that closes takes nothing along. Fails only where we lead one already.
    let _ = setsid();
    signals::heed_in_scripts();
    let _ = rustix::process::set_child_subreaper(Some(getpid()));
}

/// Makes the name of a job durable that is there. Who published it may have been killed before
/// that: its entry is in the spool then, and would have it run once more after a crash.
///
/// # Errors
/// Exit 74.
pub(crate) fn make_durable(places: &Places, job: &JobId) -> Result<()> {
    match Spool::at(places).holds(&EntryName::request(job)) {
        true => sync_directory(&places.jobs()),
        false => Ok(()),
    }
}

/// Brings it forward, for a process that leads, and may have begun to start its script.
///
/// # Errors
/// Where its files can't be read, or its end can't be written.
pub(crate) fn forward(
    tool: &Tool,
    places: &Places,
    job: &JobDirectory,
    begun: Option<Entering>,
) -> Result<u8> {
    let Some(held) = job.try_hold()? else { return Ok(0) };
    if job.end()?.is_some() {
        return Ok(0);
    }
    if job.open("started")?.is_some() {
        settle::lost(tool, places, job, &held, None)?;
        return Ok(0);
    }
    run(tool, places, job, &held, begun)?;
    Ok(0)
}

fn run(
    tool: &Tool,
    places: &Places,
    job: &JobDirectory,
    held: &JobLock,
    begun: Option<Entering>,
) -> Result<()> {
    let mut room = None;
    let attempt = match Runner::new(tool, places, job, begun) {
        Ok(attempt) => attempt,
        Err(error) => return fail(tool, places, job, held, error, room),
    };
    let ended = match attempt.order() {
        Some(order) => orders::obey(&attempt, order, &mut room),
        None => attempt.run(&mut room),
    };
    let end = match ended {
        Ok(end) | Err(Unstarted::Over(end)) => end,
        Err(Unstarted::Held) => {
            // What it needs is computed by another process: this one's end is waited for.
            // It outlives this process, and is nobody's zombie then.
            if let Err(error) = start::announcing(places, job) {
                tool.report(&error);
            }
            return Ok(());
        }
        Err(Unstarted::Failed(error)) => return fail(tool, places, job, held, error, room),
    };
    // Written while `attempt` lives: to close its watch takes milliseconds.
    settle::over(tool, places, job, end, room)
}

fn fail(
    tool: &Tool,
    places: &Places,
    job: &JobDirectory,
    held: &JobLock,
    error: Error,
    room: Option<Reserved>,
) -> Result<()> {
    tool.report(&error);
    if job.open("started")?.is_some() {
        // As if we had been killed: nobody of it may stay.
        return settle::lost(tool, places, job, held, Some(error.message));
    }
    // Nothing of the script ran: that is what `denied` says.
    let end = End::unstarted(EndKind::Denied(error.exit.code()), error.message);
    settle::over(tool, places, job, end, room)
}
