//! `jobs` and `cancel`.

use super::{job_id, lines};
use crate::host::{Asked, Host, No};
use crate::session::{Ended, Reply, Session};
use octo_core::tentacle::job::{JobDirectory, State};
use octo_core::tentacle::spec::Script;
use octo_core::trust::{Line, Verb};
use octo_wire::{Duplex, Message};

/// The jobs that a list names at most: the newest.
const LISTED: usize = 10_000;

pub(crate) fn jobs<S: Duplex>(session: &mut Session<'_, S>) -> Result<Reply, Ended> {
    let (host, caller) = (session.host, session.caller);
    let line = host.judge(caller, Verb::Jobs, Asked::default())?;
    let head = host.record_or_log(caller, &line, "jobs", &[]);
    let all = JobDirectory::all(&host.places).map_err(|e| No::failed(host, &e))?;
    let newest = all.iter().rev().filter_map(|job| entry(&line, job)).take(LISTED);
    let mut listed: Vec<Message> = newest.collect();
    listed.reverse();
    Ok(Reply::ok(head).carrying(lines(&listed)?))
}

/// A line of the list; `None` for what the line may not see, and for what goes
/// while it is looked at.
fn entry(line: &Line, job: &JobDirectory) -> Option<Message> {
    let owner = job.owner().ok()?;
    let sees = match &owner {
        Some(owner) => line.sees_jobs_of(owner),
        None => line.sees_all_jobs(),
    };
    if !sees {
        return None;
    }
    let request = job.request().ok()?;
    let state = job.state().ok()?;
    let mut message = Message::new("job")
        .with("job", job.id())
        .with("state", state.word())
        .with("received", &request.received)
        .with("by", &request.by);
    if let Some(owner) = owner {
        message = message.with("name", owner);
    }
    if let State::Over(end) = &state {
        message = message.with("code", end.kind.code()).with("at", &end.at);
    }
    if let Ok((spec, _)) = job.spec() {
        let (kind, what) = match &spec.script {
            Script::Sent { name, .. } => ("script", name.clone()),
            Script::Named(name) => ("named", name.clone()),
            Script::Command(text) => ("command", text.chars().take(200).collect()),
        };
        message = message.with(kind, what);
        if let Some((digest, name)) = &spec.package {
            message = message.with("package", name).with("sha256", digest);
        }
    }
    Some(message)
}

pub(crate) fn cancel<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Message,
) -> Result<Reply, Ended> {
    let id = job_id(request)?;
    let (host, caller) = (session.host, session.caller);
    let line = host.judge(caller, Verb::Cancel, Asked::default())?;
    let job = host.visible(&line, &id)?;
    // A job that must stop is stopped, recorded or not.
    let head = host.record_or_log(caller, &line, "cancel", &[("job", id.as_str())]);
    let failed = |error: octo_core::Error| No::failed(host, &error);
    let state = job.state().map_err(failed)?;
    if !matches!(state, State::Over(_)) {
        job.cancel(&format!("{} ({caller})", line.name)).map_err(failed)?;
        end_if_nobody_does(host, &job);
        host.log.event(format_args!("{caller}: {}: cancel {id}: asked", line.name));
    }
    Ok(Reply::ok(head).with("state", state.word()))
}

/// A job that waits for its start has nobody who would see the cancellation.
fn end_if_nobody_does(host: &Host, job: &JobDirectory) {
    if matches!(job.state(), Ok(State::Queued | State::Held | State::Lost))
        && let Err(error) = host.starter.start(job)
    {
        host.log.error(&error);
    }
}
