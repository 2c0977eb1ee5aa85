//! What a target says of its logs during one call, held against what is known.

use super::known::Known;
use super::line::{Chain, HeadLine, KnownHead, Mark};
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::audit::Head;
use std::cell::RefCell;
use std::rc::Rc;

/// What was heard of one target, over all its connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// The highest of each log.
    last: [Option<HeadLine>; 2],
    /// What contradicts what was known, and what was proved or denied.
    pub(crate) learnt: Vec<HeadLine>,
    /// What was known of the identity that it had before.
    carried: Vec<HeadLine>,
    /// What was wrong already.
    pub(crate) on_record: Option<HeadLine>,
}

impl Heard {
    /// What is wrong with its logs: what this call has found, else what is on record.
    pub(crate) fn fault(&self) -> Option<&HeadLine> {
        self.learnt.iter().find(|line| line.mark.is_fault()).or(self.on_record.as_ref())
    }

    /// Notes what was found; of a log each kind of fault once.
    pub(crate) fn learn(&mut self, line: HeadLine) {
        let same = |other: &&HeadLine| (other.mark, other.chain) == (line.mark, line.chain);
        if !line.mark.is_fault() || !self.learnt.iter().any(|other| same(&other)) {
            self.learnt.push(line);
        }
    }

    /// The lines that are to be kept.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &HeadLine> {
        self.carried.iter().chain(self.last.iter().flatten()).chain(&self.learnt)
    }

    /// Is there more to keep than newer heads?
    pub(super) fn must_be_synced(&self) -> bool {
        !self.learnt.is_empty() || !self.carried.is_empty()
    }
}

/// Listens to one connection.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// What each head must go on from: what was known before this connection was made, and
    /// what it has said since. What another connection hears meanwhile doesn't count: a
    /// reply that was sent before may come after.
    before: [Option<KnownHead>; 2],
    heard: Rc<RefCell<Heard>>,
}

impl Watch {
    /// For a connection that is about to be made; `heard` is of this call.
    pub(crate) fn new(known: &Known, heard: &Rc<RefCell<Heard>>) -> Watch {
        let mut before = Chain::ALL.map(|chain| known.of(chain).last().map(HeadLine::known));
        let mut of_call = heard.borrow_mut();
        of_call.on_record = known.fault().cloned();
        for (before, heard) in before.iter_mut().zip(&of_call.last) {
            let heard = heard.as_ref().map(HeadLine::known);
            *before = before.iter().copied().chain(heard).max_by_key(|known| known.head.seq);
        }
        drop(of_call);
        Watch { before, heard: Rc::clone(heard) }
    }

    /// Who the connection has turned out to be with.
    pub(crate) fn meet(&self, known: &Known, identity: Thumbprint) {
        self.heard.borrow_mut().carried = known.carried_to(identity);
    }

    /// A message, by its keys; it may have heads of both logs.
    pub(crate) fn hear<'m>(&mut self, value: impl Fn(&str) -> Option<&'m str>) {
        for chain in Chain::ALL {
            if let Some(head) = value(chain.key()).and_then(Head::parse) {
                self.head(chain, head);
            }
        }
    }

    fn head(&mut self, chain: Chain, head: Head) {
        let before = &mut self.before[chain as usize];
        let line = HeadLine::now(Mark::Seen, chain, head);
        let mut heard = self.heard.borrow_mut();
        match before.and_then(|before| Some((before, contradiction(before.head, head)?))) {
            Some((was, mark)) => heard.learn(HeadLine { mark, was: Some(was), ..line }),
            None if before.is_some_and(|before| before.head == head) => {}
            None => {
                *before = Some(line.known());
                let last = &mut heard.last[chain as usize];
                if last.as_ref().is_none_or(|last| last.head.seq < head.seq) {
                    *last = Some(line);
                }
            }
        }
    }
}

/// How a head can't come after the other.
fn contradiction(before: Head, now: Head) -> Option<Mark> {
    match now.seq.cmp(&before.seq) {
        std::cmp::Ordering::Less => Some(Mark::Backwards),
        std::cmp::Ordering::Equal if now.hash != before.hash => Some(Mark::Changed),
        _ => None,
    }
}
