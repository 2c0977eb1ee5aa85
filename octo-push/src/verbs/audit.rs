//! `audit`: does each tentacle's log still hold what it once told us?
//!
//! Every reply carries the head of the tentacle's chain, and the journal keeps
//! it. A chain that was rewritten since can't hold the head that we have.

use crate::records::journal::file::Journal;
use crate::records::journal::read::RecordedHead;
use crate::target::connection::client_error::ClientError;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::{Outcome, OutcomeKind, OutcomeOrigin};
use crate::target::retry;
use octo_core::base::cli::utc;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::Places;
use octo_core::base::refusal::Refusal;
use octo_core::trust::Verb;
use octo_wire::Request;
use std::collections::HashMap;

/// So many heads are asked for: those since the last proof.
const HEADS: usize = 32;

/// The heads on record, by target.
///
/// # Errors
/// Exit 74, where the journal can't be read.
pub(crate) fn heads(
    places: &Places,
    targets: &[&str],
) -> Result<HashMap<String, Vec<RecordedHead>>> {
    Journal::at(places).heads(targets, HEADS)
}

/// Asks the reporter's target to prove these heads, the newest first.
pub(crate) fn prove(context: &Context, reporter: &Reporter, given: &[RecordedHead]) -> Outcome {
    if given.is_empty() {
        reporter.note("no audit head is on record yet: nothing to prove");
        return Outcome::done();
    }
    let mut proved = 0;
    let answer = retry::ask(context, reporter, |client| {
        proved = 0;
        let mut last = None;
        for head in given {
            let request =
                Request::new(Verb::Audit).with("seq", head.head.seq).with("head", head.head.hash);
            match client.ask(&request, b"") {
                Ok(reply) => {
                    proved += 1;
                    last.get_or_insert(reply);
                }
                // Its older lines were rotated away: what is newer is proved.
                Err(ClientError::Refused(Refusal::Missing, _)) if proved > 0 => break,
                Err(ClientError::Refused(Refusal::Mismatch, error)) => {
                    return Err(ClientError::Refused(Refusal::Mismatch, rewritten(head, error)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    });
    match answer {
        Ok(reply) => Outcome {
            message: format!("{proved} of {} heads hold", given.len()),
            ..reply.as_ref().map_or_else(Outcome::done, Outcome::answered)
        },
        Err(ClientError::Refused(refusal, error)) => {
            Outcome::error(OutcomeKind::Refused(refusal), OutcomeOrigin::Tentacle, error)
        }
        Err(error) => Outcome::failed(context, error),
    }
}

fn rewritten(given: &RecordedHead, error: Error) -> Error {
    let object = format!("audit head {} of {}", given.head.seq, utc(given.time));
    Error::new(Exit::Data, object, "no longer stands: its audit log was changed since")
        .hint(format!("the tentacle said: {}", error.message))
        .hint("on the target: octo-listen --check-audit")
}
