//! What all connections of a listener share, and how it judges a request.

use crate::launcher::Launcher;
use crate::log::Log;
use octo_core::base::paths::Places;
use octo_core::tentacle::audit::{Audit, Head};
use octo_core::tentacle::job::{JobDirectory, State};
use octo_core::tentacle::store::Store;
use octo_core::trust::{Denial, Grant, Question, RunQuestion, StartedBy, Trust, Verb};
use octo_core::{Exit, PusherName, Refusal, Result, Thumbprint};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

/// The listener's possessions.
pub(crate) struct Host {
    pub(crate) places: Places,
    pub(crate) store: Store,
    pub(crate) audit: Audit,
    pub(crate) launcher: Launcher,
    pub(crate) log: Log,
    /// Who starts jobs where CONFIG/start doesn't say otherwise.
    own_user: StartedBy,
    /// Jobs that are judged and not published yet, by pusher.
    submitting: Mutex<HashMap<PusherName, u64>>,
}

/// Who is at the other end: the handshake let it in.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) thumbprint: Thumbprint,
    pub(crate) address: Option<IpAddr>,
    /// Does the audit log have it that this connection was accepted?
    pub(crate) recorded: AtomicBool,
}

/// What is known about a request besides its verb.
#[derive(Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) size: Option<u64>,
    pub(crate) jobs: Option<u64>,
    pub(crate) run: Option<RunQuestion<'a>>,
}

/// A no, and what else the pusher is told with it.
#[derive(Debug)]
pub(crate) struct No {
    pub(crate) refusal: Refusal,
    pub(crate) reason: String,
    /// The line of the trust file that decided, for our own records.
    pub(crate) line: Option<usize>,
    /// When a window opens, RFC 3339.
    pub(crate) opens: Option<String>,
    /// The head of the audit log.
    pub(crate) head: Option<Head>,
}

impl Host {
    pub(crate) fn new(places: Places, store: Store, launcher: Launcher, log: Log) -> Host {
        let audit = Audit::at(&places);
        let own_user = StartedBy::this_process();
        let submitting = Mutex::default();
        Host { places, store, audit, launcher, log, own_user, submitting }
    }

    /// Who starts jobs, for the trust file's user=.
    pub(crate) fn starts_as(&self) -> StartedBy {
        match StartedBy::is_elsewhere(&self.places) {
            true => StartedBy::Elsewhere,
            false => self.own_user.clone(),
        }
    }

    /// May this peer, by the trust file as it now is, and with what?
    pub(crate) fn judge(
        &self,
        peer: &Peer,
        verb: Verb,
        asked: Asked<'_>,
    ) -> std::result::Result<Grant, No> {
        let trust = Trust::load(&self.places.trusted()).map_err(|error| {
            self.log.error(&error);
            No::new(Refusal::Policy, "the tentacle's trust file is unsound: ask its admin")
        })?;
        let now = trust.now();
        let mut question = Question::new(peer.thumbprint, peer.address, &now, verb);
        question.size = asked.size;
        question.jobs = asked.jobs;
        question.run = asked.run;
        Ok(trust.decide(&question)?)
    }

    /// The job of this id, if the grant may see it. What it may not see is as if
    /// it were not there.
    pub(crate) fn visible(
        &self,
        grant: &Grant,
        id: &octo_core::JobId,
    ) -> std::result::Result<JobDirectory, No> {
        let job = JobDirectory::of(&self.places, id);
        if job.exists() {
            let owner = self.log.ok(job.owner()).flatten();
            if grant.sees(owner.as_ref()) {
                return Ok(job);
            }
        }
        Err(No::new(Refusal::Missing, format!("no job {id} of {} here", grant.name)))
    }

    /// Has a job started. Where that fails, its followers try again, and so does the
    /// next listener.
    pub(crate) fn start(&self, job: &JobDirectory) {
        self.log.ok(self.launcher.start(job));
    }

    /// Has a job started for which nobody works: one that should have been started,
    /// or has to be ended.
    pub(crate) fn push_on(&self, job: &JobDirectory, state: &State) {
        if matches!(state, State::Queued | State::Held | State::Lost) {
            self.start(job);
        }
    }

    /// The pusher's jobs that are not over, on the disk and on their way there.
    /// Until the result is dropped they are one more.
    pub(crate) fn submit(&self, pusher: &PusherName) -> Result<Submission<'_>> {
        let mut submitting = self.submitting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut jobs = submitting.get(pusher).copied().unwrap_or(0);
        for job in JobDirectory::all(&self.places)? {
            // Looked at first, as it is cheap: most jobs are over.
            if !job.file("end").exists() && job.owner().is_ok_and(|o| o.as_ref() == Some(pusher)) {
                jobs += 1;
            }
        }
        *submitting.entry(pusher.clone()).or_default() += 1;
        Ok(Submission { host: self, pusher: pusher.clone(), jobs })
    }
}

/// A job on its way to the disk.
pub(crate) struct Submission<'a> {
    host: &'a Host,
    pusher: PusherName,
    /// How many others the pusher has.
    pub(crate) jobs: u64,
}

impl Drop for Submission<'_> {
    fn drop(&mut self) {
        let mut submitting = self.host.submitting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = submitting.get_mut(&self.pusher) {
            *count -= 1;
            if *count == 0 {
                submitting.remove(&self.pusher);
            }
        }
    }
}

impl No {
    /// A reason fits a line of the wire and of the log, whatever it quotes.
    pub(crate) fn new(refusal: Refusal, reason: impl Into<String>) -> No {
        let reason = shortened(reason.into());
        No { refusal, reason, line: None, opens: None, head: None }
    }

    /// What failed here: the log has it all, the pusher is told the kind.
    pub(crate) fn failed(host: &Host, error: &octo_core::Error) -> No {
        host.log.error(error);
        let later = error.exit == Exit::Temporary;
        No::new(if later { Refusal::Busy } else { Refusal::Io }, error.message.clone())
    }
}

impl From<Denial> for No {
    fn from(denial: Denial) -> No {
        No {
            refusal: denial.refusal,
            reason: shortened(denial.reason),
            line: denial.line,
            opens: denial.opens.map(|at| octo_core::base::cli::utc(at.timestamp())),
            head: None,
        }
    }
}

fn shortened(mut reason: String) -> String {
    const LONGEST: usize = 1000;
    if let Some((end, _)) = reason.char_indices().nth(LONGEST) {
        reason.truncate(end);
        reason.push('…');
    }
    reason
}

impl Peer {
    pub(crate) fn new(thumbprint: Thumbprint, address: Option<IpAddr>) -> Peer {
        let address = address.map(|address| address.to_canonical());
        Peer { thumbprint, address, recorded: AtomicBool::new(false) }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(out, "{address}"),
            None => write!(out, "stdin"),
        }
    }
}
