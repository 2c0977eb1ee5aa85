//! Files that appear whole or not at all, and stay after a power cut.
//!
//! temp + fsync + rename + fsync of the directory. A rename without the first
//! fsync leaves an empty file of the right name on ext4 and XFS; without the
//! second the name itself may be gone.

use super::{beneath, remove};
use crate::base::error::{Error, Result};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a crash left behind begins so; whoever starts in a directory sweeps it.
pub const TEMPORARY_PREFIX: &str = ".octo-tmp-";

/// For whom a file is published: it appears with its mode and group, or not at all.
#[derive(Debug, Clone, Copy)]
pub struct Readers {
    mode: u32,
    group: Option<u32>,
}

impl From<u32> for Readers {
    /// Those of this mode.
    fn from(mode: u32) -> Readers {
        Readers { mode, group: None }
    }
}

impl Readers {
    /// Those of this mode, and of this group.
    pub fn of_group(mode: u32, group: u32) -> Readers {
        Readers { mode, group: Some(group) }
    }

    /// Gives a file to them.
    ///
    /// # Errors
    /// The system's.
    pub fn give(self, file: &File) -> io::Result<()> {
        if let Some(group) = self.group
            && file.metadata()?.gid() != group
        {
            std::os::unix::fs::fchown(file, None, Some(group))?;
        }
        file.set_permissions(std::fs::Permissions::from_mode(self.mode))
    }
}

/// Publishes a file under its name, replacing any older one.
///
/// # Errors
/// Exit 73 or 74, naming the path; the old file is then still in place.
pub fn replace(path: &Path, bytes: &[u8], readers: impl Into<Readers>) -> Result<()> {
    let staged =
        stage(path, bytes, readers.into()).map_err(|e| Error::doing("create", path, &e))?;
    staged.persist(path).map_err(|e| Error::doing("create", path, &e.error))?;
    sync_parent(path)
}

/// As [`replace`], of what is on the disk elsewhere: a power cut may undo it, or tear it.
///
/// # Errors
/// As [`replace`].
pub fn copy(path: &Path, bytes: &[u8], readers: impl Into<Readers>) -> Result<()> {
    let staged = write_staged(path, bytes, readers.into());
    let staged = staged.map_err(|e| Error::doing("create", path, &e))?;
    staged.persist(path).map(drop).map_err(|e| Error::doing("create", path, &e.error))
}

/// Publishes a new version of a file, with the owner, group and mode of the old
/// one: a service must still be able to read what root has edited.
///
/// # Errors
/// As [`replace`]; also where the owner can't be kept.
pub fn replace_like(path: &Path, bytes: &[u8], old: &Metadata) -> Result<()> {
    let failed = |e: io::Error| Error::doing("create", path, &e);
    let staged = write_staged(path, bytes, 0o600.into()).map_err(failed)?;
    let new = staged.as_file().metadata().map_err(failed)?;
    let changed = |new: u32, old: u32| (new != old).then_some(old);
    std::os::unix::fs::fchown(
        staged.as_file(),
        changed(new.uid(), old.uid()),
        changed(new.gid(), old.gid()),
    )
    .map_err(|e| Error::doing("keep the owner", path, &e))?;
    staged.as_file().set_permissions(old.permissions()).map_err(failed)?;
    staged.as_file().sync_all().map_err(failed)?;
    staged.persist(path).map_err(|e| failed(e.error))?;
    sync_parent(path)
}

/// As [`replace`], of several files of one directory: in their order, and with one sync
/// of their names.
///
/// # Errors
/// As [`replace`]; those before the one that failed may be there.
pub fn replace_all(
    directory: &Path,
    files: &[(&str, &[u8])],
    readers: impl Into<Readers> + Copy,
) -> Result<()> {
    let mut all = Vec::with_capacity(files.len());
    for (name, bytes) in files {
        let path = directory.join(name);
        let staged = stage(&path, bytes, readers.into());
        all.push((staged.map_err(|e| Error::doing("create", &path, &e))?, path));
    }
    for (staged, path) in all {
        staged.persist(&path).map_err(|e| Error::doing("create", &path, &e.error))?;
    }
    sync_directory(directory)
}

/// As [`replace`], of files anywhere: what they hold and their names are brought to the
/// disk together, by one sync of each file system, which costs about as much as that of
/// one file.
///
/// # Errors
/// As [`replace`]; some of them may be there, and not on the disk.
pub fn replace_together(files: &[(PathBuf, Vec<u8>)], readers: impl Into<Readers>) -> Result<()> {
    let readers = readers.into();
    let mut systems: HashMap<u64, (File, &Path)> = HashMap::new();
    for (path, bytes) in files {
        let failed = |e: io::Error| Error::doing("create", path, &e);
        let staged = write_staged(path, bytes, readers).map_err(failed)?;
        let device = staged.as_file().metadata().map_err(failed)?.dev();
        let published = staged.persist(path).map_err(|e| failed(e.error))?;
        systems.entry(device).or_insert((published, path));
    }
    for (file, path) in systems.values() {
        rustix::fs::syncfs(file).map_err(|e| Error::doing("write", path, &e.into()))?;
    }
    Ok(())
}

/// Brings all that a path's file system has to the disk.
///
/// # Errors
/// Exit 74, naming the path.
pub fn sync_system(path: &Path) -> Result<()> {
    let failed = |e: io::Error| Error::doing("write", path, &e);
    let file = File::open(path).map_err(failed)?;
    rustix::fs::syncfs(&file).map_err(|e| failed(e.into()))
}

/// Publishes a file only if its name is free; says whether it did.
///
/// # Errors
/// Exit 73 or 74, naming the path.
pub fn create(path: &Path, bytes: &[u8], readers: impl Into<Readers>) -> Result<bool> {
    let staged =
        stage(path, bytes, readers.into()).map_err(|e| Error::doing("create", path, &e))?;
    match staged.persist_noclobber(path) {
        Ok(_) => sync_parent(path).map(|()| true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::doing("create", path, &error.error)),
    }
}

/// Room on the disk for a file that must be written when there is none left: how
/// a job ended.
#[derive(Debug)]
pub struct Reserved {
    staged: tempfile::NamedTempFile,
}

impl Reserved {
    /// Takes so many bytes in a directory; they go when this is dropped.
    ///
    /// # Errors
    /// Exit 73 or 74, naming the directory.
    pub fn new(directory: &Path, size: usize) -> Result<Reserved> {
        let failed = |e: io::Error| Error::doing("create a file in", directory, &e);
        let mut staged = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempfile_in(directory)
            .map_err(failed)?;
        // Zeroes that are written are allocated; a length that is set is not.
        staged.write_all(&vec![0; size]).map_err(failed)?;
        Ok(Reserved { staged })
    }

    /// As [`replace`], in the room that was kept.
    ///
    /// # Errors
    /// As [`replace`].
    pub fn replace(mut self, path: &Path, bytes: &[u8], readers: impl Into<Readers>) -> Result<()> {
        self.write(bytes, readers.into())
            .and_then(|()| self.staged.as_file().sync_all())
            .map_err(|e| Error::doing("create", path, &e))?;
        self.persist(path)?;
        sync_parent(path)
    }

    /// As [`copy`], in the room that was kept.
    ///
    /// # Errors
    /// As [`copy`].
    pub fn copy(mut self, path: &Path, bytes: &[u8], readers: impl Into<Readers>) -> Result<()> {
        self.write(bytes, readers.into()).map_err(|e| Error::doing("create", path, &e))?;
        self.persist(path)
    }

    /// Gives back what is beyond so many bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn shrink(&mut self, size: usize) -> io::Result<()> {
        let file = self.staged.as_file();
        file.set_len(file.metadata()?.len().min(size as u64))
    }

    fn write(&mut self, bytes: &[u8], readers: Readers) -> io::Result<()> {
        self.staged.seek(SeekFrom::Start(0))?;
        self.staged.write_all(bytes)?;
        let file = self.staged.as_file();
        file.set_len(bytes.len() as u64)?;
        readers.give(file)
    }

    fn persist(self, path: &Path) -> Result<()> {
        let persisted = self.staged.persist(path);
        persisted.map(drop).map_err(|e| Error::doing("create", path, &e.error))
    }
}

fn stage(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<tempfile::NamedTempFile> {
    let staged = write_staged(path, bytes, readers)?;
    // An fsync that failed is not tried again: the kernel may have dropped the
    // dirty pages, and a second call would then succeed over nothing.
    staged.as_file().sync_all()?;
    Ok(staged)
}

fn write_staged(
    path: &Path,
    bytes: &[u8],
    readers: Readers,
) -> io::Result<tempfile::NamedTempFile> {
    let directory = parent(path);
    let mut staged = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(directory)?;
    staged.write_all(bytes)?;
    readers.give(staged.as_file())?;
    Ok(staged)
}

/// Creates an empty file for appending that has its mode and group as soon as it is
/// there: whoever may read it never finds it shut. Its name is not made durable.
///
/// # Errors
/// Where it can't be created, or is there.
pub fn create_empty(path: &Path, readers: impl Into<Readers>) -> io::Result<File> {
    let directory = parent(path);
    let mut options = File::options();
    let staged = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .make_in(directory, |path| options.append(true).create_new(true).mode(0o600).open(path))?;
    readers.into().give(staged.as_file())?;
    staged.persist_noclobber(path).map_err(|e| e.error)
}

/// Makes the names in a path's directory durable.
///
/// # Errors
/// Exit 74, naming the directory.
pub fn sync_parent(path: &Path) -> Result<()> {
    sync_directory(parent(path))
}

/// The directory of a path; that of `file` is `.`, where [`Path::parent`] has
/// an empty path, which can't be opened.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the names in a directory durable.
///
/// # Errors
/// Exit 74, naming the directory.
pub fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory).and_then(|d| d.sync_all()).map_err(|e| Error::io(directory, &e))
}

/// Removes what crashed publishers left in a directory. Only for one who holds
/// the lock that keeps other publishers out.
pub fn sweep(directory: &Path) {
    remove_left(directory, &left_in(directory), SWEEP);
}

/// How long a sweep may take that others wait for.
pub const SWEEP: Duration = Duration::from_secs(5);

/// The names of what crashed publishers left in a directory. No publisher uses them again.
pub fn left_in(directory: &Path) -> Vec<OsString> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let is_left = |name: &OsString| name.to_string_lossy().starts_with(TEMPORARY_PREFIX);
    entries.map(|entry| entry.file_name()).filter(is_left).collect()
}

/// Removes these, and takes no longer than that. What can't be removed is in nobody's way:
/// the next sweep tries again.
pub fn remove_left(directory: &Path, names: &[OsString], patience: Duration) {
    let begun = Instant::now();
    for name in names {
        // One that somebody adds to leaves time for the others.
        let _ = remove_from(directory, name, patience.saturating_sub(begun.elapsed()) / 2);
    }
}

/// Removes a file, or a directory with all that it holds, from this directory, and takes no
/// longer than that.
///
/// # Errors
/// The system's; [`io::ErrorKind::WouldBlock`] where time is up.
pub fn remove_from(directory: &Path, name: &OsStr, patience: Duration) -> io::Result<()> {
    // The directory may be a link to a larger disk.
    Ok(remove::tree(beneath::top(directory)?, name, patience)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_whole_or_not_at_all() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("file");
        assert!(create(&path, b"one", 0o644).expect("create"));
        assert!(!create(&path, b"two", 0o644).expect("create"));
        assert_eq!(std::fs::read(&path).expect("read"), b"one");
        replace(&path, b"three", 0o600).expect("replace");
        assert_eq!(std::fs::read(&path).expect("read"), b"three");
        assert_eq!(path.metadata().expect("stat").permissions().mode() & 0o777, 0o600);
        let reserved = Reserved::new(directory.path(), 100).expect("room");
        reserved.replace(&path, b"four", 0o640).expect("replace");
        assert_eq!(std::fs::read(&path).expect("read"), b"four");
        assert_eq!(path.metadata().expect("stat").permissions().mode() & 0o777, 0o640);
        drop(Reserved::new(directory.path(), 100).expect("room"));
        std::fs::write(directory.path().join(".octo-tmp-x"), "").expect("write");
        sweep(directory.path());
        assert_eq!(std::fs::read_dir(directory.path()).expect("read_dir").count(), 1);
        assert_eq!(
            (parent(Path::new("file")), parent(Path::new("/a/b"))),
            (Path::new("."), Path::new("/a"))
        );
        assert!(replace(&directory.path().join("none/file"), b"", 0o644).is_err());
    }
}
