//! hold=: a job that waits until enough people have approved exactly what it is.

use super::admit::{believe_address, is_expired, lines_of};
use super::unstarted::Unstarted;
use crate::job::prepare::{secrets, stdin};
use crate::{seal, start};
use octo_core::base::cli::{Tool, utc_now};
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::Places;
use octo_core::base::record::Record;
use octo_core::tentacle::approval::{self, Approval, Approvals, Approver, EXPIRES_AFTER};
use octo_core::tentacle::audit::Audit;
use octo_core::tentacle::job::{End, EndKind, JobDirectory, JobLock, Pusher, State};
use octo_core::tentacle::layout::Side;
use octo_core::trust::{Question, Verb};
use octo_core::{Digest, PusherName, Thumbprint};
use rustix::fs::{Gid, chown};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

/// An approval that was recorded, or was there before.
#[derive(Debug)]
pub(crate) struct Given {
    /// So many have approved it.
    pub(crate) count: usize,
    /// So many must.
    pub(crate) needs: usize,
    /// Who, as messages name them.
    pub(crate) names: Vec<String>,
    /// Is this one new?
    pub(crate) is_new: bool,
}

impl Given {
    /// May the job start?
    pub(crate) fn is_enough(&self) -> bool {
        self.count >= self.needs
    }
}

/// A job that is to be approved, if it is held.
///
/// # Errors
/// Exit 65 where it isn't there, or not held.
pub(crate) fn held(job: &JobDirectory) -> Result<&JobDirectory> {
    let no = |reason: String| Error::new(Exit::Data, format!("job {}", job.id()), reason);
    if !job.exists() {
        return Err(no("is not here".into()));
    }
    match job.state()? {
        State::Held => Ok(job),
        state => Err(no(format!("is not held: {}", state.word()))),
    }
}

/// The same, or one that has been approved and was not started yet: its start failed, perhaps.
pub(crate) fn held_or_approved(job: &JobDirectory) -> Result<&JobDirectory> {
    let is_approved = job.exists()
        && job.state()? == State::Queued
        && job.record("held")?.is_some_and(|held| {
            let approved = job.record("approved").ok().flatten();
            approval::is_enough(&held, approved.as_ref())
        });
    if is_approved { Ok(job) } else { held(job) }
}

/// The digest of what a held job waits to have approved.
///
/// # Errors
/// Exit 65 where it isn't held.
pub(crate) fn held_digest(job: &JobDirectory) -> Result<Digest> {
    let held = job.record("held")?;
    let digest = held.as_ref().and_then(|record| Digest::parse(record.first("digest")?));
    digest.ok_or_else(|| Error::new(Exit::Data, format!("job {}", job.id()), "is not held"))
}

/// Records an approval of this, durably; who has given his already is not counted twice.
///
/// # Errors
/// Exit 65 where the job isn't held, has expired, or waits for something else; 75 where
/// somebody starts or ends it right now.
pub(crate) fn give(
    places: &Places,
    job: &JobDirectory,
    approved: Digest,
    approval: Approval,
) -> Result<Given> {
    let no = |reason: String| Error::new(Exit::Data, format!("job {}", job.id()), reason);
    held_or_approved(job)?;
    let _held = hold(job)?;
    held_or_approved(job)?;
    let digest = held_digest(job)?;
    if expires_in(job).is_none() {
        return Err(no("expired: it was held for 7 days".into()));
    }
    if digest != approved {
        return Err(no(format!("is not what you saw: it is {digest} now")));
    }
    let needed = approval::needed(&job.record("held")?.unwrap_or_default());
    let mut approvals = recorded(job, digest)?;
    if let Some(asker) = &job.origin()?.pusher {
        let needs = Needs { places, asker: Some(asker), name: &asker.name, count: 0 };
        drop_void(job, &mut approvals, needs)?;
    }
    let shown = approval.by.shown();
    let is_known = approvals.given.iter().try_fold(false, |known, given| {
        Ok::<_, Error>(known || is_one_person(places, &given.by, &approval.by)?)
    })?;
    let is_new = !is_known && approvals.add(approval);
    if is_new {
        let digest = digest.to_string();
        let fields = [("job", job.id().as_str()), ("digest", &digest), ("by", &shown)];
        Audit::of(Side::Executor, places).append("approve", &fields)?;
        // What runs is compared with this once more at the start.
        job.publish_record("approved", &approvals.record())?;
    }
    let names = approvals.given.iter().map(|given| given.by.shown()).collect();
    Ok(Given { count: approvals.given.len(), needs: needed, names, is_new })
}

/// Has an approved job started.
///
/// # Errors
/// Exit 75: it stays approved, and who approves it once more has it tried again.
pub(crate) fn start(places: &Places, job: &JobDirectory) -> Result<()> {
    start::looked_after(places, job).map_err(|error| {
        let reason = format!("is approved, and can't be started now: {}", error.message);
        Error::new(Exit::Temporary, format!("job {}", job.id()), reason)
            .hint("approve it once more")
    })
}

/// Ends a held job, for this reason.
///
/// # Errors
/// As [`give`].
pub(crate) fn deny(
    tool: &Tool,
    places: &Places,
    job: &JobDirectory,
    by: &str,
    reason: &str,
) -> Result<()> {
    held(job)?;
    let _held = hold(job)?;
    if job.end()?.is_some() || job.open("started")?.is_some() {
        return Err(busy(job));
    }
    let said = match reason.is_empty() {
        true => format!("denied by {by}"),
        false => format!("denied by {by}: {reason}"),
    };
    let end = End::unstarted(EndKind::Denied(Exit::Refused.code()), said);
    let fields = [("job", job.id().as_str()), ("by", by), ("reason", reason)];
    let head = Audit::of(Side::Executor, places).append("deny", &fields)?;
    let _ = secrets::unlink(job);
    stdin::remove(job);
    seal::publish_end(tool, places, job, end, Some(head), None)
}

fn hold(job: &JobDirectory) -> Result<JobLock> {
    job.try_hold()?.ok_or_else(|| busy(job))
}

fn busy(job: &JobDirectory) -> Error {
    Error::new(Exit::Temporary, format!("job {}", job.id()), "somebody is starting it")
}

/// Takes those away that are worth nothing any more, on record: a line may have gone since, and
/// a name may be another's by now.
///
/// # Errors
/// Where that can't be known now: then none is lost.
fn drop_void(job: &JobDirectory, approvals: &mut Approvals, needs: Needs<'_>) -> Result<()> {
    let mut void = Vec::new();
    for (index, approval) in approvals.given.iter().enumerate() {
        if !still_holds(&approval.by, needs)? {
            void.push(index);
        }
    }
    for index in void.into_iter().rev() {
        let by = approvals.given.remove(index).by.shown();
        let digest = approvals.digest.to_string();
        let fields = [("job", job.id().as_str()), ("digest", &digest), ("by", &by)];
        Audit::of(Side::Executor, needs.places).append("unapprove", &fields)?;
    }
    Ok(())
}

/// The approvals of exactly this so far.
fn recorded(job: &JobDirectory, digest: Digest) -> Result<Approvals> {
    let approvals = job.record("approved")?.and_then(|record| Approvals::of(&record));
    Ok(approvals.filter(|of| of.digest == digest).unwrap_or_else(|| Approvals::none(digest)))
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

/// Whose job it is, and how many must approve it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs<'a> {
    pub(crate) places: &'a Places,
    /// Who asked, and what he is called.
    pub(crate) asker: Option<&'a Pusher>,
    pub(crate) name: &'a PusherName,
    /// So many must.
    pub(crate) count: u8,
}

/// Looks whether a job that is to be approved may go on, and writes `held` if it
/// may not; when the last of those that are needed approved it.
pub(crate) fn require(
    job: &JobDirectory,
    subject: &Record,
    needs: Needs<'_>,
) -> std::result::Result<String, Unstarted> {
    let wanted = approval::digest(subject);
    let mut approvals = recorded(job, wanted)?;
    let given = approvals.given.len();
    drop_void(job, &mut approvals, needs)?;
    if let Some(last) = approvals.given.last()
        && approvals.given.len() >= usize::from(needs.count)
    {
        return Ok(last.at.clone());
    }
    let held = job.record("held")?;
    let since = held.as_ref().and_then(|r| r.first("since")).map(str::to_string);
    let since = since.unwrap_or_else(utc_now);
    if is_expired(&since, EXPIRES_AFTER) {
        return Err(Unstarted::expired("nobody approved it in time"));
    }
    let of = |record: &Record| record.first("digest").and_then(Digest::parse);
    let is_same = held.as_ref().is_some_and(|held| {
        of(held) == Some(wanted) && approval::needed(held) == usize::from(needs.count)
    });
    if !is_same {
        ["script", "stdin"].into_iter().try_for_each(|name| show(job, name))?;
        let mut record =
            Record::new().with("digest", wanted).with("needs", needs.count).with("since", since);
        for (key, values) in subject.lines() {
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            record.push(key, &values);
        }
        // What was said of another hold is not said of this one; who is late names the other.
        for name in ["changes", "notified"] {
            let _ = std::fs::remove_file(job.file(name));
        }
        job.publish_record("held", &record)?;
    }
    if given != approvals.given.len() {
        job.publish_record("approved", &approvals.record())?;
    } else if given == 0 && job.open("approved")?.is_some() {
        // It was for something else: a line that changed, a script that was swapped.
        let _ = std::fs::remove_file(job.file("approved"));
    }
    Err(Unstarted::Held)
}

/// May who approved it still do so, and is he still somebody else than who asked?
fn still_holds(by: &Approver, needs: Needs<'_>) -> Result<bool> {
    let Approver::Pusher { name, thumbprint, address, .. } = by else { return Ok(true) };
    if name == needs.name {
        return Ok(false);
    }
    if let Some(asker) = needs.asker
        && are_one(needs.places, asker.thumbprint, *thumbprint)?
    {
        return Ok(false);
    }
    let trust = lines_of(needs.places, *thumbprint)?;
    let now = trust.now();
    let grant = believe_address(needs.places, &trust, *thumbprint, &now).ok().and_then(|()| {
        trust.decide(&Question::new(*thumbprint, *address, &now, Verb::Approve)).ok()
    });
    Ok(grant.is_some_and(|grant| grant.name == *name))
}

/// Is it one person, as far as the trust file knows? Whoever has one name in common, by
/// whichever line, is.
///
/// # Errors
/// Where the trust file can't be read.
pub(crate) fn are_one(places: &Places, one: Thumbprint, other: Thumbprint) -> Result<bool> {
    let names = |thumbprint: Thumbprint| -> Result<Vec<PusherName>> {
        let trust = lines_of(places, thumbprint)?;
        Ok(trust.of(thumbprint).map(|line| line.name.clone()).collect())
    };
    let others = names(other)?;
    Ok(one == other || names(one)?.iter().any(|name| others.contains(name)))
}

fn is_one_person(places: &Places, one: &Approver, other: &Approver) -> Result<bool> {
    match (one, other) {
        (Approver::Pusher { thumbprint: one, .. }, Approver::Pusher { thumbprint: other, .. }) => {
            are_one(places, *one, *other)
        }
        _ => Ok(false),
    }
}

/// Who approves reads what was sent, also by way of a listener that is another user: it has
/// passed through that, and is no secret. The job's user gets it when the job starts.
fn show(job: &JobDirectory, name: &str) -> Result<()> {
    let path = job.file(name);
    if job.open(name)?.is_none() {
        return Ok(());
    }
    let failed = |error: std::io::Error| Error::io(&path, &error);
    let group = job.path().metadata().map_err(failed)?.gid();
    if path.symlink_metadata().map_err(failed)?.gid() != group {
        chown(&path, None, Some(Gid::from_raw(group))).map_err(|error| failed(error.into()))?;
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).map_err(failed)
}
