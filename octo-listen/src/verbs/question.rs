//! `run` without a statement: may a job of this spec be asked for? A pusher asks before it
//! sends a package that the job needs. Nothing is kept, nothing runs, and a yes is no
//! promise: the request itself is judged again.
//!
//! ```text
//! run job= size= body=     body: the spec; size: of all parts together
//! ```

use super::run::{judge, may_at_all, there};
use crate::host::No;
use crate::session::{Answer, Ended, Session};
use crate::submission::Purpose;
use octo_core::tentacle::spec::{MAXIMUM, Spec};
use octo_core::trust::Verb;
use octo_core::{Digest, JobId, Refusal};
use octo_wire::{Duplex, Failure, Fields};

/// Is this request of `run` a question?
pub(super) fn is_one(request: &Fields) -> bool {
    request.flag("size")
}

pub(super) fn question<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Fields,
) -> Result<Answer, Ended> {
    let (host, peer) = (session.host, session.peer);
    let id: JobId = request.need("job")?;
    let (size, length): (u64, u64) = (request.need("size")?, request.body());
    if ["request", "signature", "spec", "script", "frame", "stdin"]
        .into_iter()
        .any(|key| request.flag(key))
    {
        return Err(Failure::Malformed("run has size, or request and signature".into()).into());
    }
    may_at_all(host, peer)?;
    if length > MAXIMUM {
        let reason = format!("spec: {length} bytes, {MAXIMUM} at most");
        return Err(Ended::Hopeless(No::new(Refusal::Limit, reason)));
    }
    let bytes = session.connection.read_body(length, MAXIMUM)?;
    let spec = Spec::parse(&bytes).map_err(No::from)?;
    // Nothing happens: a yes is not recorded, a no is.
    let head = host.log.ok(host.audit.head()).flatten();
    let yes = Answer::ok(Verb::Run, head).with("job", &id);
    if there(host, peer, &id, Digest::of(&bytes))?.is_some() {
        return Ok(yes.with("attached", "yes"));
    }
    host.starter.check().map_err(|error| No::failed(host, &error))?;
    // How the rest is shared between the others doesn't matter.
    let lengths = [length, size.saturating_sub(length), 0, 0];
    judge(host, peer, &id, &spec, lengths, Purpose::Question)?;
    Ok(yes)
}
