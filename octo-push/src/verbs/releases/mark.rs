//! What may need a look, the worst first: `octo-status(1)` has the list.

/// Why it needs a look, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Mark {
    /// Nothing answers there.
    Unreachable,
    /// The way back failed.
    Stuck,
    /// What is current is no good.
    Sick,
    /// The last attempt failed or was interrupted.
    Failed,
    /// It was reached, and didn't tell.
    Unknown,
    /// It runs other bytes than most of the targets.
    Drift,
    /// Its files are not those that were deployed.
    Changed,
    /// Whether they are couldn't be found out.
    Unverified,
    /// Its journal was written to since, or that can't be looked at.
    Stale,
    /// It is not to be deployed for a while, which is no fault.
    Frozen,
}

impl Mark {
    /// All of them, the worst first.
    pub(super) const ALL: [Mark; 10] = [
        Mark::Unreachable,
        Mark::Stuck,
        Mark::Sick,
        Mark::Failed,
        Mark::Unknown,
        Mark::Drift,
        Mark::Changed,
        Mark::Unverified,
        Mark::Stale,
        Mark::Frozen,
    ];

    /// As every form has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Mark::Unreachable => "unreachable",
            Mark::Stuck => "stuck",
            Mark::Sick => "sick",
            Mark::Failed => "failed",
            Mark::Unknown => "unknown",
            Mark::Drift => "drift",
            Mark::Changed => "changed",
            Mark::Unverified => "unverified",
            Mark::Stale => "stale",
            Mark::Frozen => "frozen",
        }
    }

    /// Is something wrong? Somebody wanted a freeze.
    pub(super) fn is_fault(self) -> bool {
        self != Mark::Frozen
    }

    /// Does it come of comparing files, which is done on request?
    pub(super) fn is_of_files(self) -> bool {
        matches!(self, Mark::Changed | Mark::Unverified)
    }

    /// Does somebody have to do something about it now?
    pub(super) fn is_bad(self) -> bool {
        self < Mark::Drift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first() {
        let words: Vec<&str> = Mark::ALL.iter().map(|mark| mark.word()).collect();
        assert_eq!(words.len(), Mark::Frozen as usize + 1);
        assert!(Mark::ALL.is_sorted());
        assert!(Mark::Unknown.is_bad() && !Mark::Drift.is_bad() && !Mark::Frozen.is_fault());
    }
}
