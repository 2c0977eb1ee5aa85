//! The habits of the command line that all tools share: `main` calls `run`,
//! prints, maps to an exit status; printing never panics.

pub mod help;
pub mod options;
pub mod verbs;

use crate::base::encoding::printable;
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::Places;
use getopts::Matches;
use options::{COMMON, OptionGroup, Order, Said};
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// A tool: its name for messages, its help as one constant.
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

    /// Parses by these tables and those that every tool has; answers `--help` and
    /// `--version` itself, then returns `None`.
    ///
    /// # Errors
    /// Exit 64 with a hint at `--help`.
    pub fn parse(
        &self,
        groups: &[&OptionGroup],
        arguments: &[String],
        order: Order,
    ) -> Result<Option<Matches>> {
        let groups = [groups, &[&COMMON]].concat();
        let matches = options::parse(self, &groups, arguments, order)?;
        if matches.opt_present("help") {
            print(&(self.help)())?;
            return Ok(None);
        }
        if matches.opt_present("version") {
            print(&format!("{} {}\n", self.name, env!("CARGO_PKG_VERSION")))?;
            return Ok(None);
        }
        Ok(Some(matches))
    }

    /// As [`Tool::parse`], for a tool or a verb whose options stand on one side.
    ///
    /// # Errors
    /// As there.
    pub fn said(
        &self,
        groups: &[&OptionGroup],
        arguments: &[String],
        order: Order,
    ) -> Result<Option<Said<'_>>> {
        let matches = self.parse(groups, arguments, order)?;
        Ok(matches.map(|matches| Said::new(self, vec![matches])))
    }

    /// As [`Tool::parse`], by options that are no tables yet.
    ///
    /// # Errors
    /// Exit 64 with a hint at `--help`.
    pub fn parse_untabled(
        &self,
        options: &getopts::Options,
        arguments: &[String],
    ) -> Result<Option<Matches>> {
        let matches =
            options.parse(arguments).map_err(|fail| self.misuse(options::complaint(fail)))?;
        if matches.opt_present("help") {
            print(&(self.help)())?;
            return Ok(None);
        }
        if matches.opt_present("version") {
            print(&format!("{} {}\n", self.name, env!("CARGO_PKG_VERSION")))?;
            return Ok(None);
        }
        Ok(Some(matches))
    }

    /// Options that every tool has, for [`Tool::parse_untabled`].
    pub fn options(&self) -> getopts::Options {
        let mut options = getopts::Options::new();
        options.parsing_style(getopts::ParsingStyle::StopAtFirstFree);
        options.optflag("h", "help", "");
        options.optflag("", "version", "");
        options.optopt("", "config", "", "DIR");
        options.optopt("", "state", "", "DIR");
        options
    }

    /// Exit 64, with where to read on.
    pub fn misuse(&self, message: impl Into<String>) -> Error {
        Error::usage(message).hint(format!("{} --help", self.name))
    }

    /// As [`Tool::misuse`], of a word that may be another one misspelt.
    pub fn misspelt(&self, message: impl Into<String>, meant: Option<String>) -> Error {
        let error = Error::usage(message);
        let error = meant.into_iter().fold(error, |error, meant| error.hint(meant));
        error.hint(format!("{} --help", self.name))
    }

    /// Prints an error and its hints to standard error.
    pub fn report(&self, error: &Error) {
        self.say(&error.message);
        for hint in &error.hints {
            self.say(format!("hint: {hint}"));
        }
    }

    /// Prints one line to standard error behind the tool's name, escaped; a
    /// closed standard error is no reason to stop.
    pub fn say(&self, line: impl Display) {
        let line = format!("{}: {}\n", self.name, printable(line.to_string().as_bytes()));
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// The configuration and state directories that the options name.
///
/// # Errors
/// As [`Places::find`], and exit 64 where one is given twice.
pub fn places(said: &Said) -> Result<Places> {
    Places::find(said.one("config")?, said.one("state")?)
}

/// As [`places`], of options that are no tables yet.
///
/// # Errors
/// As [`Places::find`].
pub fn places_of(matches: &Matches) -> Result<Places> {
    Places::find(matches.opt_str("config"), matches.opt_str("state"))
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

/// Prints a result to standard output.
///
/// # Errors
/// Exit 74 where it can't be written (a full disk). A reader that has gone
/// (`| head`) is no error: it has what it wanted.
pub fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// As [`print()`], for bytes.
///
/// # Errors
/// As [`print()`].
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(Exit::Io, "standard output", crate::base::error::describe(&error)))
        }
        _ => Ok(()),
    }
}

/// Now, in UTC and to the second: `2026-01-31T23:59:59Z` (RFC 3339).
pub fn utc_now() -> String {
    utc(jiff::Timestamp::now())
}

/// A time in UTC, to the second (RFC 3339).
pub fn utc(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
