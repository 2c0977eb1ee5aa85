//! How far one upload has come.

use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::package::counters::Sent;
use crate::target::retry::Retry;
use octo_core::base::digest::Digest;
use std::sync::atomic::Ordering;

/// One upload's share of the counters; one that broke off takes it back, since
/// it will begin again.
pub(super) struct UploadProgress<'a> {
    pub(super) context: &'a Context,
    reporter: &'a Reporter,
    pub(super) retry: &'a mut Retry,
    size: u64,
    /// How much the tentacle has, as far as we know.
    pub(super) at: u64,
    /// How much of that was sent just now.
    pub(super) sent: Sent,
    /// Has the tentacle said that all of it is there?
    pub(super) is_there: bool,
    /// Was there a beginning of it, or was a part of it a frame?
    pub(super) built_on: bool,
    /// What the tentacle may hold, the newest first.
    pub(super) held: Vec<Digest>,
}

impl<'a> UploadProgress<'a> {
    pub(super) fn begin(
        context: &'a Context,
        reporter: &'a Reporter,
        size: u64,
        retry: &'a mut Retry,
    ) -> UploadProgress<'a> {
        context.counters.total.fetch_add(size, Ordering::Relaxed);
        context.counters.uploads.fetch_add(1, Ordering::Relaxed);
        let sent = Sent::default();
        UploadProgress {
            context,
            reporter,
            retry,
            size,
            at: 0,
            sent,
            is_there: false,
            built_on: false,
            held: Vec::new(),
        }
    }

    /// The tentacle says how much it has.
    pub(super) fn go_on_at(&mut self, offset: u64) {
        if let Some(more) = offset.checked_sub(self.at) {
            self.context.counters.there.fetch_add(more, Ordering::Relaxed);
            self.context.counters.sent.fetch_add(more, Ordering::Relaxed);
        } else {
            self.context.counters.sent.fetch_sub(self.at - offset, Ordering::Relaxed);
        }
        self.at = offset;
    }

    /// The tentacle has so many bytes more.
    pub(super) fn came(&mut self, bytes: u64) {
        self.context.counters.sent.fetch_add(bytes, Ordering::Relaxed);
        self.at += bytes;
        self.sent.size += bytes;
    }
}

impl Drop for UploadProgress<'_> {
    fn drop(&mut self) {
        self.context.counters.uploads.fetch_sub(1, Ordering::Relaxed);
        // What broke off was sent all the same.
        let Sent { size, wire } = self.reporter.sent.get().unwrap_or_default();
        let size = size + if self.is_there { self.size } else { 0 };
        self.reporter.sent.set(Some(Sent { size, wire: wire + self.sent.wire }));
        if self.at != self.size {
            self.context.counters.total.fetch_sub(self.size, Ordering::Relaxed);
            self.context.counters.sent.fetch_sub(self.at, Ordering::Relaxed);
        }
    }
}
