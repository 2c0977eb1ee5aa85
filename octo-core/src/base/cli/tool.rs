//! A tool as its command line knows it: its name, its help, how it complains.

use super::pasted;
use super::terminal::{Terminal, wrapped};
use crate::base::encoding::printable;
use crate::base::error::{Error, Result};
use crate::base::problem::Problem;
use crate::base::service::journal::Priority;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// What stands before what is no fault.
const WARNING: &str = "warning";

/// A tool: its name for messages, what makes its help.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// As in the first word of its messages.
    pub name: &'static str,
    /// Makes the whole of `--help`, ending in a newline.
    pub help: fn() -> String,
}

impl Tool {
    /// Runs the tool: arguments in, exit status out. Nothing else exits.
    pub fn main(&self, run: fn(&Tool, &[String]) -> Result<u8>) -> ExitCode {
        crate::base::signals::outlive_file_size_limits();
        let result = arguments().and_then(|arguments| run(self, &arguments));
        match result {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                self.report(&error);
                ExitCode::from(error.exit.code())
            }
        }
    }

    /// Exit 64, with where to read on.
    pub fn misuse(&self, message: impl Into<String>) -> Error {
        self.misspelt(message, None)
    }

    /// As [`Tool::misuse`], of a word that may be another one misspelt.
    pub fn misspelt(&self, message: impl Into<String>, meant: Option<String>) -> Error {
        let error = Error::usage(message);
        let error = meant.into_iter().fold(error, |error, meant| error.hint(meant));
        error.hint(format!("{} --help", self.name))
    }

    /// Prints an error and its hints to standard error.
    pub fn report(&self, error: &Error) {
        let priority = Priority::of(error.exit);
        self.say_at(priority, &error.message);
        for hint in &error.hints {
            self.hint_at(priority, hint);
        }
    }

    /// Prints a hint; a command of ours in it is for the directories of this call.
    pub fn hint(&self, hint: &str) {
        self.hint_at(Priority::Information, hint);
    }

    fn hint_at(&self, priority: Priority, hint: &str) {
        self.say_at(priority, format!("hint: {}", pasted::hint(hint)));
    }

    /// Prints what is wrong with a line of a file, and that line; `kind` stands before it.
    pub fn problem(&self, kind: &str, problem: &Problem) {
        let priority = if kind.starts_with(WARNING) { Priority::Warning } else { Priority::Error };
        self.say_at(priority, format!("{kind}{}", problem.heading()));
        self.say_at(priority, format!("  {}", problem.text));
    }

    /// Prints one line to standard error behind the tool's name, escaped, on a terminal
    /// wrapped; a closed standard error is no reason to stop.
    pub fn say(&self, line: impl Display) {
        self.say_at(Priority::Information, line);
    }

    /// As [`Tool::say`], of a line that matters so much.
    pub fn say_at(&self, priority: Priority, line: impl Display) {
        let line = line.to_string();
        let (head, line) = (format!("{}: ", self.name), printable(line.as_bytes()));
        let columns = Terminal::of_errors().map_or(0, |terminal| terminal.columns);
        let line = format!("{}{}\n", priority.prefix(), wrapped(&head, &line, columns));
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

fn arguments() -> Result<Vec<String>> {
    // getopts reads UTF-8 only, and would call a file name "unrecognized".
    std::env::args_os()
        .skip(1)
        .map(|argument| {
            argument.into_string().map_err(|argument| {
                Error::usage(format!(
                    "argument {}: not UTF-8",
                    printable(argument.as_encoded_bytes())
                ))
                .hint("rename the file, or reach it by a link with a UTF-8 name")
            })
        })
        .collect()
}
