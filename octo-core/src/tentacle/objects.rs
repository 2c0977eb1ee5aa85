//! The objects in a directory as they lie there: which, how long, and who may use them. Who
//! changes them is the store.

use super::layout;
use crate::base::digest::Digest;
use crate::base::error::{Error, Result};
use crate::base::names::PusherName;
use crate::base::paths::{if_there, read_bounded};
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};

/// The largest list of names beside an object: a thousand pushers of 64 bytes.
pub const MAXIMUM_NAMES: u64 = 65 * 1024;

/// The names in a directory; in one that nobody has made yet there are none.
///
/// # Errors
/// Where it can't be read.
pub fn names_below(directory: &Path) -> Result<Vec<String>> {
    // STATE/packages may be a link to a larger disk: it is followed.
    let Some(opened) = if_there(directory, File::open(directory))? else { return Ok(Vec::new()) };
    layout::names_in(opened).map_err(|e| Error::io(directory, &e.into()))
}

/// The objects of this pusher, or of all, and their lengths.
///
/// # Errors
/// Where the directory can't be read.
pub fn of(directory: &Path, pusher: &PusherName) -> Result<Vec<(Digest, u64)>> {
    let all = each(directory)?.into_iter();
    let own = all.filter(|(_, _, holders)| holders.contains(pusher));
    Ok(own.map(|(digest, size, _)| (digest, size)).collect())
}

/// All objects, their lengths, and who may use them. A list that is damaged is told to who
/// uses it, and must not stop all others: here nobody's name is in it.
///
/// # Errors
/// Where the directory can't be read.
pub fn each(directory: &Path) -> Result<Vec<(Digest, u64, Vec<PusherName>)>> {
    let mut objects = Vec::new();
    for name in names_below(directory)? {
        if let Some(digest) = Digest::parse(&name)
            && let Some(size) = size(directory, &digest)?
        {
            objects.push((digest, size, holders(directory, &digest).unwrap_or_default()));
        }
    }
    Ok(objects)
}

/// The length of an object that is there.
///
/// # Errors
/// Where that can't be told.
pub fn size(directory: &Path, digest: &Digest) -> Result<Option<u64>> {
    let path = directory.join(digest.to_string());
    let found = if_there(&path, path.symlink_metadata())?;
    Ok(found.filter(Metadata::is_file).map(|metadata| metadata.len()))
}

/// Who may use an object; empty where nobody put it.
///
/// # Errors
/// Where the list can't be read.
pub fn holders(directory: &Path, digest: &Digest) -> Result<Vec<PusherName>> {
    let path = names(directory, digest);
    let Some(mut file) = if_there(&path, File::open(&path))? else { return Ok(Vec::new()) };
    let bytes = read_bounded(&mut file, &path, MAXIMUM_NAMES)?;
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(PusherName::parse).collect())
}

/// Where their names are.
pub fn names(directory: &Path, digest: &Digest) -> PathBuf {
    directory.join(format!("{digest}.by"))
}
