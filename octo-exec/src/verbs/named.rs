//! The job that a command line names.

use octo_core::base::cli::options::Said;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::Places;
use octo_core::tentacle::job::JobDirectory;

/// The job of this id, which must be there.
pub(super) fn named(said: &Said, places: &Places, text: &str) -> Result<JobDirectory> {
    let id = said.job_id(text)?;
    let job = JobDirectory::of(places, &id);
    if !job.exists() {
        return Err(Error::new(Exit::Data, format!("job {id}"), "there is no such job here")
            .hint(format!("{} list", said.tool().name)));
    }
    Ok(job)
}
