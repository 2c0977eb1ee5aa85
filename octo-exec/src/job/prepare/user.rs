//! Whom a job runs as.

use crate::admission::unstarted::Unstarted;
use crate::enter::identity::Identity;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::groups::groups_of;
use octo_core::base::paths::Places;
use octo_core::base::users::{self, User};
use octo_core::tentacle::layout;
use rustix::process::geteuid;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The user of this name; without one, that of this process.
///
/// # Errors
/// Exit 78 where there is none of this name.
pub(crate) fn of_job(name: Option<&str>) -> Result<User> {
    let Some(name) = name else { return Ok(own()) };
    users::named(name).ok_or_else(|| {
        let reason = "there is no such user on this machine: useradd makes it, or user= of the \
                      pusher's line names another";
        Error::new(Exit::Configuration, format!("user {name}"), reason)
    })
}

fn own() -> User {
    let uid = geteuid().as_raw();
    users::of_uid(uid).unwrap_or_else(|| User {
        name: uid.to_string(),
        uid,
        gid: rustix::process::getegid().as_raw(),
        home: "/".into(),
        shell: "/bin/sh".into(),
    })
}

/// What the job's processes are to be.
///
/// # Errors
/// Where the user's groups can't be found out.
pub(crate) fn identity(user: &User) -> Result<Identity> {
    // Nobody but root can be another, and whoever stays who he is keeps his groups.
    let changes = geteuid().is_root() && user.uid != 0;
    let groups = if changes { groups_of(&user.name, user.gid)? } else { Vec::new() };
    Ok(Identity { uid: user.uid, gid: user.gid, groups })
}

/// A job must not be able to do what a listener of another user can: its group reads the
/// records of all jobs.
///
/// # Errors
/// Denied with 78, where it would be.
pub(crate) fn keep_apart(
    places: &Places,
    user: &User,
    identity: &Identity,
) -> std::result::Result<(), Unstarted> {
    let listener = layout::listener(places);
    let has_group = identity.gid == listener.gid || identity.groups.contains(&listener.gid);
    if identity.uid == 0 || !layout::is_separated(places) {
        return Ok(());
    }
    if identity.uid == listener.uid || has_group {
        let reason = format!(
            "user {} is the listener's, or in its group {}: a job of it would read the records of \
             all jobs; give the listener a user and a group of its own",
            user.name, listener.gid
        );
        return Err(Unstarted::denied(Exit::Configuration, reason));
    }
    Ok(())
}

/// The first directory on the way to this one that is shut to the user, as far as
/// modes tell: with bits for a group, or an ACL's mask in their place, it may be open.
pub(crate) fn shut_out(user: &User, path: &Path) -> Option<PathBuf> {
    let mut way: Vec<&Path> = path.ancestors().collect();
    way.reverse();
    let shut = |metadata: Metadata| {
        let needed = if metadata.uid() == user.uid { 0o100 } else { 0o011 };
        metadata.mode() & needed == 0
    };
    let found = way.into_iter().find(|directory| directory.metadata().is_ok_and(shut));
    found.filter(|_| user.uid != 0).map(Path::to_path_buf)
}
