//! `octo-exec take JOB`: makes a job of what a listener spooled, and brings it forward.
//!
//! Calling it again is always safe. What is refused gets a note in STATE/refused; what
//! fails by this machine's trouble is left where it is, and whoever called tries again.

mod room;
mod verify;

use crate::job::entering::Entering;
use crate::job::forward;
use crate::seal;
use octo_core::Digest;
use octo_core::base::cli::options::{OptionGroup, Said, flag};
use octo_core::base::cli::{Tool, utc_now};
use octo_core::base::descriptors;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::JobId;
use octo_core::base::no_core;
use octo_core::base::paths::Places;
use octo_core::tentacle::account;
use octo_core::tentacle::audit::Audit;
use octo_core::tentacle::job::{End, JobDirectory, NewJob, Origin, Published, Refused, refuse};
use octo_core::tentacle::layout::{self, Side};
use octo_core::tentacle::spec::Script;
use octo_core::tentacle::spec::sent::SentParts;
use octo_core::tentacle::spool::{Entry, EntryName, ReadEntry, Spool};
use octo_core::tentacle::statement::Asks;
use octo_core::trust::Grant;
use room::room_for;
use rustix::fs::{Mode, OFlags};
use std::cell::Cell;
use std::path::Path;
use verify::{Signer, Unverified, claimed, verify};

pub(crate) static TAKE: OptionGroup = OptionGroup {
    title: "take",
    rows: &[flag("", "announced", "what is to be taken is there at the end of standard input")],
};

/// The verb.
pub(crate) fn take(said: &Said, places: &Places) -> Result<u8> {
    let words = said.counted(1..=2)?;
    let id = said.job_id(&words[0])?;
    let (tool, job) = (said.tool(), JobDirectory::of(places, &id));
    let taking = Taking { tool, places, id: &id, job, begun: Cell::default() };
    if let Some(why) = words.get(1) {
        return taking.give_up(why);
    }
    forward::lead();
    if said.flag("announced") {
        await_entry()?;
    }
    let refused = match taking.job.exists() {
        true => forward::make_durable(places, &id).map(|()| None)?,
        false => taking.request()?,
    };
    taking.cancel()?;
    taken();
    match refused {
        Some(end) => Ok(end.kind.exit_status()),
        None if taking.job.exists() => {
            forward::forward(tool, places, &taking.job, taking.begun.take())
        }
        None => {
            let reason = "is neither in the spool nor a job";
            Err(Error::new(Exit::Data, format!("job {id}"), reason))
        }
    }
}

/// The entry is there at the end of our input; or nobody is left to put it there.
fn await_entry() -> Result<()> {
    let failed = |error| Error::io(Path::new("standard input"), &error);
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).map_err(failed)?;
    descriptors::stdin_is_null().map_err(failed)
}

/// Whoever started us waits for the end of our standard output: what we were started
/// for lies in STATE/jobs or STATE/refused from now on, whatever becomes of us.
fn taken() {
    if let Ok(null) = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        // It stays open at worst, and our starter waits for our end.
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

/// Why something of the spool is not taken.
enum Not {
    /// For good.
    Refused(Unverified),
    /// This machine's trouble: another try may pass.
    Failed(Error),
}

impl From<Unverified> for Not {
    fn from(unverified: Unverified) -> Not {
        Not::Refused(unverified)
    }
}

impl From<Error> for Not {
    fn from(error: Error) -> Not {
        Not::Failed(error)
    }
}

struct Taking<'a> {
    tool: &'a Tool,
    places: &'a Places,
    id: &'a JobId,
    job: JobDirectory,
    /// What becomes its script, started while it is published. Dropped, it ends.
    begun: Cell<Option<Entering>>,
}

impl Taking<'_> {
    /// Notes of what lies in the spool that it could not be taken over.
    fn give_up(&self, why: &str) -> Result<u8> {
        layout::make(self.places)?;
        let spool = Spool::at(self.places);
        for name in [EntryName::request(self.id), EntryName::cancel(self.id)] {
            if spool.holds(&name) && !name.is_done(self.places) {
                self.refuse(&name, spool.given_up(&name, why))?;
            }
        }
        Ok(Exit::Unavailable.code())
    }

    /// Makes a job of the request; the end, where it is refused.
    fn request(&self) -> Result<Option<End>> {
        let name = EntryName::request(self.id);
        if let Some(refused) = Refused::of(self.places, self.id)? {
            return Ok(Some(refused.end));
        }
        let Some(read) = self.read(&name)? else { return Ok(None) };
        let (spec, pusher) = match &read {
            Ok(read) => (Some(Digest::of(read.entry().spec)), claimed(&read.entry())),
            Err(_) => (None, None),
        };
        let published = read
            .map_err(|end| Not::Refused(end.into()))
            .and_then(|read| self.publish(&read.entry()));
        match published {
            Ok(()) => Ok(None),
            Err(Not::Failed(error)) => Err(error),
            Err(Not::Refused(unverified)) => {
                self.refuse(&name, Refused { pusher, spec, ..unverified.note() }).map(Some)
            }
        }
    }

    fn publish(&self, entry: &Entry<'_>) -> std::result::Result<(), Not> {
        let asks = Asks::Request(Digest::of(entry.spec));
        let verified = verify(self.places, entry, self.id, asks)?;
        let (until, name) = (verified.statement.until, verified.grant.name.clone());
        let signer = Box::new(Signer { until, name });
        let refused = |exit, reason: &str| {
            let end = Box::new(End::denied(exit, reason));
            let signer = Some(signer.clone());
            Not::Refused(Unverified { end, signer })
        };
        let sent = SentParts::check(entry.spec, entry.script, entry.stdin, entry.secrets)
            .map_err(|error| refused(error.refusal.exit(), &error.reason))?;
        // Held until the job is there, and counts.
        let _counted = match room_for(self.places, &verified.grant, &sent)? {
            // Another of us was faster, and what takes the room is this very job.
            Err(no) if !self.job.exists() => return Err(refused(no.refusal.exit(), &no.reason)),
            counted => counted.ok(),
        };
        let origin = Origin {
            pusher: Some(verified.pusher),
            by: verified.statement.by,
            received: utc_now(),
        };
        self.begin(&verified.grant, &sent);
        let SentParts { bytes: spec, script, stdin, secrets, .. } = sent;
        let request = Some(entry.signed);
        let id = self.id;
        let new = NewJob { id, origin: &origin, request, spec, script, stdin, secrets };
        match new.publish(self.places)? {
            Published::New(_) => Ok(()),
            // Another of us was faster.
            Published::Exists(job) if job.spec_bytes()? == spec => {
                Ok(forward::make_durable(self.places, self.id)?)
            }
            Published::Exists(_) => Err(refused(Exit::Data, "the job is there with another spec")),
            Published::Pruned => Err(refused(Exit::Data, "the job ran, and was pruned")),
        }
    }

    /// Has what becomes its script started, unless it is to wait. Where it can't be, it is
    /// tried again when it is needed, and that is told.
    fn begin(&self, grant: &Grant, sent: &SentParts<'_>) {
        let is_order = matches!(sent.spec.script, Script::Order(_));
        if grant.hold > 0 || is_order || !sent.spec.locks.is_empty() {
            return;
        }
        if sent.secrets.is_some() {
            // Before there is a child: it has it from us.
            no_core::of_us_and_our_children();
        }
        self.begun.set(Entering::begin(self.places, &self.job, grant.resources).ok());
    }

    /// Has the job cancelled, if that is asked for and may be.
    fn cancel(&self) -> Result<()> {
        let name = EntryName::cancel(self.id);
        if name.is_done(self.places) {
            return Ok(());
        }
        let Some(read) = self.read(&name)? else { return Ok(()) };
        let pusher = read.as_ref().ok().and_then(|read| claimed(&read.entry()));
        let cancelled = read
            .map_err(|end| Not::Refused(end.into()))
            .and_then(|read| self.publish_cancel(&read));
        match cancelled {
            Ok(()) => Ok(()),
            Err(Not::Failed(error)) => Err(error),
            Err(Not::Refused(unverified)) => {
                self.refuse(&name, Refused { pusher, ..unverified.note() }).map(drop)
            }
        }
    }

    fn publish_cancel(&self, read: &ReadEntry) -> std::result::Result<(), Not> {
        let entry = read.entry();
        let grant = verify(self.places, &entry, self.id, Asks::Cancel)?.grant;
        if !self.job.exists() || !grant.sees(self.job.owner()?.as_ref()) {
            let reason = format!("no job {} of {} here", self.id, grant.name);
            return Err(Not::Refused(End::denied(Exit::Data, reason).into()));
        }
        let signed = entry.signed;
        for (file, bytes) in [
            ("cancel.request", signed.statement),
            ("cancel.request.sig", signed.signature),
            ("cancel.request.crt", signed.certificate),
        ] {
            self.add(file, bytes)?;
        }
        let address = entry.address.map_or("stdin".to_string(), |address| address.to_string());
        Ok(self.job.cancel(&format!("{} ({address})", grant.name))?)
    }

    /// Whoever ends the job right now sweeps its directory, once: what was in the making
    /// is gone then, and is made anew. A job that is over needs it no more.
    fn add(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let add = || self.job.publish_bytes(file, bytes);
        match add().or_else(|_| add()) {
            Err(_) if matches!(self.job.end(), Ok(Some(_))) => Ok(()),
            added => added,
        }
    }

    /// An entry, if there is one; what can't be one is refused.
    fn read(&self, name: &EntryName) -> Result<Option<std::result::Result<ReadEntry, End>>> {
        match Spool::at(self.places).read(name) {
            Ok(read) => Ok(read.map(Ok)),
            Err(error) if error.exit == Exit::Data => {
                Ok(Some(Err(End::denied(Exit::Data, error.message))))
            }
            Err(error) => Err(error),
        }
    }

    fn refuse(&self, name: &EntryName, mut refused: Refused) -> Result<End> {
        let reason = refused.end.reason.clone().unwrap_or_default();
        self.tool.report(&Error::new(Exit::Refused, format!("{name}: refused"), &reason));
        if !name.is_cancel && refused.is_lasting() {
            // Of anything else the note may go, and the request that was meant run after all.
            // Where this machine has no thumbprint to seal for, that is why it is refused.
            let sealed = seal::of_refused(self.places, self.id, &refused.end, refused.spec);
            refused.sealed = sealed.ok();
        }
        let code = refused.end.kind.code().to_string();
        let entry = name.to_string();
        let claims = refused.pusher.map(|pusher| pusher.to_string());
        let mut fields = vec![("entry", entry.as_str()), ("code", &code), ("reason", &reason)];
        fields.extend(claims.as_deref().map(|pusher| ("claims", pusher)));
        let counted = account::add_note(self.places, refused.name.as_ref(), &entry)?;
        // First: as long as this fails it is tried again, and would fill the audit log.
        refuse(self.places, &entry, &refused)?;
        drop(counted);
        // A job that can't be recorded doesn't run; one that doesn't run is told all the same.
        if let Err(error) = Audit::of(Side::Executor, self.places).append("refused", &fields) {
            self.tool.report(&error);
        }
        Ok(refused.end)
    }
}
