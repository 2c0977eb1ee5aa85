//! Publishing a job: all of its files, then one rename. Exactly once an id.

use super::record::{self, RECORD};
use super::{JobDirectory, Origin, is_pruned};
use crate::base::error::{Error, Result};
use crate::base::names::JobId;
use crate::base::paths::Places;
use crate::base::publish::{self, Readers, TEMPORARY_PREFIX, sync_directory};
use crate::tentacle::statement::Signed;
use crate::tentacle::{layout, underway};
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// Who makes and who sweeps jobs lock this.
const LOCK: &str = "jobs";

/// A spec of so many bytes at most is in the record; a longer one would take twice the room,
/// and is brought to the disk as the file that it is.
const IN_RECORD: usize = 16 * 1024;

/// What a job is published from; the bytes were checked against the spec.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'a> {
    /// Its id, chosen by who starts it.
    pub id: &'a JobId,
    /// Who asks.
    pub origin: &'a Origin,
    /// What proves that; a job by hand has none.
    pub request: Option<Signed<'a>>,
    /// The spec, byte for byte.
    pub spec: &'a [u8],
    /// The script's bytes, where it is sent.
    pub script: Option<&'a [u8]>,
    /// The standard input, where it has one.
    pub stdin: Option<&'a [u8]>,
    /// The secrets' body, where there is one.
    pub secrets: Option<&'a [u8]>,
}

/// What became of it.
#[derive(Debug, Clone)]
pub enum Published {
    /// It is there now, durably, and to be started.
    New(JobDirectory),
    /// The id was there before; whose it is and with which spec is to be seen.
    Exists(JobDirectory),
    /// The id ran long ago and was pruned: it must not run again.
    Pruned,
}

impl NewJob<'_> {
    /// Publishes the job.
    ///
    /// # Errors
    /// Exit 73, 74, or 78 where STATE is another user's; nothing of the job is then visible.
    pub fn publish(&self, places: &Places) -> Result<Published> {
        let jobs = places.jobs();
        layout::make(places)?;
        // Held, shared, until this is over: `sweep` takes what nobody is making.
        let making = layout::lock_file(places, LOCK)?;
        making.lock_shared().map_err(|e| Error::doing("lock", &jobs, &e))?;
        let job = JobDirectory::of(places, self.id);
        if job.exists() {
            return Ok(Published::Exists(job));
        }
        if is_pruned(places, self.id)? {
            return Ok(Published::Pruned);
        }
        let failed = |e: io::Error| Error::doing("create a job in", &jobs, &e);
        let staged =
            tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir_in(&jobs).map_err(failed)?;
        let group = jobs.metadata().map_err(failed)?.gid();
        self.fill(staged.path(), group).map_err(failed)?;
        // Before the job is there: who counts those that are under way would miss it.
        underway::add(places, self.id)?;
        // rename(2) onto a directory that holds files fails: the id is claimed once.
        match std::fs::rename(staged.path(), job.path()) {
            Ok(()) => drop(staged.keep()),
            Err(_) if job.exists() => return Ok(Published::Exists(job)),
            Err(error) => return Err(Error::doing("create", job.path(), &error)),
        }
        sync_directory(&jobs)?;
        // Between the first look and the rename an older job of this id may
        // have been pruned away.
        if is_pruned(places, self.id)? {
            publish::remove_from(&jobs, self.id.as_str().as_ref(), publish::SWEEP)
                .map_err(|e| Error::io(job.path(), &e))?;
            return Ok(Published::Pruned);
        }
        Ok(Published::New(job))
    }

    fn fill(&self, directory: &Path, group: u32) -> io::Result<()> {
        let record = Readers::of_group(0o640, group);
        let write = |name: &str, bytes: &[u8], readers: Readers| {
            create(&directory.join(name), readers).and_then(|mut file| {
                file.write_all(bytes)?;
                Ok(file)
            })
        };
        let origin = self.origin.record().encode();
        let mut parts = vec![("origin", origin.as_bytes())];
        match self.spec.len() <= IN_RECORD {
            true => parts.push(("spec", self.spec)),
            false => write("spec", self.spec, record)?.sync_all()?,
        }
        if let Some(Signed { statement, signature, certificate }) = self.request {
            parts.push(("request", statement));
            parts.push(("request.sig", signature));
            parts.push(("request.crt", certificate));
        }
        let kept = write(RECORD, &record::encode(&parts), record)?;
        for (name, part) in parts {
            write(name, part, record)?;
        }
        // The job's user gets it when the job starts.
        if let Some(script) = self.script {
            write("script", script, 0o400.into())?.sync_all()?;
        }
        if let Some(stdin) = self.stdin {
            write("stdin", stdin, 0o600.into())?.sync_all()?;
        }
        if let Some(secrets) = self.secrets {
            write("secrets", secrets, 0o600.into())?.sync_all()?;
        }
        // Only octo-exec may run the job, or keep others from that.
        create(&directory.join("lock"), 0o600.into())?;
        let opened = File::open(directory)?;
        if opened.metadata()?.gid() != group {
            std::os::unix::fs::fchown(&opened, None, Some(group))?;
        }
        // The job's user passes through, and lists nothing.
        opened.set_permissions(std::fs::Permissions::from_mode(0o751))?;
        // Right behind each other: most of the second is done by the first.
        kept.sync_all()?;
        opened.sync_all()
    }
}

/// Removes what killed publishers and prunings left in STATE/jobs, unless
/// somebody publishes right now: then the next sweep does, and this says false. It may
/// hold secrets. It takes no longer than that.
///
/// # Errors
/// Exit 74 where the lock can't be opened or taken.
pub fn sweep(places: &Places, patience: Duration) -> Result<bool> {
    let jobs = places.jobs();
    if !jobs.is_dir() {
        return Ok(true);
    }
    layout::make(places)?;
    let lock = layout::lock_file(places, LOCK)?;
    let left = match lock.try_lock() {
        Ok(()) => {
            forget_unpublished(places)?;
            publish::left_in(&jobs)
        }
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(Error::doing("sweep", &jobs, &error)),
    };
    // A job's daemon may be adding to what was pruned: no job is to wait for that.
    drop(lock);
    publish::remove_left(&jobs, &left, patience);
    Ok(true)
}

/// Drops the names of jobs that nobody publishes and that are not there, while nobody can.
fn forget_unpublished(places: &Places) -> Result<()> {
    for id in underway::listed(places)? {
        if !JobDirectory::of(places, &id).exists() {
            underway::remove(places, &id)?;
        }
    }
    Ok(())
}

/// Under its own name at once: nobody sees the directory yet.
fn create(path: &Path, readers: Readers) -> io::Result<File> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    readers.give(&file)?;
    Ok(file)
}
