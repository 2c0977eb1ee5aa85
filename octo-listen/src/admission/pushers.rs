//! How many pushers are served at once, and how they share the places.
//!
//! A pusher may have three times as many as are still free: one alone gets three
//! quarters, several less each, and whoever has none always finds one. So nobody
//! who is trusted can shut out the others, by mistake or otherwise.

use crate::admission::strangers::Capacity;
use octo_core::Thumbprint;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Descriptors that neither strangers nor pushers have, and how many a pusher may take: its
/// socket, a job's log and index, and what watches them.
const DESCRIPTORS_KEPT: u64 = 28;
const DESCRIPTORS_EACH: u64 = 6;
const MOST: u64 = 2000;

/// How much more than what is free one may have.
const GREED: u64 = 3;

/// Who is being served.
#[derive(Debug)]
pub(crate) struct Pushers {
    places: u64,
    taken: Mutex<HashMap<Thumbprint, u64>>,
}

/// A pusher's place, given back however its thread ends: by a panic, too.
#[derive(Debug)]
pub(crate) struct PusherPlace<'a> {
    pushers: &'a Pushers,
    of: Thumbprint,
}

impl Pushers {
    /// As many places as there are descriptors for, of so many in all, beside those strangers.
    pub(crate) fn beside(strangers: &Capacity, descriptors: u64) -> Pushers {
        let kept = DESCRIPTORS_KEPT + strangers.descriptors();
        let places = descriptors.saturating_sub(kept) / DESCRIPTORS_EACH;
        Pushers { places: places.clamp(4, MOST), taken: Mutex::default() }
    }

    /// A place for this pusher.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(crate) fn take(&self, thumbprint: Thumbprint) -> Result<PusherPlace<'_>, String> {
        let mut taken = self.taken();
        let free = self.places.saturating_sub(taken.values().sum());
        let own = taken.get(&thumbprint).copied().unwrap_or(0);
        if free == 0 {
            return Err("too many pushers are connected".into());
        }
        if own >= GREED * free {
            return Err(format!("you are connected {own} times, others need room too"));
        }
        taken.insert(thumbprint, own + 1);
        Ok(PusherPlace { pushers: self, of: thumbprint })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Thumbprint, u64>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PusherPlace<'_> {
    fn drop(&mut self) {
        let mut taken = self.pushers.taken();
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushers(places: u64) -> Pushers {
        Pushers { places, taken: Mutex::default() }
    }

    fn someone(number: u8) -> Thumbprint {
        Thumbprint::of_certificate(&[number])
    }

    /// Takes as many as there are.
    fn greedy(pushers: &Pushers, number: u8) -> Vec<PusherPlace<'_>> {
        std::iter::from_fn(|| pushers.take(someone(number)).ok()).collect()
    }

    #[test]
    fn whoever_has_no_place_finds_one() {
        for places in [4, 5, 133, 2000] {
            let pushers = pushers(places);
            let mut held = vec![greedy(&pushers, 0)];
            let first = held[0].len() as u64;
            assert!(first >= places * 3 / 4 && first < places, "{first} of {places}");
            while held.len() < 3 {
                held.push(greedy(&pushers, held.len() as u8));
                assert!(!held[held.len() - 1].is_empty() || places < 6, "{places}");
            }
            drop(held);
            assert!(pushers.taken().is_empty());
            assert_eq!(greedy(&pushers, 9).len() as u64, first);
        }
    }

    #[test]
    fn why_there_is_no_place_is_told() {
        let pushers = pushers(4);
        let many = greedy(&pushers, 0);
        let reason = pushers.take(someone(0)).expect_err("no place");
        assert!(reason.contains(&format!("connected {} times", many.len())), "{reason}");
        let last = greedy(&pushers, 1);
        assert_eq!(many.len() + last.len(), 4);
        let reason = pushers.take(someone(2)).expect_err("no place");
        assert!(reason.contains("too many pushers"), "{reason}");
    }
}
