//! What a connection is made over: TLS, or plain bytes in tests.

use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// A stream both ways. What a test makes of bytes needs none of these methods.
pub trait Duplex: Read + Write {
    /// No read or write goes on after this moment.
    fn set_deadline(&mut self, _deadline: Option<Instant>) {}
    /// No read or write waits longer than this for its next byte.
    fn set_idle(&mut self, _idle: Option<Duration>) {}
    /// The descriptor that is readable when the peer has sent or closed.
    fn input(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Is there more to read than the descriptor shows?
    fn has_pending(&self) -> bool {
        false
    }
    /// Reads what is there, without waiting; `None` if that is nothing yet.
    ///
    /// # Errors
    /// As for reading.
    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.read(buffer).map(Some)
    }
    /// Gives memory back that nothing is in, as nothing is expected for a while.
    fn rest(&mut self) {}
    /// Says farewell, so that the peer knows that nothing was cut off.
    ///
    /// # Errors
    /// Where it can't be sent.
    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}
