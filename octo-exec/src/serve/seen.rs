//! An entry as it was seen in the spool: another file of its name is another entry, to be
//! tried as if there had been none.

use octo_core::base::paths::Places;
use octo_core::tentacle::spool::EntryName;
use std::os::unix::fs::MetadataExt;

/// A name, and what tells one file of that name from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) name: EntryName,
    inode: u64,
    /// Nobody sets this time of a file: one that took over a free inode differs in it.
    changed: (i64, i64),
}

impl Seen {
    /// The entry of this name; `None` where it is there no more.
    pub(super) fn of(places: &Places, name: EntryName) -> Option<Seen> {
        let found = places.spool().join(name.to_string()).symlink_metadata().ok()?;
        let (inode, changed) = (found.ino(), (found.ctime(), found.ctime_nsec()));
        Some(Seen { name, inode, changed })
    }

    /// Is it still there, and nothing made of it?
    pub(super) fn is_left(&self, places: &Places) -> bool {
        !self.name.is_done(places) && Seen::of(places, self.name.clone()).as_ref() == Some(self)
    }
}
