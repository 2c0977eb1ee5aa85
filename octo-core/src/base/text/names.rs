//! Names that become files, environment or log lines: checked once, then typed.

use crate::base::encoding::is_hidden;
use rustix::rand::{GetRandomFlags, getrandom};
use std::fmt;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

name_type! {
    /// A job's id, `[0-9]{8}T[0-9]{6}-[a-z2-7]{13}`: safe as a file name. Its
    /// time is whatever its maker claims.
    JobId
}
name_type! {
    /// A pusher's, a target's or a tag's name: `[A-Za-z0-9][A-Za-z0-9._@-]*`, at
    /// most 64 bytes.
    PusherName
}
name_type! {
    /// A named lock: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 64 bytes.
    LockName
}
name_type! {
    /// A variable of a job: `[A-Za-z_][A-Za-z0-9_]*`.
    VariableName
}

/// The alphabet of RFC 4648's base32, in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl JobId {
    /// A new id: the time in UTC, then 65 random bits.
    ///
    /// # Errors
    /// Where the kernel gives no random bytes.
    pub fn generate() -> std::io::Result<JobId> {
        let mut random = [0u8; 13];
        random_bytes(&mut random)?;
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S").to_string();
        let letters: String = random.iter().map(|b| BASE32[usize::from(b & 31)] as char).collect();
        Ok(JobId(format!("{now}-{letters}")))
    }

    /// An id that a digest determines: the same rollout, batch and target give
    /// the same job, so that continuing a rollout repeats nothing.
    pub fn derive(time: &str, seed: &[u8]) -> Option<JobId> {
        let digest = crate::Digest::of(seed);
        let letters: String = digest
            .as_bytes()
            .iter()
            .take(13)
            .map(|b| BASE32[usize::from(b & 31)] as char)
            .collect();
        JobId::parse(&format!("{time}-{letters}"))
    }

    /// The id of this text, if it is of the one permitted form.
    pub fn parse(text: &str) -> Option<JobId> {
        let bytes = text.as_bytes();
        let right = bytes.len() == 29
            && bytes.iter().enumerate().all(|(i, b)| match i {
                8 => *b == b'T',
                15 => *b == b'-',
                0..15 => b.is_ascii_digit(),
                _ => BASE32.contains(b),
            });
        right.then(|| JobId(text.to_string()))
    }

    /// The part before the dash: when its maker claims to have made it.
    pub fn time(&self) -> &str {
        &self.0[..15]
    }
}

/// Fills the buffer from the kernel's generator, however many calls it takes.
///
/// # Errors
/// Where the kernel gives none.
pub fn random_bytes(buffer: &mut [u8]) -> std::io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match getrandom(&mut buffer[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn is_name(text: &str, extra: &[u8]) -> bool {
    text.len() <= 64
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
}

impl PusherName {
    /// What a name may consist of, for messages.
    pub const FORM: &str = "[A-Za-z0-9][A-Za-z0-9._@-]*, at most 64";

    /// The name, if it is one.
    pub fn parse(text: &str) -> Option<PusherName> {
        PusherName::is_form(text).then(|| PusherName(text.to_string()))
    }

    /// Is it one?
    pub fn is_form(text: &str) -> bool {
        is_name(text, b"._@-")
    }

    /// Under what this machine's own operator puts packages.
    pub fn local_operator() -> PusherName {
        PusherName("operator@localhost".into())
    }
}

impl LockName {
    /// The name, if it is one.
    pub fn parse(text: &str) -> Option<LockName> {
        is_name(text, b"._-").then(|| LockName(text.to_string()))
    }
}

impl VariableName {
    /// A name of the right form. Which ones a pusher may set says `trust::environment`.
    pub fn parse(text: &str) -> Option<VariableName> {
        let bytes = text.as_bytes();
        let right = bytes.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
            && bytes.len() <= 256;
        right.then(|| VariableName(text.to_string()))
    }
}

/// A file name to show and to hand on: one path component of any bytes but NUL
/// and `/`, at most 255, neither `.` nor `..`.
pub fn is_file_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name != b"."
        && name != b".."
        && !name.iter().any(|b| matches!(b, 0 | b'/'))
}

/// Does the text hold a character that can't be seen or that drives a terminal?
pub fn has_hidden(text: &str) -> bool {
    text.chars().any(is_hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ids_have_one_form() {
        let id = JobId::generate().expect("random bytes");
        assert_eq!(JobId::parse(id.as_str()), Some(id));
        for bad in [
            "",
            "20260101T000000-abcdefghijklm/",
            "20260101T000000-abcdefghijkl1",
            "../../../../../../../../etc/pw",
            "20260101t000000-abcdefghijklm",
            "20260101T000000-ABCDEFGHIJKLM",
            "20260101T000000-abcdefghijkl\n",
        ] {
            assert_eq!(JobId::parse(bad), None, "{bad}");
        }
        assert_eq!(JobId::derive("20260101T000000", b"a"), JobId::derive("20260101T000000", b"a"));
        assert_ne!(JobId::derive("20260101T000000", b"a"), JobId::derive("20260101T000000", b"b"));
    }

    #[test]
    fn variables_have_a_form() {
        for bad in ["", "1A", "A-B", "A=B", "A B", "é", "() {"] {
            assert!(VariableName::parse(bad).is_none(), "{bad}");
        }
        assert!(VariableName::parse(&"A".repeat(256)).is_some());
        assert!(VariableName::parse(&"A".repeat(257)).is_none());
        assert!(VariableName::parse("APP_PORT").is_some());
    }

    #[test]
    fn file_names_are_one_component() {
        assert!(is_file_name("a b\n\u{e9}".as_bytes()) && is_file_name(b"..."));
        for bad in [&b""[..], b".", b"..", b"a/b", b"a\0", &[b'x'; 256]] {
            assert!(!is_file_name(bad));
        }
    }
}
