//! `octo-exec start` and `cancel`: jobs begin to go on, or end.

use super::named::named;
use crate::start;
use octo_core::base::cli::Tool;
use octo_core::base::error::Result;
use octo_core::base::operator;
use octo_core::base::paths::Places;
use octo_core::tentacle::job::State;

/// `start`: every queued, lost and approved job.
pub(super) fn start(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse_untabled(&tool.options(), arguments)? else { return Ok(0) };
    if !matches.free.is_empty() {
        return Err(tool.misuse("start takes no arguments"));
    }
    start::all(places)?;
    Ok(0)
}

/// `cancel JOB`
pub(super) fn cancel(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse_untabled(&tool.options(), arguments)? else { return Ok(0) };
    let [id] = &matches.free[..] else { return Err(tool.misuse("cancel takes one job")) };
    let job = named(tool, places, id)?;
    if let State::Over(end) = job.state()? {
        tool.say(format!("job {id}: over already: {}", end.kind.word()));
        return Ok(0);
    }
    job.cancel(&operator::at_host())?;
    // Nobody may be there to see it: then whoever comes ends it at once.
    if !matches!(job.state()?, State::Running | State::Waiting(_)) {
        let _ = start::program(places, &job)?.wait();
    }
    Ok(0)
}
