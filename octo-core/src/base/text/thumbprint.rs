//! Thumbprints: the SHA-256 of a certificate's DER, by which peers are known.

use crate::base::digest::Digest;
use crate::base::encoding::{is_invisible, printable};
use std::fmt;

/// The SHA-256 of a certificate's DER encoding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Thumbprint(Digest);

impl Thumbprint {
    /// The thumbprint of a certificate, given as DER.
    pub fn of_certificate(der: &[u8]) -> Thumbprint {
        Thumbprint(Digest::of(der))
    }

    /// How many there are, however they are parted.
    pub const DIGITS: usize = 64;

    /// A thumbprint of 64 digits in lower case, and nothing else.
    pub fn of_digits(digits: &str) -> Option<Thumbprint> {
        Digest::parse(digits).map(Thumbprint)
    }

    /// A thumbprint as people have it: 64 hex digits in either case, with or
    /// without colons, behind `SHA256:`, `sha256 Fingerprint=` and the like.
    ///
    /// # Errors
    /// What is wrong with it, in words: an invisible character, as Windows'
    /// certificate dialog pastes it, would else be hunted for hours.
    pub fn parse(text: &str) -> Result<Thumbprint, String> {
        if let Some(plain) = Thumbprint::of_digits(text) {
            return Ok(plain);
        }
        if let Some(hidden) = text.chars().find(|c| is_invisible(*c)) {
            return Err(format!(
                "an invisible character (U+{:04X}) is in it: type it or copy it anew",
                hidden as u32
            ));
        }
        let trimmed = text.trim_ascii();
        let digits = strip_label(trimmed);
        let plain: String = digits.chars().filter(|c| *c != ':').collect();
        if let Some(odd) = plain.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(format!(
                "'{}' is not a hex digit of a thumbprint",
                printable(odd.to_string().as_bytes())
            ));
        }
        match plain.len() {
            64 if digits.len() == 64 || has_regular_colons(digits) => {}
            64 => return Err("its colons don't stand between bytes".into()),
            40 => {
                return Err(
                    "40 hex digits are a SHA-1: a thumbprint is the SHA-256, 64 digits".into()
                );
            }
            32 => {
                return Err(
                    "32 hex digits are an MD5: a thumbprint is the SHA-256, 64 digits".into()
                );
            }
            count => return Err(format!("a thumbprint has 64 hex digits, this has {count}")),
        }
        Digest::parse(&plain.to_ascii_lowercase())
            .map(Thumbprint)
            .ok_or_else(|| "not a thumbprint".into())
    }
}

/// What openssl and others print before the digits.
fn strip_label(text: &str) -> &str {
    let lower = text.to_ascii_lowercase();
    for label in ["sha256 fingerprint=", "sha-256 fingerprint=", "sha256=", "sha256:"] {
        if lower.starts_with(label) {
            return text[label.len()..].trim_ascii_start();
        }
    }
    text
}

fn has_regular_colons(text: &str) -> bool {
    text.len() == 95 && text.bytes().enumerate().all(|(i, b)| (b == b':') == (i % 3 == 2))
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_people_have_are_one_thumbprint() {
        let plain = Thumbprint::of_certificate(b"x").to_string();
        let capitals = plain.to_uppercase();
        let colons = capitals.as_bytes().chunks(2).map(|c| String::from_utf8_lossy(c).into_owned());
        let colons = colons.collect::<Vec<_>>().join(":");
        for text in [
            plain.clone(),
            capitals,
            format!("sha256 Fingerprint={colons}"),
            format!("SHA256 Fingerprint={colons}"),
            format!("SHA256:{plain}"),
            format!("{colons}\r"),
            colons,
        ] {
            assert_eq!(
                Thumbprint::parse(&text).map(|t| t.to_string()),
                Ok(plain.clone()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let plain = Thumbprint::of_certificate(b"x").to_string();
        for (text, said) in [
            (format!("\u{200e}{plain}"), "U+200E"),
            (plain[..40].to_string(), "SHA-1"),
            (plain[..63].to_string(), "this has 63"),
            (format!("{}g", &plain[..63]), "'g'"),
            (format!(":{plain}"), "colons"),
            (String::new(), "this has 0"),
        ] {
            let error = Thumbprint::parse(&text).expect_err("must be refused");
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
