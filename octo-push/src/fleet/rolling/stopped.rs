//! What is said where a rollout stopped: what was done, what wasn't, and how to
//! continue.

use crate::fleet::main_loop::Fleet;
use crate::fleet::rolling::batches::{Batches, InitialState, Next};
use crate::target::outcome::{Outcome, OutcomeKind};
use octo_core::base::encoding::printable;
use octo_core::targets::fold;

/// Says why and where it stopped, and the command that continues it; `state` is what it began
/// with. A script that calls us tells the rest itself, or knows better how to go on:
/// `OCTO_AGAIN`.
pub(crate) fn tell(
    fleet: &mut Fleet,
    batches: &Batches,
    state: &InitialState,
    reason: &str,
    command: &str,
) {
    fleet.screen.say(format!("rollout stopped: {reason}"));
    let again = std::env::var("OCTO_AGAIN").ok();
    if again.as_deref() == Some("") {
        return;
    }
    for (what, targets) in standings(fleet, batches) {
        if !targets.is_empty() {
            let names = names(fleet, &targets);
            fleet.screen.say(format!("{what}: {names}"));
        }
    }
    let hint = match again {
        Some(again) => format!("to continue: {}", printable(again.as_bytes())),
        None => match obstacle(fleet, state) {
            Some(change) => format!("to continue, {change}: {command}"),
            None => format!("to continue: {command}"),
        },
    };
    fleet.screen.say(format!("hint: {hint}"));
}

fn standings(fleet: &Fleet, batches: &Batches) -> [(&'static str, Vec<usize>); 5] {
    let having = |is_meant: &dyn Fn(&Outcome) -> bool| -> Vec<usize> {
        fleet.outcomes.iter().filter(|(_, o)| is_meant(o)).map(|(target, _)| *target).collect()
    };
    let skipped = having(&|outcome| outcome.kind == OutcomeKind::Skipped);
    let failed = having(&|outcome| {
        let is_apart = matches!(outcome.kind, OutcomeKind::Unknown | OutcomeKind::Skipped);
        !outcome.succeeded() && !outcome.is_unreachable() && !is_apart
    });
    [
        ("done", having(&Outcome::succeeded)),
        ("failed", failed),
        ("unreachable", having(&Outcome::is_unreachable)),
        ("end unknown", having(&|outcome| outcome.kind == OutcomeKind::Unknown)),
        ("not begun", batches.pending().iter().copied().chain(skipped).collect()),
    ]
}

/// What has to be said otherwise, where the same command would stop before its first batch
/// because of what it says can't be reached.
fn obstacle(fleet: &Fleet, began: &InitialState) -> Option<String> {
    if began.unreachable.is_empty() {
        return None;
    }
    let mut state = began.clone();
    for (target, outcome) in &fleet.outcomes {
        match outcome.succeeded() {
            true => state.done.insert(*target),
            false => state.failed.insert(*target),
        };
    }
    let rolling = &fleet.context.common.rolling;
    let mut next = Batches::new(fleet.context.targets.len(), rolling, &state);
    let Next::Stopped(_) = next.next() else { return None };
    let remedies = next.remedies().join(" and ");
    let with = if remedies.is_empty() { remedies } else { format!("with {remedies}, or ") };
    let down = names(fleet, &state.never_asked());
    Some(format!("{with}with --unreachable without those of {down} that answer again"))
}

fn names(fleet: &Fleet, targets: &[usize]) -> String {
    fold(targets.iter().map(|target| fleet.context.name(*target)))
}
