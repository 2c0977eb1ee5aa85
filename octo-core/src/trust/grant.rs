//! A yes, and all that it contains.

use super::{Allow, Line, Options, TrustOption, Verb};
use crate::base::names::{PusherName, VariableName};
use crate::tentacle::store::{Limits, Who};
use std::path::PathBuf;
use std::time::Duration;

/// All that a yes contains. Whoever acts on it takes it apart without `..`: an
/// option that limits nothing doesn't compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Under what the pusher's jobs and objects are kept.
    pub name: PusherName,
    /// The line that says yes; `None` for a job by hand.
    pub line: Option<Cited>,
    /// The verbs; with `any`, other pushers' jobs and objects too.
    pub allow: Allow,
    /// Whom jobs run as; `None` is the user who starts them.
    pub user: Option<String>,
    /// Jobs may gain privileges.
    pub sudo: bool,
    /// The directory whose scripts alone may run.
    pub scripts: Option<PathBuf>,
    /// The file of keys of which one must have signed a package.
    pub signed: Option<PathBuf>,
    /// How many must approve a run before it starts; 0 is nobody.
    pub hold: u8,
    /// Variables of jobs that the pusher can't give.
    pub set: Vec<(VariableName, String)>,
    /// The longest wait for a lock; `None` is as long as asked for.
    pub max_wait: Option<Duration>,
    /// The largest object to send or to get, in bytes.
    pub max_size: u64,
    /// How much may be kept, packages and jobs together, in bytes.
    pub max_store: u64,
    /// How many jobs may be under way at once.
    pub max_jobs: u64,
    /// The largest output of a job that is kept, in bytes.
    pub max_log: u64,
    /// The longest time limit of a job; `None` is as long as asked for.
    pub timeout: Option<Duration>,
    /// What its processes may use of the machine.
    pub resources: Resources,
    /// What is said about runs, for records: an option and its value each.
    pub about_runs: Vec<(&'static str, String)>,
}

/// What all processes of a job may use together; `None` is what the machine has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resources {
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Processor time, in percent of one processor.
    pub cpu: Option<u32>,
    /// Processes and threads.
    pub tasks: Option<u64>,
}

/// A line of the trust file, for records and messages. Two are equal if their text
/// is: a comment that was added above a line changes its number, and no grant.
#[derive(Debug, Clone, Eq)]
pub struct Cited {
    /// Its number in the file, from 1.
    pub number: usize,
    /// As it stands in the file.
    pub text: String,
}

impl PartialEq for Cited {
    fn eq(&self, other: &Cited) -> bool {
        let Cited { number: _, text } = self;
        *text == other.text
    }
}

impl Grant {
    /// Who asks the store.
    pub fn who(&self) -> Who<'_> {
        if self.allow.any { Who::Any } else { Who::Pusher(&self.name) }
    }

    /// What may be taken of the store.
    pub fn limits(&self) -> Limits<'_> {
        Limits { max_store: self.max_store, any: self.allow.any, coming: None }
    }

    /// What a line brings to whom it lets.
    pub(super) fn of(line: &Line) -> Grant {
        let about_runs =
            TrustOption::all().filter(|row| row.bounds.contains(&Verb::Run)).flat_map(|row| {
                row.values(&line.options).into_iter().map(move |value| (row.key, value))
            });
        let about_runs = about_runs.collect();
        let Options {
            // Judged by `decide`: they say whether there is a yes at all.
            from: _,
            expires: _,
            window: _,
            env: _,
            stdin: _,
            locks: _,
            allow,
            user,
            sudo,
            scripts,
            signed,
            hold,
            set,
            max_wait,
            max_size,
            max_store,
            max_jobs,
            max_log,
            timeout,
            memory,
            cpu,
            tasks,
        } = line.options.clone();
        Grant {
            name: line.name.clone(),
            line: Some(Cited { number: line.number, text: line.text.clone() }),
            allow,
            user,
            sudo,
            scripts,
            signed,
            hold,
            set,
            max_wait: Some(max_wait),
            max_size,
            max_store,
            max_jobs,
            max_log,
            timeout,
            resources: Resources { memory, cpu, tasks },
            about_runs,
        }
    }

    /// A job by hand is its user's own: it gets what he has. Only its log is bounded.
    pub fn by_hand() -> Grant {
        Grant {
            name: PusherName::local_operator(),
            line: None,
            allow: Allow { any: true, ..Allow::default() },
            user: None,
            sudo: true,
            scripts: None,
            signed: None,
            hold: 0,
            set: Vec::new(),
            max_wait: None,
            max_size: u64::MAX,
            max_store: u64::MAX,
            max_jobs: u64::MAX,
            max_log: Options::default().max_log,
            timeout: None,
            resources: Resources::default(),
            about_runs: vec![("sudo", "yes".into())],
        }
    }

    /// The line, for records: its number, or `local` for a job by hand.
    pub fn place(&self) -> String {
        self.line.as_ref().map_or("local".to_string(), |line| line.number.to_string())
    }

    /// Does it cover the jobs of this owner? Those of nobody, started on the machine
    /// itself, are for who sees all.
    pub fn sees(&self, owner: Option<&PusherName>) -> bool {
        self.allow.any || owner == Some(&self.name)
    }
}
