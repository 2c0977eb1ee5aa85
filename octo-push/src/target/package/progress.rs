//! How far one upload has come.

use crate::target::package::counters::UploadCounters;
use crate::target::retry::Retry;
use octo_core::base::units::human_size;
use std::sync::atomic::Ordering;

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

/// One upload's share of the counters; one that broke off takes it back, since
/// it will begin again.
pub(super) struct UploadProgress<'a> {
    counters: &'a UploadCounters,
    pub(super) retry: &'a mut Retry,
    size: u64,
    /// How much the tentacle has, as far as we know.
    pub(super) at: u64,
    /// How much of that was sent just now.
    pub(super) sent: Sent,
    /// Was a part of it made of what is there?
    pub(super) patched: bool,
}

impl<'a> UploadProgress<'a> {
    pub(super) fn begin(
        counters: &'a UploadCounters,
        size: u64,
        retry: &'a mut Retry,
    ) -> UploadProgress<'a> {
        counters.total.fetch_add(size, Ordering::Relaxed);
        counters.uploads.fetch_add(1, Ordering::Relaxed);
        UploadProgress { counters, retry, size, at: 0, sent: Sent::default(), patched: false }
    }

    /// The tentacle says how much it has.
    pub(super) fn go_on_at(&mut self, offset: u64) {
        if let Some(more) = offset.checked_sub(self.at) {
            self.counters.there.fetch_add(more, Ordering::Relaxed);
            self.counters.sent.fetch_add(more, Ordering::Relaxed);
        } else {
            self.counters.sent.fetch_sub(self.at - offset, Ordering::Relaxed);
        }
        self.at = offset;
    }

    /// The tentacle has so many bytes more.
    pub(super) fn came(&mut self, bytes: u64) {
        self.counters.sent.fetch_add(bytes, Ordering::Relaxed);
        self.at += bytes;
        self.sent.size += bytes;
    }
}

impl Drop for UploadProgress<'_> {
    fn drop(&mut self) {
        self.counters.uploads.fetch_sub(1, Ordering::Relaxed);
        if self.at != self.size {
            self.counters.total.fetch_sub(self.size, Ordering::Relaxed);
            self.counters.sent.fetch_sub(self.at, Ordering::Relaxed);
        }
    }
}
