//! Whose side we are on: STATE's owner does all by itself, anybody else hands over what
//! comes to octo-exec's user.

use super::terminal;
use octo_core::base::error::describe;
use octo_core::base::groups::groups_of;
use octo_core::base::paths::Places;
use octo_core::base::users;
use octo_core::base::{self, appended, descriptors};
use octo_core::tentacle::layout::{self, Owner};
use octo_core::{Error, Exit, Result};
use rustix::thread::set_no_new_privs;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Makes what is ours below STATE, once it is clear who we are. For a process of one
/// thread: root that serves one connection of a listener's becomes that listener.
///
/// # Errors
/// Exit 78 where the directories are others' than they have to be.
pub(crate) fn take(places: &Places, over_stdio: bool) -> Result<()> {
    let (own, executor) = (Owner::this_process(), layout::executor(places));
    if own.uid == executor.uid {
        if !layout::is_separated(places) {
            layout::make(places)?;
            layout::make_for_listener(places, own)?;
            return check(places);
        }
        let listener = layout::listener(places);
        if own.uid == 0 && over_stdio {
            return become_listener(listener);
        }
        let name = users::name_of(listener.uid);
        let reason = format!("belongs to {name}: another user than STATE's listens here");
        return Err(unsound(&places.spool(), &reason).hint(format!("octo-listen -u {name}")));
    }
    let spool = layout::listener(places);
    if spool.uid != own.uid {
        let reason = format!("belongs to uid {}, and its spool is not ours either", executor.uid);
        return Err(unsound(&places.state, &reason)
            .hint("as root: octo-listen -u USER, with the user who is to listen")
            .hint("or run octo-listen as the user whose directory it is"));
    }
    layout::make_for_listener(places, own)
}

/// What is below STATE must be root's or ours: whose it is could swap it.
fn check(places: &Places) -> Result<()> {
    layout::check_private(places)?;
    for directory in [places.state.clone(), places.packages(), places.jobs(), places.spool()] {
        let metadata = directory.metadata().map_err(|e| Error::io(&directory, &e))?;
        let owner = metadata.uid();
        if owner != 0 && owner != Owner::this_process().uid {
            let reason = format!(
                "is owned by uid {owner}, not by root or uid {}",
                Owner::this_process().uid
            );
            return Err(unsound(&directory, &reason)
                .hint("run octo-listen as the user whose directory it is"));
        }
    }
    Ok(())
}

fn unsound(path: &Path, reason: &str) -> Error {
    Error::new(Exit::Configuration, path.display(), reason)
}

/// Root becomes the listener's user for good, and leaves open what its peer talks to.
fn become_listener(listener: Owner) -> Result<()> {
    let name = users::name_of(listener.uid);
    terminal::leave(&name)?;
    let failed = |e: io::Error| Error::new(Exit::Io, "octo-listen", describe(&e));
    descriptors::close_others().map_err(failed)?;
    let groups = match users::of_uid(listener.uid) {
        Some(user) => groups_of(&user.name, listener.gid)?,
        None => vec![listener.gid],
    };
    become_user(listener, &groups)?;
    // As with -u: what a listener of this user starts gains nothing.
    set_no_new_privs(true).map_err(|e| failed(e.into()))
}

/// Root becomes this user, in these groups, for good; for a process of one thread.
///
/// # Errors
/// Where it can't, or could go back.
pub(super) fn become_user(user: Owner, groups: &[u32]) -> Result<()> {
    base::become_user(user.uid, user.gid, groups).map_err(|reason| {
        let reason = format!("can't become uid {}: {reason}", user.uid);
        Error::new(Exit::Configuration, "octo-listen", reason)
    })
}

/// The lock's file, which is the listener's own.
///
/// # Errors
/// Exit 73 where it can't be made.
pub(super) fn lock_file(places: &Places) -> Result<File> {
    let path = places.listen().join("lock");
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| Error::doing("create", &path, &e).exit(Exit::CannotCreate))
}

/// One listener a state directory: two would both start what waits there.
///
/// # Errors
/// Exit 75 where another listens.
pub(super) fn lock(places: &Places, file: File) -> Result<File> {
    if appended::lock_alone(&file, &places.listen().join("lock"))? {
        return Ok(file);
    }
    let reason = "another octo-listen uses this state directory";
    Err(Error::new(Exit::Temporary, places.state.display(), reason)
        .hint("give each listener its own --state"))
}
