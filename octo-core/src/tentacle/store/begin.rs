//! The beginning of an upload: is the package there, is there room for it, and from
//! where does it go on?

use super::upload::{After, Upload, open_locked};
use super::{Ahead, Limits, Store, StoreError, Who};
use crate::base::digest::Digest;
use crate::base::names::PusherName;
use crate::base::publish;

/// How an announced package stands.
#[derive(Debug)]
pub enum Begin<'a> {
    /// It is there, and this pusher may use it: nothing to send.
    Whole,
    /// It is to be sent, from [`Upload::offset`] on.
    Upload(Box<Upload<'a>>),
    /// Another connection of the same pusher is sending it.
    Busy,
}

impl Store {
    /// Begins or takes up an upload. May take as long as reading what is there.
    /// What came ahead of it is taken, unless the answer is [`Begin::Busy`].
    ///
    /// # Errors
    /// Full, limit or io; then nothing is reserved.
    pub fn begin<'a>(
        &'a self,
        digest: &Digest,
        size: u64,
        pusher: &PusherName,
        limits: Limits<'_>,
        ahead: &mut Option<Ahead<'a>>,
    ) -> Result<Begin<'a>, StoreError> {
        let share = self.lock_share(pusher, limits)?;
        // One at a time: two uploads can't both take the last of a share. Given back
        // before what is there is read: that may take long.
        let changing = self.change()?;
        let who = if limits.any { Who::Any } else { Who::Pusher(pusher) };
        // An object of another length is damaged: it is sent and put anew.
        if self.holds(digest, who)? == Some(size) {
            *ahead = None;
            self.touch(digest);
            // Who published it may have been killed before its name was durable.
            publish::sync_directory(&self.directory)?;
            return Ok(Begin::Whole);
        }
        let provisional = ahead.as_ref().map(Ahead::name);
        let except: Vec<Digest> = [*digest].into_iter().chain(provisional).collect();
        let left = self.check_share(size, pusher, limits, share, &except)?;
        let path = self.partial(digest, pusher);
        let Some(file) = open_locked(&path)? else { return Ok(Begin::Busy) };
        let there = file.metadata().map_err(|e| StoreError::io("read", &e))?.len();
        let mut upload = match ahead.take().filter(|ahead| there < ahead.offset()) {
            Some(ahead) => ahead.upload(digest, path)?,
            None => {
                let after = After::Partial;
                let mut upload = Upload::new(self, digest, size, pusher, path, file, after);
                upload.make_room()?;
                upload
            }
        };
        drop((left, changing));
        upload.rehash()?;
        Ok(Begin::Upload(Box::new(upload)))
    }
}
