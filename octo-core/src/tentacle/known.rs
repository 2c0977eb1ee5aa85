//! CONFIG/tentacle: by which thumbprints this tentacle is known.
//!
//! A request names the tentacle that it is meant for, and octo-exec starts none that is
//! meant for another: it believes this file, not what the listener shows. One thumbprint
//! a line, first the current, then the previous one, which holds until the next change:
//! octopuses that know only that one, and a listener that still shows it, go on.

use crate::base::error::{Error, Exit, Result};
use crate::base::paths::{Places, check_trusted, open_trusted, read_bounded};
use crate::base::problem::Problem;
use crate::base::publish;
use crate::base::thumbprint::Thumbprint;
use std::path::Path;

/// A larger file is none.
const LARGEST: u64 = 64 << 10;

const HEADING: &str = "# This tentacle's own thumbprints, the current one first, by octo-keys(1): \
                       what names another is not run here.\n";

/// The thumbprints of a tentacle's own certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnThumbprints {
    /// That of its identity.
    pub current: Thumbprint,
    /// That of the identity before it.
    pub previous: Option<Thumbprint>,
}

impl OwnThumbprints {
    /// Those of this machine.
    ///
    /// # Errors
    /// Exit 78 if the file is missing, unsound, or could be somebody else's: then
    /// nothing may be taken as meant for this tentacle.
    pub fn load(places: &Places) -> Result<OwnThumbprints> {
        OwnThumbprints::read(&places.tentacle())
    }

    /// As [`OwnThumbprints::load`], from any file.
    ///
    /// # Errors
    /// As there.
    pub fn read(path: &Path) -> Result<OwnThumbprints> {
        let unsound = |error: Error| error.exit(Exit::Configuration);
        if path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            let reason = "there is none: by which thumbprint this tentacle is known is not noted";
            let error = Error::new(Exit::Configuration, path.display(), reason);
            return Err(error.hint("octo-keys tentacle"));
        }
        let mut file = open_trusted(path).map_err(unsound)?;
        let bytes = read_bounded(&mut file, path, LARGEST).map_err(unsound)?;
        OwnThumbprints::parse(path, &bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<OwnThumbprints> {
        let mut found = Vec::new();
        for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let wrong = |reason| Problem::error(&[Problem::new(path, index + 1, line, reason)]);
            let text = std::str::from_utf8(line)
                .map_err(|_| wrong("the line is not UTF-8".to_string()))?;
            if text.starts_with('#') || text.trim_ascii().is_empty() {
                continue;
            }
            let thumbprint = Thumbprint::parse(text).map_err(wrong)?;
            if found.len() == 2 {
                return Err(wrong("a third thumbprint: one is current, one previous".into()));
            }
            found.push(thumbprint);
        }
        let Some(current) = found.first().copied() else {
            let error = Error::new(Exit::Configuration, path.display(), "no thumbprint is in it");
            return Err(error.hint("octo-keys tentacle"));
        };
        Ok(OwnThumbprints { current, previous: found.get(1).copied() })
    }

    /// Is it one of this tentacle's own?
    pub fn contains(&self, thumbprint: Thumbprint) -> bool {
        self.current == thumbprint || self.previous == Some(thumbprint)
    }

    /// The same once an identity of this thumbprint has become the tentacle's.
    #[must_use]
    pub fn followed_by(self, thumbprint: Thumbprint) -> OwnThumbprints {
        if thumbprint == self.current {
            return self;
        }
        OwnThumbprints { current: thumbprint, previous: Some(self.current) }
    }

    /// The file that says so.
    pub fn text(&self) -> String {
        let previous = self.previous.map(|previous| format!("{previous}\n")).unwrap_or_default();
        format!("{HEADING}{}\n{previous}", self.current)
    }

    /// Writes the file where there is none, durably; says whether it did.
    ///
    /// # Errors
    /// Exit 73 or 74, naming the path.
    pub fn create(&self, places: &Places) -> Result<bool> {
        publish::create(&places.tentacle(), self.text().as_bytes(), 0o644)
    }

    /// Writes the file, durably; only for one who holds the lock of edits.
    ///
    /// # Errors
    /// Exit 73 or 74, naming the path; an older file is then still in place.
    pub fn write(&self, places: &Places) -> Result<()> {
        let path = places.tentacle();
        // A rename would else replace the link.
        let path = if path.is_symlink() { check_trusted(&path)? } else { path };
        publish::replace(&path, self.text().as_bytes(), 0o644)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn print(seed: &str) -> Thumbprint {
        Thumbprint::of_certificate(seed.as_bytes())
    }

    #[test]
    fn what_is_written_reads_back_and_the_last_two_hold() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().into(), state: top.path().into() };
        let missing = OwnThumbprints::load(&places).expect_err("none");
        assert_eq!(
            (missing.exit, &missing.hints[0][..]),
            (Exit::Configuration, "octo-keys tentacle")
        );
        let mut own = OwnThumbprints { current: print("a"), previous: None };
        for (next, holding, gone) in [
            ("a", &["a"][..], "b"),
            ("b", &["a", "b"], "c"),
            ("b", &["a", "b"], "c"),
            ("c", &["b", "c"], "a"),
        ] {
            own = own.followed_by(print(next));
            own.write(&places).expect("written");
            assert!(!own.create(&places).expect("a file"), "there is one");
            let read = OwnThumbprints::load(&places).expect("sound");
            assert_eq!((read, read.current), (own, print(next)));
            assert!(holding.iter().all(|seed| read.contains(print(seed))), "{holding:?}");
            assert!(!read.contains(print(gone)), "{gone}");
        }
        let mode = places.tentacle().metadata().expect("stat").permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let (a, b) = (print("a"), print("b"));
        let read = |text: &str| OwnThumbprints::parse(Path::new("t"), text.as_bytes());
        let sound = read(&format!("# c\r\n\r\n \nSHA256:{a}\r\n# d\n{b}")).expect("sound");
        assert_eq!(sound, OwnThumbprints { current: a, previous: Some(b) });
        for (text, said) in [
            (String::new(), "t: no thumbprint is in it"),
            ("# nothing\n".into(), "t: no thumbprint is in it"),
            (format!("{a}\n{b}\n\n{a}\n"), "t:4: a third thumbprint"),
            (format!("{a} {b}\n"), "t:1: ' ' is not a hex digit"),
            (format!("#\n{}\n", &a.to_string()[..40]), "t:2: 40 hex digits are a SHA-1"),
        ] {
            let error = read(&text).expect_err(said);
            assert!(error.message.starts_with(said), "{error}");
            assert_eq!(error.exit, Exit::Configuration);
        }
        let error = OwnThumbprints::parse(Path::new("t"), b"\xff\n").expect_err("no text");
        assert_eq!(error.message, "t:1: the line is not UTF-8");
    }

    #[test]
    fn a_file_that_others_could_have_written_holds_nothing() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("tentacle");
        let refused = |said: &str| {
            let error = OwnThumbprints::read(&path).expect_err(said);
            assert_eq!(error.exit, Exit::Configuration);
            assert!(error.message.contains(said), "{error}");
        };
        std::fs::write(&path, format!("{}\n", print("a"))).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).expect("chmod");
        refused("writable by its group");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        std::fs::write(&path, vec![b'#'; LARGEST as usize + 1]).expect("write");
        refused("larger than");
        std::fs::remove_file(&path).expect("remove");
        std::os::unix::fs::symlink("nowhere", &path).expect("symlink");
        refused("nowhere: no such file");
    }
}
