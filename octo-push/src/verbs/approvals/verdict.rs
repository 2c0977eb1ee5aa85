//! `approve` and `deny`: a held job may run, or may not. A job of the approver's own on each
//! target, in which octo-exec does that itself; what is approved is signed by him.

use super::show::{self, Fetched};
use super::shown::Shown;
use crate::cli::call::Call;
use crate::cli::continuation::Words;
use crate::cli::run::{Ends, Run};
use crate::fleet::{conclusion, fan_out, jobs, select};
use crate::output::screen::Screen;
use crate::records::end_files;
use crate::records::journal::labels::Labels;
use crate::target::context::Context;
use octo_core::Digest;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::JobId;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::targets::Target;
use octo_core::tentacle::spec::options::{JobOptions, What};
use octo_core::tentacle::spec::order::{Subjects, check_reason};
use octo_core::tentacle::spec::{Order, Verdict};

/// `approve JOB [DIGEST]`
pub(crate) fn approve(call: &Call) -> Result<u8> {
    let words = call.said.counted(1..=2)?;
    let job = call.said.job_id(&words[0])?;
    let wanted =
        match words.get(1) {
            None => None,
            Some(text) => Some(Digest::parse(text).ok_or_else(|| {
                call.said.misuse(format!("{text}: not the digest that show prints"))
            })?),
        };
    let Some((screen, context)) = begin(call)? else { return Ok(0) };
    if wanted.is_some() && context.targets.len() > 1 {
        return Err(call.said.misuse("a digest is that of one target; for several, show first"));
    }
    if context.common.dry_run {
        return fan_out::describe(&context, &format!("approve {job}"));
    }
    let mut shown = Shown::of(&context.common.places, &job)?;
    if let (Some(wanted), Some(target)) = (wanted, context.targets.first()) {
        // As it stands there: a target that shows something else by now doesn't get it.
        shown = only(shown, target, wanted);
    }
    let unseen = |target: &&Target| shown.get(target.name.as_str()).is_none();
    let unseen: Vec<Target> = context.targets.iter().filter(unseen).cloned().collect();
    let (fetched, status) = fetch(call, &job, &context, unseen)?;
    let mut subjects = Subjects::default();
    let mut targets = Vec::new();
    for target in &context.targets {
        let name = target.name.as_str();
        let seen = shown.get(name).or_else(|| fetched.get(name).copied());
        let Some((tentacle, digest)) = seen else { continue };
        if wanted.is_some_and(|wanted| wanted != digest) {
            return Err(not_what_was_seen(&job, digest));
        }
        // Two names of one tentacle have the same job.
        if subjects.of(tentacle).is_none() {
            let added = subjects.add(tentacle, digest);
            added.map_err(|error| Error::new(Exit::Data, "approve", error.reason))?;
        }
        targets.push(target.clone());
    }
    if targets.is_empty() {
        return Ok(status);
    }
    let given = give(call, screen, context, targets, Verdict::Approve { job, subjects })?;
    Ok(worse(status, given))
}

/// `deny JOB [REASON…]`
pub(crate) fn deny(call: &Call) -> Result<u8> {
    let words = call.said.counted(1..=usize::MAX)?;
    let (job, reason) = (call.said.job_id(&words[0])?, words[1..].join(" "));
    if !reason.is_empty() {
        check_reason(&reason).map_err(|why| call.said.misuse(why))?;
    }
    let Some((screen, context)) = begin(call)? else { return Ok(0) };
    if context.common.dry_run {
        return fan_out::describe(&context, &format!("deny {job}"));
    }
    let (fetched, status) = fetch(call, &job, &context, context.targets.clone())?;
    let is_there = |target: &&Target| fetched.contains_key(target.name.as_str());
    let targets: Vec<Target> = context.targets.iter().filter(is_there).cloned().collect();
    if targets.is_empty() {
        return Ok(status);
    }
    let given = give(call, screen, context, targets, Verdict::Deny { job, reason })?;
    Ok(worse(status, given))
}

fn begin(call: &Call) -> Result<Option<(Screen, Context)>> {
    if call.said.flag("outputs") {
        return Err(call.said.misuse("--outputs: nothing runs that could hand something back"));
    }
    let begun = select::begin(call)?;
    if begun.is_none() {
        end_files::of_nobody(&call.common, &Ends::default())?;
    }
    Ok(begun)
}

/// What was shown, if it is what is wanted; else it is looked at anew.
fn only(shown: Shown, target: &Target, wanted: Digest) -> Shown {
    let name = target.name.as_str();
    match shown.get(name) {
        Some((_, digest)) if digest == wanted => shown,
        _ => Shown::default(),
    }
}

fn not_what_was_seen(job: &JobId, digest: Digest) -> Error {
    let reason = format!("is not what you saw: it is {digest} now");
    Error::new(Exit::Data, format!("job {job}"), reason).hint(format!("octo-push show {job}"))
}

/// What has not been shown yet is fetched and verified, silently.
#[expect(clippy::type_complexity, reason = "by the target's name, and the status of who failed")]
fn fetch(
    call: &Call,
    job: &JobId,
    context: &Context,
    targets: Vec<Target>,
) -> Result<(std::collections::HashMap<String, (Thumbprint, Digest)>, u8)> {
    if targets.is_empty() {
        return Ok(Default::default());
    }
    let (all, fetched) = (context.targets.len(), Fetched::default());
    let asking = Context::new(call.common.clone(), targets)?;
    let screen = Screen::of(call.said.tool());
    let mut fleet = fan_out::gather(screen, asking, show::fetching(job, &fetched, all))?;
    let found = show::take(&fetched);
    let by_name = found.iter().map(|(target, held)| {
        (fleet.context.name(*target).to_string(), (held.tentacle, held.digest))
    });
    let by_name = by_name.collect();
    let status = conclusion::of_questions(&mut fleet);
    if found.is_empty() && status == 0 {
        return Err(show::nowhere(job));
    }
    Ok((by_name, status))
}

fn give(
    call: &Call,
    screen: Screen,
    mut context: Context,
    targets: Vec<Target>,
    verdict: Verdict,
) -> Result<u8> {
    context.targets = targets;
    let words = Words { words: call.words, verb: call.verb, own: 0, named: false };
    let run = Run {
        options: JobOptions::of(What::Order(Order::Verdict(verdict))),
        ends: Ends { end: call.said.one("end")?, outputs: None, output: None },
        ask: false,
        prepare: false,
        signature: None,
        labels: Labels::default(),
    };
    jobs::run(screen, context, run, words)
}

/// One that failed is worse than one that did not; two that differ are 1.
fn worse(one: u8, other: u8) -> u8 {
    match (one, other) {
        (0, status) | (status, 0) => status,
        (one, other) if one == other => one,
        _ => 1,
    }
}
