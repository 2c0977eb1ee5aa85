//! One authenticated connection to one tentacle, and what can go wrong on it.

use crate::target::connection::dial::{Link, Transport, dial};
use crate::target::connection::first_contact;
use octo_core::base::error::{Error, Exit};
use octo_core::base::refusal::Refusal;
use octo_core::base::thumbprint::Thumbprint;
use octo_core::base::units::human_duration;
use octo_core::targets::Target;
use octo_wire::connection::Heard;
use octo_wire::pace::LOST_AFTER;
use octo_wire::{Channel, Connection, Duplex, Failure, Identity, Message, TlsStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A list or a set of outputs larger than this is no list.
const LARGEST_LIST: u64 = 64 << 20;

/// Who we are, and how we connect: the same for all targets.
#[derive(Debug, Clone)]
pub(crate) struct ClientConfig {
    /// Our key and certificate.
    pub(crate) identity: Identity,
    /// What our name is for the admin of a tentacle that doesn't know us.
    pub(crate) name: String,
    /// user@host, as we claim to be.
    pub(crate) by: String,
    /// CONFIG, for hints.
    pub(crate) config: PathBuf,
    /// `-P`
    pub(crate) transport: Option<Vec<String>>,
}

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// No connection: nothing answers there. Trying again is up to the person.
    Unreachable(Error),
    /// The connection broke or fell silent. Trying again may help.
    Lost(Error),
    /// We are unknown there, or the tentacle is not who it should be.
    Untrusted(Error),
    /// The tentacle said no.
    Refused(Refusal, Error),
    /// What speaks there is no tentacle, or not as it should.
    Protocol(Error),
    /// Something here can't be read or written.
    Local(Error),
}

impl ClientError {
    /// The error in it.
    pub(crate) fn into_error(self) -> Error {
        match self {
            ClientError::Unreachable(error)
            | ClientError::Lost(error)
            | ClientError::Untrusted(error)
            | ClientError::Refused(_, error)
            | ClientError::Protocol(error)
            | ClientError::Local(error) => error,
        }
    }
}

/// A connection on which requests can be made.
pub(crate) struct Client<'a> {
    client_config: &'a ClientConfig,
    target: &'a Target,
    connection: Connection<TlsStream>,
    /// Ends with the connection.
    _transport: Option<Transport>,
}

impl<'a> Client<'a> {
    /// Connects and shakes hands within `wait`.
    pub(crate) fn open(
        client_config: &'a ClientConfig,
        target: &'a Target,
        wait: Duration,
    ) -> Result<Client<'a>, ClientError> {
        let until = Instant::now() + wait;
        let link = dial(target, client_config.transport.as_deref(), wait)
            .map_err(ClientError::Unreachable)?;
        let (channel, transport) = match link {
            Link::Tcp(stream) => (Channel::tcp(stream), None),
            Link::Program(stream, child) => (Channel::new(stream.into(), None), Some(child)),
        };
        let mut channel = channel.map_err(|error| {
            let reason = octo_core::base::error::describe(&error);
            ClientError::Local(Error::new(Exit::Io, &target.address, reason))
        })?;
        channel.set_deadline(Some(until));
        let (trust, host) = (&target.trust, target.address.host());
        let stream = TlsStream::connect(&client_config.identity, channel, trust, host);
        let mut stream = stream.map_err(|failure| match failure {
            Failure::TimedOut => ClientError::Lost(
                Error::new(
                    Exit::Unavailable,
                    &target.address,
                    format!("no TLS handshake within {}", human_duration(wait)),
                )
                .hint("something listens there, but doesn't answer: is it octo-listen?"),
            ),
            other => explain(client_config, target, other),
        })?;
        stream.set_deadline(None);
        stream.set_idle(Some(LOST_AFTER));
        Ok(Client {
            client_config,
            target,
            connection: Connection::new(stream),
            _transport: transport,
        })
    }

    /// The thumbprint that the tentacle showed.
    pub(crate) fn peer(&self) -> Option<Thumbprint> {
        self.connection.stream().peer()
    }

    /// Nothing on this connection goes on after this moment.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.connection.stream_mut().set_deadline(deadline);
    }

    /// Makes a request and waits for its reply, which is `ok`.
    pub(crate) fn ask(&mut self, request: &Message, body: &[u8]) -> Result<Message, ClientError> {
        self.send(request, body).map_err(|failure| self.after_write(failure))?;
        self.reply()
    }

    /// Sends a request and does not wait for its reply.
    pub(crate) fn send(&mut self, request: &Message, body: &[u8]) -> Result<(), Failure> {
        self.connection.send(request, body)
    }

    /// Sends a request whose body follows by [`Client::send_bytes`].
    pub(crate) fn send_line(&mut self, request: &Message) -> Result<(), Failure> {
        self.connection.send_line(request)
    }

    /// Sends bytes that the tentacle waits for.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.connection.send_bytes(bytes)
    }

    /// What a failed write means: the tentacle may have said why before it
    /// closed, and that tells more than the broken pipe.
    pub(crate) fn after_write(&mut self, failure: Failure) -> ClientError {
        if matches!(failure, Failure::Truncated) {
            self.connection.stream_mut().set_idle(Some(Duration::from_secs(1)));
            match self.reply() {
                Err(error @ (ClientError::Refused(..) | ClientError::Untrusted(_))) => {
                    return error;
                }
                _ => self.connection.stream_mut().set_idle(Some(LOST_AFTER)),
            }
        }
        self.explain(failure)
    }

    /// Looks whether the tentacle said something before its turn.
    ///
    /// # Errors
    /// What it said, or that it left.
    pub(crate) fn hear(&mut self) -> Result<(), ClientError> {
        match self.connection.heard() {
            Ok(Heard::Nothing) => Ok(()),
            Ok(Heard::Farewell) => Err(self.explain(Failure::Truncated)),
            Ok(Heard::Bytes) => {
                let early = self.reply()?;
                Err(self.explain(Failure::Malformed(format!("an early {}", early.word()))))
            }
            Err(failure) => Err(self.explain(failure)),
        }
    }

    /// Waits for the reply: `ok`, or the error that it says.
    pub(crate) fn reply(&mut self) -> Result<Message, ClientError> {
        loop {
            let message = self.next()?;
            match message.word() {
                "ok" => return Ok(message),
                "no" => return Err(self.refused(&message)),
                "tick" => self.skip(&message)?,
                other => {
                    let reason = format!("an unexpected {other}");
                    return Err(self.explain(Failure::Malformed(reason)));
                }
            }
        }
    }

    /// The next message of a reply or a stream.
    pub(crate) fn next(&mut self) -> Result<Message, ClientError> {
        match self.connection.read_message() {
            Ok(Some(message)) => Ok(message),
            // A farewell before the final reply is as good as a cut.
            Ok(None) => Err(self.explain(Failure::Truncated)),
            Err(failure) => Err(self.explain(failure)),
        }
    }

    /// Passes over the body of a message that we don't know.
    pub(crate) fn skip(&mut self, message: &Message) -> Result<(), ClientError> {
        let skipped = message.body().and_then(|length| self.connection.skip_body(length));
        skipped.map_err(|failure| self.explain(failure))
    }

    /// The whole body of a reply.
    pub(crate) fn body(&mut self, message: &Message) -> Result<Vec<u8>, ClientError> {
        let body =
            message.body().and_then(|length| self.connection.read_body(length, LARGEST_LIST));
        body.map_err(|failure| self.explain(failure))
    }

    /// The body of a reply, piece by piece.
    pub(crate) fn pieces(
        &mut self,
        length: u64,
        mut each: impl FnMut(&[u8]) -> octo_core::Result<()>,
    ) -> Result<(), ClientError> {
        let mut piece = vec![0; length.min(64 * 1024) as usize];
        let mut body = self.connection.body(length);
        loop {
            match body.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => each(&piece[..count]).map_err(ClientError::Local)?,
                Err(failure) => return Err(self.explain(failure)),
            }
        }
    }

    /// Says farewell; the peer has told all, so that no answer matters.
    pub(crate) fn close(mut self) {
        let _ = self.connection.close();
    }

    /// What a `no` says.
    pub(crate) fn refused(&self, message: &Message) -> ClientError {
        refused(self.client_config, self.target, message)
    }

    /// What came makes no sense.
    pub(crate) fn wrong(&self, failure: Failure) -> ClientError {
        self.explain(failure)
    }

    fn explain(&self, failure: Failure) -> ClientError {
        explain(self.client_config, self.target, failure)
    }
}

/// A `no` in words.
fn refused(client_config: &ClientConfig, target: &Target, message: &Message) -> ClientError {
    let word = message.text("code").unwrap_or("");
    let reason = message.text("reason").unwrap_or("");
    let Some(refusal) = Refusal::from_word(word) else {
        let said = octo_core::base::encoding::printable(word.as_bytes());
        let reason = format!("refused for an unknown code {said}: {reason}");
        return ClientError::Protocol(Error::new(Exit::Protocol, &target.address, reason));
    };
    let reason = if reason.is_empty() { "no reason given" } else { reason };
    let error = Error::new(refusal.exit(), refusal, reason);
    ClientError::Refused(refusal, first_contact::hint_on_refusal(client_config, refusal, error))
}

/// A failure of the connection in words, and in its class.
fn explain(client_config: &ClientConfig, target: &Target, failure: Failure) -> ClientError {
    let address = &target.address;
    match failure {
        Failure::Refused => {
            ClientError::Untrusted(first_contact::we_are_unknown(client_config, target))
        }
        Failure::Unexpected { expected, seen } => ClientError::Untrusted(
            first_contact::it_is_another(client_config, target, &expected, seen),
        ),
        Failure::Untrusted(reason) => ClientError::Untrusted(Error::new(
            Exit::Refused,
            address,
            format!("its certificate is not accepted: {reason}"),
        )),
        Failure::Unusable(reason) => {
            ClientError::Local(Error::new(Exit::Configuration, address, reason))
        }
        Failure::OtherProtocol(what) => ClientError::Protocol(
            Error::new(Exit::Protocol, address, what)
                .hint("is this the port of octo-listen? its default is 10933"),
        ),
        Failure::Malformed(_) => {
            ClientError::Protocol(Error::new(Exit::Protocol, address, failure))
        }
        Failure::TimedOut => {
            ClientError::Lost(Error::new(Exit::Unavailable, address, "the connection fell silent"))
        }
        Failure::Truncated | Failure::Damaged | Failure::Io(_) => {
            ClientError::Lost(Error::new(Exit::Unavailable, address, failure))
        }
    }
}
