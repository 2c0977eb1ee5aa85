//! A job that is an order: octo-exec freezes an application, or thaws it, itself. Nothing runs,
//! so neither a window nor a hold, a user, a lock or a limit of runs is asked.

use super::output::ended;
use super::runner::{Runner, in_time};
use super::settle;
use crate::admission::unstarted::Unstarted;
use crate::cgroup::Placed;
use crate::job::left::allowance::Allowance;
use jiff::Timestamp;
use octo_core::base::cli::utc;
use octo_core::base::encoding::printable;
use octo_core::base::publish::Reserved;
use octo_core::tentacle::job::{End, EndKind, Stream};
use octo_core::tentacle::releases::{Freeze, Freezes};
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
    let now = Timestamp::now();
    order.check(now).map_err(|no| Unstarted::denied(no.refusal.exit(), no.reason))?;
    *room = Some(Reserved::new(attempt.job.path(), settle::ROOM)?);
    let by = attempt.pusher(&grant.name, grant.line.as_ref());
    // Held until it is done, so that the audit log has all of them in their order.
    let freezes = Freezes::hold(attempt.places)?;
    let before = freezes.of(order.application(), now);
    attempt.audit_start(&by, &grant.place(), &told(order, before.as_ref()))?;
    let allowance = Rc::new(Allowance::of(attempt.places, attempt.job, &grant));
    let mut log = attempt.start(&grant, &Placed::default(), &allowance)?;
    let done = match order {
        Order::Freeze { application, until, reason } => {
            let (application, until, reason) = (application.clone(), utc(*until), reason.clone());
            freezes.freeze(&Freeze { application, until, by, reason }, now)
        }
        Order::Thaw { application } => freezes.thaw(application),
    };
    let (code, stream, text) = match done {
        Ok(()) => (0, Stream::Out, said(order, before.as_ref())),
        Err(error) => (error.exit.code(), Stream::Err, format!("octo-exec: {}", error.message)),
    };
    // It is done, whether that is told or not; the end has what was lost of it.
    let _ = log.append(stream, format!("{text}\n").as_bytes());
    Ok(ended(EndKind::Exit(code), &mut log))
}

/// What the audit log has of it: what is frozen until when and why, or whose freeze ends.
fn told<'a>(order: &'a Order, before: Option<&'a Freeze>) -> Vec<(&'static str, String)> {
    let mut told = vec![(order.word(), order.application().to_string())];
    if let Order::Freeze { until, reason, .. } = order {
        told.extend([("until", utc(*until)), ("reason", reason.clone())]);
    }
    if let Some(Freeze { application: _, until, by, reason }) = before {
        told.extend([
            ("was-until", until.clone()),
            ("was-by", by.clone()),
            ("was-reason", reason.clone()),
        ]);
    }
    told
}

/// What its pusher is told.
fn said(order: &Order, before: Option<&Freeze>) -> String {
    let was = before.map(|freeze| {
        let reason = printable(freeze.reason.as_bytes());
        format!("it was until {} by {}: {reason}", freeze.until, printable(freeze.by.as_bytes()))
    });
    match (order, was) {
        (Order::Freeze { application, until, .. }, None) => {
            format!("{application}: frozen until {}", utc(*until))
        }
        (Order::Freeze { application, until, .. }, Some(was)) => {
            format!("{application}: frozen until {}; {was}", utc(*until))
        }
        (Order::Thaw { application }, None) => format!("{application}: was not frozen"),
        (Order::Thaw { application }, Some(was)) => format!("{application}: thawed; {was}"),
    }
}
