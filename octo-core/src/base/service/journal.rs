//! Lines for systemd's journal: a priority stands before them, as sd-daemon(3) has it, so
//! that `journalctl -p warning` finds refusals and errors. Elsewhere nothing stands there.

use crate::base::error::Exit;
use rustix::fs::fstat;
use rustix::stdio::stderr;
use std::sync::OnceLock;

/// Names the stream.
pub const VARIABLE: &str = "JOURNAL_STREAM";

/// How much a line matters; the numbers are those of syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Priority {
    /// Somebody has to do something.
    Error = 3,
    /// Somebody was refused, or what was meant may not be what is said.
    Warning = 4,
    /// What happened. It is what the journal takes a line for that says nothing of it.
    Information = 6,
}

impl Priority {
    /// That of an error which leads to this exit status: a refusal is no failure of ours.
    pub fn of(exit: Exit) -> Priority {
        if exit == Exit::Refused { Priority::Warning } else { Priority::Error }
    }

    /// What stands before a line of it on standard error.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            _ if !is_read_by_journal() => "",
            Priority::Error => "<3>",
            Priority::Warning => "<4>",
            Priority::Information => "",
        }
    }
}

/// Is standard error the stream that systemd has opened to the journal? A file or a pipe
/// behind it, as of a script that reads what we say, has another number.
fn is_read_by_journal() -> bool {
    static IS: OnceLock<bool> = OnceLock::new();
    *IS.get_or_init(|| {
        let named = std::env::var(VARIABLE);
        let Ok(found) = fstat(stderr()) else { return false };
        named.is_ok_and(|named| is_stream(&named, found.st_dev, found.st_ino))
    })
}

/// `DEVICE:INODE`, as systemd.exec(5) has it.
fn is_stream(named: &str, device: u64, inode: u64) -> bool {
    let numbers = named.split_once(':').map(|(device, inode)| (device.parse(), inode.parse()));
    numbers == Some((Ok(device), Ok(inode)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_known_by_its_numbers() {
        assert!(is_stream("9:12345", 9, 12345));
        for other in ["", "9", "9:", ":12345", "9:12346", "8:12345", "9:12345:1", "9:12345 "] {
            assert!(!is_stream(other, 9, 12345), "{other}");
        }
    }

    #[test]
    fn a_refusal_is_a_warning_and_all_else_an_error() {
        assert_eq!(Priority::of(Exit::Refused), Priority::Warning);
        for exit in [Exit::Data, Exit::Io, Exit::Configuration, Exit::Temporary] {
            assert_eq!(Priority::of(exit), Priority::Error);
        }
    }
}
