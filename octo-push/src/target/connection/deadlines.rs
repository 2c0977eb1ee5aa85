//! How long a tentacle may take, however lively it is: a tick says that it lives, not
//! that an answer will ever come.
//!
//! All that is waited for is a question until [`Client::flows`] says otherwise.
//!
//! [`Client::flows`]: crate::target::connection::client::Client::flows

use octo_core::base::error::{Error, Exit};
use octo_core::base::units::human_duration;
use octo_core::trust::Verb;
use octo_wire::pace::{MINIMUM_RATE, RATE_WINDOW};
use std::fmt;
use std::time::{Duration, Instant};

/// For a question, where `--limit` says nothing.
pub(crate) const USUAL_LIMIT: Duration = Duration::from_secs(60);

/// A tentacle that has to hash a file, or get it onto its disk, does so many bytes a
/// second.
const WORK_RATE: u64 = 8 << 20;

/// The time that one connection has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deadlines {
    /// `--limit`
    pub(crate) limit: Option<Duration>,
    /// Nothing goes on after this moment.
    pub(crate) until: Option<Instant>,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// An answer, that may take so long.
    Answer(Duration),
    /// Bytes, as long as they flow.
    Bytes,
}

impl Deadlines {
    /// How long an answer may take for which so many bytes are worked on.
    pub(crate) fn answer(self, work: u64) -> Duration {
        self.limit.unwrap_or_else(|| USUAL_LIMIT + Duration::from_secs(work / WORK_RATE))
    }

    /// When it is over if it may take so long from now on.
    pub(crate) fn within(self, time: Duration) -> Option<Instant> {
        let end = Instant::now().checked_add(time);
        end.into_iter().chain(self.until).min()
    }

    /// How long so many bytes may take to leave.
    pub(crate) fn sending(count: usize) -> Duration {
        RATE_WINDOW + Duration::from_secs(count as u64 / MINIMUM_RATE)
    }

    /// So long it was `--bwlimit` that kept us from sending: a question has that time besides,
    /// but not where `--limit` says how long it has.
    pub(crate) fn waited(&mut self, time: Duration) {
        if self.limit.is_none() {
            self.until = self.until.and_then(|until| until.checked_add(time));
        }
    }

    /// Is the whole of it over?
    pub(crate) fn are_over(self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// The time for an answer is over.
    pub(crate) fn unanswered(
        self,
        object: impl fmt::Display,
        asked: Verb,
        time: Duration,
    ) -> Error {
        let option = if self.limit.is_some() { "--limit " } else { "" };
        let reason =
            format!("{} is not answered within {option}{}", asked.word(), human_duration(time));
        Error::new(Exit::Unavailable, object, reason).hint("--limit TIME waits longer")
    }
}

/// The words for a limit that is over, whatever was done.
pub(crate) fn over_limit(limit: Duration) -> String {
    format!("not over within --limit {}", human_duration(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_a_minute_and_a_large_file_more() {
        let usual = Deadlines::default();
        assert_eq!(usual.answer(0), Duration::from_secs(60));
        assert_eq!(usual.answer(8 << 30), Duration::from_secs(60 + 1024));
        let said = Deadlines { limit: Some(Duration::from_secs(5)), until: None };
        assert_eq!(said.answer(8 << 30), Duration::from_secs(5));
        assert!(usual.answer(u64::MAX) < Duration::from_secs(u64::MAX / WORK_RATE + 61));
        let until = Instant::now();
        let ended = Deadlines { limit: None, until: Some(until) };
        assert_eq!(ended.within(Duration::from_secs(60)), Some(until));
        assert!(ended.are_over() && !usual.are_over());
    }

    #[test]
    fn what_is_held_back_here_is_not_counted_but_against_a_limit() {
        let (until, time) = (Some(Instant::now()), Duration::from_secs(100));
        let mut question = Deadlines { limit: None, until };
        question.waited(time);
        assert_eq!(question.until, until.map(|until| until + time));
        let mut limited = Deadlines { limit: Some(time), until };
        limited.waited(time);
        assert_eq!(limited.until, until);
    }

    #[test]
    fn what_is_not_answered_is_named_with_its_limit() {
        let usual = Deadlines::default();
        let error = usual.unanswered("web1:10933", Verb::Status, usual.answer(0));
        assert_eq!(error.message, "web1:10933: status is not answered within 1m");
        assert_eq!(error.hints, ["--limit TIME waits longer"]);
        let said = Deadlines { limit: Some(Duration::from_secs(5)), until: None };
        let error = said.unanswered("web1:10933", Verb::Put, said.answer(0));
        assert_eq!(error.message, "web1:10933: put is not answered within --limit 5s");
    }
}
