//! What a pusher can ask for: one row a verb. Parsing, the refusal of unknown
//! words and keys, `octo-keys explain`, the list of features and the tidy test
//! follow from it.

use std::fmt;

/// A thing that a pusher asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// To connect at all: does any line hold? Never a request of its own.
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

/// Which word of allow= brings a verb; `any` brings all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowWord {
    /// None is needed: whoever is let in may.
    Nothing,
    /// `status`
    Status,
    /// `put`
    Put,
    /// `run`
    Run,
}

/// All that is said about a verb in one place.
#[derive(Debug)]
pub struct Row {
    /// The verb.
    pub verb: Verb,
    /// Its word on the wire and the command line.
    pub word: &'static str,
    /// What brings it.
    pub allow: AllowWord,
    /// What one who asks for it does, behind "may".
    pub does: &'static str,
    /// The keys of its request, octo-protocol(7); any other is refused.
    pub keys: &'static [&'static str],
    /// What `status` lists for it among the features.
    pub features: &'static [&'static str],
}

/// In the order of the variants: the discriminant is the row.
const ROWS: [Row; 10] = [
    Row {
        verb: Verb::Connect,
        word: "connect",
        allow: AllowWord::Nothing,
        does: "connect",
        keys: &[],
        features: &[],
    },
    Row {
        verb: Verb::Status,
        word: "status",
        allow: AllowWord::Status,
        does: "ask for the status",
        keys: &[],
        features: &[],
    },
    Row {
        verb: Verb::Put,
        word: "put",
        allow: AllowWord::Put,
        does: "put packages",
        keys: &["sha256", "size", "name", "offset", "body"],
        features: &["put", "ahead"],
    },
    Row {
        verb: Verb::Run,
        word: "run",
        allow: AllowWord::Run,
        does: "run scripts",
        keys: &["job", "by", "spec", "script", "body"],
        features: &["run"],
    },
    Row {
        verb: Verb::Follow,
        word: "follow",
        allow: AllowWord::Run,
        does: "follow jobs",
        keys: &["job", "offset"],
        features: &["follow"],
    },
    Row {
        verb: Verb::Cancel,
        word: "cancel",
        allow: AllowWord::Run,
        does: "cancel jobs",
        keys: &["job"],
        features: &["cancel"],
    },
    Row {
        verb: Verb::Jobs,
        word: "jobs",
        allow: AllowWord::Run,
        does: "list jobs",
        keys: &[],
        features: &["jobs"],
    },
    Row {
        verb: Verb::Get,
        word: "get",
        allow: AllowWord::Run,
        does: "get artifacts",
        keys: &["job", "artifact"],
        features: &["get"],
    },
    Row {
        verb: Verb::Scripts,
        word: "scripts",
        allow: AllowWord::Run,
        does: "list scripts",
        keys: &[],
        features: &["scripts"],
    },
    Row {
        verb: Verb::Audit,
        word: "audit",
        // Each reply carries a head of the audit log: who got one may have it proved.
        allow: AllowWord::Nothing,
        does: "ask for the audit",
        keys: &["seq", "head"],
        features: &["audit"],
    },
];

impl Verb {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Verb> {
        ROWS.iter().map(|row| row.verb)
    }

    /// The verb of this word.
    pub fn from_word(word: &str) -> Option<Verb> {
        ROWS.iter().find(|row| row.word == word).map(|row| row.verb)
    }

    /// The verb that a request begins with: any but [`Verb::Connect`].
    pub fn requested(word: &str) -> Option<Verb> {
        Verb::from_word(word).filter(|verb| *verb != Verb::Connect)
    }

    /// What is said about it.
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// Its word on the wire and the command line.
    pub fn word(self) -> &'static str {
        self.row().word
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
        assert_eq!(Verb::requested("connect"), None);
    }
}
