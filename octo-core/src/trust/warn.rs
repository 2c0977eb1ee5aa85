//! What a sound trust file says that its sysadmin may not have meant.

use super::{Line, Starter, Trust, Verb, scripts};
use crate::base::problem::Problem;
use jiff::Zoned;

impl Trust {
    /// Lines that don't do what they seem to, where jobs are started so.
    pub fn warnings(&self, starter: &Starter, at: &Zoned) -> Vec<Problem> {
        let unreachable = self.unreachable();
        let mut warnings = Vec::new();
        for line in &self.lines {
            let reasons = match unreachable.iter().find(|u| u.line.number == line.number) {
                Some(shadowed) => vec![shadow_reason(&shadowed.by)],
                None => reasons(line, starter, at),
            };
            warnings.extend(
                reasons.into_iter().map(|reason| {
                    Problem::new(&self.path, line.number, line.text.as_bytes(), reason)
                }),
            );
        }
        warnings
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

fn reasons(line: &Line, starter: &Starter, at: &Zoned) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(day) = line.expires
        && at.with_time_zone(jiff::tz::TimeZone::UTC).date() > day
    {
        // What an expired line says doesn't matter any more.
        return vec![format!("expired at the end of {day} (UTC)")];
    }
    if !line.allows(Verb::Run) {
        let given = [
            ("user", line.user.is_some()),
            ("sudo", line.sudo),
            ("scripts", line.scripts.is_some()),
            ("window", line.windows.is_some()),
            ("hold", line.hold),
            ("set", !line.set.is_empty()),
            ("locks", line.locks.is_some()),
            ("timeout", line.timeout.is_some()),
        ];
        let idle: Vec<&str> = given.iter().filter(|(_, on)| *on).map(|(key, _)| *key).collect();
        if !idle.is_empty() {
            reasons.push(format!("without run in allow= nothing comes of {}", idle.join(", ")));
        }
        return reasons;
    }
    reasons.extend(user_reason(line, starter));
    if let Some(directory) = &line.scripts {
        match scripts::installed(directory) {
            Err(error) => reasons.push(format!("scripts: {error}")),
            Ok(all) => {
                let unsound = all.into_iter().filter_map(|script| script.unsound);
                reasons.extend(unsound.map(|error| format!("scripts: {error}")));
            }
        }
    }
    reasons
}

fn user_reason(line: &Line, starter: &Starter) -> Option<String> {
    match (starter, &line.user) {
        (Starter::User { root: true, .. }, None) => {
            Some("a listener that is root refuses runs without user=".into())
        }
        (Starter::User { root: false, name }, Some(user)) if name != user => {
            Some(format!("runs are refused: {name} is not root and can't become {user}"))
        }
        (Starter::User { root: false, name }, _) => {
            Some(format!("jobs run as {name} itself, and can rewrite the record and this file"))
        }
        _ => None,
    }
}
