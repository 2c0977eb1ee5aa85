//! Signals, as all tools treat them, and as their starter left them. nohup(1)
//! ignores HUP, a script's background jobs ignore INT and QUIT, and all that they
//! start inherits that.

use signal_hook::consts::SIGXFSZ;
use std::sync::Arc;

/// Under `ulimit -f`, a file that may grow no more is an error of the write that
/// tried, and not the end of the tool, which the signal would be. A handler, since
/// jobs would inherit "ignored".
pub(crate) fn outlive_file_size_limits() {
    // Where the kernel refuses, it is as it was before.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// The signals that a process ignores.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ignored(u64);

impl Ignored {
    /// Those of this process, read off /proc/self/status, proc_pid_status(5); none
    /// where that can't be read.
    pub fn by_us() -> Ignored {
        Ignored::in_status(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    fn in_status(status: &str) -> Ignored {
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.map_or_else(Ignored::default, Ignored)
    }

    /// Is the signal of this number among them?
    pub fn contains(self, signal: i32) -> bool {
        (1..=64).contains(&signal) && self.0 & (1 << (signal - 1)) != 0
    }

    /// Their numbers.
    pub fn numbers(self) -> impl Iterator<Item = i32> {
        (1..=64).filter(move |signal| self.contains(*signal))
    }
}

#[cfg(test)]
mod tests {
    use super::Ignored;

    #[test]
    fn the_mask_is_the_kernels() {
        let status = "SigBlk:\tffffffffffffffff\nSigIgn:\t8000000000001007\nSigCgt:\t0\n";
        let ignored = Ignored::in_status(status);
        assert_eq!(ignored.numbers().collect::<Vec<i32>>(), [1, 2, 3, 13, 64]);
        assert!(ignored.contains(13) && !ignored.contains(0) && !ignored.contains(65));
        for status in ["SigIgn:\tx\n", ""] {
            assert_eq!(Ignored::in_status(status).numbers().count(), 0);
        }
    }
}
