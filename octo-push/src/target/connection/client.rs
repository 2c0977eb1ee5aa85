//! One authenticated connection to one tentacle.

use crate::records::heads::heard::Watch;
use crate::target::connection::client_error::ClientError;
use crate::target::connection::deadlines::{Awaited, Deadlines, over_limit};
use crate::target::connection::first_contact::Introduction;
use crate::target::connection::throttle::{PIECE, Throttle, pieces};
use crate::target::connection::transport::Transport;
use crate::target::connection::via::Via;
use octo_core::base::error::{Error, Exit};
use octo_core::base::thumbprint::Thumbprint;
use octo_core::trust::Verb;
use octo_wire::connection::Heard;
use octo_wire::pace::LOST_AFTER;
use octo_wire::reply::streamed;
use octo_wire::{
    Connection, Duplex, Failure, Fields, Message, Reply, Request, StreamWord, TlsStream,
};
use std::time::{Duration, Instant};

/// How long what a peer said before it left is looked for, and how long it is told of our leaving.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// No list and no set of outputs is longer.
const LARGEST_LIST: u64 = 64 << 20;

/// A connection on which requests can be made: over TLS, or over plain bytes in tests.
#[derive(Debug)]
pub(crate) struct Client<'a, S> {
    introduction: &'a Introduction,
    via: Via<'a>,
    connection: Connection<S>,
    /// Who listens to what each message says of the audit logs.
    pub(crate) watch: Watch,
    /// What was asked last.
    asked: Verb,
    deadlines: Deadlines,
    pub(super) throttle: Option<&'a Throttle>,
    /// What is waited for now, and until when.
    awaited: Awaited,
    expires: Option<Instant>,
    /// Ends with the connection.
    pub(super) transport: Option<Transport>,
}

/// The client of all tentacles.
pub(crate) type TlsClient<'a> = Client<'a, TlsStream>;

impl<'a> TlsClient<'a> {
    /// The thumbprint that the tentacle showed.
    pub(crate) fn peer(&self) -> Option<Thumbprint> {
        self.connection.stream().peer()
    }
}

impl<'a, S: Duplex> Client<'a, S> {
    /// A client over an established stream.
    pub(crate) fn over(introduction: &'a Introduction, via: Via<'a>, stream: S) -> Client<'a, S> {
        let mut client = Client {
            introduction,
            via,
            connection: Connection::new(stream),
            watch: Watch::default(),
            asked: Verb::Connect,
            deadlines: Deadlines::default(),
            throttle: None,
            awaited: Awaited::Bytes,
            expires: None,
            transport: None,
        };
        client.flows();
        client
    }

    /// The time that this connection has, from the next request on.
    pub(crate) fn set_deadlines(&mut self, deadlines: Deadlines) {
        self.deadlines = deadlines;
        self.flows();
    }

    /// What comes next is no answer, and may take as long as it flows.
    pub(crate) fn flows(&mut self) {
        self.expect(Awaited::Bytes, self.deadlines.until);
    }

    /// An answer is waited for, for which so many bytes have to be worked on.
    fn questions(&mut self, work: u64) {
        let time = self.deadlines.answer(work);
        self.expect(Awaited::Answer(time), self.deadlines.within(time));
    }

    fn expect(&mut self, awaited: Awaited, expires: Option<Instant>) {
        (self.awaited, self.expires) = (awaited, expires);
        self.connection.stream_mut().set_deadline(expires);
    }

    /// Makes a request and waits for its reply.
    ///
    /// # Errors
    /// A refusal, and all that can go wrong with the connection.
    pub(crate) fn ask(&mut self, request: &Request, body: &[u8]) -> Result<Fields, ClientError> {
        self.asked = request.verb;
        if body.len() <= PIECE && self.throttle.is_none() {
            self.questions(0);
            let sent = self.connection.send(request.fields.message(), body);
            sent.map_err(|failure| self.after_write(failure))?;
            return self.hear_reply();
        }
        self.send_line(request)?;
        self.send_bytes(body)?;
        self.reply(0)
    }

    /// As [`Client::ask`], where the tentacle may have to work on so many bytes first.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) fn ask_about(
        &mut self,
        request: &Request,
        work: u64,
    ) -> Result<Fields, ClientError> {
        self.send_line(request)?;
        self.reply(work)
    }

    /// Sends a request whose body follows by [`Client::send_bytes`].
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) fn send_line(&mut self, request: &Request) -> Result<(), ClientError> {
        self.asked = request.verb;
        let line = request.fields.message().encode().map_err(|failure| self.explain(failure))?;
        self.send_bytes(&line)
    }

    /// Sends the line of a part, whose body follows by [`Client::send_bytes`]; says how long
    /// it is.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) fn send_part(&mut self, part: &Fields) -> Result<u64, ClientError> {
        let line = part.message().encode().map_err(|failure| self.explain(failure))?;
        self.send_bytes(&line).map(|()| line.len() as u64)
    }

    /// Sends bytes that the tentacle waits for.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        pieces(self.throttle, self.via.target, bytes, |piece, waited| {
            self.deadlines.waited(waited);
            self.flows_out(piece.len());
            self.connection.send_bytes(piece).map_err(|failure| self.after_write(failure))
        })
    }

    /// A peer that takes a byte a minute is none that takes bytes.
    fn flows_out(&mut self, count: usize) {
        self.expect(Awaited::Bytes, self.deadlines.within(Deadlines::sending(count)));
    }

    /// What a failed write means: the tentacle may have said why before it
    /// closed, and that tells more than the broken pipe.
    fn after_write(&mut self, failure: Failure) -> ClientError {
        if matches!(failure, Failure::Truncated) {
            self.expect(Awaited::Bytes, self.deadlines.within(LAST_WORDS));
            if let Err(error @ (ClientError::Refused(..) | ClientError::Untrusted(..))) =
                self.hear_reply()
            {
                return error;
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
                // It spoke, so that all of it has to come: who waits for bytes of ours has
                // no reason to drip.
                self.expect(Awaited::Bytes, self.deadlines.within(LOST_AFTER));
                match self.part_of_reply()? {
                    None => Ok(()),
                    Some(_) => Err(self.explain(Failure::Malformed("an early ok".into()))),
                }
            }
            Err(failure) => Err(self.explain(failure)),
        }
    }

    /// Waits for the reply to what was asked last, for which the tentacle may have to work
    /// on so many bytes.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) fn reply(&mut self, work: u64) -> Result<Fields, ClientError> {
        self.questions(work);
        self.hear_reply()
    }

    fn hear_reply(&mut self) -> Result<Fields, ClientError> {
        loop {
            if let Some(said) = self.part_of_reply()? {
                return Ok(said);
            }
        }
    }

    /// What it says, `None` for a tick.
    fn part_of_reply(&mut self) -> Result<Option<Fields>, ClientError> {
        let message = self.message()?;
        match Reply::read(self.asked, message).map_err(|failure| self.explain(failure))? {
            Reply::Ok(said) => Ok(Some(said)),
            Reply::No(said) => Err(self.refused(&said)),
            Reply::Tick(said) => self.skip(&said).map(|()| None),
        }
    }

    /// The next message of a stream; its word, if we know it.
    ///
    /// # Errors
    /// What can go wrong with the connection.
    pub(crate) fn next(&mut self) -> Result<(Option<StreamWord>, Fields), ClientError> {
        let message = self.message()?;
        streamed(message).map_err(|failure| self.explain(failure))
    }

    fn message(&mut self) -> Result<Message, ClientError> {
        match self.connection.read_message() {
            Ok(Some(message)) => {
                self.watch.hear(|key| message.text(key));
                Ok(message)
            }
            // A farewell before the final reply is a connection that broke.
            Ok(None) => Err(self.explain(Failure::Truncated)),
            Err(failure) => Err(self.explain(failure)),
        }
    }

    /// Passes over the body of a message.
    ///
    /// # Errors
    /// What can go wrong with the connection.
    pub(crate) fn skip(&mut self, said: &Fields) -> Result<(), ClientError> {
        self.connection.skip_body(said.body()).map_err(|failure| self.explain(failure))
    }

    /// The whole body of a message.
    ///
    /// # Errors
    /// As [`Client::skip`], and where it is too long.
    pub(crate) fn body(&mut self, said: &Fields) -> Result<Vec<u8>, ClientError> {
        let body = self.connection.read_body(said.body(), LARGEST_LIST);
        body.map_err(|failure| self.explain(failure))
    }

    /// A body, piece by piece.
    ///
    /// # Errors
    /// As [`Client::skip`], and those of `each`.
    pub(crate) fn pieces(
        &mut self,
        length: u64,
        mut each: impl FnMut(Vec<u8>) -> octo_core::Result<()>,
    ) -> Result<(), ClientError> {
        let mut body = self.connection.body(length);
        loop {
            let mut piece = vec![0; body.left().min(PIECE as u64) as usize];
            match body.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    piece.truncate(count);
                    each(piece).map_err(ClientError::Local)?;
                }
                Err(failure) => return Err(self.explain(failure)),
            }
        }
    }

    /// Says farewell; the peer has told all, so that no answer matters.
    pub(crate) fn close(mut self) {
        self.expect(Awaited::Bytes, self.deadlines.within(LAST_WORDS));
        let _ = self.connection.close();
    }

    /// What a `no` says.
    pub(crate) fn refused(&self, said: &Fields) -> ClientError {
        ClientError::of_refusal(self.introduction, self.via, said)
    }

    /// The error of a reply that makes no sense.
    pub(crate) fn wrong(&mut self, failure: Failure) -> ClientError {
        self.explain(failure)
    }

    fn explain(&mut self, failure: Failure) -> ClientError {
        let is_over = self.expires.is_some_and(|expires| Instant::now() >= expires);
        if matches!(failure, Failure::TimedOut) && is_over {
            match (self.awaited, self.deadlines.limit) {
                (Awaited::Answer(time), _) => {
                    let (address, asked) = (&self.via, self.asked);
                    return ClientError::Overdue(self.deadlines.unanswered(address, asked, time));
                }
                (Awaited::Bytes, Some(limit)) if self.deadlines.are_over() => {
                    let error = Error::new(Exit::Unavailable, self.via, over_limit(limit));
                    return ClientError::Overdue(error);
                }
                (Awaited::Bytes, _) => {}
            }
        }
        let error = ClientError::of_failure(self.introduction, self.via, failure);
        match (error, self.transport.as_mut()) {
            (ClientError::Lost(error), Some(program)) => ClientError::Lost(program.explain(error)),
            (error, _) => error,
        }
    }
}
