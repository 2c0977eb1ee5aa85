//! One pusher's connection: a request, its reply, the next request.
//!
//! A session is a function over a stream and never sees a socket. Each request
//! is judged by the trust file as it then is.

use crate::host::{Caller, Host, No};
use crate::verbs;
use octo_core::Refusal;
use octo_core::tentacle::audit::Head;
use octo_core::tentacle::store::Ahead;
use octo_core::trust::Verb;
use octo_wire::pace::{LOST_AFTER, TICK_EVERY};
use octo_wire::{Connection, Duplex, Failure, Message};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// From the last reply to the end of the next request's line.
pub(crate) const REQUEST: Duration = Duration::from_secs(60);

/// How long bytes are thrown away after a no, until the pusher has read it.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// The stack of a thread that works while the connection ticks.
const STACK: usize = 128 * 1024;

/// A connection and whom it serves.
pub(crate) struct Session<'a, S> {
    pub(crate) host: &'a Host,
    pub(crate) caller: &'a Caller,
    pub(crate) connection: &'a mut Connection<S>,
    /// The beginning of a package, between its pieces.
    pub(crate) ahead: Option<Ahead<'a>>,
}

/// A yes.
pub(crate) struct Reply {
    pub(crate) message: Message,
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

/// Serves requests until the pusher leaves.
///
/// # Errors
/// What broke the connection.
pub(crate) fn serve<S: Duplex>(
    host: &Host,
    caller: &Caller,
    connection: &mut Connection<S>,
) -> Result<(), Failure> {
    let mut session = Session { host, caller, connection, ahead: None };
    loop {
        session.patience(Some(Instant::now() + REQUEST), None);
        let request = match session.connection.read_message() {
            Ok(Some(request)) => request,
            Ok(None) => return session.connection.close(),
            Err(Failure::Malformed(reason)) => {
                session.patience(None, Some(LOST_AFTER));
                session.refuse(&No::new(Refusal::Malformed, reason))?;
                return session.drain();
            }
            Err(failure) => return Err(failure),
        };
        session.patience(None, Some(LOST_AFTER));
        match session.answer(&request) {
            Ok(reply) => session.connection.send(&reply.message, &reply.body)?,
            Err(Ended::No(no)) => session.refuse(&no)?,
            Err(Ended::Hopeless(no)) => {
                session.refuse(&no)?;
                return session.drain();
            }
            Err(Ended::Told) => {}
            Err(Ended::Over) => return session.drain(),
            Err(Ended::Broken(failure)) => return Err(failure),
        }
    }
}

/// Tells a pusher to come back later.
///
/// # Errors
/// What broke the connection.
pub(crate) fn turn_away<S: Duplex>(
    host: &Host,
    caller: &Caller,
    connection: &mut Connection<S>,
    reason: &str,
) -> Result<(), Failure> {
    let mut session = Session { host, caller, connection, ahead: None };
    session.patience(Some(Instant::now() + DRAIN), None);
    session.refuse(&No::new(Refusal::Busy, format!("{reason}: try again")))?;
    session.drain()
}

impl<S: Duplex> Session<'_, S> {
    fn answer(&mut self, request: &Message) -> Result<Reply, Ended> {
        let body = request.body()?;
        let verb = match Verb::requested(request.word()) {
            Some(verb) => verb,
            None => {
                let reason = format!("the verb {} is unknown here", request.word());
                let no = No::new(Refusal::Unsupported, reason);
                return Err(if body > 0 { Ended::Hopeless(no) } else { Ended::No(no) });
            }
        };
        if let Some(key) = request.unknown_key(verb.row().keys) {
            let reason = format!("the key {key} of {} is unknown here", verb.word());
            let no = No::new(Refusal::Unsupported, reason);
            return Err(if body > 0 { Ended::Hopeless(no) } else { Ended::No(no) });
        }
        if verb != Verb::Put {
            self.ahead = None;
        }
        let answered = match verb {
            Verb::Connect | Verb::Status => verbs::status(self),
            Verb::Put => verbs::put(self, request),
            Verb::Run => verbs::run(self, request),
            Verb::Follow => verbs::follow(self, request),
            Verb::Cancel => verbs::cancel(self, request),
            Verb::Jobs => verbs::jobs(self),
            Verb::Get => verbs::get(self, request),
            Verb::Scripts => verbs::scripts(self),
            Verb::Audit => verbs::audit(self, request),
        };
        match answered {
            Err(Ended::No(no)) => Err(Ended::No(self.host.record_no(self.caller, verb, no))),
            Err(Ended::Hopeless(no)) => {
                Err(Ended::Hopeless(self.host.record_no(self.caller, verb, no)))
            }
            other => other,
        }
    }

    fn refuse(&mut self, no: &No) -> Result<(), Failure> {
        let mut message = Message::new("no").with("code", no.refusal).with("reason", &no.reason);
        if let Some(opens) = &no.opens {
            message = message.with("opens", opens);
        }
        if let Some(head) = &no.head {
            message = message.with("audit", head);
        }
        self.connection.send(&message, b"")
    }

    /// Says farewell, and reads on until the pusher has heard it: closing a
    /// socket with unread bytes in it takes back what was sent last.
    fn drain(&mut self) -> Result<(), Failure> {
        self.patience(Some(Instant::now() + DRAIN), None);
        self.connection.close()?;
        let mut waste = [0; 16 * 1024];
        while self.connection.stream_mut().read(&mut waste)? > 0 {}
        Ok(())
    }

    pub(crate) fn patience(&mut self, deadline: Option<Instant>, idle: Option<Duration>) {
        let stream = self.connection.stream_mut();
        stream.set_deadline(deadline);
        stream.set_idle(idle);
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
        self.connection.send(&Message::new("tick"), b"")
    }
}

impl Reply {
    /// `ok`, and the head of the audit log.
    pub(crate) fn ok(head: Option<Head>) -> Reply {
        Reply::of(Message::new("ok"), head)
    }

    /// A message that ends a request, and the head of the audit log.
    pub(crate) fn of(message: Message, head: Option<Head>) -> Reply {
        let message = match head {
            Some(head) => message.with("audit", head),
            None => message,
        };
        Reply { message, body: Vec::new() }
    }

    /// The same with one more key.
    pub(crate) fn with(mut self, key: &str, value: impl ToString) -> Reply {
        self.message = self.message.with(key, value);
        self
    }

    /// The same with a body.
    pub(crate) fn carrying(mut self, body: Vec<u8>) -> Reply {
        self.message = self.message.with("body", body.len());
        self.body = body;
        self
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launcher::Starter;
    use crate::log::Log;
    use octo_core::Thumbprint;
    use octo_core::base::cli::Tool;
    use octo_core::base::paths::Places;
    use octo_core::tentacle::store::Store;
    use std::io::{self, Read, Write};

    /// A peer that asks this and leaves; remembers how patient we were with each
    /// of its reads.
    struct Watched {
        asks: &'static [u8],
        deadline: Option<Instant>,
        patience: Vec<Option<Duration>>,
    }

    impl Read for Watched {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let left = |until: Instant| until.saturating_duration_since(Instant::now());
            self.patience.push(self.deadline.map(left));
            let asks = std::mem::take(&mut self.asks);
            buffer[..asks.len()].copy_from_slice(asks);
            Ok(asks.len())
        }
    }

    impl Write for Watched {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            Ok(buffer.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Duplex for Watched {
        fn set_deadline(&mut self, deadline: Option<Instant>) {
            self.deadline = deadline;
        }
    }

    /// How long each read of a session might have taken at most.
    fn patience(asks: &'static [u8]) -> Vec<Option<Duration>> {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        let log = Log::new(&Tool { name: "test", help: String::new }, false, true);
        let store = Store::open(&places).expect("store");
        let starter = Starter::find(&places, None, log);
        let host = Host::new(places, store, starter, log);
        let caller = Caller::new(Thumbprint::of_certificate(b"x"), None);
        let peer = Watched { asks, deadline: None, patience: Vec::new() };
        let mut connection = Connection::new(peer);
        serve(&host, &caller, &mut connection).expect("it left");
        connection.stream().patience.clone()
    }

    /// Who is trusted and says nothing holds no thread for ever, before the first
    /// request or after one, and neither does who goes on after a no.
    #[test]
    fn a_request_has_a_minute_to_come_and_what_follows_a_no_ten_seconds() {
        for (asks, bounds) in [
            (&b"what\n"[..], [REQUEST, REQUEST]),
            (b"what body=9\n", [REQUEST, DRAIN]),
            (b"What\n", [REQUEST, DRAIN]),
        ] {
            let patience = patience(asks);
            assert_eq!(patience.len(), 2);
            for (left, bound) in patience.into_iter().zip(bounds) {
                assert!(left.is_some_and(|left| left <= bound), "{left:?} of {bound:?}");
            }
        }
    }
}
