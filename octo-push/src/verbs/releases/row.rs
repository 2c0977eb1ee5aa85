//! A row a target and application: what all forms show.

use super::answer::Answer;
use super::mark::Mark;
use super::release::{Place, Release};
use crate::target::outcome::Outcome;
use octo_core::base::encoding::printable;
use std::cmp::Ordering;
use std::sync::Arc;

/// What became of asking a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It told what it has of an application.
    Answered,
    /// It has none, or none of those that were named.
    Empty,
    /// Nothing answers there.
    Unreachable,
    /// It says no.
    Refused,
    /// Anything else.
    Unknown,
}

impl State {
    /// As all forms have it.
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Answered => "answered",
            State::Empty => "empty",
            State::Unreachable => "unreachable",
            State::Refused => "refused",
            State::Unknown => "unknown",
        }
    }

    /// Did the target tell?
    pub(super) fn has_told(self) -> bool {
        matches!(self, State::Answered | State::Empty)
    }
}

/// A target and one application, or what there is to say of a target without any.
#[derive(Debug, Clone)]
pub(super) struct TargetRow {
    /// The target's name.
    pub(super) target: String,
    /// What became of asking it.
    pub(super) state: State,
    /// Why it didn't tell, safe to show.
    pub(super) message: Option<String>,
    /// What it lets this pusher do, safe to show; none where it didn't tell.
    pub(super) offers: Option<Arc<str>>,
    /// What it told of the application.
    pub(super) release: Option<Release>,
    /// It has more than it could tell: an application that isn't here may be there.
    pub(super) has_more: bool,
    /// Why it isn't known whether its files are as they were deployed, though it was asked.
    pub(super) unverified: Option<String>,
    /// What is wrong with that, the worst first.
    pub(super) marks: Vec<Mark>,
}

impl TargetRow {
    /// The rows of one target, at least one.
    pub(super) fn of_target(
        target: &str,
        answer: Option<Answer>,
        outcome: Option<&Outcome>,
    ) -> Vec<TargetRow> {
        let row = |state, offers: Option<&Arc<str>>, release| TargetRow {
            target: target.to_string(),
            state,
            message: None,
            offers: offers.cloned(),
            release,
            has_more: false,
            unverified: None,
            marks: Vec::new(),
        };
        let state = match answer {
            Some(Answer::Told { offers, releases, has_more }) => {
                let offers = printable(offers.as_bytes()).into();
                if releases.is_empty() {
                    return vec![TargetRow { has_more, ..row(State::Empty, Some(&offers), None) }];
                }
                let answered = |release| TargetRow {
                    has_more,
                    ..row(State::Answered, Some(&offers), Some(release))
                };
                return releases.into_iter().map(answered).collect();
            }
            Some(Answer::Unreachable) => State::Unreachable,
            Some(Answer::Refused) => State::Refused,
            Some(Answer::Unknown | Answer::Asked) | None => State::Unknown,
        };
        let message = outcome.map_or("not asked", |outcome| outcome.said());
        vec![TargetRow { message: Some(printable(message.as_bytes())), ..row(state, None, None) }]
    }

    /// The worst that is wrong.
    pub(super) fn mark(&self) -> Option<Mark> {
        self.marks.first().copied()
    }

    /// A value that the target told, as a person is shown it.
    pub(super) fn shown(&self, key: &str) -> String {
        self.release.as_ref().map_or_else(|| "-".into(), |release| release.shown(key))
    }

    /// Orders by application, then target; those without an application come first.
    pub(super) fn order(&self, other: &TargetRow) -> Ordering {
        self.key().cmp(&other.key())
    }

    fn key(&self) -> (Option<&str>, &str, Option<Place<'_>>) {
        let place = self.release.as_ref().map(|release| release.place());
        (place.map(|place| place.0), &self.target, place)
    }
}
