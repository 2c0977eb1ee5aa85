//! What the workers count while they send, for the progress line.

use std::sync::atomic::AtomicU64;

/// Bytes and uploads of all targets.
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
