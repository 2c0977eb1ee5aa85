//! A job that is an order: octo-exec does itself what it says. Nothing runs, so neither a
//! window nor a hold, a user, a lock or a limit of runs is asked.

mod freezing;
mod verdict;

use super::output::ended;
use super::runner::{Runner, in_time};
use super::settle;
use crate::admission::unstarted::Unstarted;
use crate::cgroup::Placed;
use crate::job::left::allowance::Allowance;
use jiff::Timestamp;
use octo_core::base::error::Error;
use octo_core::base::publish::Reserved;
use octo_core::tentacle::job::{End, EndKind, Stream};
use octo_core::tentacle::spec::Order;
use octo_core::trust::Grant;
use std::rc::Rc;

/// Does what the order says, and says so in the job's output.
///
/// # Errors
/// Where it may not, or can't be recorded: nothing is changed then.
pub(super) fn obey(
    attempt: &Runner<'_>,
    order: &Order,
    room: &mut Option<Reserved>,
) -> Result<End, Unstarted> {
    attempt.still_wanted()?;
    // What a line says of runs was not asked, and is on no record of this.
    let grant = Grant { about_runs: Vec::new(), ..attempt.decide(true)? };
    in_time(attempt.received())?;
    order.check(Timestamp::now()).map_err(|no| Unstarted::denied(no.refusal.exit(), no.reason))?;
    *room = Some(Reserved::new(attempt.job.path(), settle::ROOM)?);
    match order {
        Order::Freezing(freezing) => freezing::obey(attempt, &grant, freezing),
        Order::Verdict(verdict) => verdict::obey(attempt, &grant, verdict),
    }
}

/// Records that it begins, with these words more, does it, and says how that went.
fn done(
    attempt: &Runner<'_>,
    grant: &Grant,
    told: &[(&'static str, String)],
    act: impl FnOnce(&str) -> Result<String, Error>,
) -> Result<End, Unstarted> {
    let by = attempt.pusher(&grant.name, grant.line.as_ref());
    attempt.audit_start(&by, &grant.place(), told)?;
    let allowance = Rc::new(Allowance::of(attempt.places, attempt.job, grant));
    let mut log = attempt.start(grant, &Placed::default(), &allowance, None)?;
    let (code, stream, text) = match act(&by) {
        Ok(said) => (0, Stream::Out, said),
        Err(error) => {
            let hints: String = error.hints.iter().map(|hint| format!("\nhint: {hint}")).collect();
            (error.exit.code(), Stream::Err, format!("octo-exec: {}{hints}", error.message))
        }
    };
    // It is done, whether that is told or not; the end has what was lost of it.
    let _ = log.append(stream, format!("{text}\n").as_bytes());
    Ok(ended(EndKind::Exit(code), &mut log))
}
