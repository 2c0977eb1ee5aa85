//! Variables as people give them: `NAME=VALUE` on a command line, and files of
//! them for what is long, secret or made by a program.
//!
//! A file holds one `NAME=VALUE` a line; blank lines and lines that begin with
//! `#` are passed over; a value is everything behind the first `=`, as it is:
//! no quotes, no escapes. A line may end in CR LF. A file with a NUL in it holds
//! NUL-ended entries instead, as `env -0` prints them, so that values may hold
//! newlines.

use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::VariableName;
use crate::base::paths::read_bounded;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A name and its value.
pub type Variable = (VariableName, Vec<u8>);

/// The variable of one `NAME=VALUE`.
///
/// # Errors
/// Exit 64 if it has not this form, 65 if that is no name, 77 if it steers an
/// interpreter.
pub(crate) fn assignment(text: &[u8]) -> Result<Variable> {
    let (name, value) = split(text).map_err(Error::usage)?;
    let name = check(name)?;
    Ok((name, value.to_vec()))
}

/// The variables of a file; `place` is its name in messages. A name that stands
/// twice is an error: which one would win is a guess.
///
/// # Errors
/// Exit 65 or 77 with `place:line: reason`. No message shows a value: the file
/// may hold secrets.
pub fn file(place: &str, bytes: &[u8]) -> Result<Vec<Variable>> {
    let entries = bytes.contains(&0);
    let mut variables: Vec<Variable> = Vec::new();
    let mut seen = HashSet::new();
    for (index, line) in bytes.split(|b| *b == if entries { 0 } else { b'\n' }).enumerate() {
        let blank = if entries { line.is_empty() } else { line.trim_ascii().is_empty() };
        if blank || (!entries && line.starts_with(b"#")) {
            continue;
        }
        let line = if entries { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        let wrong = |exit, reason| Error::new(exit, format!("{place}:{}", index + 1), reason);
        let (name, value) = split(line).map_err(|reason| wrong(Exit::Data, reason))?;
        let name = check(name).map_err(|error| wrong(error.exit, error.message))?;
        if !seen.insert(name.clone()) {
            return Err(wrong(Exit::Data, format!("variable {name} stands there twice")));
        }
        variables.push((name, value.to_vec()));
    }
    Ok(variables)
}

/// The variables of the file of this name, `-` for standard input.
///
/// # Errors
/// As [`file()`]; 78 where others can read what is secret.
pub fn read(path: &str, secret: bool) -> Result<Vec<Variable>> {
    const LARGEST: u64 = 4 << 20;
    if path == "-" {
        let place = Path::new("standard input");
        let bytes = read_bounded(&mut std::io::stdin().lock(), place, LARGEST)?;
        return file("standard input", &bytes);
    }
    let mut opened = File::open(path).map_err(|e| Error::io(Path::new(path), &e))?;
    let metadata = opened.metadata().map_err(|e| Error::io(Path::new(path), &e))?;
    let shown = printable(path.as_bytes());
    if secret && metadata.is_file() && metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        let reason = format!("others can read these secrets (mode {mode:04o})");
        let error = Error::new(Exit::Configuration, &shown, reason);
        return Err(error.hint(format!("chmod 600 {shown}")));
    }
    file(&shown, &read_bounded(&mut opened, Path::new(path), LARGEST)?)
}

/// Both, each name once: later ones win, in the place of the first.
pub(crate) fn merge(first: &[Variable], second: &[Variable]) -> Vec<Variable> {
    let mut places: HashMap<VariableName, usize> = HashMap::new();
    let mut merged: Vec<Variable> = Vec::new();
    for (name, value) in first.iter().chain(second) {
        match places.get(name) {
            Some(place) => merged[*place].1 = value.clone(),
            None => {
                places.insert(name.clone(), merged.len());
                merged.push((name.clone(), value.clone()));
            }
        }
    }
    merged
}

fn split(text: &[u8]) -> std::result::Result<(&[u8], &[u8]), String> {
    let equals = text.iter().position(|b| *b == b'=').ok_or("not of the form NAME=VALUE")?;
    let (name, value) = (&text[..equals], &text[equals + 1..]);
    if value.contains(&0) {
        return Err("a value can't hold a NUL".into());
    }
    Ok((name, value))
}

fn check(name: &[u8]) -> Result<VariableName> {
    let text = std::str::from_utf8(name)
        .map_err(|_| not_a_name(format!("'{}' is not a variable name", printable(name))))?;
    VariableName::for_pusher(text).map_err(|reason| {
        let steers = VariableName::parse(text).is_some();
        if steers { not_a_name(reason).exit(Exit::Refused) } else { not_a_name(reason) }
    })
}

fn not_a_name(message: String) -> Error {
    Error { exit: Exit::Data, message, hints: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(variables: &[Variable]) -> Vec<String> {
        variables.iter().map(|(n, v)| format!("{n}={}", printable(v))).collect()
    }

    #[test]
    fn lines_and_entries() {
        let lines = file("f", b"# x\r\n\r\nA=1\nB= \"two\" = 2 \nC=\r\n\n").expect("lines");
        assert_eq!(shown(&lines), ["A=1", "B= \"two\" = 2 ", "C="]);
        let entries = file("f", b"A=1\n2\0# B=\0").map_err(|e| e.message);
        assert_eq!(
            entries.expect_err("a name"),
            "f:2: '# B' is not a variable name ([A-Za-z_][A-Za-z0-9_]*)"
        );
        assert_eq!(
            shown(&file("f", b"A=1\n2\0B=() {\r\0").expect("entries")),
            ["A=1\\n2", "B=() {\\r"]
        );
        assert_eq!(shown(&file("f", b"").expect("none")), [""; 0]);
    }

    /// As many as a file may hold; what is quadratic takes minutes.
    #[test]
    fn many_short_variables_cost_little() {
        let text: String = (0..140_000).map(|n| format!("A{n:x}=\n")).collect();
        let variables = file("f", text.as_bytes()).expect("variables");
        assert_eq!(variables.len(), 140_000);
        assert_eq!(merge(&variables, &variables).len(), 140_000);
        let twice = text + "A5=\n";
        let error = file("f", twice.as_bytes()).expect_err("twice");
        assert_eq!(error.message, "f:140001: variable A5 stands there twice");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        for (bytes, exit, said) in [
            (&b"A=1\nhunter2"[..], Exit::Data, "f:2: not of the form NAME=VALUE"),
            (b"LD_PRELOAD=hunter2", Exit::Refused, "f:1: variable LD_PRELOAD is refused"),
            (b"A=1\nA=hunter2", Exit::Data, "f:2: variable A stands there twice"),
            (b"\xff=hunter2", Exit::Data, "is not a variable name"),
        ] {
            let error = file("f", bytes).expect_err(said);
            assert!(error.message.contains(said) && !error.message.contains("hunter2"), "{error}");
            assert_eq!(error.exit, exit);
        }
        assert_eq!(assignment(b"PATH=/x").expect_err("steers").exit, Exit::Refused);
        assert_eq!(assignment(b"PATH").expect_err("no value").exit, Exit::Usage);
    }
}
