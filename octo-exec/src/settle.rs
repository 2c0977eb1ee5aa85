//! Ending a job whose octo-exec died: first nobody of it is left, then its end
//! is written. Never started again.

use crate::tree::{self, Process};
use octo_core::error::Result;
use octo_core::job::{End, JobDirectory, JobLock, settle_lost};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// How long a survivor has after TERM, and again after KILL.
const GRACE: Duration = Duration::from_secs(5);

/// The boot that this is: pids and sessions mean nothing on another one.
pub(crate) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_string()
}

/// Ends a started job that nobody runs.
///
/// # Errors
/// Where its records can't be read or written.
pub(crate) fn lost(job: &JobDirectory, held: &JobLock) -> Result<End> {
    let record = job.record("started")?.unwrap_or_default();
    let same_boot = record.first("boot") == Some(boot().as_str());
    let session = record.number("session").and_then(|s| i32::try_from(s).ok());
    let started = record.number("ticks");
    let (reason, strays) = match (same_boot, session, started) {
        (true, Some(session), Some(started)) => {
            let look = || tree::survivors(session, started, job.id().as_str());
            let found = look();
            end_them(&look);
            let left = look();
            let reason = match (found.len(), left.len()) {
                (0, _) => "its octo-exec died".to_string(),
                (count, 0) => format!("its octo-exec died; {count} processes of it were ended"),
                (_, count) => {
                    format!("its octo-exec died; {count} processes of it could not be ended")
                }
            };
            (reason, tree::names(&left))
        }
        (true, ..) => ("its octo-exec died".to_string(), Vec::new()),
        (false, ..) => ("the machine was restarted under it".to_string(), Vec::new()),
    };
    settle_lost(job, held, &reason, strays)
}

fn end_them(look: &dyn Fn() -> Vec<Process>) {
    for signal in [Signal::TERM, Signal::KILL] {
        let deadline = Instant::now() + GRACE;
        let mut pause = Duration::from_millis(1);
        loop {
            let left = look();
            if left.is_empty() {
                return;
            }
            // Sent again and again: a process may have been born meanwhile.
            tree::signal(&left, signal);
            if Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }
}
