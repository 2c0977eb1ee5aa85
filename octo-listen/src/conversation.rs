//! What is said on a connection: a request, its answer, the next request. Each
//! request is judged by the trust file as it then is.

use crate::host::{Host, No, Peer};
use crate::session::{Answer, Ended, Session};
use crate::verbs;
use octo_core::Refusal;
use octo_core::trust::Verb;
use octo_wire::pace::LOST_AFTER;
use octo_wire::{Connection, Duplex, Failure, Fields, Message, Request, StreamWord};
use std::time::{Duration, Instant};

/// From the last reply to the end of the next request's line.
const REQUEST: Duration = Duration::from_secs(60);

/// How long bytes are thrown away after a no, until the pusher has read it.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves requests until the pusher leaves.
pub(crate) fn serve<S: Duplex>(
    host: &Host,
    peer: &Peer,
    connection: &mut Connection<S>,
) -> Result<(), Failure> {
    let mut session = Session::new(host, peer, connection);
    loop {
        session.patience(Some(Instant::now() + REQUEST), None);
        let asked = session.connection.read_message();
        session.patience(None, Some(LOST_AFTER));
        let answered = match asked {
            Ok(Some(message)) => answer(&mut session, message),
            Ok(None) => return session.connection.close(),
            Err(failure) => Err(failure.into()),
        };
        match answered {
            Ok(answer) => {
                let fields = answer.fields.maybe("audit-exec", session.host.exec_head());
                session.connection.send(fields.message(), &answer.body)?;
            }
            Err(Ended::No(no)) => refuse(&mut session, &no)?,
            Err(Ended::Hopeless(no)) => {
                refuse(&mut session, &no)?;
                return drain(&mut session);
            }
            Err(Ended::Told) => {}
            Err(Ended::Over) => return drain(&mut session),
            Err(Ended::Broken(failure)) => return Err(failure),
        }
    }
}

/// Tells a pusher to come back later.
pub(crate) fn turn_away<S: Duplex>(
    host: &Host,
    peer: &Peer,
    connection: &mut Connection<S>,
    reason: &str,
) -> Result<(), Failure> {
    let mut session = Session::new(host, peer, connection);
    session.patience(Some(Instant::now() + DRAIN), None);
    refuse(&mut session, &No::new(Refusal::Busy, format!("{reason}: try again")))?;
    drain(&mut session)
}

/// Has a request answered by its verb; a no is recorded.
fn answer<S: Duplex>(session: &mut Session<'_, S>, message: Message) -> Result<Answer, Ended> {
    let (verb, answered) = match Request::read(message) {
        Ok(request) => {
            if request.verb != Verb::Put {
                session.ahead = None;
            }
            if request.verb != Verb::Audit {
                session.lines = None;
            }
            (Some(request.verb), verbs::answer(session, &request))
        }
        Err(unfit) => {
            let no = No::new(unfit.refusal, unfit.reason);
            let ended = if unfit.is_last { Ended::Hopeless(no) } else { Ended::No(no) };
            (unfit.verb, Err(ended))
        }
    };
    let Some(verb) = verb else { return answered };
    let recorded = |no| session.host.record_no(session.peer, verb, no);
    answered.map_err(|ended| match ended {
        Ended::No(no) => Ended::No(recorded(no)),
        Ended::Hopeless(no) => Ended::Hopeless(recorded(no)),
        other => other,
    })
}

fn refuse<S: Duplex>(session: &mut Session<'_, S>, no: &No) -> Result<(), Failure> {
    let said = Fields::of(StreamWord::No).with("code", no.refusal).with("reason", &no.reason);
    let said = no
        .also
        .iter()
        .fold(said, |said, (key, value)| said.with(key, value))
        .maybe("audit", no.head.as_ref())
        .maybe("audit-exec", session.host.exec_head());
    session.say(&said)
}

/// Says farewell, and reads on until the pusher has heard it: closing a socket with
/// unread bytes in it takes back what was sent last.
fn drain<S: Duplex>(session: &mut Session<'_, S>) -> Result<(), Failure> {
    session.patience(Some(Instant::now() + DRAIN), None);
    session.connection.close()?;
    // Not on the stack: all who wait for hours would have touched as much of theirs.
    let mut waste = vec![0; 16 * 1024];
    while session.connection.stream_mut().read(&mut waste)? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host_in;
    use std::io::{self, Read, Write};

    /// A pusher that asks this and leaves; keeps what it was told, and how patient we
    /// were with each of its reads.
    #[derive(Default)]
    struct Pusher {
        asks: Vec<u8>,
        told: Vec<u8>,
        deadline: Option<Instant>,
        patience: Vec<Option<Duration>>,
    }

    impl Read for Pusher {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let left = |until: Instant| until.saturating_duration_since(Instant::now());
            self.patience.push(self.deadline.map(left));
            let count = self.asks.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.asks[..count]);
            self.asks.drain(..count);
            Ok(count)
        }
    }

    impl Write for Pusher {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.told.extend_from_slice(buffer);
            Ok(buffer.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Duplex for Pusher {
        fn set_deadline(&mut self, deadline: Option<Instant>) {
            self.deadline = deadline;
        }
    }

    fn serve_bytes(host: &Host, peer: &Peer, asks: &[u8]) -> (Pusher, Result<(), Failure>) {
        let mut connection = Connection::new(Pusher { asks: asks.to_vec(), ..Pusher::default() });
        let served = serve(host, peer, &mut connection);
        (std::mem::take(connection.stream_mut()), served)
    }

    /// Who is trusted and says nothing holds no thread for ever, before the first
    /// request or after one, and neither does who goes on after a no.
    #[test]
    fn a_request_has_a_minute_to_come_and_what_follows_a_no_ten_seconds() {
        let top = tempfile::tempdir().expect("tempdir");
        let (host, peer) = host_in(top.path(), "");
        for (asks, bounds) in [
            (&b"what\n"[..], [REQUEST, REQUEST]),
            (b"what body=9\n", [REQUEST, DRAIN]),
            (b"What\n", [REQUEST, DRAIN]),
        ] {
            let (pusher, served) = serve_bytes(&host, &peer, asks);
            served.expect("it left");
            assert_eq!(pusher.patience.len(), 2);
            for (left, bound) in pusher.patience.into_iter().zip(bounds) {
                assert!(left.is_some_and(|left| left <= bound), "{left:?} of {bound:?}");
            }
        }
    }

    /// Whatever a pusher sends, it is told in the protocol's words, or it is hung up on.
    #[test]
    fn any_bytes_are_answered_in_the_protocols_words() {
        const ALPHABET: &[u8] = b"ab-0= %2F1f~/.:\n\x00\xe9Z";
        let top = tempfile::tempdir().expect("tempdir");
        let (host, peer) = host_in(top.path(), "allow=status,put");
        let asks = b"status\nput size=9 name=x offset=0 body=4\nabcd\njobs\nstatus\nput sha256=\n";
        let mut state = 5_u64;
        let mut next = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % bound
        };
        let (mut granted, mut refused) = (0, 0);
        for _ in 0..100 {
            let mut asks = asks.to_vec();
            for _ in 0..next(4) {
                let at = next(asks.len());
                asks[at] = ALPHABET[next(ALPHABET.len())];
            }
            let (pusher, _) = serve_bytes(&host, &peer, &asks);
            for line in pusher.told.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                let message = Message::parse(line).expect("a message");
                match message.word() {
                    "ok" => granted += 1,
                    "no" => refused += 1,
                    _ => panic!("{message:?}"),
                }
            }
        }
        assert!(granted > 100 && refused > 100, "{granted}, {refused}");
    }
}
