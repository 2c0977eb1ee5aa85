//! A message whose keys the tables know: what is read is checked against its row
//! before anybody sees it, what is made can have no other keys.

use super::message::Message;
use super::words::{FINAL, StreamWord};
use crate::failure::Failure;
use octo_core::base::key::{Key, Word, number};
use octo_core::trust::Verb;
use octo_core::{Digest, JobId};

/// The values of one message, by the keys of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    row: Word,
    /// Keys that the word has in common with others.
    common: &'static [Key],
    message: Message,
}

/// What a value can be read as; its form was checked when its message came.
pub trait Value<'a>: Sized {
    /// The value of these bytes, if they are one.
    fn read(bytes: &'a [u8]) -> Option<Self>;
}

impl Fields {
    /// A request, without a key yet.
    pub(crate) fn request(verb: Verb) -> Fields {
        Fields::new(Word { word: verb.word(), keys: verb.row().request }, &[])
    }

    /// The `ok` to a request of this verb.
    pub fn ok(verb: Verb) -> Fields {
        Fields::new(Word { word: "ok", keys: verb.row().reply }, FINAL)
    }

    /// A line of the list with which this verb is answered; a verb that is
    /// answered otherwise has none.
    pub fn item(verb: Verb) -> Fields {
        let item = verb.row().item;
        debug_assert!(item.is_some(), "{verb} is not answered by a list");
        Fields::new(item.unwrap_or(Word { word: verb.word(), keys: &[] }), &[])
    }

    /// A word of a stream.
    pub fn of(word: StreamWord) -> Fields {
        Fields::new(*word.row(), if word.is_final() { FINAL } else { &[] })
    }

    /// What is said by a word that we don't know: nothing, but it may have a body.
    pub(crate) fn unknown() -> Fields {
        Fields::new(Word { word: "unknown", keys: &[] }, &[])
    }

    fn new(row: Word, common: &'static [Key]) -> Fields {
        Fields { row, common, message: Message::new(row.word) }
    }

    /// Takes over the values of a message that came, as far as this row has their
    /// keys; the others are forgotten.
    ///
    /// # Errors
    /// [`Failure::Malformed`], naming the first key whose value has another form.
    pub(crate) fn filled(self, mut message: Message) -> Result<Fields, Failure> {
        // The length of a body counts, whether or not we know what is in it.
        message.body()?;
        message.retain(|key| key == "body" || self.key(key).is_some());
        for key in self.row.keys.iter().chain(self.common) {
            if message.value(key.word).is_some_and(|value| !key.form.fits(value)) {
                let reason = format!("{} is not {}", key.word, key.form.name());
                return Err(Failure::Malformed(reason));
            }
        }
        Ok(Fields { message, ..self })
    }

    /// The same with one more value; one that is not of its key's form (a record on
    /// the disk can hold anything) is left out.
    #[must_use]
    pub fn with(self, key: &str, value: impl ToString) -> Fields {
        self.with_bytes(key, value.to_string().as_bytes())
    }

    /// As [`Fields::with`], for any bytes.
    #[must_use]
    pub fn with_bytes(mut self, key: &str, value: &[u8]) -> Fields {
        let known = self.key(key);
        debug_assert!(known.is_some(), "{} has no key {key}", self.row.word);
        if known.is_some_and(|known| known.form.fits(value)) {
            self.message.push(key, value);
        }
        self
    }

    /// The same with a value, where there is one.
    #[must_use]
    pub fn maybe(self, key: &str, value: Option<impl ToString>) -> Fields {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// The value of a key, where it is given.
    pub fn get<'a, T: Value<'a>>(&'a self, key: &str) -> Option<T> {
        debug_assert!(self.key(key).is_some(), "{} has no key {key}", self.row.word);
        self.message.value(key).and_then(T::read)
    }

    /// The value of a key without which the message says nothing.
    ///
    /// # Errors
    /// [`Failure::Malformed`] where it is missing.
    pub fn need<'a, T: Value<'a>>(&'a self, key: &str) -> Result<T, Failure> {
        self.get(key).ok_or_else(|| Failure::Malformed(format!("{key} is missing")))
    }

    /// Is this flag set?
    pub fn flag(&self, key: &str) -> bool {
        self.get::<&[u8]>(key).is_some()
    }

    /// The length of the body that follows the line; 0 where none does.
    pub fn body(&self) -> u64 {
        self.message.body().unwrap_or(0)
    }

    /// Each key of the row but `body`, in the row's order, with its value where it
    /// is given.
    pub fn each(&self) -> impl Iterator<Item = (&'static Key, Option<&[u8]>)> {
        let said = self.row.keys.iter().filter(|key| key.word != "body");
        said.map(|key| (key, self.message.value(key.word)))
    }

    /// The line to send.
    pub fn message(&self) -> &Message {
        &self.message
    }

    fn key(&self, word: &str) -> Option<&'static Key> {
        self.row.keys.iter().chain(self.common).find(|key| key.word == word)
    }
}

impl<'a> Value<'a> for &'a [u8] {
    fn read(bytes: &'a [u8]) -> Option<&'a [u8]> {
        Some(bytes)
    }
}

impl<'a> Value<'a> for &'a str {
    fn read(bytes: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(bytes).ok()
    }
}

impl Value<'_> for u64 {
    fn read(bytes: &[u8]) -> Option<u64> {
        number(bytes)
    }
}

impl Value<'_> for Digest {
    fn read(bytes: &[u8]) -> Option<Digest> {
        Digest::parse(std::str::from_utf8(bytes).ok()?)
    }
}

impl Value<'_> for JobId {
    fn read(bytes: &[u8]) -> Option<JobId> {
        JobId::parse(std::str::from_utf8(bytes).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_form_is_not_sent() {
        let item = Fields::item(Verb::Jobs).with("received", "yesterday").with("by", "ann");
        assert_eq!(item.message().encode().expect("short"), b"job by=ann\n");
    }

    #[test]
    #[should_panic(expected = "status has no key verbose")]
    fn a_key_that_the_row_lacks_is_noticed_by_whoever_makes_it() {
        let _ = Fields::request(Verb::Status).with("verbose", 1);
    }
}
