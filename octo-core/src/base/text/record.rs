//! Records: text files of `key value…` lines in the one encoding, order kept.
//!
//! Specs, requests, grants and ends are all of this form, so that cat(1) shows
//! them and one strict parser reads them.

use crate::base::encoding::{decode, encode, is_word};
use std::fmt::Write;

/// No line of ours has more fields; one of a peer's would be a list of nothings.
const MAXIMUM_FIELDS: usize = 16;

/// Lines of a key and its fields, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    lines: Vec<(String, Vec<Vec<u8>>)>,
}

impl Record {
    /// No lines yet.
    pub fn new() -> Record {
        Record::default()
    }

    /// Parses; every line ends with LF, one space stands between fields.
    ///
    /// # Errors
    /// The number of the first line that is not of this form, from 1.
    pub fn parse(bytes: &[u8]) -> Result<Record, usize> {
        lines(bytes)
            .map(|line| line.map(|(key, values)| (key.to_string(), values)))
            .collect::<Result<_, _>>()
            .map(|lines| Record { lines })
    }

    /// The text of the record.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        for (key, values) in &self.lines {
            text.push_str(key);
            for value in values {
                // Writing to a String can't fail.
                let _ = write!(text, " {}", encode(value));
            }
            text.push('\n');
        }
        text
    }

    /// Adds a line.
    pub fn push(&mut self, key: &str, values: &[&[u8]]) {
        self.lines.push((key.to_string(), values.iter().map(|v| v.to_vec()).collect()));
    }

    /// The same record with a line of one text value more.
    #[must_use]
    pub fn with(self, key: &str, value: impl ToString) -> Record {
        self.with_each(key, [value])
    }

    /// The same record with such a line for each of these, or for what there may be.
    #[must_use]
    pub fn with_each(
        mut self,
        key: &str,
        values: impl IntoIterator<Item = impl ToString>,
    ) -> Record {
        values.into_iter().for_each(|value| self.push(key, &[value.to_string().as_bytes()]));
        self
    }

    /// The lines in their order.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &[Vec<u8>])> {
        self.lines.iter().map(|(key, values)| (key.as_str(), values.as_slice()))
    }

    /// The fields of every line with this key.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a [Vec<u8>]> {
        self.lines().filter(move |(k, _)| *k == key).map(|(_, values)| values)
    }

    /// The single field of the first line with this key, as text.
    pub fn first(&self, key: &str) -> Option<&str> {
        match self.lines().find(|(k, _)| *k == key)?.1 {
            [value] => std::str::from_utf8(value).ok(),
            _ => None,
        }
    }

    /// As [`Record::first`], a canonical whole number.
    pub fn number(&self, key: &str) -> Option<u64> {
        crate::base::units::whole(self.first(key)?)
    }
}

/// The lines of a record's bytes, one at a time, so that a peer's million of
/// them takes no more memory than the largest; the error is a line's number.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = Result<(&str, Vec<Vec<u8>>), usize>> {
    let mut rest = bytes;
    let mut number = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        number += 1;
        let line = rest.iter().position(|b| *b == b'\n').map(|end| &rest[..end]);
        // After an error there is nothing more.
        rest = line.map_or(&[], |line| &rest[line.len() + 1..]);
        Some(line.and_then(fields).ok_or(number))
    })
}

fn fields(line: &[u8]) -> Option<(&str, Vec<Vec<u8>>)> {
    let mut fields = line.split(|b| *b == b' ');
    let key = fields.next().filter(|key| is_word(key))?;
    if fields.clone().count() > MAXIMUM_FIELDS {
        return None;
    }
    let values = fields.map(decode).collect::<Option<Vec<_>>>()?;
    Some((std::str::from_utf8(key).ok()?, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_and_strays_are_named() {
        let mut record = Record::new();
        record.push("env", &[b"A", b"x y\n\0"]);
        record.push("arg", &[b""]);
        let record = record.with("timeout", 30);
        let text = record.encode();
        assert_eq!(text, "env A x%20y%0A%00\narg \ntimeout 30\n");
        assert_eq!(Record::parse(text.as_bytes()), Ok(record.clone()));
        assert_eq!(record.number("timeout"), Some(30));
        assert_eq!(record.first("env"), None);
        for (bad, line) in
            [("a", 1), ("a 1\nB 2\n", 2), ("a %2f\n", 1), ("\n", 1), ("a\r\n", 1), ("a 1\nb", 2)]
        {
            assert_eq!(Record::parse(bad.as_bytes()), Err(line), "{bad:?}");
        }
    }
}
