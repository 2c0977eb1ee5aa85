//! Refusals before trust, gathered: the audit log gets a line an address and
//! minute. The first is written at once, the others of a minute are counted. A
//! scanner writes no more than that, however fast it is.

use crate::admission::strangers::network;
use octo_core::Thumbprint;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long refusals are gathered.
const GATHERED: Duration = Duration::from_secs(60);

/// How many addresses have lines of their own; the others share one.
const ADDRESSES: usize = 256;

/// How many different refusals of an address are told apart.
const ATTEMPTS: usize = 4;

const STACK: usize = 64 * 1024;

/// Who was refused, where that was said, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// Who.
    pub(crate) thumbprint: Option<Thumbprint>,
    /// Why; empty where no line of the trust file names it.
    pub(crate) reason: String,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// The first of an address: for the log and the audit log.
    First(Option<IpAddr>, Attempt),
    /// Another one, of a kind that is new: for the log alone, whose reader may wait
    /// for the pusher that he is about to trust.
    Another(Option<IpAddr>, Attempt),
    /// So many more from this address, since the last line about it.
    More(Option<IpAddr>, u64, Vec<Attempt>),
}

/// What was refused of late, by address; no address for those that have no line
/// of their own, and with --stdio.
pub(crate) struct RefusedPeers {
    parties: Mutex<HashMap<Option<IpAddr>, Party>>,
    write: Box<dyn Fn(&Note) + Send + Sync>,
}

struct Party {
    /// Of the last line about it.
    written: Instant,
    more: u64,
    attempts: Vec<Attempt>,
}

impl RefusedPeers {
    /// Gathers for this writer.
    pub(crate) fn new(write: impl Fn(&Note) + Send + Sync + 'static) -> RefusedPeers {
        RefusedPeers { parties: Mutex::default(), write: Box::new(write) }
    }

    /// Notes a refusal: writes it, or counts it.
    pub(crate) fn note(
        self: &Arc<RefusedPeers>,
        address: Option<IpAddr>,
        thumbprint: Option<Thumbprint>,
        reason: &str,
    ) {
        let attempt = Attempt { thumbprint, reason: reason.to_string() };
        let mut parties = self.parties();
        let was_empty = parties.is_empty();
        let mut from = address.map(network);
        if !parties.contains_key(&from) && parties.len() >= ADDRESSES {
            from = None;
        }
        let note = match parties.get_mut(&from) {
            None => {
                let attempts = vec![attempt.clone()];
                parties.insert(from, Party { written: Instant::now(), more: 0, attempts });
                Some(Note::First(address, attempt))
            }
            Some(party) => {
                party.more += 1;
                let is_new = !party.attempts.contains(&attempt) && party.attempts.len() < ATTEMPTS;
                is_new.then(|| {
                    party.attempts.push(attempt.clone());
                    Note::Another(address, attempt)
                })
            }
        };
        drop(parties);
        if let Some(note) = note {
            (self.write)(&note);
        }
        if was_empty {
            self.write_later();
        }
    }

    /// A thread that lives while there is something to count: an idle listener
    /// has none.
    fn write_later(self: &Arc<RefusedPeers>) {
        let gathered = Arc::clone(self);
        let thread = std::thread::Builder::new().name("refusals".into()).stack_size(STACK);
        let started = thread.spawn(move || {
            while let Some(next) = gathered.next() {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                gathered.flush(GATHERED);
            }
        });
        if started.is_err() {
            self.flush(Duration::ZERO);
            self.parties().clear();
        }
    }

    /// When the next line is due.
    fn next(&self) -> Option<Instant> {
        self.parties().values().map(|party| party.written + GATHERED).min()
    }

    /// Writes what was counted of those whose last line is so old, and forgets
    /// those who were quiet since.
    fn flush(&self, age: Duration) {
        let mut notes = Vec::new();
        self.parties().retain(|address, party| {
            if party.written.elapsed() < age {
                return true;
            }
            let more = std::mem::take(&mut party.more);
            if more > 0 {
                party.written = Instant::now();
                notes.push(Note::More(*address, more, std::mem::take(&mut party.attempts)));
            }
            more > 0
        });
        for note in &notes {
            (self.write)(note);
        }
    }

    fn parties(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Party>> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_writes_few_lines_and_all_are_counted() {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&notes);
        let gathered = Arc::new(RefusedPeers::new(move |note| {
            written.lock().expect("lock").push(note.clone());
        }));
        let take = || std::mem::take(&mut *notes.lock().expect("lock"));
        let address = |n: u32| Some(IpAddr::from(n.to_be_bytes()));
        for n in 0..1000 {
            gathered.note(address(1), Some(Thumbprint::of_certificate(&[n as u8])), "");
            gathered.note(address(2), None, "silent");
        }
        let is_first = |note: &Note| matches!(note, Note::First(..));
        let flood = take();
        assert_eq!(flood.iter().filter(|n| is_first(n)).count(), 2);
        assert_eq!(flood.len(), 2 + ATTEMPTS - 1, "{flood:?}");

        for n in 3..1000 {
            gathered.note(address(n), None, "silent");
        }
        let crowd = take();
        assert_eq!(crowd.iter().filter(|n| is_first(n)).count(), ADDRESSES - 2 + 1);
        assert_eq!(crowd.len(), ADDRESSES - 2 + 1);

        // Nothing is due yet.
        gathered.flush(GATHERED);
        assert_eq!(take(), []);
        gathered.flush(Duration::ZERO);
        let more: u64 =
            take().iter().map(|n| if let Note::More(_, n, _) = n { *n } else { 0 }).sum();
        assert_eq!(more + 2 + (ADDRESSES - 2 + 1) as u64, 2000 + 997);

        // Whoever goes on is counted on; who was quiet for a minute is forgotten.
        gathered.note(address(1), None, "silent");
        assert_eq!(
            take(),
            [Note::Another(address(1), Attempt { thumbprint: None, reason: "silent".into() })]
        );
        gathered.flush(Duration::ZERO);
        assert_eq!(take().len(), 1);
        gathered.flush(Duration::ZERO);
        assert_eq!((take().len(), gathered.next()), (0, None));
    }
}
