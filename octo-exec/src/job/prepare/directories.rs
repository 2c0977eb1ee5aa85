//! What a job may write: its `work`, its `artifacts`, the file of its values.

use octo_core::base::error::{Error, Result};
use octo_core::base::users::User;
use octo_core::tentacle::job::JobDirectory;
use rustix::fs::{AtFlags, CWD, Gid, Uid, chown, chownat};
use rustix::process::geteuid;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file that `$OCTO_OUTPUT` names.
pub(crate) const VALUES: &str = "values";
/// The directory that `$OCTO_ARTIFACTS` names.
pub(crate) const ARTIFACTS: &str = "artifacts";
/// Where the job begins.
const WORK: &str = "work";

/// Makes them, and lets the job's user reach them; says where the job begins.
pub(crate) fn make(job: &JobDirectory, user: &User) -> Result<PathBuf> {
    for name in [WORK, ARTIFACTS] {
        let path = job.file(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::doing("create", &path, &error));
            }
            _ => give(&path, user)?,
        }
    }
    let values = job.file(VALUES);
    let _ = std::fs::remove_file(&values);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(&values).map_err(|e| Error::doing("create", &values, &e))?;
    give(&values, user)?;
    open_to_group(job.path(), user)?;
    Ok(job.file(WORK))
}

/// Makes it the job's user's; only root can, and only root must.
fn give(path: &Path, user: &User) -> Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| Error::io(path, &e.into()))
}

/// The publisher's group keeps an adopted directory (sticky); ours opens to the
/// group of the job's user.
fn open_to_group(path: &Path, user: &User) -> Result<()> {
    let metadata = path.metadata().map_err(|e| Error::io(path, &e))?;
    let is_adopted = metadata.mode() & 0o1000 != 0;
    if !geteuid().is_root() || is_adopted || metadata.gid() == user.gid {
        return Ok(());
    }
    chown(path, None, Some(Gid::from_raw(user.gid))).map_err(|e| Error::io(path, &e.into()))
}
