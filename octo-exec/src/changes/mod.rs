//! What a held deployment would change, for who approves it: computed beside the release that
//! is current, when the job becomes held and again where that is another one by then. It
//! changes nothing of the hold, and delays nobody.

mod asking;
pub(crate) mod compare;
mod conf;
mod deployment;
mod diff;
mod former;
mod notify;
mod package;

use crate::admission::admit::admit;
use crate::admission::unstarted::Unstarted;
use crate::enter::identity::Identity;
use crate::job::forward;
use crate::job::prepare::user;
use crate::releases::asking as looking;
use deployment::Deployment;
use octo_core::Digest;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::utc_now;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::tentacle::changes::{Changes, Compared, LARGEST};
use octo_core::tentacle::job::{JobDirectory, State};
use octo_core::tentacle::layout::{self, Owner};
use octo_core::tentacle::releases::{Directory, Looked};
use octo_core::tentacle::store::{Handed, Store};
use octo_core::trust::Grant;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::path::Path;

/// The record, in the job's directory.
const CHANGES: &str = "changes";
/// As long as a record of a hold may be, in bytes.
const LARGEST_HOLD: u64 = 1 << 20;
/// So much is said about what can't be compared, in characters.
const LONGEST_REASON: usize = 1000;
/// One of many held jobs is compared at a time.
const LOCK: &str = "changes";

/// `octo-exec announce JOB`: for a job that has become held.
pub(crate) fn announce(said: &Said, places: &Places) -> Result<u8> {
    let id = said.job_id(&said.counted(1..=1)?[0])?;
    let job = JobDirectory::of(places, &id);
    forward::lead();
    if !job.exists() || job.state()? != State::Held {
        return Ok(0);
    }
    std::thread::scope(|threads| {
        let tool = said.tool();
        // Neither waits for the other.
        let thread = std::thread::Builder::new().name("notify".into());
        let started = thread.spawn_scoped(threads, || notify::notify(tool, places, &job));
        if let Err(error) = started {
            tool.report(&Error::new(Exit::Temporary, "a thread", describe(&error)));
        }
        compute(places, &job)
    })
}

fn compute(places: &Places, job: &JobDirectory) -> Result<u8> {
    let _turn = layout::lock(places, LOCK)?;
    if let Some(asked) = Asked::of(places, job)?
        && job.state()? == State::Held
    {
        asked.renew(places, job)?;
    }
    Ok(0)
}

/// The record as it is, if there is one of this hold.
///
/// # Errors
/// Where it can't be read.
pub(crate) fn recorded(job: &JobDirectory) -> Result<Option<Changes>> {
    let bytes = job.read(CHANGES, LARGEST as u64)?;
    let changes = bytes.and_then(|bytes| Changes::parse(&bytes).ok());
    let held = hold_of(job)?;
    Ok(changes.filter(|changes| held.is_some() && changes.held == held))
}

/// Which hold it is, by all of its record. Who was told of another, or shown its changes,
/// knows nothing of this one.
fn hold_of(job: &JobDirectory) -> Result<Option<Digest>> {
    Ok(job.read("held", LARGEST_HOLD)?.map(|bytes| Digest::of(&bytes)))
}

/// The record of a held job as it has to be now; who may not write it gets it as it is.
///
/// # Errors
/// Where the job can't be read.
pub(crate) fn up_to_date(places: &Places, job: &JobDirectory) -> Result<Option<Changes>> {
    let is_ours = layout::executor(places) == Owner::this_process();
    if !is_ours || layout::check_executor(places).is_err() {
        return recorded(job);
    }
    match Asked::of(places, job)? {
        Some(asked) => asked.renew(places, job),
        None => Ok(None),
    }
}

/// A held deployment, and as whom its application is looked at.
struct Asked {
    /// The hold that was there before it was asked what it is of.
    held: Option<Digest>,
    deployment: Deployment,
    /// Or why nobody may look.
    wanted: std::result::Result<(Identity, Grant), String>,
}

impl Asked {
    /// `None` for a job that deploys nothing.
    fn of(places: &Places, job: &JobDirectory) -> Result<Option<Asked>> {
        let (held, (spec, _)) = (hold_of(job)?, job.spec()?);
        let sent = ["spec", "script", "stdin", "secrets"].map(|name| job.file(name).metadata());
        let size = sent.iter().flatten().map(std::fs::Metadata::len).sum();
        // One that may not run any more shows nothing of this machine.
        let Ok(grant) = admit(places, &job.origin()?, &spec, size, false) else { return Ok(None) };
        let Some(said) = deployment::of(&spec, &grant) else { return Ok(None) };
        let deployment = match said {
            Ok(deployment) => deployment,
            Err(why) => {
                let Some((package, _)) = spec.package else { return Ok(None) };
                let blank = String::new;
                let (application, version, base) = (blank(), blank(), blank());
                let deployment = Deployment { application, version, base, package };
                return Ok(Some(Asked { held, deployment, wanted: Err(why) }));
            }
        };
        let wanted = identity(places, &grant).map(|identity| (identity, grant));
        Ok(Some(Asked { held, deployment, wanted }))
    }

    /// Computes it, unless what is recorded still holds; `None` where it is held for
    /// something else by now.
    fn renew(&self, places: &Places, job: &JobDirectory) -> Result<Option<Changes>> {
        if let Some(changes) = recorded(job)?
            && self.holds(places, &changes)
        {
            return Ok(Some(changes));
        }
        let held = self.held;
        let Deployment { application, version, base, package } = self.deployment.clone();
        let short = |why: String| why.chars().take(LONGEST_REASON).collect();
        let outcome = self.compared(places).map_err(short);
        let at = utc_now();
        let changes = Changes { application, version, base, package, at, held, outcome };
        if hold_of(job)? != held {
            return Ok(None);
        }
        job.publish_bytes(CHANGES, changes.encode().as_bytes())?;
        Ok(Some(changes))
    }

    /// Is it of this hold and this deployment, and what it was compared with still current?
    fn holds(&self, places: &Places, changes: &Changes) -> bool {
        let Changes { application, version, base, package, held, .. } = changes;
        let of = Deployment {
            application: application.clone(),
            version: version.clone(),
            base: base.clone(),
            package: *package,
        };
        if of != self.deployment || *held != self.held {
            return false;
        }
        let (Ok(compared), Ok((identity, _))) = (&changes.outcome, &self.wanted) else {
            return false;
        };
        let Some(directory) = self.directory() else { return false };
        let answers = looking::ask(places, identity, std::slice::from_ref(&directory));
        let looked = answers.ok().and_then(|answers| answers.into_iter().next().flatten());
        let looked = looked.unwrap_or_else(|| Looked::Failed("no answer".into()));
        let Ok(now) = former::current(&directory, looked) else { return false };
        let known = |current: &octo_core::tentacle::changes::Current| {
            (current.release.clone(), current.number, current.package)
        };
        now.as_ref().map(known) == compared.current.as_ref().map(known)
    }

    fn directory(&self) -> Option<Directory> {
        let path = Path::new(&self.deployment.base).join(&self.deployment.application);
        Directory::parse(path.to_str()?)
    }

    fn compared(&self, places: &Places) -> std::result::Result<Compared, String> {
        let (identity, grant) = self.wanted.as_ref().map_err(Clone::clone)?;
        let package = self.package(places, grant).map_err(|error| error.message)?;
        let package = package.ok_or("its package is not there any more")?;
        asking::ask(places, identity, &self.deployment, package)
    }

    /// The package, where it lies: in our store, or in the listener's.
    fn package(&self, places: &Places, grant: &Grant) -> Result<Option<File>> {
        let (store, digest) = (Store::open(places)?, &self.deployment.package);
        if store.holds(digest, grant.who())?.is_none() {
            return Ok(Handed::open(places, digest, grant.who())?.map(Handed::into_file));
        }
        let path = store.path(digest);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::empty());
        opened.map(|file| Some(File::from(file))).map_err(|e| Error::io(&path, &e.into()))
    }
}

/// As whom the job would run.
fn identity(places: &Places, grant: &Grant) -> std::result::Result<Identity, String> {
    let user = user::of_job(grant.user.as_deref()).map_err(|error| error.message)?;
    let identity = user::identity(&user).map_err(|error| error.message)?;
    match user::keep_apart(places, &user, &identity) {
        Ok(()) => Ok(identity),
        Err(Unstarted::Over(end)) => Err(end.reason.unwrap_or_default()),
        Err(Unstarted::Failed(error)) => Err(error.message),
        Err(Unstarted::Held) => Err(describe(&std::io::ErrorKind::Other.into())),
    }
}
