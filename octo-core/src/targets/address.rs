//! Where a tentacle listens: `host`, `host:port`, `[v6]:port` or an IPv6
//! address as it is.
//!
//! A host may become an argument of a transport program (`-P`), so a form that
//! could be taken for an option or for shell syntax is no address.

use crate::base::encoding::printable;
use crate::base::units::whole;
use std::fmt;
use std::net::Ipv6Addr;

/// Where tentacles listen unless told otherwise.
pub const DEFAULT_PORT: u16 = 10933;

/// A host name or IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// The address of this text.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Address, String> {
        let (host, port) = split(text).ok_or_else(|| wrong(text))?;
        if !is_ipv6(host) && !is_host(host) {
            return Err(wrong(text));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => whole(port)
                .and_then(|p| u16::try_from(p).ok())
                .filter(|p| *p != 0)
                .ok_or_else(|| format!("'{}' is not a port", printable(port.as_bytes())))?,
        };
        Ok(Address { host: host.to_string(), port })
    }

    /// The host's name or IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(out, "[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{}:{}", self.host, self.port)
        }
    }
}

fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            _ if !is_ipv6(host) => None,
            None if rest.is_empty() => Some((host, None)),
            port => Some((host, Some(port?))),
        };
    }
    match text.split_once(':') {
        None => Some((text, None)),
        Some((_, port)) if port.contains(':') => is_ipv6(text).then_some((text, None)),
        Some((host, port)) => Some((host, Some(port))),
    }
}

/// An IPv6 address, with the zone that link-local ones need (`fe80::1%eth0`).
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "x"));
    address.parse::<Ipv6Addr>().is_ok()
        && !zone.is_empty()
        && zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn wrong(text: &str) -> String {
    let shown = printable(text.as_bytes());
    let form = "host, host:port, [v6]:port or an IPv6 address";
    if text.is_ascii() {
        format!("'{shown}' is not an address ({form})")
    } else {
        format!("'{shown}' is not an address: write an international name as xn--… ({form})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_an_address() {
        for (text, shown) in [
            ("10.0.0.1", "10.0.0.1:10933"),
            ("web.example:443", "web.example:443"),
            ("::1", "[::1]:10933"),
            ("[::1]", "[::1]:10933"),
            ("[2001:db8::1]:99", "[2001:db8::1]:99"),
            ("fe80::1%eth0", "[fe80::1%eth0]:10933"),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!(address.to_string(), shown);
        }
        for bad in [
            "", ":1", "a:", "a:0", "a:65536", "a:01", "a:+1", "-a", "[::1", "[::1]9", "[a]:1",
            "::g", "a:b:c", "a b", "a;b", "$(x)", "é", "fe80::1%", "[::1]:", "http://a",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
