//! How much of the disk a job may take while it runs and when it ends: what its pusher has
//! left of max-store, and never the disk's reserve. A job by hand has what its user has.

use octo_core::PusherName;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::Places;
use octo_core::base::units::size;
use octo_core::tentacle::account::{PATIENCE, claim};
use octo_core::tentacle::job::{JobDirectory, Room};
use octo_core::tentacle::store::{Left, Limits, Store, check_room, free_beside_reserve};
use octo_core::trust::{Grant, Options};
use std::rc::Rc;
use std::time::Duration;

/// How long who watches over a job waits for room for its output: others who take of the
/// same account have it for milliseconds, but for a disk that is slow.
const MOMENT: Duration = Duration::from_millis(100);

/// What a job is allowed.
#[derive(Debug, Clone)]
pub(crate) struct Allowance {
    pub(super) places: Places,
    job: JobDirectory,
    /// Whose account it takes from.
    pusher: PusherName,
    /// The largest artifact, in bytes: a larger one can't be got.
    pub(crate) max_size: u64,
    max_store: u64,
}

/// As much as may be taken; nobody else takes it while this lives.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) bytes: u64,
    /// Of what there is no more.
    pub(crate) of: &'static str,
    _left: Left,
}

impl Allowance {
    /// What this yes allows this job.
    pub(crate) fn of(places: &Places, job: &JobDirectory, grant: &Grant) -> Allowance {
        Allowance {
            places: places.clone(),
            job: job.clone(),
            pusher: grant.name.clone(),
            max_size: grant.max_size,
            max_store: grant.max_store,
        }
    }

    /// What was granted to a job whose octo-exec died; where that can't be read, what holds
    /// for a line that says nothing. Its end must be written all the same.
    pub(crate) fn recorded(places: &Places, job: &JobDirectory) -> Allowance {
        let grant = job.record("grant").ok().flatten().unwrap_or_default();
        let owner = job.owner();
        let by_hand = matches!(owner, Ok(None)).then_some(u64::MAX);
        let said = |key| grant.first(key).and_then(size);
        let number = |key, otherwise| by_hand.or_else(|| said(key)).unwrap_or(otherwise);
        let Options { max_size, max_store, .. } = Options::default();
        Allowance {
            places: places.clone(),
            job: job.clone(),
            pusher: owner.ok().flatten().unwrap_or_else(PusherName::local_operator),
            max_size: number("max-size", max_size),
            max_store: number("max-store", max_store),
        }
    }

    /// Who says how far its log may grow, where somebody does.
    pub(crate) fn room(allowance: &Rc<Allowance>) -> Option<Rc<dyn Room>> {
        let is_bounded = allowance.max_store < u64::MAX;
        is_bounded.then(|| Rc::clone(allowance) as Rc<dyn Room>)
    }

    /// What its pusher has left; nobody else takes of it while that lives.
    pub(crate) fn left(&self) -> Result<Left> {
        self.left_within(PATIENCE)
    }

    fn left_within(&self, patience: Duration) -> Result<Left> {
        let limits = Limits { max_store: self.max_store, any: false, coming: None };
        Store::at(&self.places).left_within(patience, &self.pusher, limits)
    }

    /// Takes so many bytes more of what is left, and of the disk.
    ///
    /// # Errors
    /// In words, why that can't be.
    pub(crate) fn take(&self, more: u64) -> std::result::Result<Left, String> {
        let left = self.left().map_err(|error| error.message)?;
        self.check(more, &left).map(|()| left)
    }

    fn check(&self, more: u64, left: &Left) -> std::result::Result<(), String> {
        left.check(more).map_err(|error| error.reason)?;
        self.disk(more)
    }

    /// How much it may take of so many bytes that it would like to.
    pub(crate) fn part_of(&self, wanted: u64) -> std::result::Result<Part, String> {
        let left = self.left().map_err(|error| error.message)?;
        let free = match self.max_store {
            u64::MAX => u64::MAX,
            _ => free_beside_reserve(self.job.path()).map_err(|error| error.reason)?,
        };
        let part = left.part_of(wanted);
        let of = if free < part { "the disk" } else { "max-store" };
        Ok(Part { bytes: part.min(free), of, _left: left })
    }

    fn disk(&self, more: u64) -> std::result::Result<(), String> {
        if self.max_store == u64::MAX {
            return Ok(());
        }
        check_room(self.job.path(), more).map_err(|error| error.reason)
    }
}

impl Room for Allowance {
    fn claim(&self, length: u64, wanted: u64) -> Result<(u64, Box<dyn std::fmt::Debug>)> {
        // What it has claimed so far is counted already.
        let claimed = claim(wanted.saturating_sub(1));
        let more = claimed.saturating_sub(claim(length));
        let left = self.left_within(MOMENT).map_err(|error| match error.exit {
            Exit::Temporary => Error::new(error.exit, "log", "its pusher's account is in use"),
            exit => Error::new(exit, "log", error.message),
        })?;
        self.check(more, &left).map_err(|why| Error::new(Exit::Io, "log", why))?;
        Ok((claimed, Box::new(left)))
    }
}
