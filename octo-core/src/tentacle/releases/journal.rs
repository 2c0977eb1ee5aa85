//! Whether a journal is as it was: it is looked at for that, and not read.

use rustix::fs::{FileType, Stat};

/// Which file the journal is, and how far it goes: another after each line. Its device is left
/// out: many file systems have another after each start of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalStat {
    /// Its inode.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When it was written to, in nanoseconds since 1970.
    pub modified: i128,
}

impl JournalStat {
    /// That of a regular file; anything else is no journal.
    pub fn of(stat: &Stat) -> Option<JournalStat> {
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        Some(JournalStat {
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).ok()?,
            modified: i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec),
        })
    }

    /// The fields of a record.
    pub(super) fn fields(&self) -> [String; 3] {
        let JournalStat { inode, size, modified } = self;
        [inode.to_string(), size.to_string(), modified.to_string()]
    }

    pub(super) fn parse(fields: &[Vec<u8>]) -> Option<JournalStat> {
        let [inode, size, modified] = fields else { return None };
        let number = |field: &Vec<u8>| std::str::from_utf8(field).ok()?.parse().ok();
        let modified = std::str::from_utf8(modified).ok()?.parse().ok()?;
        Some(JournalStat { inode: number(inode)?, size: number(size)?, modified })
    }
}
