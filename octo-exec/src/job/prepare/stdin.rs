//! The standard input of a job, checked against the spec right before it starts, and on the
//! disk until the job is over.

use crate::admission::unstarted::Unstarted;
use octo_core::Digest;
use octo_core::base::error::{Error, Exit};
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spec::{Spec, stdin};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The file that the job reads. Who becomes the job's script opens it before that: the job's
/// user can't.
///
/// # Errors
/// Where it is missing, or its bytes are not those of the spec.
pub(crate) fn prepare(job: &JobDirectory, spec: &Spec) -> Result<PathBuf, Unstarted> {
    let Some((digest, _)) = &spec.stdin else { return Ok("/dev/null".into()) };
    let bytes = job.read("stdin", stdin::MAXIMUM)?;
    if bytes.as_deref().map(Digest::of) != Some(*digest) {
        let reason = "its standard input is missing, or not that of the spec: send it again";
        return Err(Unstarted::denied(Exit::Data, reason));
    }
    let path = job.file("stdin");
    // Who approved it has read it.
    std::fs::set_permissions(&path, Permissions::from_mode(0o600))
        .map_err(|e| Error::io(&path, &e))?;
    Ok(path)
}

/// Removes it; a job that has it open keeps it for as long.
pub(crate) fn remove(job: &JobDirectory) {
    let _ = std::fs::remove_file(job.file("stdin"));
}
