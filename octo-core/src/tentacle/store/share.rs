//! What a pusher may take, and what it takes already: packages here, and its jobs.

use super::{Store, StoreError, names_below, sweep_one};
use crate::base::digest::Digest;
use crate::base::error::Result;
use crate::base::names::PusherName;
use crate::base::paths::Places;
use crate::base::refusal::Refusal;
use crate::base::units::human_size;
use crate::tentacle::account::{self, Coming, Kept, of_file};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// What one pusher may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// For all that it keeps here, in bytes.
    pub max_store: u64,
    /// Whether it may use what others put (allow=any).
    pub any: bool,
    /// What else counts: what waits in a listener's spool.
    pub coming: Option<&'a Coming>,
}

/// How much a pusher may still take. Nobody else takes of it while this lives, where it
/// is octo-exec's user who asks.
#[derive(Debug)]
pub struct Left {
    /// In bytes.
    pub bytes: u64,
    /// What it keeps, in bytes.
    pub kept: u64,
    /// Its jobs that are not over.
    pub under_way: usize,
    max_store: u64,
    /// What may be counted too high: before anybody is refused, it is counted exactly.
    estimated: Option<Estimated>,
    _lock: Option<File>,
}

/// What it takes to count exactly.
#[derive(Debug)]
struct Estimated {
    places: Places,
    pusher: PusherName,
    coming: Coming,
    packages: u64,
}

impl Left {
    /// What has no bounds: a job by hand.
    pub fn unbounded() -> Left {
        let (bytes, kept, under_way, max_store) = (u64::MAX, 0, 0, u64::MAX);
        Left { bytes, kept, under_way, max_store, estimated: None, _lock: None }
    }

    /// Is there so much left?
    ///
    /// # Errors
    /// Limit, with what to do about it.
    pub fn check(&self, more: u64) -> std::result::Result<(), StoreError> {
        if more <= self.bytes {
            return Ok(());
        }
        let kept = self.kept_exactly();
        if more <= self.max_store.saturating_sub(kept) {
            return Ok(());
        }
        let reason = format!(
            "{} on top of {} would pass max-store={}: packages and jobs count together; \
             octo-exec prune at the target makes room, or its admin raises max-store",
            human_size(more),
            human_size(kept),
            human_size(self.max_store)
        );
        Err(StoreError::new(Refusal::Limit, reason))
    }

    /// As much of this as is left.
    pub fn part_of(&self, wanted: u64) -> u64 {
        match wanted <= self.bytes {
            true => wanted,
            false => wanted.min(self.max_store.saturating_sub(self.kept_exactly())),
        }
    }

    fn kept_exactly(&self) -> u64 {
        let Some(Estimated { places, pusher, coming, packages }) = &self.estimated else {
            return self.kept;
        };
        let exactly = account::kept_exactly(places, pusher, coming);
        exactly.map_or(self.kept, |exactly| packages.saturating_add(exactly.bytes))
    }
}

impl Store {
    /// How much this pusher may still take, for octo-exec: also what is published while
    /// the result lives is counted.
    ///
    /// # Errors
    /// Where STATE can't be read.
    pub fn left(&self, pusher: &PusherName, limits: Limits<'_>) -> Result<Left> {
        self.left_within(account::PATIENCE, pusher, limits)
    }

    /// As [`Store::left`], with another patience for others who count or take.
    ///
    /// # Errors
    /// As [`Store::left`]; temporary where they are not ready by then.
    pub fn left_within(
        &self,
        patience: Duration,
        pusher: &PusherName,
        limits: Limits<'_>,
    ) -> Result<Left> {
        if limits.max_store == u64::MAX {
            return Ok(Left::unbounded());
        }
        let lock = account::lock_for(patience, &self.places, pusher)?;
        let kept = account::kept(&self.places, pusher, &Coming::new())?;
        self.left_of(pusher, limits, &kept, Some(lock), &|_| false)
    }

    /// The same, for a listener, which has looked at the jobs already.
    ///
    /// # Errors
    /// As [`Store::left`].
    pub fn left_beside(
        &self,
        pusher: &PusherName,
        limits: Limits<'_>,
        kept: &Kept,
    ) -> Result<Left> {
        self.left_of(pusher, limits, kept, None, &|_| false)
    }

    fn left_of(
        &self,
        pusher: &PusherName,
        limits: Limits<'_>,
        kept: &Kept,
        lock: Option<File>,
        except: &dyn Fn(&Digest) -> bool,
    ) -> Result<Left> {
        let packages = self.usage(pusher, except)?;
        let estimated = kept.estimated_beside.clone().map(|coming| {
            let (places, pusher) = (self.places.clone(), pusher.clone());
            Estimated { places, pusher, coming, packages }
        });
        let under_way = kept.under_way.len();
        let kept = packages.saturating_add(kept.bytes);
        let (max_store, bytes) = (limits.max_store, limits.max_store.saturating_sub(kept));
        Ok(Left { bytes, kept, under_way, max_store, estimated, _lock: lock })
    }

    /// Takes this pusher's account, where there is something to count, before the store's
    /// lock: it may be waited for long, and meanwhile the store is for all others.
    pub(super) fn lock_share(
        &self,
        pusher: &PusherName,
        limits: Limits<'_>,
    ) -> Result<Option<File>> {
        // A listener of another user has no such lock: it counts for itself, and octo-exec
        // anew when it takes the package over.
        match limits.max_store == u64::MAX || self.is_of_listener() {
            true => Ok(None),
            false => account::lock(&self.places, pusher).map(Some),
        }
    }

    /// Is there room for an object of this size? What it takes is to be taken while the
    /// result lives.
    pub(super) fn check_share(
        &self,
        size: u64,
        pusher: &PusherName,
        limits: Limits<'_>,
        lock: Option<File>,
        except: &dyn Fn(&Digest) -> bool,
    ) -> std::result::Result<Left, StoreError> {
        self.sweep_ahead(pusher)?;
        if limits.max_store == u64::MAX {
            return Ok(Left::unbounded());
        }
        let none = Coming::new();
        let kept = account::kept(&self.places, pusher, limits.coming.unwrap_or(&none))?;
        let left = self.left_of(pusher, limits, &kept, lock, except)?;
        left.check(of_file(size))?;
        Ok(left)
    }

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
        let mut objects: HashMap<Digest, u64> = HashMap::new();
        for name in names_below(&self.directory)? {
            let Some(digest) = Digest::parse(&name) else { continue };
            // A list that is damaged is told to who uses it, and must not stop all others.
            if self.holders(&digest).is_ok_and(|holders| holders.contains(pusher))
                && let Some(size) = self.size(&digest)?
            {
                objects.insert(digest, of_file(size));
            }
        }
        for (digest, size) in self.taken_of(pusher)? {
            objects.entry(digest).or_insert(of_file(size));
        }
        objects.retain(|digest, _| !except(digest));
        let mut bytes = objects.values().fold(0, |sum: u64, size| sum.saturating_add(*size));
        for partial in self.partials()? {
            if !except(&partial.digest) && partial.pusher == *pusher {
                // What was swept or finished meanwhile counts no more.
                let taken = partial.path.metadata();
                let taken = taken.map_or(0, |m| of_file(m.len().max(m.blocks() * 512)));
                bytes = bytes.saturating_add(taken);
            }
        }
        Ok(bytes)
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
