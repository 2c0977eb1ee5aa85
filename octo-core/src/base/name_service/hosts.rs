//! The addresses of a host, as getent(1) knows them.

use super::users::PATH;
use crate::base::error::describe;
use crate::base::printed::{Bounds, Printed, printed};
use crate::base::units::human_duration;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What may be printed for one name.
const BYTES: usize = 1 << 20;

/// The addresses of this host with this port, each once, in the order in which they are to
/// be tried; at least one. An address is its own.
///
/// # Errors
/// Why there is none, to stand behind the name.
pub fn addresses(host: &str, port: u16, within: Duration) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    // An address with its zone, which no name service has to be asked for.
    if host.contains(':') {
        return by_ourselves(host, port);
    }
    // To getent a dash begins an option, and no host's name does.
    if host.is_empty() || host.starts_with('-') {
        return Err("is not the name of a host".into());
    }
    let mut getent = Command::new("getent");
    getent.args(["ahosts", host]).env("PATH", PATH).stderr(Stdio::null());
    match printed(getent, Bounds { time: within, bytes: BYTES }) {
        Ok(Printed::Whole(lines, status)) => {
            let found = in_lines(&lines, port);
            match found.is_empty() || !status.success() {
                false => Ok(found),
                true => Err("does not resolve: getent(1) knows no address of it".into()),
            }
        }
        Ok(Printed::TooLong) => Err(format!("does not resolve within {}", human_duration(within))),
        Ok(Printed::TooMuch) => Err("has more addresses than anybody could try".into()),
        // Files and DNS are what we know ourselves, but without a limit of time.
        Err(error) if error.kind() == ErrorKind::NotFound => by_ourselves(host, port),
        Err(error) => Err(format!("does not resolve: getent: {}", describe(&error))),
    }
}

/// Each address at the beginning of a line, once.
fn in_lines(lines: &[u8], port: u16) -> Vec<SocketAddr> {
    let text = String::from_utf8_lossy(lines);
    let words = text.lines().filter_map(|line| line.split_ascii_whitespace().next());
    let addresses = words.filter_map(|word| word.parse::<IpAddr>().ok());
    each_once(addresses.map(|address| SocketAddr::new(address, port)))
}

fn by_ourselves(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = (host, port).to_socket_addrs().map_err(|error| {
        let text = error.to_string();
        let reason = text.rsplit_once(": ").map_or(text.as_str(), |(_, reason)| reason);
        format!("does not resolve: {}", reason.to_lowercase())
    })?;
    let found = each_once(found);
    if found.is_empty() { Err("has no address".into()) } else { Ok(found) }
}

fn each_once(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for address in addresses {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn all(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    #[test]
    fn what_getent_prints_is_each_address_once_in_its_order() {
        let lines = b"2001:db8::1     STREAM web1.example\n2001:db8::1     DGRAM\n\
            192.0.2.7       STREAM\n192.0.2.7       RAW\nno address\n\n2001:db8::1 x\n";
        assert_eq!(in_lines(lines, 99), all(&["[2001:db8::1]:99", "192.0.2.7:99"]));
        assert_eq!(in_lines(b"\xff\n", 99), []);
    }

    #[test]
    fn an_address_a_name_and_what_is_none() {
        let of = |host| addresses(host, 99, LONG);
        assert_eq!(of("192.0.2.7"), Ok(all(&["192.0.2.7:99"])));
        assert_eq!(of("::1%1"), Ok(all(&["[::1%1]:99"])));
        let is_here = |found: &[SocketAddr]| found.iter().all(|found| found.ip().is_loopback());
        assert!(of("localhost").is_ok_and(|found| is_here(&found)));
        assert_eq!(of("--help"), Err("is not the name of a host".into()));
        assert!(of("nowhere.invalid").is_err_and(|why| why.starts_with("does not resolve: ")));
        assert!(is_here(&by_ourselves("localhost", 99).expect("in a file of each machine")));
        assert!(by_ourselves("nowhere.invalid", 99).is_err());
    }
}
