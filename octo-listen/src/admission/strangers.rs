//! How many peers may be connected that have not shown who they are, and whose turn it is.
//!
//! First a connection waits, until its first record is there: that costs a descriptor.
//! Where all of these places are taken, one of the fullest network loses his, by lot, so
//! that nobody who is faster than a crowd has to fear it. Then it has a handshake, which
//! costs a thread: that is never broken off, but ends within its time, and of these places
//! nobody has more than a part of what is free. Peers who are expected have places that
//! the others can't take.

use crate::admission::penalties::Penalties;
use crate::admission::source::{Crowds, Source};
use octo_core::base::names::random_bytes;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// From the first byte to the end of the handshake, however it drips.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// Of all places, one in so many is for those who are expected.
const FOR_EXPECTED: usize = 4;

/// How many times as many places must be free as are a party's own, and those of the
/// networks around it, for it to get another: the widest comes first.
const SHARES: [usize; 3] = [1, 2, 4];

/// How many places there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    /// To wait.
    pub(crate) waiting: usize,
    /// For handshakes.
    pub(crate) handshakes: usize,
    /// For those who are told why they were refused.
    pub(crate) farewells: usize,
}

impl Capacity {
    /// For a process that may have so many descriptors open.
    pub(crate) fn of(descriptors: u64) -> Capacity {
        let part = |n: u64| usize::try_from(descriptors / n).unwrap_or(usize::MAX);
        let handshakes = part(8).clamp(8, 256);
        Capacity { waiting: part(4).clamp(16, 512), handshakes, farewells: handshakes / 4 }
    }

    /// How many descriptors strangers take at most.
    pub(crate) fn descriptors(&self) -> u64 {
        (self.waiting + self.handshakes + self.farewells) as u64
    }
}

/// Who is connected and unknown.
#[derive(Debug)]
pub(crate) struct Strangers<C> {
    capacity: Capacity,
    /// In the order in which they came.
    waiting: Vec<Waiting<C>>,
    crowds: Crowds,
    shaking: Vec<Shaking>,
    shaking_crowds: Crowds,
    penalties: Penalties,
    next: u64,
}

/// A connection that waits.
#[derive(Debug)]
pub(crate) struct Waiting<C> {
    /// Greater than those of all who came before.
    pub(crate) number: u64,
    /// From where.
    pub(crate) source: Source,
    /// When it came.
    pub(crate) since: Instant,
    /// What waits.
    pub(crate) connection: C,
    is_expected: bool,
    is_ready: bool,
}

/// Whose handshake has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shaking {
    source: Source,
    is_expected: bool,
}

impl<C> Strangers<C> {
    pub(crate) fn new(capacity: Capacity) -> Strangers<C> {
        Strangers {
            capacity,
            waiting: Vec::new(),
            crowds: Crowds::default(),
            shaking: Vec::new(),
            shaking_crowds: Crowds::default(),
            penalties: Penalties::default(),
            next: 0,
        }
    }

    /// The number of the next newcomer.
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }

    /// Lets a newcomer wait; his number, and who loses his place to him. `is_named`: does the
    /// trust file name his network?
    pub(crate) fn admit(
        &mut self,
        address: IpAddr,
        is_named: bool,
        connection: C,
        now: Instant,
    ) -> (u64, Option<Waiting<C>>) {
        let source = Source::of(address);
        let is_expected = is_named || self.penalties.is_familiar(source.party(), now);
        let loser = match self.waiting.len() < self.capacity.waiting {
            true => None,
            false => self.loser(is_expected).map(|index| self.take(index)),
        };
        let number = self.next;
        self.next += 1;
        self.crowds.add(source);
        let is_ready = false;
        self.waiting.push(Waiting {
            number,
            source,
            since: now,
            connection,
            is_expected,
            is_ready,
        });
        (number, loser)
    }

    /// Who loses his place where none is free: of those who have more than their part, one of
    /// the fullest network, and in it of the fullest party. There it is any of the older half,
    /// first one who has said nothing: whoever is quick is never among them.
    fn loser(&self, newcomer_is_expected: bool) -> Option<usize> {
        let expected = self.waiting.iter().filter(|waiting| waiting.is_expected).count();
        let part = self.capacity.waiting / FOR_EXPECTED;
        let of_expected = expected + usize::from(newcomer_is_expected) > part;
        let candidates = self.waiting.iter().enumerate();
        let candidates = candidates.filter(|(_, waiting)| waiting.is_expected == of_expected);
        let crowd = best(candidates.map(|(index, w)| (index, self.crowds.of(w.source))), true);
        let older = &crowd[..crowd.len().div_ceil(2)];
        let silent: Vec<usize> =
            older.iter().copied().filter(|index| !self.waiting[*index].is_ready).collect();
        lot(if silent.is_empty() { older } else { &silent })
    }

    /// The connection of this number, if it still waits.
    pub(crate) fn find(&self, number: u64) -> Option<&Waiting<C>> {
        self.index(number).map(|index| &self.waiting[index])
    }

    /// Its first record is there.
    pub(crate) fn is_ready(&mut self, number: u64) {
        if let Some(index) = self.index(number) {
            self.waiting[index].is_ready = true;
        }
    }

    /// It waits no more.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Waiting<C>> {
        self.index(number).map(|index| self.take(index))
    }

    /// Those whose time to wait is over wait no more.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<Waiting<C>> {
        let mut overdue = Vec::new();
        while self.waiting.first().is_some_and(|first| now >= first.since + HANDSHAKE) {
            overdue.push(self.take(0));
        }
        overdue
    }

    /// Whose handshake is to begin now, if anybody's: of those who may, one of the network
    /// that has the fewest, by lot.
    pub(crate) fn begin(&mut self, now: Instant) -> Option<(Waiting<C>, Shaking)> {
        let free = self.free();
        let ready = self.waiting.iter().enumerate().filter(|(_, waiting)| waiting.is_ready);
        let may = ready.filter(|(_, waiting)| self.may_begin(waiting, free, now));
        let of = |waiting: &Waiting<C>| self.shaking_crowds.of(waiting.source);
        let least = best(may.map(|(index, waiting)| (index, of(waiting))), false);
        let waiting = self.take(lot(&least)?);
        let shaking = Shaking { source: waiting.source, is_expected: waiting.is_expected };
        self.shaking.push(shaking);
        self.shaking_crowds.add(shaking.source);
        Some((waiting, shaking))
    }

    /// Places for handshakes that are free for those who are expected, and for the others.
    fn free(&self) -> [usize; 2] {
        let all = self.capacity.handshakes;
        let free = all.saturating_sub(self.shaking.len());
        let others = self.shaking.iter().filter(|shaking| !shaking.is_expected).count();
        [free, free.min((all - all / FOR_EXPECTED).saturating_sub(others))]
    }

    fn may_begin(&self, waiting: &Waiting<C>, free: [usize; 2], now: Instant) -> bool {
        let free = free[usize::from(!waiting.is_expected)];
        if free == 0 {
            return false;
        }
        let own = self.shaking_crowds.of(waiting.source);
        let has_its_share = own.iter().zip(SHARES).any(|(own, share)| own * share >= free);
        !has_its_share
            && match self.penalties.waits_until(waiting.source.party(), now) {
                None => true,
                Some(until) => own[2] == 0 && now >= until,
            }
    }

    /// A handshake is over: was he let in? `None` where that is not known, through a fault
    /// of ours.
    pub(crate) fn over(&mut self, shaking: Shaking, was_let_in: Option<bool>, now: Instant) {
        if let Some(index) = self.shaking.iter().position(|other| *other == shaking) {
            self.shaking.swap_remove(index);
            self.shaking_crowds.remove(shaking.source);
        }
        match was_let_in {
            Some(true) => self.penalties.let_in(shaking.source.party(), now),
            Some(false) => self.penalties.failed(shaking.source.party(), now),
            None => {}
        }
    }

    /// Does anybody wait for nothing but his turn?
    pub(crate) fn has_ready(&self) -> bool {
        self.waiting.iter().any(|waiting| waiting.is_ready)
    }

    /// When the first one's time to wait is over.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.first().map(|first| first.since + HANDSHAKE)
    }

    fn index(&self, number: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&number, |waiting| waiting.number).ok()
    }

    fn take(&mut self, index: usize) -> Waiting<C> {
        let waiting = self.waiting.remove(index);
        self.crowds.remove(waiting.source);
        waiting
    }
}

/// The indices of those with the greatest count, or the least, in their order.
fn best(counts: impl Iterator<Item = (usize, [usize; 3])>, greatest: bool) -> Vec<usize> {
    let (mut best, mut indices) = (None, Vec::new());
    for (index, count) in counts {
        let is_better = |best| if greatest { count > best } else { count < best };
        if best.is_none_or(is_better) {
            best = Some(count);
            indices.clear();
        }
        if best == Some(count) {
            indices.push(index);
        }
    }
    indices
}

/// One of these, which nobody can foresee.
fn lot(indices: &[usize]) -> Option<usize> {
    let mut bytes = [0; 8];
    // Where the kernel has no random bytes the first one is as good as any.
    let _ = random_bytes(&mut bytes);
    let number = usize::try_from(u64::from_ne_bytes(bytes) >> 32).unwrap_or(0);
    indices.get(number.checked_rem(indices.len())?).copied()
}

#[cfg(test)]
mod tests;
