//! An application is frozen, or thawed.

use crate::admission::unstarted::Unstarted;
use crate::job::runner::Runner;
use jiff::Timestamp;
use octo_core::base::cli::utc;
use octo_core::base::encoding::printable;
use octo_core::tentacle::job::End;
use octo_core::tentacle::releases::{Freeze, Freezes};
use octo_core::tentacle::spec::Freezing;
use octo_core::trust::Grant;

/// Does it.
///
/// # Errors
/// As [`super::obey`].
pub(super) fn obey(
    attempt: &Runner<'_>,
    grant: &Grant,
    order: &Freezing,
) -> Result<End, Unstarted> {
    let now = Timestamp::now();
    // Held until it is done, so that the audit log has all of them in their order.
    let freezes = Freezes::hold(attempt.places)?;
    let before = freezes.of(order.application(), now);
    super::done(attempt, grant, &told(order, before.as_ref()), |by| {
        match order {
            Freezing::Freeze { application, until, reason } => {
                let (application, until) = (application.clone(), utc(*until));
                let (by, reason) = (by.to_string(), reason.clone());
                freezes.freeze(&Freeze { application, until, by, reason }, now)?;
            }
            Freezing::Thaw { application } => freezes.thaw(application)?,
        }
        Ok(said(order, before.as_ref()))
    })
}

/// What the audit log has of it: what is frozen until when and why, or whose freeze ends.
fn told<'a>(order: &'a Freezing, before: Option<&'a Freeze>) -> Vec<(&'static str, String)> {
    let mut told = vec![(order.word(), order.application().to_string())];
    if let Freezing::Freeze { until, reason, .. } = order {
        told.extend([("until", utc(*until)), ("reason", reason.clone())]);
    }
    if let Some(Freeze { application: _, until, by, reason }) = before {
        told.extend([
            ("was-until", until.clone()),
            ("was-by", by.clone()),
            ("was-reason", reason.clone()),
        ]);
    }
    told
}

/// What its pusher is told.
fn said(order: &Freezing, before: Option<&Freeze>) -> String {
    let was = before.map(|freeze| {
        let reason = printable(freeze.reason.as_bytes());
        format!("it was until {} by {}: {reason}", freeze.until, printable(freeze.by.as_bytes()))
    });
    match (order, was) {
        (Freezing::Freeze { application, until, .. }, None) => {
            format!("{application}: frozen until {}", utc(*until))
        }
        (Freezing::Freeze { application, until, .. }, Some(was)) => {
            format!("{application}: frozen until {}; {was}", utc(*until))
        }
        (Freezing::Thaw { application }, None) => format!("{application}: was not frozen"),
        (Freezing::Thaw { application }, Some(was)) => format!("{application}: thawed; {was}"),
    }
}
