//! When a target is tried again: how long, how often, how far apart.
//!
//! What fails before there was a connection is told at once, unless `--retries` says
//! otherwise; a first handshake that is cut is tried again within `--wait`; a connection
//! that breaks is made again as long as `--reconnect` lets it. Pauses grow, and that time
//! runs, until something is gained. That an `ok` came once more gains nothing: a gain is a
//! number that is larger than it ever was.

use crate::target::connection::client_error::ClientError;
use crate::target::connection::deadlines::{USUAL_LIMIT, over_limit};
use crate::target::connection::pauses::{SECOND, ended, grown, spread};
use octo_core::base::error::{Error, Exit};
use octo_core::base::refusal::Refusal;
use octo_core::base::units::human_duration;
use octo_wire::pace::LOST_AFTER;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How seldom a broken connection may be made again without a pause.
const AT_ONCE_EACH: Duration = Duration::from_secs(1);
/// A file that grows by less with each connection would take for ever.
const LEAST_STORED: u64 = 64 << 10;

/// What the options say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// `--wait`: how long connecting may take.
    pub(crate) wait: Duration,
    /// `--reconnect`: how long contact may be lost.
    pub(crate) outage: Duration,
    /// `--retries`: how often a connection that failed is tried again.
    pub(crate) retries: u32,
    /// `--limit`: how long the whole may take.
    pub(crate) limit: Option<Duration>,
}

/// What can be gained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gain {
    /// The job was accepted.
    Accepted,
    /// So many bytes of its output came.
    Output,
    /// So many files are over there, or here, whole.
    Files,
    /// So many bytes of the file behind those are over there.
    Stored(u64),
}

/// How much longer a target is tried.
#[derive(Debug)]
pub(crate) struct Retry {
    bounds: Bounds,
    /// A question is over a while after it could first be asked.
    is_question: bool,
    began: Instant,
    /// When this try began, and how long it may take to connect.
    tried: Instant,
    share: Duration,
    /// What cut the first handshake before this one.
    cut: Option<Error>,
    /// When there was contact first: from now on it can only be lost.
    contact: Option<Instant>,
    /// Tries that failed since something was gained.
    failures: u32,
    /// Since when they fail.
    since: Instant,
    /// When the last one did.
    failed: Option<Instant>,
    gained: BTreeMap<Gain, u64>,
    /// A patch was of no use there: what is put goes as it is.
    pub(crate) whole: bool,
}

impl Retry {
    /// For a target that is to be tried from now on.
    pub(crate) fn new(bounds: Bounds) -> Retry {
        let now = Instant::now();
        Retry {
            bounds,
            is_question: false,
            began: now,
            tried: now,
            share: bounds.wait,
            cut: None,
            contact: None,
            failures: 0,
            since: now,
            failed: None,
            gained: BTreeMap::new(),
            whole: false,
        }
    }

    /// For a question: all of it is over in a minute, unless `--limit` says otherwise.
    pub(crate) fn asking(bounds: Bounds) -> Retry {
        Retry { is_question: true, ..Retry::new(bounds) }
    }

    /// When all of it is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.bounds.limit {
            Some(limit) => self.began.checked_add(limit),
            None if self.is_question => self.contact.map(|contact| contact + USUAL_LIMIT),
            None => None,
        }
    }

    /// A try begins: how long it may take to connect.
    pub(crate) fn begin(&mut self) -> Duration {
        let now = Instant::now();
        self.tried = now;
        let mut wait = self.bounds.wait;
        // Handshakes that are cut share one wait, or a peer that cuts late would have
        // as many of them as it likes.
        if self.contact.is_none() && self.failures > self.bounds.retries {
            wait = wait.saturating_sub(now.duration_since(self.since));
        }
        let left = self.deadline().map(|deadline| deadline.saturating_duration_since(now));
        self.share = left.map_or(wait, |left| left.min(wait));
        self.share
    }

    /// It is connected.
    pub(crate) fn connected(&mut self) {
        self.contact.get_or_insert_with(Instant::now);
    }

    /// So much of this there is now; whether that is more than ever before.
    pub(crate) fn gain(&mut self, gain: Gain, amount: u64) -> bool {
        let least = if matches!(gain, Gain::Stored(_)) { LEAST_STORED } else { 1 };
        let before = self.gained.get(&gain).copied().unwrap_or(0);
        let is_gain = amount >= before.saturating_add(least);
        if is_gain {
            self.gained.insert(gain, amount);
            self.failures = 0;
        }
        is_gain
    }

    /// So much of the file that is being put is over there.
    pub(crate) fn stored(&mut self, bytes: u64) {
        let files = self.gained.get(&Gain::Files).copied().unwrap_or(0);
        self.gain(Gain::Stored(files), bytes);
    }

    /// A job that says nothing for hours gains nothing; what was heard of it for so long
    /// was contact all the same, which is lost only now.
    pub(crate) fn followed(&mut self, time: Duration) {
        if time >= LOST_AFTER.min(self.bounds.outage) {
            self.failures = 0;
        }
    }

    /// How long to pause before it is tried again.
    ///
    /// # Errors
    /// The same error, if it is not to be tried again; [`ClientError::Overdue`] where the
    /// time for all of it is over.
    pub(crate) fn pause_after(
        &mut self,
        error: ClientError,
        now: Instant,
    ) -> Result<(Duration, Error), ClientError> {
        let Some((bound, tries)) = self.bound(&error) else { return Err(error) };
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            return Err(self.overdue(error));
        }
        if self.share < self.bounds.wait
            && now.duration_since(self.tried) >= self.share
            && let Some(cut) = self.cut.take()
        {
            // It had what the others left of the wait: that this wasn't enough says nothing.
            return Err(ClientError::Lost(cut));
        }
        if self.failures == 0 {
            self.since = if self.contact.is_some() { now } else { self.tried };
        }
        // What breaks each time it has begun would be tried as fast as it breaks.
        let rarely = self.failed.is_none_or(|failed| now.duration_since(failed) >= AT_ONCE_EACH);
        let is_first = self.failures == 0 && !self.gained.is_empty();
        let pause = match (is_first, &error) {
            (true, ClientError::Lost(_)) if rarely => Duration::ZERO,
            (_, ClientError::Ended(_)) if self.contact.is_some() => spread(ended(self.failures)),
            (true, _) => spread(SECOND.min(bound / 2)),
            _ => spread(grown(self.failures)),
        };
        let lasted = now.duration_since(self.since).saturating_add(pause);
        let is_over = lasted >= bound && self.failures >= tries;
        if is_over || self.deadline().is_some_and(|deadline| now + pause >= deadline) {
            return Err(error);
        }
        self.failures += 1;
        self.failed = Some(now);
        let is_cut = self.contact.is_none() && matches!(error, ClientError::Lost(_));
        let error = error.into_error();
        self.cut = is_cut.then(|| error.clone());
        Ok((pause, error))
    }

    /// So many times it was tried in vain.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// How long it may go on failing, or how often; `None` for what is not tried again.
    fn bound(&self, error: &ClientError) -> Option<(Duration, u32)> {
        let Bounds { wait, outage, retries, .. } = self.bounds;
        use ClientError::{Ended, Lost, Unreachable};
        match (error, self.contact.is_some()) {
            (Unreachable(_) | Lost(_) | Ended(_), true) => Some((outage, 0)),
            (Lost(_), false) => Some((wait, retries)),
            // So many tries were asked for, not so much time.
            (Unreachable(_) | Ended(_), _) => Some((Duration::ZERO, retries)),
            // Too much at once: the same request may pass on another connection.
            (ClientError::Refused(Refusal::Busy, ..), _) => Some((wait, 0)),
            _ => None,
        }
    }

    fn overdue(&self, error: ClientError) -> ClientError {
        let last = error.into_error();
        let said = match self.bounds.limit {
            Some(limit) => over_limit(limit),
            None => format!("not answered within {}", human_duration(USUAL_LIMIT)),
        };
        let message = format!("{said}; the last try: {}", last.message);
        let hints = [last.hints, vec!["--limit TIME waits longer".into()]].concat();
        ClientError::Overdue(Error { exit: Exit::Unavailable, message, hints })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(wait: u64, outage: u64) -> Bounds {
        let [wait, outage] = [wait, outage].map(Duration::from_secs);
        Bounds { wait, outage, retries: 0, limit: None }
    }

    fn lost() -> ClientError {
        ClientError::Lost(Error::new(Exit::Unavailable, "web1", "the connection broke off"))
    }

    /// How often it is tried, and for how long, if each try breaks as soon as `each` is done.
    fn tries(retry: &mut Retry, mut each: impl FnMut(&mut Retry)) -> (u32, Duration) {
        let began = Instant::now();
        let (mut now, mut count) = (began, 0);
        loop {
            count += 1;
            each(retry);
            match retry.pause_after(lost(), now) {
                Ok((pause, _)) => now += pause,
                Err(_) => return (count, now - began),
            }
            assert!(count < 1000, "it never ends");
        }
    }

    #[test]
    fn a_first_handshake_that_is_cut_is_tried_again_within_the_wait() {
        for _ in 0..100 {
            let (count, lasted) = tries(&mut Retry::new(bounds(15, 120)), |_| ());
            assert!((4..=8).contains(&count), "{count} tries");
            assert!(lasted < Duration::from_secs(15), "{lasted:?}");
        }
    }

    #[test]
    fn what_cut_the_others_is_told_of_a_try_that_had_no_time() {
        let mut retry = Retry::new(bounds(3600, 120));
        assert!(retry.pause_after(lost(), Instant::now()).is_ok());
        let share = retry.begin();
        assert!(share < Duration::from_secs(3600));
        let late = ClientError::Unreachable(Error::new(Exit::Unavailable, "web1", "too late"));
        let told = retry.pause_after(late, Instant::now() + share).expect_err("no time is left");
        let ClientError::Lost(told) = told else { panic!("{told:?}") };
        assert!(told.message.contains("the connection broke off"), "{}", told.message);
    }

    #[test]
    fn nothing_but_growth_is_a_gain() {
        for gain in [Gain::Accepted, Gain::Files, Gain::Output] {
            let (count, lasted) = tries(&mut Retry::new(bounds(15, 120)), |retry| {
                retry.connected();
                retry.gain(gain, 1);
            });
            assert!((8..=24).contains(&count), "{gain:?}: {count} tries");
            assert!(lasted < Duration::from_secs(120), "{lasted:?}");
        }
        let mut left = 500;
        let mut retry = Retry::new(bounds(15, 2));
        let (count, _) = tries(&mut retry, |retry| {
            retry.connected();
            left = u64::max(left - 1, 1);
            retry.gain(Gain::Output, 500 - left);
        });
        assert!(count > 499, "{count} tries");
    }

    #[test]
    fn a_file_that_grows_by_a_byte_does_not_grow() {
        let (mut retry, mut bytes) = (Retry::new(bounds(15, 15)), 0);
        let (count, _) = tries(&mut retry, |retry| {
            retry.connected();
            bytes += 1;
            retry.stored(bytes);
        });
        assert!(count <= 8, "{count} tries");
        let before = bytes;
        assert!(retry.gain(Gain::Stored(0), before + LEAST_STORED));
        assert!(!retry.gain(Gain::Stored(0), before + LEAST_STORED + 1));
        // The next file begins at its own beginning.
        retry.gain(Gain::Files, 1);
        retry.stored(LEAST_STORED);
        assert_eq!(retry.gained[&Gain::Stored(1)], LEAST_STORED);
    }

    #[test]
    fn a_question_is_over_in_a_minute_unless_said_otherwise() {
        let mut retry = Retry::asking(bounds(15, 3600));
        assert_eq!(retry.deadline(), None);
        assert_eq!(retry.begin(), Duration::from_secs(15));
        retry.connected();
        let now = Instant::now();
        let deadline = retry.deadline().expect("it can be asked");
        assert!(deadline > now + Duration::from_secs(50));
        assert!(deadline <= now + Duration::from_secs(60));
        assert!(retry.pause_after(lost(), now).is_ok());
        let error = retry.pause_after(lost(), deadline).expect_err("it is over");
        let ClientError::Overdue(error) = error else { panic!("{error:?}") };
        assert!(error.message.starts_with("not answered within 1m; the last try: web1: the conn"));
        assert_eq!(error.hints, ["--limit TIME waits longer"]);
        let limit = Some(Duration::from_secs(5));
        let mut retry = Retry::new(Bounds { limit, ..bounds(15, 15) });
        assert!(retry.begin() <= Duration::from_secs(5));
        assert!(retry.deadline().is_some());
        assert_eq!(Retry::new(bounds(15, 15)).deadline(), None);
    }

    #[test]
    fn what_was_heard_of_a_silent_job_for_long_was_contact() {
        let mut retry = Retry::new(bounds(15, 120));
        retry.connected();
        let mut now = Instant::now();
        for _ in 0..50 {
            retry.followed(Duration::from_secs(46));
            now += Duration::from_secs(60);
            assert!(retry.pause_after(lost(), now).is_ok());
        }
        let (count, _) = tries(&mut Retry::new(bounds(15, 120)), |retry| {
            retry.connected();
            retry.followed(Duration::from_secs(44));
        });
        assert!(count <= 24, "{count} tries");
    }

    #[test]
    fn a_no_is_not_tried_again() {
        let error = || Error::new(Exit::Refused, "web1", "no");
        for no in [
            ClientError::Refused(Refusal::Denied, error(), Vec::new()),
            ClientError::Untrusted(None, error()),
            ClientError::Overdue(error()),
            ClientError::Unreachable(error()),
        ] {
            assert!(Retry::new(bounds(15, 120)).pause_after(no, Instant::now()).is_err());
        }
        let mut retry = Retry::new(Bounds { retries: 2, ..bounds(15, 120) });
        for is_tried in [true, true, false] {
            let again = retry.pause_after(ClientError::Unreachable(error()), Instant::now());
            assert_eq!(again.is_ok(), is_tried);
        }
    }
}
