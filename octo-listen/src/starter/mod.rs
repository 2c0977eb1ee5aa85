//! Who takes over what was spooled: octo-exec, as a program of this user's where that
//! is STATE's, else as a service behind STATE/doorbell.

pub(crate) mod janitor;
mod program;

use crate::log::Log;
use octo_core::base::cgroups::Readiness;
use octo_core::base::paths::Places;
use octo_core::tentacle::{doorbell, layout};
use octo_core::{JobId, Result};
use program::Program;

/// How jobs are started here.
#[derive(Debug, Clone)]
pub(crate) enum Starter {
    Program(Program, Readiness),
    Doorbell(Places),
}

impl Starter {
    /// `named` is the octo-exec of `--exec`, for one who starts it.
    pub(crate) fn find(places: &Places, named: Option<String>, log: Log) -> Starter {
        match layout::is_separated(places) {
            true => Starter::Doorbell(places.clone()),
            false => Starter::Program(Program::find(places, named, log), Readiness::watch()),
        }
    }

    /// A job comes, and may be refused yet.
    pub(crate) fn get_ready(&self) {
        if let Starter::Program(_, readiness) = self {
            readiness.make();
        }
    }

    /// Would somebody take over what is spooled now? A job that nothing can start is
    /// better refused than queued.
    ///
    /// # Errors
    /// Exit 69, with what to do about it.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Starter::Program(program, _) => program.check(),
            Starter::Doorbell(places) => doorbell::ring(places),
        }
    }

    /// Has an entry of the spool taken over, or a job brought forward.
    ///
    /// # Errors
    /// Where nobody could be told: it waits for the next occasion.
    pub(crate) fn start(&self, job: &JobId) -> Result<()> {
        match self {
            Starter::Program(program, _) => {
                program.start(job);
                Ok(())
            }
            Starter::Doorbell(places) => doorbell::ring(places),
        }
    }
}
