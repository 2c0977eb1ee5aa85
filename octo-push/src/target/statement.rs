//! The statements about one job, each signed for the tentacle that the handshake of
//! this very connection showed.
//!
//! What has left may be taken up until its time is over, whatever is answered: who
//! took a listener over can say no and have the job run all the same.

use crate::target::connection::client::{Client, TlsClient};
use crate::target::connection::client_config::ClientConfig;
use crate::target::connection::client_error::ClientError;
use jiff::Timestamp;
use octo_core::base::cli::utc;
use octo_core::base::error::{Error, Exit};
use octo_core::base::names::JobId;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::tentacle::statement::{Asks, HOLDS_FOR, Statement};
use octo_core::trust::Verb;
use octo_wire::{Duplex, Fields, Request};

/// Makes the statements of one job at one target.
#[derive(Debug)]
pub(crate) struct Statements<'a> {
    client_config: &'a ClientConfig,
    job: &'a JobId,
    until: Option<Timestamp>,
}

/// One that has not left yet.
#[derive(Debug)]
pub(crate) struct SignedStatement {
    bytes: Vec<u8>,
    signature: Vec<u8>,
    until: Timestamp,
}

impl<'a> Statements<'a> {
    pub(crate) fn new(client_config: &'a ClientConfig, job: &'a JobId) -> Statements<'a> {
        Statements { client_config, job, until: None }
    }

    /// Until when one that has left may be taken up.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Signs what is asked for on this connection. After a reconnect it is signed
    /// anew: the tentacle may have shown another of its certificates.
    ///
    /// # Errors
    /// Exit 78, where our key can't sign; nothing has left then.
    pub(crate) fn sign(
        &self,
        client: &TlsClient<'_>,
        asks: Asks,
    ) -> Result<SignedStatement, ClientError> {
        self.sign_for(client.peer(), asks, Timestamp::now())
    }

    fn sign_for(
        &self,
        tentacle: Option<Thumbprint>,
        asks: Asks,
        at: Timestamp,
    ) -> Result<SignedStatement, ClientError> {
        let identity = &self.client_config.identity;
        let unsound = |reason: String| {
            let file = self.client_config.identity_file.display();
            ClientError::Local(Error::new(Exit::Configuration, file, reason))
        };
        let statement = Statement {
            asks,
            job: self.job.clone(),
            tentacle: tentacle.ok_or_else(|| unsound("no certificate to sign for".into()))?,
            pusher: identity.thumbprint(),
            by: self.client_config.by.clone(),
            at,
            until: at + HOLDS_FOR,
        };
        let bytes = statement.encode();
        let signature = identity.sign(&bytes).map_err(unsound)?;
        Ok(SignedStatement { bytes, signature, until: statement.until })
    }

    /// Makes the request that was signed; `rest` stands behind it in the body.
    ///
    /// # Errors
    /// As [`Client::ask`]; it may have left.
    pub(crate) fn ask<S: Duplex>(
        &mut self,
        client: &mut Client<'_, S>,
        signed: &SignedStatement,
        request: Request,
        rest: &[&[u8]],
    ) -> Result<Fields, ClientError> {
        let body = [&signed.bytes, &signed.signature, rest.concat().as_slice()].concat();
        let request = request
            .with("request", signed.bytes.len())
            .with("signature", signed.signature.len())
            .with("body", body.len());
        // From the first byte on it may arrive, whatever becomes of us.
        self.until = self.until.max(Some(signed.until));
        client.ask(&request, &body)
    }

    /// Asks on this connection for the job's end.
    ///
    /// # Errors
    /// As [`Statements::sign`] and [`Client::ask`].
    pub(crate) fn cancel(&mut self, client: &mut TlsClient<'_>) -> Result<Fields, ClientError> {
        let signed = self.sign(client, Asks::Cancel)?;
        self.ask(client, &signed, Request::new(Verb::Cancel).with("job", self.job), &[])
    }
}

/// What is said of an end that a statement which has left may still belie.
pub(crate) fn doubted(message: String, until: Option<Timestamp>) -> String {
    match until {
        None => message,
        Some(until) => format!("{message}; not certain before {}", utc(until)),
    }
}
