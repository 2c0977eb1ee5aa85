//! What the listener says on standard error: one line an event, peers' bytes
//! escaped, and strangers counted instead of listed.

use octo_core::base::cli::Tool;
use octo_core::base::problem::Problem;
use octo_core::base::service::journal::Priority;
use std::fmt;

/// Where events go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log {
    tool: Tool,
    verbose: bool,
    /// Standard error is the peer's own connection (inetd): nothing may go there.
    silent: bool,
}

impl Log {
    /// The log of this tool.
    pub(crate) fn new(tool: &Tool, verbose: bool, silent: bool) -> Log {
        Log { tool: *tool, verbose, silent }
    }

    /// An event that an administrator wants to see.
    pub(crate) fn event(&self, line: impl fmt::Display) {
        self.at(Priority::Information, line);
    }

    /// What somebody was refused, or what is not as its administrator may think.
    pub(crate) fn warning(&self, line: impl fmt::Display) {
        self.at(Priority::Warning, line);
    }

    /// What failed here.
    pub(crate) fn failure(&self, line: impl fmt::Display) {
        self.at(Priority::Error, line);
    }

    fn at(&self, priority: Priority, line: impl fmt::Display) {
        if !self.silent {
            self.tool.say_at(priority, line);
        }
    }

    /// An event that is seen with -v.
    pub(crate) fn detail(&self, line: impl fmt::Display) {
        if self.verbose {
            self.event(line);
        }
    }

    /// What is wrong with a line of a file.
    pub(crate) fn problem(&self, kind: &str, problem: &Problem) {
        if !self.silent {
            self.tool.problem(kind, problem);
        }
    }

    /// An error and what to do about it.
    pub(crate) fn error(&self, error: &octo_core::Error) {
        if !self.silent {
            self.tool.report(error);
        }
    }

    /// What there is, where the log has the error instead.
    pub(crate) fn ok<T>(&self, result: octo_core::Result<T>) -> Option<T> {
        result.inspect_err(|error| self.error(error)).ok()
    }

    /// Does standard error belong to the peer?
    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }
}
