//! Publishing a job: all of its files, then one rename. Exactly once an id.

use super::{JobDirectory, JobRequest};
use crate::base::error::{Error, Result};
use crate::base::names::JobId;
use crate::base::paths::{Places, create_directory, if_there};
use crate::base::publish::{self, TEMPORARY_PREFIX, sync_directory};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A line of STATE/jobs/pruned: a job's id and LF.
const LINE: usize = 30;

/// What a job is published from; the bytes were checked against the spec.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'a> {
    /// Its id, chosen by who starts it.
    pub id: &'a JobId,
    /// Who asks.
    pub request: &'a JobRequest,
    /// The spec, byte for byte.
    pub spec: &'a [u8],
    /// The script's bytes, where it is sent.
    pub script: Option<&'a [u8]>,
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
    /// Exit 73 or 74; nothing of the job is then visible.
    pub fn publish(&self, places: &Places) -> Result<Published> {
        let jobs = places.jobs();
        create_directory(&places.state, 0o711)?;
        create_directory(&jobs, 0o711)?;
        // Held, shared, until this is over: `sweep` takes what nobody is making.
        let making = File::open(&jobs).map_err(|e| Error::io(&jobs, &e))?;
        making.lock_shared().map_err(|e| Error::doing("lock", &jobs, &e))?;
        let job = JobDirectory::of(places, self.id);
        if job.exists() {
            return Ok(Published::Exists(job));
        }
        if is_pruned(places, self.id)? {
            return Ok(Published::Pruned);
        }
        let staged = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempdir_in(&jobs)
            .map_err(|e| Error::doing("create a job in", &jobs, &e))?;
        self.fill(staged.path()).map_err(|e| Error::doing("create a job in", &jobs, &e))?;
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
            std::fs::remove_dir_all(job.path()).map_err(|e| Error::io(job.path(), &e))?;
            return Ok(Published::Pruned);
        }
        Ok(Published::New(job))
    }

    fn fill(&self, directory: &Path) -> io::Result<()> {
        write_synced(&directory.join("request"), self.request.record().encode().as_bytes(), 0o640)?;
        write_synced(&directory.join("spec"), self.spec, 0o640)?;
        if let Some(script) = self.script {
            write_synced(&directory.join("script"), script, 0o640)?;
        }
        if let Some(secrets) = self.secrets {
            write_synced(&directory.join("secrets"), secrets, 0o600)?;
        }
        super::state::create_lock(&directory.join("lock"))?;
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o750))?;
        File::open(directory)?.sync_all()
    }
}

/// Removes what killed publishers and prunings left in STATE/jobs, unless
/// somebody publishes right now: then the next sweep does. It may hold secrets.
///
/// # Errors
/// Exit 74 where the directory can't be opened or locked.
pub fn sweep(places: &Places) -> Result<()> {
    let jobs = places.jobs();
    let failed = |error: &io::Error| Error::doing("sweep", &jobs, error);
    let directory = match File::open(&jobs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|error| failed(&error))?,
    };
    match directory.try_lock() {
        Ok(()) => publish::sweep(&jobs),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(failed(&error)),
    }
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = publish::create_new(path, mode)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// STATE/jobs/pruned: an id a line.
fn pruned(places: &Places) -> PathBuf {
    places.jobs().join("pruned")
}

/// Has a job of this id been pruned?
///
/// # Errors
/// Where STATE/jobs/pruned can't be read.
pub fn is_pruned(places: &Places, id: &JobId) -> Result<bool> {
    let path = pruned(places);
    let Some(mut file) = if_there(&path, File::open(&path))? else { return Ok(false) };
    // Read in pieces: the file grows with the years.
    let wanted = Some(id.as_str().as_bytes());
    let mut buffer = vec![0; LINE * 2048];
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read(&mut buffer[filled..]).map_err(|e| Error::io(&path, &e))? {
                0 => break,
                count => filled += count,
            }
        }
        if buffer[..filled].chunks(LINE).any(|line| line.get(..LINE - 1) == wanted) {
            return Ok(true);
        }
        if filled < buffer.len() {
            return Ok(false);
        }
    }
}

/// Remembers, before its directory goes, that a job ran and must not run again.
///
/// # Errors
/// Where STATE/jobs/pruned can't be written: then the job must stay.
pub fn mark_pruned(places: &Places, id: &JobId) -> Result<()> {
    let path = pruned(places);
    let append = || -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o644).open(&path)?;
        // A listener without privileges reads it, whatever our umask. Who doesn't own
        // it has not made it either.
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o644));
        file.lock()?;
        // A line torn by a crash would shift all that follow.
        let length = file.metadata()?.len();
        let torn = length % LINE as u64;
        if torn != 0 {
            file.set_len(length - torn)?;
        }
        file.write_all(format!("{id}\n").as_bytes())?;
        file.sync_all()
    };
    append().map_err(|e| Error::doing("append to", &path, &e))?;
    sync_directory(&places.jobs())
}
