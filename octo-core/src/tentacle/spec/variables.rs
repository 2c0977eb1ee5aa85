//! Variables as people give them: `NAME=VALUE` on a command line, and files of
//! them for what is long, secret or made by a program.
//!
//! A file holds one `NAME=VALUE` a line; blank lines and lines that begin with
//! `#` are passed over; a value is everything behind the first `=`, as it is:
//! no quotes, no escapes. A line may end in CR LF. A file with a NUL in it holds
//! NUL-ended entries instead, as `env -0` prints them, so that values may hold
//! newlines.
//!
//! A line or entry `#line NUMBER FILE` is where the next variable really stands: messages
//! about it name that place. Files that are made of others have it.

use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::VariableName;
use crate::base::paths::read_bounded;
use crate::base::units::whole;
use crate::trust::environment;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// So many places are named in hints.
const TOLD: usize = 20;

/// Where somebody said a variable: an option, or a file and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    said: Arc<str>,
    /// From 1; 0 for an option.
    line: usize,
}

/// A variable as somebody said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name; whether a pusher may set it is not looked at.
    pub name: VariableName,
    /// Its value.
    pub value: Vec<u8>,
    /// Where.
    pub place: Place,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}", self.said),
            line => write!(out, "{}:{line}", self.said),
        }
    }
}

impl Place {
    /// The comment that names the place of the next variable, for a file that is made of
    /// others; it holds no newline but where the place's name does.
    pub fn as_comment(&self) -> String {
        format!("#line {} {}", self.line, self.said)
    }

    fn of_comment(line: &[u8]) -> Option<Place> {
        let text = std::str::from_utf8(line.strip_prefix(b"#line ")?).ok()?;
        let (number, said) = text.split_once(' ').filter(|(_, said)| !said.is_empty())?;
        let line = usize::try_from(whole(number)?).ok()?;
        Some(Place { said: printable(said.as_bytes()).into(), line })
    }
}

/// The variable of one `NAME=VALUE` behind `-e`.
///
/// # Errors
/// Exit 64 if it has not this form, 65 if that is no name.
pub(crate) fn assignment(text: &[u8]) -> Result<Variable> {
    let (name, value) = split(text).map_err(Error::usage)?;
    let (name, value) = (check(name)?, value.to_vec());
    Ok(Variable { name, value, place: Place { said: "-e".into(), line: 0 } })
}

/// The variables of a file; `place` is its name in messages. A name that stands
/// twice is an error: which one would win is a guess.
///
/// # Errors
/// Exit 65 with `place:line: reason`. No message shows a value: the file may hold secrets.
pub fn file(place: &str, bytes: &[u8]) -> Result<Vec<Variable>> {
    let entries = bytes.contains(&0);
    let said: Arc<str> = place.into();
    let mut variables: Vec<Variable> = Vec::new();
    let mut seen = HashSet::new();
    let mut origin = None;
    for (index, line) in bytes.split(|b| *b == if entries { 0 } else { b'\n' }).enumerate() {
        let line = if entries { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        if let Some(place) = Place::of_comment(line) {
            origin = Some(place);
            continue;
        }
        let blank = if entries { line.is_empty() } else { line.trim_ascii().is_empty() };
        if blank || (!entries && line.starts_with(b"#")) {
            continue;
        }
        let here = Place { said: Arc::clone(&said), line: index + 1 };
        let wrong = |exit, reason| Error::new(exit, &here, reason);
        let (name, value) = split(line).map_err(|reason| wrong(Exit::Data, reason))?;
        let name = check(name).map_err(|error| wrong(error.exit, error.message))?;
        if !seen.insert(name.clone()) {
            return Err(wrong(Exit::Data, format!("variable {name} stands there twice")));
        }
        variables.push(Variable {
            name,
            value: value.to_vec(),
            place: origin.take().unwrap_or(here),
        });
    }
    Ok(variables)
}

/// No pusher may set any of the forbidden names: all of these are told at once.
///
/// # Errors
/// Exit 77, with each place and without a value.
pub fn refuse_forbidden<'a>(variables: impl IntoIterator<Item = &'a Variable>) -> Result<()> {
    let refused: Vec<(&Variable, &str)> = variables
        .into_iter()
        .filter_map(|said| environment::forbidden(&said.name).map(|why| (said, why)))
        .collect();
    let error = match &refused[..] {
        [] => return Ok(()),
        [(said, _)] => {
            let reason = environment::refusal(std::slice::from_ref(&said.name));
            Error::new(Exit::Refused, &said.place, reason)
        }
        all => {
            let mut names: Vec<VariableName> = Vec::new();
            let mut seen = HashSet::new();
            names
                .extend(all.iter().map(|(s, _)| s.name.clone()).filter(|n| seen.insert(n.clone())));
            let error = Error::new(Exit::Refused, "job", environment::refusal(&names));
            let told =
                all.iter().map(|(said, why)| format!("{}: {}: {why}", said.place, said.name));
            with_hints(error, told)
        }
    };
    Err(error.hint("where it has to be, the target's sysadmin gives it: set= in octo-trust(5)"))
}

/// The error with these as hints, as many as a person reads.
pub(crate) fn with_hints(error: Error, hints: impl ExactSizeIterator<Item = String>) -> Error {
    let more = hints.len().saturating_sub(TOLD);
    let error = hints.take(TOLD).fold(error, Error::hint);
    if more == 0 { error } else { error.hint(format!("and {more} more")) }
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
pub(crate) fn merge(first: &[Variable], second: &[Variable]) -> Vec<(VariableName, Vec<u8>)> {
    let mut places: HashMap<&VariableName, usize> = HashMap::new();
    let mut merged: Vec<(VariableName, Vec<u8>)> = Vec::new();
    for Variable { name, value, .. } in first.iter().chain(second) {
        match places.get(name) {
            Some(place) => merged[*place].1 = value.clone(),
            None => {
                places.insert(name, merged.len());
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
    let parsed = std::str::from_utf8(name).ok().and_then(VariableName::parse);
    parsed.ok_or_else(|| {
        let shown = printable(name);
        let message = format!("'{shown}' is not a variable name ([A-Za-z_][A-Za-z0-9_]*)");
        Error { exit: Exit::Data, message, hints: Vec::new() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(variables: &[Variable]) -> Vec<String> {
        variables.iter().map(|v| format!("{}={}", v.name, printable(&v.value))).collect()
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
            (b"A=1\nA=hunter2", Exit::Data, "f:2: variable A stands there twice"),
            (b"\xff=hunter2", Exit::Data, "is not a variable name"),
        ] {
            let error = file("f", bytes).expect_err(said);
            assert!(error.message.contains(said) && !error.message.contains("hunter2"), "{error}");
            assert_eq!(error.exit, exit);
        }
        assert_eq!(assignment(b"PATH").expect_err("no value").exit, Exit::Usage);
    }
    #[test]
    fn all_that_are_forbidden_are_told_with_their_places() {
        let all = |text: &str| refuse_forbidden(&file("f", text.as_bytes()).expect("sound"));
        all("NODE_ENV=x\nGIT_COMMIT=y\n").expect("harmless");
        let one = all("A=1\nLD_PRELOAD=hunter2\n").expect_err("one");
        assert_eq!(
            one.message,
            "f:2: variable LD_PRELOAD is refused: the loader takes code from it"
        );
        let two = all("PATH=hunter2\nA=1\n#line 7 vars/common\nnode_options=hunter2\nIFS=\n");
        let two = two.expect_err("three");
        assert_eq!(two.exit, Exit::Refused);
        assert!(two.message.starts_with("job: variables PATH, node_options, IFS are refused: "));
        let places: Vec<&str> = two.hints.iter().filter_map(|h| h.split(": ").next()).collect();
        assert_eq!(places[..3], ["f:1", "vars/common:7", "f:5"]);
        assert!(!format!("{two:?}").contains("hunter2"));
        let many: String = (0..30).map(|n| format!("LD_{n}=\n")).collect();
        let many = all(&many).expect_err("many");
        assert_eq!((many.hints.len(), many.hints[20].as_str()), (22, "and 10 more"));
    }

    #[test]
    fn the_place_of_a_variable_may_be_another_file() {
        let said =
            [Place { said: "a b/common".into(), line: 3 }, Place { said: "x".into(), line: 0 }];
        for end in ["\n", "\0"] {
            let text = format!(
                "{}{end}A=1{end}{}{end}B=2{end}C=3{end}",
                said[0].as_comment(),
                said[1].as_comment()
            );
            let read = file("f", text.as_bytes()).expect("sound");
            let places: Vec<String> = read.iter().map(|v| v.place.to_string()).collect();
            assert_eq!(places, ["a b/common:3", "x", "f:5"], "{text:?}");
        }
        // What only looks like it is a comment, as before.
        for comment in ["#line", "#line 3", "#line up x", "#lines 3 x", "#line -1 x"] {
            let read = file("f", format!("{comment}\nA=1\n").as_bytes()).expect(comment);
            assert_eq!(read[0].place.to_string(), "f:2", "{comment}");
        }
    }
}
