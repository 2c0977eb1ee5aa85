//! How many segments, and large scripts, are decoded at once, whoever sends them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Each takes 32 MiB.
const AT_ONCE: usize = 4;

/// Who may decode, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: Mutex<usize>,
    given_back: Condvar,
}

/// A turn, given back however it ends.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a Turns);

impl Turns {
    pub(crate) fn take(&self) -> Turn<'_> {
        let taken = self.given_back.wait_while(self.taken(), |taken| *taken >= AT_ONCE);
        *taken.unwrap_or_else(PoisonError::into_inner) += 1;
        Turn(self)
    }

    fn taken(&self) -> MutexGuard<'_, usize> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.taken() -= 1;
        self.0.given_back.notify_one();
    }
}
