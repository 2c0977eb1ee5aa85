//! What can go wrong between two peers: "the peer is wrong" and "we failed" apart.

use octo_core::Thumbprint;
use octo_core::base::error::describe;
use std::fmt;
use std::io;

/// Why a connection or a message failed.
#[derive(Debug)]
pub enum Failure {
    /// The peer doesn't accept our certificate: its admin decides.
    Refused,
    /// The peer can't believe what decides, and lets nobody in: its admin mends that.
    Undecided,
    /// The tentacle has another thumbprint than the targets file says.
    Unexpected {
        /// Those that were expected.
        expected: Vec<Thumbprint>,
        /// The one that was seen.
        seen: Thumbprint,
    },
    /// The peer's certificate is not accepted, for this reason.
    Untrusted(String),
    /// What is to be trusted can't be read here: nothing was sent.
    Unusable(String),
    /// The peer doesn't speak octo/1 over TLS 1.3; what it seems to speak.
    OtherProtocol(String),
    /// A line, key or length is not of the protocol's form.
    Malformed(String),
    /// Nothing came, or too little, for too long.
    TimedOut,
    /// The connection ended where it may not: in a message, or without TLS' farewell.
    Truncated,
    /// Bytes of an established connection were changed on their way.
    Damaged,
    /// Reading or writing failed.
    Io(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused => out.write_str("the peer doesn't accept this identity"),
            Failure::Undecided => out.write_str("the peer lets nobody in at the moment"),
            Failure::Unexpected { expected, seen } => {
                let expected: Vec<_> = expected.iter().map(Thumbprint::to_string).collect();
                write!(out, "expected thumbprint {}, seen {seen}", expected.join(" or "))
            }
            Failure::Untrusted(reason) => write!(out, "its certificate is not accepted: {reason}"),
            Failure::Unusable(reason) => out.write_str(reason),
            Failure::OtherProtocol(what) => out.write_str(what),
            Failure::Malformed(reason) => write!(out, "not of the protocol's form: {reason}"),
            Failure::TimedOut => out.write_str("timed out"),
            Failure::Truncated => out.write_str("the connection broke off"),
            Failure::Damaged => out.write_str("bytes were damaged on the way"),
            Failure::Io(error) => out.write_str(&describe(error)),
        }
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::TimedOut => Failure::TimedOut,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Failure::Truncated,
            // Session packs what TLS found out into the error that Read and Write have room for.
            _ => match error.downcast::<Failure>() {
                Ok(failure) => failure,
                Err(error) => Failure::Io(error),
            },
        }
    }
}
