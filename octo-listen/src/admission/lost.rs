//! Notes who was hung up on, by a thread of its own: a log on a slow disk keeps nobody
//! from being accepted.

use crate::admission::refused::{Attempt, RefusedPeers};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Who was hung up on, and why.
pub(crate) type Lost = (IpAddr, String);

/// So many may wait to be noted; of more, only their number is kept.
const PENDING: usize = 4096;

const STACK: usize = 128 * 1024;

/// Hands over to the thread that notes.
pub(crate) struct Noting {
    pending: SyncSender<Lost>,
    missed: Arc<AtomicU64>,
}

impl Noting {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where there is none to be had.
    pub(crate) fn start(refused: Arc<RefusedPeers>) -> io::Result<Noting> {
        let (pending, receiver) = sync_channel(PENDING);
        let missed = Arc::new(AtomicU64::new(0));
        let thread = std::thread::Builder::new().name("lost".into()).stack_size(STACK);
        let counted = Arc::clone(&missed);
        thread.spawn(move || note(&refused, &receiver, &counted))?;
        Ok(Noting { pending, missed })
    }

    /// Notes these, sooner or later.
    pub(crate) fn note(&self, lost: impl IntoIterator<Item = Lost>) {
        for lost in lost {
            if self.pending.try_send(lost).is_err() {
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn note(refused: &Arc<RefusedPeers>, pending: &Receiver<Lost>, missed: &AtomicU64) {
    for (address, reason) in pending {
        refused.note(Some(address), None, &reason);
        if let Some(more) = missed.swap(0, Ordering::Relaxed).checked_sub(1) {
            let reason = "too many at once to tell them apart".into();
            refused.note_many(None, Attempt { thumbprint: None, reason }, more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::refused::Note;
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    #[test]
    fn a_log_that_stands_still_stops_nobody_and_all_are_counted() {
        const ALL: u64 = 3 * PENDING as u64;
        let (go_on, stopped) = sync_channel::<()>(0);
        let (noted, notes) = channel();
        let stopped = std::sync::Mutex::new(stopped);
        let mut refused = Arc::new(RefusedPeers::new(move |note| {
            // Until the test has dropped its end.
            let _ = stopped.lock().expect("lock").recv();
            let _ = noted.send(note.clone());
        }));
        let noting = Noting::start(Arc::clone(&refused)).expect("a thread");
        let address = IpAddr::from([192, 0, 2, 1]);
        noting.note((0..ALL).map(|_| (address, "silent".into())));
        drop(go_on);
        // The thread ends when it has noted all, and then it is ours alone.
        drop(noting);
        let deadline = Instant::now() + Duration::from_secs(60);
        while Arc::get_mut(&mut refused).is_none() {
            assert!(Instant::now() < deadline, "it still notes");
            std::thread::yield_now();
        }
        refused.flush();
        let notes: Vec<Note> = notes.try_iter().collect();
        let count = |note: &Note| match note {
            Note::First(..) => 1,
            Note::Another(..) => 0,
            Note::More(_, count, _) => *count,
        };
        assert_eq!(notes.iter().map(count).sum::<u64>(), ALL, "{notes:?}");
        let first = |from| notes.iter().any(|n| matches!(n, Note::First(of, _) if *of == from));
        assert!(first(Some(address)) && first(None), "{notes:?}");
    }
}
