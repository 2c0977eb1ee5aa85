//! STATE/underway: the names of the jobs that may not be over, an empty file each: who asks
//! for those looks at none of the thousands that are. A name comes before its job does, and
//! goes when the job is over and its pusher's account has it (STATE/kept). There may be
//! names too many, never too few.
//!
//! Nothing here is synced. The file `built` says on which boot all jobs were looked at: a
//! power cut, which may take names and leave their jobs, begins another, and then they all
//! are looked at once more. Until that is done who asks has to look at them himself.

use super::layout;
use super::objects::names_below;
use crate::base::error::{Error, Result};
use crate::base::leader;
use crate::base::names::JobId;
use crate::base::paths::{Places, if_there};
use crate::base::publish::TEMPORARY_PREFIX;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Who has looked at all jobs, and on which boot.
const BUILT: &str = "built";

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::doing("create", path, error)
}

fn built_file(places: &Places) -> PathBuf {
    places.underway().join(BUILT)
}

/// Adds the name of a job that is about to be there.
///
/// # Errors
/// Where it can't be made: then the job must not be.
pub fn add(places: &Places, id: &JobId) -> Result<()> {
    let path = places.underway().join(id.as_str());
    let made = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
    made.map(drop).map_err(|e| failed(&path, &e))
}

/// Is this one of them?
pub fn has(places: &Places, id: &JobId) -> bool {
    places.underway().join(id.as_str()).exists()
}

/// Takes a name away: its job is over, and in its pusher's account, or it is gone.
///
/// # Errors
/// Where it stays.
pub fn remove(places: &Places, id: &JobId) -> Result<()> {
    let path = places.underway().join(id.as_str());
    if_there(&path, std::fs::remove_file(&path)).map(drop)
}

/// All names of jobs that may not be over; `None` where they may be too few.
///
/// # Errors
/// Where they can't be read.
pub fn names(places: &Places) -> Result<Option<Vec<JobId>>> {
    // First: whoever takes all away begins with this.
    match is_built(places) {
        true => listed(places).map(Some),
        false => Ok(None),
    }
}

/// The names that are there.
///
/// # Errors
/// As [`names`].
pub fn listed(places: &Places) -> Result<Vec<JobId>> {
    let names = names_below(&places.underway())?;
    Ok(names.iter().filter_map(|name| JobId::parse(name)).collect())
}

/// Does it have all of them?
pub fn is_built(places: &Places) -> bool {
    let boot = leader::boot();
    let built = std::fs::read_to_string(built_file(places));
    !boot.is_empty() && built.is_ok_and(|built| built.trim_end() == boot)
}

/// From here on it has all of them. For who has looked at all jobs, and holds the lock of
/// accounts.
///
/// # Errors
/// Where that can't be written down.
pub fn set_built(places: &Places) -> Result<()> {
    let (path, boot) = (built_file(places), leader::boot());
    if is_built(places) {
        return Ok(());
    }
    write_unsynced(places, &path, format!("{boot}\n").as_bytes())
}

/// From here on all jobs have to be looked at.
///
/// # Errors
/// Where that can't be written down.
pub fn unset_built(places: &Places) -> Result<()> {
    let path = built_file(places);
    if_there(&path, std::fs::remove_file(&path)).map(drop)
}

/// Writes a file that the listener may read, whole or not at all, but for a power cut: it
/// holds on this boot only. For the holder of the lock of accounts.
///
/// # Errors
/// Exit 73, naming it.
pub fn write_unsynced(places: &Places, path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let staged = path.with_file_name(format!("{TEMPORARY_PREFIX}{name}"));
    let write = || {
        use std::io::Write;
        let mut options = File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        layout::readers(places, 0o640).give(&file)?;
        file.write_all(bytes)?;
        std::fs::rename(&staged, path)
    };
    write().map_err(|e| failed(path, &e))
}
