//! The accept loop: it never ends because of a peer, and never spins.

use crate::log::Log;
use octo_core::base::error::describe;
use octo_core::{Error, Exit};
use rustix::io::Errno;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The first and the longest rest after an error that only time mends.
const REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// That there is nothing left to accept with is said this often.
const REPEAT: Duration = Duration::from_secs(60);

/// Errors in a row that can't be so many peers' own.
const MANY: u32 = 16;

/// What to do about an error of accept(2).
#[derive(Debug, PartialEq, Eq)]
enum AfterError {
    /// It was this one connection's error.
    GoOn,
    /// Descriptors or memory are used up.
    Rest,
    /// The socket itself is no good.
    Stop,
}

/// Accepts for ever; `serve` is given every connection and must not block. Its
/// own errors are those of a machine that has nothing left.
pub(crate) fn accept(
    listener: &TcpListener,
    log: &Log,
    mut serve: impl FnMut(TcpStream, SocketAddr) -> io::Result<()>,
) -> Error {
    let mut rest = Rest::default();
    let mut in_a_row = 0;
    loop {
        let error = match listener.accept().and_then(|(stream, peer)| serve(stream, peer)) {
            Ok(()) => {
                rest.is_over();
                in_a_row = 0;
                continue;
            }
            Err(error) => error,
        };
        in_a_row += 1;
        match after(&error) {
            AfterError::GoOn if in_a_row < MANY => {}
            AfterError::GoOn | AfterError::Rest => {
                rest.take(log, &error);
            }
            AfterError::Stop => return Error::new(Exit::Io, "accept", describe(&error)),
        }
    }
}

/// How long to rest after an error that only time mends.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    errors: u32,
    said: Option<Instant>,
}

impl Rest {
    /// Says why, once a minute, and rests: longer, the more errors there are in a row.
    pub(crate) fn take(&mut self, log: &Log, error: &io::Error) {
        if self.said.is_none_or(|then| then.elapsed() >= REPEAT) {
            self.said = Some(Instant::now());
            log.failure(format_args!("accept: {}, resting", describe(error)));
        }
        std::thread::sleep((REST * (1 << self.errors.min(4))).min(LONGEST_REST));
        self.errors += 1;
    }

    /// It works again.
    pub(crate) fn is_over(&mut self) {
        self.errors = 0;
    }
}

fn after(error: &io::Error) -> AfterError {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::AGAIN) => {
            AfterError::Rest
        }
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP | Errno::FAULT) => {
            AfterError::Stop
        }
        // Linux hands out errors that wait on the new connection: accept(2)
        // says to go on with the next.
        _ => AfterError::GoOn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted() {
        for (error, expected) in [
            (Errno::CONNABORTED, AfterError::GoOn),
            (Errno::PERM, AfterError::GoOn),
            (Errno::MFILE, AfterError::Rest),
            (Errno::AGAIN, AfterError::Rest),
            (Errno::BADF, AfterError::Stop),
        ] {
            assert_eq!(after(&error.into()), expected, "{error}");
        }
    }
}
