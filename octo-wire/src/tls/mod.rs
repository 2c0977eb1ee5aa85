//! TLS 1.3 over a [`Channel`], certificates both ways, nothing resumed.

mod config;
mod handshake;
pub mod identity;
pub mod verify;

pub use config::ALPN;
pub use handshake::{FirstRecord, first_record};

use self::identity::Identity;
use self::verify::Permit;
use crate::channel::Channel;
use crate::duplex::Duplex;
use crate::failure::Failure;
use octo_core::Thumbprint;
use octo_core::targets::TargetTrust;
use rustls::{ClientConnection, Connection, ServerConnection};
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One write of plaintext: seven full records. Together with what malloc adds
/// they stay below the 128 KiB above which glibc gives freed memory back to the
/// kernel: one record more, and every write pays for its pages anew (measured:
/// a third of the throughput).
const WRITE_PIECE: usize = 7 * 16 * 1024;
/// What one read of the socket takes at most.
const READ_PIECE: usize = 128 * 1024;
/// A silent phase begins with this much, so that idle connections are cheap.
const READ_PIECE_AT_FIRST: usize = 16 * 1024;
/// How long a peer whose handshake failed is listened to, so that it hears why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// An authenticated, encrypted stream.
#[derive(Debug)]
pub struct TlsStream {
    tls: Connection,
    channel: Channel,
    /// Bytes of the socket that TLS has not taken yet.
    input: Vec<u8>,
    taken: usize,
    filled: usize,
    /// How many bytes are decrypted and not read yet.
    plain: usize,
    /// What went wrong behind the bytes that were read last.
    late: Option<Failure>,
    /// The first bytes of the peer: what a stranger speaks is told by them.
    first: Vec<u8>,
    peer: Option<Thumbprint>,
}

/// A peer whose handshake failed: it was told why, and may not have heard it yet.
#[derive(Debug)]
pub struct Rejected {
    /// Why.
    pub failure: Failure,
    channel: Channel,
}

impl Rejected {
    /// Waits a second at most until the peer has heard it. Without that a peer that was
    /// still sending may be told nothing but that the connection was reset.
    pub fn hang_up(mut self) -> Failure {
        if !matches!(self.failure, Failure::TimedOut | Failure::Truncated) {
            self.channel.hang_up(LAST_WORDS);
        }
        self.failure
    }
}

/// What a look at the socket brought.
enum Received {
    Something,
    /// Nothing yet.
    Nothing,
    /// The socket's end; whether TLS said farewell, the reader knows.
    End,
}

impl TlsStream {
    /// Serves a peer whose thumbprint `permit` lets in; asked inside the
    /// handshake, so that a stranger ends before one byte of ours is parsed.
    ///
    /// # Errors
    /// Whatever ends the handshake; the channel's deadline bounds it.
    pub fn serve(
        identity: &Identity,
        channel: Channel,
        permit: Box<Permit>,
    ) -> Result<TlsStream, Failure> {
        TlsStream::answer(identity, channel, permit).map_err(Rejected::hang_up)
    }

    /// As [`TlsStream::serve`], but leaves it to the caller how to hang up.
    ///
    /// # Errors
    /// Whatever ends the handshake, and the connection.
    pub fn answer(
        identity: &Identity,
        channel: Channel,
        permit: Box<Permit>,
    ) -> Result<TlsStream, Rejected> {
        let tls = config::server(identity, permit).and_then(ServerConnection::new);
        let tls = match tls {
            Ok(tls) => tls,
            Err(error) => return Err(Rejected { failure: config::internal(error), channel }),
        };
        let mut stream = TlsStream::over(tls.into(), channel);
        match stream.handshake() {
            Ok(()) => Ok(stream),
            Err(failure) => Err(Rejected { failure, channel: stream.channel }),
        }
    }

    /// Connects to a tentacle that is known by `trust`; `host` is what a public
    /// certificate must be for.
    ///
    /// # Errors
    /// Whatever ends the handshake. That the tentacle refuses us may be seen
    /// only with the first read: TLS 1.3 lets a client finish before.
    pub fn connect(
        identity: &Identity,
        channel: Channel,
        trust: &TargetTrust,
        host: &str,
    ) -> Result<TlsStream, Failure> {
        let seen = Arc::new(Mutex::new(None));
        let config = config::client(identity, trust, seen.clone())?;
        let name = config::server_name(trust, host)?;
        let tls = ClientConnection::new(config, name).map_err(config::internal)?;
        let mut stream = TlsStream::over(tls.into(), channel);
        let Err(failure) = stream.handshake() else { return Ok(stream) };
        let seen = *seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (trust, seen, failure) {
            // Whatever it is, to accept its thumbprint would not help.
            (_, Some(_), _) if stream.tls.alpn_protocol() != Some(ALPN) => {
                Err(handshake::speaks_something_else())
            }
            (TargetTrust::Thumbprints(expected), Some(seen), _) if !expected.contains(&seen) => {
                Err(Failure::Unexpected { expected: expected.clone(), seen })
            }
            (_, Some(seen), Failure::Untrusted(reason)) => {
                Err(Failure::Untrusted(format!("{reason} (its thumbprint is {seen})")))
            }
            (.., failure) => Err(failure),
        }
    }

    /// The thumbprint of the peer's certificate.
    pub fn peer(&self) -> Option<Thumbprint> {
        self.peer
    }

    /// The peer's certificate, DER: what a statement of his is verified by.
    pub fn certificate(&self) -> Option<&[u8]> {
        let chain = self.tls.peer_certificates()?;
        chain.first().map(|leaf| leaf.as_ref())
    }

    fn over(tls: Connection, channel: Channel) -> TlsStream {
        let mut tls = tls;
        tls.set_buffer_limit(Some(2 * WRITE_PIECE));
        TlsStream {
            tls,
            channel,
            input: Vec::new(),
            taken: 0,
            filled: 0,
            plain: 0,
            late: None,
            first: Vec::new(),
            peer: None,
        }
    }

    fn handshake(&mut self) -> Result<(), Failure> {
        self.send_pending()?;
        while self.tls.is_handshaking() {
            if let Received::End = self.receive(true)? {
                return Err(handshake::cut_off(&self.first));
            }
        }
        // rustls refuses another protocol, but lets one pass who names none.
        if self.tls.alpn_protocol() != Some(ALPN) {
            return Err(handshake::speaks_something_else());
        }
        let leaf = self.tls.peer_certificates().and_then(|chain| chain.first());
        self.peer = leaf.map(|leaf| Thumbprint::of_certificate(leaf));
        Ok(())
    }

    /// Lets TLS digest what the socket brings, waiting for it or not.
    fn receive(&mut self, wait: bool) -> Result<Received, Failure> {
        if self.taken == self.filled {
            match self.refill(wait)? {
                None => return Ok(Received::Nothing),
                Some(0) => {
                    // TLS must know that the end came without its farewell.
                    let _ = self.tls.read_tls(&mut io::empty());
                    return Ok(Received::End);
                }
                Some(_) => {}
            }
        }
        let mut waiting = &self.input[self.taken..self.filled];
        let count = self.tls.read_tls(&mut waiting)?;
        // After a farewell TLS takes nothing more.
        self.taken = if count == 0 { self.filled } else { self.taken + count };
        match self.tls.process_new_packets() {
            Ok(state) => self.plain = state.plaintext_bytes_to_read(),
            Err(error) => {
                // The peer deserves the alert that says why; it may be gone already.
                self.channel.set_idle(Some(LAST_WORDS));
                let _ = self.send_pending();
                let failure = handshake::explain(error, &self.first);
                // A peer that has spoken octo/1 to us is no stranger: what can't
                // be read now was changed on its way.
                return Err(match failure {
                    Failure::OtherProtocol(_) if self.peer.is_some() => Failure::Damaged,
                    other => other,
                });
            }
        }
        // A handshake goes on, a key update wants an answer.
        self.send_pending()?;
        Ok(Received::Something)
    }

    fn refill(&mut self, wait: bool) -> Result<Option<usize>, Failure> {
        match self.input.len() {
            0 => self.input.resize(READ_PIECE_AT_FIRST, 0),
            // More than a piece was waiting: a body comes, larger reads pay.
            length if length == self.filled => self.input.resize(READ_PIECE, 0),
            _ => {}
        }
        (self.taken, self.filled) = (0, 0);
        let count = match wait {
            true => Some(self.channel.read(&mut self.input)?),
            false => self.channel.read_now(&mut self.input)?,
        };
        self.filled = count.unwrap_or(0);
        if self.first.len() < handshake::TELLING {
            self.first.extend_from_slice(&self.input[..self.filled.min(handshake::TELLING)]);
        }
        Ok(count)
    }

    /// Reads what is there, as much as fits without another look at the socket.
    fn read_some(&mut self, buffer: &mut [u8], wait: bool) -> Result<Option<usize>, Failure> {
        let mut count = 0;
        let began = Instant::now();
        loop {
            match self.tls.reader().read(&mut buffer[count..]) {
                Ok(0) => return Ok(Some(count)),
                Ok(more) => {
                    count += more;
                    self.plain = self.plain.saturating_sub(more);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) if count > 0 => return Ok(Some(count)),
                Err(error) => return Err(error.into()),
            }
            let all = self.taken == self.filled || self.late.is_some();
            if count == buffer.len() || (count > 0 && all) {
                return Ok(Some(count));
            }
            if let Some(late) = self.late.take() {
                return Err(late);
            }
            // Bytes that make up no record, or an empty one, are no sign of life: a
            // record that drips would else last for days.
            if self.channel.idle().is_some_and(|idle| began.elapsed() >= idle) {
                return Err(Failure::TimedOut);
            }
            match self.receive(wait) {
                Ok(Received::Something | Received::End) => {}
                Ok(Received::Nothing) => return Ok(None),
                Err(failure) if count > 0 => self.late = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
    }

    fn send_pending(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.channel)?;
        }
        Ok(())
    }

    /// A write that failed, or why: the peer's alert may have come before.
    fn why(&mut self, error: io::Error) -> io::Error {
        while self.plain == 0 {
            match self.receive(false) {
                Ok(Received::Something) => {}
                Ok(_) | Err(Failure::Io(_)) => return error,
                Err(failure) => return pack(failure),
            }
        }
        error
    }
}

/// Failures of TLS travel through Read and Write inside an io::Error.
fn pack(failure: Failure) -> io::Error {
    match failure {
        Failure::Io(error) => error,
        Failure::TimedOut => io::ErrorKind::TimedOut.into(),
        Failure::Truncated => io::ErrorKind::UnexpectedEof.into(),
        other => io::Error::other(other),
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_some(buffer, true).map(Option::unwrap_or_default).map_err(pack)
    }
}

impl Write for TlsStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.tls.writer().write(&buffer[..buffer.len().min(WRITE_PIECE)])?;
        match self.send_pending() {
            Ok(()) => Ok(count),
            Err(error) => Err(self.why(error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_pending()
    }
}

impl Duplex for TlsStream {
    fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.channel.set_deadline(deadline);
    }

    fn set_idle(&mut self, idle: Option<Duration>) {
        self.channel.set_idle(idle);
    }

    fn input(&self) -> Option<BorrowedFd<'_>> {
        Some(self.channel.input())
    }

    fn has_pending(&self) -> bool {
        self.plain > 0 || self.taken < self.filled || self.late.is_some()
    }

    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.read_some(buffer, false).map_err(pack)
    }

    fn rest(&mut self) {
        if self.taken == self.filled {
            (self.input, self.taken, self.filled) = (Vec::new(), 0, 0);
        }
    }

    fn close(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        self.send_pending()
    }
}
