//! The one reader of files of variables: of `run -E` and `-S`, and of octo-vars.
//!
//! A file holds one `NAME=VALUE` a line; blank lines and lines that begin with
//! `#` are passed over; a value is everything behind the first `=`, as it is:
//! no quotes, no escapes. A line may end in CR LF, and the file begin with a byte
//! order mark: some editors write them. A value of several lines is
//!
//! ```text
//! NAME<<END
//! its lines, as they are
//! END
//! ```
//!
//! with any word for END; the last line of the value ends without a newline. A file
//! with a NUL in it holds NUL-ended entries instead, as `env -0` prints them.
//!
//! A line or entry `#line NUMBER FILE` is where the next variable really stands: messages
//! about it name that place. Files that are made of others have it.

use super::secret_program;
use super::variables::{self, Place, Variable};
use crate::base::cli::standard_input;
use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::VariableName;
use crate::base::paths::read_bounded;
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// How a value of several lines is written, for hints.
const SEVERAL: &str = "a value of several lines: NAME<<END, its lines, and END on a line alone";

/// What becomes of a file of secrets that is a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    /// What it prints is read.
    Run,
    /// It is checked, and not run.
    Leave,
}

/// The variables of the file of this name, `-` for standard input; `None` of a program
/// that was left alone. A file of secrets that is executable is a program.
///
/// # Errors
/// As [`parse`]; 78 where others can read what is secret, or could have written the
/// program; 65 where it fails.
pub fn read(path: &str, secret: bool, programs: Programs) -> Result<Option<Vec<Variable>>> {
    const LARGEST: u64 = 4 << 20;
    if path == "-" {
        let place = Path::new("standard input");
        let bytes = read_bounded(&mut standard_input()?, place, LARGEST)?;
        return parse("standard input", &bytes).map(Some);
    }
    let mut opened = File::open(path).map_err(|e| Error::io(Path::new(path), &e))?;
    let metadata = opened.metadata().map_err(|e| Error::io(Path::new(path), &e))?;
    let shown = printable(path.as_bytes());
    if secret && metadata.is_file() && metadata.mode() & 0o111 != 0 {
        secret_program::check(path)?;
        if programs == Programs::Leave {
            return Ok(None);
        }
        let read = parse(&shown, &secret_program::output(path)?);
        return read.map(Some).map_err(|e| e.hint("the line is one that the program printed"));
    }
    if secret && metadata.is_file() && metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        let reason = format!("others can read these secrets (mode {mode:04o})");
        let error = Error::new(Exit::Configuration, &shown, reason);
        return Err(error.hint(format!("chmod 600 {shown}")));
    }
    parse(&shown, &read_bounded(&mut opened, Path::new(path), LARGEST)?).map(Some)
}

/// The variables of a file; `place` is its name in messages. A name that stands
/// twice is an error: which one would win is a guess.
///
/// # Errors
/// Exit 65 with `place:line: reason`. No message shows anything of a value, nor what
/// stands where a name should be: the file may hold secrets.
pub fn parse(place: &str, bytes: &[u8]) -> Result<Vec<Variable>> {
    let mut reader =
        Reader { said: place.into(), variables: Vec::new(), seen: HashSet::new(), origin: None };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.contains(&0) {
        reader.entries(bytes)?;
    } else {
        reader.lines(bytes)?;
    }
    Ok(reader.variables)
}

struct Reader {
    said: Arc<str>,
    variables: Vec<Variable>,
    seen: HashSet<VariableName>,
    /// Where the next variable really stands.
    origin: Option<Place>,
}

impl Reader {
    fn entries(&mut self, bytes: &[u8]) -> Result<()> {
        for (entry, number) in bytes.split(|b| *b == 0).zip(1..) {
            if entry.is_empty() || self.takes_comment(entry) {
                continue;
            }
            let (name, value) = variables::split(entry).map_err(|e| self.wrong(number, e))?;
            let name = self.name(number, name)?;
            self.keep(number, name, value.to_vec())?;
        }
        Ok(())
    }

    fn lines(&mut self, bytes: &[u8]) -> Result<()> {
        let mut lines = numbered(bytes);
        while let Some((line, number)) = lines.next() {
            let is_comment = self.takes_comment(line) || line.starts_with(b"#");
            if is_comment || line.trim_ascii().is_empty() {
                continue;
            }
            let wrong = |error: Error| error.hint(SEVERAL);
            if let Some((name, word)) = opening(line) {
                let name = self.name(number, name).map_err(wrong)?;
                if !is_word(word) {
                    let reason = "behind << stands a word of letters, digits and _ . - alone";
                    return Err(wrong(self.wrong(number, reason)));
                }
                let value = self.block(&mut lines, line, number, word)?;
                self.keep(number, name, value)?;
            } else {
                let split = variables::split(line);
                let (name, value) = split.map_err(|e| wrong(self.wrong(number, e)))?;
                let name = self.name(number, name).map_err(wrong)?;
                self.keep(number, name, value.to_vec())?;
            }
        }
        Ok(())
    }

    /// The lines up to the one that is `word`, which it takes as well.
    fn block<'a>(
        &self,
        lines: &mut impl Iterator<Item = (&'a [u8], usize)>,
        opened: &[u8],
        at: usize,
        word: &[u8],
    ) -> Result<Vec<u8>> {
        let (opened, end) = (printable(opened), printable(word));
        let mut value: Option<Vec<u8>> = None;
        let mut nearly = None;
        for (line, number) in lines {
            if line == word {
                return Ok(value.unwrap_or_default());
            }
            // Whose end was forgotten would have the next value in it.
            if opening(line).is_some_and(|(name, inner)| inner == word && is_name(name)) {
                let reason = format!("{opened}: another << {end} stands before its end");
                let error = self.wrong(at, reason);
                return Err(error.hint(format!("line {number}: {end} is missing before it")));
            }
            if line.trim_ascii() == word {
                nearly = nearly.or(Some(number));
            }
            match &mut value {
                None => value = Some(line.to_vec()),
                Some(value) => {
                    value.push(b'\n');
                    value.extend_from_slice(line);
                }
            }
        }
        let error = self.wrong(at, format!("{opened}: no line {end} ends it"));
        Err(match nearly {
            Some(number) => error.hint(format!("line {number}: {end} has blanks beside it")),
            None => error.hint(SEVERAL),
        })
    }

    fn takes_comment(&mut self, line: &[u8]) -> bool {
        let place = Place::of_comment(line);
        let is_one = place.is_some();
        self.origin = place.or(self.origin.take());
        is_one
    }

    fn name(&self, number: usize, name: &[u8]) -> Result<VariableName> {
        let parsed = std::str::from_utf8(name).ok().and_then(VariableName::parse);
        let reason = "no variable name ([A-Za-z_][A-Za-z0-9_]*) stands before the value";
        parsed.ok_or_else(|| self.wrong(number, reason))
    }

    fn keep(&mut self, number: usize, name: VariableName, value: Vec<u8>) -> Result<()> {
        if !self.seen.insert(name.clone()) {
            return Err(self.wrong(number, format!("variable {name} stands there twice")));
        }
        let place = self.origin.take().unwrap_or_else(|| self.place(number));
        self.variables.push(Variable { name, value, place });
        Ok(())
    }

    fn place(&self, line: usize) -> Place {
        Place::of_line(&self.said, line)
    }

    fn wrong(&self, number: usize, reason: impl std::fmt::Display) -> Error {
        Error::new(Exit::Data, self.place(number), reason)
    }
}

/// The lines without their ends, from 1.
fn numbered(bytes: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let lines = bytes.split(|b| *b == b'\n');
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).zip(1..)
}

/// What stands on both sides of `<<`, if no `=` comes before it.
fn opening(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.windows(2).position(|two| two == b"<<")?;
    (!line[..at].contains(&b'=')).then(|| (&line[..at], &line[at + 2..]))
}

/// The words that end a value: those of others' tools, and no part of another spelling
/// (`<<-END`, `<< END`, `<<'END'`).
fn is_word(word: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    word.first().is_some_and(|first| *first != b'-') && word.iter().all(plain)
}

fn is_name(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| VariableName::parse(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(variables: &[Variable]) -> Vec<String> {
        variables.iter().map(|v| format!("{}={}", v.name, printable(&v.value))).collect()
    }

    fn read_as(text: &str) -> Vec<String> {
        shown(&parse("f", text.as_bytes()).expect(text))
    }

    fn said(text: &str) -> (String, Vec<String>) {
        let error = parse("f", text.as_bytes()).expect_err(text);
        assert_eq!(error.exit, Exit::Data);
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        (error.message, error.hints)
    }

    #[test]
    fn lines_and_entries() {
        assert_eq!(
            read_as("# x\r\n\r\nA=1\nB= \"two\" = 2 \nC=\r\n\n"),
            ["A=1", "B= \"two\" = 2 ", "C="]
        );
        assert_eq!(read_as("\u{feff}A=1\r\nB=2\r\n"), ["A=1", "B=2"]);
        assert!(said("A=1\n2\0# B=\0").0.starts_with("f:2: no variable name "));
        assert_eq!(read_as("A=1\n2\0B=() {\r\0"), ["A=1\\n2", "B=() {\\r"]);
        assert_eq!(read_as("KEY=one\0B=2\0"), ["KEY=one", "B=2"]);
        // Between NULs lines mean nothing.
        assert!(said("A<<END\nx\nEND\0").0.contains("not of the form NAME=VALUE"));
        assert_eq!(read_as(""), [""; 0]);
    }

    #[test]
    fn a_value_of_several_lines_is_taken_as_it_is() {
        for (text, values) in [
            ("A<<END\none\n  two =\nEND\nB=2\n", &["A=one\\n  two =", "B=2"][..]),
            ("A<<END\r\none\r\ntwo\r\nEND\r\nB=2\r\n", &["A=one\\ntwo", "B=2"]),
            // Only the word alone is the end, and the file may end with it.
            ("A<<E\nEND\n E\nE \nE", &["A=END\\n E\\nE "]),
            ("A<<END\nEND\nB=", &["A=", "B="]),
            ("A<<END\n\nEND", &["A="]),
            ("A<<END\nx\n\nEND", &["A=x\\n"]),
            ("A<<END\n\n\nx\nEND", &["A=\\n\\nx"]),
            // What else means something means nothing in it.
            (
                "A<<END\n#line 3 x\n# x\nB=2\nC<<OTHER\nEND\n",
                &["A=#line 3 x\\n# x\\nB=2\\nC<<OTHER"],
            ),
            ("A<<ghadelimiter_1-2.b\nx\nghadelimiter_1-2.b", &["A=x"]),
            // A value in which << stands is one as ever.
            ("A=<<END\nB=x<<y\n", &["A=<<END", "B=x<<y"]),
        ] {
            assert_eq!(read_as(text), values, "{text:?}");
        }
        let all = parse("f", b"#line 7 g\nA<<END\nx\nEND\nB<<END\nEND\n").expect("sound");
        let places: Vec<String> = all.iter().map(|v| v.place.to_string()).collect();
        assert_eq!(places, ["g:7", "f:5"]);
    }

    #[test]
    fn what_is_wrong_with_such_a_value_is_told_with_its_line() {
        let missing = "f:2: B<<END: no line END ends it";
        for (text, message, hint) in [
            ("A=1\nB<<END\nhunter2\n", missing, "a value of several lines: NAME<<END"),
            ("A=1\nB<<END\nhunter2\n\tEND\n", missing, "line 4: END has blanks beside it"),
            (
                "B<<END\nhunter2\nC<<END\nx\nEND\n",
                "f:1: B<<END: another << END stands before its end",
                "line 3: END is missing before it",
            ),
            ("B<<'END'\nhunter2\nEND\n", "f:1: behind << stands a word of letters", "NAME<<END"),
            ("B<<-END\nhunter2\nEND\n", "f:1: behind << stands a word", "NAME<<END"),
            ("B<< END\nhunter2\nEND\n", "f:1: behind << stands a word", "NAME<<END"),
            ("B<<\nhunter2\n\n", "f:1: behind << stands a word", "NAME<<END"),
            ("B<<hunter2=\n", "f:1: behind << stands a word", "NAME<<END"),
            // A PEM without all that, or in quotes.
            ("B=-----BEGIN X-----\nhunter2\n", "f:2: not of the form NAME=VALUE", "NAME<<END"),
            ("B=\"-----BEGIN X-----\nhunter2\n", "f:2: not of the form NAME=VALUE", "NAME<<END"),
        ] {
            let (told, hints) = said(text);
            assert!(told.starts_with(message), "{text:?}: {told}");
            assert!(hints.iter().any(|h| h.contains(hint)), "{text:?}: {hints:?}");
        }
        assert!(said("B <<END\nhunter2\nEND").0.starts_with("f:1: no variable name "));
        assert_eq!(said("A=1\nA<<END\nEND\n").0, "f:2: variable A stands there twice");
    }

    /// As many as a file may hold; what is quadratic takes minutes.
    #[test]
    fn many_short_variables_cost_little() {
        let text: String = (0..140_000).map(|n| format!("A{n:x}=\n")).collect();
        let variables = parse("f", text.as_bytes()).expect("variables");
        assert_eq!(variables.len(), 140_000);
        assert_eq!(variables::merge(&variables, &variables).len(), 140_000);
        assert_eq!(said(&(text + "A5=\n")).0, "f:140001: variable A5 stands there twice");
        let open = "A<<END\n".to_string() + &"END \n".repeat(800_000);
        assert!(said(&open).1[0].starts_with("line 2: "));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        for (text, told) in [
            ("A=1\nhunter2", "f:2: not of the form NAME=VALUE"),
            ("A=1\nA=hunter2", "f:2: variable A stands there twice"),
            ("\u{fc}=hunter2", "f:1: no variable name "),
            // The last line of a key may hold a `=`.
            ("A=1\nhunter2/==", "f:2: no variable name "),
        ] {
            let (message, _) = said(text);
            assert!(message.starts_with(told), "{message}");
        }
    }

    #[test]
    fn the_place_of_a_variable_may_be_another_file() {
        for end in ["\n", "\0"] {
            let text = ["#line 3 a b/common", "A=1", "#line 0 x", "B=2", "C=3", ""].join(end);
            let read = parse("f", text.as_bytes()).expect("sound");
            let places: Vec<String> = read.iter().map(|v| v.place.to_string()).collect();
            assert_eq!(places, ["a b/common:3", "x", "f:5"], "{text:?}");
            assert_eq!(read[0].place.as_comment(), "#line 3 a b/common");
        }
        // What only looks like it is a comment, as before.
        for comment in ["#line", "#line 3", "#line up x", "#lines 3 x", "#line -1 x"] {
            let read = parse("f", format!("{comment}\nA=1\n").as_bytes()).expect(comment);
            assert_eq!(read[0].place.to_string(), "f:2", "{comment}");
        }
    }
}
