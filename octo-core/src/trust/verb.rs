//! What a pusher can ask for: one row a verb. The reading of requests and replies,
//! the refusal of unknown words and keys, `octo-keys explain`, the list of
//! features, what octo-push prints as JSON and the tidy test follow from it.

use crate::base::key::{Form, Key, Word};
use crate::tentacle::releases::keys::RELEASE;
use std::fmt;

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
    /// `freeze`
    Freeze,
    /// `approve`
    Approve,
    /// `run`, `freeze` or `approve`: whoever has jobs.
    AnyJob,
    /// `audit`
    Audit,
}

/// All that is said about a verb in one place.
#[derive(Debug)]
pub struct RequestRow {
    /// The verb.
    pub verb: Verb,
    /// Its word on the wire and the command line.
    pub word: &'static str,
    /// What brings it.
    pub allow: AllowWord,
    /// What one who asks for it does, behind "may".
    pub does: &'static str,
    /// The keys of its request; any other is refused.
    pub request: &'static [Key],
    /// The keys of the `ok` that answers it, besides those of every final reply.
    pub reply: &'static [Key],
    /// What a line of the reply's body is, where that is a list.
    pub item: Option<Word>,
    /// What `status` lists for it among the features.
    pub features: &'static [&'static str],
}

/// Keys that several rows have.
const BODY: Key = Key::new("body", Form::Number);
const JOB: Key = Key::new("job", Form::JobId);
const NAME: Key = Key::new("name", Form::FileName);
const OFFSET: Key = Key::new("offset", Form::Number);
/// The length of the statement, and of its signature, in the body.
const REQUEST: Key = Key::new("request", Form::Number);
const SIGNATURE: Key = Key::new("signature", Form::Number);
const SHA256: Key = Key::new("sha256", Form::Digest);
const SIZE: Key = Key::new("size", Form::Number);
const STATE: Key = Key::new("state", Form::Text);

/// The verbs and their rows, both of one list: no verb lacks a row.
macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident { $($row:tt)* })*) => {
        /// A thing that a pusher asks for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Verb {
            $($(#[$doc])* $verb,)*
        }

        /// In the order of the variants: the discriminant is the row.
        static ROWS: [RequestRow; [$(Verb::$verb),*].len()] = [$(RequestRow { verb: Verb::$verb, $($row)* }),*];
    };
}

verbs! {
    /// To connect at all: does any line hold? Never a request of its own.
    Connect {
        word: "connect",
        allow: AllowWord::Nothing,
        does: "connect",
        request: &[],
        reply: &[],
        item: None,
        features: &[],
    }
    /// How the machine is.
    Status {
        word: "status",
        allow: AllowWord::Status,
        does: "ask for the status",
        request: &[],
        reply: &[
            Key::new("name", Form::Text),
            Key::new("version", Form::Text),
            Key::new("features", Form::List),
            Key::new("time", Form::Time),
            Key::new("free", Form::Number),
            Key::new("load", Form::Decimal),
            Key::new("running", Form::Number),
        ],
        item: None,
        features: &[],
    }
    /// What is released here, which runs nothing.
    Releases {
        word: "releases",
        allow: AllowWord::Status,
        does: "ask for the releases",
        request: &[],
        reply: &[Key::new("offers", Form::List), Key::new("more", Form::Flag), BODY],
        item: Some(Word { word: "release", keys: RELEASE }),
        features: &["releases"],
    }
    /// To store a package.
    Put {
        word: "put",
        allow: AllowWord::Put,
        does: "put packages",
        request: &[SHA256, SIZE, NAME, Key::new("bases", Form::List), OFFSET, BODY],
        reply: &[OFFSET, Key::new("base", Form::Digest), Key::new("same-size", Form::Flag)],
        item: None,
        features: &["put", "ahead", "patch"],
    }
    /// To run a script.
    Run {
        word: "run",
        allow: AllowWord::Run,
        does: "run scripts",
        request: &[
            JOB,
            REQUEST,
            SIGNATURE,
            Key::new("spec", Form::Number),
            Key::new("script", Form::Number),
            Key::new("frame", Form::Number),
            Key::new("stdin", Form::Number),
            SIZE,
            BODY,
        ],
        reply: &[JOB, Key::new("attached", Form::Flag)],
        item: None,
        features: &["run", "question"],
    }
    /// To freeze or thaw an application: a `run` whose spec says so. Never a request of its own.
    Freeze {
        word: "freeze",
        allow: AllowWord::Freeze,
        does: "freeze applications",
        request: &[],
        reply: &[],
        item: None,
        features: &["freeze"],
    }
    /// What waits for approval, whoever asked for it.
    Held {
        word: "held",
        allow: AllowWord::Approve,
        does: "see what waits for approval",
        request: &[],
        reply: &[BODY],
        item: Some(Word {
            word: "held",
            keys: &[
                JOB,
                Key::new("since", Form::Time),
                Key::new("expires", Form::Time),
                Key::new("name", Form::Text),
                Key::new("by", Form::Text),
                Key::new("script", Form::Text),
                Key::new("named", Form::Text),
                Key::new("command", Form::Text),
                Key::new("arguments", Form::Text),
                Key::new("package", Form::Text),
                SHA256,
                Key::new("digest", Form::Digest),
                Key::new("needs", Form::Number),
                Key::new("approved", Form::List),
            ],
        }),
        features: &["approve"],
    }
    /// All that is known of a held job.
    Show {
        word: "show",
        allow: AllowWord::Approve,
        does: "see what waits for approval",
        request: &[JOB],
        // How long its parts are, one behind the other in the body.
        reply: &[
            REQUEST,
            SIGNATURE,
            Key::new("certificate", Form::Number),
            Key::new("spec", Form::Number),
            Key::new("script", Form::Number),
            Key::new("stdin", Form::Number),
            Key::new("held", Form::Number),
            Key::new("approvals", Form::Number),
            Key::new("changes", Form::Number),
            BODY,
        ],
        item: None,
        features: &[],
    }
    /// To approve a held job, or to deny it: a `run` whose spec says so. Never a request of its own.
    Approve {
        word: "approve",
        allow: AllowWord::Approve,
        does: "approve jobs",
        request: &[],
        reply: &[],
        item: None,
        features: &[],
    }
    /// To read a job's output and end.
    Follow {
        word: "follow",
        allow: AllowWord::AnyJob,
        does: "follow jobs",
        request: &[JOB, OFFSET],
        reply: &[],
        item: None,
        features: &["follow"],
    }
    /// To end a job.
    Cancel {
        word: "cancel",
        allow: AllowWord::Run,
        does: "cancel jobs",
        request: &[JOB, REQUEST, SIGNATURE, BODY],
        reply: &[STATE],
        item: None,
        features: &["cancel"],
    }
    /// The list of jobs.
    Jobs {
        word: "jobs",
        allow: AllowWord::Run,
        does: "list jobs",
        request: &[],
        reply: &[BODY],
        item: Some(Word {
            word: "job",
            keys: &[
                JOB,
                STATE,
                Key::new("received", Form::Time),
                Key::new("by", Form::Text),
                Key::new("name", Form::Text),
                Key::new("script", Form::Text),
                Key::new("named", Form::Text),
                Key::new("command", Form::Text),
                Key::new("freeze", Form::Text),
                Key::new("thaw", Form::Text),
                Key::new("approve", Form::Text),
                Key::new("deny", Form::Text),
                Key::new("package", Form::Text),
                SHA256,
                Key::new("code", Form::Number),
                Key::new("at", Form::Time),
            ],
        }),
        features: &["jobs"],
    }
    /// A job's artifacts.
    Get {
        word: "get",
        allow: AllowWord::Run,
        does: "get artifacts",
        // An artifact that can't be one is missing, as any other that isn't there.
        request: &[JOB, Key::new("artifact", Form::Bytes)],
        reply: &[BODY],
        item: Some(Word { word: "artifact", keys: &[NAME, SIZE] }),
        features: &["get"],
    }
    /// The list of installed scripts.
    Scripts {
        word: "scripts",
        allow: AllowWord::Run,
        does: "list scripts",
        request: &[],
        reply: &[BODY],
        item: Some(Word { word: "script", keys: &[NAME] }),
        features: &["scripts"],
    }
    /// To have a head of the audit log proved.
    Audit {
        word: "audit",
        // Each reply carries a head of the audit log: who got one may have it proved.
        allow: AllowWord::Nothing,
        does: "ask for the audit",
        request: &[
            Key::new("seq", Form::Number),
            Key::new("head", Form::Digest),
            Key::new("chain", Form::Text),
            Key::new("from", Form::Number),
        ],
        reply: &[Key::new("more", Form::Flag), BODY],
        item: None,
        features: &["audit"],
    }
    /// To copy the audit logs: an `audit` that asks for their lines. Never a request of its own.
    Fetch {
        word: "fetch",
        allow: AllowWord::Audit,
        does: "copy the audit logs",
        request: &[],
        reply: &[],
        item: None,
        features: &["fetch"],
    }
}

impl Verb {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Verb> {
        ROWS.iter().map(|row| row.verb)
    }

    /// The verb of this word.
    pub fn from_word(word: &str) -> Option<Verb> {
        ROWS.iter().find(|row| row.word == word).map(|row| row.verb)
    }

    /// Does a request begin with it? To connect is none, an order is a `run`, and a fetch an
    /// `audit`.
    pub fn is_requested(self) -> bool {
        !matches!(self, Verb::Connect | Verb::Freeze | Verb::Approve | Verb::Fetch)
    }

    /// The verb that a request begins with.
    pub fn requested(word: &str) -> Option<Verb> {
        Verb::from_word(word).filter(|verb| verb.is_requested())
    }

    /// What is said about it.
    pub const fn row(self) -> &'static RequestRow {
        &ROWS[self as usize]
    }

    /// Its word on the wire and the command line.
    pub const fn word(self) -> &'static str {
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
    use std::collections::HashSet;

    #[test]
    fn every_verb_is_its_own_row() {
        for (index, verb) in Verb::all().enumerate() {
            assert_eq!(verb as usize, index);
            assert_eq!(Verb::from_word(verb.word()), Some(verb));
            let row = verb.row();
            let item = row.item.map_or(&[][..], |item| item.keys);
            for keys in [row.request, row.reply, item] {
                let words: HashSet<&str> = keys.iter().map(|key| key.word).collect();
                assert_eq!(words.len(), keys.len(), "{verb} has a key twice");
            }
        }
        assert_eq!(Verb::requested("connect"), None);
        assert_eq!(Verb::requested("freeze"), None);
        assert_eq!(Verb::requested("approve"), None);
        assert_eq!(Verb::requested("fetch"), None);
    }
}
