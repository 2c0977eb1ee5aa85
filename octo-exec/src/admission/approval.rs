//! hold=: a job that waits for a local operator, and what exactly he approves.

use super::admit::is_expired;
use super::unstarted::Unstarted;
use octo_core::base::cli::utc_now;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::record::Record;
use octo_core::tentacle::job::JobDirectory;
use octo_core::tentacle::spec::Spec;
use octo_core::trust::Cited;
use octo_core::{Digest, JobId};
use std::time::Duration;

/// A held job that nobody approved expires after this long.
pub(crate) const EXPIRES_AFTER: Duration = Duration::from_secs(7 * 86400);

/// What an approval binds: the job, the spec, the script, the package and the
/// line, so that nothing can be swapped between the approval and the start, nor
/// an approval be used for another job.
pub(crate) fn subject(
    job: &JobId,
    spec: &Spec,
    spec_digest: &Digest,
    script: Option<Digest>,
    line: Option<&Cited>,
) -> Record {
    Record::new()
        .with("job", job)
        .with("spec", spec_digest)
        .with_each("script", script)
        .with_each("package", spec.package.as_ref().map(|(digest, _)| digest))
        .with_each("line", line.map(|line| &line.text))
}

/// The digest of the subject: what `approve` may name.
pub(crate) fn digest(subject: &Record) -> Digest {
    Digest::of(subject.encode().as_bytes())
}

/// The digest of what a held job waits to have approved.
///
/// # Errors
/// Exit 65 where it isn't held.
pub(crate) fn held_digest(job: &JobDirectory) -> Result<String> {
    let held = job.record("held")?;
    let digest = held.as_ref().and_then(|record| record.first("digest")).map(str::to_string);
    digest.ok_or_else(|| Error::new(Exit::Data, format!("job {}", job.id()), "is not held"))
}

/// When it was approved; nothing where there is none.
pub(crate) fn given_at(job: &JobDirectory) -> Result<Option<String>> {
    let approved = job.record("approved")?;
    Ok(approved.and_then(|r| r.first("at").map(str::to_string)))
}

/// How much longer a held job waits; `None` where its time is over.
pub(crate) fn expires_in(job: &JobDirectory) -> Option<Duration> {
    let held = job.record("held").ok().flatten()?;
    let since = held.first("since")?.parse::<jiff::Timestamp>().ok()?;
    let passed = jiff::Timestamp::now().duration_since(since);
    // One that claims to be of later has waited for nothing yet.
    let passed = Duration::try_from(passed).unwrap_or_default();
    EXPIRES_AFTER.checked_sub(passed)
}

/// Looks whether a job that is to be approved may go on, and writes `held` if it
/// may not.
pub(crate) fn require(job: &JobDirectory, subject: &Record) -> std::result::Result<(), Unstarted> {
    let wanted = digest(subject).to_string();
    if job.record("approved")?.is_some_and(|r| r.first("digest") == Some(&wanted)) {
        return Ok(());
    }
    if job.open("approved")?.is_some() {
        // It was for something else: a line that changed, a script that was swapped.
        let _ = std::fs::remove_file(job.file("approved"));
    }
    let held = job.record("held")?;
    let since = held.as_ref().and_then(|r| r.first("since")).map(str::to_string);
    let since = since.unwrap_or_else(utc_now);
    if is_expired(&since, EXPIRES_AFTER) {
        return Err(Unstarted::expired("nobody approved it in time"));
    }
    if held.is_none_or(|r| r.first("digest") != Some(&wanted)) {
        let mut record = Record::new().with("digest", &wanted).with("since", since);
        for (key, values) in subject.lines() {
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            record.push(key, &values);
        }
        // What was said of another hold is not said of this one.
        for name in ["changes", "notified"] {
            let _ = std::fs::remove_file(job.file(name));
        }
        job.publish_record("held", &record)?;
    }
    Err(Unstarted::Held)
}
