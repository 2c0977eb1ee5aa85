//! `octo-exec start` and `cancel`: jobs begin to go on, or end.

use super::named::named;
use crate::start;
use octo_core::base::cli::options::Said;
use octo_core::base::error::Result;
use octo_core::base::operator;
use octo_core::base::paths::Places;
use octo_core::tentacle::job::State;

/// `start`: every queued, lost and approved job.
pub(super) fn start(said: &Said, places: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    start::all(places)?;
    Ok(0)
}

/// `cancel JOB`
pub(super) fn cancel(said: &Said, places: &Places) -> Result<u8> {
    let id = &said.counted(1..=1)?[0];
    let job = named(said, places, id)?;
    if let State::Over(end) = job.state()? {
        said.tool().say(format!("job {id}: over already: {}", end.kind.word()));
        return Ok(0);
    }
    job.cancel(&operator::at_host())?;
    // Nobody may be there to see it: then whoever comes ends it at once.
    if !matches!(job.state()?, State::Running | State::Waiting(_)) {
        let _ = start::program(places, &job)?.wait();
    }
    Ok(0)
}
