//! `run -n`: what would be done, and in which batches.

use crate::fleet::rolling::batches::{Batches, Next, Verdict};
use crate::output::screen::Screen;
use crate::target::context::Context;
use crate::target::request::JobPlan;
use octo_core::base::cli::print;
use octo_core::base::encoding::printable;
use octo_core::base::error::Result;

/// Prints a line a target, as if each of them succeeded.
///
/// # Errors
/// Exit 74 where it can't be printed; as for reading the package.
pub(super) fn describe(
    screen: &mut Screen,
    context: &Context,
    plan: &JobPlan,
    mut batches: Batches,
    never_asked: &[usize],
) -> Result<u8> {
    let put = match &plan.package {
        Some(package) => {
            format!("put {} {}, ", printable(package.name.as_bytes()), package.digest()?)
        }
        None => String::new(),
    };
    let rolling = context.common.rolling.is_said();
    let mut text = String::new();
    for target in never_asked.iter().map(|index| &context.targets[*index]) {
        text.push_str(&format!("{} ({}): unreachable, not asked\n", target.name, target.roads));
    }
    let mut number = 0;
    let stopped = loop {
        let batch = match batches.next() {
            Next::Batch(batch) => batch,
            Next::Finished => break None,
            Next::Stopped(reason) => break Some(reason),
        };
        number += 1;
        for index in batch {
            let target = &context.targets[index];
            if rolling {
                text.push_str(&format!("batch {number}: "));
            }
            let (name, address) = (&target.name, &target.roads);
            let (verb, what) = (plan.draft.verb(), plan.draft.summary());
            text.push_str(&format!("{name} ({address}): {put}{verb} {what}\n"));
            batches.result(index, Verdict::Succeeded);
        }
    };
    print(&text)?;
    for file in plan.draft.left() {
        let file = printable(file.as_bytes());
        screen.say(format!("{file}: a program, not run by -n: its variables are not known"));
    }
    match stopped {
        None => Ok(0),
        Some(reason) => {
            screen.say(format!("rollout stopped: {reason}"));
            Ok(1)
        }
    }
}
