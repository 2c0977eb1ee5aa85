//! How long to wait before a target is tried again.

use octo_core::base::names::random_bytes;
use std::time::Duration;

/// The first pause, and what the later ones grow from and to.
const FIRST: Duration = Duration::from_millis(200);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);

/// Of a program that led there before, and ends now: the network may be away, but logins lock,
/// so that it is tried a few times, not often. The first failure is the loss itself, after
/// which it was started at once.
pub(crate) fn ended(failures: u32) -> Duration {
    SECOND * (2 << failures.saturating_sub(1).saturating_mul(2).min(12))
}

/// The pause after so many failures.
pub(crate) fn grown(failures: u32) -> Duration {
    match failures {
        0 => FIRST,
        _ => SECOND.saturating_mul(1 << (failures - 1).min(8)).min(LONGEST),
    }
}

/// Half as long to half as long again: a hundred that broke at once must not come
/// again at once.
pub(crate) fn spread(pause: Duration) -> Duration {
    let mut random = [128];
    // Without a random number it is the middle.
    let _ = random_bytes(&mut random);
    pause / 2 + pause * u32::from(random[0]) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    /// octo-push(1), -P: after 2 seconds, then after four times as long each time.
    #[test]
    fn a_program_that_ends_is_started_seldom() {
        let pauses: Vec<u64> = (0..6).map(|failures| ended(failures).as_secs()).collect();
        assert_eq!(pauses, [2, 2, 8, 32, 128, 512]);
        assert_eq!(ended(u32::MAX), SECOND * (2 << 12));
    }
}
