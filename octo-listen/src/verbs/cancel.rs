//! `cancel`: a job is to end; its followers hear whether and how it did.
//!
//! The body is the statement that asks for it (`request=` bytes), and its signature.

use super::jobs::told;
use super::statement::{self, SignedBody};
use crate::host::{Asked, No};
use crate::session::{Answer, Ended, Session};
use octo_core::JobId;
use octo_core::tentacle::job::State;
use octo_core::tentacle::spool::{Entry, EntryName};
use octo_core::tentacle::statement::Asks;
use octo_core::trust::Verb;
use octo_wire::{Duplex, Fields};

pub(crate) fn cancel<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Fields,
) -> Result<Answer, Ended> {
    let id: JobId = request.need("job")?;
    let length = statement::lengths(request)?.0;
    let bytes = session.connection.read_body(request.body(), length)?;
    let (host, peer) = (session.host, session.peer);
    let grant = host.judge(peer, Verb::Cancel, Asked::default())?;
    let job = host.visible(peer, &grant, &id)?;
    let (signed, _) = SignedBody::split(request, &bytes)?;
    statement::check(peer, &signed.parse()?, &id, Asks::Cancel)?;
    let failed = |error: octo_core::Error| No::failed(host, &error);
    let state = host.state(&job).map_err(failed)?;
    // A job that must stop is stopped, recorded or not; for one that is over it's a question.
    let head = match state {
        State::Over(_) => host.record_question(peer, &grant, "cancel", id.as_str()),
        _ => host.record_or_log(peer, &grant, "cancel", &[("job", id.as_str())]),
    };
    if !matches!(state, State::Over(_)) {
        host.starter.check().map_err(failed)?;
        let (address, signed) = (peer.address, signed.by(peer));
        let entry = Entry { address, signed, spec: b"", script: b"", stdin: b"", secrets: b"" };
        let name = EntryName::cancel(&id);
        let put = || host.spool.put(&name, &entry).map_err(failed);
        if !put()? {
            if name.is_done(&host.places) {
                // It was another one, and nobody has taken it away yet.
                host.spool.remove(&name).map_err(failed)?;
                put()?;
            }
            // One that was asked for before is as good, once its name is durable.
            host.spool.sync().map_err(failed)?;
        }
        host.start(&id);
        host.log.event(format_args!("{peer}: {}: cancel {id}: asked", grant.name));
    }
    Ok(Answer::ok(Verb::Cancel, head).with("state", told(&state)))
}
