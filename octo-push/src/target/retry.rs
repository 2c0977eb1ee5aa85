//! Reaching a target, and reaching it again: how long, how often, how far apart.
//!
//! What fails before there was a connection is told at once, unless `--retries`
//! says otherwise; a connection that breaks is made again, at first at once,
//! then a second apart, then slower, as long as `--reconnect` lets it.

use crate::cli::options::Common;
use crate::fleet::signals::Signal;
use crate::output::{Counters, Stream};
use crate::target::connection::client::{Caller, Session, Trouble};
use crate::target::outcome::{Kind, Origin, Outcome};
use crate::target::stop::Stop;
use octo_core::base::error::{Error, Exit};
use octo_core::base::names::JobId;
use octo_core::base::refusal::Refusal;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::base::units::human_duration;
use octo_core::targets::Target;
use std::cell::Cell;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Work {
    /// Who calls.
    pub(crate) caller: Caller,
    /// What was said.
    pub(crate) common: Common,
    /// The selected targets.
    pub(crate) targets: Vec<Target>,
    /// Set when the person has had enough.
    pub(crate) stop: Stop,
    /// What the uploads count.
    pub(crate) counters: Counters,
}

/// What the main thread is told.
#[derive(Debug)]
pub(crate) enum News {
    /// A worker has begun with this target.
    Begun(usize),
    /// Its job was accepted.
    Accepted(usize, JobId),
    /// Its job said something.
    Output(usize, Stream, Vec<u8>),
    /// Something the person may want to know now.
    Note(usize, String),
    /// Something for those who want to know all.
    Detail(usize, String),
    /// It is over with this target.
    Done(usize, Box<Outcome>),
    /// Ctrl-C and its kin.
    Signal(Signal),
}

/// A worker's line to the main thread, about one target.
#[derive(Debug)]
pub(crate) struct Teller {
    /// Which one, as numbered in the selection.
    pub(crate) target: usize,
    /// To whom.
    pub(crate) sender: SyncSender<News>,
    /// The thumbprint of the tentacle, once it was seen.
    pub(crate) peer: Cell<Option<Thumbprint>>,
}

impl Teller {
    /// Tells; where nobody listens any more, the process is about to end.
    pub(crate) fn tell(&self, news: News) {
        let _ = self.sender.send(news);
    }

    /// Tells what the job said.
    pub(crate) fn output(&self, stream: Stream, bytes: &[u8]) {
        self.tell(News::Output(self.target, stream, bytes.to_vec()));
    }

    /// Tells a note.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.tell(News::Note(self.target, text.into()));
    }

    /// Tells a detail.
    pub(crate) fn detail(&self, text: impl Into<String>) {
        self.tell(News::Detail(self.target, text.into()));
    }
}

/// How much longer a target is tried.
#[derive(Debug)]
pub(crate) struct Patience {
    began: Instant,
    /// When contact was lost, or the first try began.
    since: Instant,
    met: bool,
    failures: u32,
    refusals: u32,
}

impl Patience {
    /// At the first try.
    pub(crate) fn new() -> Patience {
        let now = Instant::now();
        Patience { began: now, since: now, met: false, failures: 0, refusals: 0 }
    }

    /// There was contact: from now on it can only be lost.
    pub(crate) fn met(&mut self) {
        self.met = true;
    }

    /// Contact brought something.
    pub(crate) fn progress(&mut self) {
        self.failures = 0;
    }

    /// When `--limit` is over.
    pub(crate) fn deadline(&self, work: &Work) -> Option<Instant> {
        work.common.limit.map(|limit| self.began + limit)
    }

    /// How long this try may take to connect.
    pub(crate) fn wait(&self, work: &Work) -> Duration {
        let wait = work.common.wait;
        match self.deadline(work) {
            Some(deadline) => wait.min(deadline.saturating_duration_since(Instant::now())),
            None => wait,
        }
    }

    /// After this trouble: wait, then try again, or give up with its error.
    ///
    /// # Errors
    /// The trouble, if it is not to be tried again.
    pub(crate) fn after(
        &mut self,
        work: &Work,
        teller: &Teller,
        trouble: Trouble,
    ) -> Result<(), Trouble> {
        let now = Instant::now();
        if self.failures == 0 {
            self.since = now;
        }
        if self.deadline(work).is_some_and(|deadline| now >= deadline) {
            return Err(trouble);
        }
        let bound = match (&trouble, self.met) {
            (Trouble::Unreachable(_) | Trouble::Lost(_), true) => work.common.outage,
            (Trouble::Unreachable(_), false) => {
                if self.refusals == work.common.retries {
                    return Err(trouble);
                }
                self.refusals += 1;
                // So many tries were asked for, not so much time.
                Duration::MAX
            }
            (Trouble::Lost(_), false) => {
                if self.since == now {
                    self.since = self.began;
                }
                work.common.wait
            }
            // Too much at once, or the same request on another connection.
            (Trouble::No(Refusal::Busy, _), _) => work.common.wait,
            _ => return Err(trouble),
        };
        let pause = pause(self.failures, matches!(trouble, Trouble::Lost(_)));
        if now.duration_since(self.since).saturating_add(pause) >= bound {
            return Err(trouble);
        }
        self.failures += 1;
        let error = trouble.into_error();
        let text = format!("{}; trying again", error.message);
        // Of a fleet there would be hundreds of such lines.
        if self.failures == 3 && work.targets.len() == 1 {
            teller.note(text);
        } else {
            teller.detail(text);
        }
        // Ctrl-C wakes who sleeps, once: what is still tried then is tried calmly.
        if work.stop.is_set() {
            std::thread::sleep(pause);
        } else {
            work.stop.sleep(pause);
        }
        Ok(())
    }
}

/// A broken connection is made again at once; then a second apart, then slower.
fn pause(failures: u32, broken: bool) -> Duration {
    match failures {
        0 if broken => Duration::ZERO,
        0..=5 => Duration::from_secs(1),
        6..=9 => Duration::from_secs(1 << (failures - 5)),
        _ => Duration::from_secs(15),
    }
}

/// Does something on a session that does no harm when it is done twice; tries
/// again as [`Patience`] has it.
///
/// # Errors
/// The last trouble.
pub(crate) fn ask<'a, T>(
    work: &'a Work,
    teller: &Teller,
    mut request: impl FnMut(&mut Session<'a>) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let target = &work.targets[teller.target];
    let mut patience = Patience::new();
    loop {
        if work.stop.is_set() {
            return Err(Trouble::Here(Error::new(Exit::Cancelled, &target.address, "cancelled")));
        }
        let deadline = patience.deadline(work);
        let result =
            Session::open(&work.caller, target, patience.wait(work)).and_then(|mut session| {
                patience.met();
                teller.peer.set(session.peer());
                session.set_deadline(deadline);
                let answer = request(&mut session)?;
                session.close();
                Ok(answer)
            });
        match result {
            Ok(answer) => return Ok(answer),
            Err(trouble) => patience.after(work, teller, trouble)?,
        }
    }
}

/// The outcome of a trouble before any job was accepted.
pub(crate) fn failed(work: &Work, trouble: Trouble) -> Outcome {
    let (kind, origin) = match &trouble {
        Trouble::No(refusal, _) => (Kind::No(*refusal), Origin::Tentacle),
        Trouble::Stranger(_) => (Kind::Stranger, Origin::Tentacle),
        _ => (Kind::Failed, Origin::Octopus),
    };
    if work.stop.is_set() {
        return Outcome::skipped("cancelled before it was done");
    }
    Outcome::error(kind, origin, trouble.into_error())
}

/// The words for a limit that is over.
pub(crate) fn over_limit(work: &Work) -> String {
    format!("not over within --limit {}", human_duration(work.common.limit.unwrap_or_default()))
}
