//! Lines that can never decide, because older ones always do.

use super::{Line, Network, Trust};
use crate::base::thumbprint::Thumbprint;
use std::collections::HashMap;

/// A line that is never asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable<'a> {
    /// The line.
    pub line: &'a Line,
    /// The line before it that always decides instead, or the lines that do so
    /// together.
    pub by: Vec<&'a Line>,
}

impl Trust {
    /// The lines that can never decide: lines before them hold whenever they do.
    pub fn unreachable(&self) -> Vec<Unreachable<'_>> {
        let mut before: HashMap<Thumbprint, Vec<&Line>> = HashMap::new();
        let mut found = Vec::new();
        for line in &self.lines {
            let older = before.entry(line.thumbprint).or_default();
            let by = shadows(line, older);
            if by.is_empty() {
                // One that is never asked takes nothing away from later ones.
                older.push(line);
            } else {
                found.push(Unreachable { line, by });
            }
        }
        found
    }
}

/// Those of the older lines that together hold whenever this one does.
fn shadows<'a>(line: &Line, older: &[&'a Line]) -> Vec<&'a Line> {
    let lasting: Vec<&Line> = older.iter().copied().filter(|o| lasts_as_long(o, line)).collect();
    if let Some(alone) = lasting.iter().find(|o| covers(&[o], line)) {
        return vec![alone];
    }
    if !covers(&lasting, line) {
        return Vec::new();
    }
    let networks = line.from.iter().flatten();
    let touches = |other: &Line| {
        let others = || other.from.iter().flatten();
        networks.clone().any(|n| {
            others().any(|o| o.v4() == n.v4() && o.first() <= n.last() && n.first() <= o.last())
        })
    };
    lasting.into_iter().filter(|other| touches(other)).collect()
}

fn lasts_as_long(older: &Line, line: &Line) -> bool {
    match (older.expires, line.expires) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(older), Some(day)) => older >= day,
    }
}

/// Is each address that the line accepts accepted by one of the others?
fn covers(others: &[&Line], line: &Line) -> bool {
    if others.iter().any(|other| other.from.is_none()) {
        return true;
    }
    // A line without from= holds without an address, too, which no network has.
    let Some(networks) = &line.from else { return false };
    let accepted: Vec<&Network> =
        others.iter().flat_map(|other| other.from.iter().flatten()).collect();
    networks.iter().all(|network| is_covered(network, &accepted))
}

fn is_covered(network: &Network, accepted: &[&Network]) -> bool {
    let mut ranges: Vec<(u128, u128)> = accepted
        .iter()
        .filter(|other| other.v4() == network.v4())
        .map(|other| (other.first(), other.last()))
        .collect();
    ranges.sort_unstable();
    let mut next = network.first();
    for (first, last) in ranges {
        if first > next {
            return false;
        }
        if last >= network.last() {
            return true;
        }
        // last < network.last(), so that this can't overflow.
        next = next.max(last + 1);
    }
    false
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
