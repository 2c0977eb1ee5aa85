//! What can go wrong with a request: in its class, which decides whether it is tried
//! again, and in words.

use crate::target::connection::first_contact::{self, Introduction};
use crate::target::connection::via::Via;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit};
use octo_core::base::refusal::Refusal;
use octo_core::base::thumbprint::Thumbprint;
use octo_wire::{Failure, Fields};

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// No connection: nothing answers there. Trying again is up to the person.
    Unreachable(Error),
    /// The program that was to be the connection has ended by itself. A login that is refused
    /// is refused again, and in the end for good.
    Ended(Error),
    /// The connection broke or fell silent. Trying again may help.
    Lost(Error),
    /// The time for it is over, however lively the tentacle is. Trying again would begin
    /// another wait.
    Overdue(Error),
    /// We are unknown there, or the tentacle is not who it should be: then its
    /// thumbprint.
    Untrusted(Option<Thumbprint>, Error),
    /// It says no; with the variables that it refuses, if it names any.
    Refused(Refusal, Error, Vec<String>),
    /// What speaks there is no tentacle, or not as it should.
    Protocol(Error),
    /// Something here can't be read or written.
    Local(Error),
}

impl ClientError {
    /// The error in it.
    pub(crate) fn into_error(self) -> Error {
        self.error().clone()
    }

    /// The error in it, where it stays what it is.
    pub(crate) fn error(&self) -> &Error {
        match self {
            ClientError::Unreachable(error)
            | ClientError::Ended(error)
            | ClientError::Lost(error)
            | ClientError::Overdue(error)
            | ClientError::Untrusted(_, error)
            | ClientError::Refused(_, error, _)
            | ClientError::Protocol(error)
            | ClientError::Local(error) => error,
        }
    }

    /// Of the same class, in other words.
    pub(crate) fn with(self, error: Error) -> ClientError {
        match self {
            ClientError::Unreachable(_) => ClientError::Unreachable(error),
            ClientError::Ended(_) => ClientError::Ended(error),
            ClientError::Lost(_) => ClientError::Lost(error),
            ClientError::Overdue(_) => ClientError::Overdue(error),
            ClientError::Untrusted(seen, _) => ClientError::Untrusted(seen, error),
            ClientError::Refused(refusal, _, names) => ClientError::Refused(refusal, error, names),
            ClientError::Protocol(_) => ClientError::Protocol(error),
            ClientError::Local(_) => ClientError::Local(error),
        }
    }

    /// What a `no` says.
    pub(crate) fn of_refusal(introduction: &Introduction, via: Via, said: &Fields) -> ClientError {
        let word = said.get("code").unwrap_or("");
        let reason = said.get("reason").unwrap_or("");
        let Some(refusal) = Refusal::from_word(word) else {
            let shown = match word {
                "" => "without a code".into(),
                _ => format!("for an unknown code {}", printable(word.as_bytes())),
            };
            let reason = format!("refused {shown}: {reason}");
            return ClientError::Protocol(Error::new(Exit::Protocol, via, reason));
        };
        let reason = if reason.is_empty() { "no reason given" } else { reason };
        let error = Error::new(refusal.exit(), refusal, reason);
        let error = first_contact::hint_on_refusal(introduction, refusal, error);
        let variables: &str = said.get("variables").unwrap_or("");
        let variables = variables.split(',').filter(|name| !name.is_empty());
        ClientError::Refused(refusal, error, variables.map(String::from).collect())
    }

    /// What a failure of the connection means.
    pub(crate) fn of_failure(
        introduction: &Introduction,
        via: Via,
        failure: Failure,
    ) -> ClientError {
        match failure {
            Failure::Refused => {
                ClientError::Untrusted(None, first_contact::we_are_unknown(introduction, via))
            }
            Failure::Undecided => ClientError::Refused(
                Refusal::Policy,
                first_contact::nobody_is_let_in(introduction, via),
                Vec::new(),
            ),
            Failure::Unexpected { expected, seen } => ClientError::Untrusted(
                Some(seen),
                first_contact::it_is_another(introduction, via, &expected, seen),
            ),
            Failure::Untrusted(reason) => ClientError::Untrusted(
                None,
                Error::new(
                    Exit::Refused,
                    via,
                    format!("its certificate is not accepted: {reason}"),
                ),
            ),
            Failure::Unusable(reason) => {
                ClientError::Local(Error::new(Exit::Configuration, via, reason))
            }
            Failure::OtherProtocol(what) => ClientError::Protocol(
                Error::new(Exit::Protocol, via, what)
                    .hint("is this the port of octo-listen? its default is 10933"),
            ),
            Failure::Malformed(_) => {
                ClientError::Protocol(Error::new(Exit::Protocol, via, failure))
            }
            Failure::TimedOut => {
                ClientError::Lost(Error::new(Exit::Unavailable, via, "the connection fell silent"))
            }
            Failure::Truncated | Failure::Damaged | Failure::Io(_) => {
                ClientError::Lost(Error::new(Exit::Unavailable, via, failure))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::targets::Targets;
    use octo_wire::StreamWord;
    use std::path::Path;

    /// Where each was said is told of these, and of those of no other refusal.
    #[test]
    fn a_refusal_carries_the_variables_that_it_names() {
        let thumbprint = Thumbprint::of_certificate(b"x");
        let us = Introduction { thumbprint, name: "ann".into(), config: "/c".into() };
        let targets = Targets::parse(Path::new("t"), b"web1 h webpki\n").expect("sound");
        let via = Via { target: &targets.all[0], road: None };
        let no = Fields::of(StreamWord::No).with("code", "denied");
        for (said, wanted) in [
            (no.clone().with("variables", "A,B"), &["A", "B"][..]),
            (no.clone().with("variables", "A"), &["A"]),
            (no, &[]),
        ] {
            match ClientError::of_refusal(&us, via, &said) {
                ClientError::Refused(_, _, variables) => assert_eq!(variables, wanted),
                other => panic!("{other:?}"),
            }
        }
    }
}
