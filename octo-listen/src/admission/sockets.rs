//! The sockets that are listened on.

use octo_core::base::error::describe;
use octo_core::base::hosts;
use octo_core::base::units::whole;
use octo_core::targets::DEFAULT_PORT;
use octo_core::{Error, Exit, Result};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// How long a name may take, at the start.
const RESOLVING: Duration = Duration::from_secs(10);

/// The addresses of these options.
///
/// # Errors
/// Exit 64 for what is no address, 73 for a name that has none.
pub(crate) fn addresses(options: &[String]) -> Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for option in options {
        addresses.extend(parse(option)?);
    }
    Ok(addresses)
}

/// Listens there, or else on every address of the machine.
///
/// # Errors
/// Exit 69 for a port in use, 73 for what else fails.
pub(crate) fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>> {
    if addresses.is_empty() {
        return Ok(vec![everywhere()?]);
    }
    let bind = |address: &SocketAddr| bind(*address).map_err(|e| failed(*address, e));
    addresses.iter().map(bind).collect()
}

/// Both families by one socket; machines without IPv6 have the other.
fn everywhere() -> Result<TcpListener> {
    let all = |ip: IpAddr| SocketAddr::new(ip, DEFAULT_PORT);
    let both = all(Ipv6Addr::UNSPECIFIED.into());
    match bind(both) {
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            let one = all(Ipv4Addr::UNSPECIFIED.into());
            bind(one).map_err(|e| failed(one, e))
        }
        other => other.map_err(|e| failed(both, e)),
    }
}

fn bind(address: SocketAddr) -> rustix::io::Result<TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Connections of a listener that was killed linger; its port is free all the same.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

fn failed(address: SocketAddr, error: Errno) -> Error {
    let reason = describe(&error.into());
    match error {
        Errno::ADDRINUSE => Error::new(Exit::Unavailable, address, reason)
            .hint(format!("see who listens there: ss -ltnp 'sport = :{}'", address.port())),
        _ => Error::new(Exit::CannotCreate, address, reason),
    }
}

/// `ADDRESS[:PORT]`, where the address may be a name of this machine.
fn parse(text: &str) -> Result<Vec<SocketAddr>> {
    let wrong = |reason: &str| Error::usage(format!("-l {text}: {reason}"));
    if let Ok(address) = text.parse() {
        return Ok(vec![address]);
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, DEFAULT_PORT)]);
    }
    let (host, port) = match text.split_once(':') {
        None => (text, DEFAULT_PORT),
        Some((host, port)) => {
            let port = whole(port).and_then(|p| u16::try_from(p).ok());
            (host, port.ok_or_else(|| wrong("not ADDRESS or ADDRESS:PORT"))?)
        }
    };
    if host.is_empty() {
        return Err(wrong("not ADDRESS or ADDRESS:PORT"));
    }
    let found = hosts::addresses(host, port, RESOLVING);
    let mut found = found.map_err(|why| wrong(&why).exit(Exit::CannotCreate))?;
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_an_address() {
        for (text, address) in [
            ("127.0.0.1", "127.0.0.1:10933"),
            ("127.0.0.2:0", "127.0.0.2:0"),
            ("::1", "[::1]:10933"),
            ("[::1]", "[::1]:10933"),
            ("[::1]:99", "[::1]:99"),
        ] {
            assert_eq!(parse(text).expect(text), [address.parse().expect(address)]);
        }
        for bad in ["", ":99", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:+1", "a:b:c", "[::1"] {
            assert_eq!(parse(bad).expect_err(bad).exit, Exit::Usage, "{bad}");
        }
    }

    #[test]
    fn a_port_in_use_is_said() {
        let first = bind("127.0.0.1:0".parse().expect("address")).expect("bind");
        let address = first.local_addr().expect("address");
        let error = listen(&[address]).expect_err("in use");
        assert_eq!(error.exit, Exit::Unavailable);
        assert!(error.message.contains("address already in use"), "{error}");
    }
}
