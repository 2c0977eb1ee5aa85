//! Variables as people give them: by `-e NAME=VALUE`, or in files, which
//! variable_file.rs reads; where each was said, and which no pusher may set.

use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::VariableName;
use crate::base::units::whole;
use crate::trust::environment;
use std::collections::{HashMap, HashSet};
use std::fmt;
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

    /// A line of a file, from 1; of a file of entries, which of them.
    pub(super) fn of_line(file: &Arc<str>, line: usize) -> Place {
        Place { said: Arc::clone(file), line }
    }

    pub(super) fn of_comment(line: &[u8]) -> Option<Place> {
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

/// The name, not looked at, and the value of `NAME=VALUE`.
///
/// # Errors
/// Why it is not that.
pub(super) fn split(text: &[u8]) -> std::result::Result<(&[u8], &[u8]), String> {
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
    use super::super::variable_file::parse;
    use super::*;

    #[test]
    fn an_option_is_said_in_full() {
        assert_eq!(assignment(b"A=b=c").expect("sound").value, b"b=c");
        assert_eq!(assignment(b"PATH").expect_err("no value").exit, Exit::Usage);
        assert_eq!(assignment(b"A B=c").expect_err("no name").exit, Exit::Data);
    }

    #[test]
    fn all_that_are_forbidden_are_told_with_their_places() {
        let all = |text: &str| refuse_forbidden(&parse("f", text.as_bytes()).expect("sound"));
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
}
