//! Ends are sealed before they are told: signed by a key that no listener can read, so that
//! none can make up an end, or the output of one. What fails here takes no end away: it is
//! told without a seal, and why.

use octo_core::Digest;
use octo_core::base::cli::Tool;
use octo_core::base::error::{Error, Result};
use octo_core::base::names::JobId;
use octo_core::base::paths::Places;
use octo_core::base::publish::Reserved;
use octo_core::tentacle::audit::Head;
use octo_core::tentacle::job::{End, JobDirectory, MAXIMUM_OUTPUTS};
use octo_core::tentacle::known::OwnThumbprints;
use octo_core::tentacle::seal::{self, Content, Seal, SealKey, Sealed};
use std::io::Read;

/// Publishes a job's end with its seal; `head` is the line of the audit log that has it.
///
/// # Errors
/// Where the end can't be written.
pub(crate) fn publish_end(
    tool: &Tool,
    places: &Places,
    job: &JobDirectory,
    mut end: End,
    head: Option<Head>,
    room: Option<Reserved>,
) -> Result<()> {
    let sealed = match of_job(places, job, &end, head) {
        Ok(sealed) => sealed,
        Err(error) => {
            tool.report(&error);
            end.add_reason(format!("its end is not sealed: {}", error.message));
            None
        }
    };
    job.publish_end(&end, sealed.as_ref(), room)
}

/// The seal of an end; where no tentacle was set up nobody asks for one.
fn of_job(
    places: &Places,
    job: &JobDirectory,
    end: &End,
    head: Option<Head>,
) -> Result<Option<Sealed>> {
    if places.tentacle().symlink_metadata().is_err() {
        return Ok(None);
    }
    let values = job.read("outputs", MAXIMUM_OUTPUTS)?;
    let spec = Some(Digest::of(&job.spec_bytes()?));
    let (log, values) = (log(job, end)?, values.as_deref().map(Content::of));
    sign(places, job.id(), end, Kept { spec, log, values, head }).map(Some)
}

/// The seal of what was refused, and became no job.
///
/// # Errors
/// Where there is no key, and none can be made.
pub(crate) fn of_refused(
    places: &Places,
    job: &JobId,
    end: &End,
    spec: Option<Digest>,
) -> Result<Sealed> {
    let log = Content::of(b"");
    sign(places, job, end, Kept { spec, log, values: None, head: None })
}

/// What is kept of a job besides its end.
struct Kept {
    spec: Option<Digest>,
    log: Content,
    values: Option<Content>,
    head: Option<Head>,
}

fn sign(places: &Places, job: &JobId, end: &End, kept: Kept) -> Result<Sealed> {
    let tentacle = OwnThumbprints::load(places)?;
    let Kept { spec, log, values, head } = kept;
    let (job, kind, at) = (job.clone(), end.kind, end.at.clone());
    let (reason, truncated) = (seal::reason(end.reason.as_deref()), end.truncated);
    let seal = Seal { job, tentacle, spec, kind, at, reason, log, truncated, values, head };
    Ok(SealKey::load_or_make(places)?.sign(&seal))
}

/// The output, of which who wrote it knows the digest; that of one who was killed is read.
fn log(job: &JobDirectory, end: &End) -> Result<Content> {
    if let Some(digest) = &end.log_digest {
        return Ok(Content { length: end.log, digest: **digest });
    }
    let Some(log) = job.open("log")?.filter(|_| end.log > 0) else {
        return Ok(Content { length: end.log, digest: Digest::of(b"") });
    };
    let read = Digest::of_reader(&mut log.take(end.log));
    let (digest, _) = read.map_err(|e| Error::io(&job.file("log"), &e))?;
    Ok(Content { length: end.log, digest })
}
