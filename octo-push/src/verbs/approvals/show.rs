//! `show`: a held job, as its pusher signed it, and what it would change.

use super::held_job::HeldJob;
use super::shown::Shown;
use crate::cli::call::Call;
use crate::fleet::fan_out::{self, FanOut};
use crate::fleet::{conclusion, select};
use crate::output::json::JsonObject;
use crate::target::attempts;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::{Outcome, OutcomeKind, OutcomeOrigin};
use octo_core::base::argv;
use octo_core::base::cli::print;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::JobId;
use octo_core::targets::fold;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// What was fetched, by the place of its target in the selection.
pub(super) type Fetched = Arc<Mutex<BTreeMap<usize, HeldJob>>>;

/// `show JOB`
pub(crate) fn run(call: &Call) -> Result<u8> {
    let job = call.job()?;
    let Some((screen, context)) = select::begin(call)? else { return Ok(0) };
    let (common, fetched) = (context.common.clone(), Fetched::default());
    if common.dry_run {
        return fan_out::describe(&context, &format!("show {job}"));
    }
    let all = context.targets.len();
    let mut fleet = fan_out::gather(screen, context, fetching(&job, &fetched, all))?;
    let fetched = take(&fetched);
    let mut shown = Shown::of(&common.places, &job)?;
    for (target, held) in &fetched {
        shown.add(fleet.context.name(*target), held.tentacle, held.digest);
    }
    shown.write(&common.places, &job)?;
    let text = match common.json {
        true => fetched
            .iter()
            .map(|(target, held)| object(fleet.context.name(*target), held).line())
            .collect(),
        false => text(&fleet.context, &fetched, call, &job),
    };
    print(&text)?;
    match conclusion::of_questions(&mut fleet) {
        0 if fetched.is_empty() => Err(nowhere(&job)),
        status => Ok(status),
    }
}

/// A question that fetches the job from each target that it is asked of. Of several, those
/// that don't have it are no failure.
pub(super) fn fetching(job: &JobId, fetched: &Fetched, all: usize) -> FanOut {
    let (job, fetched) = (job.clone(), Arc::clone(fetched));
    FanOut::asking(move |context, reporter| match fetch(context, reporter, &job) {
        Ok((Some(held), outcome)) => {
            fetched.lock().unwrap_or_else(PoisonError::into_inner).insert(reporter.target, held);
            outcome
        }
        Ok((None, outcome)) if all > 1 => {
            reporter.detail(format!("no job {job} waits for approval here"));
            outcome
        }
        Ok((None, _)) => missing(&job),
        Err(outcome) => *outcome,
    })
}

/// What was fetched, once nobody fetches any more.
pub(super) fn take(fetched: &Fetched) -> BTreeMap<usize, HeldJob> {
    std::mem::take(&mut *fetched.lock().unwrap_or_else(PoisonError::into_inner))
}

fn fetch(
    context: &Context,
    reporter: &Reporter,
    job: &JobId,
) -> std::result::Result<(Option<HeldJob>, Outcome), Box<Outcome>> {
    match attempts::ask(context, reporter, |client| HeldJob::ask(client, job)) {
        Ok((held, reply)) => {
            Ok((held, reply.as_ref().map_or_else(Outcome::done, Outcome::answered)))
        }
        Err(error) => Err(Box::new(Outcome::failed(context, error))),
    }
}

fn missing(job: &JobId) -> Outcome {
    let error = Error::new(Exit::Data, format!("job {job}"), "does not wait for approval there");
    let error = error.hint("octo-push held");
    Outcome::error(OutcomeKind::Failed, OutcomeOrigin::Tentacle, error)
}

/// None of several has it.
pub(super) fn nowhere(job: &JobId) -> Error {
    let reason = "waits for approval on none of these targets";
    Error::new(Exit::Data, format!("job {job}"), reason).hint("octo-push held")
}

/// Those that would be shown alike, together.
fn text(context: &Context, fetched: &BTreeMap<usize, HeldJob>, call: &Call, job: &JobId) -> String {
    let mut groups: Vec<(Vec<&str>, &HeldJob)> = Vec::new();
    for (target, held) in fetched {
        let name = context.name(*target);
        match groups.iter_mut().find(|(_, of)| of.is_like(held)) {
            Some((names, _)) => names.push(name),
            None => groups.push((vec![name], held)),
        }
    }
    let (mut text, mut scripts) = (String::new(), HashSet::new());
    for (names, held) in &groups {
        text.push_str(&format!("=== {} ===\n", fold(names.iter().copied())));
        held.lines(&mut scripts).iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    if groups.is_empty() {
        return text;
    }
    let names: Vec<&str> = fetched.keys().map(|target| context.name(*target)).collect();
    let mut words = vec!["octo-push".to_string()];
    if let Some(identity) = &call.common.identity {
        words.extend(["-i".into(), identity.display().to_string()]);
    }
    words.extend(["-t".into(), fold(names.iter().copied()), "approve".into(), job.to_string()]);
    if let ([_], Some(held)) = (&names[..], fetched.values().next()) {
        words.push(held.digest.to_string());
    }
    let command = argv::join(words.iter().map(String::as_str));
    text.push_str(&format!("\nto approve exactly this:\n  {command}\n"));
    text
}

/// What was verified, and what is the tentacle's word.
fn object(target: &str, held: &HeldJob) -> JsonObject {
    let request = &held.request;
    let word = JsonObject::new()
        .text_or_null("line", held.line.as_deref())
        .number("needs", held.needs as u64)
        .list("approved", held.approved.iter().map(String::as_str))
        .text_or_null("installed", held.installed.map(|of| of.to_string()).as_deref());
    let stdin = held.spec.stdin.map(|(digest, _)| digest.to_string());
    let lines = held.lines(&mut HashSet::new());
    JsonObject::of("shown")
        .text("target", target)
        .text("job", request.job.as_str())
        .text("digest", &held.digest.to_string())
        .text("pusher", &request.pusher.to_string())
        .text("by", &request.by)
        .text("what", &held.spec.summary())
        .text_or_null("stdin", stdin.as_deref())
        .list("lines", lines.iter().map(String::as_str))
        .object("tentacle", word)
}
