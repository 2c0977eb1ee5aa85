//! The package of a job, checked against the spec's digest right before it starts.

use crate::admission::unstarted::Unstarted;
use octo_core::Digest;
use octo_core::base::digest::Hasher;
use octo_core::base::error::{Error, Exit};
use octo_core::base::paths::Places;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::store::{Store, Who};
use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Puts the package into the job directory as `package`, its bytes checked: a
/// link to the store's object where that is ours, else a copy.
///
/// # Errors
/// Where it is missing, another pusher's, or no longer what its name says.
pub(crate) fn prepare(
    places: &Places,
    job: &JobDirectory,
    digest: &Digest,
    who: Who<'_>,
) -> Result<(), Unstarted> {
    let store = Store::at(places);
    if store.holds(digest, who)?.is_none() {
        return Err(Unstarted::denied(Exit::Data, format!("package {digest} is not in the store")));
    }
    let (source, target) = (store.path(digest), job.file("package"));
    let io = |e: io::Error| Error::doing("prepare", &target, &e);
    let mut object = open(&source)?;
    let own = object.metadata().map_err(io)?.uid() == geteuid().as_raw();
    let _ = std::fs::remove_file(&target);
    let found = if own && std::fs::hard_link(&source, &target).is_ok() {
        Digest::of_reader(&mut open(&target)?).map_err(io)?.0
    } else {
        copy(&mut object, &target).map_err(io)?
    };
    if found != *digest {
        let _ = std::fs::remove_file(&target);
        let reason = format!("package {digest}: its bytes in the store have changed: put it again");
        return Err(Unstarted::denied(Exit::Data, reason));
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, Error> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    opened.map(File::from).map_err(|e| Error::io(path, &e.into()))
}

/// Copies and hashes in one pass, so that what was hashed is what is used.
fn copy(from: &mut File, to: &Path) -> io::Result<Digest> {
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o444).open(to)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            out.set_permissions(Permissions::from_mode(0o444))?;
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..count]);
        out.write_all(&buffer[..count])?;
    }
}
