//! One line of a target's heads: `TIME MARK key=value…`.

use jiff::Timestamp;
use octo_core::base::cli::utc;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::audit::Head;

/// Whose audit log a head is of: a tentacle has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    Listener,
    Exec,
}

impl Chain {
    pub(crate) const ALL: [Chain; 2] = [Chain::Listener, Chain::Exec];

    /// As lines and `audit --heads` have it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Chain::Listener => "listener",
            Chain::Exec => "exec",
        }
    }

    /// The chain of this word.
    pub(crate) fn parse(word: &str) -> Option<Chain> {
        Chain::ALL.into_iter().find(|chain| chain.word() == word)
    }

    /// The key of replies.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Chain::Listener => "audit",
            Chain::Exec => "audit-exec",
        }
    }

    /// For messages.
    pub(crate) fn whose(self) -> &'static str {
        match self {
            Chain::Listener => "the listener's audit log",
            Chain::Exec => "octo-exec's audit log",
        }
    }
}

/// What a line says of its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A reply had it.
    Seen,
    /// The tentacle was asked, and has it and all up to it.
    Proved,
    /// A reply had it, although one before had a higher number.
    Backwards,
    /// A reply had it, or the tentacle denied it: its line is not the one that was there.
    Changed,
    /// It was proved once, and its file is not kept there any more.
    Unseen,
}

impl Mark {
    const WORDS: [(Mark, &str); 5] = [
        (Mark::Seen, "seen"),
        (Mark::Proved, "proved"),
        (Mark::Backwards, "backwards"),
        (Mark::Changed, "changed"),
        (Mark::Unseen, "unseen"),
    ];

    pub(crate) fn word(self) -> &'static str {
        Mark::WORDS.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Does it say that the log is not what it was?
    pub(crate) fn is_fault(self) -> bool {
        matches!(self, Mark::Backwards | Mark::Changed)
    }
}

/// A head, and when it was known to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownHead {
    pub(crate) head: Head,
    pub(crate) time: Timestamp,
}

/// One thing that was learnt of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeadLine {
    pub(crate) time: Timestamp,
    pub(crate) mark: Mark,
    pub(crate) chain: Chain,
    pub(crate) head: Head,
    /// The thumbprint that the tentacle showed.
    pub(crate) tentacle: Option<Thumbprint>,
    /// What is contradicted.
    pub(crate) was: Option<KnownHead>,
}

impl HeadLine {
    /// What is learnt now.
    pub(crate) fn now(mark: Mark, chain: Chain, head: Head) -> HeadLine {
        HeadLine { time: Timestamp::now(), mark, chain, head, tentacle: None, was: None }
    }

    /// Its head.
    pub(crate) fn known(&self) -> KnownHead {
        KnownHead { head: self.head, time: self.time }
    }

    /// What is wrong, for a person; empty where nothing is.
    pub(crate) fn fault(&self) -> String {
        let (whose, now) = (self.chain.whose(), utc(self.time));
        match (self.mark, self.was) {
            (Mark::Backwards, Some(was)) => format!(
                "{whose} went backwards: it had line {} at {}, and ended at line {} at {now}",
                was.head.seq,
                utc(was.time),
                self.head.seq
            ),
            (Mark::Changed, Some(was)) => format!(
                "{whose} was changed: its line {} is no longer that of {}, seen at {now}",
                was.head.seq,
                utc(was.time)
            ),
            _ => String::new(),
        }
    }

    /// Its line, with the LF.
    pub(super) fn encode(&self) -> String {
        let (time, mark, chain) = (utc(self.time), self.mark.word(), self.chain.word());
        let mut line = format!("{time} {mark} chain={chain} head={}", self.head);
        if let Some(tentacle) = self.tentacle {
            line.push_str(&format!(" tentacle={tentacle}"));
        }
        if let Some(was) = self.was {
            line.push_str(&format!(" was={} was-time={}", was.head, utc(was.time)));
        }
        line.push('\n');
        line
    }

    /// The lines of a file; what is none, as a crash tears it, says nothing.
    pub(super) fn all(bytes: &[u8]) -> Vec<HeadLine> {
        bytes.split(|b| *b == b'\n').filter_map(HeadLine::parse).collect()
    }

    /// The line of these bytes without an LF, if it is a whole one. Keys that are not
    /// known are passed over.
    pub(super) fn parse(line: &[u8]) -> Option<HeadLine> {
        let mut words = std::str::from_utf8(line).ok()?.split(' ');
        let time = words.next()?.parse().ok()?;
        let mark = words.next()?;
        let mark = Mark::WORDS.iter().find(|row| row.1 == mark)?.0;
        let pairs: Vec<_> = words.map(|word| word.split_once('=')).collect::<Option<_>>()?;
        let value = |key| pairs.iter().find(|pair| pair.0 == key).map(|pair| pair.1);
        let was = match (value("was"), value("was-time")) {
            (Some(head), Some(time)) => {
                Some(KnownHead { head: Head::parse(head)?, time: time.parse().ok()? })
            }
            (None, None) => None,
            _ => return None,
        };
        if mark.is_fault() && was.is_none() {
            return None;
        }
        Some(HeadLine {
            time,
            mark,
            chain: Chain::parse(value("chain")?)?,
            head: Head::parse(value("head")?)?,
            tentacle: match value("tentacle") {
                Some(tentacle) => Some(Thumbprint::parse(tentacle).ok()?),
                None => None,
            },
            was,
        })
    }
}
