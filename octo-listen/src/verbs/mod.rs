//! The verbs, one a file; each is a function from a request to its reply.

mod audit;
mod follow;
mod get;
mod jobs;
mod put;
mod run;
mod scripts;
mod status;

pub(crate) use audit::audit;
pub(crate) use follow::follow;
pub(crate) use get::get;
pub(crate) use jobs::{cancel, jobs};
pub(crate) use put::put;
pub(crate) use run::run;
pub(crate) use scripts::scripts;
pub(crate) use status::status;

use crate::session::Ended;
use octo_core::JobId;
use octo_wire::{Failure, Message};

fn job_id(request: &Message) -> Result<JobId, Ended> {
    let id = request.text("job").and_then(JobId::parse);
    Ok(id.ok_or_else(|| Failure::Malformed("job is not a job id".into()))?)
}

fn lines(messages: &[Message]) -> Result<Vec<u8>, Ended> {
    let mut body = Vec::new();
    for message in messages {
        body.extend(message.encode()?);
    }
    Ok(body)
}
