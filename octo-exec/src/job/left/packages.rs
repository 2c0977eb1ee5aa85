//! Packages that a job has fetched for its pusher: copied into the store as that one's own when
//! the script is over.
//!
//! The job lays a file at `$OCTO_ARTIFACTS/.packages/SHA256`, and needs no rights in the store
//! for that. Whatever it writes there later is nobody's: what counts is the sha256 of the copy.

use super::allowance::Allowance;
use super::artifacts::own_file;
use crate::job::prepare::directories::{MADE, PACKAGES};
use octo_core::Digest;
use octo_core::base::beneath;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Exit, describe};
use octo_core::base::units::human_size;
use octo_core::tentacle::job::{End, EndKind, JobDirectory};
use octo_core::tentacle::store::Store;
use octo_core::trust::{Grant, Verb};
use rustix::fs::{Dir, fstat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

/// So many are kept of a job; of more none is, as nobody could say which.
const KEPT: usize = 16;

/// Why one is not kept, and the exit status of that.
type NotKept = (Exit, String);

/// Keeps them. One that isn't kept takes its success from a script that had no other: who
/// fetches a package and can't have it has failed.
pub(crate) fn keep(job: &JobDirectory, grant: &Grant, allowance: &Allowance, end: &mut End) {
    // Of most jobs there are none.
    let Ok(made) = beneath::directory(&job.file(MADE)) else { return };
    let found = match found(&made) {
        Err(Errno::NOENT) => return,
        Err(error) => Err((Exit::Data, describe(&error.into()))),
        Ok(found) => Ok(found),
    };
    let (directory, names) = match found {
        Ok(found) => found,
        Err(why) => return failed(end, PACKAGES, why),
    };
    if names.len() > KEPT {
        let why = format!("there are more than {KEPT}, of which none is");
        return failed(end, PACKAGES, (Exit::Refused, why));
    }
    for name in names {
        keep_one(&made, &directory, &name, grant, allowance)
            .unwrap_or_else(|why| failed(end, &printable(name.as_bytes()), why));
    }
}

fn failed(end: &mut End, name: &str, (exit, reason): NotKept) {
    end.add_reason(format!("its package {name} is not kept: {reason}"));
    if end.kind == EndKind::Exit(0) {
        end.kind = EndKind::Exit(exit.code());
    }
}

/// The directory, and the names in it, in order; of too many one more than are kept.
fn found(made: &OwnedFd) -> Result<(OwnedFd, Vec<String>), Errno> {
    let directory = beneath::directory_in(made, Path::new(PACKAGES))?;
    let names = Dir::read_from(&directory)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| !matches!(name.as_str(), "." | ".."));
    let mut names: Vec<String> = names.take(KEPT + 1).collect();
    names.sort_unstable();
    Ok((directory, names))
}

fn keep_one(
    made: &OwnedFd,
    directory: &OwnedFd,
    name: &str,
    grant: &Grant,
    allowance: &Allowance,
) -> Result<(), NotKept> {
    let digest = Digest::parse(name).ok_or((Exit::Data, "its name is no sha256".into()))?;
    if grant.line.is_some() && !grant.allow.covers(Verb::Put) {
        return Err((Exit::Refused, format!("{} may not put packages", grant.name)));
    }
    let owner = fstat(made).map_err(|e| (Exit::Io, describe(&e.into())))?.st_uid;
    let (file, size) =
        own_file(directory, Path::new(name), owner).map_err(|why| (Exit::Data, why))?;
    if size > allowance.max_size {
        let most = human_size(allowance.max_size);
        return Err((Exit::Refused, format!("{} is more than max-size={most}", human_size(size))));
    }
    let store = Store::open(&allowance.places).map_err(|error| (error.exit, error.message))?;
    let kept = store.copy_in(&digest, file, &grant.name, grant.limits());
    kept.map_err(|error| (error.refusal.exit(), error.reason))
}
