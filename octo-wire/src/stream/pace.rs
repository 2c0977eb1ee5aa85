//! How slow a peer may be; octo-protocol(7) has the figures.

use std::time::Duration;

/// Without a byte for this long the peer is gone: three ticks were missed.
pub const LOST_AFTER: Duration = Duration::from_secs(45);
/// A tick comes at least this often in a silent stream or before a late reply.
pub const TICK_EVERY: Duration = Duration::from_secs(15);
/// A body that comes slower than this, in bytes a second over a window of
/// [`RATE_WINDOW`], is a drip that only holds a thread.
pub const MINIMUM_RATE: u64 = 1024;
/// Over how much waiting the rate of a body is looked at. Our own slowness (a
/// busy disk) is no waiting.
pub const RATE_WINDOW: Duration = Duration::from_secs(30);

/// How slow a peer of one connection may be; tests are less patient.
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
