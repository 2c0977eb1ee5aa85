//! How many targets there are, and how many have which mark.

use crate::verbs::releases::mark::Mark;
use crate::verbs::releases::row::TargetRow;
use std::collections::{BTreeMap, BTreeSet};

/// Each target counts once for each mark that one of its applications has.
#[derive(Debug)]
pub(super) struct Counts {
    /// All of them.
    pub(super) targets: usize,
    /// Those that have anything that is wrong.
    pub(super) marked: usize,
    /// Those of which somebody has to do something now.
    pub(super) bad: usize,
    of_mark: BTreeMap<Mark, usize>,
}

impl Counts {
    /// Of these rows.
    pub(super) fn of(rows: &[TargetRow]) -> Counts {
        let mut marks: BTreeMap<&str, BTreeSet<Mark>> = BTreeMap::new();
        for row in rows {
            marks.entry(&row.target).or_default().extend(&row.marks);
        }
        let having = |is_so: &dyn Fn(&Mark) -> bool| {
            marks.values().filter(|of_target| of_target.iter().any(is_so)).count()
        };
        Counts {
            targets: marks.len(),
            marked: having(&|mark| mark.is_fault()),
            bad: having(&|mark| mark.is_bad()),
            of_mark: Mark::ALL.map(|mark| (mark, having(&|other| *other == mark))).into(),
        }
    }

    /// With this mark.
    pub(super) fn with(&self, mark: Mark) -> usize {
        self.of_mark.get(&mark).copied().unwrap_or(0)
    }

    /// The marks that any has, the worst first, and how many.
    pub(super) fn each(&self) -> impl Iterator<Item = (Mark, usize)> {
        self.of_mark.iter().map(|(mark, count)| (*mark, *count)).filter(|(_, count)| *count > 0)
    }
}

/// `1 target`, `3 targets`
pub(super) fn targets(count: usize) -> String {
    format!("{count} target{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::releases::marking::tests::rows;

    #[test]
    fn a_target_counts_once() {
        let counts = Counts::of(&rows(&[
            "a application=shop last-result=failed seen=unchecked",
            "a application=api sha256=a last-result=failed",
            "a application=web sha256=b",
            "b application=web sha256=c since=2026-01-31T23:59:01Z",
            "c application=web sha256=c",
            "d !unreachable x",
            "e frozen-until=2027-01-01T00:00:00Z application=api sha256=a",
            "f",
        ]));
        let Counts { targets, marked, bad, .. } = counts;
        assert_eq!((targets, marked, bad), (6, 2, 2));
        let each: Vec<_> = counts.each().map(|(mark, count)| (mark.word(), count)).collect();
        let expected = ["unreachable", "failed", "drift", "stale", "frozen"];
        assert_eq!(each, expected.map(|word| (word, 1)));
        assert_eq!(counts.with(Mark::Stuck), 0);
    }
}
