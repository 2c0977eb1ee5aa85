//! The one function that decides what a pusher may do.

use super::environment::{self, Listed};
use super::signed;
use super::{Grant, Line, Options, Trust, Verb};
use crate::base::encoding::printable;
use crate::base::names::{LockName, VariableName, is_file_name};
use crate::base::paths::Places;
use crate::base::refusal::Refusal;
use crate::base::thumbprint::Thumbprint;
use crate::base::units::human_size;
use crate::base::users;
use crate::tentacle::layout;
use crate::tentacle::spec::{Script, Spec};
use jiff::Zoned;
use rustix::process::geteuid;
use std::collections::HashSet;
use std::net::IpAddr;

/// Who asks for what, from where, when.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The pusher's thumbprint, proved by the handshake.
    pub thumbprint: Thumbprint,
    /// Where it comes from; `None` never passes a from=.
    pub address: Option<IpAddr>,
    /// The time, in the zone of this machine.
    pub at: &'a Zoned,
    /// What it asks for.
    pub verb: Verb,
    /// The size of what it wants to put, where known.
    pub size: Option<u64>,
    /// How many of its jobs are under way, where known, without this one.
    pub jobs: Option<u64>,
    /// More about a run.
    pub run: Option<RunQuestion<'a>>,
}

/// What is asked of a run besides the verb.
#[derive(Debug, Clone)]
pub struct RunQuestion<'a> {
    /// The installed script that it names; `None` where it sends its own.
    pub named: Option<&'a str>,
    /// The locks that it takes.
    pub locks: Vec<&'a LockName>,
    /// The variables that it is given, secrets included.
    pub variables: Vec<&'a VariableName>,
    /// The name of its package, where that carries no signature.
    pub unsigned: Option<&'a str>,
    /// Is it given standard input?
    pub stdin: bool,
    /// Does it deploy what is frozen?
    pub despite: bool,
    /// Would it start now? Only then the window counts.
    pub starting: bool,
    /// Who would start it.
    pub started_by: StartedBy,
}

impl<'a> RunQuestion<'a> {
    /// All that this spec asks for.
    pub fn of(spec: &'a Spec, starting: bool, started_by: StartedBy) -> RunQuestion<'a> {
        RunQuestion {
            named: match &spec.script {
                Script::Named(name) => Some(name),
                Script::Sent { .. } | Script::Command(_) | Script::Order(_) => None,
            },
            locks: spec.locks.iter().map(|lock| &lock.name).collect(),
            variables: spec.variables().collect(),
            unsigned: spec.package.as_ref().filter(|_| spec.signature.is_none()).map(|p| &*p.1),
            stdin: spec.stdin.is_some(),
            despite: spec.despite.is_some(),
            starting,
            started_by,
        }
    }
}

/// The user who starts jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedBy {
    /// The user's name.
    pub name: String,
    /// Can it become others?
    pub root: bool,
    /// The user who listens, where that is another one.
    pub listener: Option<String>,
}

impl StartedBy {
    /// Whoever runs octo-exec on these places.
    pub fn at(places: &Places) -> StartedBy {
        let listener =
            layout::is_separated(places).then(|| users::name_of(layout::listener(places).uid));
        StartedBy { listener, ..StartedBy::uid(layout::executor(places).uid) }
    }

    /// The user of this process.
    pub fn this_process() -> StartedBy {
        StartedBy::uid(geteuid().as_raw())
    }

    fn uid(uid: u32) -> StartedBy {
        // Root becomes whom it likes: its name decides nothing.
        let name = if uid == 0 { "root".into() } else { users::name_of(uid) };
        StartedBy { name, root: uid == 0, listener: None }
    }
}

impl<'a> Question<'a> {
    /// A question that knows no numbers.
    pub fn new(
        thumbprint: Thumbprint,
        address: Option<IpAddr>,
        at: &'a Zoned,
        verb: Verb,
    ) -> Question<'a> {
        Question { thumbprint, address, at, verb, size: None, jobs: None, run: None }
    }
}

/// A no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Its code on the wire.
    pub refusal: Refusal,
    /// For the pusher, in words: no more than it may know.
    pub reason: String,
    /// For the target's log: the line that decided; none holds where `None`.
    pub line: Option<usize>,
    /// For the target's log: the option that decided.
    pub option: Option<&'static str>,
    /// The variables that are refused, all of them.
    pub variables: Vec<VariableName>,
    /// When the window opens next.
    pub opens: Option<Box<Zoned>>,
}

/// A line of the thumbprint whose conditions don't hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver<'a> {
    /// The line.
    pub line: &'a Line,
    /// The condition that doesn't hold.
    pub option: &'static str,
    /// Why not: for the target's side only.
    pub reason: String,
}

impl Trust {
    /// May it, and with what? The first line of the thumbprint whose conditions
    /// hold decides alone.
    ///
    /// # Errors
    /// Why not.
    pub fn decide(&self, question: &Question) -> Result<Grant, Denial> {
        let line = self.line_of(question).ok_or_else(|| Denial {
            refusal: Refusal::Denied,
            reason: "this thumbprint is not trusted here, or not from there, or no longer".into(),
            line: None,
            option: None,
            variables: Vec::new(),
            opens: None,
        })?;
        match line.refuses(question) {
            Some(denial) => Err(denial),
            None => Ok(Grant::of(line)),
        }
    }

    /// The line that decides about this question, whatever it decides.
    pub fn line_of(&self, question: &Question) -> Option<&Line> {
        self.of(question.thumbprint).find(|line| line.holds(question.address, question.at).is_ok())
    }

    /// The lines before the one that decides whose conditions don't hold.
    pub fn passed_over(&self, question: &Question) -> Vec<PassedOver<'_>> {
        self.of(question.thumbprint)
            .map_while(|line| {
                let (option, reason) = line.holds(question.address, question.at).err()?;
                Some(PassedOver { line, option, reason })
            })
            .collect()
    }

    /// The lines of a thumbprint, in order.
    pub fn of(&self, thumbprint: Thumbprint) -> impl Iterator<Item = &Line> {
        self.lines.of(thumbprint)
    }
}

impl Line {
    /// What lasts comes first, so that a pusher who is told to try later has a
    /// chance to be let in then.
    fn refuses(&self, question: &Question) -> Option<Denial> {
        let (name, verb) = (&self.name, question.verb);
        if !self.options.allow.covers(verb) {
            return self.denied(
                Refusal::Denied,
                "allow",
                format!("{name} may not {}", verb.row().does),
            );
        }
        match verb {
            Verb::Put => self.refuses_size(question),
            Verb::Run => self
                .refuses_run(question)
                .or_else(|| self.refuses_size(question))
                .or_else(|| self.refuses_now(question)),
            _ => None,
        }
    }

    fn refuses_run(&self, question: &Question) -> Option<Denial> {
        let run = question.run.as_ref()?;
        let name = &self.name;
        let denied = |option, reason| self.denied(Refusal::Denied, option, reason);
        match (&run.started_by, &self.options.user) {
            (StartedBy { root: true, .. }, None) => {
                let reason = format!(
                    "no user is named for the jobs of {name}: its line in the trust file needs user="
                );
                return denied("user", reason);
            }
            (StartedBy { name: own, root: false, .. }, Some(user)) if own != user => {
                let reason = format!(
                    "jobs of {name} are to run as another user, and the tentacle is not root"
                );
                return denied("user", reason);
            }
            _ => {}
        }
        match (&self.options.scripts, run.named) {
            (Some(_), None) => {
                let reason = format!("{name} may run installed scripts only (run --name)");
                return denied("scripts", reason);
            }
            (None, Some(_)) => {
                return denied("scripts", format!("no scripts are installed for {name}"));
            }
            (Some(_), Some(script)) if !is_script_name(script) => {
                let shown = printable(script.as_bytes());
                return denied("scripts", format!("'{shown}' is not the name of a script"));
            }
            _ => {}
        }
        // A script that its admin wrote to read none may do with it whatever it does with input.
        if self.options.scripts.is_some() && run.stdin && !self.options.stdin {
            let reason = format!("{name} may give installed scripts no standard input");
            return denied("stdin", reason);
        }
        if let (Some(_), Some(package)) = (&self.options.signed, run.unsigned) {
            return denied("signed", signed::missing(package));
        }
        let permitted =
            |lock: &LockName| self.options.locks.as_ref().is_none_or(|all| all.contains(lock));
        if let Some(lock) = run.locks.iter().find(|lock| !permitted(lock)) {
            return denied("locks", format!("{name} may not take the lock {lock}"));
        }
        if run.despite && !self.options.allow.covers_despite() {
            return denied("allow", format!("{name} may not deploy despite a freeze"));
        }
        self.refuses_variables(&run.variables)
    }

    /// None is left out of a job: those that it can't have are told, all of them.
    fn refuses_variables(&self, asked: &[&VariableName]) -> Option<Denial> {
        let Options { env, scripts, set, .. } = &self.options;
        let set: HashSet<&VariableName> = set.iter().map(|(name, _)| name).collect();
        let listed = env.as_deref().map(Listed::of);
        let is_covered = |name: &VariableName| match &listed {
            Some(listed) => listed.covers(name),
            None => scripts.is_none(),
        };
        let (mut own, mut forbidden, mut other) = (Vec::new(), Vec::new(), Vec::new());
        for &name in asked {
            if set.contains(name) {
                own.push(name.clone());
            } else if environment::forbidden(name).is_some() {
                // No spec with one gets here; if one did, it would be refused all the same.
                forbidden.push(name.clone());
            } else if !is_covered(name) {
                other.push(name.clone());
            }
        }
        let name = &self.name;
        let mut reasons = Vec::new();
        if !other.is_empty() {
            let why = match env {
                None => "its line has scripts= without env=",
                Some(_) if other.len() == 1 => "env= of its line doesn't name it",
                Some(_) => "env= of its line doesn't name them",
            };
            reasons.push(format!("{name} may not set {}: {why}", environment::listed(&other)));
        }
        if !forbidden.is_empty() {
            reasons.push(environment::refusal(&forbidden));
        }
        if !own.is_empty() {
            let given = environment::listed(&own);
            reasons.push(format!("{name} may not set {given}: set= of its line does"));
        }
        let option = if other.is_empty() && forbidden.is_empty() { "set" } else { "env" };
        let variables = [other, forbidden, own].concat();
        if variables.is_empty() {
            return None;
        }
        let denial = self.denied(Refusal::Denied, option, reasons.join("; "));
        denial.map(|denial| Denial { variables, ..denial })
    }

    /// max-store is not judged here: the store counts what it holds as an upload begins.
    fn refuses_size(&self, question: &Question) -> Option<Denial> {
        let size = question.size.unwrap_or(0);
        if size <= self.options.max_size {
            return None;
        }
        let reason = format!(
            "{size} bytes are more than {} may send at once ({})",
            self.name,
            human_size(self.options.max_size)
        );
        self.denied(Refusal::Limit, "max-size", reason)
    }

    /// What may be otherwise later.
    fn refuses_now(&self, question: &Question) -> Option<Denial> {
        if question.jobs.is_some_and(|jobs| jobs >= self.options.max_jobs) {
            let reason =
                format!("{} has {} jobs under way already", self.name, self.options.max_jobs);
            return self.denied(Refusal::Busy, "max-jobs", reason);
        }
        let starting = question.run.as_ref().is_none_or(|run| run.starting);
        let windows = self.options.window.as_ref().filter(|_| starting)?;
        if windows.is_open(question.at) {
            return None;
        }
        let opens = windows.next_opening(question.at);
        let when = match &opens {
            Some(opens) => format!("the next one opens at {}", opens.strftime("%a %F %H:%M %:z")),
            None => "none opens in the next two weeks".into(),
        };
        let denial =
            self.denied(Refusal::Window, "window", format!("outside of the window; {when}"));
        denial.map(|denial| Denial { opens: opens.map(Box::new), ..denial })
    }

    fn denied(&self, refusal: Refusal, option: &'static str, reason: String) -> Option<Denial> {
        let (line, option, variables) = (Some(self.number), Some(option), Vec::new());
        Some(Denial { refusal, reason, line, option, variables, opens: None })
    }
}

/// One name in the directory itself; hidden files are no scripts.
pub(super) fn is_script_name(name: &str) -> bool {
    is_file_name(name.as_bytes())
        && !name.starts_with(['.', '-'])
        && !crate::base::names::has_hidden(name)
}
