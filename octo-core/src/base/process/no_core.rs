//! Secrets in memory stay there: no core file of a process that holds them.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// This process leaves no core, and only root can look into its memory. What it
/// starts is as it was before: exec(2) resets it.
pub fn of_us() {
    // Where the kernel doesn't know it, nothing is worse than before.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// As [`of_us`], and neither do the programs that it starts.
pub fn of_us_and_our_children() {
    of_us();
    // Not 0: a core that core_pattern pipes to a program ignores every limit but
    // 1, and a file needs more than that. core(5)
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(1), maximum: Some(1) });
}
