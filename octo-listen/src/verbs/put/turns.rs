//! How many segments, and large scripts, are decoded at once, whoever sends them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
    /// Waits for a turn. So often meanwhile it does something else, as telling the pusher: those
    /// before it may have a slow disk.
    ///
    /// # Errors
    /// Those of that.
    pub(crate) fn take<E>(
        &self,
        every: Duration,
        mut meanwhile: impl FnMut() -> Result<(), E>,
    ) -> Result<Turn<'_>, E> {
        loop {
            let waited = self.given_back.wait_timeout_while(self.taken(), every, |n| *n >= AT_ONCE);
            let (mut taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if *taken < AT_ONCE {
                *taken += 1;
                return Ok(Turn(self));
            }
            drop(taken);
            meanwhile()?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_turn_is_told_and_may_leave() {
        let turns = Turns::default();
        let now = || turns.take(Duration::ZERO, || Err("none is left"));
        let mut taken: Vec<_> = (0..AT_ONCE).map(|_| now().expect("a turn")).collect();
        now().expect_err("one more");
        let mut told = 0;
        let turn = turns.take(Duration::ZERO, || {
            told += 1;
            // With the third time one comes back.
            taken.truncate(if told < 3 { AT_ONCE } else { AT_ONCE - 1 });
            Ok::<_, ()>(())
        });
        turn.expect("a turn");
        assert_eq!(told, 3);
        now().expect("who left took none with him");
    }
}
