//! Is a journal as it was when octo-exec saw it? It is looked at, never opened, and whoever
//! asks waits no longer than that: a job's user says where it is, which may be on a file
//! system that stands still.

use octo_core::base::beneath;
use octo_core::tentacle::releases::{Directory, JournalStat};
use rustix::io::Errno;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So long a pusher waits for all that it asked about.
const PATIENCE: Duration = Duration::from_secs(5);
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

/// Who looks now, at which BASE since when: one at most for each place.
#[derive(Debug, Default)]
pub(crate) struct Freshness {
    looking: Arc<Looking>,
}

#[derive(Debug, Default)]
struct Looking {
    places: Mutex<[Option<(String, Instant)>; LOOKING]>,
    /// A place was given back.
    free: Condvar,
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
        if journals.is_empty() {
            return seen;
        }
        let Some(place) = self.looking.take(until) else { return seen };
        let looking = Arc::clone(&self.looking);
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("freshness".into()).stack_size(STACK);
        let work = move || {
            for (index, journal) in journals.iter().enumerate() {
                // Where nobody waits any more, the rest is not looked at.
                if looking.goes_to(place, &journal.0.base)
                    && sender.send((index, look(journal))).is_err()
                {
                    break;
                }
            }
            looking.give_back(place);
        };
        if thread.spawn(work).is_err() {
            self.looking.give_back(place);
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

impl Looking {
    fn places(&self) -> MutexGuard<'_, [Option<(String, Instant)>; LOOKING]> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, as soon as one is free; `None` where none is until then.
    fn take(&self, until: Instant) -> Option<usize> {
        let mut places = self.places();
        loop {
            if let Some(free) = places.iter().position(Option::is_none) {
                places[free] = Some((String::new(), Instant::now()));
                return Some(free);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.free.wait_timeout(places, left);
            places = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn give_back(&self, place: usize) {
        self.places()[place] = None;
        self.free.notify_one();
    }

    /// Notes that this one goes to that BASE; not so where another is stuck there.
    fn goes_to(&self, place: usize, base: &str) -> bool {
        let mut places = self.places();
        let is_stuck = |(at, since): &(String, Instant)| at == base && since.elapsed() > STUCK;
        let others = places.iter().enumerate().filter(|(other, _)| *other != place);
        if others.filter_map(|(_, at)| at.as_ref()).any(is_stuck) {
            return false;
        }
        places[place] = Some((base.to_string(), Instant::now()));
        true
    }
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
        let ask = |paths: &[&str], patience| {
            let journals = paths.iter().map(|path| journal(path)).collect();
            freshness.look_by(journals, patience, stuck_or_not)
        };
        let seen = ask(&["/hung/x", "/b/x"], Duration::from_millis(100));
        assert_eq!(seen, [Seen::Unchecked, Seen::Unchecked]);
        let long = Duration::from_secs(600);
        let is_stuck = || {
            let places = freshness.looking.places();
            places.iter().flatten().any(|(at, since)| at == "/hung" && since.elapsed() > STUCK)
        };
        let begun = Instant::now();
        while !is_stuck() {
            assert!(begun.elapsed() < long, "nobody is stuck");
            std::thread::sleep(Duration::from_millis(10));
        }
        for _ in 0..2 * LOOKING {
            let seen = ask(&["/a/x", "/hung/y", "/hung/x", "/b/x"], long);
            assert_eq!(seen, [Seen::Same, Seen::Unchecked, Seen::Unchecked, Seen::Same]);
        }
        // Whoever is through gives its place back, but for the one that is stuck.
        while freshness.looking.places().iter().flatten().count() > 1 {
            assert!(begun.elapsed() < long, "more than one is stuck");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Of many at once none is told less than the others: they wait for a place.
    #[test]
    fn many_at_once_are_all_told() {
        let freshness = Freshness::default();
        std::thread::scope(|scope| {
            for _ in 0..20 * LOOKING {
                scope.spawn(|| {
                    let journals = (0..20).map(|n| journal(&format!("/nowhere/a{n}"))).collect();
                    let seen = freshness.look_by(journals, Duration::from_secs(600), look);
                    assert_eq!(seen, [Seen::Same; 20]);
                });
            }
        });
    }
}
