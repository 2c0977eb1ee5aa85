//! An entry as it was seen in the spool: another file of its name is another entry, to be
//! tried as if there had been none.

use octo_core::base::identity::FileIdentity;
use octo_core::base::paths::Places;
use octo_core::tentacle::spool::EntryName;

/// A name, and what tells one file of that name from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) name: EntryName,
    file: FileIdentity,
}

impl Seen {
    /// The entry of this name; `None` where it is there no more.
    pub(super) fn of(places: &Places, name: EntryName) -> Option<Seen> {
        let file = FileIdentity::of(&places.spool().join(name.to_string()))?;
        Some(Seen { name, file })
    }

    /// Is it still there, and nothing made of it?
    pub(super) fn is_left(&self, places: &Places) -> bool {
        !self.name.is_done(places) && Seen::of(places, self.name.clone()).as_ref() == Some(self)
    }
}
