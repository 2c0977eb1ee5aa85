//! The file that signed= names: public keys of minisign(1), one a line, as that prints them.

use super::base64;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::{open_trusted, read_bounded};
use crate::base::problem::Problem;
use std::fmt;
use std::path::Path;

/// The largest file, in bytes.
const LARGEST: u64 = 64 * 1024;
/// So many keys, at most.
const MOST: usize = 100;
/// Who takes the secret key for the public one has no more of it shown.
const SHOWN: usize = 12;

/// The id of a key, shown as minisign(1) does, so that one finds the other by a search:
/// upper-case hex digits, 16 at most, without zeros in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId(u64);

impl KeyId {
    /// The id of this text, in its one spelling.
    pub fn parse(text: &str) -> Option<KeyId> {
        let id = u64::from_str_radix(text, 16).ok().map(KeyId)?;
        (id.to_string() == text).then_some(id)
    }

    /// Of its eight bytes in a key or a signature, the lowest first.
    pub(super) fn of(bytes: [u8; 8]) -> KeyId {
        KeyId(u64::from_le_bytes(bytes))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:X}", self.0)
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Its id, which its signatures name.
    pub id: KeyId,
    /// As minisign(1) prints it: 56 letters of base64.
    pub text: String,
}

impl PublicKey {
    /// The key of a line.
    fn parse(text: &str) -> Option<PublicKey> {
        let bytes: [u8; 42] = base64::decode(text)?.try_into().ok()?;
        let id = bytes.strip_prefix(b"Ed")?.first_chunk::<8>()?;
        Some(PublicKey { id: KeyId::of(*id), text: text.to_string() })
    }
}

/// The keys of a file: one at least, each id once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(Vec<PublicKey>);

impl Keys {
    /// Reads a file that only root or this user could have written.
    ///
    /// # Errors
    /// Exit 78 where it is missing, unsound, or holds no key.
    pub fn load(path: &Path) -> Result<Keys> {
        let bytes = Keys::read(path)?;
        let keys = Keys::parse(path, &bytes).map_err(|problems| Problem::error(&problems))?;
        match keys.0.is_empty() {
            true => Err(Error::new(Exit::Configuration, path.display(), "holds no key")
                .hint("minisign -G makes one; its public key belongs here")),
            false => Ok(keys),
        }
    }

    /// The bytes of such a file.
    fn read(path: &Path) -> Result<Vec<u8>> {
        let read = open_trusted(path).and_then(|mut file| read_bounded(&mut file, path, LARGEST));
        read.map_err(|error| error.exit(Exit::Configuration))
    }

    /// The keys of these bytes.
    fn parse(path: &Path, bytes: &[u8]) -> std::result::Result<Keys, Vec<Problem>> {
        let mut keys: Vec<(usize, PublicKey)> = Vec::new();
        let mut problems = Vec::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let number = index + 1;
            let line = line.trim_ascii();
            let is_comment = line.starts_with(b"#") || line.starts_with(b"untrusted comment:");
            if line.is_empty() || is_comment {
                continue;
            }
            let shown = &line[..line.len().min(SHOWN)];
            let wrong = |reason: String| Problem::new(path, number, shown, reason);
            if problems.len() + keys.len() == MOST {
                problems.push(wrong(format!("more than {MOST} keys")));
                break;
            }
            let key = std::str::from_utf8(line).ok().and_then(PublicKey::parse);
            let Some(key) = key else {
                problems.push(wrong("not a public key of minisign, as in its .pub file".into()));
                continue;
            };
            match keys.iter().find(|(_, other)| other.id == key.id) {
                Some((first, _)) => {
                    problems.push(wrong(format!("line {first} has a key of this id already")));
                }
                None => keys.push((number, key)),
            }
        }
        match problems.is_empty() {
            true => Ok(Keys(keys.into_iter().map(|(_, key)| key).collect())),
            false => Err(problems),
        }
    }

    /// The key of this id.
    pub fn key(&self, id: KeyId) -> Option<&PublicKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    fn parse(text: &str) -> std::result::Result<Keys, Vec<String>> {
        let parsed = Keys::parse(Path::new("keys"), text.as_bytes());
        parsed.map_err(|problems| problems.iter().map(Problem::heading).collect())
    }

    #[test]
    fn keys_are_read_as_minisign_prints_them() {
        let text =
            format!("# of the office\r\n\nuntrusted comment: minisign public key\n {ONE}\r\n");
        let keys = parse(&text).expect("sound");
        let id = KeyId::of([0x1f, 0xe8, 0xb4, 0x42, 0x18, 0x0f, 0x62, 0xe7]);
        assert_eq!(id.to_string(), "E7620F1842B4E81F");
        assert_eq!(KeyId::parse("E7620F1842B4E81F"), Some(id));
        let short = KeyId::of([0xf9, 0xce, 0x62, 0xc7, 0x8e, 0xf4, 0x05, 0x00]);
        assert_eq!(short.to_string(), "5F48EC762CEF9");
        assert_eq!(KeyId::parse("5F48EC762CEF9"), Some(short));
        for text in
            ["", "e7620f1842b4e81f", "+7620F1842B4E81F", "05F48EC762CEF9", "E7620F1842B4E81F0"]
        {
            assert_eq!(KeyId::parse(text), None, "{text}");
        }
        assert_eq!(keys.key(id).map(|key| key.text.as_str()), Some(ONE));
        assert_eq!(keys.key(KeyId::of([0; 8])), None);
        assert_eq!(parse("# none\n"), Ok(Keys(Vec::new())));
    }

    #[test]
    fn what_is_no_key_is_named_by_its_line_and_hardly_shown() {
        let secret = format!("RWRTY0Iy{}", "A".repeat(204));
        for (text, said) in [
            (format!("{ONE}\n{}\n", &ONE[..55]), "keys:2: not a public key"),
            (format!("{ONE} # mine\n"), "keys:1: not a public key"),
            (format!("{ONE}\n\n{ONE}\n"), "keys:3: line 1 has a key of this id"),
            (secret.clone(), "keys:1: not a public key"),
            (ONE.replace("RWQ", "RUQ"), "keys:1: not a public key"),
            ("\u{feff}x\n".into(), "keys:1: not a public key"),
        ] {
            let problems = parse(&text).expect_err(said);
            assert!(problems.len() == 1 && problems[0].starts_with(said), "{problems:?}");
        }
        let problems = Keys::parse(Path::new("keys"), secret.as_bytes()).expect_err("a secret");
        assert_eq!(problems[0].text, &secret[..SHOWN]);
        let noise = parse(&"x\n".repeat(10_000)).expect_err("noise");
        assert_eq!(noise.len(), MOST + 1);
        assert_eq!(noise[MOST], "keys:101: more than 100 keys");
    }
}
