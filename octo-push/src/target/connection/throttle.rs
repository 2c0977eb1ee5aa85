//! No more bytes a second than `--bwlimit` says, to one target and to all of them.
//!
//! Each piece takes its time on a clock that all workers share, and leaves when that has come:
//! who asks first goes first, and one that waits for its piece has asked for no other. So
//! none is passed over, and each of so many gets its share.

use crate::cli::rates::Rates;
use crate::target::connection::client_error::ClientError;
use crate::target::stop::Stop;
use octo_core::base::error::{Error, Exit};
use octo_core::targets::Target;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is sent at once, at most.
pub(crate) const PIECE: usize = 64 * 1024;

/// A target sees so many pieces a second, if there is one for it at all.
const PIECES_A_SECOND: u64 = 4;

/// The smallest of them.
const SMALLEST: u64 = 1024;

/// Who wakes late by less than this has lost nothing.
const SLACK: Duration = Duration::from_millis(50);

/// The clocks of one call of octo-push.
#[derive(Debug)]
pub(crate) struct Throttle {
    rates: Rates,
    piece: usize,
    stop: Arc<Stop>,
    clocks: Mutex<Clocks>,
}

#[derive(Debug, Default)]
struct Clocks {
    all: Clock,
    /// By the names of targets, over all their connections.
    each: HashMap<String, Clock>,
}

/// When the next byte may leave.
#[derive(Debug, Default)]
struct Clock(Option<Instant>);

impl Clock {
    /// How long these bytes have to wait; those that come next wait for them.
    fn take(&mut self, now: Instant, count: usize, rate: u64) -> Duration {
        // What was not used is lost but for a moment's worth: no burst after a pause.
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let begins = self.0.map_or(now, |next| next.max(earliest));
        let lasts = count as u128 * 1_000_000_000 / u128::from(rate);
        self.0 = Some(begins + Duration::from_nanos(u64::try_from(lasts).unwrap_or(u64::MAX)));
        begins.saturating_duration_since(now)
    }
}

impl Throttle {
    /// For so many targets at once.
    pub(crate) fn new(rates: Rates, senders: usize, stop: Arc<Stop>) -> Throttle {
        let piece = (rates.share(senders) / PIECES_A_SECOND).clamp(SMALLEST, PIECE as u64);
        Throttle { rates, piece: piece as usize, stop, clocks: Mutex::default() }
    }

    /// The most that one target gets.
    pub(crate) fn most(&self) -> u64 {
        self.rates.each
    }

    /// Waits until so many bytes may leave; how long that was, or `None` where it was
    /// stopped and heeds that.
    fn wait(&self, target: &str, count: usize, heeds_stop: bool) -> Option<Duration> {
        let mut waited = Duration::ZERO;
        // One after the other: who waits for its own clock takes no time of the others'.
        if self.rates.each < self.rates.all {
            let mut clocks = self.clocks();
            let clock = clocks.each.entry(target.to_string()).or_default();
            let pause = clock.take(Instant::now(), count, self.rates.each);
            drop(clocks);
            waited += self.pause(pause, heeds_stop)?;
        }
        let pause = self.clocks().all.take(Instant::now(), count, self.rates.all);
        Some(waited + self.pause(pause, heeds_stop)?)
    }

    fn pause(&self, pause: Duration, heeds_stop: bool) -> Option<Duration> {
        if !heeds_stop {
            std::thread::sleep(pause);
            return Some(pause);
        }
        self.stop.sleep(pause);
        (!self.stop.is_set()).then_some(pause)
    }

    fn clocks(&self) -> MutexGuard<'_, Clocks> {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands these bytes to `send` in pieces, each when it may leave, with how long it has waited.
/// What is begun after Ctrl-C goes all the same: it asks for the end of what runs.
///
/// # Errors
/// Those of `send`; exit 130 where it is stopped meanwhile.
pub(crate) fn pieces(
    throttle: Option<&Throttle>,
    target: &Target,
    bytes: &[u8],
    mut send: impl FnMut(&[u8], Duration) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let Some(throttle) = throttle else {
        return bytes.chunks(PIECE).try_for_each(|piece| send(piece, Duration::ZERO));
    };
    let heeds_stop = !throttle.stop.is_set();
    for piece in bytes.chunks(throttle.piece) {
        let waited = throttle.wait(target.name.as_str(), piece.len(), heeds_stop);
        let waited = waited.ok_or_else(|| {
            ClientError::Local(Error::new(Exit::Cancelled, &target.roads, "cancelled"))
        })?;
        send(piece, waited)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What workers do who each send the next piece when theirs has left, by a clock of our own:
    /// how many bytes each has sent after so long.
    fn sent(rates: Rates, workers: usize, seconds: u64) -> Vec<u64> {
        let throttle = Throttle::new(rates, workers, Arc::default());
        let begin = Instant::now();
        let end = begin + Duration::from_secs(seconds);
        let mut clocks = Clocks::default();
        let mut at: Vec<(Instant, usize)> = (0..workers).map(|worker| (begin, worker)).collect();
        let mut sent = vec![0; workers];
        while let Some(next) = at.iter_mut().filter(|(now, _)| *now < end).min() {
            let own = clocks.each.entry(next.1.to_string()).or_default();
            next.0 += own.take(next.0, throttle.piece, rates.each);
            next.0 += clocks.all.take(next.0, throttle.piece, rates.all);
            sent[next.1] += throttle.piece as u64;
            // Nothing takes no time.
            next.0 += Duration::from_nanos(1);
        }
        sent
    }

    #[test]
    fn no_more_is_sent_than_was_said_and_nothing_is_wasted() {
        for (rates, workers, expected) in [("100K", 1, 100), ("20K,100K", 1, 20), ("1M", 7, 1024)] {
            let total: u64 = sent(Rates::parse(rates).expect("rates"), workers, 60).iter().sum();
            let (whole, over) = (60 * expected * 1024, (PIECE * workers) as u64);
            assert!((whole - over..=whole + over).contains(&total), "{rates}: {total}");
        }
    }

    #[test]
    fn sixty_four_at_once_each_get_their_share() {
        let each = sent(Rates::parse("1M").expect("rates"), 64, 60);
        let share = 60 * (1 << 20) / 64;
        // Each is served in its turn: no two are further apart than a piece.
        assert!(
            each.iter().all(|sent| share - 4096 <= *sent && *sent <= share + 2 * 4096),
            "{each:?}"
        );
    }

    /// At the least rate that is let through, a listener sees bytes long before it gives up.
    #[test]
    fn pieces_come_often_enough_for_the_listener() {
        for (rates, workers) in [("16K", 1), ("1M", 64), ("16K,64M", 4096), ("1G", 1)] {
            let rates = Rates::parse(rates).expect("rates");
            rates.check(workers).expect("let through");
            let piece = Throttle::new(rates, workers, Arc::default()).piece as u64;
            assert!(
                piece <= PIECE as u64 && piece / rates.share(workers) < 2,
                "{rates:?}: {piece}"
            );
        }
    }

    #[test]
    fn a_pause_saves_up_no_burst() {
        let (mut clock, begin) = (Clock::default(), Instant::now() + Duration::from_secs(1000));
        assert_eq!(clock.take(begin, 1000, 1000), Duration::ZERO);
        assert_eq!(clock.take(begin, 1000, 1000), Duration::from_secs(1));
        let later = begin + Duration::from_secs(500);
        assert_eq!(clock.take(later, 1000, 1000), Duration::ZERO);
        assert_eq!(clock.take(later, 1000, 1000), Duration::from_secs(1) - SLACK);
    }

    /// Ctrl-C ends the wait, and what asks for a job's end goes out after it.
    #[test]
    fn stopped_it_waits_no_more_and_sends_what_is_begun_then() {
        let stop = Arc::new(Stop::default());
        let rates = Rates::parse("16K").expect("rates");
        let throttle = Arc::new(Throttle::new(rates, 1, Arc::clone(&stop)));
        assert_eq!(throttle.wait("web1", 10 << 20, true), Some(Duration::ZERO));
        let waits = std::thread::spawn({
            let throttle = Arc::clone(&throttle);
            move || throttle.wait("web1", 1, true)
        });
        stop.set();
        assert_eq!(waits.join().expect("no panic"), None);
        throttle.clocks().all = Clock::default();
        assert_eq!(throttle.wait("web1", 1, false), Some(Duration::ZERO));
    }
}
