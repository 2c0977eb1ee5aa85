//! The end of a job's processes, in two phases: TERM once, to what runs at that moment,
//! then a grace, in which scripts clean up by what programs they like, then KILL.

use super::Processes;
use std::time::{Duration, Instant};

/// How long they may take to die of KILL before we say that they don't.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// How soon those that are to die are looked at again: they may not be our
/// children, and die unseen.
const AGAIN: Duration = Duration::from_millis(50);

/// An end that is under way.
#[derive(Debug)]
pub(crate) struct Ending {
    /// When KILL follows TERM.
    kill_at: Instant,
    killing: bool,
}

impl Ending {
    /// Begins: TERM now, KILL after the grace.
    pub(crate) fn begin(processes: &Processes, grace: Duration) -> Ending {
        let kill_at = Instant::now() + grace;
        processes.ask_to_end();
        Ending { kill_at, killing: false }
    }

    /// Goes on, whenever somebody looks.
    pub(crate) fn go_on(&mut self, processes: &Processes) {
        if Instant::now() >= self.kill_at {
            // Again and again: outside of a cgroup one may have been born meanwhile.
            self.killing = true;
            processes.kill();
        }
    }

    /// When to look again; the script itself is our child, and wakes us.
    pub(crate) fn next_look(&self, is_script_over: bool) -> Instant {
        let again = Instant::now() + AGAIN;
        if self.killing {
            again
        } else if is_script_over {
            again.min(self.kill_at)
        } else {
            self.kill_at
        }
    }

    /// Has KILL not helped?
    pub(crate) fn has_failed(&self) -> bool {
        Instant::now() >= self.kill_at + KILL_WAIT
    }
}
