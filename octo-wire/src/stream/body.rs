//! Counted bytes, as they come, at no less than a minimum rate.

use super::buffered::Buffered;
use super::duplex::Duplex;
use super::pace::Pace;
use crate::failure::Failure;
use std::time::{Duration, Instant};

/// How far one body has come, and how fast.
#[derive(Debug)]
pub struct Counted {
    pace: Pace,
    left: u64,
    waited: Duration,
    since: u64,
}

/// The bytes of one body, as they come.
#[derive(Debug)]
pub struct Body<'a, S> {
    input: &'a mut Buffered<S>,
    counted: Counted,
}

impl<'a, S: Duplex> Body<'a, S> {
    pub(crate) fn new(input: &'a mut Buffered<S>, counted: Counted) -> Body<'a, S> {
        Body { input, counted }
    }

    /// How many bytes are still to come.
    pub fn left(&self) -> u64 {
        self.counted.left
    }

    /// Reads some of it; 0 at its end.
    ///
    /// # Errors
    /// A time-out or too slow a drip, a broken stream.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.counted.read(self.input, buffer)
    }
}

impl Counted {
    pub(crate) fn new(length: u64, pace: Pace) -> Counted {
        Counted { pace, left: length, waited: Duration::ZERO, since: 0 }
    }

    /// How many bytes are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    pub(crate) fn read<S: Duplex>(
        &mut self,
        input: &mut Buffered<S>,
        buffer: &mut [u8],
    ) -> Result<usize, Failure> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let began = Instant::now();
        let count = input.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(Failure::Truncated);
        }
        self.left -= count as u64;
        self.check_pace(count as u64, began.elapsed())?;
        Ok(count)
    }

    /// So many bytes came, and were waited for so long.
    ///
    /// # Errors
    /// A time-out where they come too slowly.
    pub fn check_pace(&mut self, count: u64, waited: Duration) -> Result<(), Failure> {
        self.since += count;
        self.waited += waited;
        if self.waited < self.pace.window {
            return Ok(());
        }
        let enough = u128::from(self.pace.rate) * self.waited.as_millis() / 1000;
        let slow = u128::from(self.since) < enough && self.left > 0;
        (self.waited, self.since) = (Duration::ZERO, 0);
        if slow { Err(Failure::TimedOut) } else { Ok(()) }
    }
}
