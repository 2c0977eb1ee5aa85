//! The words of octo/1 that are no verbs, and their keys; those of the verbs, of
//! their replies and of the lines of their lists are in [`Verb::row`].
//!
//! [`Verb::row`]: octo_core::trust::Verb::row

use octo_core::base::key::{Form, Key, Word};

/// What each final reply may carry besides: the heads of both audit logs, the
/// listener's own and octo-exec's.
pub const FINAL: &[Key] = &[Key::new("audit", Form::Text), Key::new("audit-exec", Form::Text)];

const BODY: Key = Key::new("body", Form::Number);

/// The words of a stream and their rows, both of one list: no word lacks a row.
macro_rules! stream_words {
    ($($(#[$doc:meta])* $variant:ident $word:literal [$($key:expr),*])*) => {
        /// A word that a tentacle says in a stream or before a late reply, or an octopus in a
        /// body that has lines.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum StreamWord {
            $($(#[$doc])* $variant,)*
        }

        /// In the order of the variants: the discriminant is the row.
        static ROWS: [(StreamWord, Word); [$(StreamWord::$variant),*].len()] =
            [$((StreamWord::$variant, Word { word: $word, keys: &[$($key),*] })),*];
    };
}

stream_words! {
    /// The job is in another state.
    State "state" [Key::new("is", Form::Text), Key::new("holder", Form::Text)]
    /// A piece of standard output.
    Out "out" [BODY]
    /// A piece of standard error.
    Err "err" [BODY]
    /// The values that the job hands back.
    Outputs "outputs" [BODY]
    /// What octo-exec signed of the end that follows: the seal, its signature, the certificate.
    Seal "seal" [Key::new("seal", Form::Number), Key::new("signature", Form::Number), BODY]
    /// Nothing happened; the tentacle lives.
    Tick "tick" []
    /// A refusal, also in the place of a reply.
    No "no" [
        Key::new("code", Form::Text),
        Key::new("reason", Form::Text),
        Key::new("opens", Form::Time),
        Key::new("variables", Form::List)
    ]
    /// A segment of a package that is put: so much of its output, without what is skipped.
    Part "part" [
        Key::new("size", Form::Number),
        Key::new("skip", Form::Number),
        Key::new("zstd", Form::Flag),
        Key::new("ranges", Form::List),
        Key::new("copies", Form::List),
        BODY
    ]
    /// The job is over.
    End "end" [
        Key::new("kind", Form::Text),
        Key::new("code", Form::Number),
        Key::new("at", Form::Time),
        Key::new("log", Form::Number),
        Key::new("reason", Form::Text),
        Key::new("truncated", Form::Flag),
        Key::new("strays", Form::Lines)
    ]
}

impl StreamWord {
    /// All of them.
    pub fn all() -> impl Iterator<Item = StreamWord> {
        ROWS.iter().map(|row| row.0)
    }

    /// The stream's word that is spelt so.
    pub fn from_word(word: &str) -> Option<StreamWord> {
        ROWS.iter().find(|row| row.1.word == word).map(|row| row.0)
    }

    /// Its spelling and its keys, besides those of every final reply.
    pub fn row(self) -> &'static Word {
        &ROWS[self as usize].1
    }

    /// Does it end a request?
    pub fn is_final(self) -> bool {
        matches!(self, StreamWord::No | StreamWord::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_its_own_row() {
        for (index, word) in StreamWord::all().enumerate() {
            assert_eq!(word as usize, index);
            assert_eq!(StreamWord::from_word(word.row().word), Some(word));
        }
        assert_eq!(StreamWord::from_word("ok"), None);
    }
}
