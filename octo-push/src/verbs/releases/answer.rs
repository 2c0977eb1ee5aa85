//! One target's answer: what is released there and what it offers, or why it said nothing.

use super::release::Release;
use crate::target::attempts;
use crate::target::connection::client_error::ClientError;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use octo_core::trust::Verb;
use octo_wire::reply::listed;
use octo_wire::{Failure, Fields, Request};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// No target lists more.
const LISTED: usize = 10_000;

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It told.
    Told {
        /// What it lets this pusher do, parts joined by commas.
        offers: String,
        /// Its applications, in the order of their places.
        releases: Vec<Release>,
        /// It has more than it could tell.
        has_more: bool,
    },
    /// Nothing answers there.
    Unreachable,
    /// It says no.
    Refused,
    /// It was reached, and that is all that is known.
    Unknown,
    /// It is being asked, and nothing was reached so far.
    Asked,
}

/// The answers, by the place of their target in the selection.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(Arc<Mutex<BTreeMap<usize, Answer>>>);

impl Answers {
    /// Asks the reporter's target, and keeps its answer.
    pub(super) fn ask(&self, context: &Context, reporter: &Reporter) -> Outcome {
        let request = Request::new(Verb::Releases);
        // Where its time is over, this is what is known.
        self.keep(reporter.target, Answer::Asked);
        let told = attempts::ask(context, reporter, |client| {
            self.keep(reporter.target, Answer::Unknown);
            let reply = client.ask(&request, b"")?;
            let body = client.body(&reply)?;
            let releases = releases(&body).map_err(|failure| client.wrong(failure))?;
            Ok((reply, releases))
        });
        let (answer, outcome) = match told {
            Ok((reply, releases)) => {
                let offers = reply.get("offers").unwrap_or("").to_string();
                {
                    let has_more = reply.get::<&str>("more").is_some();
                    (Answer::Told { offers, releases, has_more }, Outcome::answered(&reply))
                }
            }
            Err(error) => {
                let is_reached = reporter.peer.get().is_some();
                (Answer::without(&error, is_reached), Outcome::failed(context, error))
            }
        };
        self.keep(reporter.target, answer);
        outcome
    }

    fn keep(&self, target: usize, answer: Answer) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(target, answer);
    }

    /// What came so far, by target.
    pub(super) fn take(&self) -> BTreeMap<usize, Answer> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Answer {
    /// Forgets what is not of these applications, if any is named, and what lives in another
    /// directory than this one; what is only frozen lives nowhere.
    pub(super) fn keep(&mut self, applications: &[String], base: Option<&str>) {
        if let Answer::Told { releases, .. } = self {
            releases.retain(|release| {
                let is_there =
                    base.is_none_or(|base| release.get("base").is_none_or(|b| b == base));
                is_there && (applications.is_empty() || applications.contains(&release.application))
            });
        }
    }

    /// What is left of one that is still being asked: its time is over, or the person left.
    pub(super) fn end(&mut self, is_overdue: bool) {
        if *self == Answer::Asked {
            *self = if is_overdue { Answer::Unreachable } else { Answer::Unknown };
        }
    }

    /// Where it never came to a handshake nothing was reached, be the host dead or the
    /// listener stuck, or what leads there.
    fn without(error: &ClientError, is_reached: bool) -> Answer {
        match error {
            ClientError::Unreachable(_)
            | ClientError::Ended(_)
            | ClientError::Lost(_)
            | ClientError::Overdue(_)
                if !is_reached =>
            {
                Answer::Unreachable
            }
            // Where another thumbprint was seen, somebody else answered.
            ClientError::Refused(..) | ClientError::Untrusted(None, _) => Answer::Refused,
            _ => Answer::Unknown,
        }
    }
}

/// What a list says, all of it or nothing.
fn releases(body: &[u8]) -> Result<Vec<Release>, Failure> {
    let malformed = |reason: &str| Failure::Malformed(reason.to_string());
    let read = |item: Result<Fields, Failure>| {
        Release::read(item?).ok_or_else(|| malformed("a release that is not of the form"))
    };
    let releases = listed(Verb::Releases, body).take(LISTED + 1).map(read);
    let mut releases = releases.collect::<Result<Vec<Release>, Failure>>()?;
    if releases.len() > LISTED {
        return Err(malformed("more than 10000 releases"));
    }
    let mut places = HashSet::new();
    // Two lines of one place would be two series of one name.
    if !releases.iter().all(|release| places.insert(release.place())) {
        return Err(malformed("a release that is listed twice"));
    }
    releases.sort_by(|one, other| one.place().cmp(&other.place()));
    Ok(releases)
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::base::error::{Error, Exit};
    use octo_core::base::refusal::Refusal;
    use octo_core::base::thumbprint::Thumbprint;

    #[test]
    fn a_list_is_believed_whole_or_not_at_all() {
        let line = "release application=shop base=/srv user=a version=1.0";
        let other = "release application=shop base=/srv user=b";
        let read = |lines: &[&str]| releases(lines.join("\n").as_bytes());
        assert_eq!(read(&[]).expect("none"), []);
        let found = read(&[other, "later a=b", line, "release application=api"]).expect("a list");
        let places: Vec<_> = found.iter().map(|release| release.place().2).collect();
        assert_eq!(places, [None, Some("a"), Some("b")]);
        let many: Vec<String> = (0..=LISTED).map(|n| format!("release application=a{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(read(&many[1..]).expect("as many as can be").len(), LISTED);
        for (bad, why) in [
            (&[line, other, line][..], "listed twice"),
            (&["release application=shop", "release application=shop"], "listed twice"),
            (&[line, "release application=../x"], "not of the form"),
            (&[line, "release application=x since=yesterday"], "since is not"),
            (&many, "more than 10000"),
        ] {
            let failure = read(bad).expect_err(why).to_string();
            assert!(failure.contains(why), "{failure}");
        }
    }

    #[test]
    fn who_was_not_reached_is_told_from_who_says_no() {
        let error = || Error::new(Exit::Unavailable, "web1", "x");
        let seen = Some(Thumbprint::of_certificate(b"x"));
        let of = |error: ClientError| [false, true].map(|reached| Answer::without(&error, reached));
        for dead in [ClientError::Unreachable, ClientError::Lost, ClientError::Overdue] {
            assert_eq!(of(dead(error())), [Answer::Unreachable, Answer::Unknown]);
        }
        for (found, expected) in [
            (ClientError::Refused(Refusal::Busy, error(), Vec::new()), Answer::Refused),
            (ClientError::Untrusted(None, error()), Answer::Refused),
            (ClientError::Untrusted(seen, error()), Answer::Unknown),
            (ClientError::Protocol(error()), Answer::Unknown),
            (ClientError::Local(error()), Answer::Unknown),
        ] {
            assert_eq!(of(found), [expected.clone(), expected]);
        }
    }
}
