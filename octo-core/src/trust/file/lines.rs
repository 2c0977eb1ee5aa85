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
    pub(crate) has_windows: bool,
}

impl Lines {
    /// The lines of a thumbprint, in order.
    pub(crate) fn of(&self, thumbprint: Thumbprint) -> impl Iterator<Item = &Line> {
        let indices = self.by_thumbprint.get(&thumbprint).map_or(&[][..], Vec::as_slice);
        indices.iter().map(|index| &self.all[*index])
    }

    /// Is the address in a network that a from= of some line names? One look-up for
    /// each length of a prefix, however many networks there are.
    pub(crate) fn expect(&self, address: IpAddr) -> bool {
        let around = |network: &Network| network.around();
        !self.networks.is_empty()
            && std::iter::successors(Some(Network::of(address, 128)), around)
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
