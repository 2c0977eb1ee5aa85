//! The two streams we print to, and the progress line between them.
//!
//! All printing of a run goes through one `Screen` on one thread, so that lines
//! never mix. A reader that has gone (`| head`) is no error and stops no job; a
//! full disk is remembered, and told after the jobs have ended.

use crate::cli::options::Common;
use octo_core::base::cli::terminal::{Terminal, cut, wants_colours};
use octo_core::base::cli::{Tool, print_bytes};
use octo_core::base::error::{Error, Result};
use octo_core::tentacle::job::Stream;
use std::io::{IsTerminal, Write};

/// Standard output and standard error.
#[derive(Debug)]
pub(crate) struct Screen {
    tool: Tool,
    pub(crate) out_is_terminal: bool,
    pub(crate) err_is_terminal: bool,
    pub(crate) colours: bool,
    failed: Option<Error>,
    /// Is a progress line on the terminal now?
    progress: bool,
}

impl Screen {
    /// The streams of this process.
    pub(crate) fn of(tool: &Tool) -> Screen {
        Screen {
            tool: *tool,
            out_is_terminal: std::io::stdout().is_terminal(),
            err_is_terminal: std::io::stderr().is_terminal(),
            colours: wants_colours(),
            failed: None,
            progress: false,
        }
    }

    pub(crate) fn is_terminal(&self, stream: Stream) -> bool {
        match stream {
            Stream::Out => self.out_is_terminal,
            Stream::Err => self.err_is_terminal,
        }
    }

    /// Is more to be said than what failed? A terminal is watched.
    pub(crate) fn is_talkative(&self, common: &Common) -> bool {
        common.verbose || (self.err_is_terminal && !common.quiet)
    }

    /// Prints bytes as they are.
    pub(crate) fn print(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.clear();
        match stream {
            Stream::Out => self.remember(print_bytes(bytes)),
            Stream::Err => {
                // There is no other stream on which to say that this one is broken.
                let _ = std::io::stderr().lock().write_all(bytes);
            }
        }
    }

    /// Says a line behind the tool's name.
    pub(crate) fn say(&mut self, line: impl std::fmt::Display) {
        self.clear();
        self.tool.say(line);
    }

    /// Reports an error with its hints.
    pub(crate) fn report(&mut self, error: &Error) {
        self.clear();
        self.tool.report(error);
    }

    /// So many a progress line may have; the last column of the terminal stays free, since
    /// some wrap at it.
    pub(crate) fn progress_columns(&self) -> usize {
        let terminal = Terminal::of_errors().filter(|_| self.err_is_terminal);
        terminal.map_or(0, |terminal| terminal.columns.saturating_sub(1))
    }

    /// Shows a progress line in place of the last one; only on a terminal.
    pub(crate) fn progress(&mut self, line: &str) {
        if !self.err_is_terminal {
            return;
        }
        let line = cut(line, self.progress_columns());
        let _ = std::io::stderr().lock().write_all(format!("\r{line}\x1b[K").as_bytes());
        self.progress = true;
    }

    pub(crate) fn clear(&mut self) {
        if self.progress {
            let _ = std::io::stderr().lock().write_all(b"\r\x1b[K");
            self.progress = false;
        }
    }

    /// Keeps an error of writing for the end: the jobs go on without it.
    pub(crate) fn remember(&mut self, written: Result<()>) {
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }

    /// Was all of it printed?
    ///
    /// # Errors
    /// Exit 74: the first thing that could not be written.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.clear();
        self.failed.take().map_or(Ok(()), Err)
    }
}
