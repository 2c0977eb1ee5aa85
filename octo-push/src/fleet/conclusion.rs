//! The end of a call: targets that are left to themselves, summary, files, exit
//! status.

use crate::cli::continuation::Words;
use crate::fleet::main_loop::Fleet;
use crate::output::summary;
use crate::records::end_files::EndFiles;
use crate::target::outcome::{Outcome, OutcomeKind, OutcomeOrigin, overall};
use octo_core::base::error::{Error, Exit};
use octo_core::base::names::JobId;
use octo_core::targets::fold;
use octo_core::tentacle::spec::Order;
use std::sync::Arc;

/// So many targets are named in a hint.
const NAMED: usize = 8;

/// Concludes a call whose targets have jobs of this id.
pub(crate) fn of_jobs(fleet: &mut Fleet, files: EndFiles, id: &JobId) -> u8 {
    let left = |job: Option<&JobId>, accepted| Outcome::left(job.unwrap_or(id), accepted);
    if fleet.abandon(&left) {
        let from = fleet.context.common.targets_said();
        fleet.screen.say(format!("hint: octo-push {from}follow {id}"));
    }
    let status = summarize(fleet);
    let written = files.finish(&fleet.context.targets, &fleet.outcomes).err();
    finish(fleet, status, written)
}

/// Says which targets an order has not reached, and how they alone are given it again; a
/// script that calls us says that itself: `OCTO_AGAIN`.
pub(crate) fn of_order(fleet: &mut Fleet, order: &Order, words: &Words) {
    let failed = fleet.outcomes.iter().filter(|(_, outcome)| !outcome.succeeded());
    let names: Vec<&str> = failed.map(|(target, _)| fleet.context.name(*target)).collect();
    if names.is_empty() || std::env::var_os("OCTO_AGAIN").is_some_and(|again| again.is_empty()) {
        return;
    }
    let (folded, again) = (fold(names.iter().copied()), words.narrowed(&names, order));
    fleet.screen.say(format!("{} is not {} on {folded}", order.about(), order.done()));
    fleet.screen.say(format!("hint: to try them again: {again}"));
}

/// Leaves to themselves the targets of a call that asked something else.
pub(super) fn leave_questions(fleet: &mut Fleet) {
    let is_overdue = fleet.is_overdue();
    fleet.abandon(&|_, _| match is_overdue {
        true => {
            let late = Error::new(Exit::Unavailable, "not answered", "its time is over");
            let late = late.hint("--timeout TIME waits longer");
            Outcome::error(OutcomeKind::Failed, OutcomeOrigin::Octopus, late)
        }
        false => Outcome::skipped("left before it was over"),
    });
}

/// Concludes such a call.
pub(crate) fn of_questions(fleet: &mut Fleet) -> u8 {
    let status = summarize(fleet);
    finish(fleet, status, None)
}

/// Concludes a call whose report has said all that there is to say: unless it couldn't be
/// printed, when its status would stand for what nobody has seen.
pub(crate) fn of_report(fleet: &mut Fleet, status: u8) -> u8 {
    fleet.finish();
    match finish(fleet, 0, None) {
        0 => status,
        unprinted => unprinted,
    }
}

fn summarize(fleet: &mut Fleet) -> u8 {
    fleet.finish();
    let context = Arc::clone(&fleet.context);
    summary::tell(&mut fleet.screen, &context.common, &context.targets, &fleet.outcomes);
    let status = overall(fleet.outcomes.values());
    let faulty = fleet.outcomes.iter().filter(|(_, outcome)| outcome.audit_fault().is_some());
    let names: Vec<&str> = faulty.map(|(target, _)| fleet.context.name(*target)).collect();
    if status != 0 || names.is_empty() {
        return status;
    }
    // All that was asked for is done, which each target's own status says. The call must not
    // look as if nothing were wrong; where anything failed, it doesn't.
    let which = if names.len() > NAMED { "-a".into() } else { format!("-t {}", names.join(",")) };
    fleet.screen.say(format!("hint: octo-push {which} audit"));
    Exit::Data.code()
}

fn finish(fleet: &mut Fleet, mut status: u8, written: Option<Error>) -> u8 {
    for error in written.into_iter().chain(fleet.screen.finish().err()) {
        fleet.screen.report(&error);
        // The status of the jobs says more than that of the printing.
        if status == 0 {
            status = error.exit.code();
        }
    }
    status
}
