//! Where a connection comes from, as one party and as parts of larger ones.

use octo_core::trust::Network;
use std::collections::HashMap;
use std::net::IpAddr;

/// What one party has for itself, an address, or with IPv6 a /56; and two networks around
/// it. The widest comes first: whoever has many addresses has them side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source([Network; 3]);

impl Source {
    /// Of this address; a mapped one (`::ffff:10.0.0.1`) is one of IPv4.
    pub(crate) fn of(address: IpAddr) -> Source {
        let bits = match address.to_canonical() {
            IpAddr::V4(_) => [16, 24, 32],
            IpAddr::V6(_) => [32, 48, 56],
        };
        Source(bits.map(|bits| Network::of(address, bits)))
    }

    /// The party: who keeps failing is told by it.
    pub(crate) fn party(&self) -> Network {
        self.0[2]
    }
}

/// How many there are of each party, and of each network around it.
#[derive(Debug, Default)]
pub(crate) struct Crowds(HashMap<Network, usize>);

impl Crowds {
    /// One more.
    pub(crate) fn add(&mut self, source: Source) {
        for network in source.0 {
            *self.0.entry(network).or_default() += 1;
        }
    }

    /// One less.
    pub(crate) fn remove(&mut self, source: Source) {
        for network in source.0 {
            if let Some(count) = self.0.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&network);
                }
            }
        }
    }

    /// How many there are: of the widest network, of the one in it, of the party.
    pub(crate) fn of(&self, source: Source) -> [usize; 3] {
        source.0.map(|network| self.0.get(&network).copied().unwrap_or(0))
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
