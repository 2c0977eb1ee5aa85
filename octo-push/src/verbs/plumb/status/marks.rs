//! What of a fleet needs a look.

use super::release::{Release, TargetState};
use octo_core::base::digest::Digest;
use octo_core::base::encoding::printable;
use std::collections::HashMap;

/// Why it needs a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It runs other bytes than most of the targets.
    Drift,
    /// The last attempt failed or was interrupted.
    Failed,
    /// It didn't answer.
    Unknown,
}

impl Mark {
    /// As every form has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Mark::Drift => "drift",
            Mark::Failed => "failed",
            Mark::Unknown => "unknown",
        }
    }
}

/// A target and one application, marked.
#[derive(Debug, Clone)]
pub(super) struct TargetRow {
    /// The target's name.
    pub(super) target: String,
    /// What it says.
    pub(super) state: TargetState,
    /// What is wrong with that.
    pub(super) mark: Option<Mark>,
}

impl TargetRow {
    /// The application, where the target answered with one.
    pub(super) fn release(&self) -> Option<&Release> {
        match &self.state {
            TargetState::Answered(release) => Some(release.as_ref()),
            _ => None,
        }
    }

    /// Why it didn't answer, safe to show.
    pub(super) fn message(&self) -> Option<String> {
        match &self.state {
            TargetState::Unknown(message) => Some(printable(message.as_bytes())),
            _ => None,
        }
    }

    /// Orders by application, then target; those without an application come first.
    fn key(&self) -> (&str, &str) {
        (self.release().map_or("", |release| &release.application), &self.target)
    }
}

/// All of it with marks, in order.
pub(super) fn marked(states: Vec<(String, TargetState)>) -> Vec<TargetRow> {
    let usual = usual(&states);
    let mark = |state: &TargetState| match state {
        TargetState::Empty => None,
        TargetState::Unknown(_) => Some(Mark::Unknown),
        TargetState::Answered(release) => {
            let last = release.last_result.as_deref();
            if matches!(last, Some("failed" | "interrupted")) {
                return Some(Mark::Failed);
            }
            (usual[&release.application] != release.sha256).then_some(Mark::Drift)
        }
    };
    let mut rows: Vec<TargetRow> = Vec::new();
    for (target, state) in states {
        let mark = mark(&state);
        rows.push(TargetRow { target, state, mark });
    }
    rows.sort_by(|one, other| one.key().cmp(&other.key()));
    rows
}

/// Of each application the bytes that most targets run; of two that as many run,
/// those that were deployed last.
fn usual(states: &[(String, TargetState)]) -> HashMap<String, Option<Digest>> {
    let mut counts: HashMap<(&str, Option<Digest>), (usize, &str)> = HashMap::new();
    for (_, state) in states {
        if let TargetState::Answered(release) = state {
            let count = counts.entry((&release.application, release.sha256)).or_default();
            count.0 += 1;
            count.1 = count.1.max(release.since.as_deref().unwrap_or(""));
        }
    }
    let mut usual: HashMap<String, ((usize, &str), Option<Digest>)> = HashMap::new();
    for ((application, sha256), count) in counts {
        let best = usual.entry(application.to_string()).or_insert((count, sha256));
        *best = (*best).max((count, sha256));
    }
    usual.into_iter().map(|(application, (_, sha256))| (application, sha256)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `APP VERSION SHA-DIGIT SECOND LAST-RESULT`, a word less for others.
    pub(in super::super) fn states(lines: &[&str]) -> Vec<(String, TargetState)> {
        let state = |words: &[&str]| match words {
            [] => TargetState::Empty,
            [application, version, digit, second, last] => {
                TargetState::Answered(Box::new(Release {
                    application: application.to_string(),
                    version: Some(version.to_string()),
                    sha256: Digest::parse(&digit.repeat(64)),
                    since: Some(format!("2026-01-31T23:59:0{second}Z")),
                    by: Some("ada".into()),
                    result: Some("succeeded".into()),
                    release: Some(version.to_string()),
                    last_version: Some("1.2".into()),
                    last_result: Some(last.to_string()),
                }))
            }
            _ => TargetState::Unknown(words.join(" ")),
        };
        let split = |line: &&str| {
            let words: Vec<&str> = line.split(' ').collect();
            (words[0].to_string(), state(&words[1..]))
        };
        lines.iter().map(split).collect()
    }

    fn marks(lines: &[&str]) -> Vec<String> {
        let rows = marked(states(lines));
        rows.iter().map(|r| format!("{} {}", r.target, r.mark.map_or("-", Mark::word))).collect()
    }

    #[test]
    fn the_minority_drifts_and_failures_come_first() {
        let marked = marks(&[
            "d no answer",
            "c shop 1.0 a 9 succeeded",
            "b shop 1.1 b 1 failed",
            "a shop 1.1 b 1 succeeded",
            "e",
            "a api 1.1 c 1 interrupted",
        ]);
        assert_eq!(marked, ["d unknown", "e -", "a failed", "a -", "b failed", "c drift"]);
    }

    #[test]
    fn of_equals_the_one_that_was_deployed_last_is_right() {
        let lines = ["a s 1 a 5 succeeded", "b s 1 b 6 succeeded"];
        assert_eq!(marks(&lines), ["a drift", "b -"]);
        let lines = ["a s 1 a 7 succeeded", "b s 1 b 6 succeeded"];
        assert_eq!(marks(&lines), ["a -", "b drift"]);
        // Whatever the order of a hash table is.
        let lines = ["a s 1 a 6 succeeded", "b s 1 b 6 succeeded"];
        assert!((0..20).all(|_| marks(&lines) == ["a drift", "b -"]));
    }
}
