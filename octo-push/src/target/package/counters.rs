//! What the workers count while they send.

use octo_core::base::units::human_size;
use std::sync::atomic::AtomicU64;

/// Bytes and uploads of all targets, for the progress line.
#[derive(Debug, Default)]
pub(crate) struct UploadCounters {
    /// Bytes that are to be sent, of all uploads that began.
    pub(crate) total: AtomicU64,
    /// Bytes that were sent, or were there already.
    pub(crate) sent: AtomicU64,
    /// Bytes that were there already: they count, but not for the rate.
    pub(crate) there: AtomicU64,
    /// Uploads that are going on.
    pub(crate) uploads: AtomicU64,
}

/// What was sent of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sent {
    /// So many bytes of it.
    pub(crate) size: u64,
    /// In so many bytes.
    pub(crate) wire: u64,
}

impl Sent {
    /// As a person is told.
    pub(crate) fn said(self) -> String {
        let size = human_size(self.size);
        match self.wire < self.size / 10 * 9 {
            true => format!("{size} in {}", human_size(self.wire)),
            false => size,
        }
    }
}
