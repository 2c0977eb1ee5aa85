//! What is wrong with a line of a configuration file, said so that it can be
//! mended: `path:line: reason`, and the line itself.

use crate::base::encoding::printable;
use crate::base::error::{Error, Exit};
use std::path::{Path, PathBuf};

/// The part of a wrong line that a message shows, in bytes.
const SHOWN: usize = 200;
/// More problems of one file than this are not collected: it is another kind of file,
/// and each would cost far more memory than its line.
pub(crate) const ENOUGH: usize = 100;

/// What is wrong with one line: `path:line: reason`, then the line.
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
    /// line a hint; how many more there are, as far as they were collected, another.
    pub fn error(problems: &[Problem]) -> Error {
        let Some(first) = problems.first() else {
            return Error::new(Exit::Configuration, "configuration", "unsound");
        };
        let error = Error {
            exit: Exit::Configuration,
            message: first.heading(),
            hints: vec![format!("line {}: {}", first.line, first.text)],
        };
        let more = match problems.len() {
            1 => return error,
            ENOUGH.. => "and more".into(),
            count => format!("{} more", count - 1),
        };
        error.hint(format!("{more}: octo-keys check {}", first.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_counts_only_what_was_counted() {
        let problem = |line| Problem::new(Path::new("t"), line, b"x", "wrong");
        for (count, said) in
            [(2, "1 more: "), (ENOUGH - 1, "98 more: "), (ENOUGH, "and more: octo-keys check t")]
        {
            let problems: Vec<Problem> = (1..=count).map(problem).collect();
            let error = Problem::error(&problems);
            assert_eq!(error.message, "t:1: wrong");
            assert!(error.hints[1].starts_with(said), "{count}: {:?}", error.hints);
        }
        assert_eq!(Problem::error(&[problem(1)]).hints.len(), 1);
    }
}
