//! How fast a link is: what is slower than compressing is worth compressing for.

use std::time::Duration;

/// Of less nothing can be told: it fits into the buffers on the way.
const TELLING: u64 = 64 * 1024;

/// What was measured of one link.
#[derive(Debug)]
pub(super) struct Link {
    /// Seconds a byte.
    pace: Option<f64>,
}

impl Link {
    /// Of a link on which no more bytes a second are sent than this, whatever it could take.
    pub(super) fn limited(rate: Option<u64>) -> Link {
        Link { pace: rate.map(|rate| 1.0 / rate as f64) }
    }

    /// So many bytes took so long to be sent.
    pub(super) fn sent(&mut self, bytes: u64, took: Duration) {
        if bytes >= TELLING {
            self.pace = Some(took.as_secs_f64() / bytes as f64);
        }
    }

    /// Does a byte take longer than this, in seconds? What is not known is no reason.
    pub(super) fn is_slower_than(&self, pace: f64) -> bool {
        self.pace.is_some_and(|own| own > pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_measured_counts() {
        assert!(Link::limited(Some(1 << 20)).is_slower_than(4e-9));
        let mut link = Link::limited(None);
        assert!(!link.is_slower_than(1e-9));
        link.sent(1, Duration::from_secs(1));
        assert!(!link.is_slower_than(1e-9));
        link.sent(1 << 20, Duration::from_millis(10));
        assert!(link.is_slower_than(4e-9) && !link.is_slower_than(1e-8));
    }
}
