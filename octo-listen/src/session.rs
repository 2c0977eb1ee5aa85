//! A pusher's connection, and what its requests are answered with. It is made over
//! any stream both ways and never sees a socket.

use crate::host::{Host, No, Peer};
use octo_core::tentacle::audit::{Head, Lines};
use octo_core::tentacle::layout::Side;
use octo_core::tentacle::store::Ahead;
use octo_core::trust::Verb;
use octo_core::{JobId, Refusal};
use octo_wire::pace::TICK_EVERY;
use octo_wire::{Connection, Duplex, Failure, Fields, StreamWord};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The stack of a thread that works while the connection ticks.
const STACK: usize = 128 * 1024;

/// A connection and whom it serves.
pub(crate) struct Session<'a, S> {
    pub(crate) host: &'a Host,
    pub(crate) peer: &'a Peer,
    pub(crate) connection: &'a mut Connection<S>,
    /// The beginning of a package, between its pieces.
    pub(crate) ahead: Option<Ahead<'a>>,
    /// A log that is being handed out, between its pieces, and whose it is.
    pub(crate) lines: Option<(Side, Lines)>,
    /// The job that was asked for here: the record of it is that of its followers too.
    pub(crate) ran: Option<JobId>,
}

/// A yes, and the body that goes with it.
pub(crate) struct Answer {
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
}

/// What ends a request otherwise.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The pusher is told no, and may ask for something else.
    No(No),
    /// As `No`, but bytes of its body are on their way: nothing can follow.
    Hopeless(No),
    /// All was said already.
    Told,
    /// All was said, and nothing can follow.
    Over,
    /// There is nobody to tell.
    Broken(Failure),
}

impl<'a, S: Duplex> Session<'a, S> {
    pub(crate) fn new(
        host: &'a Host,
        peer: &'a Peer,
        connection: &'a mut Connection<S>,
    ) -> Session<'a, S> {
        Session { host, peer, connection, ahead: None, lines: None, ran: None }
    }

    /// Until when what follows must be through, and how long each byte may take.
    pub(crate) fn patience(&mut self, deadline: Option<Instant>, idle: Option<Duration>) {
        let stream = self.connection.stream_mut();
        stream.set_deadline(deadline);
        stream.set_idle(idle);
    }

    /// Says something that has no body.
    pub(crate) fn say(&mut self, fields: &Fields) -> Result<(), Failure> {
        self.connection.send(fields.message(), b"")
    }

    /// Does something that may take long, and keeps the pusher informed that it
    /// goes on.
    pub(crate) fn ticking<T: Send>(
        &mut self,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, Failure> {
        let (sender, receiver) = channel();
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("work".into()).stack_size(STACK);
            thread.spawn_scoped(scope, move || sender.send(work()))?;
            let mut failed = None;
            loop {
                match receiver.recv_timeout(TICK_EVERY) {
                    Ok(result) => return failed.map_or(Ok(result), Err),
                    Err(RecvTimeoutError::Timeout) => {
                        // Work that has begun is waited for even if nobody listens.
                        failed = failed.or(self.tick().err());
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(Failure::Io(std::io::Error::other("a thread died")));
                    }
                }
            }
        })
    }

    pub(crate) fn tick(&mut self) -> Result<(), Failure> {
        self.say(&Fields::of(StreamWord::Tick))
    }
}

impl Answer {
    /// `ok` to this verb, with the head of the audit log.
    pub(crate) fn ok(verb: Verb, head: Option<Head>) -> Answer {
        Answer { fields: Fields::ok(verb).maybe("audit", head), body: Vec::new() }
    }

    /// The same with one more key.
    pub(crate) fn with(self, key: &str, value: impl ToString) -> Answer {
        Answer { fields: self.fields.with(key, value), ..self }
    }

    /// The same with a list of these lines as its body.
    ///
    /// # Errors
    /// A line that is too long.
    pub(crate) fn listing(mut self, items: &[Fields]) -> Result<Answer, Failure> {
        for item in items {
            self.body.extend(item.message().encode()?);
        }
        let length = self.body.len();
        Ok(self.with("body", length))
    }
}

impl From<No> for Ended {
    fn from(no: No) -> Ended {
        Ended::No(no)
    }
}

impl From<Failure> for Ended {
    /// What is wrong with a request's keys is told; a broken stream is the end.
    fn from(failure: Failure) -> Ended {
        match failure {
            Failure::Malformed(reason) => Ended::Hopeless(No::new(Refusal::Malformed, reason)),
            failure => Ended::Broken(failure),
        }
    }
}
