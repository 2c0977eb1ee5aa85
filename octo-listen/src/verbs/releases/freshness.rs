//! Is a journal as it was when octo-exec saw it? It is looked at, never opened, and whoever
//! asks waits no longer than that: a job's user says where it is, which may be on a file
//! system that stands still.

use octo_core::base::beneath;
use octo_core::tentacle::releases::{Directory, JournalStat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long a pusher waits for all that it asked about.
const PATIENCE: Duration = Duration::from_secs(2);
/// Who looks at a BASE for so long is stuck there: nobody goes after it.
const STUCK: Duration = Duration::from_millis(500);
/// So many look at once; one that is stuck keeps its place.
const LOOKING: usize = 8;
/// More than the deepest of what such a thread calls needs.
const STACK: usize = 128 * 1024;

/// What a look says about a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The journal is as it was.
    Same,
    /// It is another by now.
    Changed,
    /// It can't be looked at from here.
    Unchecked,
}

/// A journal to look at: whose, and as it was.
pub(crate) type Journal = (Directory, Option<JournalStat>);

type Places = Arc<Mutex<HashMap<u64, (String, Instant)>>>;

/// Who looks now, at which BASE since when.
#[derive(Debug, Default)]
pub(crate) struct Freshness {
    looking: Places,
    next: std::sync::atomic::AtomicU64,
}

impl Seen {
    /// Its word on the wire; what is as it was is not said.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Seen::Same => None,
            Seen::Changed => Some("changed-since"),
            Seen::Unchecked => Some("unchecked"),
        }
    }
}

impl Freshness {
    /// Looks at these, in their order.
    pub(crate) fn look(&self, journals: Vec<Journal>) -> Vec<Seen> {
        self.look_by(journals, PATIENCE, look)
    }

    fn look_by(
        &self,
        journals: Vec<Journal>,
        patience: Duration,
        look: fn(&Journal) -> Seen,
    ) -> Vec<Seen> {
        let mut seen = vec![Seen::Unchecked; journals.len()];
        let until = Instant::now() + patience;
        let place = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let looking = Arc::clone(&self.looking);
        {
            let mut looking = looking.lock().unwrap_or_else(PoisonError::into_inner);
            if journals.is_empty() || looking.len() >= LOOKING {
                return seen;
            }
            looking.insert(place, (String::new(), Instant::now()));
        }
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("freshness".into()).stack_size(STACK);
        let given_back = Arc::clone(&looking);
        let begun = thread.spawn(move || all(&looking, place, &journals, look, &sender));
        if begun.is_err() {
            given_back.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
            return seen;
        }
        // It ends when all are looked at, and the sender is dropped.
        while let Ok((index, found)) =
            receiver.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            if let Some(slot) = seen.get_mut::<usize>(index) {
                *slot = found;
            }
        }
        seen
    }
}

/// Looks at all, but where another is stuck; then gives the place back.
fn all(
    looking: &Places,
    place: u64,
    journals: &[Journal],
    look: fn(&Journal) -> Seen,
    sender: &Sender<(usize, Seen)>,
) {
    for (index, journal) in journals.iter().enumerate() {
        let base = &journal.0.base;
        {
            let mut looking = looking.lock().unwrap_or_else(PoisonError::into_inner);
            let is_stuck = |(at, since): &(String, Instant)| at == base && since.elapsed() > STUCK;
            if looking.iter().any(|(other, at)| *other != place && is_stuck(at)) {
                continue;
            }
            looking.insert(place, (base.clone(), Instant::now()));
        }
        let seen = look(journal);
        if sender.send((index, seen)).is_err() {
            // Nobody waits any more.
            break;
        }
    }
    looking.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
}

fn look((directory, was): &Journal) -> Seen {
    let is = match beneath::look(&directory.path().join("journal")) {
        Ok(stat) => JournalStat::of(&stat),
        Err(Errno::NOENT | Errno::NOTDIR) => None,
        Err(_) => return Seen::Unchecked,
    };
    if is == *was { Seen::Same } else { Seen::Changed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(path: &str) -> Journal {
        (Directory::parse(path).expect(path), None)
    }

    #[test]
    fn a_journal_is_the_same_until_it_is_written_to() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("shop");
        std::fs::create_dir(&path).expect("mkdir");
        let directory = Directory::parse(path.to_str().expect("text")).expect("a directory");
        let freshness = Freshness::default();
        let seen = |was| freshness.look(vec![(directory.clone(), was)])[0];
        assert_eq!(seen(None), Seen::Same);
        std::fs::write(path.join("journal"), "one\n").expect("write");
        assert_eq!(seen(None), Seen::Changed);
        let was = JournalStat::of(&beneath::look(&path.join("journal")).expect("stat"));
        assert_eq!(seen(was), Seen::Same);
        std::fs::write(path.join("journal"), "one\ntwo\n").expect("write");
        assert_eq!(seen(was), Seen::Changed);
        // It goes back: as long as it was, and another.
        std::fs::write(path.join("new"), "one\n").expect("write");
        std::fs::rename(path.join("new"), path.join("journal")).expect("rename");
        assert_eq!(seen(was), Seen::Changed);
        std::fs::remove_dir_all(&path).expect("remove");
        assert_eq!(seen(was), Seen::Changed);
    }

    /// A file system that stands still costs who asks little, and few threads in all.
    #[test]
    fn who_is_stuck_keeps_nobody() {
        let stuck_or_not = |(directory, _): &Journal| {
            if directory.base != "/hung" {
                return Seen::Same;
            }
            loop {
                std::thread::park();
            }
        };
        let freshness = Freshness::default();
        let ask = |paths: &[&str]| {
            let journals = paths.iter().map(|path| journal(path)).collect();
            freshness.look_by(journals, STUCK * 2, stuck_or_not)
        };
        assert_eq!(
            ask(&["/a/x", "/hung/x", "/b/x"]),
            [Seen::Same, Seen::Unchecked, Seen::Unchecked]
        );
        for _ in 0..2 * LOOKING {
            let seen = ask(&["/hung/y", "/hung/x", "/b/x"]);
            assert_eq!(seen, [Seen::Unchecked, Seen::Unchecked, Seen::Same]);
        }
        assert_eq!(freshness.looking.lock().expect("whole").len(), 1);
    }
}
