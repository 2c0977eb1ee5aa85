//! The package of a job, checked against the spec's digest right before it starts.

use crate::admission::unstarted::Unstarted;
use octo_core::Digest;
use octo_core::base::digest::Hasher;
use octo_core::base::error::{Error, Exit};
use octo_core::base::paths::Places;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::store::{Handed, Store};
use octo_core::trust::Grant;
use rustix::fs::{Mode, OFlags};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Puts the package into the job directory as `package`, its bytes checked: a link to
/// the store's object. One that only the listener has is taken over first.
///
/// # Errors
/// Where it is missing, another pusher's, or no longer what its name says.
pub(crate) fn prepare(
    places: &Places,
    job: &JobDirectory,
    digest: &Digest,
    grant: &Grant,
) -> Result<(), Unstarted> {
    let store = Store::open(places)?;
    let who = grant.who();
    if store.holds(digest, who)?.is_none() {
        let missing = || {
            Unstarted::denied(
                Exit::Data,
                format!("package {digest} is not in the store: put it again"),
            )
        };
        let handed = Handed::open(places, digest, who)?.ok_or_else(missing)?;
        store
            .take_over(handed, &grant.name, grant.limits())
            .map_err(|error| Unstarted::denied(error.refusal.exit(), error.reason))?;
    }
    let (source, target) = (store.path(digest), job.file("package"));
    let io = |e: io::Error| Error::doing("prepare", &target, &e);
    let _ = std::fs::remove_file(&target);
    let found = match std::fs::hard_link(&source, &target) {
        Ok(()) => Digest::of_reader(&mut open(&target)?).map_err(io)?.0,
        // Not every file system can.
        Err(_) => copy(&mut open(&source)?, &target).map_err(io)?,
    };
    if found != *digest {
        let _ = std::fs::remove_file(&target);
        // Who puts it again sends it then.
        store.remove(digest, &store.change()?)?;
        let reason = format!("package {digest}: its bytes in the store have changed: put it again");
        return Err(Unstarted::denied(Exit::Data, reason));
    }
    // Its pusher puts it at the listener, which can't note that here: without this the
    // package of every day goes a month after its first.
    store.touch(digest);
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
