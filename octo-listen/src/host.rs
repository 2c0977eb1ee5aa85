//! What all connections of a listener share, and how it judges a request.

use crate::chatter::Chatter;
use crate::log::Log;
use crate::starter::Starter;
use crate::starter::janitor::Janitor;
use crate::verbs::put::turns::Turns;
use crate::verbs::releases::freshness::Freshness;
use octo_core::base::paths::Places;
use octo_core::base::watches::Watches;
use octo_core::tentacle::account::{Coming, of_new_job};
use octo_core::tentacle::audit::{Audit, Head};
use octo_core::tentacle::job::{self, JobDirectory, Refused, State};
use octo_core::tentacle::layout::{self, Side};
use octo_core::tentacle::spec::SpecError;
use octo_core::tentacle::spool::{EntryName, Spool};
use octo_core::tentacle::store::{Store, StoreError};
use octo_core::trust::file::cached::CachedTrust;
use octo_core::trust::{Denial, Grant, Question, RunQuestion, StartedBy, Trust, Verb};
use octo_core::{Digest, Exit, JobId, PusherName, Refusal, Result, Thumbprint, VariableName};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// The listener's possessions.
pub(crate) struct Host {
    pub(crate) places: Places,
    /// Whom this machine trusts.
    pub(crate) trust: CachedTrust,
    /// What is put: octo-exec's own store, where that is this user's too.
    pub(crate) store: Store,
    /// What octo-exec has taken over already, where it is another user.
    pub(crate) taken: Option<Store>,
    /// Who decodes the segments of packages.
    pub(crate) turns: Turns,
    pub(crate) spool: Spool,
    /// The listener's own chain, and that of octo-exec, which is only read.
    pub(crate) audit: Arc<Audit>,
    pub(crate) exec_audit: Audit,
    pub(crate) chatter: Chatter,
    pub(crate) starter: Starter,
    pub(crate) janitor: Arc<Janitor>,
    /// Who looks at the journals of what is released.
    pub(crate) freshness: Freshness,
    /// What wakes whoever follows a job.
    pub(crate) watches: Option<Arc<Watches>>,
    pub(crate) log: Log,
    /// Who starts jobs, for the trust file's user=.
    pub(crate) started_by: StartedBy,
    /// Jobs that are judged and not spooled yet, and their sizes, by pusher: what one keeps
    /// may take long to look at, and holds up nobody else.
    pub(crate) submitting: Mutex<HashMap<PusherName, Arc<Mutex<Coming>>>>,
}

/// Who is at the other end: the handshake let it in.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) thumbprint: Thumbprint,
    /// Its certificate, DER: it goes with each statement to octo-exec.
    pub(crate) certificate: Vec<u8>,
    /// As whom it knows us on this connection.
    pub(crate) tentacle: Thumbprint,
    pub(crate) address: Option<IpAddr>,
    /// Does the audit log have it that this connection was accepted?
    pub(crate) recorded: AtomicBool,
    /// Was something of it counted, that is recorded later?
    pub(crate) counted: AtomicBool,
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
    /// Keys of the reply besides: when a window opens, which variables are refused.
    pub(crate) also: Vec<(&'static str, String)>,
    /// The head of the audit log.
    pub(crate) head: Option<Head>,
}

impl Host {
    /// The possessions of a listener in these places, which must be there.
    ///
    /// # Errors
    /// Exit 73 where it can't make what is its own, 69 where octo-exec's is missing.
    pub(crate) fn open(
        places: &Places,
        starter: Starter,
        watches: Option<Arc<Watches>>,
        log: Log,
    ) -> Result<Host> {
        let is_separated = layout::is_separated(places);
        let store = match is_separated {
            true => Store::of_listener(places).with_directories()?,
            false => Store::open(places)?,
        };
        if !is_separated {
            // Before anybody asks about a job; octo-exec does it where it is another user.
            job::restore(places)?;
        }
        let stores = is_separated.then(|| (store.clone(), Store::at(places)));
        let audit = Arc::new(Audit::of(Side::Listener, places));

        Ok(Host {
            chatter: Chatter::new(&audit, log),
            audit,
            store,
            taken: is_separated.then(|| Store::at(places)),
            turns: Turns::default(),
            spool: Spool::at(places),
            exec_audit: Audit::of(Side::Executor, places),
            starter,
            janitor: Arc::new(Janitor::new(watches.as_ref(), places, stores, log)?),
            freshness: Freshness::default(),
            watches,
            log,
            started_by: StartedBy::at(places),
            trust: CachedTrust::of(&places.trusted()),
            submitting: Mutex::default(),
            places: places.clone(),
        })
    }

    /// The head of octo-exec's chain, for a reply.
    pub(crate) fn exec_head(&self) -> Option<Head> {
        self.log.ok(self.exec_audit.head()).flatten()
    }

    /// The length of a package that this pusher may use.
    pub(crate) fn package(&self, digest: &Digest, grant: &Grant) -> Result<Option<u64>> {
        match self.taken_package(digest, grant)? {
            Some(size) => Ok(Some(size)),
            None => self.store.holds(digest, grant.who()),
        }
    }

    /// The same, of what octo-exec has taken over already.
    pub(crate) fn taken_package(&self, digest: &Digest, grant: &Grant) -> Result<Option<u64>> {
        let Some(taken) = &self.taken else { return Ok(None) };
        taken.holds(digest, grant.who())
    }

    /// May this peer, by the trust file as it now is, and with what?
    pub(crate) fn judge(
        &self,
        peer: &Peer,
        verb: Verb,
        asked: Asked<'_>,
    ) -> std::result::Result<Grant, No> {
        let trust = self.trust.load().map_err(|error| {
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

    /// The job of this id, if the peer may see it; it may be in the spool, or refused.
    /// What it may not see is as if it were not there.
    pub(crate) fn visible(
        &self,
        peer: &Peer,
        grant: &Grant,
        id: &JobId,
    ) -> std::result::Result<JobDirectory, No> {
        let job = JobDirectory::of(&self.places, id);
        let own = |pusher: Option<Thumbprint>| {
            grant.allow.any
                || pusher.is_some_and(|pusher| self.is_key_of(pusher, peer, &grant.name))
        };
        let request = EntryName::request(id);
        let is_seen = if job.exists() {
            let owner = self.log.ok(job.owner()).flatten();
            grant.sees(owner.as_ref())
        } else if let Some(statement) = self.spool.statement(&request) {
            own(Some(statement.pusher))
        } else {
            // It may have been taken over between the two looks.
            let refused = self.log.ok(Refused::of(&self.places, id)).flatten();
            match refused {
                Some(refused) => own(refused.pusher),
                None => job.exists() && grant.sees(self.log.ok(job.owner()).flatten().as_ref()),
            }
        };
        match is_seen {
            true => Ok(job),
            false => Err(No::new(Refusal::Missing, format!("no job {id} of {} here", grant.name))),
        }
    }

    /// Is this a key of the pusher that the peer is? It may have two, while one is renewed.
    fn is_key_of(&self, key: Thumbprint, peer: &Peer, pusher: &PusherName) -> bool {
        let is_named = |trust: Arc<Trust>| trust.of(key).any(|line| line.name == *pusher);
        key == peer.thumbprint || self.trust.load().is_ok_and(is_named)
    }

    /// The state of a job, or of what may become one.
    pub(crate) fn state(&self, job: &JobDirectory) -> Result<State> {
        if job.exists() {
            return job.state();
        }
        let refused = Refused::of(&self.places, job.id())?;
        Ok(refused.map_or(State::Queued, |refused| State::Over(refused.end)))
    }

    /// Has a job started. Where that fails, its followers try again, and so does the
    /// next listener.
    pub(crate) fn start(&self, job: &JobId) {
        self.log.ok(self.starter.start(job));
    }

    /// Has a job started for which nobody works: one that should have been started,
    /// or has to be ended.
    pub(crate) fn push_on(&self, job: &JobId, state: &State) {
        if matches!(state, State::Queued | State::Held | State::Lost) {
            self.start(job);
        }
    }

    /// What this pusher has handed over and octo-exec has not taken yet, in bytes.
    pub(crate) fn spooled(&self, peer: &Peer, pusher: &PusherName) -> Result<Coming> {
        let mut spooled = Coming::new();
        for name in self.spool.names()? {
            if name.is_cancel || name.is_done(&self.places) {
                continue;
            }
            if let Some((statement, lengths)) = self.spool.announced(&name)
                && self.is_key_of(statement.pusher, peer, pusher)
            {
                spooled.insert(name.job, of_new_job(lengths));
            }
        }
        Ok(spooled)
    }
}
impl No {
    /// A reason fits a line of the wire and of the log, whatever it quotes.
    pub(crate) fn new(refusal: Refusal, reason: impl Into<String>) -> No {
        let reason = shortened(reason.into());
        No { refusal, reason, line: None, also: Vec::new(), head: None }
    }

    /// What failed here: the log has it all, the pusher is told the kind.
    pub(crate) fn failed(host: &Host, error: &octo_core::Error) -> No {
        host.log.error(error);
        let refusal = match error.exit {
            Exit::Temporary => Refusal::Busy,
            Exit::Unavailable => Refusal::Unavailable,
            _ => Refusal::Io,
        };
        No::new(refusal, error.message.clone())
    }
}

impl From<StoreError> for No {
    fn from(error: StoreError) -> No {
        No::new(error.refusal, error.reason)
    }
}

impl From<Denial> for No {
    fn from(denial: Denial) -> No {
        let opens = denial.opens.map(|at| octo_core::base::cli::utc(at.timestamp()));
        let opens = opens.map(|at| ("opens", at));
        No {
            line: denial.line,
            also: opens.into_iter().chain(refused(&denial.variables)).collect(),
            ..No::new(denial.refusal, denial.reason)
        }
    }
}

impl From<SpecError> for No {
    fn from(error: SpecError) -> No {
        let also = refused(&error.variables).into_iter().collect();
        No { also, ..No::new(error.refusal, error.reason) }
    }
}

/// The key that lists these variables: as many as half of the longest line holds.
fn refused(names: &[VariableName]) -> Option<(&'static str, String)> {
    const LONGEST: usize = 8 << 10;
    let mut joined = String::new();
    for name in names {
        let between = if joined.is_empty() { "" } else { "," };
        if joined.len() + between.len() + name.as_str().len() > LONGEST {
            break;
        }
        joined.push_str(between);
        joined.push_str(name.as_str());
    }
    (!joined.is_empty()).then_some(("variables", joined))
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
    pub(crate) fn new(certificate: &[u8], tentacle: Thumbprint, address: Option<IpAddr>) -> Peer {
        Peer {
            thumbprint: Thumbprint::of_certificate(certificate),
            certificate: certificate.to_vec(),
            tentacle,
            address: address.map(|address| address.to_canonical()),
            recorded: AtomicBool::new(false),
            counted: AtomicBool::new(false),
        }
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use octo_core::base::cli::Tool;
    use octo_core::base::publish::replace;
    use std::path::Path;

    /// A host whose trust file has this of one pusher, `ci`, and that pusher.
    pub(crate) fn host_in(top: &Path, options: &str) -> (Host, Peer) {
        let places = Places { config: top.join("c"), state: top.join("s") };
        let log = Log::new(&Tool { name: "test", help: String::new }, false, true);
        let peer = Peer::new(b"x", Thumbprint::of_certificate(b"y"), None);
        std::fs::create_dir_all(&places.config).expect("mkdir");
        let line = format!("{} ci {options}\n", peer.thumbprint);
        replace(&places.trusted(), line.as_bytes(), 0o644).expect("write");
        let own = layout::Owner::this_process();
        layout::make(&places).and_then(|()| layout::make_for_listener(&places, own)).expect("made");
        let starter = Starter::find(&places, None, log).expect("a thread");
        (Host::open(&places, starter, None, log).expect("a host"), peer)
    }
}
