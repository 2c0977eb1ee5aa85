//! Counted bytes, as they come, at no less than a minimum rate.

use crate::connection::{Connection, LOST_AFTER, Stream};
use crate::failure::Failure;
use std::time::{Duration, Instant};

/// A body that comes slower than this, in bytes a second over a window of
/// [`RATE_WINDOW`], is a drip that only holds a thread.
pub const MINIMUM_RATE: u64 = 1024;
/// Over how much waiting the rate of a body is looked at. Our own slowness (a
/// busy disk) is no waiting.
pub const RATE_WINDOW: Duration = Duration::from_secs(30);

/// How slow a peer may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// From a line's first bytes to its end.
    pub(crate) line: Duration,
    pub(crate) window: Duration,
    pub(crate) rate: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { line: LOST_AFTER, window: RATE_WINDOW, rate: MINIMUM_RATE }
    }
}

/// The bytes of one body, as they come.
#[derive(Debug)]
pub struct Body<'a, S> {
    connection: &'a mut Connection<S>,
    left: u64,
    waited: Duration,
    since: u64,
}

impl<'a, S: Stream> Body<'a, S> {
    pub(crate) fn new(connection: &'a mut Connection<S>, length: u64) -> Body<'a, S> {
        Body { connection, left: length, waited: Duration::ZERO, since: 0 }
    }

    /// How many bytes are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Reads some of it; 0 at its end.
    ///
    /// # Errors
    /// A time-out or too slow a drip, a broken stream.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..wanted];
        let mut count = self.connection.take_buffered(buffer);
        if count == 0 && wanted > 0 {
            let began = Instant::now();
            count = self.connection.stream.read(buffer)?;
            if count == 0 {
                return Err(Failure::Truncated);
            }
            self.left -= count as u64;
            self.check_pace(count as u64, began.elapsed())?;
        } else {
            self.left -= count as u64;
        }
        Ok(count)
    }

    fn check_pace(&mut self, count: u64, waited: Duration) -> Result<(), Failure> {
        let pace = self.connection.pace;
        self.since += count;
        self.waited += waited;
        if self.waited < pace.window {
            return Ok(());
        }
        let enough = u128::from(pace.rate) * self.waited.as_millis() / 1000;
        let slow = u128::from(self.since) < enough && self.left > 0;
        (self.waited, self.since) = (Duration::ZERO, 0);
        if slow { Err(Failure::TimedOut) } else { Ok(()) }
    }
}
