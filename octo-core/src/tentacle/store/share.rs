//! What a pusher may take of the store, and what it takes already.

use super::{Store, StoreError, sweep_one};
use crate::base::digest::Digest;
use crate::base::error::Result;
use crate::base::names::PusherName;
use crate::base::refusal::Refusal;
use crate::base::units::human_size;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// What one pusher may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For its packages together.
    pub max_store: u64,
    /// Whether it may use what others put (allow=any).
    pub any: bool,
}

impl Store {
    /// The bytes that count against a pusher's max-store: its objects, and what
    /// its partial uploads take or have reserved, less those of `except`.
    ///
    /// # Errors
    /// Where the directories can't be read.
    pub(super) fn usage(
        &self,
        pusher: &PusherName,
        except: &dyn Fn(&Digest) -> bool,
    ) -> Result<u64> {
        let mut bytes: u64 = 0;
        for object in self.objects()? {
            if !except(&object.digest) && object.holders.contains(pusher) {
                bytes = bytes.saturating_add(object.size);
            }
        }
        for partial in self.partials()? {
            if !except(&partial.digest) && partial.pusher == *pusher {
                // What was swept or finished meanwhile counts no more.
                let taken = partial.path.metadata().map_or(0, |m| m.len().max(m.blocks() * 512));
                bytes = bytes.saturating_add(taken);
            }
        }
        Ok(bytes)
    }

    /// Would so much more be within the pusher's share?
    pub(super) fn check_share(
        &self,
        size: u64,
        pusher: &PusherName,
        limits: Limits,
        except: &dyn Fn(&Digest) -> bool,
    ) -> std::result::Result<(), StoreError> {
        self.sweep_ahead(pusher)?;
        let used = self.usage(pusher, except)?;
        if used.saturating_add(size) <= limits.max_store {
            return Ok(());
        }
        let reason = format!(
            "{} on top of {} would pass max-store={}",
            human_size(size),
            human_size(used),
            human_size(limits.max_store)
        );
        Err(StoreError::new(Refusal::Limit, reason))
    }

    /// Removes what a killed listener left of this pusher's beginnings: nobody can
    /// take them up.
    fn sweep_ahead(&self, pusher: &PusherName) -> Result<()> {
        for partial in self.partials()? {
            if partial.ahead && partial.pusher == *pusher {
                sweep_one(&partial.path, Duration::ZERO)?;
            }
        }
        Ok(())
    }
}
