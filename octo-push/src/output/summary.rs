//! What is said at the end, on standard error: a line a target, each hint once, and
//! how many succeeded.
//!
//! Cron's rules: nothing on success without a terminal; failures always.

use crate::cli::options::Common;
use crate::output::screen::Screen;
use crate::target::outcome::{Outcome, OutcomeKind};
use octo_core::targets::{Target, fold};
use std::collections::{BTreeMap, HashSet};

/// So many hints are shown at most, besides those of the first target that failed.
const HINTS: usize = 6;
/// More lines of success than this are folded into one.
const LINES: usize = 32;

/// Says how these targets ended.
pub(crate) fn tell(
    screen: &mut Screen,
    common: &Common,
    targets: &[Target],
    outcomes: &BTreeMap<usize, Outcome>,
) {
    let (well, badly): (Vec<_>, Vec<_>) = outcomes.iter().partition(|(_, o)| o.succeeded());
    let name = |target: &usize| targets[*target].name.as_str();
    let talkative = screen.is_talkative(common);
    let several = targets.len() > 1;
    // A single target that succeeded needs no line.
    if talkative && (several || common.verbose) {
        if well.len() > LINES {
            let names = fold(well.iter().map(|(target, _)| name(target)));
            screen.say(format!("{names}: ok"));
        } else {
            for (target, outcome) in &well {
                screen.say(format!("{}: {}", name(target), outcome.said()));
            }
        }
    }
    // Hundreds that were never begun are one line, those that failed one each.
    let (skipped, failed): (Vec<_>, Vec<_>) =
        badly.into_iter().partition(|(_, o)| o.kind == OutcomeKind::Skipped);
    for (target, outcome) in &failed {
        screen.say(format!("{}: {}", name(target), outcome.said()));
    }
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (target, outcome) in &skipped {
        reasons.entry(&outcome.message).or_default().push(name(target));
    }
    for (reason, names) in reasons {
        screen.say(format!("{}: {reason}", fold(names)));
    }
    let (hints, more) = different(failed.iter().map(|(_, outcome)| &outcome.hints[..]));
    for hint in hints {
        screen.say(format!("hint: {hint}"));
    }
    if more > 0 {
        screen.say(format!("hint: and {more} more, of other targets"));
    }
    let bad = failed.len() + skipped.len();
    // Of several shares that were begun together, this names the one to begin again.
    let share = common.shard.map(|shard| format!("shard {}/{}: ", shard.share, shard.of));
    if (several || share.is_some()) && (bad > 0 || talkative) {
        let unknown = failed.iter().filter(|(_, o)| o.kind == OutcomeKind::Unknown).count();
        let more = if unknown > 0 { format!(", {unknown} unknown") } else { String::new() };
        let share = share.unwrap_or_default();
        screen.say(format!("{share}{} of {} succeeded{more}", well.len(), well.len() + bad));
    }
}

/// All of the first target, and a few of the others that differ: each of a fleet's targets
/// may have hints of its own; and how many more there are.
fn different<'a>(targets: impl Iterator<Item = &'a [String]>) -> (Vec<&'a str>, usize) {
    let (mut different, mut seen, mut more) = (Vec::new(), HashSet::new(), 0);
    for (index, hints) in targets.enumerate() {
        for hint in hints.iter().map(String::as_str).filter(|hint| seen.insert(*hint)) {
            if index == 0 || different.len() < HINTS {
                different.push(hint);
            } else {
                more += 1;
            }
        }
    }
    (different, more)
}
