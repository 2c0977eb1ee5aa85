//! A byte stream to a tentacle: over TCP, or over a program's standard input
//! and output (`-P`). Nothing is spoken yet.
//!
//! A name with several addresses is tried as RFC 8305 has it: a dead first one
//! costs a quarter of a second, not the whole wait.

use crate::target::connection::client_error::ClientError;
use crate::target::connection::transport::Transport;
use crate::target::connection::via::Via;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::hosts;
use octo_core::base::units::human_duration;
use octo_core::targets::{Address, Road};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The head start of each address before the next one is tried as well.
const HEAD_START: Duration = Duration::from_millis(250);

/// A stream to a tentacle.
#[derive(Debug)]
pub(crate) enum Link {
    Tcp(TcpStream),
    /// A program whose standard input and output are the other end.
    Program(UnixStream, Transport),
}

/// How to get there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'a> {
    Address(&'a Address),
    /// An argv, see [`octo_core::targets::fill`].
    Program(&'a [String]),
}

impl<'a> Way<'a> {
    /// As the targets file has it.
    pub(crate) fn of(road: &'a Road) -> Way<'a> {
        match road {
            Road::Address(address) => Way::Address(address),
            Road::Command(command) => Way::Program(&command.arguments),
        }
    }
}

/// Connects to a target within `wait`.
///
/// # Errors
/// Exit 69, naming the address and why; lost, not unreachable, is what was accepted and
/// closed again at once.
pub(crate) fn dial(via: Via, way: Way, wait: Duration) -> std::result::Result<Link, ClientError> {
    match way {
        Way::Program(command) => Transport::start(via, command)
            .map(|(stream, transport)| Link::Program(stream, transport))
            .map_err(|error| match error.exit {
                // It never can be started for this target.
                Exit::Data => ClientError::Local(error),
                _ => ClientError::Unreachable(error),
            }),
        Way::Address(address) => tcp(address, wait).map(Link::Tcp),
    }
}

fn unavailable(object: impl std::fmt::Display, reason: impl std::fmt::Display) -> Error {
    Error::new(Exit::Unavailable, object, reason)
}

fn tcp(address: &Address, wait: Duration) -> std::result::Result<TcpStream, ClientError> {
    let until = Instant::now() + wait;
    let addresses = resolve(address, wait).map_err(ClientError::Unreachable)?;
    race(&addresses, until).map_err(|error| {
        let kind = error.kind();
        let error = match kind {
            io::ErrorKind::TimedOut => {
                unavailable(address, format!("no connection within {}", human_duration(wait)))
                    .hint("is the address right, and no firewall between? -w waits longer")
            }
            io::ErrorKind::ConnectionRefused => unavailable(address, describe(&error))
                .hint("is octo-listen running there, on this port?"),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                unavailable(address, describe(&error))
                    .hint("is there a route: ip route get, a VPN?")
            }
            _ => unavailable(address, describe(&error)),
        };
        let error = match addresses.len() {
            1 => error,
            count => error.hint(format!("all {count} addresses of {} were tried", address.host())),
        };
        classified(kind, error)
    })
}

/// Who resets a connection has accepted it: the next one may last.
fn classified(kind: io::ErrorKind, error: Error) -> ClientError {
    match kind {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            ClientError::Lost(error)
        }
        _ => ClientError::Unreachable(error),
    }
}

fn resolve(address: &Address, wait: Duration) -> Result<Vec<SocketAddr>> {
    let found = hosts::addresses(address.host(), address.port(), wait);
    found.map_err(|reason| {
        unavailable(address.host(), reason)
            .hint("is the name right? getent hosts asks as this does")
    })
}

/// The first of several connections that succeeds.
fn race(addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
    let mut waiting = interleave(addresses).into_iter();
    let mut open: Vec<OwnedFd> = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    let mut more = true;
    loop {
        if more {
            match waiting.next().map(begin) {
                Some(Ok(socket)) => open.push(socket),
                Some(Err(error)) => {
                    last = error;
                    continue;
                }
                None => more = false,
            }
        }
        if open.is_empty() {
            return Err(last);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let left = if more { left.min(HEAD_START) } else { left };
        let mut ready: Vec<PollFd> =
            open.iter().map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::OUT)).collect();
        match poll(&mut ready, Timespec::try_from(left).ok().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let done: Vec<bool> = ready.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut still = Vec::new();
        for (socket, done) in open.into_iter().zip(done) {
            if !done {
                still.push(socket);
                continue;
            }
            match net::sockopt::socket_error(&socket)? {
                Ok(()) => {
                    rustix::io::ioctl_fionbio(&socket, false)?;
                    return Ok(TcpStream::from(socket));
                }
                Err(error) => last = error.into(),
            }
        }
        open = still;
    }
}

/// IPv6 and IPv4 in turn: one dead family must not use up the whole wait.
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else { return Vec::new() };
    let same = addresses.iter().filter(|a| a.is_ipv4() == first.is_ipv4());
    let mut other = addresses.iter().filter(|a| a.is_ipv4() != first.is_ipv4());
    let mut mixed = Vec::with_capacity(addresses.len());
    for address in same {
        mixed.push(*address);
        mixed.extend(other.next());
    }
    mixed.extend(other);
    mixed
}

fn begin(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    match net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::targets::{Target, Targets};
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, Shutdown, TcpListener};
    use std::path::Path;

    fn target(address: &str) -> Target {
        let text = format!("web1 {address} webpki");
        Targets::parse(Path::new("t"), text.as_bytes()).expect("sound").all.remove(0)
    }

    fn direct(target: &Target, wait: Duration) -> std::result::Result<Link, ClientError> {
        let road = &target.roads.all()[0];
        dial(Via { target, road: Some(road) }, Way::of(road), wait)
    }

    #[test]
    fn a_dead_first_address_costs_little() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        // A full queue of connections drops what comes, as if there were no machine.
        let full = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("socket");
        net::bind(&full, &SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)).expect("bind");
        net::listen(&full, 0).expect("listen");
        let dead = net::getsockname(&full).expect("address");
        let dead = SocketAddr::try_from(dead).expect("an IP address");
        let _queue: Vec<_> = (0..8).map(|_| begin(dead).expect("begun")).collect();
        let refused = SocketAddr::new("127.0.0.1".parse().expect("ip"), 1);
        let live = listener.local_addr().expect("address");
        let start = Instant::now();
        let until = start + Duration::from_secs(10);
        race(&[dead, refused, live], until).expect("connects");
        assert!(start.elapsed() < Duration::from_secs(5));
        let start = Instant::now();
        let error = race(&[dead], start + Duration::from_millis(300)).expect_err("dead");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = race(&[refused], until).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn what_can_not_be_reached_is_named() {
        let wait = Duration::from_secs(5);
        let error = direct(&target("127.0.0.1:1"), wait).expect_err("refused").into_error();
        assert_eq!(error.message, "127.0.0.1:1: connection refused");
        assert!(error.hints[0].contains("octo-listen"));
        let error =
            direct(&target("nowhere.invalid"), wait).expect_err("no such name").into_error();
        assert!(error.message.starts_with("nowhere.invalid: does not resolve"), "{error}");
        assert_eq!(error.exit, Exit::Unavailable);
    }

    /// The moment in which it happens can't be chosen.
    #[test]
    fn who_accepts_and_resets_was_reached() {
        let of = |kind| classified(kind, unavailable("web1", "reset"));
        assert!(matches!(of(io::ErrorKind::ConnectionReset), ClientError::Lost(_)));
        assert!(matches!(of(io::ErrorKind::ConnectionRefused), ClientError::Unreachable(_)));
    }

    #[test]
    fn a_program_is_the_connection() {
        let command: Vec<String> = ["sh", "-c", "echo %n %h %p %%; cat"].map(String::from).into();
        let target = target("h.example:99");
        let via = Via { target: &target, road: None };
        let link = dial(via, Way::Program(&command), Duration::ZERO).expect("starts");
        let Link::Program(mut stream, _child) = link else { panic!("not a program") };
        stream.write_all(b"x").expect("write");
        stream.shutdown(Shutdown::Write).expect("shutdown");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read");
        assert_eq!(text, "web1 h.example 99 %\nx");
        let command = vec!["/nonexistent/program".to_string()];
        let error =
            dial(via, Way::Program(&command), Duration::ZERO).expect_err("missing").into_error();
        assert!(error.message.contains("/nonexistent/program"), "{error}");
    }
}
