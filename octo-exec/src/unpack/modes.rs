//! Which modes a release gets: two kinds, for all or for owner and group, each for what can
//! be executed or not; and never more than the umask leaves.

use crate::archive::Member;

/// Modes that others have no part in.
pub(crate) fn is_private(mode: u32) -> bool {
    mode & 0o007 == 0
}

/// What the umask of our caller takes away.
#[derive(Clone, Copy)]
pub(crate) struct Modes {
    umask: u32,
    /// It was named: what is kept from others is for it, whatever the umask says of groups.
    has_group: bool,
}

impl Modes {
    pub(crate) fn new(umask: u32, has_group: bool) -> Modes {
        Modes { umask, has_group }
    }

    /// What others could not read, they can't.
    pub(crate) fn file(self, member: &Member) -> u32 {
        self.limited(match (member.mode & 0o004, member.mode & 0o111) {
            (0, 0) => 0o640,
            (0, _) => 0o750,
            (_, 0) => 0o644,
            _ => 0o755,
        })
    }

    pub(crate) fn directory(self, member: &Member) -> u32 {
        self.limited(if member.mode & 0o004 == 0 { 0o750 } else { 0o755 })
    }

    /// Of a directory of which nothing is said.
    pub(crate) fn unnamed(self) -> u32 {
        self.limited(0o755)
    }

    fn limited(self, mode: u32) -> u32 {
        let limited = mode & !self.umask;
        let is_for_group = self.has_group && is_private(limited);
        if is_for_group { limited | (mode & 0o070) } else { limited }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_umask_takes_away_and_a_group_that_is_named_stays() {
        for (umask, has_group, wanted) in [
            (0o022, false, 0o755),
            (0o000, false, 0o755),
            (0o027, false, 0o750),
            (0o077, false, 0o700),
            (0o022, true, 0o755),
            (0o077, true, 0o750),
        ] {
            assert_eq!(Modes::new(umask, has_group).unnamed(), wanted, "{umask:o}, {has_group}");
        }
    }
}
