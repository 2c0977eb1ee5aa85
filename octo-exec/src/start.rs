//! Starting jobs: always as a program of its own, by hand as by the listener. And so
//! is what enters a job.

use octo_core::JobId;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::base::program as own_program;
use octo_core::base::publish::SWEEP;
use octo_core::tentacle::job::{self, JobDirectory, State};
use octo_core::tentacle::spool::Spool;
use octo_core::tentacle::{account, doorbell, layout};
use std::io;
use std::process::{Child, Command, Stdio};

/// Starts `octo-exec job DIR`; its messages are ours.
///
/// # Errors
/// Where the program can't be started, exit 75: the job stays queued.
pub(crate) fn program(places: &Places, job: &JobDirectory) -> Result<Child> {
    spawn(places, job, Stdio::inherit())
}

/// As [`program`], for one who doesn't stay: a pipe that the job held open would
/// keep whoever reads our messages (cron, ssh, `$(…)`) until the job's end. What
/// goes wrong is in its record.
pub(crate) fn detached(places: &Places, job: &JobDirectory) -> Result<()> {
    spawn(places, job, Stdio::null()).map(drop)
}

/// Starts `octo-exec announce JOB`, for a job that is held; what goes wrong is said where our
/// own messages go.
///
/// # Errors
/// As [`program`].
pub(crate) fn announcing(places: &Places, job: &JobDirectory) -> Result<Child> {
    let failed =
        |e: io::Error| Error::new(Exit::Temporary, format!("job {}", job.id()), describe(&e));
    let mut command = own(places).map_err(failed)?;
    command.arg("announce").arg(job.id().as_str()).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    command.spawn().map_err(failed)
}

fn spawn(places: &Places, job: &JobDirectory, errors: Stdio) -> Result<Child> {
    let failed =
        |e: io::Error| Error::new(Exit::Temporary, format!("job {}", job.id()), describe(&e));
    own(places)
        .map_err(failed)?
        .arg("job")
        .arg(job.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .map_err(failed)
}

/// Starts `octo-exec take JOB`, or has it note why it is not taken over; its standard
/// output ends when it has done that.
///
/// # Errors
/// As [`program`].
pub(crate) fn taking(places: &Places, job: &JobId, not: Option<&str>) -> Result<Child> {
    take(places, job, not, [Stdio::piped(), Stdio::inherit()])
}

/// What it prints goes where these say.
fn take(
    places: &Places,
    job: &JobId,
    not: Option<&str>,
    [output, errors]: [Stdio; 2],
) -> Result<Child> {
    let failed = |e: io::Error| Error::new(Exit::Temporary, format!("job {job}"), describe(&e));
    own(places)
        .map_err(failed)?
        .arg("take")
        .arg(job.as_str())
        .args(not)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(failed)
}

/// Our own program, for these places; its verb is to follow.
///
/// # Errors
/// Where /proc is not there to say where it is.
pub(crate) fn own(places: &Places) -> io::Result<Command> {
    let mut command = Command::new(own_program::own()?);
    command.arg("--config").arg(&places.config).arg("--state").arg(&places.state);
    Ok(command)
}

/// As [`detached`], by whoever answers the doorbell, who then looks after the job.
pub(crate) fn looked_after(places: &Places, job: &JobDirectory) -> Result<()> {
    if layout::is_separated(places) && doorbell::ring(places).is_ok() {
        return Ok(());
    }
    detached(places, job)
}

/// Brings every job forward that waits for somebody to start or to settle it;
/// they are sessions of their own and go on without us.
pub(crate) fn all(places: &Places) -> Result<()> {
    job::sweep(places, SWEEP)?;
    account::rebuild(places)?;
    for job in JobDirectory::under_way(places)? {
        if matches!(job.state(), Ok(State::Queued | State::Lost | State::Held)) {
            detached(places, &job)?;
        }
    }
    for name in Spool::at(places).names()? {
        if !name.is_done(places) {
            // It runs the job, too: as [`detached`], it holds nothing of ours.
            take(places, &name.job, None, [Stdio::null(), Stdio::null()])?;
        }
    }
    Ok(())
}
