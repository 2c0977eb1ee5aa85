//! `audit`: does each tentacle's log still hold what it once told us?
//!
//! Every reply carries the head of the tentacle's chain, and the journal keeps
//! it. A chain that was rewritten since can't hold the head that we have.

use crate::cli::call::Call;
use crate::fleet::fan_out::{self, FanOut};
use crate::fleet::select;
use crate::records::journal::file::Journal;
use crate::records::journal::read::RecordedHead;
use crate::target::connection::client_error::ClientError;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::{Outcome, OutcomeKind, OutcomeOrigin};
use crate::target::retry;
use octo_core::base::cli::utc;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::refusal::Refusal;
use octo_core::trust::Verb;
use octo_wire::Request;

/// So many heads are asked for: those since the last proof.
const HEADS: usize = 32;

pub(super) fn run(call: &Call) -> Result<u8> {
    call.said.counted(0..=0)?;
    let Some((screen, context)) = select::begin(call)? else { return Ok(0) };
    let names: Vec<&str> = context.targets.iter().map(|target| target.name.as_str()).collect();
    let heads = Journal::at(&call.common.places).heads(&names, HEADS)?;
    let task = move |context: &Context, reporter: &Reporter| {
        let given = heads.get(context.name(reporter.target));
        prove(context, reporter, given.map_or(&[], Vec::as_slice))
    };
    fan_out::run(screen, context, FanOut { journal: Some(Verb::Audit), ..FanOut::asking(task) })
}

/// Asks the reporter's target to prove these heads, the newest first.
fn prove(context: &Context, reporter: &Reporter, given: &[RecordedHead]) -> Outcome {
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
