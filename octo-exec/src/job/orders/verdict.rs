//! A held job is approved, or denied, by a pusher who didn't ask for it. Who signed that,
//! `octo-exec take` has verified, as of each order.

use crate::admission::approval::{self, Given};
use crate::admission::unstarted::Unstarted;
use crate::job::runner::Runner;
use octo_core::base::cli::utc_now;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::Places;
use octo_core::tentacle::approval::{Approval, Approver};
use octo_core::tentacle::job::{End, JobDirectory, Pusher};
use octo_core::tentacle::known::OwnThumbprints;
use octo_core::tentacle::spec::Verdict;
use octo_core::tentacle::spec::order::Subjects;
use octo_core::trust::Grant;
use octo_core::{Digest, JobId};

/// Does it.
///
/// # Errors
/// As [`super::obey`].
pub(super) fn obey(
    attempt: &Runner<'_>,
    grant: &Grant,
    verdict: &Verdict,
) -> std::result::Result<End, Unstarted> {
    let places = attempt.places;
    let told = [(verdict.word(), verdict.job().to_string())];
    super::done(attempt, grant, &told, |by| {
        let job = JobDirectory::of(places, verdict.job());
        let approver = attempt.asker().ok_or_else(|| no(job.id(), "nobody asks for it"))?;
        let others = others(places, &job, grant, approver);
        match verdict {
            Verdict::Approve { subjects, .. } => {
                others?;
                let approved = approved_here(places, job.id(), subjects)?;
                let by = Approver::Pusher {
                    name: grant.name.clone(),
                    thumbprint: approver.thumbprint,
                    order: attempt.job.id().clone(),
                    address: approver.address,
                };
                let given = approval::give(places, &job, approved, Approval { by, at: utc_now() })?;
                if given.is_enough() {
                    approval::start(places, &job)?;
                }
                Ok(said(&given))
            }
            Verdict::Deny { reason, .. } => {
                approval::deny(attempt.tool, places, &job, by, reason)?;
                Ok("denied".to_string())
            }
        }
    })
}

/// Nobody approves what he has asked for, by whichever of his keys and names.
fn others(places: &Places, job: &JobDirectory, grant: &Grant, approver: &Pusher) -> Result<()> {
    let held = approval::held_or_approved(job)?;
    let is_own = match held.origin()?.pusher {
        None => false,
        Some(asker) if asker.name == grant.name => true,
        Some(asker) => approval::are_one(places, asker.thumbprint, approver.thumbprint)?,
    };
    match is_own {
        true => {
            let reason = format!("{} has asked for it, and nobody approves his own", grant.name);
            Err(Error::new(Exit::Refused, format!("job {}", job.id()), reason))
        }
        false => Ok(()),
    }
}

/// What is approved on this tentacle. A renewed one still answers to what it was.
fn approved_here(places: &Places, job: &JobId, subjects: &Subjects) -> Result<Digest> {
    let own = OwnThumbprints::load(places)?;
    let mut names = std::iter::once(own.current).chain(own.previous);
    names.find_map(|tentacle| subjects.of(tentacle)).ok_or_else(|| {
        no(job, "what is approved is for other tentacles").hint(format!("octo-push show {job}"))
    })
}

fn no(job: &JobId, reason: &str) -> Error {
    Error::new(Exit::Data, format!("job {job}"), reason)
}

fn said(given: &Given) -> String {
    let Given { count, needs, is_new, .. } = given;
    let others: Vec<String> = given.names.iter().map(|name| printable(name.as_bytes())).collect();
    let by = others.join(", ");
    match (given.is_enough(), is_new) {
        (true, _) => "approved: it starts".to_string(),
        (false, true) => format!("approved: {count} of {needs}, by {by}"),
        (false, false) => {
            format!("is approved by you already: {count} of {needs}; others have to, too")
        }
    }
}
