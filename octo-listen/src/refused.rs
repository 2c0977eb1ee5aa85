//! Refusals before trust, gathered: the log and the audit get a line for the
//! first of a kind, and a minute later one with the number of the others. A
//! scanner writes no more than that, however fast it is.

use crate::strangers::network;
use octo_core::Thumbprint;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long refusals are gathered.
const GATHERED: Duration = Duration::from_secs(60);

/// How many lines one address gets in that time, and all addresses together.
const LINES_PER_ADDRESS: usize = 4;
const LINES: usize = 256;

const STACK: usize = 64 * 1024;

/// One line to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// From where; unknown with --stdio, or where lines ran out.
    pub(crate) address: Option<IpAddr>,
    /// Who, where that was said.
    pub(crate) thumbprint: Option<Thumbprint>,
    /// Why.
    pub(crate) reason: String,
    /// How many more than the one that was written before; 0 for the first.
    pub(crate) more: u64,
}

/// What was refused of late.
pub(crate) struct Gathered {
    counts: Mutex<HashMap<Kind, u64>>,
    write: Box<dyn Fn(&Refused) + Send + Sync>,
}

type Kind = (Option<IpAddr>, Option<Thumbprint>, String);

impl Gathered {
    /// Gathers for this writer.
    pub(crate) fn new(write: impl Fn(&Refused) + Send + Sync + 'static) -> Gathered {
        Gathered { counts: Mutex::default(), write: Box::new(write) }
    }

    /// Notes a refusal: writes it, or counts it.
    pub(crate) fn note(
        self: &Arc<Gathered>,
        address: Option<IpAddr>,
        thumbprint: Option<Thumbprint>,
        reason: &str,
    ) {
        let from = address.map(network);
        let mut counts = self.counts();
        let lines = counts.keys().filter(|(network, ..)| *network == from).count();
        let mut kind = (from, thumbprint, reason.to_string());
        let is_new = !counts.contains_key(&kind);
        if is_new && (lines >= LINES_PER_ADDRESS || counts.len() >= LINES) {
            kind = (from.filter(|_| lines > 0), None, "for several reasons".to_string());
        }
        let was_empty = counts.is_empty();
        let count = counts.entry(kind).and_modify(|count| *count += 1).or_default();
        let first = *count == 0;
        drop(counts);
        if first {
            (self.write)(&Refused { address, thumbprint, reason: reason.to_string(), more: 0 });
        }
        if was_empty {
            self.write_later();
        }
    }

    /// A thread that lives for this minute only: an idle listener has none.
    fn write_later(self: &Arc<Gathered>) {
        let gathered = Arc::clone(self);
        let thread = std::thread::Builder::new().name("refusals".into()).stack_size(STACK);
        let started = thread.spawn(move || {
            std::thread::sleep(GATHERED);
            gathered.flush();
        });
        if started.is_err() {
            self.flush();
        }
    }

    fn flush(&self) {
        let counts = std::mem::take(&mut *self.counts());
        let counted = counts.into_iter().filter(|(_, more)| *more > 0);
        for ((address, thumbprint, reason), more) in counted {
            (self.write)(&Refused { address, thumbprint, reason, more });
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Kind, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_writes_few_lines_and_all_are_counted() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&lines);
        let gathered = Arc::new(Gathered::new(move |refused| {
            written.lock().expect("lock").push(refused.clone());
        }));
        let address = |n: u32| Some(IpAddr::from(n.to_be_bytes()));
        for n in 0..1000 {
            gathered.note(address(1), Some(Thumbprint::of_certificate(&[n as u8])), "unknown");
            gathered.note(address(2), None, "silent");
        }
        let first = lines.lock().expect("lock").len();
        assert_eq!(first, LINES_PER_ADDRESS + 1 + 1);
        for n in 3..1000 {
            gathered.note(address(n), None, "silent");
        }
        assert!(lines.lock().expect("lock").len() <= LINES + 2);
        gathered.flush();
        let lines = lines.lock().expect("lock");
        let all: u64 = lines.iter().map(|l| if l.more == 0 { 1 } else { l.more }).sum();
        assert_eq!(all, 2000 + 997);
    }
}
