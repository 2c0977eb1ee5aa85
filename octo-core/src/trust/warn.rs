//! What a sound trust file says that its sysadmin may not have meant.

use super::signed::Keys;
use super::{Line, Options, StartedBy, Trust, TrustOption, Verb, scripts};
use crate::base::problem::Problem;
use crate::base::users;
use jiff::Zoned;
use std::collections::HashMap;
use std::ops::RangeBounds;
use std::path::Path;

impl Trust {
    /// Lines that don't do what they seem to, where jobs are started so.
    pub fn warnings(&self, started_by: &StartedBy, at: &Zoned) -> Vec<Problem> {
        let mut unreachable = self.unreachable().into_iter().peekable();
        let mut looked = HashMap::new();
        let mut warnings = Vec::new();
        for line in self.lines.iter() {
            let reasons = match unreachable.next_if(|u| u.line.number == line.number) {
                Some(shadowed) => vec![shadow_reason(&shadowed.by)],
                None => reasons(line, started_by, at, &mut looked),
            };
            warnings.extend(
                reasons.into_iter().map(|reason| {
                    Problem::new(&self.path, line.number, line.text.as_bytes(), reason)
                }),
            );
        }
        warnings
    }

    /// Lines of these numbers whose `user=` is nobody on this machine: each run is refused.
    pub fn unknown_users(&self, numbers: impl RangeBounds<usize>) -> Vec<Problem> {
        // Of a line that permits no run the user is of no matter.
        let lines = self
            .lines
            .iter()
            .filter(|line| numbers.contains(&line.number) && line.options.allow.covers(Verb::Run));
        let users = || lines.clone().filter_map(|line| Some((line, line.options.user.as_deref()?)));
        let unknown = users::unknown(users().map(|(_, user)| user));
        let unknown = users().filter(|(_, user)| unknown.contains(user));
        let problems = unknown.map(|(line, user)| {
            let reason = format!(
                "there is no user {user} on this machine: useradd --system --create-home {user}"
            );
            Problem::new(&self.path, line.number, line.text.as_bytes(), reason)
        });
        problems.collect()
    }
}

/// Why a line never decides.
pub(super) fn shadow_reason(by: &[&Line]) -> String {
    let numbers: Vec<String> = by.iter().map(|line| line.number.to_string()).collect();
    match &numbers[..] {
        [one] => format!("never decides: line {one} holds whenever it does"),
        all => format!("never decides: one of the lines {} holds whenever it does", all.join(", ")),
    }
}

/// What is wrong with each directory of scripts, and each file of keys, that was looked at.
type Looked<'a> = HashMap<(&'static str, &'a Path), Vec<String>>;

fn reasons<'a>(
    line: &'a Line,
    started_by: &StartedBy,
    at: &Zoned,
    looked: &mut Looked<'a>,
) -> Vec<String> {
    let options = &line.options;
    if let Some(day) = options.expires
        && at.with_time_zone(jiff::tz::TimeZone::UTC).date() > day
    {
        // What an expired line says doesn't matter any more.
        return vec![format!("expired at the end of {day} (UTC)")];
    }
    if !options.allow.covers(Verb::Run) {
        let usual = Options::default();
        let idle = TrustOption::all()
            .filter(|row| row.is_for_runs() && row.values(options) != row.values(&usual));
        let mut idle: Vec<&str> = idle.map(|row| row.key).collect();
        if options.allow.despite {
            idle.insert(0, "allow=despite");
        }
        if idle.is_empty() {
            return Vec::new();
        }
        return vec![format!("without run in allow= nothing comes of {}", idle.join(", "))];
    }
    let mut reasons = Vec::from_iter(user_reason(options.user.as_deref(), started_by));
    reasons.extend(options.env.iter().flatten().filter_map(|pattern| {
        let why = pattern.reaches_only_forbidden()?;
        Some(format!("env={pattern} permits nothing: {why}; set= gives what has to be"))
    }));
    if let Some(directory) = &options.scripts {
        let found = looked.entry(("scripts", directory));
        reasons.extend_from_slice(found.or_insert_with(|| script_reasons(directory)));
    }
    if let Some(file) = &options.signed {
        let found = looked.entry(("signed", file));
        reasons.extend_from_slice(found.or_insert_with(|| key_reasons(file)));
    }
    reasons
}

fn script_reasons(directory: &Path) -> Vec<String> {
    let wrong = match scripts::installed(directory) {
        Err(error) => vec![error],
        Ok(all) => all.into_iter().filter_map(|script| script.unsound).collect(),
    };
    wrong.iter().map(|error| format!("scripts: {error}")).collect()
}

fn key_reasons(file: &Path) -> Vec<String> {
    let wrong = Keys::load(file).err();
    wrong.iter().map(|error| format!("packages are refused: signed: {error}")).collect()
}

fn user_reason(user: Option<&str>, started_by: &StartedBy) -> Option<String> {
    match (started_by, user) {
        (StartedBy { root: true, .. }, None) => {
            Some("runs are refused: an octo-exec that is root asks for user=".into())
        }
        (StartedBy { listener: Some(listener), .. }, Some(user)) if listener == user => {
            let reason = "jobs run as the listener's user";
            Some(format!("{reason}, {user}: whoever sends one has taken the listener over"))
        }
        (StartedBy { root: false, name, .. }, Some(user)) if name != user => {
            Some(format!("runs are refused: {name} is not root and can't become {user}"))
        }
        (StartedBy { root: false, name, .. }, _) => {
            Some(format!("jobs run as {name} itself, and can rewrite the record and this file"))
        }
        _ => None,
    }
}
