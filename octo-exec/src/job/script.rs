//! What a job runs with, checked against the spec's digests right before it
//! starts: script, package, directories, secrets.

use crate::admission::admit::{No, Plan};
use crate::admission::adopt::is_ours;
use crate::job::interpreter;
use crate::job::user::User;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spec::{MAXIMUM_SCRIPT, MAXIMUM_SECRETS, Script, Spec, secrets};
use octo_core::tentacle::store::{Store, Who};
use octo_core::{Digest, VariableName};
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use rustix::process::geteuid;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The file that `$OCTO_OUTPUT` names.
pub(crate) const VALUES: &str = "values";

/// The sensitive variables and their values.
pub(crate) type Secrets = Vec<(VariableName, Vec<u8>)>;

/// The digest of the script: the spec's, or of what is installed under its name.
pub(crate) fn script_digest(spec: &Spec, plan: &Plan) -> Option<Digest> {
    match (&spec.script, &plan.named) {
        (Script::Sent { digest, .. }, _) => Some(*digest),
        (Script::Command(text), _) => Some(Digest::of(text.as_bytes())),
        (Script::Named(_), Some((directory, name))) => {
            let (mut file, _) = octo_core::trust::scripts::open(directory, name).ok()?;
            Digest::of_reader(&mut file).ok().map(|(digest, _)| digest)
        }
        (Script::Named(_), None) => None,
    }
}

/// What came of the preparation of a script.
#[derive(Debug)]
pub(crate) enum Command {
    /// The words to run, without the spec's arguments.
    Words(Vec<OsString>),
    /// It can't run here: the job ends with this code, and this is its output.
    CantRun(interpreter::CantRun),
}

/// Puts the script where the job's user can read it, and finds its interpreter.
///
/// # Errors
/// `No` where its bytes are not those of the spec, or it may not be believed.
pub(crate) fn script(
    job: &JobDirectory,
    spec: &Spec,
    plan: &Plan,
    user: &User,
) -> Result<std::result::Result<Command, No>> {
    let (path, head) = match (&spec.script, &plan.named) {
        (Script::Sent { digest, .. }, _) => {
            let bytes = job.read("script", MAXIMUM_SCRIPT)?.unwrap_or_default();
            // Bytes of a file that somebody else owns may be others once they are read again.
            if Digest::of(&bytes) != *digest || !is_ours(job, "script") {
                return Ok(Err(No::new(
                    Exit::Data,
                    "the script's bytes are not those of the spec",
                )));
            }
            (job.file("script"), bytes)
        }
        (Script::Command(text), _) => {
            octo_core::base::publish::replace(&job.file("script"), text.as_bytes(), 0o640)?;
            readable(job, "script", user, 0o440)?;
            let words = vec!["/bin/sh".into(), job.file("script").into_os_string()];
            return Ok(Ok(Command::Words(words)));
        }
        (Script::Named(_), Some((directory, name))) => {
            match octo_core::trust::scripts::open(directory, name) {
                Ok((mut file, path)) => {
                    let mut head = Vec::new();
                    Read::by_ref(&mut file)
                        .take(4096)
                        .read_to_end(&mut head)
                        .map_err(|e| Error::io(&path, &e))?;
                    (path, head)
                }
                Err(error) => {
                    return Ok(Err(No { exit: error.exit.code(), reason: error.message }));
                }
            }
        }
        (Script::Named(_), None) => {
            return Ok(Err(No::new(Exit::Refused, "no scripts are installed for it")));
        }
    };
    if matches!(spec.script, Script::Sent { .. }) {
        // A program of the machine's own kind is run by the kernel: it must be executable.
        let mode = if head.starts_with(b"\x7fELF") { 0o550 } else { 0o440 };
        readable(job, "script", user, mode)?;
    }
    Ok(Ok(match interpreter::command(&path, &head) {
        Ok(words) => Command::Words(words),
        Err(cant) => Command::CantRun(cant),
    }))
}

/// Makes a file of the record readable by the job's user, and by nobody's else.
fn readable(job: &JobDirectory, name: &str, user: &User, mode: u32) -> Result<()> {
    let path = job.file(name);
    if geteuid().is_root() {
        rustix::fs::chownat(
            CWD,
            &path,
            None,
            Some(Gid::from_raw(user.gid)),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|e| Error::io(&path, &e.into()))?;
    }
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(|e| Error::io(&path, &e))
}

/// Puts the package into the job directory as `package`, its bytes checked: a
/// link to the store's object where that is ours, else a copy.
///
/// # Errors
/// `No` where it is missing, another pusher's, or no longer what its name says.
pub(crate) fn package(
    places: &Places,
    job: &JobDirectory,
    spec: &Spec,
    plan: &Plan,
) -> Result<std::result::Result<(), No>> {
    let Some((digest, _)) = &spec.package else { return Ok(Ok(())) };
    let store = Store::at(places);
    let who = match &plan.name {
        Some(name) if !plan.any_object => Who::Pusher(name),
        _ => Who::Any,
    };
    if store.holds(digest, who)?.is_none() {
        return Ok(Err(No::new(Exit::Data, format!("package {digest} is not in the store"))));
    }
    let source = store.path(digest);
    let target = job.file("package");
    let io = |e: io::Error| Error::doing("prepare", &target, &e);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let object = rustix::fs::open(&source, flags, Mode::empty())
        .map_err(|e| Error::io(&source, &e.into()))?;
    let mut object = File::from(object);
    let own = object.metadata().map_err(io)?.uid() == geteuid().as_raw();
    let _ = std::fs::remove_file(&target);
    let found = if own && std::fs::hard_link(&source, &target).is_ok() {
        let linked = rustix::fs::open(&target, flags, Mode::empty())
            .map_err(|e| Error::io(&target, &e.into()))?;
        Digest::of_reader(&mut File::from(linked)).map_err(io)?.0
    } else {
        copy(&mut object, &target).map_err(io)?
    };
    if found != *digest {
        let _ = std::fs::remove_file(&target);
        let reason = format!("package {digest}: its bytes in the store have changed: put it again");
        return Ok(Err(No::new(Exit::Data, reason)));
    }
    Ok(Ok(()))
}

/// Copies and hashes in one pass, so that what was hashed is what is used.
fn copy(from: &mut File, to: &std::path::Path) -> io::Result<Digest> {
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o444).open(to)?;
    let mut hasher = octo_core::base::digest::Hasher::new();
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

/// Makes what the job may write: `work`, `artifacts` and the file of its values;
/// and lets its user reach them.
///
/// # Errors
/// Exit 73.
pub(crate) fn directories(job: &JobDirectory, user: &User) -> Result<PathBuf> {
    let root = geteuid().is_root();
    let give = |path: &PathBuf| -> Result<()> {
        if root {
            let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
            rustix::fs::chownat(
                CWD,
                path,
                Some(uid),
                Some(gid),
                rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
            )
            .map_err(|e| Error::io(path, &e.into()))?;
        }
        Ok(())
    };
    for name in ["work", "artifacts"] {
        let path = job.file(name);
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::doing("create", &path, &error));
            }
            _ => give(&path)?,
        }
    }
    let values = job.file(VALUES);
    let _ = std::fs::remove_file(&values);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(&values).map_err(|e| Error::doing("create", &values, &e))?;
    give(&values)?;
    // The publisher's group keeps an adopted directory (sticky); ours opens to
    // the group of the job's user.
    let metadata = job.path().metadata().map_err(|e| Error::io(job.path(), &e))?;
    if root && metadata.mode() & 0o1000 == 0 && metadata.gid() != user.gid {
        rustix::fs::chown(job.path(), None, Some(Gid::from_raw(user.gid)))
            .map_err(|e| Error::io(job.path(), &e.into()))?;
    }
    Ok(job.file("work"))
}

/// Reads the secrets and removes them from the directory: from the moment the
/// job is started they are in memory only.
///
/// # Errors
/// `No` where they are missing or not those of the spec.
pub(crate) fn read_secrets(
    job: &JobDirectory,
    spec: &Spec,
) -> Result<std::result::Result<Secrets, No>> {
    let Some(digest) = &spec.secrets_digest else { return Ok(Ok(Vec::new())) };
    let Some(body) = job.read("secrets", MAXIMUM_SECRETS)?.map(Zeroizing::new) else {
        return Ok(Err(No::new(Exit::Data, "its secrets are missing")));
    };
    Ok(secrets::decode(&body, digest, &spec.secrets).map_err(|e| No::new(Exit::Data, e.reason)))
}

/// Removes the secrets' file; gone already is as good.
///
/// # Errors
/// Where it is there and can't be removed: then the job must not start.
pub(crate) fn unlink_secrets(job: &JobDirectory) -> Result<()> {
    let path = job.file("secrets");
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::new(Exit::Io, path.display(), describe(&error)))
        }
        _ => octo_core::base::publish::sync_parent(&path),
    }
}
