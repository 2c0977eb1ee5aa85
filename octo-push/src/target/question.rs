//! The question before a put: would the job be accepted? Nothing is sent for one that
//! wouldn't. A yes is no promise: the request itself is judged again.

use crate::target::connection::client::TlsClient;
use crate::target::connection::client_error::ClientError;
use crate::target::request::JobPlan;
use octo_core::base::names::JobId;
use octo_core::base::refusal::Refusal;
use octo_core::targets::Target;
use octo_core::tentacle::spec::draft::Destination;
use octo_core::trust::Verb;
use octo_wire::Request;

/// The questions to one target.
#[derive(Debug, Default)]
pub(crate) struct Question {
    /// The tentacle is too old to know any.
    is_unknown: bool,
}

impl Question {
    /// Was one asked that is not understood there?
    pub(crate) fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// Asks.
    ///
    /// # Errors
    /// The refusal, with where each variable that it names was said; what can go wrong with
    /// the connection. A tentacle that knows no question is lost, and not asked again.
    pub(crate) fn ask(
        &mut self,
        client: &mut TlsClient<'_>,
        target: &Target,
        plan: &JobPlan,
        job: &JobId,
    ) -> Result<(), ClientError> {
        if self.is_unknown {
            return Ok(());
        }
        let parts = plan.request(target.name.as_str(), job).map_err(ClientError::Local)?;
        let question = Request::new(Verb::Run)
            .with("job", job)
            .with("size", parts.spec.len() + parts.script.len() + parts.secrets.len())
            .with("body", parts.spec.len());
        match client.ask(&question, &parts.spec) {
            Ok(_) => Ok(()),
            Err(ClientError::Refused(Refusal::Unsupported, error)) => {
                self.is_unknown = true;
                // It closes after that: connect again, and send all of it.
                Err(ClientError::Lost(error))
            }
            Err(error) => Err(located(client, plan, target, error)),
        }
    }
}

/// A refusal of variables, with where each was said.
pub(crate) fn located(
    client: &TlsClient<'_>,
    plan: &JobPlan,
    target: &Target,
    error: ClientError,
) -> ClientError {
    match error {
        ClientError::Refused(refusal, error) => {
            let there = Destination::Target(target.name.as_str());
            let error = plan.draft.located(there, &client.refused_variables(), error);
            ClientError::Refused(refusal, error)
        }
        other => other,
    }
}
