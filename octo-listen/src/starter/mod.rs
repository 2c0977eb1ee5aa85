//! Who takes over what was spooled: octo-exec, as a program of this user's where that
//! is STATE's, else as a service behind STATE/doorbell.

pub(crate) mod janitor;
mod program;

use crate::log::Log;
use octo_core::base::cgroups::Readiness;
use octo_core::base::error::describe;
use octo_core::base::paths::Places;
use octo_core::tentacle::{doorbell, layout};
use octo_core::{Error, Exit, JobId, Result};
pub(crate) use program::Ahead;
use program::Program;

/// How jobs are started here.
#[derive(Debug, Clone)]
pub(crate) enum Starter {
    Program(Program, Readiness),
    Doorbell(Places),
}

impl Starter {
    /// `named` is the octo-exec of `--exec`, for one who starts it.
    ///
    /// # Errors
    /// Exit 74 where a thread can't be had.
    pub(crate) fn find(places: &Places, named: Option<String>, log: Log) -> Result<Starter> {
        if layout::is_separated(places) {
            return Ok(Starter::Doorbell(places.clone()));
        }
        let readiness = Readiness::watch();
        let failed = |error| Error::new(Exit::Io, "thread", describe(&error));
        Ok(Starter::Program(Program::find(places, named, log), readiness.map_err(failed)?))
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

    /// Starts who is to take over what is about to be spooled, while that is written.
    pub(crate) fn ahead(&self, job: &JobId) -> Option<Ahead> {
        match self {
            Starter::Program(program, _) => program.ahead(job),
            Starter::Doorbell(_) => None,
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
