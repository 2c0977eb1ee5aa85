//! Lines that can never decide, because older ones always do.
//!
//! Two networks are apart or one is inside the other. So for each thumbprint the
//! networks that its lines cover are kept in a map, and two halves that are
//! covered make the network around them covered: a line costs as much as its own
//! networks, however many lines stand before it.

use super::{Line, Network, Trust};
use crate::base::thumbprint::Thumbprint;
use jiff::civil::Date;
use std::collections::{BTreeSet, HashMap};

/// So many of the lines that decide instead are named.
const NAMED: usize = 20;

/// A line that is never asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable<'a> {
    /// The line.
    pub line: &'a Line,
    /// The line before it that always decides instead, or the lines that do so
    /// together: the first 20 of them.
    pub by: Vec<&'a Line>,
}

impl Trust {
    /// The lines that can never decide: lines before them hold whenever they do.
    pub fn unreachable(&self) -> Vec<Unreachable<'_>> {
        let mut covered: HashMap<Thumbprint, Covered> = HashMap::new();
        let mut found = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            let older = covered.entry(line.thumbprint).or_default();
            let by = older.by(line);
            if by.is_empty() {
                // One that is never asked takes nothing away from later ones.
                older.add(line, index);
            } else {
                let by = by.into_iter().map(|index| &self.lines[index]).collect();
                found.push(Unreachable { line, by });
            }
        }
        found
    }
}

/// How long a line holds: until a day, or for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Until {
    Day(Date),
    Ever,
}

impl Until {
    fn of(line: &Line) -> Until {
        line.options.expires.map_or(Until::Ever, Until::Day)
    }
}

/// The line that covers something for longest; of equals the oldest.
#[derive(Debug, Clone, Copy)]
struct Longest {
    until: Until,
    line: usize,
}

/// A network of which each address is in a line's networks.
#[derive(Debug)]
struct Cover {
    /// The line that names just this network.
    own: Option<Longest>,
    /// How long it is covered, by that line or by several together.
    until: Until,
    /// By which lines.
    by: BTreeSet<usize>,
}

/// What the lines of one thumbprint cover.
#[derive(Debug, Default)]
struct Covered {
    /// The line without from=. No network covers one who has no address.
    anywhere: Option<Longest>,
    networks: HashMap<Network, Cover>,
}

impl Covered {
    /// The lines that together hold whenever this one does; none if they don't.
    fn by(&self, line: &Line) -> BTreeSet<usize> {
        let until = Until::of(line);
        if let Some(anywhere) = self.anywhere.filter(|longest| longest.until >= until) {
            return BTreeSet::from([anywhere.line]);
        }
        let mut by = BTreeSet::new();
        for network in line.options.from.iter().flatten() {
            let lines = self.of_network(*network, until);
            if lines.is_empty() {
                return lines;
            }
            by.extend(lines);
        }
        first(by)
    }

    /// The lines that cover a network so long: one alone, rather than several.
    fn of_network(&self, network: Network, until: Until) -> BTreeSet<usize> {
        let around = || {
            let networks = std::iter::successors(Some(network), Network::around);
            networks.filter_map(|network| self.networks.get(&network))
        };
        let alone = around().find_map(|cover| cover.own.filter(|own| own.until >= until));
        let together = || around().find(|cover| cover.until >= until).map(|cover| cover.by.clone());
        match alone {
            Some(alone) => BTreeSet::from([alone.line]),
            None => together().unwrap_or_default(),
        }
    }

    fn add(&mut self, line: &Line, index: usize) {
        let new = Longest { until: Until::of(line), line: index };
        let is_longer = |old: Option<Longest>| old.is_none_or(|old| old.until < new.until);
        let Some(networks) = &line.options.from else {
            if is_longer(self.anywhere) {
                self.anywhere = Some(new);
            }
            return;
        };
        for network in networks {
            let own = self.networks.get(network).and_then(|cover| cover.own);
            if is_longer(own) {
                self.cover(*network, new.until, BTreeSet::from([index]));
                self.networks.entry(*network).and_modify(|cover| cover.own = Some(new));
            }
        }
    }

    /// The network is covered so long by these lines. Two halves that are covered
    /// cover what is around them, and so on.
    fn cover(&mut self, network: Network, until: Until, by: BTreeSet<usize>) {
        let (mut network, mut until, mut by) = (network, until, by);
        loop {
            match self.networks.get_mut(&network) {
                Some(cover) if cover.until >= until => return,
                Some(cover) => (cover.until, cover.by) = (until, by),
                None => {
                    self.networks.insert(network, Cover { own: None, until, by });
                }
            }
            let Some(around) = network.around() else { return };
            let halves = around.halves().map(|halves| halves.map(|h| self.networks.get(&h)));
            let Some([Some(lower), Some(upper)]) = halves else { return };
            until = lower.until.min(upper.until);
            by = first(lower.by.union(&upper.by).copied().collect());
            network = around;
        }
    }
}

/// The first of them, as many as are named.
fn first(lines: BTreeSet<usize>) -> BTreeSet<usize> {
    lines.into_iter().take(NAMED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_older_lines_always_decide() {
        for (older, line, by) in [
            (&["sudo"][..], "", &[1][..]),
            (&["from=10.0.0.0/8"], "from=10.1.0.0/16", &[1]),
            (&["from=10.0.0.0/8"], "from=10.1.0.0/16,11.0.0.0/8", &[]),
            (&["from=10.0.0.0/8"], "", &[]),
            (&["from=0.0.0.0/0,::/0"], "", &[]),
            (&["from=10.0.0.0/9", "from=10.128.0.0/9"], "from=10.0.0.0/8", &[1, 2]),
            (&["from=10.0.0.0/9", "from=10.128.0.0/10"], "from=10.0.0.0/8", &[]),
            (
                &["from=11.0.0.0/8", "from=10.0.0.0/9", "from=10.128.0.0/9"],
                "from=10.0.0.0/8",
                &[2, 3],
            ),
            (&["from=::/1", "from=8000::/1"], "from=::/0", &[1, 2]),
            (&["from=::/0"], "from=10.0.0.0/8", &[]),
            (&["expires=2027-01-01"], "", &[]),
            (&["expires=2027-01-01"], "expires=2027-01-02", &[]),
            (&["expires=2027-01-01"], "expires=2027-01-01", &[1]),
            (&["from=10.0.0.0/8"], "expires=2027-01-01 from=10.0.0.0/8", &[1]),
            (&["from=10.0.0.0/9 expires=2027-01-01", "from=10.128.0.0/9"], "from=10.0.0.0/8", &[]),
        ] {
            let thumbprint = Thumbprint::of_certificate(b"a");
            let mut text = String::new();
            for options in older.iter().chain(&[line]) {
                text.push_str(&format!("{thumbprint} ci {options}\n"));
            }
            text.push_str(&format!("{} other\n", Thumbprint::of_certificate(b"b")));
            let trust = Trust::parse(Path::new("t"), text.as_bytes()).expect("sound");
            let found = trust.unreachable();
            let numbers: Vec<usize> =
                found.iter().flat_map(|u| u.by.iter().map(|l| l.number)).collect();
            assert_eq!(numbers, by, "{older:?} {line}");
            assert_eq!(found.len(), usize::from(!by.is_empty()));
        }
    }
}
