//! The values that a job hands back: lines of NAME=VALUE. People feed them on to other
//! programs, so both sides hold them to one form, an octopus also those of a tentacle
//! that was taken over.

use crate::base::names::VariableName;
use crate::tentacle::job::MAXIMUM_OUTPUTS;
use crate::trust::environment;
use std::collections::HashSet;

/// So many values a job may hand back.
pub const MOST: usize = 10_000;

/// So many lines of another form are named.
const NAMED: usize = 20;

/// What is wrong with some of them; empty where nothing is.
#[derive(Debug, Default)]
pub struct Faults {
    /// Lines that are not NAME=VALUE, by their numbers.
    lines: Vec<usize>,
    forbidden: Vec<VariableName>,
    hidden: Vec<VariableName>,
    twice: Vec<VariableName>,
    /// There are more than [`MOST`].
    many: bool,
}

/// The sound ones of these lines, each with its line feed, of a name that stands there twice
/// the last; and what is wrong with the others. None are sound where there are too many.
pub fn sound(bytes: &[u8]) -> (Vec<u8>, Faults) {
    let mut faults = Faults::default();
    let mut kept = Vec::new();
    let mut seen = HashSet::new();
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    for (index, line) in lines.into_iter().enumerate().rev() {
        let mut halves = line.splitn(2, |byte| *byte == b'=');
        let name = halves.next().and_then(|name| std::str::from_utf8(name).ok());
        match (name.and_then(VariableName::parse), halves.next()) {
            (Some(name), _) if seen.contains(&name) => faults.twice.push(name),
            (Some(name), Some(_)) if environment::forbidden(&name).is_some() => {
                faults.forbidden.push(name);
            }
            (Some(name), Some(value)) if drives(value) => faults.hidden.push(name),
            (Some(name), Some(_)) => {
                seen.insert(name);
                kept.push(line);
            }
            _ if line.trim_ascii().is_empty() => {}
            _ => faults.lines.push(index + 1),
        }
    }
    for names in [&mut faults.forbidden, &mut faults.hidden, &mut faults.twice] {
        names.sort_unstable();
        names.dedup();
    }
    faults.lines.reverse();
    faults.many = seen.len() > MOST;
    let kept = if faults.many { &[] } else { kept.as_slice() };
    (kept.iter().rev().flat_map(|line| [*line, b"\n"]).flatten().copied().collect(), faults)
}

/// Are these lines as octo-exec publishes them?
///
/// # Errors
/// What is wrong with them.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() as u64 > MAXIMUM_OUTPUTS {
        return Err(format!("larger than {MAXIMUM_OUTPUTS} bytes"));
    }
    let (kept, faults) = sound(bytes);
    match faults.told() {
        Some(wrong) => Err(wrong),
        None if kept != bytes => Err("an empty line, or a last one without its end".into()),
        None => Ok(()),
    }
}

impl Faults {
    /// All but names that stand there twice: a script may set one again.
    pub fn but_repeated(self) -> Faults {
        Faults { twice: Vec::new(), ..self }
    }

    /// In words, bounded.
    pub fn told(mut self) -> Option<String> {
        let mut told = Vec::new();
        self.lines.truncate(NAMED);
        let lines: Vec<String> = self.lines.iter().map(usize::to_string).collect();
        if !lines.is_empty() {
            told.push(format!("not NAME=VALUE in line {}", lines.join(", ")));
        }
        if !self.forbidden.is_empty() {
            told.push(environment::refusal(&self.forbidden));
        }
        let named = environment::listed;
        if !self.hidden.is_empty() {
            told.push(format!("a control character in {}", named(&self.hidden)));
        }
        if !self.twice.is_empty() {
            told.push(format!("twice there: {}", named(&self.twice)));
        }
        if self.many {
            told.push(format!("more than {MOST}: all are dropped"));
        }
        (!told.is_empty()).then(|| told.join("; "))
    }
}

/// Could it drive a terminal, or end a line there? Bytes that are no text can't be told
/// from a terminal's own codes of one byte.
fn drives(value: &[u8]) -> bool {
    match std::str::from_utf8(value) {
        Ok(text) => text.chars().any(char::is_control),
        Err(_) => value.iter().any(u8::is_ascii_control),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_the_form_is_kept_and_all_else_named() {
        let given = b"A=1\n\n 2\nB=x\nC\n=x\n\xff=y\nD= a=b\nA=2\nE=\xff\nF=";
        let (kept, faults) = sound(given);
        assert_eq!(kept, b"B=x\nD= a=b\nA=2\nE=\xff\nF=\n");
        let told = faults.told().expect("faults");
        assert_eq!(told, "not NAME=VALUE in line 3, 5, 6, 7; twice there: A");
        let (kept, faults) = sound(&b"x\n".repeat(500_000));
        assert_eq!((kept.len(), faults.told().map(|told| told.len() < 200)), (0, Some(true)));
    }

    #[test]
    fn what_is_not_published_is_not_taken_either() {
        let many: String = (0..=MOST).map(|number| format!("N{number}=\n")).collect();
        for (given, told) in [
            ("PATH=/tmp\n", "variable PATH is refused: "),
            ("ld_preload=x\nBASH_ENV=y\n", "variables BASH_ENV, ld_preload are refused: "),
            ("A=\u{1b}[2J\n", "a control character in A"),
            ("A=1\r\n", "a control character in A"),
            ("A=\u{9b}2J\n", "a control character in A"),
            ("A=1\nA=2\n", "twice there: A"),
            ("A=$(x)\nrm -r x\n", "not NAME=VALUE in line 2"),
            ("A B=1\n", "not NAME=VALUE in line 1"),
            ("A=1", "without its end"),
            ("A=1\n\n", "an empty line"),
            (&many, "more than 10000"),
            (&format!("A={}\n", "x".repeat(2 << 20)), "larger than 2097152 bytes"),
        ] {
            let said = check(given.as_bytes()).expect_err(told);
            assert!(said.contains(told), "{said}");
        }
        for sound in ["", "A=1\n", "A=\n_b=x=y z\n", "URL=http://x/ä\n"] {
            assert_eq!(check(sound.as_bytes()), Ok(()), "{sound}");
        }
        assert_eq!(check(b"A=\xff\n"), Ok(()));
    }
}
