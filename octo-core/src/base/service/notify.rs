//! Telling systemd how a service of `Type=notify` is, as sd_notify(3) has it: a datagram to
//! the socket that NOTIFY_SOCKET names. Where nobody asked, nothing is sent.

use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Names the socket.
pub const VARIABLE: &str = "NOTIFY_SOCKET";

/// It serves from now on, or again; `status` is shown by `systemctl status`.
///
/// # Errors
/// Where systemd can't be told: it would end the service after its time.
pub fn ready(status: &str) -> io::Result<()> {
    send(&format!("READY=1\nSTATUS={}", status.replace('\n', ", ")))
}

/// It reads its configuration again; [`ready`] follows.
///
/// # Errors
/// As of [`ready`].
pub fn reloading() -> io::Result<()> {
    let now = clock_gettime(ClockId::Monotonic);
    // Both are positive and far from their ends; systemd compares the number only.
    let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"))
}

/// It ends, for a while yet.
///
/// # Errors
/// As of [`ready`].
pub fn stopping() -> io::Result<()> {
    send("STOPPING=1")
}

fn send(text: &str) -> io::Result<()> {
    let Some(named) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let Some(address) = address(&named)? else { return Ok(()) };
    let socket = UnixDatagram::unbound()?;
    // systemd reads what it gets when it comes to it: a full queue must not hold us up.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text.as_bytes(), &address).map(drop)
}

/// A path, or behind `@` a name in the abstract namespace; other kinds are not for us.
fn address(named: &OsStr) -> io::Result<Option<SocketAddr>> {
    match named.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).map(Some),
        [b'/', ..] => SocketAddr::from_pathname(named).map(Some),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_or_an_abstract_name() {
        let of = |text: &str| address(OsStr::new(text)).expect(text);
        let path = of("/run/systemd/notify").expect("a path");
        assert_eq!(path.as_pathname(), Some("/run/systemd/notify".as_ref()));
        let name = of("@notify/7").expect("a name");
        assert_eq!(name.as_abstract_name(), Some(&b"notify/7"[..]));
        for other in ["", "notify", "vsock:2:1234"] {
            assert!(of(other).is_none(), "{other}");
        }
        assert!(address(OsStr::new(&format!("/{}", "x".repeat(200)))).is_err());
    }
}
