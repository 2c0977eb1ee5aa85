//! May this job start, now? Decided here by the trust file as it is, whatever
//! the publisher of the job decided, and whatever lies in the job directory.

use crate::admission::adopt::Origin;
use octo_core::base::error::{Exit, Result};
use octo_core::base::paths::Places;
use octo_core::base::record::Record;
use octo_core::base::refusal::Refusal;
use octo_core::tentacle::job::Request;
use octo_core::tentacle::spec::{Script, Spec};
use octo_core::trust::{Question, RunQuestion, Starter, Trust, Verb};
use octo_core::{PusherName, VariableName};
use std::path::PathBuf;
use std::time::Duration;

/// With what a permitted job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The pusher's name, or `local` and the user for a job by hand.
    pub(crate) pusher: String,
    /// The pusher, unless the job is by hand.
    pub(crate) name: Option<PusherName>,
    /// May it use every object of the store?
    pub(crate) any_object: bool,
    /// The line of the trust file: its number and text.
    pub(crate) line: Option<(usize, String)>,
    /// Whom it runs as; `None` is this process' own user.
    pub(crate) user: Option<String>,
    /// May it gain privileges?
    pub(crate) sudo: bool,
    /// It waits for a local operator's approval.
    pub(crate) hold: bool,
    /// The sysadmin's variables.
    pub(crate) set: Vec<(VariableName, String)>,
    /// The directory of the script that it names.
    pub(crate) named: Option<(PathBuf, String)>,
    /// The longest wait for a lock.
    pub(crate) max_wait: Option<Duration>,
    /// The largest log, in bytes.
    pub(crate) max_log: u64,
    /// The time limit: the pusher's, no longer than the line's.
    pub(crate) timeout: Option<Duration>,
}

/// Why it may not: for the job's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct No {
    pub(crate) exit: u8,
    pub(crate) reason: String,
}

impl No {
    pub(crate) fn new(exit: Exit, reason: impl Into<String>) -> No {
        No { exit: exit.code(), reason: reason.into() }
    }
}

/// The log of a job by hand, where no line bounds it.
const LOCAL_MAX_LOG: u64 = 1 << 30;

/// Decides about a job; the window counts only for one that would start now.
pub(crate) fn admit(
    places: &Places,
    origin: Origin,
    request: &Request,
    spec: &Spec,
    starting: bool,
) -> std::result::Result<Plan, No> {
    let Some(pusher) = &request.pusher else {
        return by_hand(origin, request, spec);
    };
    let trust = Trust::load(&places.trusted())
        .map_err(|e| No { exit: Refusal::Policy.exit().code(), reason: e.message })?;
    let named = match &spec.script {
        Script::Named(name) => Some(name.as_str()),
        _ => None,
    };
    let locks: Vec<_> = spec.locks.iter().map(|lock| lock.name.clone()).collect();
    let now = trust.now();
    let mut question = Question::new(pusher.thumbprint, pusher.address, &now, Verb::Run);
    let starter = Starter::this_process();
    question.run = Some(RunQuestion { named, locks: &locks, starting, starter });
    let line = trust
        .decide(&question)
        .map_err(|refused| No { exit: refused.refusal.exit().code(), reason: refused.reason })?;
    let timeout = match (spec.timeout, line.timeout) {
        (Some(asked), Some(limit)) => Some(asked.min(limit)),
        (asked, limit) => asked.or(limit),
    };
    Ok(Plan {
        pusher: line.name.to_string(),
        name: Some(line.name.clone()),
        any_object: line.sees_all_jobs(),
        line: Some((line.number, line.text.clone())),
        user: line.user.clone(),
        sudo: line.sudo,
        hold: line.hold,
        set: line.set.clone(),
        named: line.scripts.clone().zip(named.map(str::to_string)),
        max_wait: Some(line.max_wait),
        max_log: line.max_log,
        timeout,
    })
}

/// A job by hand is its user's own: it gets nothing that he hasn't.
fn by_hand(origin: Origin, request: &Request, spec: &Spec) -> std::result::Result<Plan, No> {
    if origin == Origin::Foreign {
        return Err(No::new(Exit::Refused, "a job without a pusher, published by another user"));
    }
    if matches!(spec.script, Script::Named(_)) {
        return Err(No::new(Exit::Refused, "a script is named without a line that permits it"));
    }
    Ok(Plan {
        pusher: format!("local:{}", request.by),
        name: None,
        any_object: true,
        line: None,
        user: None,
        sudo: true,
        hold: false,
        set: Vec::new(),
        named: None,
        max_wait: None,
        max_log: LOCAL_MAX_LOG,
        timeout: spec.timeout,
    })
}

impl Plan {
    /// The `grant` of the record.
    pub(crate) fn record(&self) -> Record {
        let mut record = Record::new();
        if let Some((number, text)) = &self.line {
            record.text("line", number);
            record.text("text", text);
        }
        if let Some(name) = &self.name {
            record.text("name", name);
        }
        if let Some(user) = &self.user {
            record.text("user", user);
        }
        record.text("sudo", if self.sudo { "yes" } else { "no" });
        for (name, value) in &self.set {
            record.push("set", &[name.as_str().as_bytes(), value.as_bytes()]);
        }
        if let Some(timeout) = self.timeout {
            record.text("timeout", timeout.as_secs());
        }
        record.text("max-log", self.max_log);
        record.text("at", octo_core::base::cli::utc_now());
        record
    }
}

/// Has a job that was never started waited too long? `since` is RFC 3339.
pub(crate) fn is_expired(since: &str, limit: Duration) -> Result<bool> {
    let Ok(since) = since.parse::<jiff::Timestamp>() else { return Ok(true) };
    let passed = jiff::Timestamp::now().duration_since(since);
    Ok(passed.is_positive() && passed.unsigned_abs() > limit)
}
