//! What is said where a rollout stopped: what was done, what wasn't, and how to
//! continue.

use crate::fleet::main_loop::Fleet;
use crate::fleet::rolling::batches::Batches;
use crate::output::node_set::fold;
use crate::target::outcome::{Outcome, OutcomeKind};
use octo_core::base::encoding::printable;

/// Says why and where it stopped, and the command that continues it. A script that
/// calls us knows better how to go on, or says all of this itself: `OCTO_AGAIN`.
pub(crate) fn tell(fleet: &mut Fleet, batches: &Batches, reason: &str, command: &str) {
    let again = std::env::var("OCTO_AGAIN").ok();
    if again.as_deref() == Some("") {
        return;
    }
    let having = |is_meant: &dyn Fn(&Outcome) -> bool| -> Vec<usize> {
        fleet.outcomes.iter().filter(|(_, o)| is_meant(o)).map(|(target, _)| *target).collect()
    };
    let done = having(&Outcome::succeeded);
    let unknown = having(&|outcome| outcome.kind == OutcomeKind::Unknown);
    let skipped = having(&|outcome| outcome.kind == OutcomeKind::Skipped);
    let unreachable = having(&Outcome::is_unreachable);
    let failed = having(&|outcome| {
        let is_apart = matches!(outcome.kind, OutcomeKind::Unknown | OutcomeKind::Skipped);
        !outcome.succeeded() && !outcome.is_unreachable() && !is_apart
    });
    let not_begun = batches.pending().iter().copied().chain(skipped).collect();
    fleet.screen.say(format!("rollout stopped: {reason}"));
    for (what, targets) in [
        ("done", done),
        ("failed", failed),
        ("unreachable", unreachable),
        ("end unknown", unknown),
        ("not begun", not_begun),
    ] {
        if !targets.is_empty() {
            let names = fold(targets.iter().map(|target| fleet.context.name(*target)));
            fleet.screen.say(format!("{what}: {names}"));
        }
    }
    let again = again.map_or_else(|| command.to_string(), |a| printable(a.as_bytes()));
    fleet.screen.say(format!("hint: to continue: {again}"));
}
