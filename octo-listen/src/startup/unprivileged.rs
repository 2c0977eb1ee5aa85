//! `-u USER`: root makes what only root can, hands over what only root has, and becomes
//! that user for good, in a process that keeps its id and nothing else of root's.

use super::{handover, side, terminal};
use octo_core::base::argv::quote;
use octo_core::base::error::describe;
use octo_core::base::paths::Places;
use octo_core::base::service::{journal, notify};
use octo_core::base::users::{self, User};
use octo_core::base::{descriptors, groups, program};
use octo_core::tentacle::layout::{self, Owner, setup};
use octo_core::{Error, Exit, Result};
use rustix::process::{chdir, geteuid};
use rustix::stdio::dup2_stdin;
use rustix::thread::set_no_new_privs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All that the user's process has of our environment: HOME would be root's. The last two are
/// how systemd is told what becomes of this process.
const KEPT: &[&str] = &["PATH", "TZ", "LANG", notify::VARIABLE, journal::VARIABLE];

/// The user of this name, for root to become.
///
/// # Errors
/// Exit 77 for who isn't root, 78 for a user who isn't there, or is root again.
pub(super) fn user(name: &str) -> Result<User> {
    let object = format!("-u {name}");
    if !geteuid().is_root() {
        return Err(Error::new(Exit::Refused, object, "only root can become another user")
            .hint("without -u, octo-listen listens as whoever starts it"));
    }
    let user = users::named(name).ok_or_else(|| {
        Error::new(Exit::Configuration, &object, "no such user here")
            .hint(format!("useradd --system {}", quote(name)))
    })?;
    match user.uid {
        0 => {
            Err(Error::new(Exit::Configuration, object, "is root: name a user without privileges"))
        }
        _ => Ok(user),
    }
}

/// Becomes that user, who goes on as `octo-listen` with these arguments. Returns only where
/// that failed. There must be one thread: it alone would become another user.
pub(super) fn go_on(
    user: &User,
    places: &Places,
    identity: &[u8],
    sockets: Vec<TcpListener>,
    arguments: &[String],
) -> Error {
    let owns_state = layout::executor(places).uid == user.uid;
    let begun = begin(user, places, identity, sockets);
    match begun.and_then(|ours| exec(user, owns_state, ours, arguments)) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// As root, all but becoming that user: which program goes on.
fn begin(
    user: &User,
    places: &Places,
    identity: &[u8],
    sockets: Vec<TcpListener>,
) -> Result<(PathBuf, Vec<u32>)> {
    terminal::leave(&user.name)?;
    let listener = Owner { uid: user.uid, gid: user.gid };
    if layout::executor(places).uid != user.uid {
        // What it changes is as if octo-exec setup had been called, which would print it.
        setup::setup(places, Some(listener), &mut |_| Ok(()))?;
    }
    let program = program::own().map_err(|e| Error::io(Path::new("/proc/self/exe"), &e))?;
    let groups = groups::groups_of(&user.name, user.gid)?;
    let failed = |e: std::io::Error| Error::new(Exit::Io, "octo-listen", describe(&e));
    let theirs = handover::send(identity, &sockets).map_err(failed)?;
    // What is closed below must not be closed once more by who owns it.
    drop(sockets);
    dup2_stdin(&theirs).map_err(|e| failed(e.into()))?;
    drop(theirs);
    // A directory is one more thing of root's that is open.
    chdir("/").map_err(|e| failed(e.into()))?;
    descriptors::close_others().map_err(failed)?;
    Ok((program, groups))
}

fn exec(
    user: &User,
    owns_state: bool,
    (program, groups): (PathBuf, Vec<u32>),
    arguments: &[String],
) -> Result<std::convert::Infallible> {
    side::become_user(Owner { uid: user.uid, gid: user.gid }, &groups)?;
    let failed = |e: std::io::Error| {
        let reason = format!("can't go on as {}: {}", user.name, describe(&e));
        Error::new(Exit::Configuration, program.display(), reason)
    };
    let kept = KEPT.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let mut command = Command::new(&program);
    command.args(arguments).env_clear().envs(kept).env(handover::VARIABLE, "1");
    // Of STATE's owner the jobs come from this process, and some of them may use sudo.
    if !owns_state {
        set_no_new_privs(true).map_err(|e| failed(e.into()))?;
    }
    Err(failed(command.exec()))
}
