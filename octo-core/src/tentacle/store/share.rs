//! What a pusher may take, and what it takes already: packages here, and its jobs.

use super::{Store, StoreError, sweep_one};
use crate::base::digest::Digest;
use crate::base::error::Result;
use crate::base::names::PusherName;
use crate::base::refusal::Refusal;
use crate::base::units::human_size;
use crate::tentacle::account::{self, Coming, Kept, of_file};
use crate::tentacle::objects;
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
    store: Store,
    pusher: PusherName,
    coming: Coming,
    except: Vec<Digest>,
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
        let Some(Estimated { store, pusher, coming, except }) = &self.estimated else {
            return self.kept;
        };
        let packages = store.usage(pusher, except);
        let beside = account::kept_exactly(&store.places, pusher, coming);
        match (packages, beside) {
            (Ok(packages), Ok(beside)) => packages.saturating_add(beside.bytes),
            _ => self.kept,
        }
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
        let kept = self.kept(pusher, &Coming::new(), &[])?;
        Ok(self.left_of(pusher, limits, &kept, Some(lock), &[]))
    }

    /// The same, for a listener, of what [`Store::kept`] has found.
    pub fn left_beside(&self, pusher: &PusherName, limits: Limits<'_>, kept: &Kept) -> Left {
        self.left_of(pusher, limits, kept, None, &[])
    }

    /// All that this pusher keeps, and what was on its way before, less packages of `except`
    /// that are not in a sum.
    ///
    /// # Errors
    /// Where STATE can't be read.
    pub fn kept(&self, pusher: &PusherName, coming: &Coming, except: &[Digest]) -> Result<Kept> {
        // In the order in which a package passes through: what is not here any more is in
        // the sum.
        let mut own = self.partly(pusher, except)?;
        if self.is_of_listener() {
            let objects = objects::of(&self.directory, pusher)?.into_iter();
            own = objects.fold(own, |sum, (_, size)| sum.saturating_add(of_file(size)));
        }
        let mut kept = account::kept(&self.places, pusher, coming)?;
        if kept.estimated_beside.is_none() {
            own = self.usage(pusher, except)?;
        }
        kept.bytes = kept.bytes.saturating_add(own);
        Ok(kept)
    }

    fn left_of(
        &self,
        pusher: &PusherName,
        limits: Limits<'_>,
        kept: &Kept,
        lock: Option<File>,
        except: &[Digest],
    ) -> Left {
        let estimated = kept.estimated_beside.clone().map(|coming| {
            let (store, pusher, except) = (self.clone(), pusher.clone(), except.to_vec());
            Estimated { store, pusher, coming, except }
        });
        let (under_way, kept) = (kept.under_way.len(), kept.bytes);
        let (max_store, bytes) = (limits.max_store, limits.max_store.saturating_sub(kept));
        Left { bytes, kept, under_way, max_store, estimated, _lock: lock }
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

    /// Has the sum of this pusher have an object of this size, of which so much lies there
    /// already, before it is its own. In octo-exec's store: a listener of another user looks
    /// at what little is in its own.
    pub(super) fn count(
        &self,
        digest: &Digest,
        size: u64,
        there: Option<u64>,
        pusher: &PusherName,
    ) -> Result<Option<File>> {
        if self.is_of_listener() {
            return Ok(None);
        }
        let is_own = there.is_some() && self.holders(digest)?.contains(pusher);
        match (is_own, there.is_none_or(|there| there == size)) {
            (true, true) => Ok(None),
            (false, true) => account::add_package(&self.places, pusher, digest, size).map(Some),
            // Of all who have it.
            (_, false) => account::forget_sums(&self.places).map(Some),
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
        except: &[Digest],
    ) -> std::result::Result<Left, StoreError> {
        self.sweep_ahead(pusher)?;
        if limits.max_store == u64::MAX {
            return Ok(Left::unbounded());
        }
        let none = Coming::new();
        let kept = self.kept(pusher, limits.coming.unwrap_or(&none), except)?;
        let left = self.left_of(pusher, limits, &kept, lock, except);
        left.check(of_file(size))?;
        Ok(left)
    }

    /// The bytes that count against a pusher's max-store: its objects, and what
    /// its partial uploads take or have reserved, less those of `except`.
    ///
    /// # Errors
    /// Where the directories can't be read.
    pub(super) fn usage(&self, pusher: &PusherName, except: &[Digest]) -> Result<u64> {
        let partly = self.partly(pusher, except)?;
        let mut objects: HashMap<Digest, u64> =
            objects::of(&self.directory, pusher)?.into_iter().collect();
        for (digest, size) in self.taken_of(pusher)? {
            objects.entry(digest).or_insert(size);
        }
        objects.retain(|digest, _| !except.contains(digest));
        let sizes = objects.values();
        Ok(sizes.fold(partly, |sum, size| sum.saturating_add(of_file(*size))))
    }

    /// What partial uploads take or have reserved.
    fn partly(&self, pusher: &PusherName, except: &[Digest]) -> Result<u64> {
        let mut bytes: u64 = 0;
        for partial in self.partials()? {
            if !except.contains(&partial.digest) && partial.pusher == *pusher {
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
