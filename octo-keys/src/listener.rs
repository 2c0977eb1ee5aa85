//! Whose process octo-listen is, where it is another user than octo-exec, and whether that
//! user can read what it has to.

use octo_core::base::groups::groups_of;
use octo_core::base::paths::Places;
use octo_core::base::users;
use octo_core::tentacle::layout;
use octo_core::{Error, Exit};
use rustix::fs::getxattr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The user of a listener that has a STATE/spool of its own; `None` where STATE has
/// one owner.
pub(crate) fn other_user(places: &Places) -> Option<u32> {
    layout::is_separated(places).then(|| layout::listener(places).uid)
}

/// What of CONFIG that user can't read, though it decides who is let in.
pub(crate) fn unreadable(places: &Places) -> Vec<Error> {
    let Some(uid) = other_user(places) else { return Vec::new() };
    let Some(user) = users::of_uid(uid) else { return Vec::new() };
    let groups = groups_of(&user.name, user.gid).unwrap_or_else(|_| vec![user.gid]);
    let shut = |path: &Path, needed: u32| {
        let found = path.metadata().ok()?;
        let shift = match (found.uid() == uid, groups.contains(&found.gid())) {
            (true, _) => 6,
            (_, true) => 3,
            _ => 0,
        };
        let is_shut = found.mode() >> shift & needed == 0 && !has_access_list(path);
        let reason = format!("{} can't read it, as whom octo-listen runs", user.name);
        let letter = if needed == 1 { 'x' } else { 'r' };
        is_shut.then(|| {
            Error::new(Exit::Configuration, path.display(), reason)
                .hint(format!("chmod o+{letter} {}", path.display()))
        })
    };
    let ways = [(places.config.clone(), 1), (places.trusted(), 4), (places.tentacle(), 4)];
    ways.iter().filter_map(|(path, needed)| shut(path, *needed)).collect()
}

/// Then the modes don't say who may read it.
fn has_access_list(path: &Path) -> bool {
    getxattr(path, "system.posix_acl_access", &mut [0_u8; 0]).is_ok()
}
