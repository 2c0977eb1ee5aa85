//! `jobs`: a line a job, the oldest first.

use crate::host::{Asked, No};
use crate::session::{Answer, Ended, Session};
use octo_core::tentacle::job::{JobDirectory, State};
use octo_core::tentacle::spec::{Script, Spec};
use octo_core::trust::{Grant, Verb};
use octo_wire::{Duplex, Fields};

/// The jobs that a list names at most: the newest.
const LISTED: usize = 10_000;

/// How much of a command line is shown, in characters.
const SHOWN: usize = 200;

pub(crate) fn jobs<S: Duplex>(session: &mut Session<'_, S>) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let grant = host.judge(peer, Verb::Jobs, Asked::default())?;
    let head = host.record_question(peer, &grant, "jobs", "");
    let all = JobDirectory::all(&host.places).map_err(|e| No::failed(host, &e))?;
    let newest = all.iter().rev().filter_map(|job| entry(&grant, job)).take(LISTED);
    let mut listed: Vec<Fields> = newest.collect();
    listed.reverse();
    Ok(Answer::ok(Verb::Jobs, head).listing(&listed)?)
}

/// A line of the list; `None` for what the grant may not see, and for what goes
/// while it is looked at.
fn entry(grant: &Grant, job: &JobDirectory) -> Option<Fields> {
    let owner = job.owner().ok()?;
    if !grant.sees(owner.as_ref()) {
        return None;
    }
    let origin = job.origin().ok()?;
    let state = job.state().ok()?;
    let mut item = Fields::item(Verb::Jobs)
        .with("job", job.id())
        .with("state", told(&state))
        .with("received", &origin.received)
        .with("by", &origin.by)
        .maybe("name", owner);
    if let State::Over(end) = &state {
        item = item.with("code", end.kind.code()).with("at", &end.at);
    }
    match job.spec() {
        Ok((spec, _)) => Some(what_runs(item, &spec)),
        Err(_) => Some(item),
    }
}

/// The line with what runs, and with which package.
pub(crate) fn what_runs(item: Fields, spec: &Spec) -> Fields {
    let item = match &spec.script {
        Script::Sent { name, .. } => item.with("script", name),
        Script::Named(name) => item.with("named", name),
        Script::Command(text) => item.with("command", text.chars().take(SHOWN).collect::<String>()),
        Script::Order(order) => item.with(order.word(), order),
    };
    match &spec.package {
        Some((digest, name)) => item.with("package", name).with("sha256", digest),
        None => item,
    }
}

/// That a job is lost, octo-exec says, when it has looked.
pub(super) fn told(state: &State) -> &'static str {
    match state {
        State::Lost => State::Running.word(),
        state => state.word(),
    }
}
