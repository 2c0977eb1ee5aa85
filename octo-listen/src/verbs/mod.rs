//! The verbs, one a file; each is a function from a request to its answer.

mod approvals;
mod audit;
mod cancel;
mod follow;
mod get;
mod jobs;
pub(crate) mod put;
mod question;
pub(crate) mod releases;
mod run;
mod scripts;
mod statement;
mod status;

use crate::host::No;
use crate::session::{Answer, Ended, Session};
use octo_core::Refusal;
use octo_core::trust::Verb;
use octo_wire::{Duplex, Request};

/// The answer to a request, by its verb.
pub(crate) fn answer<S: Duplex>(
    session: &mut Session<'_, S>,
    request: &Request,
) -> Result<Answer, Ended> {
    let fields = &request.fields;
    match request.verb {
        // `Request::read` gives no such verb: only the trust file's judge knows them.
        Verb::Connect | Verb::Freeze | Verb::Approve | Verb::Fetch => {
            let reason = format!("{} is no request", request.verb);
            Err(Ended::No(No::new(Refusal::Unsupported, reason)))
        }
        Verb::Status => status::status(session),
        Verb::Releases => releases::releases(session),
        Verb::Put => put::put(session, fields),
        Verb::Run if question::is_one(fields) => question::question(session, fields),
        Verb::Run => run::run(session, fields),
        Verb::Held => approvals::held::held(session),
        Verb::Show => approvals::show::show(session, fields),
        Verb::Follow => follow::follow(session, fields),
        Verb::Cancel => cancel::cancel(session, fields),
        Verb::Jobs => jobs::jobs(session),
        Verb::Get => get::get(session, fields),
        Verb::Scripts => scripts::scripts(session),
        Verb::Audit => audit::audit(session, fields),
    }
}
