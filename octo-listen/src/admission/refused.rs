//! Refusals before trust: the audit log gets a line an address and minute.

use crate::gathered::{Gathered, More, Rules, Seen};
use octo_core::Thumbprint;
use octo_core::trust::Network;
use std::net::IpAddr;
use std::sync::Arc;

/// How many different refusals of an address are told apart.
const ATTEMPTS: usize = 4;

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
    gathered: Arc<Gathered<Option<IpAddr>, Attempt>>,
    write: Arc<dyn Fn(&Note) + Send + Sync>,
}

impl RefusedPeers {
    /// Gathers for this writer.
    pub(crate) fn new(write: impl Fn(&Note) + Send + Sync + 'static) -> RefusedPeers {
        let write: Arc<dyn Fn(&Note) + Send + Sync> = Arc::new(write);
        let writer = Arc::clone(&write);
        let rules = Rules { kinds: ATTEMPTS, another_counts: true };
        let gathered = Gathered::new(rules, move |more: &More<_, Attempt>| {
            let attempts = more.kinds.iter().map(|(attempt, _)| attempt.clone()).collect();
            writer(&Note::More(more.party, more.count, attempts));
        });
        RefusedPeers { gathered, write }
    }

    /// Notes a refusal: writes it, or counts it.
    pub(crate) fn note(
        &self,
        address: Option<IpAddr>,
        thumbprint: Option<Thumbprint>,
        reason: &str,
    ) {
        self.note_many(address, Attempt { thumbprint, reason: reason.to_string() }, 0);
    }

    /// Notes a refusal, and that there were so many more like it.
    pub(crate) fn note_many(&self, address: Option<IpAddr>, attempt: Attempt, more: u64) {
        match self.gathered.note_many(address.map(logged_as), &attempt, more) {
            Seen::First => (self.write)(&Note::First(address, attempt)),
            Seen::Another => (self.write)(&Note::Another(address, attempt)),
            Seen::Counted => {}
        }
    }

    /// Writes what was counted so far.
    pub(crate) fn flush(&self) {
        self.gathered.flush();
    }
}

/// What has one line in the log: an address, or with IPv6 a /64.
fn logged_as(address: IpAddr) -> IpAddr {
    Network::of(address, 64).address()
}
