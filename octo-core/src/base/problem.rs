//! What is wrong with a line of a configuration file, said so that it can be
//! mended: `path:line: reason`, and the line itself.

use crate::base::encoding::printable;
use crate::base::error::{Error, Exit};
use std::fmt;
use std::path::{Path, PathBuf};

/// The part of a wrong line that a message shows, in bytes.
const SHOWN: usize = 200;

/// What is wrong with one line; prints as `path:line: reason`, then the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
    /// The line itself, escaped, cut where it is very long.
    pub text: String,
}

impl Problem {
    /// A problem of this line, given as the bytes of the file.
    pub fn new(path: &Path, line: usize, text: &[u8], reason: impl Into<String>) -> Problem {
        let text = text.trim_ascii_end();
        let mut shown = printable(&text[..text.len().min(SHOWN)]);
        if text.len() > SHOWN {
            shown.push('…');
        }
        Problem { path: path.to_path_buf(), line, reason: reason.into(), text: shown }
    }

    /// Its first line: `path:line: reason`.
    pub fn heading(&self) -> String {
        format!("{}:{}: {}", self.path.display(), self.line, self.reason)
    }

    /// The error of a file with these problems: the first is the message, its
    /// line a hint; how many more there are, another.
    pub fn error(problems: &[Problem]) -> Error {
        let Some(first) = problems.first() else {
            return Error::new(Exit::Configuration, "configuration", "unsound");
        };
        let error = Error {
            exit: Exit::Configuration,
            message: first.heading(),
            hints: vec![format!("line {}: {}", first.line, first.text)],
        };
        match problems.len() {
            1 => error,
            count => {
                error.hint(format!("{} more: octo-keys check {}", count - 1, first.path.display()))
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}\n  {}", self.heading(), self.text)
    }
}
