//! Where things are, and whether a path can be believed.

use crate::base::error::{Error, Exit, Result};
use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The two directories that every tool knows; by default none.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// `--config`, OCTO_CONFIG, /etc/octo or $XDG_CONFIG_HOME/octo.
    pub config: PathBuf,
    /// `--state`, OCTO_STATE, /var/lib/octo or $XDG_STATE_HOME/octo.
    pub state: PathBuf,
}

impl Places {
    /// The directories of this process; options beat the environment.
    ///
    /// # Errors
    /// Where neither an option nor the environment says where home is.
    pub fn find(config: Option<String>, state: Option<String>) -> Result<Places> {
        let place = |option: Option<String>, variable, root: &str, xdg, under_home: &str| {
            let set = |name| std::env::var_os(name).filter(|v: &OsString| !v.is_empty());
            if let Some(path) = option.map(OsString::from).or_else(|| set(variable)) {
                return std::path::absolute(&path).map_err(|e| Error::io(Path::new(&path), &e));
            }
            if geteuid().is_root() {
                return Ok(PathBuf::from(root));
            }
            // The XDG specification says that a relative path here is to be ignored.
            if let Some(base) = set(xdg).map(PathBuf::from).filter(|p| p.is_absolute()) {
                return Ok(base.join("octo"));
            }
            let home =
                set("HOME").map(PathBuf::from).filter(|p| p.is_absolute()).ok_or_else(|| {
                    Error::new(Exit::Configuration, "HOME", "not set")
                        .hint(format!("set HOME or {variable}"))
                })?;
            Ok(home.join(under_home).join("octo"))
        };
        Ok(Places {
            config: place(config, "OCTO_CONFIG", "/etc/octo", "XDG_CONFIG_HOME", ".config")?,
            state: place(state, "OCTO_STATE", "/var/lib/octo", "XDG_STATE_HOME", ".local/state")?,
        })
    }

    /// CONFIG/identity.pem
    pub fn identity(&self) -> PathBuf {
        self.config.join("identity.pem")
    }

    /// CONFIG/trusted
    pub fn trusted(&self) -> PathBuf {
        self.config.join("trusted")
    }

    /// CONFIG/targets
    pub fn targets(&self) -> PathBuf {
        self.config.join("targets")
    }

    /// CONFIG/targets.d
    pub fn targets_directory(&self) -> PathBuf {
        self.config.join("targets.d")
    }

    /// CONFIG/thumbprints
    pub fn thumbprints(&self) -> PathBuf {
        self.config.join("thumbprints")
    }

    /// CONFIG/tentacle
    pub fn tentacle(&self) -> PathBuf {
        self.config.join("tentacle")
    }

    /// STATE/packages
    pub fn packages(&self) -> PathBuf {
        self.state.join("packages")
    }

    /// STATE/jobs
    pub fn jobs(&self) -> PathBuf {
        self.state.join("jobs")
    }

    /// STATE/spool: what a listener hands to octo-exec.
    pub fn spool(&self) -> PathBuf {
        self.state.join("spool")
    }

    /// STATE/listen: what is the listener's own.
    pub fn listen(&self) -> PathBuf {
        self.state.join("listen")
    }

    /// STATE/refused: why entries of the spool became no jobs.
    pub fn refused(&self) -> PathBuf {
        self.state.join("refused")
    }

    /// CONFIG/octo-exec: settings of octo-exec
    pub fn settings(&self) -> PathBuf {
        self.config.join("octo-exec")
    }

    /// STATE/releases: octo-exec's copies of what is released, a directory a user.
    pub fn releases(&self) -> PathBuf {
        self.state.join("releases")
    }

    /// STATE/freezes: which applications are not to be deployed, and until when.
    pub fn freezes(&self) -> PathBuf {
        self.state.join("freezes")
    }

    /// STATE/underway: the names of the jobs that may not be over.
    pub fn underway(&self) -> PathBuf {
        self.state.join("underway")
    }

    /// STATE/pruned: the ids of jobs that must not run again, a file a day.
    pub fn pruned(&self) -> PathBuf {
        self.state.join("pruned")
    }

    /// STATE/kept: how much each job that is over takes of the disk, a file a pusher.
    pub fn kept(&self) -> PathBuf {
        self.state.join("kept")
    }

    /// STATE/doorbell: where octo-exec is told that the spool has something new.
    pub fn doorbell(&self) -> PathBuf {
        self.state.join("doorbell")
    }

    /// STATE/locks
    pub fn locks(&self) -> PathBuf {
        self.state.join("locks")
    }

    /// STATE/seal.pem: the key with which octo-exec seals ends.
    pub fn seal(&self) -> PathBuf {
        self.state.join("seal.pem")
    }

    /// STATE/seal.crt: its certificate alone.
    pub fn seal_certificate(&self) -> PathBuf {
        self.state.join("seal.crt")
    }

    /// STATE/audit.log, octo-exec's
    pub fn audit(&self) -> PathBuf {
        self.state.join("audit.log")
    }

    /// STATE/listen/audit.log, the listener's
    pub fn listen_audit(&self) -> PathBuf {
        self.listen().join("audit.log")
    }
}

/// Creates a directory and its parents; the last one gets `mode`, whatever the
/// umask. A directory that exists keeps its mode.
///
/// # Errors
/// Where it can't be created, exit 73.
pub fn create_directory(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        create_directory(parent, 0o755)?;
    }
    let failed = |e: io::Error| Error::doing("create", path, &e);
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            return Ok(());
        }
        other => other.map_err(failed)?,
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    // A power cut would take it with all that is synced below.
    File::open(parent.unwrap_or(Path::new(".")))
        .and_then(|parent| parent.sync_all())
        .map_err(failed)
}

/// Opens a file that decides something, after checking that only root or this
/// user could have written it: the opened file, every directory above it, and
/// every link on the way with the directories above that.
///
/// # Errors
/// Exit 78 with the object that is unsafe and how to mend it; 65 if it is missing.
pub fn open_trusted(path: &Path) -> Result<File> {
    open_resolved(path).map(|(file, _)| file)
}

/// As [`open_trusted`], with the path without links of the file that was opened.
///
/// # Errors
/// As [`open_trusted`].
pub(crate) fn open_resolved(path: &Path) -> Result<(File, PathBuf)> {
    let resolved = check_trusted(path)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(
        rustix::fs::open(&resolved, flags, Mode::empty())
            .map_err(|e| Error::io(&resolved, &e.into()))?,
    );
    // What counts is the file that was opened, not the one that was looked at.
    let metadata = file.metadata().map_err(|e| Error::io(&resolved, &e))?;
    if !metadata.is_file() {
        return Err(unsound(&resolved, "is not a regular file"));
    }
    check_owner_and_mode(&resolved, &metadata)?;
    Ok((file, resolved))
}

/// As [`open_trusted`], for anything that has a path, unopened; returns the path
/// without links.
///
/// # Errors
/// As [`open_trusted`].
pub fn check_trusted(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(|e| Error::io(path, &e))?;
    let mut pending: VecDeque<OsString> = parts(&absolute);
    let mut resolved = PathBuf::from("/");
    let mut links = 0;
    check_component(&resolved)?;
    while let Some(part) = pending.pop_front() {
        if part.as_bytes() == b".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&part);
        let metadata = check_component(&next)?;
        if !metadata.is_symlink() {
            resolved = next;
            continue;
        }
        links += 1;
        if links > 40 {
            return Err(unsound(path, "has too many links on its way"));
        }
        let target = std::fs::read_link(&next).map_err(|e| Error::io(&next, &e))?;
        if target.is_absolute() {
            resolved = PathBuf::from("/");
        }
        for part in parts(&target).into_iter().rev() {
            pending.push_front(part);
        }
    }
    Ok(resolved)
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|c| matches!(c, Component::Normal(_) | Component::ParentDir))
        .map(|c| c.as_os_str().to_os_string())
        .collect()
}

fn check_component(path: &Path) -> Result<Metadata> {
    let metadata = std::fs::symlink_metadata(path).map_err(|e| Error::io(path, &e))?;
    check_owner_and_mode(path, &metadata)?;
    Ok(metadata)
}

fn check_owner_and_mode(path: &Path, metadata: &Metadata) -> Result<()> {
    let mode = metadata.mode();
    if metadata.uid() != 0 && metadata.uid() != geteuid().as_raw() {
        let reason = format!(
            "is owned by uid {}, not by root or uid {}",
            metadata.uid(),
            geteuid().as_raw()
        );
        return Err(unsound(path, &reason).hint(format!("chown root {}", path.display())));
    }
    // A link's mode says nothing; in a sticky directory others can't replace
    // what is not theirs, and the owner of that is checked next.
    let exempt = metadata.is_symlink() || (metadata.is_dir() && mode & 0o1000 != 0);
    if mode & 0o022 != 0 && !exempt {
        let who = if mode & 0o002 != 0 { "others" } else { "its group" };
        return Err(unsound(path, &format!("is writable by {who} (mode {:04o})", mode & 0o7777))
            .hint(format!("chmod go-w {}", path.display())));
    }
    Ok(())
}

pub(super) fn unsound(path: &Path, reason: &str) -> Error {
    Error::new(Exit::Configuration, path.display(), reason)
}

/// What was found at a path; `None` where nothing is.
///
/// # Errors
/// As [`Error::io`], for any other failure.
pub fn if_there<T>(path: &Path, found: io::Result<T>) -> Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(|error| Error::io(path, &error)),
    }
}

/// Most of what is read is smaller: it is read at once.
const USUAL: u64 = 1000;

/// Reads all of an open file, up to a bound.
///
/// # Errors
/// Where reading fails, or the file is larger than `limit` bytes.
pub fn read_bounded(file: &mut dyn Read, path: &Path, limit: u64) -> Result<Vec<u8>> {
    read_expected(file, path, USUAL, limit)
}

/// The same, of about so many bytes: they are read at once.
///
/// # Errors
/// As [`read_bounded`].
pub fn read_expected(file: &mut dyn Read, path: &Path, length: u64, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(limit) + 1).unwrap_or(0));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, &e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(
            Exit::Data,
            path.display(),
            format!("is larger than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn a_file_is_believed_only_if_its_whole_way_is() {
        let top = tempfile::tempdir().expect("tempdir");
        mode(top.path(), 0o755);
        let inner = top.path().join("inner");
        create_directory(&inner, 0o755).expect("mkdir");
        let file = inner.join("trusted");
        std::fs::write(&file, "x").expect("write");
        mode(&file, 0o644);
        assert!(open_trusted(&file).is_ok());

        let said = |path: &Path| open_trusted(path).expect_err("must be refused");
        mode(&file, 0o664);
        assert!(said(&file).message.contains("writable by its group"));
        mode(&file, 0o646);
        assert!(said(&file).message.contains("writable by others"));
        // Sticky protects what is in a directory, and says nothing on a file.
        mode(&file, 0o1646);
        assert!(said(&file).message.contains("writable by others"));
        mode(&file, 0o600);
        mode(&inner, 0o777);
        assert_eq!(said(&file).exit, Exit::Configuration);
        mode(&inner, 0o1777);
        assert!(open_trusted(&file).is_ok());
        mode(&inner, 0o755);

        // A link out of a safe place into an unsafe one is unsafe.
        let loose = top.path().join("loose");
        create_directory(&loose, 0o777).expect("mkdir");
        std::fs::write(loose.join("t"), "x").expect("write");
        mode(&loose.join("t"), 0o644);
        symlink("../loose/t", inner.join("link")).expect("symlink");
        assert!(said(&inner.join("link")).message.contains("loose"));
        mode(&loose, 0o755);
        assert!(open_trusted(&inner.join("link")).is_ok());
        symlink("round", inner.join("round")).expect("symlink");
        assert!(said(&inner.join("round")).message.contains("too many links"));
        assert_eq!(said(&inner.join("none")).exit, Exit::Data);
        assert!(said(&inner).message.contains("not a regular file"));
    }
}
