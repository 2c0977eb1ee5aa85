//! Who owns what below STATE: E is the user of octo-exec, L the listener's. Where one
//! user does all they are the same. The listener can write to two directories, and
//! octo-exec follows no name in either of them.
//!
//! ```text
//! STATE             E:E 0711   keeps its mode where it is there
//! spool, listen     L:L 0700   what is handed over; uploads, the listener's own log
//! jobs              E:L 0751   the listener reads, and sees who is done
//! refused           E:L 0750
//! releases          E:L 0750   a directory a user, of the same mode
//! freezes           E:L 0755   every job looks, each file is 0644
//! packages          E:L 0711
//! underway, kept, pruned E:L 0750
//! audit.log         E:L 0640
//! seal.pem          E:E 0600   with it ends are sealed: the listener must not read it
//! seal.crt          E:L 0640
//! locks             E:E 0700   the listener can hold none
//! doorbell          E:L 0660
//! ```

pub mod check;
pub mod rights;
pub mod setup;

use crate::base::appended::{self, Access};
use crate::base::beneath;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::{Places, create_directory};
use crate::base::publish::Readers;
use rustix::fd::AsFd;
use rustix::fs::{CWD, Dir, FileType, RenameFlags, rename, renameat_with};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use std::fs::{File, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whose a thing is, or which group's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who runs octo-exec.
    Executor,
    /// Who runs octo-listen.
    Listener,
}

/// A user and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// What a thing below STATE has to be.
#[derive(Debug)]
pub struct Row {
    /// Where it is.
    pub path: fn(&Places) -> PathBuf,
    /// A directory, a file, a socket.
    pub kind: FileType,
    /// Whose it is.
    pub owner: Side,
    /// Which group's.
    pub group: Side,
    /// Its twelve bits.
    pub mode: u32,
}

const fn row(path: fn(&Places) -> PathBuf, kind: FileType, group: Side, mode: u32) -> Row {
    Row { path, kind, owner: Side::Executor, group, mode }
}

const fn listeners(path: fn(&Places) -> PathBuf) -> Row {
    let (owner, group) = (Side::Listener, Side::Listener);
    Row { path, kind: FileType::Directory, owner, group, mode: 0o700 }
}

/// All that is directly below STATE. What octo-exec makes where it is missing are the
/// directories.
pub static ROWS: &[Row] = &[
    listeners(Places::spool),
    listeners(Places::listen),
    row(Places::jobs, FileType::Directory, Side::Listener, 0o751),
    row(Places::refused, FileType::Directory, Side::Listener, 0o750),
    row(Places::releases, FileType::Directory, Side::Listener, 0o750),
    row(Places::freezes, FileType::Directory, Side::Listener, 0o755),
    row(Places::packages, FileType::Directory, Side::Listener, 0o711),
    row(Places::locks, FileType::Directory, Side::Executor, 0o700),
    row(Places::underway, FileType::Directory, Side::Listener, 0o750),
    row(Places::kept, FileType::Directory, Side::Listener, 0o750),
    row(Places::pruned, FileType::Directory, Side::Listener, 0o750),
    row(Places::audit, FileType::RegularFile, Side::Listener, 0o640),
    row(audit_head, FileType::RegularFile, Side::Listener, 0o640),
    row(Places::seal, FileType::RegularFile, Side::Executor, 0o600),
    row(Places::seal_certificate, FileType::RegularFile, Side::Listener, 0o640),
    row(Places::doorbell, FileType::Socket, Side::Listener, 0o660),
];

fn audit_head(places: &Places) -> PathBuf {
    places.audit().with_extension("head")
}

impl Owner {
    /// This process.
    pub fn this_process() -> Owner {
        Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() }
    }
}

/// Whose this is, if it is there.
pub(super) fn owner_of(path: &Path) -> Option<Owner> {
    let stat = beneath::look(path).ok()?;
    Some(Owner { uid: stat.st_uid, gid: stat.st_gid })
}

/// Who runs octo-exec here: the owner of STATE, or who would make it.
pub fn executor(places: &Places) -> Owner {
    // STATE itself may be a link to a larger disk.
    let owner = |found: Metadata| Owner { uid: found.uid(), gid: found.gid() };
    places.state.metadata().map_or_else(|_| Owner::this_process(), owner)
}

/// Whose listener it is: the spool's owner, or else octo-exec's own user.
pub fn listener(places: &Places) -> Owner {
    owner_of(&places.spool()).unwrap_or_else(|| executor(places))
}

/// Is the listener another user than octo-exec?
pub fn is_separated(places: &Places) -> bool {
    listener(places).uid != executor(places).uid
}

/// Those who read a record of this mode: the listener by its group.
pub fn readers(places: &Places, mode: u32) -> Readers {
    let group = owner_of(&places.jobs()).unwrap_or_else(|| listener(places)).gid;
    Readers::of_group(mode, group)
}

/// Is this the user who runs octo-exec here? Root, too, runs nothing out of another's STATE:
/// that user could have it run, and write to, whatever he likes.
///
/// # Errors
/// Exit 78 where it is another user's.
pub fn check_executor(places: &Places) -> Result<()> {
    let (own, executor) = (Owner::this_process(), executor(places));
    if own.uid == executor.uid {
        return Ok(());
    }
    let reason = format!("belongs to uid {}, not to uid {}", executor.uid, own.uid);
    Err(Error::new(Exit::Configuration, places.state.display(), reason)
        .hint("run octo-exec as the user whose it is"))
}

/// Whoever else can write here forges records, and swaps packages between their check and
/// their use.
///
/// # Errors
/// Exit 78, with what to do about it.
pub fn check_private(places: &Places) -> Result<()> {
    let rows = ROWS.iter().filter(|row| row.kind == FileType::Directory);
    let below = rows.map(|row| ((row.path)(places), 0o022));
    // Of STATE itself the group may be its admins'.
    for (path, bits) in std::iter::once((places.state.clone(), 0o002)).chain(below) {
        let Ok(stat) = beneath::look(&path) else { continue };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && stat.st_mode & bits != 0
        {
            let error = Error::new(Exit::Configuration, path.display(), "is writable by others");
            let who = if stat.st_mode & bits & 0o020 != 0 { "go" } else { "o" };
            return Err(error.hint(format!("chmod {who}-w {}", path.display())));
        }
    }
    Ok(())
}

/// A look at all of them holds for so long: whatever a job begins asks for one.
const LOOKED: Duration = Duration::from_secs(1);

/// Makes the directories of octo-exec that are missing; what is there stays as it is.
///
/// # Errors
/// Exit 73, naming what can't be made; 78 where STATE is another user's.
pub fn make(places: &Places) -> Result<()> {
    static MADE: Mutex<Option<(PathBuf, Instant)>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let holds = |(state, at): &(PathBuf, Instant)| *state == places.state && at.elapsed() < LOOKED;
    if !made.as_ref().is_some_and(holds) {
        make_missing(places)?;
        *made = Some((places.state.clone(), Instant::now()));
    }
    Ok(())
}

fn make_missing(places: &Places) -> Result<()> {
    create_directory(&places.state, 0o711)?;
    check_executor(places)?;
    check_private(places)?;
    let (executor, listener) = (executor(places), listener(places));
    for row in ROWS.iter().filter(|row| row.kind == FileType::Directory) {
        let path = (row.path)(places);
        if row.owner == Side::Executor && beneath::look(&path).is_err() {
            let group = if row.group == Side::Listener { listener.gid } else { executor.gid };
            make_directory(&path, Owner { uid: executor.uid, gid: group }, row.mode)?;
        }
    }
    Ok(())
}

/// Makes what is the listener's own: `spool` and `listen`.
///
/// # Errors
/// Exit 73, naming what can't be made.
pub fn make_for_listener(places: &Places, listener: Owner) -> Result<()> {
    create_directory(&places.state, 0o711)?;
    for path in [places.spool(), places.listen()] {
        if beneath::look(&path).is_err() {
            make_directory(&path, listener, 0o700)?;
        }
    }
    Ok(())
}

/// The names in a directory that is open; one that is no UTF-8 is none of ours.
pub(super) fn names_in(directory: impl AsFd) -> rustix::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => names.push(name.to_string()),
        }
    }
    Ok(names)
}

/// It appears with its owner and mode: until then it has another name.
pub(crate) fn make_directory(path: &Path, owner: Owner, mode: u32) -> Result<()> {
    let failed = |e: std::io::Error| Error::doing("create", path, &e);
    let parent = path.parent().unwrap_or(Path::new("/"));
    let staged = tempfile::Builder::new()
        .prefix(crate::base::publish::TEMPORARY_PREFIX)
        .tempdir_in(parent)
        .map_err(failed)?;
    let own = Owner::this_process();
    // By the descriptor: where root works in another user's STATE, a link may be there now.
    let opened = File::from(beneath::directory(staged.path()).map_err(|e| failed(e.into()))?);
    if opened.metadata().map_err(failed)?.uid() != own.uid {
        return Err(failed(std::io::ErrorKind::PermissionDenied.into()));
    }
    if owner != own {
        let (uid, gid) = (Some(owner.uid), Some(owner.gid));
        std::os::unix::fs::fchown(&opened, uid, gid).map_err(|error| {
            let error = failed(error);
            match owner.uid == own.uid {
                // STATE was made by somebody else for this user, and kept a group of theirs.
                true => error.hint(format!("chgrp {} {}", own.gid, parent.display())),
                false => error,
            }
        })?;
    }
    opened.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
    // Onto an empty directory a rename succeeds: whoever was faster would find its own gone.
    let renamed = renameat_with(CWD, staged.path(), CWD, path, RenameFlags::NOREPLACE);
    let renamed = match renamed {
        // Not every file system can.
        Err(Errno::INVAL | Errno::NOSYS) if !path.is_dir() => rename(staged.path(), path),
        other => other,
    };
    match renamed {
        Ok(()) => drop(staged.keep()),
        Err(_) if path.is_dir() => return Ok(()),
        Err(error) => return Err(failed(error.into())),
    }
    crate::base::publish::sync_parent(path)
}

/// A lock of octo-exec's own, not yet taken. Its name can't be that of a job's lock.
///
/// # Errors
/// Where it can't be opened.
pub fn lock_file(places: &Places, name: &str) -> Result<File> {
    appended::open_or_create(&lock_path(places, name), Access::Append, Readers::from(0o600))
}

/// As [`lock_file`], taken; given back when it is dropped.
///
/// # Errors
/// Where it can't be taken.
pub fn lock(places: &Places, name: &str) -> Result<File> {
    let file = lock_file(places, name)?;
    appended::lock(&file, &lock_path(places, name), true)?;
    Ok(file)
}

/// Where it is.
pub fn lock_path(places: &Places, name: &str) -> PathBuf {
    places.locks().join(format!(".{name}"))
}
