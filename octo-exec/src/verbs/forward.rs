//! `octo-exec job DIR`: brings one published job forward.

use super::named::named;
use crate::job::forward;
use octo_core::base::cli::options::Said;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::Places;
use octo_core::tentacle::job::JobDirectory;
use std::path::Path;

/// The verb.
pub(super) fn job(said: &Said, places: &Places) -> Result<u8> {
    let (tool, directory) = (said.tool(), &said.counted(1..=1)?[0]);
    let directory =
        std::path::absolute(directory).map_err(|e| Error::io(Path::new(directory), &e))?;
    let job = JobDirectory::at(&directory)?;
    if job.path().parent() != Some(&places.jobs()) {
        let reason = format!("not in {}", places.jobs().display());
        return Err(Error::new(Exit::Usage, job.path().display(), reason).hint("--state DIR"));
    }
    let job = named(said, places, job.id().as_str())?;
    forward::make_durable(places, job.id())?;
    forward::lead();
    forward::forward(tool, places, &job, None)
}
