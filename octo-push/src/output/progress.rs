//! The progress line: bytes, rate and time left of an upload; of several
//! targets how many are done, running and failed.

use crate::target::package::counters::UploadCounters;
use octo_core::base::units::human_size;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct ProgressLine {
    targets: usize,
    began: Instant,
    /// Targets that ended well.
    pub(crate) done: usize,
    /// Targets that ended otherwise.
    pub(crate) failed: usize,
    /// Targets that are being worked on.
    pub(crate) running: usize,
}

impl ProgressLine {
    pub(crate) fn of(targets: usize) -> ProgressLine {
        ProgressLine { targets, began: Instant::now(), done: 0, failed: 0, running: 0 }
    }

    /// The line as it now is; `None` where there is nothing to tell.
    pub(crate) fn line(&self, counters: &UploadCounters) -> Option<String> {
        let uploading = counters.uploads.load(Ordering::Relaxed) > 0;
        let transfer = uploading.then(|| {
            transfer(
                counters.sent.load(Ordering::Relaxed),
                counters.there.load(Ordering::Relaxed),
                counters.total.load(Ordering::Relaxed),
                self.began.elapsed(),
            )
        });
        if self.targets == 1 {
            return transfer;
        }
        let ProgressLine { targets, done, failed, running, .. } = self;
        let line = format!("{done} done, {running} running, {failed} failed of {targets}");
        Some(match transfer {
            Some(transfer) => format!("{line}   {transfer}"),
            None => line,
        })
    }
}

fn transfer(sent: u64, there: u64, total: u64, elapsed: Duration) -> String {
    let fresh = sent.saturating_sub(there);
    let rate = (fresh as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    let percent = if total == 0 { 100 } else { u128::from(sent) * 100 / u128::from(total) };
    let mut text = format!(
        "{} of {}  {percent}%  {}/s",
        human_size(sent),
        human_size(total),
        human_size(rate)
    );
    if rate > 0 && sent < total {
        let left = (total - sent) / rate;
        text.push_str(&format!("  {}:{:02} left", left / 60, left % 60));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_how_far_it_is() {
        let second = Duration::from_secs(1);
        assert_eq!(transfer(0, 0, 0, second), "0 B of 0 B  100%  0 B/s");
        let text = transfer(3 << 20, 1 << 20, 10 << 20, second);
        assert_eq!(text, "3.0 MiB of 10.0 MiB  30%  2.0 MiB/s  0:03 left");
        let mut progress = ProgressLine::of(1);
        assert_eq!(progress.line(&UploadCounters::default()), None);
        progress.targets = 3;
        progress.running = 2;
        progress.failed = 1;
        let line = progress.line(&UploadCounters::default());
        assert_eq!(line.as_deref(), Some("0 done, 2 running, 1 failed of 3"));
    }
}
