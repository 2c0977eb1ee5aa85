//! Ending the processes of a job: TERM, once for each of them, then KILL.

use super::tree;
use octo_core::tentacle::job::EndKind;
use rustix::process::Signal;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How long the tree may take to die of KILL before we say that it doesn't.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// How soon those that are to die are looked at again: they may not be our
/// children, and die unseen.
const AGAIN: Duration = Duration::from_millis(50);

/// The end of a tree, under way.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Why it has to end: for the record.
    pub(crate) kind: EndKind,
    pub(crate) reason: String,
    /// When KILL follows TERM.
    kill_at: Instant,
    killing: bool,
    /// Who was sent TERM.
    asked: HashSet<i32>,
}

impl Ending {
    /// Begins: TERM now, KILL after the grace.
    pub(crate) fn begin(kind: EndKind, reason: String, grace: Duration) -> Ending {
        let kill_at = Instant::now() + grace;
        let mut ending = Ending { kind, reason, kill_at, killing: false, asked: HashSet::new() };
        ending.ask();
        ending
    }

    /// Goes on, whenever somebody looks.
    pub(crate) fn go_on(&mut self) {
        if Instant::now() < self.kill_at {
            return self.ask();
        }
        // Again and again: a process may have been born meanwhile.
        self.killing = true;
        tree::signal(&tree::ours(), Signal::KILL);
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

    /// TERM for each of ours that has not had it: a shell may fork in the very
    /// moment in which it is to end, and leave a child that was in no list yet.
    fn ask(&mut self) {
        let new: Vec<_> = tree::ours().into_iter().filter(|p| self.asked.insert(p.pid)).collect();
        tree::signal(&new, Signal::TERM);
        // A stopped process would never see TERM.
        tree::signal(&new, Signal::CONT);
    }
}
