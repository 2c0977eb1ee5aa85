//! The `code=` words of a `no` reply, and the exit statuses they lead to.

use crate::base::error::Exit;
use std::fmt;

/// Why a tentacle said no. octo-protocol(7) has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The trust file doesn't permit it.
    Denied,
    /// A limit of the pusher's line would be passed.
    Limit,
    /// The trust file is unsound; nobody is let in until its admin mends it.
    Policy,
    /// Outside the line's window.
    Window,
    /// A named lock is held.
    Locked,
    /// Too much at once; later it may pass.
    Busy,
    /// No such job or object, or not this pusher's.
    Missing,
    /// The bytes don't have the sha256 that was announced.
    Mismatch,
    /// It may be in a file that can't be looked at.
    Unseen,
    /// Its statement held until a moment that is past.
    Late,
    /// Nothing answers that could start a job: none was accepted.
    Unavailable,
    /// The job id is taken by another spec.
    Conflict,
    /// The job was pruned.
    Gone,
    /// The disk, or this pusher's share of it, is full.
    Full,
    /// Reading or writing failed at the tentacle.
    Io,
    /// The request is not of the protocol's form.
    Malformed,
    /// The verb or a key is unknown here.
    Unsupported,
}

const TABLE: [(Refusal, &str, Exit); 17] = [
    (Refusal::Denied, "denied", Exit::Refused),
    (Refusal::Limit, "limit", Exit::Refused),
    (Refusal::Policy, "policy", Exit::Temporary),
    (Refusal::Window, "window", Exit::Temporary),
    (Refusal::Locked, "locked", Exit::Temporary),
    (Refusal::Busy, "busy", Exit::Temporary),
    (Refusal::Missing, "missing", Exit::Data),
    (Refusal::Mismatch, "mismatch", Exit::Data),
    (Refusal::Unseen, "unseen", Exit::Unavailable),
    (Refusal::Late, "late", Exit::Temporary),
    (Refusal::Unavailable, "unavailable", Exit::Unavailable),
    (Refusal::Conflict, "conflict", Exit::Data),
    (Refusal::Gone, "gone", Exit::Data),
    (Refusal::Full, "full", Exit::Io),
    (Refusal::Io, "io", Exit::Io),
    (Refusal::Malformed, "malformed", Exit::Protocol),
    (Refusal::Unsupported, "unsupported", Exit::Protocol),
];

impl Refusal {
    fn row(self) -> &'static (Refusal, &'static str, Exit) {
        // The table lists every variant in order: the discriminant is the row.
        &TABLE[self as usize]
    }

    /// The word that stands behind `code=`.
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// The exit status a tool ends with when it was told so.
    pub fn exit(self) -> Exit {
        self.row().2
    }

    /// The refusal of this word.
    pub fn from_word(word: &str) -> Option<Refusal> {
        TABLE.iter().find(|row| row.1 == word).map(|row| row.0)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_is_its_own_row() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
            assert_eq!(Refusal::from_word(row.1), Some(row.0));
        }
    }
}
