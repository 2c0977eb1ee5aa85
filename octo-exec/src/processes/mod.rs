//! The processes of a job: who they are, and their end.

pub(crate) mod ending;
pub(crate) mod tree;

use crate::cgroup::Group;
use octo_core::base::leader::Leader;
use rustix::process::Signal;
use std::collections::{HashMap, HashSet};
use tree::Process;

/// All processes of one job: those of its cgroup, where it has one, and those that /proc
/// shows to be its own. Some leave a cgroup with root's help, as by su(1).
#[derive(Debug)]
pub(crate) struct Processes {
    pub(crate) group: Option<Group>,
    whose: Whose,
}

#[derive(Debug)]
enum Whose {
    /// Of the job that this process runs.
    Ours,
    /// Of a job whose octo-exec died, and what its environment has alone.
    Left(Leader, Vec<u8>),
}

impl Processes {
    /// Those of the job that this process runs.
    pub(crate) fn ours(group: Option<Group>) -> Processes {
        Processes { group, whose: Whose::Ours }
    }

    /// Those that an octo-exec of this boot left when it died; `mark` is what the job's
    /// environment alone has.
    pub(crate) fn left(group: Option<Group>, leader: Leader, mark: Vec<u8>) -> Processes {
        Processes { group, whose: Whose::Left(leader, mark) }
    }

    /// Who lives, each once.
    pub(crate) fn living(&self) -> Vec<Process> {
        let seen = match &self.whose {
            Whose::Ours => tree::ours(),
            Whose::Left(leader, mark) => tree::survivors(leader.pid, leader.ticks, mark),
        };
        let members = self.group.as_ref().map_or(Vec::new(), Group::members);
        let all = seen.into_iter().chain(tree::of(&members));
        let all: HashMap<i32, Process> = all.map(|process| (process.pid, process)).collect();
        let mut all: Vec<Process> = all.into_values().collect();
        all.sort_by_key(|process| process.pid);
        all
    }

    /// Does nobody live any more, as far as can be seen?
    pub(crate) fn are_gone(&self) -> bool {
        self.have_left_group() && self.living().is_empty()
    }

    /// Does nobody live in the cgroup?
    pub(crate) fn have_left_group(&self) -> bool {
        self.group.as_ref().is_none_or(Group::is_empty)
    }

    /// TERM, once, for each that runs now; what they start then is their way to end.
    pub(crate) fn ask_to_end(&self) {
        let moment = tree::now();
        let ask = || {
            let living = self.living();
            tree::signal(&living, Signal::TERM);
            // A stopped process would never see TERM.
            tree::signal(&living, Signal::CONT);
            living
        };
        let asked = match &self.group {
            Some(group) => group.while_frozen(ask),
            None => ask(),
        };
        // Without a cgroup one may have been born while /proc was read, and be in no list.
        let asked: HashSet<i32> = asked.iter().map(|process| process.pid).collect();
        let is_missed =
            |process: &Process| !asked.contains(&process.pid) && process.started < moment;
        let missed: Vec<Process> = self.living().into_iter().filter(is_missed).collect();
        tree::signal(&missed, Signal::TERM);
    }

    /// KILL, for all of them.
    pub(crate) fn kill(&self) {
        if let Some(group) = &self.group {
            group.kill();
        }
        tree::signal(&self.living(), Signal::KILL);
    }
}
