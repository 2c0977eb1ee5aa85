//! `octo-exec approve` and `deny`: a local operator lets held jobs run, or not.

use super::named::named;
use crate::admission::approval;
use crate::start;
use octo_core::Digest;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::{print, utc_now};
use octo_core::base::error::{Exit, Result};
use octo_core::base::operator;
use octo_core::base::paths::Places;
use octo_core::tentacle::approval::{Approval, Approver};

/// `approve JOB [DIGEST]`
pub(super) fn approve(said: &Said, places: &Places) -> Result<u8> {
    let arguments = said.counted(1..=2)?;
    let (id, wanted) = (&arguments[0], arguments.get(1));
    let job = named(said, places, id)?;
    approval::held_or_approved(&job)?;
    let digest = match wanted {
        Some(text) => Digest::parse(text)
            .ok_or_else(|| said.misuse(format!("{text}: not the digest of what is approved")))?,
        None => approval::held_digest(&job)?,
    };
    if approval::expires_in(&job).is_none() {
        start::detached(places, &job)?;
    }
    let by = Approver::Operator(operator::at_host());
    let given = approval::give(places, &job, digest, Approval { by, at: utc_now() });
    let given = given.map_err(|error| match error.exit {
        Exit::Data => error.hint(format!("{} show {id}", said.tool().name)),
        _ => error,
    })?;
    match given.is_enough() {
        true => approval::start(places, &job)?,
        false => print(&format!(
            "job {id}: approved: {} of {}, by {}\n",
            given.count,
            given.needs,
            given.names.join(", ")
        ))?,
    }
    Ok(0)
}

/// `deny JOB [REASON]`
pub(super) fn deny(said: &Said, places: &Places) -> Result<u8> {
    let arguments = said.counted(1..=usize::MAX)?;
    let job = named(said, places, &arguments[0])?;
    approval::deny(said.tool(), places, &job, &operator::at_host(), &arguments[1..].join(" "))?;
    Ok(0)
}
