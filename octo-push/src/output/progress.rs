//! The progress line: bytes, rate and time left of an upload; of several
//! targets how many are done, running and failed, and which are still at it.

use crate::target::package::counters::UploadCounters;
use octo_core::base::cli::terminal::{columns_of, cut};
use octo_core::base::encoding::printable;
use octo_core::base::units::human_size;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// So many targets are named at most.
const NAMES: usize = 4;

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

    /// The line as it now is, of so many columns at most; `None` where there is nothing to
    /// tell. `names` are of those that are worked on; a name is text of a file, so it is escaped.
    pub(crate) fn line<'a>(
        &self,
        counters: &UploadCounters,
        names: impl Iterator<Item = &'a str>,
        columns: usize,
    ) -> Option<String> {
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
            return transfer.map(|transfer| cut(&transfer, columns).to_string());
        }
        let ProgressLine { targets, done, failed, running, .. } = self;
        let mut line = format!("{done} done, {running} running, {failed} failed of {targets}");
        let left = left(done + failed, *targets, self.began.elapsed());
        if let Some(more) = transfer.or(left) {
            line.push_str(&format!("   {more}"));
        }
        let room = columns.saturating_sub(columns_of(&line) + 3);
        if let Some(names) = shown_names(names, room) {
            line.push_str(&format!("   {names}"));
        }
        Some(cut(&line, columns).to_string())
    }
}

/// About how long the others take, if they take as long as those that are over; `None` where
/// that is a guess.
fn left(over: usize, targets: usize, elapsed: Duration) -> Option<String> {
    let others = targets.saturating_sub(over);
    if over == 0 || others == 0 || elapsed < Duration::from_secs(5) {
        return None;
    }
    let seconds = elapsed.as_secs().saturating_mul(others as u64) / over as u64;
    Some(format!("about {}:{:02} left", seconds / 60, seconds % 60))
}

/// The first names, and `+N` for the rest; `None` where not even one has room.
fn shown_names<'a>(names: impl Iterator<Item = &'a str>, room: usize) -> Option<String> {
    let names: Vec<String> = names.map(|name| printable(name.as_bytes())).collect();
    (1..=names.len().min(NAMES)).rev().find_map(|count| {
        let mut text = names[..count].join(" ");
        if count < names.len() {
            text.push_str(&format!(" +{}", names.len() - count));
        }
        (columns_of(&text) <= room).then_some(text)
    })
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
        let names = ["web1", "web2"];
        let counters = UploadCounters::default();
        let line =
            |progress: &ProgressLine, columns| progress.line(&counters, names.into_iter(), columns);
        assert_eq!(line(&progress, 80), None);
        progress.targets = 3;
        progress.running = 2;
        progress.failed = 1;
        let counts = "0 done, 2 running, 1 failed of 3";
        assert_eq!(line(&progress, 80), Some(format!("{counts}   web1 web2")));
        assert_eq!(line(&progress, 43), Some(format!("{counts}   web1 +1")));
        assert_eq!(line(&progress, 41), Some(counts.to_string()));
        assert_eq!(line(&progress, 20).as_deref(), Some("0 done, 2 running, 1"));
    }

    #[test]
    fn what_is_left_goes_by_what_is_over() {
        let minute = Duration::from_secs(60);
        assert_eq!(left(3, 12, minute).as_deref(), Some("about 3:00 left"));
        assert_eq!(left(2, 3, minute).as_deref(), Some("about 0:30 left"));
        for (over, targets, elapsed) in
            [(0, 3, minute), (3, 3, minute), (4, 3, minute), (1, 3, Duration::from_secs(4))]
        {
            assert_eq!(left(over, targets, elapsed), None);
        }
    }

    #[test]
    fn names_are_shown_where_they_have_room() {
        let of = |names: &[&str], room| shown_names(names.iter().copied(), room);
        assert_eq!(of(&[], 80), None);
        let many = ["a", "b", "c", "d", "e", "f"];
        assert_eq!(of(&many, 80).as_deref(), Some("a b c d +2"));
        assert_eq!(of(&many, 4).as_deref(), Some("a +5"));
        assert_eq!(of(&many, 3), None);
        assert_eq!(of(&["中中"], 3), None);
        assert_eq!(of(&["a\x1b[2J"], 80).as_deref(), Some("a\\x1b[2J"));
    }
}
