//! What is known of one target's logs: the last head, the last that was proved, some back
//! to the first, and what was wrong with them.

use super::line::{Chain, HeadLine, KnownHead, Mark};
use octo_core::base::thumbprint::Thumbprint;
use octo_core::targets::TargetTrust;

/// So many of the newest heads are kept one by one: none of them may be proved yet.
const NEWEST: usize = 16;
/// So many heads are kept of a log, with those further and further apart.
pub(super) const MOST: usize = 64;
/// So many gaps are kept.
const GAPS: usize = 8;

/// So many identities of a target are kept: the one before it was renewed, or replaced.
const IDENTITIES: usize = 2;

/// What is known of a target.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    chains: [ChainHeads; 2],
    /// The thumbprints of the tentacles that said so.
    shown: Vec<Thumbprint>,
}

/// What is known of one log.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChainHeads {
    /// By their numbers, the lowest first; one a number.
    seen: Vec<HeadLine>,
    /// The one of the highest number.
    pub(crate) proved: Option<HeadLine>,
    /// What was wrong with it: the first of each kind, the oldest first.
    faults: Vec<HeadLine>,
    /// Proved heads that could not be seen any more.
    pub(crate) unseen: Vec<HeadLine>,
}

impl Known {
    /// What these lines say of whoever is trusted: where that is a thumbprint, others of the
    /// same name are other machines, each with logs of its own.
    pub(super) fn of_trusted(lines: Vec<HeadLine>, trust: &TargetTrust) -> Known {
        match trust {
            TargetTrust::Thumbprints(trusted) => {
                let is_meant = |seen: &Option<Thumbprint>| {
                    seen.as_ref().is_none_or(|seen| trusted.contains(seen))
                };
                Known::of_lines(lines.into_iter().filter(|line| is_meant(&line.tentacle)))
            }
            TargetTrust::WebPki | TargetTrust::CaFile(_) => Known::of_lines(lines),
        }
    }

    /// What these lines say of whoever was the last to show itself.
    pub(super) fn of_last(lines: Vec<HeadLine>) -> Known {
        let last = lines.last().and_then(|line| line.tentacle);
        Known::of_lines(lines.into_iter().filter(|line| line.tentacle == last))
    }

    pub(super) fn of_lines(lines: impl IntoIterator<Item = HeadLine>) -> Known {
        let mut known = Known::default();
        lines.into_iter().for_each(|line| known.add(line));
        known.chains.iter_mut().for_each(ChainHeads::thin);
        known
    }

    /// The same lines, but in as few as may be: those of the last identities.
    pub(super) fn shortened(lines: &[HeadLine]) -> String {
        let mut identities: Vec<Option<Thumbprint>> = Vec::new();
        for line in lines.iter().rev() {
            if identities.len() < IDENTITIES && !identities.contains(&line.tentacle) {
                identities.push(line.tentacle);
            }
        }
        let of = |identity: &Option<Thumbprint>| {
            let own = lines.iter().filter(|line| line.tentacle == *identity).cloned();
            Known::of_lines(own).lines().map(HeadLine::encode).collect::<String>()
        };
        identities.iter().rev().map(of).collect()
    }

    /// What goes over to an identity that was not seen before and is trusted beside those
    /// that were: it was renewed, and its logs go on.
    pub(super) fn carried_to(&self, identity: Thumbprint) -> Vec<HeadLine> {
        match self.shown.contains(&identity) {
            true => Vec::new(),
            false => self.lines().cloned().collect(),
        }
    }

    pub(crate) fn of(&self, chain: Chain) -> &ChainHeads {
        &self.chains[chain as usize]
    }

    /// Takes in what was learnt.
    pub(super) fn add(&mut self, line: HeadLine) {
        if let Some(tentacle) = line.tentacle.filter(|seen| !self.shown.contains(seen)) {
            self.shown.push(tentacle);
        }
        self.chains[line.chain as usize].add(line);
    }

    /// Is anything wrong on record?
    pub(crate) fn fault(&self) -> Option<&HeadLine> {
        self.chains.iter().find_map(ChainHeads::fault)
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &HeadLine> {
        self.chains.iter().flat_map(|chain| {
            let lines = chain.seen.iter().chain(&chain.proved).chain(&chain.unseen);
            lines.chain(&chain.faults)
        })
    }
}

impl ChainHeads {
    /// The newest head that nothing was wrong with.
    pub(crate) fn last(&self) -> Option<&HeadLine> {
        self.seen.last().into_iter().chain(&self.proved).max_by_key(|line| line.head.seq)
    }

    /// What was wrong with it first.
    pub(crate) fn fault(&self) -> Option<&HeadLine> {
        self.faults.first()
    }

    /// The heads that a tentacle is asked for: the last that was proved, the newest, then
    /// the others back to the first.
    pub(crate) fn asked(&self) -> Vec<KnownHead> {
        let mut asked: Vec<KnownHead> = self.proved.iter().map(HeadLine::known).collect();
        for line in self.seen.iter().rev() {
            if !asked.iter().any(|other| other.head == line.head) {
                asked.push(line.known());
            }
        }
        asked
    }

    fn add(&mut self, line: HeadLine) {
        match line.mark {
            Mark::Seen => match self.seen.binary_search_by_key(&line.head.seq, |l| l.head.seq) {
                // The first that was said of a number counts.
                Ok(_) => {}
                Err(place) => self.seen.insert(place, line),
            },
            Mark::Proved => {
                if self.proved.as_ref().is_none_or(|proved| proved.head.seq <= line.head.seq) {
                    self.proved = Some(line);
                }
            }
            Mark::Unseen => {
                if !self.unseen.iter().any(|other| other.head == line.head) {
                    self.unseen.push(line);
                    let excess = self.unseen.len().saturating_sub(GAPS);
                    self.unseen.drain(..excess);
                }
            }
            Mark::Backwards | Mark::Changed => {
                if !self.faults.iter().any(|other| other.mark == line.mark) {
                    self.faults.push(line);
                }
            }
        }
    }

    /// Leaves out heads, so that those that stay lie further apart the older they are:
    /// twice as far back, half as many. The first stays.
    pub(super) fn thin(&mut self) {
        let Some(last) = self.seen.last().map(|line| line.head.seq) else { return };
        let single = self.seen.len().saturating_sub(NEWEST);
        let mut before = None;
        let mut index = 0;
        self.seen.retain(|line| {
            let power = (last - line.head.seq).max(1).ilog2();
            // The oldest of each power of two: it moves on to the next as the log grows.
            let stays = index >= single || before != Some(power);
            (before, index) = (Some(power), index + 1);
            stays
        });
        let excess = self.seen.len().saturating_sub(MOST);
        // Of numbers that no log reaches: behind the first.
        self.seen.drain(1.min(excess)..1.min(excess) + excess);
    }

    /// How many heads are kept of it.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.seen.iter().map(|line| line.head.seq).collect()
    }
}
