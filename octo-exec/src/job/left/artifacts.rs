//! What a script leaves for its pusher: copied out of the directory that is its own to
//! one that the listener reads, when the job is over.

use crate::job::prepare::directories::{ARTIFACTS, MADE};
use octo_core::base::beneath;
use octo_core::base::encoding::printable;
use octo_core::base::error::describe;
use octo_core::base::publish::{self, Readers, TEMPORARY_PREFIX, create_empty};
use octo_core::base::units::human_size;
use octo_core::tentacle::job::JobDirectory;
use rustix::fs::Dir;
use rustix::io::Errno;
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use tempfile::TempDir;

/// So many are kept of a job.
const KEPT: usize = 10_000;
/// So many that are not kept are named.
const NAMED: usize = 20;

/// How large artifacts may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Each of them: a larger one can't be got.
    pub(crate) each: u64,
    /// All together.
    pub(crate) all: u64,
}

/// Keeps the job's artifacts; says which are not kept, and why: that changes nothing
/// about how the script ended.
pub(crate) fn keep(job: &JobDirectory, bounds: Bounds) -> Vec<String> {
    let made = match beneath::directory(&job.file(MADE)) {
        Err(Errno::NOENT) => return Vec::new(),
        Err(error) => return vec![format!("its artifacts: {}", describe(&error.into()))],
        Ok(made) => made,
    };
    // Whoever kept them was killed before the rest: they are whole, and kept once.
    let kept = match job.file(ARTIFACTS).is_dir() {
        true => Ok(Vec::new()),
        false => keep_all(job, &made, bounds),
    };
    match kept {
        Ok(troubles) => {
            // What a process that outlives the script writes there now is nobody's.
            let _ = publish::remove_from(job.path(), MADE.as_ref());
            troubles
        }
        Err(error) => vec![format!("its artifacts are lost: {}", describe(&error))],
    }
}

fn keep_all(job: &JobDirectory, made: &OwnedFd, bounds: Bounds) -> io::Result<Vec<String>> {
    let group = job.path().metadata()?.gid();
    let owner = rustix::fs::fstat(made)?.st_uid;
    let mut staged = None;
    let mut troubles = Vec::new();
    let mut left = bounds.all;
    let mut count = 0;
    for entry in Dir::read_from(made)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        count += 1;
        if count > KEPT {
            troubles.push(format!("of its artifacts {KEPT} are kept"));
            break;
        }
        let staged = match &staged {
            Some(staged) => staged,
            None => staged
                .insert(tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir_in(job.path())?),
        };
        let path = Path::new(std::ffi::OsStr::from_bytes(name));
        let size = match open(made, path, owner) {
            Ok((mut file, size)) if size <= bounds.each.min(left) => {
                let copied = copy(&mut file, size, &staged.path().join(path), group);
                copied.map(|()| size).map_err(|error| describe(&error))
            }
            Ok((_, size)) => Err(format!("{} is too large", human_size(size))),
            Err(reason) => Err(reason),
        };
        match size {
            Ok(size) => left -= size,
            Err(reason) if troubles.len() < NAMED => {
                troubles.push(format!("its artifact {} is not kept: {reason}", printable(name)));
            }
            Err(_) => {}
        }
    }
    if let Some(staged) = staged {
        publish(job, staged, group)?;
    }
    Ok(troubles)
}

/// Copies one, durably: the original goes, and the record says that it is kept. Of one
/// that does not fit nothing stays, so that others may.
fn copy(file: &mut File, size: u64, to: &Path, group: u32) -> io::Result<()> {
    let mut copy = create_empty(to, Readers::of_group(0o640, group))?;
    // No more than was stated: it may be growing.
    let copied = io::copy(&mut file.take(size), &mut copy).and_then(|_| copy.sync_all());
    if copied.is_err() {
        std::fs::remove_file(to)?;
    }
    copied
}

/// Gives the copies their name, all at once; it is durable before the originals go.
fn publish(job: &JobDirectory, staged: TempDir, group: u32) -> io::Result<()> {
    let opened = File::open(staged.path())?;
    std::os::unix::fs::fchown(&opened, None, Some(group))?;
    opened.set_permissions(Permissions::from_mode(0o750))?;
    opened.sync_all()?;
    std::fs::rename(staged.path(), job.file(ARTIFACTS))?;
    drop(staged.keep());
    File::open(job.path())?.sync_all()
}

/// A regular file of the job's user in the directory itself, and its length.
fn open(made: &OwnedFd, name: &Path, owner: u32) -> Result<(File, u64), String> {
    let file = match beneath::open(made, name) {
        Err(Errno::LOOP) => return Err("it is a link".into()),
        other => other.map_err(|e| describe(&e.into()))?,
    };
    let metadata = file.metadata().map_err(|e| describe(&e))?;
    if !metadata.is_file() {
        return Err("it is not a regular file".into());
    }
    if metadata.uid() != owner {
        return Err("it is another user's".into());
    }
    Ok((file, metadata.len()))
}
