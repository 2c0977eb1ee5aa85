//! One connection on standard input and output: for inetd, systemd's Accept=yes,
//! or `octo-push -P 'ssh %h octo-listen --stdio'`.

use crate::admission::connections::Listening;
use octo_core::base::error::describe;
use octo_core::{Error, Exit, Result};
use octo_wire::Channel;
use rustix::fs::fstat;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{SocketAddrAny, getpeername};
use rustix::stdio::{stderr, stdin, stdout};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// Serves it to its end.
///
/// # Errors
/// Where the descriptors are no use.
pub(crate) fn serve(listening: &Listening) -> Result<()> {
    let failed = |e: std::io::Error| Error::new(Exit::Io, "standard input", describe(&e));
    let copy = |fd: rustix::fd::BorrowedFd<'_>| -> Result<OwnedFd> {
        fcntl_dupfd_cloexec(fd, 3).map_err(|e| failed(e.into()))
    };
    let peer = getpeername(stdin()).ok().flatten();
    let peer: Option<SocketAddr> = peer.and_then(|any: SocketAddrAny| any.try_into().ok());
    let channel = match peer {
        Some(_) if is_same(stdin(), stdout()) => Channel::tcp(TcpStream::from(copy(stdin())?)),
        _ if is_same(stdin(), stdout()) => Channel::new(copy(stdin())?, None),
        _ => Channel::new(copy(stdin())?, Some(copy(stdout())?)),
    };
    let (channel, address) = (channel.map_err(failed)?, peer.map(|peer| peer.ip()));
    listening.serve(channel, address, Instant::now());
    Ok(())
}

/// Is standard error the connection itself, as inetd has it?
pub(crate) fn owns_stderr() -> bool {
    is_same(stdin(), stderr()) && getpeername(stdin()).is_ok()
}

fn is_same(one: impl AsFd, other: impl AsFd) -> bool {
    match (fstat(one), fstat(other)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}
