//! The lines of a trust file, to be asked by thumbprint: a file may have thousands, and
//! every stranger asks.

use super::line::Line;
use crate::base::thumbprint::Thumbprint;
use crate::trust::Network;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Deref;

/// Lines in the order of the file. They are collected once and never change, so that
/// what is looked up by is always of these lines.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    all: Vec<Line>,
    by_thumbprint: HashMap<Thumbprint, Vec<usize>>,
    networks: HashSet<Network>,
    pub(in crate::trust) has_windows: bool,
}

impl Lines {
    /// The lines of a thumbprint, in order.
    pub(in crate::trust) fn of(&self, thumbprint: Thumbprint) -> impl Iterator<Item = &Line> {
        let indices = self.by_thumbprint.get(&thumbprint).map_or(&[][..], Vec::as_slice);
        indices.iter().map(|index| &self.all[*index])
    }

    /// Is the address in a network that a from= of some line names? One look-up for
    /// each length of a prefix, however many networks there are.
    pub(in crate::trust) fn expect(&self, address: IpAddr) -> bool {
        let around = |network: &Network| network.around();
        !self.networks.is_empty()
            && std::iter::successors(Some(Network::of(address)), around)
                .any(|network| self.networks.contains(&network))
    }
}

impl FromIterator<Line> for Lines {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Lines {
        let mut lines = Lines { all: lines.into_iter().collect(), ..Lines::default() };
        for (index, line) in lines.all.iter().enumerate() {
            lines.by_thumbprint.entry(line.thumbprint).or_default().push(index);
            lines.networks.extend(line.options.from.iter().flatten());
            lines.has_windows |= line.options.window.is_some();
        }
        lines
    }
}

impl Deref for Lines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        &self.all
    }
}

impl PartialEq for Lines {
    fn eq(&self, other: &Lines) -> bool {
        self.all == other.all
    }
}

impl Eq for Lines {}

#[cfg(test)]
mod tests {
    use crate::base::thumbprint::Thumbprint;
    use crate::trust::Trust;
    use std::path::Path;

    #[test]
    fn lines_are_found_by_thumbprint_in_their_order() {
        let print = |seed: &str| Thumbprint::of_certificate(seed.as_bytes());
        let text: String =
            (0..3000).map(|n| format!("{} p{n}\n", print(&(n % 1000).to_string()))).collect();
        let trust = Trust::parse(Path::new("t"), text.as_bytes()).expect("sound");
        let numbers: Vec<usize> = trust.of(print("7")).map(|line| line.number).collect();
        assert_eq!(numbers, [8, 1008, 2008]);
        assert_eq!(trust.of(print("nobody")).count(), 0);
    }

    #[test]
    fn an_address_is_expected_where_a_from_names_its_network() {
        let line = |from: &str| format!("{} ci {from}\n", Thumbprint::of_certificate(b"x"));
        let text =
            line("from=10.0.0.0/8,192.0.2.7,2001:db8::/32") + &line("from=::ffff:198.51.100.0/120");
        let trust = Trust::parse(Path::new("t"), text.as_bytes()).expect("sound");
        for (address, expected) in [
            ("10.255.0.1", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.6", false),
            ("198.51.100.200", true),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(trust.expects(address.parse().expect("ip")), expected, "{address}");
        }
        let anywhere = Trust::parse(Path::new("t"), line("").as_bytes()).expect("sound");
        assert!(!anywhere.expects("10.0.0.1".parse().expect("ip")));
        let all = Trust::parse(Path::new("t"), line("from=0.0.0.0/0").as_bytes()).expect("sound");
        assert!(all.expects("10.0.0.1".parse().expect("ip")));
        assert!(!all.expects("::1".parse().expect("ip")));
    }
}
