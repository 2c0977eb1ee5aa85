//! Verbs over the jobs of this machine: start, cancel, list.

use crate::{operator, start};
use octo_core::JobId;
use octo_core::cli::{Tool, print};
use octo_core::encoding::printable;
use octo_core::error::{Error, Exit, Result};
use octo_core::job::{JobDirectory, State};
use octo_core::paths::Places;
use std::fmt::Write;

/// The job of this id, which must be there.
pub(super) fn named(tool: &Tool, places: &Places, text: &str) -> Result<JobDirectory> {
    let id = JobId::parse(text).ok_or_else(|| tool.misuse(format!("'{text}' is not a job id")))?;
    let job = JobDirectory::of(places, &id);
    if !job.exists() {
        return Err(Error::new(Exit::Data, format!("job {id}"), "there is no such job here")
            .hint(format!("{} list", tool.name)));
    }
    Ok(job)
}

/// `start`: every queued, lost and approved job.
pub(super) fn start(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse(&tool.options(), arguments)? else { return Ok(0) };
    if !matches.free.is_empty() {
        return Err(tool.misuse("start takes no arguments"));
    }
    start::all(places)?;
    Ok(0)
}

/// `cancel JOB`
pub(super) fn cancel(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse(&tool.options(), arguments)? else { return Ok(0) };
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

/// `list [--held]`
pub(super) fn list(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let mut options = tool.options();
    options.optflag("", "held", "");
    let Some(matches) = tool.parse(&options, arguments)? else { return Ok(0) };
    let mut text = String::new();
    for job in JobDirectory::all(places)? {
        match line(&job) {
            Ok((state, line)) => {
                if !matches.opt_present("held") || state == State::Held {
                    let _ = writeln!(text, "{line}");
                }
            }
            Err(error) => tool.report(&error),
        }
    }
    print(&text)?;
    Ok(0)
}

fn line(job: &JobDirectory) -> Result<(State, String)> {
    let state = job.state()?;
    let request = job.request()?;
    let (spec, _) = job.spec()?;
    let who = request.pusher.map_or_else(|| "local".to_string(), |p| p.name.to_string());
    let code = match &state {
        State::Over(end) => end.kind.code().to_string(),
        _ => "-".into(),
    };
    let line = format!(
        "{} {:<9} {:>3} {} {} {} {}",
        job.id(),
        state.word(),
        code,
        request.received,
        who,
        printable(request.by.as_bytes()),
        spec.summary()
    );
    Ok((state, line))
}

/// Puts a file of this machine into the store, for the local operator.
pub(super) fn add_file(places: &Places, path: &std::path::Path) -> Result<octo_core::Digest> {
    let _ = places;
    Err(Error::new(
        Exit::Data,
        path.display(),
        "give the package by its sha256 after octo-exec add",
    ))
}
