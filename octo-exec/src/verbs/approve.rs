//! `octo-exec approve` and `deny`: a local operator lets held jobs run, or not.

use super::named::named;
use crate::admission::approval;
use crate::job::prepare::secrets;
use crate::start;
use octo_core::base::cli::options::Said;
use octo_core::base::cli::utc_now;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::operator;
use octo_core::base::paths::Places;
use octo_core::base::record::Record;
use octo_core::tentacle::audit::Audit;
use octo_core::tentacle::job::{End, EndKind, JobDirectory, State};
use octo_core::tentacle::layout::Side;

fn held(said: &Said, places: &Places, id: &str) -> Result<JobDirectory> {
    let job = named(said, places, id)?;
    match job.state()? {
        State::Held => Ok(job),
        state => Err(Error::new(
            Exit::Data,
            format!("job {id}"),
            format!("is not held: {}", state.word()),
        )),
    }
}

/// `approve JOB [DIGEST]`
pub(super) fn approve(said: &Said, places: &Places) -> Result<u8> {
    let arguments = said.counted(1..=2)?;
    let (id, wanted) = (&arguments[0], arguments.get(1));
    let job = held(said, places, id)?;
    let digest = approval::held_digest(&job)?;
    if approval::expires_in(&job).is_none() {
        start::detached(places, &job)?;
        return Err(Error::new(Exit::Data, format!("job {id}"), "expired: it was held for 7 days"));
    }
    if wanted.is_some_and(|wanted| *wanted != digest) {
        return Err(Error::new(
            Exit::Data,
            format!("job {id}"),
            format!("is not what you saw: it is {digest} now"),
        )
        .hint(format!("{} show {id}", said.tool().name)));
    }
    // What runs is compared with this once more at the start.
    let by = operator::at_host();
    let record = Record::new().with("digest", &digest).with("by", &by).with("at", utc_now());
    Audit::of(Side::Executor, places)
        .append("approve", &[("job", id.as_str()), ("digest", &digest), ("by", &by)])?;
    job.publish_record("approved", &record)?;
    start::looked_after(places, &job)?;
    Ok(0)
}

/// `deny JOB [REASON]`
pub(super) fn deny(said: &Said, places: &Places) -> Result<u8> {
    let arguments = said.counted(1..=usize::MAX)?;
    let (id, reason) = (&arguments[0], &arguments[1..]);
    let job = held(said, places, id)?;
    let busy = || Error::new(Exit::Temporary, format!("job {id}"), "somebody is starting it");
    let _held = job.try_hold()?.ok_or_else(busy)?;
    if job.end()?.is_some() || job.open("started")?.is_some() {
        return Err(busy());
    }
    let by = operator::at_host();
    let reason = reason.join(" ");
    let said = if reason.is_empty() {
        format!("denied by {by}")
    } else {
        format!("denied by {by}: {reason}")
    };
    let end = End::unstarted(EndKind::Denied(Exit::Refused.code()), said);
    Audit::of(Side::Executor, places)
        .append("deny", &[("job", id.as_str()), ("by", &by), ("reason", &reason)])?;
    let _ = secrets::unlink(&job);
    job.publish_end(&end, None)?;
    Ok(0)
}
