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
/// So many look at once; one that is stuck keeps its place.
const LOOKING: usize = 8;
/// So many of them at the BASEs of one user, who says where those are: the others' are seen
/// also when all of theirs stand still.
const LOOKING_AT_ONE: usize = 2;
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

/// A journal to look at.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    /// Who released there.
    pub(crate) user: String,
    /// Of which application it is.
    pub(crate) directory: Directory,
    /// As it was.
    pub(crate) was: Option<JournalStat>,
}

/// Who looks now, at which BASE: one at most for each.
#[derive(Debug, Default)]
pub(crate) struct Freshness {
    looking: Arc<Looking>,
}

#[derive(Debug, Default)]
struct Looking {
    places: Mutex<Places>,
    /// A place was given back, left, or is at another BASE.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Places {
    taken: [Option<Place>; LOOKING],
    /// How many have been taken so far.
    count: u64,
}

/// Of one that looks.
#[derive(Debug)]
struct Place {
    /// Which of all it is.
    ticket: u64,
    /// Where it is, and whose that is.
    at: Option<(String, String)>,
    /// Nobody waits for it any more: it is stuck.
    is_left: bool,
}

/// Whether one can go somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Free,
    /// Others are there, who come back.
    Busy,
    /// Others are there for good.
    Stuck,
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
        let Some(ticket) = self.looking.take(until) else { return seen };
        let looking = Arc::clone(&self.looking);
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("freshness".into()).stack_size(STACK);
        let work = move || {
            let mut left: Vec<(usize, Journal)> = journals.into_iter().enumerate().collect();
            // Where nobody waits any more, the rest is not looked at.
            while let Some((index, journal)) = looking.next(ticket, &mut left, until)
                && sender.send((index, look(&journal))).is_ok()
            {}
            looking.give_back(ticket);
        };
        if thread.spawn(work).is_err() {
            self.looking.give_back(ticket);
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
        self.looking.leave(ticket);
        seen
    }
}

impl Looking {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something has changed; `None` where it is too late for that.
    fn wait<'a>(
        &self,
        places: MutexGuard<'a, Places>,
        until: Instant,
    ) -> Option<MutexGuard<'a, Places>> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let waited = self.changed.wait_timeout(places, left);
        Some(waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// A place, as soon as one is free; `None` where none is until then.
    fn take(&self, until: Instant) -> Option<u64> {
        let mut places = self.places();
        loop {
            let ticket = places.count;
            if let Some(free) = places.taken.iter_mut().find(|place| place.is_none()) {
                *free = Some(Place { ticket, at: None, is_left: false });
                places.count += 1;
                return Some(ticket);
            }
            places = self.wait(places, until)?;
        }
    }

    fn give_back(&self, ticket: u64) {
        let mut places = self.places();
        let of_it = |place: &&mut Option<Place>| place.as_ref().is_some_and(|p| p.ticket == ticket);
        if let Some(place) = places.taken.iter_mut().find(of_it) {
            *place = None;
        }
        self.changed.notify_all();
    }

    /// Nobody waits for it any more; where it has given its place back, nothing.
    fn leave(&self, ticket: u64) {
        if let Some(place) = self.places().of(ticket) {
            place.is_left = true;
            self.changed.notify_all();
        }
    }

    /// Goes to the first of these that it can go to, and takes it and all out that nobody can;
    /// waits for others to come back until then.
    fn next(
        &self,
        ticket: u64,
        left: &mut Vec<(usize, Journal)>,
        until: Instant,
    ) -> Option<(usize, Journal)> {
        let mut places = self.places();
        if places.of(ticket)?.at.take().is_some() {
            self.changed.notify_all();
        }
        loop {
            if places.of(ticket)?.is_left {
                return None;
            }
            left.retain(|(_, journal)| places.way(journal) != Way::Stuck);
            let free = left.iter().position(|(_, journal)| places.way(journal) == Way::Free);
            if let Some(free) = free {
                let (index, journal) = left.remove(free);
                places.of(ticket)?.at =
                    Some((journal.directory.base.clone(), journal.user.clone()));
                return Some((index, journal));
            }
            if left.is_empty() {
                return None;
            }
            places = self.wait(places, until)?;
        }
    }
}

impl Places {
    fn of(&mut self, ticket: u64) -> Option<&mut Place> {
        self.taken.iter_mut().flatten().find(|place| place.ticket == ticket)
    }

    /// Can one more go there?
    fn way(&self, journal: &Journal) -> Way {
        let (mut there, mut at_users, mut stuck_at_users) = (Way::Free, 0, 0);
        for place in self.taken.iter().flatten() {
            let Some((base, user)) = &place.at else { continue };
            if *base == journal.directory.base {
                there = if place.is_left { Way::Stuck } else { Way::Busy };
            }
            if *user == journal.user {
                at_users += 1;
                stuck_at_users += usize::from(place.is_left);
            }
        }
        match there {
            Way::Free if stuck_at_users >= LOOKING_AT_ONE => Way::Stuck,
            Way::Free if at_users >= LOOKING_AT_ONE => Way::Busy,
            there => there,
        }
    }
}

fn look(journal: &Journal) -> Seen {
    let is = match beneath::look(&journal.directory.path().join("journal")) {
        Ok(stat) => JournalStat::of(&stat),
        Err(Errno::NOENT | Errno::NOTDIR) => None,
        Err(_) => return Seen::Unchecked,
    };
    if is == journal.was { Seen::Same } else { Seen::Changed }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `USER:PATH`, or `PATH` of somebody.
    fn journal(word: &str) -> Journal {
        let (user, path) = word.split_once(':').unwrap_or(("app", word));
        let directory = Directory::parse(path).expect(path);
        Journal { user: user.into(), directory, was: None }
    }

    /// Nobody comes back from there.
    fn stuck_or_not(journal: &Journal) -> Seen {
        while journal.directory.base.starts_with("/hung") {
            std::thread::park();
        }
        Seen::Same
    }

    #[test]
    fn a_journal_is_the_same_until_it_is_written_to() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("shop");
        std::fs::create_dir(&path).expect("mkdir");
        let directory = Directory::parse(path.to_str().expect("text")).expect("a directory");
        let freshness = Freshness::default();
        let seen = |was| {
            let user = "app".to_string();
            freshness.look(vec![Journal { user, directory: directory.clone(), was }])[0]
        };
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
        let freshness = Freshness::default();
        let ask = |paths: &[&str], patience| {
            let journals = paths.iter().map(|path| journal(path)).collect();
            freshness.look_by(journals, patience, stuck_or_not)
        };
        let [same, unchecked] = [Seen::Same, Seen::Unchecked];
        let long = Duration::from_secs(600);
        let stuck = || {
            let is_stuck = |place: &&Place| place.is_left && place.at.is_some();
            freshness.looking.places().taken.iter().flatten().filter(is_stuck).count()
        };
        let (short, begun) = (Duration::from_millis(20), Instant::now());
        while stuck() < 1 {
            assert_eq!(ask(&["/hung/x", "/b/x"], short)[0], unchecked);
            assert!(begun.elapsed() < long, "nobody is stuck");
        }
        for _ in 0..2 * LOOKING {
            let seen = ask(&["/a/x", "/hung/y", "/hung/x", "/b/x"], long);
            assert_eq!(seen, [same, unchecked, unchecked, same]);
        }
        // Whoever is through gives its place back, but for the one that is stuck.
        while freshness.looking.places().taken.iter().flatten().count() > 1 {
            assert!(begun.elapsed() < long, "more than one is stuck");
            std::thread::sleep(Duration::from_millis(10));
        }
        // A user may have many such: the others are seen all the same, and in time.
        while stuck() < LOOKING_AT_ONE {
            ask(&["/hung2/x"], short);
            assert!(begun.elapsed() < long, "nobody else is stuck");
        }
        for number in 1..=2 * LOOKING {
            assert_eq!(ask(&[&format!("/hung{number}/x")], long), [unchecked]);
        }
        assert_eq!(ask(&["/b/x", "bob:/b/y", "bob:/c/x"], long), [unchecked, same, same]);
        assert_eq!(stuck(), LOOKING_AT_ONE);
    }

    /// Who is slow there is waited for: how slow it may be, its asker says.
    #[test]
    fn who_is_slow_is_waited_for() {
        static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
        let slow = |_: &Journal| {
            let is_open = GATE.0.lock().expect("a lock");
            drop(GATE.1.wait_while(is_open, |is_open| !*is_open).expect("a lock"));
            Seen::Same
        };
        let freshness = Freshness::default();
        let long = Duration::from_secs(600);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let seen = freshness.look_by(vec![journal("/slow/x")], long, slow);
                    assert_eq!(seen, [Seen::Same]);
                });
            }
            let begun = Instant::now();
            while freshness.looking.places().taken.iter().flatten().count() < 2 {
                assert!(begun.elapsed() < long, "nobody looks");
                std::thread::sleep(Duration::from_millis(1));
            }
            *GATE.0.lock().expect("a lock") = true;
            GATE.1.notify_all();
        });
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
