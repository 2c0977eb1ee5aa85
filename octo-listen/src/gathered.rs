//! What comes again and again, gathered: the first of each kind is for whoever asks to
//! write it at once, what follows is counted, and a minute later there is one line
//! with the counts. However fast somebody is, he writes no more than that.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long is gathered.
const GATHERED: Duration = Duration::from_secs(60);

/// How many parties have lines of their own; the others share one.
pub(crate) const PARTIES: usize = 256;

const STACK: usize = 64 * 1024;

/// What something is among the others of its party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The first of its party.
    First,
    /// The first of its kind.
    Another,
    /// It was counted.
    Counted,
}

/// What was counted of a party since the last line about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct More<P, K> {
    /// Whose; the default is all that share a line.
    pub(crate) party: P,
    /// How many in all.
    pub(crate) count: u64,
    /// How many of each kind that is told apart.
    pub(crate) kinds: Vec<(K, u64)>,
}

/// What differs between those who gather.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// How many kinds of a party are told apart; the others are only counted.
    pub(crate) kinds: usize,
    /// Another kind counts, too, and is another one again after each line: it is told
    /// where nothing is kept, to who may wait for it.
    pub(crate) another_counts: bool,
}

/// What happened of late, by party.
pub(crate) struct Gathered<P, K> {
    rules: Rules,
    parties: Mutex<HashMap<P, Party<K>>>,
    write: Write<P, K>,
}

type Write<P, K> = Box<dyn Fn(&More<P, K>) + Send + Sync>;

struct Party<K> {
    /// When the last line about it was.
    written: Instant,
    count: u64,
    kinds: Vec<(K, u64)>,
}

impl<P, K> Gathered<P, K>
where
    P: Clone + Default + Eq + Hash + Send + 'static,
    K: Clone + PartialEq + Send + 'static,
{
    /// Gathers for this writer of counts.
    pub(crate) fn new(
        rules: Rules,
        write: impl Fn(&More<P, K>) + Send + Sync + 'static,
    ) -> Arc<Gathered<P, K>> {
        Arc::new(Gathered { rules, parties: Mutex::default(), write: Box::new(write) })
    }

    /// Notes that something happened: whoever calls writes what is first.
    pub(crate) fn note(self: &Arc<Self>, party: P, kind: &K) -> Seen {
        self.note_many(party, kind, 0)
    }

    /// As [`Gathered::note`], and that the same happened so many times more.
    pub(crate) fn note_many(self: &Arc<Self>, party: P, kind: &K, more: u64) -> Seen {
        let mut parties = self.parties();
        let was_empty = parties.is_empty();
        let party = match parties.contains_key(&party) || parties.len() < PARTIES {
            true => party,
            false => P::default(),
        };
        let seen = match parties.get_mut(&party) {
            None => {
                let (written, kinds) = (Instant::now(), vec![(kind.clone(), more)]);
                parties.insert(party, Party { written, count: more, kinds });
                Seen::First
            }
            Some(party) => party.note(kind, more, self.rules),
        };
        drop(parties);
        if was_empty {
            self.write_later();
        }
        seen
    }

    /// Writes what was counted so far. For who ends.
    pub(crate) fn flush(&self) {
        self.write_older(Duration::ZERO);
    }

    /// A thread that lives while there is something to count: an idle listener
    /// has none.
    fn write_later(self: &Arc<Self>) {
        let gathered = Arc::clone(self);
        let thread = std::thread::Builder::new().name("gathered".into()).stack_size(STACK);
        let started = thread.spawn(move || {
            while let Some(next) = gathered.next() {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                gathered.write_older(GATHERED);
            }
        });
        if started.is_err() {
            self.flush();
            self.parties().clear();
        }
    }

    /// When the next line is due.
    fn next(&self) -> Option<Instant> {
        self.parties().values().map(|party| party.written + GATHERED).min()
    }

    /// Writes what was counted of those whose last line is so old, and forgets
    /// those who were quiet since.
    fn write_older(&self, age: Duration) {
        let mut lines = Vec::new();
        self.parties().retain(|of, party| {
            if party.written.elapsed() < age {
                return true;
            }
            let count = std::mem::take(&mut party.count);
            if count > 0 {
                party.written = Instant::now();
                let kinds = party.kinds.iter().filter(|(_, count)| *count > 0).cloned().collect();
                lines.push(More { party: of.clone(), count, kinds });
                // Whoever goes on would fill all places for good, and what else he does
                // would never be told: a kind that was quiet leaves, and so do all where
                // that makes no room.
                party.kinds.retain(|(_, count)| *count > 0);
                if self.rules.another_counts || party.kinds.len() >= self.rules.kinds {
                    party.kinds.clear();
                }
                party.kinds.iter_mut().for_each(|(_, count)| *count = 0);
            }
            count > 0
        });
        lines.iter().for_each(|line| (self.write)(line));
    }

    fn parties(&self) -> MutexGuard<'_, HashMap<P, Party<K>>> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + PartialEq> Party<K> {
    fn note(&mut self, kind: &K, more: u64, rules: Rules) -> Seen {
        let known = self.kinds.iter().position(|(known, _)| known == kind);
        let is_new = known.is_none() && self.kinds.len() < rules.kinds;
        let count = more + u64::from(!is_new || rules.another_counts);
        self.count += count;
        if let Some(known) = known {
            self.kinds[known].1 += count;
        }
        if is_new {
            self.kinds.push((kind.clone(), count));
        }
        if is_new { Seen::Another } else { Seen::Counted }
    }
}

#[cfg(test)]
mod tests {
    use super::Seen::{Another, Counted, First};
    use super::*;

    type Lines = Arc<Mutex<Vec<More<Option<u32>, u32>>>>;

    fn gathered(another_counts: bool) -> (Arc<Gathered<Option<u32>, u32>>, Lines) {
        let lines = Lines::default();
        let written = Arc::clone(&lines);
        let rules = Rules { kinds: 4, another_counts };
        let write = move |more: &More<_, _>| written.lock().expect("lock").push(more.clone());
        (Gathered::new(rules, write), lines)
    }

    fn take(lines: &Lines) -> Vec<More<Option<u32>, u32>> {
        std::mem::take(&mut *lines.lock().expect("lock"))
    }

    #[test]
    fn a_flood_is_few_lines_and_all_of_it_is_counted() {
        for another_counts in [false, true] {
            let (gathered, lines) = gathered(another_counts);
            let mut seen = HashMap::new();
            for n in 0..1000 {
                for party in [1, 2] {
                    *seen
                        .entry(format!("{:?}", gathered.note(Some(party), &(n % 6))))
                        .or_insert(0) += 1;
                }
            }
            let said = |what: &str| seen.get(what).copied().unwrap_or(0_u64);
            assert_eq!((said("First"), said("Another")), (2, 6), "{seen:?}");
            for n in 3..1000 {
                gathered.note(Some(n), &0);
            }
            // Nothing is due yet.
            gathered.write_older(GATHERED);
            assert_eq!(take(&lines), []);
            gathered.flush();
            let lines = take(&lines);
            let counted: u64 = lines.iter().map(|line| line.count).sum();
            let told = 2 + (PARTIES - 2 + 1) as u64 + if another_counts { 0 } else { 6 };
            assert_eq!(counted + told, 2000 + 997);
            let one = lines.iter().find(|line| line.party == Some(1)).expect("its line");
            let of_kinds: u64 = one.kinds.iter().map(|(_, count)| count).sum();
            // Two of the six have no place of their own.
            assert_eq!((one.kinds.len(), of_kinds), (4, one.count - 2 * 166), "{one:?}");
            assert!(lines.iter().any(|line| line.party.is_none()));
            assert!(lines.len() <= PARTIES + 1);
        }
    }

    /// Whoever goes on is counted on; who or what was quiet is forgotten.
    #[test]
    fn a_kind_is_told_once_while_its_party_goes_on() {
        for (another_counts, again) in [(false, Counted), (true, Another)] {
            let (gathered, lines) = gathered(another_counts);
            let note = |kind| gathered.note(Some(1), &kind);
            assert_eq!([note(1), note(2), note(2)], [First, Another, Counted]);
            gathered.flush();
            assert_eq!(take(&lines).len(), 1);
            assert_eq!(note(2), again);
            gathered.flush();
            assert_eq!(take(&lines).iter().map(|line| line.count).sum::<u64>(), 1);
            gathered.flush();
            assert_eq!((take(&lines).len(), gathered.next()), (0, None));
            assert_eq!(note(2), First);
        }
        let (gathered, lines) = gathered(false);
        let round = |kinds: &[u32]| {
            let seen: Vec<Seen> = kinds.iter().map(|kind| gathered.note(Some(1), kind)).collect();
            gathered.flush();
            seen
        };
        assert_eq!(round(&[1, 1, 2, 2]), [First, Counted, Another, Counted]);
        // One that was quiet for a round is told again.
        assert_eq!(round(&[1]), [Counted]);
        assert_eq!(round(&[1, 2, 1]), [Counted, Another, Counted]);
        // So many different ones have no place at a time, but all are told in turn.
        for kind in 10..30 {
            assert_eq!(round(&[1, kind]), [Counted, Another]);
        }
        // Nobody keeps all places for himself.
        let busy = [1, 1, 2, 2, 3, 3, 4, 4];
        round(&busy);
        for kind in 10..30 {
            assert_eq!(round(&[&[kind], &busy[..]].concat())[0], Another);
        }
        assert_eq!(take(&lines).len(), 3 + 20 + 1 + 20);
    }
}
