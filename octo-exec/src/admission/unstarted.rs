//! What ends an attempt before its job has run.

use octo_core::base::error::{Error, Exit};
use octo_core::tentacle::job::{End, EndKind};

/// Why a job doesn't start now.
#[derive(Debug)]
pub(crate) enum Unstarted {
    /// It waits for a local operator's approval.
    Held,
    /// It is over, and nothing ran.
    Over(End),
    /// This machine's trouble, which its operator is told as well.
    Failed(Error),
}

impl Unstarted {
    /// It may not run.
    pub(crate) fn denied(exit: Exit, reason: impl Into<String>) -> Unstarted {
        Unstarted::Over(End::unstarted(EndKind::Denied(exit.code()), reason))
    }

    /// It waited too long.
    pub(crate) fn expired(reason: &str) -> Unstarted {
        Unstarted::Over(End::unstarted(EndKind::Expired, reason))
    }

    /// Somebody wants it to end.
    pub(crate) fn cancelled(by: String) -> Unstarted {
        Unstarted::Over(End::unstarted(EndKind::Cancelled, by))
    }
}

impl From<Error> for Unstarted {
    fn from(error: Error) -> Unstarted {
        Unstarted::Failed(error)
    }
}
