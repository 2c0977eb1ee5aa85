//! What a job may write: its `work`, what it has `made`, the file of its values.

use octo_core::base::error::{Error, Result};
use octo_core::base::users::User;
use octo_core::tentacle::job::JobDirectory;
use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};
use rustix::process::geteuid;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file that `$OCTO_OUTPUT` names.
pub(crate) const VALUES: &str = "values";
/// The directory that `$OCTO_ARTIFACTS` names.
pub(crate) const MADE: &str = "made";
/// Where, in that, packages lie that it has fetched: left/packages.rs.
pub(crate) const PACKAGES: &str = ".packages";
/// Where its files are when the job is over.
pub(crate) const ARTIFACTS: &str = "artifacts";
/// Where the job begins.
const WORK: &str = "work";

/// Makes them, and lets the job's user reach them; says where the job begins.
pub(crate) fn make(job: &JobDirectory, user: &User) -> Result<PathBuf> {
    for name in [WORK, MADE] {
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
