//! Signals, as all tools treat them, and as their starter left them. nohup(1)
//! ignores HUP, a script's background jobs ignore INT and QUIT, and all that they
//! start inherits that.

use signal_hook::consts::SIGXFSZ;
use std::sync::Arc;

/// Under `ulimit -f`, a file that may grow no more is an error of the write that
/// tried, and not the end of the tool, which the signal would be. A handler, since
/// jobs would inherit "ignored".
pub fn outlive_file_size_limits() {
    // Where the kernel refuses, it is as it was before.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Does this process ignore the signal of this number? Read off /proc/self/status,
/// proc_pid_status(5); where that can't be read, it does not.
pub fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    is_in(&status, signal)
}

fn is_in(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    (1..=64).contains(&signal) && mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::is_in;

    #[test]
    fn the_mask_is_the_kernels() {
        let status = "SigBlk:\tffffffffffffffff\nSigIgn:\t8000000000001007\nSigCgt:\t0\n";
        let ignored: Vec<i32> = (-1..=70).filter(|signal| is_in(status, *signal)).collect();
        assert_eq!(ignored, [1, 2, 3, 13, 64]);
        assert!(!is_in("SigIgn:\tx\n", 1) && !is_in("", 1));
    }
}
