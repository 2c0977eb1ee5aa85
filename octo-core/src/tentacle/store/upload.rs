//! One upload: taken up where the last connection broke off, hashed as it comes,
//! published only when all of its bytes are on the disk and are the right ones.

use super::pipeline::{self, ALIGNMENT, BUFFER, Broken, Buffer};
use super::{Store, StoreError, remove};
use crate::base::digest::{Digest, Hasher};
use crate::base::names::PusherName;
use crate::base::publish;
use crate::base::refusal::Refusal;
use crate::base::units::human_size;
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open, statvfs};
use rustix::io::{Errno, retry_on_intr};
use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Nothing that comes over the network takes the last of the disk: a twentieth of it stays free, but
/// no more than this.
const RESERVE: u64 = 1 << 30;

/// How many bytes may still be taken of the disk of this path: the reserve is none of them.
///
/// # Errors
/// Io where the disk can't be asked.
pub fn free_beside_reserve(path: &Path) -> Result<u64, StoreError> {
    free_and_reserve(path).map(|(free, reserve)| free.saturating_sub(reserve))
}

/// Are there so many bytes more on the disk of this path, and the reserve beside them?
///
/// # Errors
/// Full where not, io where the disk can't be asked.
pub fn check_room(path: &Path, needed: u64) -> Result<(), StoreError> {
    let (free, reserve) = free_and_reserve(path)?;
    if needed > free.saturating_sub(reserve) {
        let reason = format!(
            "{} more is needed, {} is free, of which {} stays free: octo-exec prune at the target \
             makes room",
            human_size(needed),
            human_size(free),
            human_size(reserve)
        );
        return Err(StoreError::new(Refusal::Full, reason));
    }
    Ok(())
}

fn free_and_reserve(path: &Path) -> Result<(u64, u64), StoreError> {
    let disk = statvfs(path).map_err(|e| StoreError::io("read", &e.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    Ok((free, RESERVE.min(disk.f_blocks.saturating_mul(disk.f_frsize) / 20)))
}

/// An upload that has begun. It holds the lock of its partial file; dropped, the
/// bytes that came stay for the next try.
#[derive(Debug)]
pub struct Upload<'a> {
    store: &'a Store,
    digest: Digest,
    pub(super) size: u64,
    pub(super) pusher: PusherName,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    /// How much is there, and how much of that is in the hasher.
    offset: u64,
    hashed: u64,
    after: After,
}

/// What a dropped upload leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// What came, for the next try.
    Partial,
    /// Nothing: no next try could find it.
    Nothing,
    /// All was done.
    Over,
}

/// When an object gets the name of who may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// No object is ever nobody's.
    First,
    /// When the object is durable: who sees its names may drop another copy.
    Last,
}

/// What ended an upload.
#[derive(Debug)]
pub enum ReceiveError {
    /// Its sender.
    Sender(io::Error),
    /// The store.
    Store(StoreError),
}

/// Opens a partial file, past the page cache where that is possible, and locks
/// it; `None` if another holds the lock.
pub(super) fn open_locked(path: &Path) -> Result<Option<File>, StoreError> {
    let plain = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR;
    loop {
        let opened = match open(path, plain | OFlags::DIRECT, mode) {
            Err(Errno::INVAL) => open(path, plain, mode),
            // Killed between its chmod and its rename: whole, and read-only.
            Err(Errno::ACCESS) => std::fs::set_permissions(path, Permissions::from_mode(0o600))
                .map_err(|e| StoreError::io("open", &e))
                .map(|()| open(path, plain, mode))?,
            other => other,
        };
        let file = File::from(opened.map_err(|e| StoreError::io("open", &e.into()))?);
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &error)),
        }
        // Its last holder may have removed it between the two calls.
        if file.metadata().map_err(|e| StoreError::io("read", &e))?.nlink() > 0 {
            return Ok(Some(file));
        }
    }
}

impl<'a> Upload<'a> {
    pub(super) fn new(
        store: &'a Store,
        digest: &Digest,
        size: u64,
        pusher: &PusherName,
        path: PathBuf,
        file: File,
        after: After,
    ) -> Upload<'a> {
        let (digest, pusher, hasher) = (*digest, pusher.clone(), Hasher::new());
        Upload { store, digest, size, pusher, path, file, hasher, offset: 0, hashed: 0, after }
    }

    /// From now on it is the upload of this object, in that place.
    pub(super) fn rename(mut self, digest: &Digest, path: PathBuf) -> Result<Self, StoreError> {
        std::fs::rename(&self.path, &path).map_err(|e| StoreError::io("rename", &e))?;
        (self.digest, self.path, self.after) = (*digest, path, After::Partial);
        Ok(self)
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// How much of it is there: its sender goes on from here.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the rest of the package, hashes and writes it.
    ///
    /// # Errors
    /// The sender's end and the store's own failure apart; what came is kept.
    pub fn receive(
        self,
        read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Result<Self, ReceiveError> {
        let left = self.size - self.offset;
        self.receive_part(left, read)
    }

    /// Reads so much more of it, no more than is left.
    pub(super) fn receive_part(
        mut self,
        length: u64,
        read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Result<Self, ReceiveError> {
        if length == 0 {
            return Ok(self);
        }
        let hasher = std::mem::take(&mut self.hasher);
        let (hasher, end, outcome) =
            pipeline::transfer(&self.file, self.offset, length, hasher, read);
        (self.offset, self.hashed) = (end, end);
        self.hasher = hasher;
        match outcome {
            Ok(()) => Ok(self),
            Err(Broken::Reader(error)) => Err(ReceiveError::Sender(error)),
            Err(Broken::Writer(error)) => Err(ReceiveError::Store(StoreError::io("write", &error))),
        }
    }

    /// Verifies what came and publishes it, durably.
    ///
    /// # Errors
    /// Mismatch, full or io; then nothing of it stays.
    pub fn finish(self) -> Result<(), StoreError> {
        self.finish_with(Names::First)
    }

    pub(super) fn finish_with(mut self, names: Names) -> Result<(), StoreError> {
        let published = self.publish(names);
        if published.is_err() {
            // An fsync that failed is not tried again: the kernel may have dropped
            // what it could not write. The next try sends it all.
            let _ = remove(&self.path);
        }
        self.after = After::Over;
        published
    }

    fn publish(&mut self, names: Names) -> Result<(), StoreError> {
        let seen = std::mem::take(&mut self.hasher).finish();
        if seen != self.digest {
            let reason = format!("what came has the sha256 {seen}, announced was {}", self.digest);
            return Err(StoreError::new(Refusal::Mismatch, reason));
        }
        self.file
            .set_permissions(Permissions::from_mode(0o444))
            .and_then(|()| self.file.sync_all())
            .map_err(|e| StoreError::io("write", &e))?;
        let changing = self.store.change()?;
        let there = self.store.size(&self.digest)?;
        // Those that a killed removal left permit nothing.
        if there.is_none() {
            remove(&self.store.names(&self.digest))?;
        }
        let _counted = self.store.count(&self.digest, self.size, there, &self.pusher)?;
        if names == Names::First {
            self.store.admit(&self.digest, &self.pusher, &changing)?;
        }
        // Replaces what another pusher put: these bytes were verified just now,
        // those a while ago.
        std::fs::rename(&self.path, self.store.path(&self.digest))
            .map_err(|e| StoreError::io("publish", &e))?;
        publish::sync_directory(&self.store.directory)?;
        if names == Names::Last {
            self.store.admit(&self.digest, &self.pusher, &changing)?;
        }
        Ok(())
    }

    /// Decides where to go on, and reserves the rest before the first byte comes.
    pub(super) fn make_room(&mut self) -> Result<(), StoreError> {
        let metadata = self.file.metadata().map_err(|e| StoreError::io("read", &e))?;
        let there = metadata.len();
        self.offset = match there {
            _ if there > self.size => 0,
            _ if there == self.size => there,
            _ => there - there % ALIGNMENT as u64,
        };
        if self.offset != there {
            self.file.set_len(self.offset).map_err(|e| StoreError::io("write", &e))?;
        }
        let needed = self.size.saturating_sub(metadata.blocks().saturating_mul(512));
        check_room(&self.path, needed)?;
        if self.size == 0 {
            return Ok(());
        }
        let reserve = || fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, self.size);
        match retry_on_intr(reserve) {
            // Not every file system can: then it is full when it is full.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::NODEV) => Ok(()),
            Err(Errno::FBIG) => {
                Err(StoreError::new(Refusal::Full, "larger than a file may be here"))
            }
            Err(error) => Err(StoreError::io("reserve space", &error.into())),
        }
    }

    /// Hashes what an earlier connection brought.
    pub(super) fn rehash(&mut self) -> Result<(), StoreError> {
        if self.hashed == self.offset {
            return Ok(());
        }
        let mut buffer = Buffer::new(BUFFER);
        while self.hashed < self.offset {
            let read = match self.file.read_at(buffer.bytes(), self.hashed) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StoreError::io("read", &error)),
            };
            // Cut behind our back, against the lock: what is gone is sent again.
            if read == 0 {
                return Err(StoreError::new(Refusal::Io, "the partial upload became shorter"));
            }
            self.hasher.update(&buffer.bytes()[..read]);
            self.hashed += read as u64;
        }
        Ok(())
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        match self.after {
            After::Over => return,
            After::Nothing => {
                let _ = remove(&self.path);
                return;
            }
            After::Partial => {}
        }
        // What was reserved and not written is given back; the rest waits for the
        // next try. If this fails, the sweep gets it.
        let written = self.file.metadata().map_or(0, |m| m.len());
        if written == 0 {
            let _ = remove(&self.path);
        } else {
            let _ = self.file.set_len(written);
        }
    }
}
