//! What systemd hands to a service: sockets that listen already, sd_listen_fds(3), and
//! credentials, systemd.exec(5).

use listenfd::ListenFd;
use octo_core::base::error::describe;
use octo_core::{Error, Exit, Result};
use rustix::net::sockopt::socket_acceptconn;
use rustix::process::getpid;
use std::net::TcpListener;
use std::path::PathBuf;

/// The first descriptor that is handed over.
const FIRST: usize = 3;

/// More can't be passed on to another process at once.
pub(super) const MOST: usize = 250;

/// The sockets that this process was started with; none where it was started otherwise.
/// For a process of one thread: what says so is taken out of the environment.
///
/// # Errors
/// Exit 78 for a descriptor that is no TCP socket, or doesn't listen.
pub(super) fn sockets() -> Result<Vec<TcpListener>> {
    // Without this look, whoever was started by such a service would take what it has
    // open as number 3 for a socket.
    let is_ours = |pid: String| pid.parse() == Ok(getpid().as_raw_pid());
    if !std::env::var("LISTEN_PID").is_ok_and(is_ours) {
        return Ok(Vec::new());
    }
    let count = std::env::var("LISTEN_FDS").unwrap_or_default();
    if !count.parse().is_ok_and(|count: usize| count <= MOST) {
        let reason = format!("{count}: not a number of sockets up to {MOST}");
        return Err(Error::new(Exit::Configuration, "LISTEN_FDS", reason));
    }
    let mut given = ListenFd::from_env();
    (0..given.len()).map(|index| socket(&mut given, index)).collect()
}

fn socket(given: &mut ListenFd, index: usize) -> Result<TcpListener> {
    let unsound = |reason: &str| {
        Error::new(Exit::Configuration, format!("LISTEN_FDS: descriptor {}", FIRST + index), reason)
            .hint("ListenStream=10933 in a socket unit; a path needs Accept=yes, octo(7)")
    };
    // This closes it on exec, too: an octo-exec that outlives us must not hold the port.
    let socket = given.take_tcp_listener(index).ok().flatten();
    let socket = socket.ok_or_else(|| unsound("is no TCP socket"))?;
    match socket_acceptconn(&socket) {
        // One that doesn't block would have us accept in circles.
        Ok(true) => socket.set_nonblocking(false).map_err(|e| unsound(&describe(&e)))?,
        Ok(false) => return Err(unsound("doesn't listen")),
        Err(error) => return Err(unsound(&describe(&error.into()))),
    }
    Ok(socket)
}

/// The identity, where systemd keeps it for this service.
pub(super) fn credential() -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?);
    let path = directory.join("identity.pem");
    (directory.is_absolute() && path.symlink_metadata().is_ok()).then_some(path)
}
