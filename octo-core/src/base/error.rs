//! One error type for all tools: an exit status, the object, the reason, hints.
//!
//! It prints as `object: reason`; the tool's name and the target go in front of
//! it (see [`crate::base::cli`]), the hints behind, one a line.

use std::fmt;
use std::io;
use std::path::Path;

/// A result whose error is octo's own.
pub type Result<T> = std::result::Result<T, Error>;

/// The exit statuses of all tools; octo(7) has the table.
///
/// The numbers 64 to 78 are those of sysexits(3), 124 to 127 those of
/// timeout(1) and the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// A command line that can't be understood.
    Usage = 64,
    /// Bad input: missing, damaged, or in conflict with what is there.
    Data = 65,
    /// The target can't be reached; nothing ran or will.
    Unavailable = 69,
    /// The job was lost: its machine or its octo-exec died under it.
    Lost = 71,
    /// Something could not be created.
    CannotCreate = 73,
    /// Reading or writing failed; the disk is full.
    Io = 74,
    /// Try later (window, locked, busy); nothing ran or will.
    Temporary = 75,
    /// The peer doesn't speak as it should.
    Protocol = 76,
    /// Refused by trust or policy.
    Refused = 77,
    /// The configuration of this machine is unsound.
    Configuration = 78,
    /// Accepted, but how it ended is unknown.
    UnknownEnd = 79,
    /// The time limit ended the job.
    Timeout = 124,
    /// Found, but not executable.
    NotExecutable = 126,
    /// Not found.
    NotFound = 127,
    /// Cancelled.
    Cancelled = 130,
}

impl Exit {
    /// The number itself.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// What went wrong, with which object, and what to do about it.
#[derive(Debug, Clone)]
pub struct Error {
    /// The exit status it leads to.
    pub exit: Exit,
    /// `object: reason`, ready to print but for escaping.
    pub message: String,
    /// What to do about it, one line each, without the `hint: `.
    pub hints: Vec<String>,
}

impl Error {
    /// An error of this exit status about `object`.
    pub fn new(exit: Exit, object: impl fmt::Display, reason: impl fmt::Display) -> Error {
        Error { exit, message: format!("{object}: {reason}"), hints: Vec::new() }
    }

    /// Misuse of the command line.
    pub fn usage(message: impl Into<String>) -> Error {
        Error { exit: Exit::Usage, message: message.into(), hints: Vec::new() }
    }

    /// An input or output error on a path; the exit status is read off its kind.
    pub fn io(path: &Path, error: &io::Error) -> Error {
        Error::doing("", path, error)
    }

    /// As [`Error::io`], naming what was tried: `doing("create", …)` reads
    /// `PATH: can't create: Permission denied`.
    pub fn doing(action: &str, path: &Path, error: &io::Error) -> Error {
        let exit = match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory => {
                if action == "create" {
                    Exit::CannotCreate
                } else {
                    Exit::Data
                }
            }
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::ReadOnlyFilesystem
                if action == "create" =>
            {
                Exit::CannotCreate
            }
            io::ErrorKind::PermissionDenied => Exit::Configuration,
            _ => Exit::Io,
        };
        let reason = describe(error);
        let reason = if action.is_empty() { reason } else { format!("can't {action}: {reason}") };
        Error::new(exit, path.display(), reason)
    }

    /// The same error with one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hints.push(hint.into());
        self
    }

    /// The same error with another exit status.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Error {
        self.exit = exit;
        self
    }
}

/// An I/O error in the words of strerror(3), without Rust's `(os error N)`.
pub fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
