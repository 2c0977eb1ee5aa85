//! The job that a command line names.

use octo_core::JobId;
use octo_core::base::cli::Tool;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::Places;
use octo_core::tentacle::job::JobDirectory;

/// The job of this id, which must be there.
pub(super) fn named(tool: &Tool, places: &Places, text: &str) -> Result<JobDirectory> {
    let id = JobId::parse(text).ok_or_else(|| tool.misuse(format!("'{text}' is not a job id")))?;
    let job = JobDirectory::of(places, &id);
    if !job.exists() {
        return Err(Error::new(Exit::Data, format!("job {id}"), "there is no such job here")
            .hint(format!("{} list", tool.name)));
    }
    Ok(job)
}
