//! `cancel`: asks for a job's end.

use crate::cli::call::Call;
use crate::fleet::fan_out::{self, FanOut};
use crate::fleet::select;
use crate::target::attempts;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use crate::target::statement::Statements;
use octo_core::base::error::Result;
use octo_core::base::names::JobId;
use octo_core::trust::Verb;

pub(super) fn run(call: &Call) -> Result<u8> {
    let job = call.job()?;
    let Some((screen, context, record)) = select::begin_of_job(call, &job)? else { return Ok(0) };
    let fan_out = FanOut {
        what: format!("cancel {job}"),
        journal: Some(Verb::Cancel),
        ..FanOut::asking(move |context, reporter| {
            cancel(context, reporter, record.job_of(context.name(reporter.target), &job))
        })
    };
    fan_out::run(screen, context, fan_out)
}

fn cancel(context: &Context, reporter: &Reporter, job: &JobId) -> Outcome {
    let mut statements = Statements::new(&context.client_config, job);
    let asked = match attempts::ask(context, reporter, |client| statements.cancel(client)) {
        Ok(reply) => {
            let state = reply.get("state").unwrap_or("");
            let message = match state {
                "" => "asked to cancel".to_string(),
                state => format!("asked to cancel, was {state}"),
            };
            Outcome { message, ..Outcome::answered(&reply) }
        }
        Err(error) => Outcome::failed(context, error).doubted(statements.until()),
    };
    Outcome { job: Some(job.clone()), ..asked }
}
