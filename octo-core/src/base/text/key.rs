//! The words and keys of a line that a peer sends, as tables have them: which key
//! may stand where, and the form of its value.

use super::digest::Digest;
use super::names::{JobId, is_file_name};
use super::units::whole;

/// A word, and the keys that may stand behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The word that begins the line.
    pub word: &'static str,
    /// Its keys; each may be left out, none stands twice.
    pub keys: &'static [Key],
}

/// A key, and the form of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As it stands in front of the `=`.
    pub word: &'static str,
    /// What stands behind it.
    pub form: Form,
}

impl Key {
    /// A key whose value is of this form.
    pub const fn new(word: &'static str, form: Form) -> Key {
        Key { word, form }
    }
}

/// The form of a value, from which its check, its type in JSON and the page follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// UTF-8.
    Text,
    /// UTF-8, a line each.
    Lines,
    /// UTF-8, the parts joined by commas.
    List,
    /// Any bytes.
    Bytes,
    /// One file name, of any bytes.
    FileName,
    /// Decimal digits without a leading zero, at most 2^63-1.
    Number,
    /// As a number, and perhaps digits behind a point.
    Decimal,
    /// `yes`; where it is not so, the key is left out.
    Flag,
    /// A SHA-256 in lower-case hex.
    Digest,
    /// UTC to the second, as `2026-01-31T23:59:59Z`.
    Time,
    /// A job's id.
    JobId,
}

impl Form {
    /// Is this value of the form?
    pub fn fits(self, value: &[u8]) -> bool {
        let text = std::str::from_utf8(value).ok();
        match self {
            Form::Bytes => true,
            Form::FileName => is_file_name(value),
            Form::Number => number(value).is_some(),
            Form::Text | Form::Lines | Form::List => text.is_some(),
            Form::Decimal => text.is_some_and(is_decimal),
            Form::Flag => value == b"yes",
            Form::Digest => text.and_then(Digest::parse).is_some(),
            Form::Time => text.is_some_and(is_time),
            Form::JobId => text.and_then(JobId::parse).is_some(),
        }
    }

    /// What a value should have been, behind "is not".
    pub fn name(self) -> &'static str {
        match self {
            Form::Text | Form::Lines | Form::List => "UTF-8",
            Form::Bytes => "bytes",
            Form::FileName => "a file name",
            Form::Number => "a whole number",
            Form::Decimal => "a decimal number",
            Form::Flag => "yes",
            Form::Digest => "a sha256",
            Form::Time => "a time in UTC",
            Form::JobId => "a job id",
        }
    }
}

/// A whole number of at most 2^63-1, in its one spelling.
pub fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.is_empty());
    text.and_then(whole).filter(|number| *number <= i64::MAX as u64)
}

fn is_decimal(text: &str) -> bool {
    let (front, behind) = text.split_once('.').unwrap_or((text, "0"));
    let digits = !behind.is_empty() && behind.bytes().all(|b| b.is_ascii_digit());
    number(front.as_bytes()).is_some() && digits
}

fn is_time(text: &str) -> bool {
    // jiff alone would take a blank for the T, fractions and other offsets.
    let right = text.len() == 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
    right && text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_takes_its_own_and_nothing_else() {
        let digest = "0f".repeat(32);
        for (form, good, bad) in [
            (Form::Text, &["", "a é\n"][..], &[&b"\xff"[..]][..]),
            (Form::FileName, &["a b", "..."], &[b"", b"..", b"a/b", b"a\0"]),
            (Form::Number, &["0", "9223372036854775807"], &[b"", b"01", b"-1", b"1.0"]),
            (Form::Number, &["7"], &[b"9223372036854775808", b"1e3", b"0x1", b"\xff"]),
            (
                Form::Decimal,
                &["0", "0.08", "12.50"],
                &[b"", b".5", b"5.", b"00.1", b"1.2.3", b"NaN"],
            ),
            (Form::Flag, &["yes"], &[b"no", b"", b"YES"]),
            (Form::Digest, &[&digest], &[b"", b"0F", &digest.as_bytes()[1..]]),
            (Form::Time, &["2026-01-31T23:59:59Z"], &[b"", b"2026-01-31", b"2026-13-31T23:59:59Z"]),
            (Form::Time, &[], &[b"2026-01-31T23:59:59+01:00", b"2026-01-31 23:59:59Z"]),
            (Form::JobId, &["20260101T000000-abcdefghijklm"], &[b"", b"../../etc"]),
        ] {
            assert!(good.iter().all(|value| form.fits(value.as_bytes())), "{form:?}");
            for value in bad {
                assert!(!form.fits(value), "{form:?}: {}", String::from_utf8_lossy(value));
            }
        }
        assert!(Form::Bytes.fits(b"\xff"));
    }
}
