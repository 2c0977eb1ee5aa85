//! What a pusher can ask for.

use std::fmt;

/// A thing that a pusher asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// To connect at all: does any line hold?
    Connect,
    /// How the machine is.
    Status,
    /// To store a package.
    Put,
    /// To run a script.
    Run,
    /// To read a job's output and end.
    Follow,
    /// To end a job.
    Cancel,
    /// The list of jobs.
    Jobs,
    /// A job's artifacts.
    Get,
    /// The list of installed scripts.
    Scripts,
    /// To have a head of the audit log proved.
    Audit,
}

const TABLE: [(Verb, &str); 10] = [
    (Verb::Connect, "connect"),
    (Verb::Status, "status"),
    (Verb::Put, "put"),
    (Verb::Run, "run"),
    (Verb::Follow, "follow"),
    (Verb::Cancel, "cancel"),
    (Verb::Jobs, "jobs"),
    (Verb::Get, "get"),
    (Verb::Scripts, "scripts"),
    (Verb::Audit, "audit"),
];

impl Verb {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Verb> {
        TABLE.iter().map(|row| row.0)
    }

    /// The verb of this word.
    pub fn from_word(word: &str) -> Option<Verb> {
        TABLE.iter().find(|row| row.1 == word).map(|row| row.0)
    }

    /// Its word on the wire and the command line.
    pub fn word(self) -> &'static str {
        // The table lists every variant in order: the discriminant is the row.
        TABLE[self as usize].1
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_its_own_row() {
        for (index, verb) in Verb::all().enumerate() {
            assert_eq!(verb as usize, index);
            assert_eq!(Verb::from_word(verb.word()), Some(verb));
        }
    }
}
