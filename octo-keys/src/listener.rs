//! Whose process octo-listen is, where it is another user than octo-exec.

use octo_core::base::paths::Places;
use std::os::unix::fs::MetadataExt;

/// The user of a listener that has a STATE/spool of its own; `None` where STATE has
/// one owner.
pub(crate) fn other_user(places: &Places) -> Option<u32> {
    let owner = |path: &std::path::Path| path.metadata().ok().map(|found| found.uid());
    let spool = owner(&places.state.join("spool"))?;
    (Some(spool) != owner(&places.state)).then_some(spool)
}
