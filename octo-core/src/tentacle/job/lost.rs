//! The end of a job that nobody runs any more.

use super::log::settle;
use super::{End, EndKind, JobDirectory, JobLock};
use crate::base::error::Result;

/// Ends a job that was started and that nobody runs any more: closes its log and
/// writes `end kind=lost`. For the holder of the job's lock, who has made sure
/// that nobody of it is left.
///
/// # Errors
/// Where the record can't be written.
pub fn settle_lost(
    job: &JobDirectory,
    _held: &JobLock,
    reason: &str,
    strays: Vec<String>,
) -> Result<End> {
    let length = settle(job)?;
    let end = End { strays, reason: Some(reason.into()), ..End::now(EndKind::Lost, length) };
    job.publish_record("end", &end.record())?;
    Ok(end)
}
