//! The audit logs: one line an event, chained by hashes, on the disk before what it
//! records is done. There are two, a user each who writes: STATE/audit.log is
//! octo-exec's, STATE/listen/audit.log the listener's.
//!
//! ```text
//! audit.log      appended under a lock, never rewritten
//! audit.log.1 …  as a rotation renames them; each file names its predecessor's
//!                head in its first line
//! audit.head     the newest head: lines cut off the end are missed
//! ```
//!
//! What a chain can show and what it can't, octo-audit(5) says. Several processes
//! append to one; who only reads holds no lock.

mod compressed;
mod copy;
mod given;
mod line;
mod pieces;
#[cfg(test)]
mod processes;
mod reading;
mod tail;
#[cfg(test)]
mod tests;
mod verification;
mod verify;
mod write;

pub use copy::{AuditCopy, Disagreement};
pub use given::{Given, Lines};
pub use line::Head;
pub use verification::Verification;
pub use verify::verify_files;

use crate::base::appended::{self, Access};
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::Places;
use crate::base::problem::Problem;
use crate::tentacle::layout::{self, Owner, Side};
use pieces::Pieces;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use write::Writer;

/// An audit log of one state directory. Threads share one.
#[derive(Debug)]
pub struct Audit {
    places: Places,
    side: Side,
    path: PathBuf,
    queue: Mutex<Queue>,
    written: Condvar,
    writer: Mutex<Writer>,
    /// The head that was noted when this process asked first, and the log's last line, where
    /// that is a later one.
    lagging: OnceLock<Option<(Head, Head)>>,
}

/// So often a head is read until it reads twice the same.
const HEAD_READS: usize = 100;

/// What the log says to a head that it once gave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It is in the chain, and the chain is whole.
    Holds,
    /// The chain is whole, but the head's file was removed by a rotation.
    TooOld,
    /// It isn't in the chain, or the chain is broken: the first fault.
    Fails(Box<Problem>),
    /// It may be in a file that could not be looked at, or behind it in the chain.
    Unseen(String),
}

/// Threads that append at the same time are written by one of them, with one
/// fsync for all.
#[derive(Debug, Default)]
struct Queue {
    next: u64,
    writing: bool,
    waiting: Vec<(u64, Vec<String>)>,
    results: HashMap<u64, Result<Head>>,
}

impl Audit {
    /// The log of octo-exec in these places, or the listener's; nothing is opened
    /// before it is needed.
    pub fn of(side: Side, places: &Places) -> Audit {
        Audit {
            writer: Mutex::new(Writer::new(places, side)),
            path: write::log_file(places, side),
            places: places.clone(),
            side,
            queue: Mutex::default(),
            written: Condvar::new(),
            lagging: OnceLock::new(),
        }
    }

    /// Appends one event with its fields, in their order; it is on the disk
    /// when this returns. Any bytes stay on one line; a value of more than
    /// 1 KiB is cut and ends in `...`.
    ///
    /// # Errors
    /// Where it can't be written, naming the file: what was to be recorded must
    /// then not be done. Also where the event or a key is not a word.
    pub fn append(&self, event: &str, fields: &[(&str, &str)]) -> Result<Head> {
        self.append_all(&[(event, fields)])
    }

    /// Appends events one behind the other, on the disk at once; the head of the
    /// last one.
    ///
    /// # Errors
    /// As [`Audit::append`]; then none of them is there.
    pub fn append_all(&self, events: &[(&str, &[(&str, &str)])]) -> Result<Head> {
        let mut lines = Vec::with_capacity(events.len());
        for (event, fields) in events {
            if [write::BEGIN, write::TORN, write::CUT].contains(event) {
                let reason = format!("'{event}' is the log's own word");
                return Err(Error::new(Exit::Data, "audit", reason));
            }
            lines.push(line::event(event, fields)?);
        }
        if lines.is_empty() {
            return Err(Error::new(Exit::Data, "audit", "no event to append"));
        }
        self.commit(lines)
    }

    /// The head that was noted last, as whoever only reads sees it: on the disk, and in
    /// the chain. `None` where nothing was ever written.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn head(&self) -> Result<Option<Head>> {
        let path = write::head_file(&self.path);
        let Some(file) = appended::open(&path, Access::Read)? else { return self.last_line() };
        // It is overwritten in place: one read may see half of the new one.
        let mut before = write::read_head(&file);
        for _ in 0..HEAD_READS {
            let again = write::read_head(&file);
            if let Some(noted) = again.filter(|_| again == before) {
                return Ok(Some(self.caught_up(noted)));
            }
            before = again;
        }
        Ok(None)
    }

    /// What was noted, unless a power cut has set that back: it is not synced. A head that
    /// was given out may then be later, and the log has it; to go back behind it would look
    /// as if the log had been put back.
    fn caught_up(&self, noted: Head) -> Head {
        let later = |last: &Head| last.seq > noted.seq;
        let look = || Some((noted, self.last_line().ok().flatten().filter(later)?));
        match self.lagging.get_or_init(look) {
            Some((lagging, last)) if *lagging == noted => *last,
            _ => noted,
        }
    }

    /// The last whole line, where the noted head was lost.
    fn last_line(&self) -> Result<Option<Head>> {
        let Some(log) = appended::open(&self.path, Access::Read)? else { return Ok(None) };
        let size = log.metadata().map_err(|e| Error::io(&self.path, &e))?.len();
        Ok(tail::tail(&log, &self.path, size)?.head)
    }

    /// Checks the whole chain, and that these heads are in it.
    ///
    /// # Errors
    /// Where a file can't be read; what is wrong with the chain is no error but
    /// the answer.
    pub fn verify(&self, heads: &[Head]) -> Result<Verification> {
        // Whose log it is waits for a line that is being written; to anybody else it is one
        // that is torn: root would wait for as long as the listener holds the lock.
        let owner = match self.side {
            Side::Executor => layout::executor(&self.places),
            Side::Listener => layout::listener(&self.places),
        };
        let lock = match owner.uid == Owner::this_process().uid {
            true => write::lock_file(&self.places, self.side).ok(),
            false => None,
        };
        if let Some(lock) = &lock {
            appended::lock(lock, &self.path, false)?;
        }
        let pieces = Pieces::of_log(&self.path)?;
        drop(lock);
        verify::verify(pieces, heads)
    }

    /// The lines from this number on, as they stand there, up to the last that is on the
    /// disk; where the oldest are gone, from the first that is there.
    ///
    /// # Errors
    /// Where a file can't be read.
    pub fn lines(&self, from: u64) -> Result<Lines> {
        Lines::from(&self.path, from)
    }

    /// Is this head in the chain, and all of the chain whole? Reads all of it.
    ///
    /// # Errors
    /// As [`Audit::verify`].
    pub fn proves(&self, head: Head) -> Result<Proof> {
        let mut found = self.verify(&[head])?;
        let older = found.first.is_some_and(|first| head.seq < first);
        let unseen = found.unseen_to >= head.seq;
        Ok(match found.faults.len() {
            0 if unseen => Proof::Unseen(found.unseen.join("; ")),
            0 => Proof::Holds,
            1 if older => Proof::TooOld,
            _ => Proof::Fails(Box::new(found.faults.swap_remove(0))),
        })
    }

    fn commit(&self, events: Vec<String>) -> Result<Head> {
        let mut queue = guard(&self.queue);
        let ticket = queue.next;
        queue.next += 1;
        queue.waiting.push((ticket, events));
        loop {
            if let Some(result) = queue.results.remove(&ticket) {
                return result;
            }
            if queue.writing {
                queue = self.written.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.writing = true;
            let batch = std::mem::take(&mut queue.waiting);
            drop(queue);
            let results = self.write(&batch);
            queue = guard(&self.queue);
            queue.writing = false;
            queue.results.extend(results);
            self.written.notify_all();
        }
    }

    fn write(&self, batch: &[(u64, Vec<String>)]) -> Vec<(u64, Result<Head>)> {
        let events: Vec<String> = batch.iter().flat_map(|(_, events)| events).cloned().collect();
        match guard(&self.writer).write(&events) {
            Ok(heads) => {
                let mut rest = heads.into_iter();
                let last = |(ticket, events): &(u64, Vec<String>)| {
                    let head = rest.by_ref().take(events.len()).last().unwrap_or_else(Head::none);
                    (*ticket, Ok(head))
                };
                batch.iter().map(last).collect()
            }
            Err(error) => batch.iter().map(|(t, _)| (*t, Err(error.clone()))).collect(),
        }
    }
}

/// Nothing is left half changed where a holder panics: what is guarded is
/// replaced whole.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
