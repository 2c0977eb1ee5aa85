//! One line of the protocol: `WORD key=value key=value…LF`.

use crate::failure::Failure;
use octo_core::base::encoding::{decode, encode, is_word};
use octo_core::base::key::number as whole;
use std::collections::BTreeSet;

/// The longest line, its LF included.
pub const MAXIMUM_LINE: usize = 16 * 1024;

/// A request, a reply or a word of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    word: String,
    pairs: Vec<(String, Vec<u8>)>,
}

impl Message {
    /// A message without keys.
    pub fn new(word: &str) -> Message {
        debug_assert!(is_word(word.as_bytes()));
        Message { word: word.to_string(), pairs: Vec::new() }
    }

    /// The same with one more key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> Message {
        self.push(key, value.to_string().as_bytes());
        self
    }

    /// Adds a key; a key stands once, so the caller adds it once.
    pub fn push(&mut self, key: &str, value: &[u8]) {
        debug_assert!(is_word(key.as_bytes()) && self.value(key).is_none());
        self.pairs.push((key.to_string(), value.to_vec()));
    }

    /// Parses a line without its LF.
    ///
    /// # Errors
    /// [`Failure::Malformed`], saying what is not of the form.
    pub fn parse(line: &[u8]) -> Result<Message, Failure> {
        let malformed = |reason: &str| Failure::Malformed(reason.to_string());
        if line.len() >= MAXIMUM_LINE {
            return Err(malformed("a line is longer than 16 KiB"));
        }
        let mut fields = line.split(|b| *b == b' ');
        let word = fields
            .next()
            .filter(|w| is_word(w))
            .ok_or_else(|| malformed("no word begins the line"))?;
        let word = String::from_utf8_lossy(word).into_owned();
        let mut pairs = Vec::new();
        // A line has room for thousands of keys: each is looked up, not searched for.
        let mut seen = BTreeSet::new();
        for field in fields {
            let split =
                field.iter().position(|b| *b == b'=').ok_or_else(|| malformed("a key has no ="))?;
            let key = &field[..split];
            if !is_word(key) {
                return Err(malformed("a key is not [a-z][a-z0-9-]*"));
            }
            let name = String::from_utf8_lossy(key).into_owned();
            if !seen.insert(key) {
                return Err(Failure::Malformed(format!("key {name} stands twice")));
            }
            let value = decode(&field[split + 1..]).ok_or_else(|| {
                Failure::Malformed(format!("the value of {name} is not in its one encoding"))
            })?;
            pairs.push((name, value));
        }
        Ok(Message { word, pairs })
    }

    /// The line, its LF included.
    ///
    /// # Errors
    /// [`Failure::Malformed`] if it would be longer than a line may be.
    pub fn encode(&self) -> Result<Vec<u8>, Failure> {
        let mut line = self.word.clone();
        for (key, value) in &self.pairs {
            line.push(' ');
            line.push_str(key);
            line.push('=');
            line.push_str(&encode(value));
        }
        line.push('\n');
        if line.len() > MAXIMUM_LINE {
            return Err(Failure::Malformed("a line would be longer than 16 KiB".into()));
        }
        Ok(line.into_bytes())
    }

    /// The word.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// The keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(key, _)| key.as_str())
    }

    /// Forgets the other keys and their values.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.pairs.retain(|(key, _)| keep(key));
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<&[u8]> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_slice())
    }

    /// The value of a key as text; absent and not UTF-8 are the same.
    pub fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.value(key)?).ok()
    }

    /// The value of a key as a whole number, at most 2^63-1.
    ///
    /// # Errors
    /// [`Failure::Malformed`] if it is there and is none.
    pub fn number(&self, key: &str) -> Result<Option<u64>, Failure> {
        let Some(value) = self.value(key) else { return Ok(None) };
        whole(value)
            .map(Some)
            .ok_or_else(|| Failure::Malformed(format!("{key} is not a whole number")))
    }

    /// The length of the body that follows the line; 0 where none does.
    ///
    /// # Errors
    /// [`Failure::Malformed`] if `body=` is no number.
    pub fn body(&self) -> Result<u64, Failure> {
        Ok(self.number("body")?.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back() {
        let mut message = Message::new("put").with("size", 12);
        message.push("name", "a b=\n\u{e9}".as_bytes());
        message.push("empty", b"");
        let line = message.encode().expect("short");
        assert_eq!(line, b"put size=12 name=a%20b%3D%0A%C3%A9 empty=\n");
        assert_eq!(Message::parse(&line[..line.len() - 1]).expect("a message"), message);
        assert_eq!(message.number("size").expect("a number"), Some(12));
    }

    #[test]
    fn anything_but_the_one_form_is_malformed() {
        let long = format!("a b={}", "x".repeat(MAXIMUM_LINE));
        for bad in [
            "",
            " ",
            "Put",
            "put ",
            "put  a=1",
            " put",
            "put a",
            "put a=1 a=2",
            "put A=1",
            "put a=%2f",
            "put a=%41",
            "put a=1\r",
            "put\ta=1",
            "put a==",
            "put a=%",
            "GET / HTTP/1.1",
            "put =1",
            &long,
        ] {
            assert!(Message::parse(bad.as_bytes()).is_err(), "{}", &bad[..bad.len().min(40)]);
        }
        assert!(Message::new("a").with("b", "x".repeat(MAXIMUM_LINE)).encode().is_err());
    }

    /// What parses has no second spelling: encoding gives the same bytes.
    #[test]
    fn whatever_parses_is_what_would_be_sent() {
        const ALPHABET: &[u8] = b"ab-0= %2F2fA4~/.\r\t\x00\xe9Z";
        let mut state = 7_u64;
        let mut next = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % bound
        };
        let mut parsed = 0;
        for _ in 0..200_000 {
            let mut line = b"a b=%2F c=x%20".to_vec();
            for _ in 0..next(4) {
                let at = next(line.len());
                line[at] = ALPHABET[next(ALPHABET.len())];
            }
            line.truncate(1 + next(line.len()));
            if let Ok(message) = Message::parse(&line) {
                line.push(b'\n');
                assert_eq!(message.encode().expect("short"), line);
                parsed += 1;
            }
        }
        assert!(parsed > 100, "{parsed}");
    }

    #[test]
    fn numbers_have_one_spelling_and_a_bound() {
        for bad in
            ["", "-1", "+1", "01", "1e3", "9223372036854775808", "18446744073709551616", "0x1"]
        {
            let message = Message::new("a").with("body", bad);
            assert!(message.body().is_err(), "{bad}");
        }
        assert_eq!(
            Message::new("a").with("body", i64::MAX).body().expect("a number"),
            i64::MAX as u64
        );
        assert_eq!(Message::new("a").body().expect("absent"), 0);
    }
}
