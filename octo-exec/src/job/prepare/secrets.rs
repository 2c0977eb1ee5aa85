//! The secrets of a job: on the disk only until it starts.

use crate::admission::unstarted::Unstarted;
use octo_core::VariableName;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::publish::sync_parent;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spec::{MAXIMUM_SECRETS, Spec, secrets};
use std::io;
use zeroize::Zeroizing;

/// The sensitive variables and their values.
pub(crate) type Secrets = Vec<(VariableName, Vec<u8>)>;

/// The secrets that the spec names.
///
/// # Errors
/// Where they are missing or not those of the spec.
pub(crate) fn read(job: &JobDirectory, spec: &Spec) -> std::result::Result<Secrets, Unstarted> {
    let Some(digest) = &spec.secrets_digest else { return Ok(Vec::new()) };
    let Some(body) = job.read("secrets", MAXIMUM_SECRETS)?.map(Zeroizing::new) else {
        return Err(Unstarted::denied(Exit::Data, "its secrets are missing: send it again"));
    };
    secrets::decode(&body, digest, &spec.secrets)
        .map_err(|e| Unstarted::denied(Exit::Data, e.reason))
}

/// Removes the secrets' file; gone already is as good.
///
/// # Errors
/// Where it is there and can't be removed: then the job must not start.
pub(crate) fn unlink(job: &JobDirectory) -> Result<()> {
    let path = job.file("secrets");
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::new(Exit::Io, path.display(), describe(&error))),
        Ok(()) => sync_parent(&path),
    }
}
