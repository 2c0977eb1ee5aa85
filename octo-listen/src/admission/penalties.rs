//! Sources that keep failing wait. They are not refused: whoever shares an address with
//! one that fails is served, only later, and one success clears it.

use octo_core::trust::Network;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// So many failures cost nothing.
const FREE: u32 = 20;

/// With each failure more the source waits twice as long before its next handshake.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// More failures than this are not counted: whoever stops is soon forgiven.
const MOST: u32 = FREE + 10;

/// A failure is forgiven after so long.
const FORGIVEN: Duration = Duration::from_secs(2);

/// Sources that are remembered; where there are more, the one with the fewest failures is
/// forgotten, so that many who fail once can't hide one who fails always.
const SOURCES: usize = 4096;

/// From where somebody was let in is remembered for so long, and of so many sources.
const FAMILIAR_FOR: Duration = Duration::from_secs(24 * 60 * 60);
const FAMILIAR: usize = 1024;

/// Who failed and who was let in, by party.
#[derive(Debug, Default)]
pub(crate) struct Penalties {
    failing: HashMap<Network, Failing>,
    let_in: HashMap<Network, Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    failures: u32,
    last: Instant,
}

impl Failing {
    fn failures(&self, now: Instant) -> u32 {
        let forgiven = now.saturating_duration_since(self.last).as_secs() / FORGIVEN.as_secs();
        self.failures.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}

impl Penalties {
    /// A handshake of this party failed.
    pub(crate) fn failed(&mut self, party: Network, now: Instant) {
        if self.failing.len() >= SOURCES && !self.failing.contains_key(&party) {
            self.failing.retain(|_, failing| failing.failures(now) > 0);
        }
        if self.failing.len() >= SOURCES && !self.failing.contains_key(&party) {
            let fewest = self.failing.iter().min_by_key(|(_, failing)| failing.failures(now));
            if let Some(party) = fewest.map(|(party, _)| *party) {
                self.failing.remove(&party);
            }
        }
        let failing = self.failing.entry(party).or_insert(Failing { failures: 0, last: now });
        *failing = Failing { failures: (failing.failures(now) + 1).min(MOST), last: now };
    }

    /// Somebody of this party was let in.
    pub(crate) fn let_in(&mut self, party: Network, now: Instant) {
        self.failing.remove(&party);
        if self.let_in.len() >= FAMILIAR && !self.let_in.contains_key(&party) {
            let oldest = self.let_in.iter().min_by_key(|(_, at)| **at).map(|(party, _)| *party);
            oldest.map(|oldest| self.let_in.remove(&oldest));
        }
        self.let_in.insert(party, now);
    }

    /// Was somebody of this party let in of late?
    pub(crate) fn is_familiar(&self, party: Network, now: Instant) -> bool {
        let at = self.let_in.get(&party);
        at.is_some_and(|at| now.saturating_duration_since(*at) < FAMILIAR_FOR)
    }

    /// When this party's next handshake may begin, one at a time; `None` where it need not
    /// wait.
    pub(crate) fn waits_until(&self, party: Network, now: Instant) -> Option<Instant> {
        let failing = self.failing.get(&party)?;
        let doublings = failing.failures(now).checked_sub(FREE + 1)?;
        Some(failing.last + (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(n: u32) -> Network {
        Network::of(n.to_be_bytes().into(), 32)
    }

    #[test]
    fn who_keeps_failing_waits_longer_and_longer_and_is_forgiven() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        let wait = |penalties: &Penalties, at| {
            penalties.waits_until(party(1), at).map(|until| until - now)
        };
        let mut waits = Vec::new();
        for _ in 0..40 {
            penalties.failed(party(1), now);
            waits.push(wait(&penalties, now).map_or(0, |wait| wait.as_millis()));
        }
        assert_eq!(waits[..FREE as usize], [0; FREE as usize]);
        assert_eq!(waits[FREE as usize..][..4], [100, 200, 400, 800]);
        assert_eq!(waits[FREE as usize..][4..], [1000; 16]);
        assert_eq!(penalties.waits_until(party(2), now), None);
        // Ten failures above what is free: forgiven in 20 s, and no sooner.
        assert!(wait(&penalties, now + Duration::from_secs(19)).is_some());
        assert_eq!(wait(&penalties, now + Duration::from_secs(20)), None);
        assert!(!penalties.is_familiar(party(1), now));
        penalties.let_in(party(1), now);
        assert_eq!(wait(&penalties, now), None);
        assert!(penalties.is_familiar(party(1), now));
        assert!(!penalties.is_familiar(party(1), now + FAMILIAR_FOR));
    }

    #[test]
    fn many_sources_take_bounded_room_and_hide_nobody() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        (0..FREE + 9).for_each(|_| penalties.failed(party(1), now));
        for n in 0..3 * SOURCES as u32 {
            penalties.failed(party(100 + n), now);
            penalties.let_in(party(1_000_000 + n), now + Duration::from_secs(u64::from(n)));
        }
        assert!(penalties.failing.len() <= SOURCES && penalties.let_in.len() <= FAMILIAR);
        assert!(penalties.waits_until(party(1), now).is_some());
        // Room is made by those who are forgiven first.
        penalties.failed(party(2), now + Duration::from_secs(60));
        assert!(penalties.failing.len() <= 2, "{}", penalties.failing.len());
        let last = now + Duration::from_secs(3 * SOURCES as u64);
        assert!(penalties.is_familiar(party(1_000_000 + 3 * SOURCES as u32 - 1), last));
    }
}
