//! The beginning of a file that comes while its sender still hashes it.
//!
//! To hash a gigabyte takes its sender most of a second, in which it would send
//! nothing. So what it can send meanwhile is kept here, under a name that says
//! nothing; once the sha256 is known, [`Store::begin`] takes it up, or throws it
//! away where the object is there already. Nobody else can find it: dropped, it is
//! removed, and its sender begins anew.

use super::upload::{After, open_locked};
use super::{AHEAD, Limits, ReceiveError, Store, StoreError, Upload};
use crate::base::digest::Digest;
use crate::base::names::{PusherName, random_bytes};
use std::io;
use std::path::PathBuf;

/// A beginning, and the room for the rest.
#[derive(Debug)]
pub struct Ahead<'a> {
    upload: Upload<'a>,
}

impl Store {
    /// Makes room for a file of which only size and sender are known.
    ///
    /// # Errors
    /// Full, limit or io; then nothing is reserved.
    pub fn ahead(
        &self,
        size: u64,
        pusher: &PusherName,
        limits: Limits<'_>,
    ) -> Result<Ahead<'_>, StoreError> {
        let share = self.lock_share(pusher, limits)?;
        let _changing = self.change()?;
        let _left = self.check_share(size, pusher, limits, share, &[])?;
        let mut random = [0; 32];
        random_bytes(&mut random).map_err(|e| StoreError::io("name it", &e))?;
        let name = Digest::from_bytes(random);
        let path = self.incoming().join(format!("{AHEAD}{name}.{pusher}"));
        // Only a name that was never used before is locked by nobody.
        let taken = || StoreError::io("name it", &io::ErrorKind::AlreadyExists.into());
        let file = open_locked(&path)?.ok_or_else(taken)?;
        let mut upload = Upload::new(self, &name, size, pusher, path, file, After::Nothing);
        upload.make_room()?;
        Ok(Ahead { upload })
    }
}

impl<'a> Ahead<'a> {
    /// How much has come.
    pub fn offset(&self) -> u64 {
        self.upload.offset()
    }

    /// Does this belong to it?
    pub fn is_of(&self, size: u64, pusher: &PusherName) -> bool {
        self.upload.size == size && self.upload.pusher == *pusher
    }

    /// Reads the next `length` bytes, of those that are left.
    ///
    /// # Errors
    /// The sender's end and the store's own failure apart; nothing of it stays.
    pub fn receive(
        self,
        length: u64,
        read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Result<Self, ReceiveError> {
        let length = length.min(self.upload.size - self.upload.offset());
        self.upload.receive_part(length, read).map(|upload| Ahead { upload })
    }

    /// What it is called until its sha256 is known.
    pub(super) fn name(&self) -> Digest {
        self.upload.digest()
    }

    /// Its sha256 is known: from now on it is a partial upload as any other.
    pub(super) fn upload(self, digest: &Digest, path: PathBuf) -> Result<Upload<'a>, StoreError> {
        self.upload.rename(digest, path)
    }
}
