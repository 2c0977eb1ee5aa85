//! Notes who was hung up on, by a thread of its own: a log on a slow disk keeps nobody
//! from being accepted.

use crate::admission::refused::RefusedPeers;
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
        for _ in 0..missed.swap(0, Ordering::Relaxed) {
            refused.note(None, None, "too many at once to tell them apart");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::refused::Note;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn a_log_that_stands_still_stops_nobody_and_all_are_counted() {
        const ALL: u64 = 3 * PENDING as u64;
        let (go_on, stopped) = sync_channel::<()>(0);
        let (noted, notes) = channel();
        let stopped = std::sync::Mutex::new(stopped);
        let refused = Arc::new(RefusedPeers::new(move |note| {
            // Until the test has dropped its end.
            let _ = stopped.lock().expect("lock").recv();
            let _ = noted.send(note.clone());
        }));
        let noting = Noting::start(Arc::clone(&refused)).expect("a thread");
        let address = IpAddr::from([192, 0, 2, 1]);
        noting.note((0..ALL).map(|_| (address, "silent".into())));
        drop(go_on);
        let patience = Duration::from_secs(60);
        let first = notes.recv_timeout(patience).expect("noted");
        assert!(matches!(first, Note::First(Some(noted), _) if noted == address), "{first:?}");
        let first = notes.recv_timeout(patience).expect("noted");
        assert!(matches!(first, Note::First(None, _)), "{first:?}");
    }
}
