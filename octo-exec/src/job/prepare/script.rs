//! The script of a job, checked against the spec's digest right before it starts.

use super::interpreter::{self, CantRun};
use crate::admission::unstarted::Unstarted;
use octo_core::Digest;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::publish;
use octo_core::base::users::User;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spec::{MAXIMUM_SCRIPT, Script, Spec};
use octo_core::trust::scripts;
use rustix::fs::{AtFlags, CWD, Gid, chownat};
use rustix::process::geteuid;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// So much of an installed script is read to find its interpreter.
const HEAD: u64 = 4096;

/// The digest of the script: the spec's, or of what is installed under its name.
pub(crate) fn digest(spec: &Spec, installed: Option<&Path>) -> Option<Digest> {
    match &spec.script {
        Script::Sent { digest, .. } => Some(*digest),
        Script::Command(text) => Some(Digest::of(text.as_bytes())),
        Script::Order(_) => None,
        Script::Named(name) => {
            let (mut file, _) = scripts::open(installed?, name).ok()?;
            Digest::of_reader(&mut file).ok().map(|(digest, _)| digest)
        }
    }
}

/// What came of the preparation of a script.
#[derive(Debug)]
pub(crate) enum Runnable {
    /// The words to run, without the spec's arguments.
    Words(Vec<OsString>),
    /// It can't run here: the job ends with this code, and this is its output.
    CantRun(CantRun),
}

/// Puts the script where the job's user can read it, and finds its interpreter.
///
/// # Errors
/// Where its bytes are not those of the spec, or it may not be believed.
pub(crate) fn prepare(
    job: &JobDirectory,
    spec: &Spec,
    installed: Option<&Path>,
    user: &User,
) -> std::result::Result<Runnable, Unstarted> {
    let (path, head) = match &spec.script {
        Script::Sent { digest, .. } => sent(job, digest, user)?,
        Script::Command(text) => {
            // The spec has it, too: it need not outlive a power cut.
            let _ = std::fs::remove_file(job.file("script"));
            publish::create_empty(&job.file("script"), 0o400)
                .and_then(|mut script| script.write_all(text.as_bytes()))
                .map_err(|e| Error::doing("create", &job.file("script"), &e))?;
            readable(&job.file("script"), user, 0o440)?;
            let words = vec!["/bin/sh".into(), job.file("script").into_os_string()];
            return Ok(Runnable::Words(words));
        }
        Script::Named(name) => {
            let none = || Unstarted::denied(Exit::Refused, "no scripts are installed for it");
            let opened = scripts::open(installed.ok_or_else(none)?, name);
            let (file, path) =
                opened.map_err(|error| Unstarted::denied(error.exit, error.message))?;
            let head = head_of(file, &path)?;
            (path, head)
        }
        // orders/ does it, and nothing is prepared for that.
        Script::Order(_) => return Err(Unstarted::denied(Exit::Data, "it names nothing to run")),
    };
    Ok(match interpreter::command(&path, &head) {
        Ok(words) => Runnable::Words(words),
        Err(cant) => Runnable::CantRun(cant),
    })
}

fn sent(
    job: &JobDirectory,
    digest: &Digest,
    user: &User,
) -> std::result::Result<(PathBuf, Vec<u8>), Unstarted> {
    let path = job.file("script");
    let bytes = job.read("script", MAXIMUM_SCRIPT)?.unwrap_or_default();
    if Digest::of(&bytes) != *digest {
        return Err(Unstarted::denied(
            Exit::Data,
            "the script's bytes are not those of the spec: send it again",
        ));
    }
    // A program of the machine's own kind is run by the kernel: it must be executable.
    let mode = if bytes.starts_with(b"\x7fELF") { 0o550 } else { 0o440 };
    readable(&path, user, mode)?;
    Ok((path, bytes))
}

fn head_of(file: File, path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head).map_err(|e| Error::io(path, &e))?;
    Ok(head)
}

/// Makes a file of the record readable by the job's user, and by nobody's else.
fn readable(path: &Path, user: &User, mode: u32) -> Result<()> {
    if geteuid().is_root() {
        let group = Some(Gid::from_raw(user.gid));
        chownat(CWD, path, None, group, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| Error::io(path, &e.into()))?;
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|e| Error::io(path, &e))
}
