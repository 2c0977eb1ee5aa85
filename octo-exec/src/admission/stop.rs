//! What ends an attempt before its job has run.

use octo_core::base::error::{Error, Exit};
use octo_core::tentacle::job::{End, EndKind};

/// Why a job doesn't start now.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It waits for a local operator's approval.
    Held,
    /// It is over, and nothing ran.
    Over(End),
    /// This machine's trouble, which its operator is told as well.
    Failed(Error),
}

impl Stop {
    /// It may not run.
    pub(crate) fn denied(exit: Exit, reason: impl Into<String>) -> Stop {
        Stop::Over(End::unstarted(EndKind::Denied(exit.code()), reason))
    }

    /// It waited too long.
    pub(crate) fn expired(reason: &str) -> Stop {
        Stop::Over(End::unstarted(EndKind::Expired, reason))
    }

    /// Somebody wants it to end.
    pub(crate) fn cancelled(by: String) -> Stop {
        Stop::Over(End::unstarted(EndKind::Cancelled, by))
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}
