//! May this job start, now? Decided here by the trust file as it is, whatever
//! the publisher of the job decided, and whatever lies in the job directory.

use super::adopt::Origin;
use super::unstarted::Unstarted;
use octo_core::base::error::Exit;
use octo_core::base::paths::Places;
use octo_core::base::refusal::Refusal;
use octo_core::tentacle::job::JobRequest;
use octo_core::tentacle::spec::{Script, Spec};
use octo_core::trust::{Grant, Question, RunQuestion, StartedBy, Trust, Verb};
use std::time::Duration;

/// Decides about a job; the window counts only for one that would start now.
pub(crate) fn admit(
    places: &Places,
    origin: Origin,
    request: &JobRequest,
    spec: &Spec,
    starting: bool,
) -> Result<Grant, Unstarted> {
    let Some(pusher) = &request.pusher else { return by_hand(origin, spec) };
    let trust = Trust::load(&places.trusted())
        .map_err(|error| Unstarted::denied(Refusal::Policy.exit(), error.message))?;
    let named = match &spec.script {
        Script::Named(name) => Some(name.as_str()),
        Script::Sent { .. } | Script::Command(_) => None,
    };
    let locks: Vec<_> = spec.locks.iter().map(|lock| lock.name.clone()).collect();
    let now = trust.now();
    let mut question = Question::new(pusher.thumbprint, pusher.address, &now, Verb::Run);
    let started_by = StartedBy::this_process();
    question.run = Some(RunQuestion { named, locks: &locks, starting, started_by });
    trust
        .decide(&question)
        .map_err(|denial| Unstarted::denied(denial.refusal.exit(), denial.reason))
}

/// A job without a pusher is its user's own, if this user published it.
fn by_hand(origin: Origin, spec: &Spec) -> Result<Grant, Unstarted> {
    if origin == Origin::Foreign {
        let reason = "a job without a pusher, published by another user";
        return Err(Unstarted::denied(Exit::Refused, reason));
    }
    if matches!(spec.script, Script::Named(_)) {
        let reason = "a script is named without a line that permits it";
        return Err(Unstarted::denied(Exit::Refused, reason));
    }
    Ok(Grant::by_hand())
}

/// Has a job that was never started waited too long? `since` is RFC 3339.
pub(crate) fn is_expired(since: &str, limit: Duration) -> bool {
    let Ok(since) = since.parse::<jiff::Timestamp>() else { return true };
    let passed = jiff::Timestamp::now().duration_since(since);
    passed.is_positive() && passed.unsigned_abs() > limit
}
