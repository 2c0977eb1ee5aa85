//! Networks in CIDR notation, for from=.

use crate::base::encoding::printable;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and the number of its bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32`, or one address.
    ///
    /// # Errors
    /// What is wrong with it; also bits behind the prefix, which are a typing
    /// error in one of the two numbers.
    pub fn parse(text: &str) -> Result<Network, String> {
        let shown = || printable(text.as_bytes());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| {
            format!("'{}' is not a network (10.0.0.0/8, 2001:db8::/32, 192.0.2.7)", shown())
        })?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(text) => crate::base::units::whole(text)
                .and_then(|p| u8::try_from(p).ok())
                .filter(|p| *p <= bits)
                .ok_or_else(|| format!("'{}': the prefix is a number from 0 to {bits}", shown()))?,
        };
        let network = Network { address, prefix }.canonical();
        let meant = Network { address: from_number(network.first(), network.v4()), ..network };
        if network != meant {
            return Err(format!(
                "'{}' has bits behind its prefix: {meant}, or another prefix",
                shown()
            ));
        }
        Ok(network)
    }

    /// The network of so many bits that this address is in; where it has no more than that,
    /// the address alone. A mapped address is the IPv4 address that it maps.
    pub fn of(address: IpAddr, prefix: u8) -> Network {
        let address = address.to_canonical();
        let prefix = prefix.min(if address.is_ipv4() { 32 } else { 128 });
        let network = Network { address, prefix };
        Network { address: from_number(network.first(), network.v4()), prefix }
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Is the address in it? A mapped address (`::ffff:10.0.0.1`) is the IPv4
    /// address that it maps.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.v4() && (self.first()..=self.last()).contains(&number(address))
    }

    /// The network twice its size that it is one half of; none is around the whole.
    pub(super) fn around(&self) -> Option<Network> {
        Some(Network::of(self.address, self.prefix.checked_sub(1)?))
    }

    /// The two networks that it is made of; a single address is made of none.
    pub(super) fn halves(&self) -> Option<[Network; 2]> {
        let bits: u8 = if self.v4() { 32 } else { 128 };
        let prefix = self.prefix.checked_add(1).filter(|prefix| *prefix <= bits)?;
        let lower = Network { prefix, ..*self };
        // The lower half ends before the upper one begins: no overflow.
        let upper = Network { address: from_number(lower.last() + 1, self.v4()), prefix };
        Some([lower, upper])
    }

    fn v4(&self) -> bool {
        self.address.is_ipv4()
    }

    fn first(&self) -> u128 {
        number(self.address) & !self.hosts()
    }

    fn last(&self) -> u128 {
        self.first() | self.hosts()
    }

    fn hosts(&self) -> u128 {
        let bits: u32 = if self.v4() { 32 } else { 128 };
        let free = bits - u32::from(self.prefix);
        1u128.checked_shl(free).map_or(u128::MAX, |power| power - 1)
    }

    /// A network of mapped addresses is one of IPv4, else nobody would be in it.
    fn canonical(self) -> Network {
        match self.address {
            IpAddr::V6(v6) if self.prefix >= 96 => match v6.to_ipv4_mapped() {
                Some(v4) => Network { address: IpAddr::V4(v4), prefix: self.prefix - 96 },
                None => self,
            },
            _ => self,
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn from_number(number: u128, v4: bool) -> IpAddr {
    if v4 {
        // A number of IPv4 has 32 bits by construction.
        IpAddr::V4(Ipv4Addr::from_bits(number as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(number))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_and_who_is_not() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
            ("::/0", "ffff::", "10.0.0.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
        ] {
            let network = Network::parse(network).expect("a network");
            assert!(network.contains(inside.parse().expect("an address")), "{network} {inside}");
            assert!(!network.contains(outside.parse().expect("an address")), "{network} {outside}");
        }
    }

    #[test]
    fn the_network_of_an_address() {
        for (address, prefix, network) in [
            ("10.1.2.3", 16, "10.1.0.0/16"),
            ("10.1.2.3", 0, "0.0.0.0/0"),
            ("10.1.2.3", 64, "10.1.2.3/32"),
            ("::ffff:10.1.2.3", 24, "10.1.2.0/24"),
            ("2001:db8:1:2ff::1", 56, "2001:db8:1:200::/56"),
            ("2001:db8::1", 255, "2001:db8::1/128"),
        ] {
            let of = Network::of(address.parse().expect("an address"), prefix);
            assert_eq!(of.to_string(), network);
            assert_eq!(Ok(of), Network::parse(network));
        }
    }

    #[test]
    fn what_is_no_network() {
        for (text, said) in [
            ("10.0.0.1/8", "10.0.0.0/8"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("10.0.0.0/33", "from 0 to 32"),
            ("::/129", "from 0 to 128"),
            ("10.0.0.0/", "from 0 to 32"),
            ("10.0.0.0/+8", "from 0 to 32"),
            ("10.0.0.0/08", "from 0 to 32"),
            ("10.0.0/8", "not a network"),
            ("010.0.0.0/8", "not a network"),
            ("web1", "not a network"),
            ("", "not a network"),
            ("fe80::1%eth0", "not a network"),
        ] {
            let error = Network::parse(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
