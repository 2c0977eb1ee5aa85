//! `cancel`: a job is to end; its followers hear whether and how it did.

use crate::host::{Asked, No};
use crate::session::{Answer, Ended, Session};
use octo_core::JobId;
use octo_core::tentacle::job::State;
use octo_core::trust::Verb;
use octo_wire::{Duplex, Fields};

pub(crate) fn cancel<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Fields,
) -> Result<Answer, Ended> {
    let id: JobId = request.need("job")?;
    let (host, peer) = (session.host, session.peer);
    let grant = host.judge(peer, Verb::Cancel, Asked::default())?;
    let job = host.visible(&grant, &id)?;
    // A job that must stop is stopped, recorded or not.
    let head = host.record_or_log(peer, &grant, "cancel", &[("job", id.as_str())]);
    let failed = |error: octo_core::Error| No::failed(host, &error);
    let state = job.state().map_err(failed)?;
    if !matches!(state, State::Over(_)) {
        job.cancel(&format!("{} ({peer})", grant.name)).map_err(failed)?;
        // One that waits for its start has nobody who would see the cancellation.
        if let Ok(state) = job.state() {
            host.push_on(&job, &state);
        }
        host.log.event(format_args!("{peer}: {}: cancel {id}: asked", grant.name));
    }
    Ok(Answer::ok(Verb::Cancel, head).with("state", state.word()))
}
