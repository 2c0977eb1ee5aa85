//! `audit`: do each tentacle's logs still hold what it once told us?
//!
//! Every reply carries the heads of both chains, the listener's and octo-exec's, and
//! the journal keeps them. A chain that was rewritten since can't hold the head that
//! we have.

use crate::cli::call::Call;
use crate::fleet::fan_out::{self, FanOut};
use crate::fleet::select;
use crate::records::journal::entry::Chain;
use crate::records::journal::file::Journal;
use crate::records::journal::read::RecordedHead;
use crate::target::attempts;
use crate::target::connection::client::TlsClient;
use crate::target::connection::client_error::ClientError;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::{Outcome, OutcomeKind, OutcomeOrigin};
use octo_core::base::cli::utc;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::refusal::Refusal;
use octo_core::trust::Verb;
use octo_wire::{Fields, Request};

/// So many heads of a log are asked for: those since the last proof.
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
    let answer = attempts::ask(context, reporter, |client| {
        let mut replies = Vec::new();
        for chain in Chain::ALL {
            prove_chain(client, given.iter().filter(|head| head.chain == chain), &mut replies)?;
        }
        Ok(replies)
    });
    match answer {
        Ok(replies) => Outcome {
            message: format!("{} of {} heads hold", replies.len(), given.len()),
            ..replies.first().map_or_else(Outcome::done, Outcome::answered)
        },
        Err(ClientError::Refused(refusal, error, _)) => {
            Outcome::error(OutcomeKind::Refused(refusal), OutcomeOrigin::Tentacle, error)
        }
        Err(error) => Outcome::failed(context, error),
    }
}

/// Asks for these heads of one log; a reply for each that holds.
fn prove_chain<'a>(
    client: &mut TlsClient<'_>,
    given: impl Iterator<Item = &'a RecordedHead>,
    replies: &mut Vec<Fields>,
) -> std::result::Result<(), ClientError> {
    let before = replies.len();
    for head in given {
        match client.ask(&question(head), b"") {
            Ok(reply) => replies.push(reply),
            // Its older lines were rotated away: what is newer is proved.
            Err(ClientError::Refused(Refusal::Missing, ..)) if replies.len() > before => break,
            Err(ClientError::Refused(refusal @ Refusal::Mismatch, error, variables)) => {
                return Err(ClientError::Refused(refusal, rewritten(head, error), variables));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn question(given: &RecordedHead) -> Request {
    let request =
        Request::new(Verb::Audit).with("seq", given.head.seq).with("head", given.head.hash);
    match given.chain {
        Chain::Listener => request,
        Chain::Exec => request.with("chain", "exec"),
    }
}

fn rewritten(given: &RecordedHead, error: Error) -> Error {
    let whose = match given.chain {
        Chain::Listener => "audit head",
        Chain::Exec => "octo-exec's audit head",
    };
    let object = format!("{whose} {} of {}", given.head.seq, utc(given.time));
    Error::new(Exit::Data, object, "no longer stands: its audit log was changed since")
        .hint(format!("the tentacle said: {}", error.message))
        .hint("on the target: octo-listen --check-audit")
}
