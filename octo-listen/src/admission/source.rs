//! Where a connection comes from, as one party and as parts of larger ones.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// What one party has for itself, an address, or with IPv6 a /56; and two networks around
/// it. The widest comes first: whoever has many addresses has them side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source([IpAddr; 3]);

impl Source {
    /// Of this address; a mapped one (`::ffff:10.0.0.1`) is one of IPv4.
    pub(crate) fn of(address: IpAddr) -> Source {
        let bits = match address.to_canonical() {
            IpAddr::V4(_) => [16, 24, 32],
            IpAddr::V6(_) => [32, 48, 56],
        };
        Source(bits.map(|bits| masked(address, bits)))
    }

    /// The party: who keeps failing is told by it.
    pub(crate) fn party(&self) -> IpAddr {
        self.0[2]
    }
}

/// The address without what stands behind so many bits.
pub(crate) fn masked(address: IpAddr, bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

/// How many there are of each party, and of each network around it.
#[derive(Debug, Default)]
pub(crate) struct Crowds(HashMap<(usize, IpAddr), usize>);

impl Crowds {
    /// One more.
    pub(crate) fn add(&mut self, source: Source) {
        for key in source.0.into_iter().enumerate() {
            *self.0.entry(key).or_default() += 1;
        }
    }

    /// One less.
    pub(crate) fn remove(&mut self, source: Source) {
        for key in source.0.into_iter().enumerate() {
            if let Some(count) = self.0.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&key);
                }
            }
        }
    }

    /// How many there are: of the widest network, of the one in it, of the party.
    pub(crate) fn of(&self, source: Source) -> [usize; 3] {
        let mut counts = [0; 3];
        for (count, key) in counts.iter_mut().zip(source.0.into_iter().enumerate()) {
            *count = self.0.get(&key).copied().unwrap_or(0);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        Source::of(address.parse().expect("ip"))
    }

    #[test]
    fn a_party_is_an_address_or_a_56() {
        assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
        assert_ne!(source("10.0.0.2").party(), source("10.0.0.1").party());
        assert_eq!(source("2001:db8:0:1::1").party(), source("2001:db8:0:ff::2").party());
        assert_ne!(source("2001:db8:0:1::1").party(), source("2001:db8:0:100::1").party());
    }

    #[test]
    fn crowds_are_counted_at_each_size_and_forgotten() {
        let mut crowds = Crowds::default();
        let all = ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.1.1", "10.1.0.1"].map(source);
        all.iter().for_each(|source| crowds.add(*source));
        assert_eq!(crowds.of(source("10.0.0.1")), [4, 3, 2]);
        assert_eq!(crowds.of(source("10.1.0.9")), [1, 1, 0]);
        all.iter().for_each(|source| crowds.remove(*source));
        assert!(crowds.0.is_empty());
    }
}
