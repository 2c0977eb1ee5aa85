//! The job that `run` asks for, as one target is sent it. Everything is read and
//! checked before the first target hears of it.

use crate::target::package::upload::Package;
use octo_core::base::error::Result;
use octo_core::base::names::JobId;
use octo_core::targets::Target;
use octo_core::tentacle::spec::draft::{Destination, Draft};
use std::sync::Arc;

/// The job, as far as it is the same for all targets.
#[derive(Debug)]
pub(crate) struct JobPlan {
    /// Its id, and the rollout's.
    pub(crate) id: JobId,
    /// The package, put before it runs.
    pub(crate) package: Option<Arc<Package>>,
    /// What it is.
    pub(crate) draft: Draft,
}

/// What one target is sent.
#[derive(Debug)]
pub(crate) struct JobPayload<'a> {
    pub(crate) spec: Vec<u8>,
    pub(crate) script: &'a [u8],
    pub(crate) secrets: Vec<u8>,
}

impl JobPlan {
    /// Can each of these targets be sent what it would be?
    ///
    /// # Errors
    /// As [`JobPlan::request`].
    pub(crate) fn check(&self, targets: &[Target]) -> Result<()> {
        let differs = self.draft.differs();
        for target in targets.iter().take(if differs { targets.len() } else { 1 }) {
            self.request(target.name.as_str(), &self.id).map_err(|error| match differs {
                true => error.hint(format!("it is the job of {}", target.name)),
                false => error,
            })?;
        }
        Ok(())
    }

    /// What this target is sent under this id.
    ///
    /// # Errors
    /// A file of its own that can't be read, or a spec that would be refused.
    pub(crate) fn request(&self, target: &str, job: &JobId) -> Result<JobPayload<'_>> {
        let package = self.package.as_ref().map(|p| Ok((p.digest()?, p.name.clone())));
        let there = Destination::Target(target);
        let parts = self.draft.parts(job, there, package.transpose()?)?;
        let script = self.draft.script(there).unwrap_or_default();
        Ok(JobPayload { spec: parts.spec, script, secrets: parts.secrets })
    }
}
