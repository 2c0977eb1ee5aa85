//! What is known of one target's logs: the last head, the last that was proved, some back
//! to the first, and what was wrong with them.

use super::line::{Chain, HeadLine, KnownHead, Mark};

/// So many of the newest heads are kept one by one: none of them may be proved yet.
const NEWEST: usize = 24;
/// So many heads are kept of a log, with those further and further apart.
pub(super) const MOST: usize = 64;
/// So many gaps are kept.
const GAPS: usize = 8;

/// What is known of a target.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    chains: [ChainHeads; 2],
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
    /// What these lines say; what is no line, as a crash tears it, says nothing.
    pub(super) fn parse(bytes: &[u8]) -> Known {
        let mut known = Known::default();
        bytes.split(|b| *b == b'\n').filter_map(HeadLine::parse).for_each(|line| known.add(line));
        known.chains.iter_mut().for_each(ChainHeads::thin);
        known
    }

    pub(crate) fn of(&self, chain: Chain) -> &ChainHeads {
        &self.chains[chain as usize]
    }

    /// Takes in what was learnt.
    pub(super) fn add(&mut self, line: HeadLine) {
        self.chains[line.chain as usize].add(line);
    }

    /// Is anything wrong on record?
    pub(crate) fn fault(&self) -> Option<&HeadLine> {
        self.chains.iter().find_map(ChainHeads::fault)
    }

    /// The same in as few lines as may be.
    pub(super) fn encode(&self) -> String {
        let of = |chain: &ChainHeads| {
            let lines = chain.seen.iter().chain(&chain.proved).chain(&chain.unseen);
            lines.chain(&chain.faults).map(HeadLine::encode).collect::<String>()
        };
        self.chains.iter().map(of).collect()
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
