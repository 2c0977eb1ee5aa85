//! May this job start, now? Decided here by the trust file as it is, whatever
//! the publisher of the job decided, and whatever lies in the job directory.

use super::unstarted::Unstarted;
use jiff::Zoned;
use octo_core::Thumbprint;
use octo_core::base::error::{Error, Exit};
use octo_core::base::paths::Places;
use octo_core::base::refusal::Refusal;
use octo_core::tentacle::job::Origin;
use octo_core::tentacle::layout;
use octo_core::tentacle::spec::{Script, Spec};
use octo_core::trust::file::cached::CachedTrust;
use octo_core::trust::{Grant, Question, RunQuestion, StartedBy, Trust, Verb};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Decides about a job; the window counts only for one that would start now.
pub(crate) fn admit(
    places: &Places,
    origin: &Origin,
    spec: &Spec,
    size: u64,
    starting: bool,
) -> Result<Grant, Unstarted> {
    // Whoever published the job may have had another table of them, or none.
    if let Some(error) = spec.forbidden() {
        return Err(Unstarted::denied(error.refusal.exit(), error.reason));
    }
    let Some(pusher) = &origin.pusher else { return by_hand(spec) };
    let trust = lines_of(places, pusher.thumbprint)
        .map_err(|error| Unstarted::denied(Refusal::Policy.exit(), error.message))?;
    let now = trust.now();
    believe_address(places, &trust, pusher.thumbprint, &now)
        .map_err(|reason| Unstarted::denied(Exit::Configuration, reason))?;
    let mut question = Question::new(pusher.thumbprint, pusher.address, &now, spec.verb());
    question.size = Some(size);
    if question.verb == Verb::Run {
        question.run = Some(RunQuestion::of(spec, starting, StartedBy::this_process()));
    }
    trust
        .decide(&question)
        .map_err(|denial| Unstarted::denied(denial.refusal.exit(), denial.reason))
}

/// The trust file as it is, of which this pusher's lines are asked for. Of each state that it
/// is in, a process parses it once: a run asks three times, and there may be thousands of
/// lines.
///
/// # Errors
/// As [`Trust::load`].
pub(crate) fn lines_of(places: &Places, thumbprint: Thumbprint) -> Result<Arc<Trust>, Error> {
    type Known = Option<(PathBuf, Thumbprint, CachedTrust)>;
    static KNOWN: Mutex<Known> = Mutex::new(None);
    let path = places.trusted();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, pusher, cached)) = &*known
        && (of, *pusher) == (&path, thumbprint)
    {
        return cached.load();
    }
    let cached = CachedTrust::of_pusher(&path, thumbprint);
    known.insert((path, thumbprint, cached)).2.load()
}

/// May the address of this pusher decide? It is the listener's word.
///
/// # Errors
/// Why not, where the listener is another user and could choose among lines by it.
pub(crate) fn believe_address(
    places: &Places,
    trust: &Trust,
    thumbprint: Thumbprint,
    now: &Zoned,
) -> Result<(), String> {
    if !layout::is_separated(places) {
        return Ok(());
    }
    let Some((one, other)) = trust.address_decides(thumbprint, now) else { return Ok(()) };
    Err(format!(
        "lines {} and {} of {thumbprint} in the trust file grant otherwise by from= alone, and \
         the address is the word of a listener that is another user: octo-keys check",
        one.number, other.number
    ))
}

/// A job without a pusher is its user's own: nobody else can publish one.
fn by_hand(spec: &Spec) -> Result<Grant, Unstarted> {
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
