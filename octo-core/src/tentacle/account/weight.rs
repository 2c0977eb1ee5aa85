//! How much of the disk something counts as. In whole blocks, holes as what they could
//! be filled with: a crowd of small files takes more than their bytes.

use crate::base::beneath;
use crate::tentacle::job::JobDirectory;
use rustix::fs::{AtFlags, Dir, FileType, Stat, statat};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The block of nearly all file systems. An empty file is one, too: it has an inode.
const BLOCK: u64 = 4096;

/// What a job's log may grow to at least before anybody is asked again.
const FIRST_CLAIM: u64 = 64 * 1024;

/// The small files that each job has besides what was sent, and those that come when it
/// runs: origin, request, grant, started, end and so on.
const RECORDS: u64 = 16 * BLOCK;

/// What a file of this length counts as, in bytes.
pub fn of_file(length: u64) -> u64 {
    length.max(1).checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX)
}

/// What a job will count as when it has been published, of which these are sent: the spec,
/// the script, the standard input and the secrets. A command of the spec becomes a script when it starts.
pub fn of_new_job([spec, script, stdin, secrets]: [u64; 4]) -> u64 {
    let script = if script == 0 { spec } else { script };
    let sent = [spec, script, stdin, secrets].map(of_file);
    sent.iter().fold(RECORDS + claim(0), |sum: u64, part| sum.saturating_add(*part))
}

/// How much a running job has claimed whose output (log and index) is so long: it may
/// grow to that before it asks again. Longer outputs claim more at once, so that
/// it is asked seldom.
pub fn claim(length: u64) -> u64 {
    let step = (length / 16).checked_next_power_of_two().unwrap_or(FIRST_CLAIM).max(FIRST_CLAIM);
    length.saturating_add(1).checked_next_multiple_of(step).unwrap_or(u64::MAX)
}

/// What a job's directory counts as: all that octo-exec writes there. What the job's user
/// has to itself counts not.
pub(super) fn of_job(job: &JobDirectory, is_over: bool) -> u64 {
    let Ok(directory) = beneath::directory(job.path()) else { return 0 };
    let (mut output, mut spec, mut has_script) = (0_u64, 0, false);
    let mut sum = BLOCK;
    each(&directory, &mut |name, stat| {
        let length = length_of(stat);
        has_script |= name == b"script";
        if name == b"spec" {
            spec = length;
        }
        match name {
            b"work" | b"values" | b"made" => {}
            // A second name of an object of the store, which counts there.
            b"package" if stat.st_nlink > 1 => {}
            b"log" | b"index" if !is_over => output = output.saturating_add(length),
            _ if is_directory(stat) => {
                sum = sum.saturating_add(BLOCK);
                let path = Path::new(std::ffi::OsStr::from_bytes(name));
                if let Ok(below) = beneath::directory_in(&directory, path) {
                    let mut add = |_: &[u8], stat: &Stat| {
                        sum = sum.saturating_add(of_file(length_of(stat)));
                    };
                    each(&below, &mut add);
                }
            }
            _ => sum = sum.saturating_add(of_file(length)),
        }
    });
    let coming = match is_over {
        true => 0,
        false if has_script => claim(output),
        false => claim(output).saturating_add(of_file(spec)),
    };
    sum.saturating_add(coming)
}

fn each(directory: &OwnedFd, found: &mut dyn FnMut(&[u8], &Stat)) {
    let Ok(entries) = Dir::read_from(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        // What is gone meanwhile takes nothing.
        if let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            found(name.to_bytes(), &stat);
        }
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn length_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_never_full_and_is_asked_for_seldom() {
        let (mut length, mut asked) = (0_u64, 0);
        while length < 1 << 40 {
            let claimed = claim(length);
            assert!(claimed > length && claimed <= length + FIRST_CLAIM.max(length / 8));
            // While it is filled, nobody sees less of it.
            assert!(claim(claimed - 1) >= claimed && claim(length + 1) >= claimed);
            (length, asked) = (claimed, asked + 1);
        }
        assert!(asked < 500, "{asked}");
        assert_eq!((claim(u64::MAX), of_file(u64::MAX)), (u64::MAX, u64::MAX));
        assert_eq!((of_file(0), of_file(4096), of_file(4097)), (4096, 4096, 8192));
    }
}
