//! `--each`: a target's own words, from a file in which NUL ends each of them. Nothing
//! splits or unquotes them, so that a word may hold anything that an argument can.

use super::MAXIMUM_VALUE;
use crate::base::argv;
use crate::base::cli::standard_input;
use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::read_bounded;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

/// No spec is larger.
const LARGEST: u64 = super::MAXIMUM;

/// The words by their files' names.
#[derive(Debug, Default)]
pub(super) struct OwnWords(HashMap<String, Vec<Vec<u8>>>);

impl OwnWords {
    /// Reads these files, each once, `-` being standard input.
    ///
    /// # Errors
    /// Exit 65 with the file's name, and with the number of a word that is too long.
    pub(super) fn read<'a>(names: impl Iterator<Item = Cow<'a, str>>) -> Result<OwnWords> {
        let mut own = OwnWords::default();
        for name in names {
            if !own.0.contains_key(&*name) {
                own.0.insert(name.to_string(), read(&name)?);
            }
        }
        Ok(own)
    }

    /// Those of a file.
    ///
    /// # Errors
    /// Exit 65 for a file that was not read.
    pub(super) fn of(&self, name: &str) -> Result<&[Vec<u8>]> {
        let own = self.0.get(name).map(Vec::as_slice);
        own.ok_or_else(|| Error::new(Exit::Data, name, "was not read"))
    }
}

fn read(path: &str) -> Result<Vec<Vec<u8>>> {
    if path == "-" {
        let place = "standard input";
        let bytes = read_bounded(&mut standard_input()?, Path::new(place), LARGEST)?;
        return words(place, &bytes);
    }
    let place = Path::new(path);
    let mut opened = File::open(place).map_err(|error| Error::io(place, &error))?;
    let bytes = read_bounded(&mut opened, place, LARGEST)?;
    words(&printable(path.as_bytes()), &bytes).map_err(|error| match bytes.last() {
        Some(0) | None => error,
        _ => error.hint(format!("printf '%s\\0' WORD... >{}", argv::quote(path))),
    })
}

fn words(place: &str, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let Some(last) = bytes.last() else { return Ok(Vec::new()) };
    // A file that was cut would give a word that nobody said.
    if *last != 0 {
        return Err(Error::new(Exit::Data, place, "its last word is not ended by NUL"));
    }
    let ended = bytes[..bytes.len() - 1].split(|byte| *byte == 0);
    let words: Vec<Vec<u8>> = ended.map(<[u8]>::to_vec).collect();
    match words.iter().position(|word| word.len() > MAXIMUM_VALUE) {
        Some(index) => {
            let (number, length) = (index + 1, words[index].len());
            let reason = format!("word {number}: is {length} bytes, {MAXIMUM_VALUE} at most");
            Err(Error::new(Exit::Data, place, reason))
        }
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_ended_by_nul_and_taken_as_they_are() {
        let read = |bytes: &[u8]| words("each", bytes).map_err(|error| error.message);
        assert_eq!(read(b""), Ok(vec![]));
        assert_eq!(read(b"\0"), Ok(vec![b"".to_vec()]));
        let expected =
            vec![b"--over".to_vec(), b"1.0#3".to_vec(), b"".to_vec(), b"\xff a\n".to_vec()];
        assert_eq!(read(b"--over\x001.0#3\x00\0\xff a\n\0"), Ok(expected));
        assert_eq!(read(b"a\0b"), Err("each: its last word is not ended by NUL".into()));
        assert_eq!(read(b"a\n"), Err("each: its last word is not ended by NUL".into()));
        let long = [b"a\0".to_vec(), vec![b'x'; MAXIMUM_VALUE], vec![0]].concat();
        assert_eq!(read(&long).map(|words| words.len()), Ok(2));
        let long = [b"a\0".to_vec(), vec![b'x'; MAXIMUM_VALUE + 1], vec![0]].concat();
        assert_eq!(read(&long), Err("each: word 2: is 131072 bytes, 131071 at most".into()));
    }

    /// The hint is pasted.
    #[test]
    fn the_hint_names_a_file_as_a_shell_takes_it() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("a b");
        std::fs::write(&path, "x\n").expect("write");
        let error = read(path.to_str().expect("text")).expect_err("not ended");
        assert!(error.hints[0].ends_with("/a b'"), "{error:?}");
    }
}
