//! Ids of a time to come: whoever makes one up may claim any. A journal that has lines of
//! one is read from end to end for the lines of an id; any other back to the id's time.

use jiff::{SignedDuration, Timestamp};
use octo_core::base::error::{Error, Result};
use octo_core::base::names::JobId;
use octo_core::base::publish::sync_parent;
use std::fs::File;
use std::path::Path;

/// A job's lines are younger than its id, but for clocks that differ or are set:
/// by no more than this.
pub(super) const SLACK: SignedDuration = SignedDuration::from_hours(24);

/// When the id's maker claims to have made it.
pub(super) fn time_of(id: &JobId) -> Option<Timestamp> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", id.time()).ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp())
}

/// Does it claim to be of a time to come, or of none?
pub(super) fn is_ahead(id: &JobId, now: Timestamp) -> bool {
    let latest = now.checked_add(SLACK).unwrap_or(Timestamp::MAX);
    time_of(id).is_none_or(|time| time > latest)
}

/// Notes, before the first line of one, that there are such lines.
///
/// # Errors
/// Where that can't be written down.
pub(super) fn note(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    File::create(path).map_err(|e| Error::doing("create", path, &e))?;
    sync_parent(path)
}
