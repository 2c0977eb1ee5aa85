//! Which file it is that has a name, since another one may take its place; and whether it
//! is still as it was.

use super::beneath;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// After so long a change of a file shows in its times: the clock of the coarsest file
/// system ticks every 2 s.
const REST: Duration = Duration::from_secs(3);

/// After so long where times are finer than [`COARSE`]: their clock ticks 100 times a second,
/// or more often.
const SHORT_REST: Duration = Duration::from_millis(100);
const COARSE: i64 = 10_000_000;

/// What tells one file of a name from the next. Nobody sets the second, the time of the
/// last change of an inode: one that took over a free inode differs in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    inode: u64,
    changed: (i64, u64),
}

impl FileIdentity {
    /// Of what has this name now, a link itself; `None` where there is nothing.
    pub fn of(path: &Path) -> Option<FileIdentity> {
        let stat = beneath::look(path).ok()?;
        Some(FileIdentity { inode: stat.st_ino, changed: (stat.st_ctime, stat.st_ctime_nsec) })
    }
}

impl fmt::Display for FileIdentity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}.{:09}", self.inode, self.changed.0, self.changed.1)
    }
}

/// By what one state of a file is told from another; times in seconds and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    /// Of an open file, before its bytes are read: a change between the two makes the
    /// stamp the older one.
    pub fn of(metadata: &Metadata) -> FileStamp {
        FileStamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Was its last change so long before this time that the next one has another stamp?
    /// Within one tick of the clock a file may change twice. Of one from the future, which
    /// another machine's clock makes, nothing is known.
    pub fn is_at_rest(&self, at: SystemTime) -> bool {
        self.has_rested(at, REST)
    }

    /// The same, but of a file whose times show that their clock is a fine one, which is at
    /// rest sooner.
    pub fn is_at_rest_by_its_clock(&self, at: SystemTime) -> bool {
        self.has_rested(at, if self.changed.1 % COARSE == 0 { REST } else { SHORT_REST })
    }

    fn has_rested(&self, at: SystemTime, rested: Duration) -> bool {
        let (seconds, rest) = self.modified.max(self.changed);
        let changed = i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        let at = at.duration_since(SystemTime::UNIX_EPOCH).ok();
        let at = at.and_then(|at| i128::try_from(at.as_nanos()).ok());
        at.is_some_and(|at| at - changed > rested.as_nanos() as i128)
    }
}

impl fmt::Display for FileStamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileStamp { device, inode, size, modified, changed } = self;
        write!(
            out,
            "{device}:{inode}:{size}:{}.{}:{}.{}",
            modified.0, modified.1, changed.0, changed.1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_at_rest_some_time_after_its_last_change_of_either_kind() {
        let stamp =
            |modified, changed| FileStamp { device: 1, inode: 2, size: 3, modified, changed };
        let (early, late) = ((50, 0), (100, 500));
        for stamp in [stamp(early, late), stamp(late, early), stamp(late, late)] {
            for (nanoseconds, is_so) in [
                (99_000_000_000, false),
                (100_000_000_500, false),
                (103_000_000_500, false),
                (103_000_000_501, true),
            ] {
                let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds);
                assert_eq!(stamp.is_at_rest(at), is_so, "{stamp} at {nanoseconds}");
            }
        }
        let at = |nanoseconds| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds);
        for (changed, nanoseconds, is_so) in [
            ((100, 5_000_000), 100_105_000_000, false),
            ((100, 5_000_000), 100_105_000_001, true),
            ((100, 50_000_000), 103_050_000_000, false),
            ((100, 50_000_000), 103_050_000_001, true),
            ((100, 5_000_000), 99_000_000_000, false),
        ] {
            let stamp = stamp(early, changed);
            assert_eq!(stamp.is_at_rest_by_its_clock(at(nanoseconds)), is_so, "{stamp}");
        }
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert!(!stamp((-50, 0), (-50, 0)).is_at_rest(before));
    }

    #[test]
    fn any_change_is_another_stamp_and_another_text() {
        let one = FileStamp { device: 1, inode: 2, size: 3, modified: (4, 5), changed: (6, 7) };
        assert_eq!(one.to_string(), "1:2:3:4.5:6.7");
        for other in [
            FileStamp { device: 9, ..one },
            FileStamp { inode: 9, ..one },
            FileStamp { size: 9, ..one },
            FileStamp { modified: (4, 9), ..one },
            FileStamp { changed: (6, 9), ..one },
        ] {
            assert!(one != other && one.to_string() != other.to_string(), "{other}");
        }
    }
}
