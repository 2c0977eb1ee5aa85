//! The package of a job, checked against the spec's digest right before it starts, and
//! whose signature it carries, in the same pass.

use super::signature::{Claimed, Signed};
use crate::admission::unstarted::Unstarted;
use octo_core::Digest;
use octo_core::base::digest::Hasher;
use octo_core::base::error::{Error, Exit};
use octo_core::base::paths::Places;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spec::Spec;
use octo_core::tentacle::store::{Handed, Store};
use octo_core::trust::Grant;
use rustix::fs::{Mode, OFlags};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Puts the package into the job directory as `package`, its bytes checked: a link to
/// the store's object. One that only the listener has is taken over first. Says whose
/// signature it carries, where that has to be known.
///
/// # Errors
/// Where it is missing, another pusher's, no longer what its name says, or not signed by
/// whom it has to be.
pub(crate) fn prepare(
    places: &Places,
    job: &JobDirectory,
    spec: &Spec,
    grant: &Grant,
) -> Result<Option<Signed>, Unstarted> {
    let Some((digest, _)) = &spec.package else { return Ok(None) };
    let claimed = Claimed::of(spec, grant)?;
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
    let (from, to) = match std::fs::hard_link(&source, &target) {
        Ok(()) => (open(&target)?, None),
        // Not every file system can.
        Err(_) => (open(&source)?, Some(create(&target).map_err(io)?)),
    };
    let mut verifier = claimed.as_ref().map(Claimed::verifier).transpose()?;
    // One pass: what is hashed and verified is what is used.
    let found = pass(from, to, |bytes| {
        if let Some(verifier) = &mut verifier {
            verifier.update(bytes);
        }
    });
    let found = found.map_err(io)?;
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
    let signed = claimed.as_ref().zip(verifier).map(|(claimed, all)| claimed.verified(all));
    signed.transpose()
}

fn open(path: &Path) -> Result<File, Error> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    opened.map(File::from).map_err(|e| Error::io(path, &e.into()))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o444).open(path)
}

/// Hashes all of a file, hands its bytes on, and copies it where that is to be.
fn pass(mut from: File, to: Option<File>, mut take: impl FnMut(&[u8])) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let bytes = &buffer[..count];
        if count == 0 {
            to.map_or(Ok(()), |to| to.set_permissions(Permissions::from_mode(0o444)))?;
            return Ok(hasher.finish());
        }
        hasher.update(bytes);
        take(bytes);
        to.as_ref().map_or(Ok(()), |mut to| to.write_all(bytes))?;
    }
}
