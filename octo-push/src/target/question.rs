//! The question before a put: would the job be accepted? Nothing is sent for one that
//! wouldn't. A yes is no promise: the request itself is judged again.

use crate::target::connection::client::TlsClient;
use crate::target::connection::client_error::ClientError;
use crate::target::request::JobPlan;
use octo_core::base::names::JobId;
use octo_core::targets::Target;
use octo_core::tentacle::spec::draft::Destination;
use octo_core::trust::Verb;
use octo_wire::Request;

/// What a yes is told as.
pub(crate) const YES: &str = "would be accepted";

/// Asks.
///
/// # Errors
/// The refusal, with where each variable that it names was said; what can go wrong with
/// the connection.
pub(crate) fn ask(
    client: &mut TlsClient<'_>,
    target: &Target,
    plan: &JobPlan,
    job: &JobId,
) -> Result<(), ClientError> {
    let parts = plan.request(target.name.as_str(), job).map_err(ClientError::Local)?;
    let question = Request::new(Verb::Run)
        .with("job", job)
        .with("size", parts.size())
        .with("body", parts.spec.len());
    let answer = client.ask(&question, &parts.spec);
    answer.map(drop).map_err(|error| located(plan, target, error))
}

/// A refusal of variables, with where each was said.
pub(crate) fn located(plan: &JobPlan, target: &Target, error: ClientError) -> ClientError {
    match error {
        ClientError::Refused(refusal, error, variables) => {
            let there = Destination::Target(target.name.as_str());
            let names: Vec<&str> = variables.iter().map(String::as_str).collect();
            let error = plan.draft.located(there, &names, error);
            ClientError::Refused(refusal, error, variables)
        }
        other => other,
    }
}
