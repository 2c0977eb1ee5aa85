//! A signature of a package, as minisign(1) writes it: four lines, the text of PACKAGE.minisig.

use super::base64;
use super::keys::KeyId;
use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::read_bounded;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The longest signature, in bytes.
pub const MAXIMUM: u64 = 4096;
/// So much of a trusted comment is shown, in characters.
const SHOWN: usize = 200;

/// A signature, well formed; of what it is, and whether by whom it says, is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    text: String,
    key: KeyId,
    is_prehashed: bool,
    comment: String,
}

impl Signature {
    /// The signature of this text.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn parse(text: &str) -> std::result::Result<Signature, String> {
        if text.len() as u64 > MAXIMUM {
            return Err(format!("a signature has {MAXIMUM} bytes at most"));
        }
        let lines: Vec<&str> = text.lines().collect();
        let [untrusted, signature, trusted, global] = lines[..] else {
            return Err(format!("not a signature of minisign: {} lines, not 4", lines.len()));
        };
        let wrong = |line: usize| format!("not a signature of minisign: line {line} is another's");
        if !untrusted.starts_with("untrusted comment: ") {
            return Err(wrong(1));
        }
        let signature: Option<[u8; 74]> = base64::decode(signature).and_then(|b| b.try_into().ok());
        let signature = signature.ok_or_else(|| wrong(2))?;
        let is_prehashed = match &signature[..2] {
            b"ED" => true,
            b"Ed" => false,
            _ => return Err(wrong(2)),
        };
        let key = *signature[2..].first_chunk::<8>().ok_or_else(|| wrong(2))?;
        let comment = trusted.strip_prefix("trusted comment: ").ok_or_else(|| wrong(3))?;
        if base64::decode(global).is_none_or(|bytes| bytes.len() != 64) {
            return Err(wrong(4));
        }
        Ok(Signature {
            text: text.to_string(),
            key: KeyId::of(key),
            is_prehashed,
            comment: comment.to_string(),
        })
    }

    /// That of the file beside a package; `None` where there is no such file.
    ///
    /// # Errors
    /// Exit 65 for a file that is none, or larger than one; 74 where it can't be read.
    pub fn beside(package: &Path) -> Result<Option<Signature>> {
        let path = file_beside(package);
        // A FIFO would be waited for.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            opened => opened.map(File::from).map_err(|e| Error::io(&path, &e.into()))?,
        };
        if !file.metadata().map_err(|e| Error::io(&path, &e))?.is_file() {
            return Err(Error::new(Exit::Data, path.display(), "is not a regular file"));
        }
        let hint = "it goes along with the package: sign that anew, or take the file away";
        Signature::read(&mut file, &path).map(Some).map_err(|error| error.hint(hint))
    }

    /// That in this file, which may be a pipe.
    ///
    /// # Errors
    /// Exit 65 for a file that is missing or none; 74 where it can't be read.
    pub fn named(path: &Path) -> Result<Signature> {
        Signature::read(&mut File::open(path).map_err(|e| Error::io(path, &e))?, path)
    }

    fn read(file: &mut File, path: &Path) -> Result<Signature> {
        let text = String::from_utf8(read_bounded(file, path, MAXIMUM)?);
        let parsed = text.map_err(|_| "not text".to_string());
        parsed
            .and_then(|text| Signature::parse(&text))
            .map_err(|reason| Error::new(Exit::Data, path.display(), reason))
    }

    /// As it was read, to be verified.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whose it claims to be.
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// Is it of a digest of the package? An older minisign signed the package itself, which
    /// would have to be read into memory as a whole.
    pub fn is_prehashed(&self) -> bool {
        self.is_prehashed
    }

    /// The trusted comment, in one line that a terminal can be shown: its signer's words,
    /// which decide nothing.
    pub fn comment(&self) -> String {
        let mut letters = self.comment.chars();
        let start: String = letters.by_ref().take(SHOWN).collect();
        let rest = if letters.next().is_some() { "…" } else { "" };
        format!("{}{rest}", printable(start.as_bytes()))
    }
}

/// Where the signature of a package lies: PACKAGE.minisig.
pub fn file_beside(package: &Path) -> PathBuf {
    let mut name = package.as_os_str().to_os_string();
    name.push(".minisig");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==
";

    #[test]
    fn a_signature_names_its_key_and_its_words_are_shown_escaped() {
        let signature = Signature::parse(GOOD).expect("a signature");
        assert_eq!(signature.key().to_string(), "E7620F1842B4E81F");
        assert!(signature.is_prehashed());
        assert_eq!(signature.text(), GOOD);
        assert_eq!(signature.comment(), "timestamp:1633700835\\tfile:test\\tprehashed");
        let old = GOOD.replace("RUQf", "RWQf");
        assert!(!Signature::parse(&old).expect("of the old kind").is_prehashed());
        let long = GOOD.replace("file:test", &"\x1b".repeat(3000));
        let shown = Signature::parse(&long).expect("long").comment();
        assert!(shown.ends_with('…') && !shown.contains('\x1b') && shown.len() < 1000, "{shown}");
    }

    #[test]
    fn what_is_none_says_why() {
        let line = |number: usize| GOOD.lines().nth(number - 1).expect("a line");
        for (text, said) in [
            (String::new(), "0 lines, not 4"),
            (format!("{}\n{}\n", line(1), line(2)), "2 lines, not 4"),
            (format!("{GOOD}\n"), "5 lines, not 4"),
            (GOOD.replacen("untrusted", "trusted", 1), "line 1"),
            (GOOD.replace("RUQf", "RUUf"), "line 2"),
            (GOOD.replace("RUQf", "RUQ"), "line 2"),
            (GOOD.replace("\ntrusted", "\nTrusted"), "line 3"),
            (GOOD.replace("oBQ==", "oBR=="), "line 4"),
            (GOOD.replace("file:test", &"x".repeat(4000)), "4096 bytes at most"),
        ] {
            let reason = Signature::parse(&text).expect_err(said);
            assert!(reason.contains(said), "{reason}");
        }
    }
}
