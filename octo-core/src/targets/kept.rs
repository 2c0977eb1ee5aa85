//! What programs of CONFIG/targets.d printed, kept for those that ask next: a pipeline calls
//! octo-push often, and its fleet is to be the same one until its end.

use super::program;
use crate::base::digest::Digest;
use crate::base::error::{Error, Result};
use crate::base::identity::FileStamp;
use crate::base::paths::{if_there, open_trusted, read_bounded};
use crate::base::printed::Bounds;
use crate::base::publish;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Names the directory in which it is kept; unset, nothing is.
const DIRECTORY: &str = "OCTO_TARGETS_KEPT";

/// As [`program::output`], of this program: what it said on standard error is told once, by
/// whoever ran it.
///
/// # Errors
/// As there; 73 or 74 where it can't be kept, 78 where others could have written what is.
pub(super) fn output(
    program: &Path,
    metadata: &Metadata,
    bounds: Bounds,
) -> Result<(Vec<u8>, String)> {
    let Some(kept) = std::env::var_os(DIRECTORY).filter(|directory| !directory.is_empty()) else {
        return program::output(program, bounds);
    };
    let kept = place(kept, program, metadata)?;
    if if_there(&kept, kept.symlink_metadata())?.is_some() {
        let bytes = read_bounded(&mut open_trusted(&kept)?, &kept, bounds.bytes as u64)?;
        return Ok((bytes, String::new()));
    }
    let (bytes, words) = program::output(program, bounds)?;
    publish::replace(&kept, &bytes, 0o600)?;
    Ok((bytes, words))
}

/// A file a program, of any name and in any CONFIG; one that was written anew is another.
fn place(directory: OsString, program: &Path, metadata: &Metadata) -> Result<PathBuf> {
    let absolute = std::path::absolute(program).map_err(|error| Error::io(program, &error))?;
    let mut key = absolute.as_os_str().as_bytes().to_vec();
    key.extend(format!("\0{}", FileStamp::of(metadata)).into_bytes());
    Ok(PathBuf::from(directory).join(Digest::of(&key).to_string()))
}
