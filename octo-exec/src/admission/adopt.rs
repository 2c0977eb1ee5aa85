//! Whose job directory is it? One that another user published, an unprivileged
//! listener, becomes ours before anything in it is used: the record of a job
//! belongs to whoever runs it.

use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::publish;
use octo_core::tentacle::job::{JobDirectory, JobLock};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, chownat, fchmod, fchown};
use rustix::process::geteuid;
use std::os::unix::fs::MetadataExt;

/// Who published the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The user of this process.
    Own,
    /// Another user, whose word about policy is worth nothing.
    Foreign,
}

/// Looks whose the directory is, and takes it over if it is another user's.
///
/// Its publisher stays able to read it and to add a `cancel`, by its group; the
/// sticky bit keeps it from touching what is ours.
///
/// # Errors
/// Where it can't be taken over: exit 78 if this process is not root.
pub(crate) fn adopt(job: &JobDirectory, held: &JobLock) -> Result<Origin> {
    let path = job.path();
    let io = |e: rustix::io::Errno| Error::io(path, &e.into());
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(io)?;
    let metadata = rustix::fs::fstat(&directory).map_err(io)?;
    if metadata.st_uid == geteuid().as_raw() {
        // Adopted before, or published by us.
        if metadata.st_mode & 0o1000 != 0 {
            // Its publisher may add what is missing, and we may have died half way.
            own_copies(job, |name| !is_ours(job, name))?;
            return Ok(Origin::Foreign);
        }
        // Another's `request` in a directory of ours: we died as we took it over.
        if !geteuid().is_root() || is_ours(job, "request") {
            return Ok(Origin::Own);
        }
    }
    if !geteuid().is_root() {
        let reason = format!("belongs to uid {}, and we are not root", metadata.st_uid);
        return Err(Error::new(Exit::Configuration, path.display(), reason));
    }
    let group = Gid::from_raw(metadata.st_gid);
    fchown(&directory, Some(Uid::ROOT), Some(group)).map_err(io)?;
    fchmod(&directory, Mode::from_raw_mode(0o1771)).map_err(io)?;
    own_lock(job, held, group)?;
    own_copies(job, |_| true)?;
    clear(job)?;
    Ok(Origin::Foreign)
}

/// The lock that we hold must be the one that others look at, and stay it.
fn own_lock(job: &JobDirectory, held: &JobLock, group: Gid) -> Result<()> {
    let path = job.file("lock");
    let ours = held.file().metadata().map_err(|e| Error::io(&path, &e))?;
    let seen = path.symlink_metadata().map_err(|e| Error::io(&path, &e))?;
    if (ours.dev(), ours.ino()) != (seen.dev(), seen.ino()) {
        return Err(Error::new(
            Exit::Temporary,
            path.display(),
            "was replaced while the job was taken over",
        ));
    }
    let io = |e: rustix::io::Errno| Error::io(&path, &e.into());
    fchown(held.file(), Some(Uid::ROOT), Some(group)).map_err(io)?;
    fchmod(held.file(), Mode::from_raw_mode(0o640)).map_err(io)
}

/// The files of the publisher become copies that are ours: it may hold the old
/// ones open, and change what was checked.
fn own_copies(job: &JobDirectory, of: impl Fn(&str) -> bool) -> Result<()> {
    for (name, limit, mode) in [
        ("request", 1 << 20, 0o640),
        ("spec", octo_core::tentacle::spec::MAXIMUM, 0o640),
        ("script", octo_core::tentacle::spec::MAXIMUM_SCRIPT, 0o640),
        ("secrets", octo_core::tentacle::spec::MAXIMUM_SECRETS, 0o600),
    ] {
        if !of(name) {
            continue;
        }
        if let Some(bytes) = job.read(name, limit)? {
            publish::replace(&job.file(name), &bytes, mode)?;
            if mode & 0o040 != 0 {
                share_with_publisher(job, name)?;
            }
        }
    }
    Ok(())
}

/// What else its publisher left there says nothing: it is removed, but for its
/// wish to cancel and the lock, which we hold.
fn clear(job: &JobDirectory) -> Result<()> {
    let entries = std::fs::read_dir(job.path()).map_err(|e| Error::io(job.path(), &e))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let kept = ["request", "spec", "script", "secrets", "lock", "cancel"];
        if !kept.iter().any(|kept| name == *kept) {
            publish::remove(&entry).map_err(|e| Error::io(&entry.path(), &e))?;
        }
    }
    Ok(())
}

/// Gives a file of the job to the group that may read the record: the listener's.
pub(crate) fn share_with_publisher(job: &JobDirectory, name: &str) -> Result<()> {
    let path = job.file(name);
    let group = job.path().metadata().map_err(|e| Error::io(job.path(), &e))?.gid();
    chownat(CWD, &path, None, Some(Gid::from_raw(group)), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| Error::io(&path, &e.into()))
}

/// Was the file written by root or by us, so that its word counts?
pub(crate) fn is_ours(job: &JobDirectory, name: &str) -> bool {
    let own = geteuid().as_raw();
    job.open(name)
        .ok()
        .flatten()
        .and_then(|file| file.metadata().ok())
        .is_some_and(|metadata| metadata.uid() == 0 || metadata.uid() == own)
}
