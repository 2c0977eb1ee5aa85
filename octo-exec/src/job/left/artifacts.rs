//! What a script leaves for its pusher: copied out of the directory that is its own to
//! one that the listener reads, when the job is over.

use super::allowance::Allowance;
use crate::job::prepare::directories::{ARTIFACTS, MADE, PACKAGES};
use octo_core::base::beneath;
use octo_core::base::encoding::printable;
use octo_core::base::error::describe;
use octo_core::base::publish::{self, Readers, TEMPORARY_PREFIX, create_empty};
use octo_core::base::units::human_size;
use octo_core::tentacle::account::of_file;
use octo_core::tentacle::job::JobDirectory;
use rustix::fs::{AtFlags, Dir, statat};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use tempfile::{NamedTempFile, TempDir};

/// So many are kept of a job.
const KEPT: usize = 10_000;
/// So many that are not kept are named.
const NAMED: usize = 20;

/// Keeps the job's artifacts; says which are not kept, and why: that changes nothing
/// about how the script ended.
pub(crate) fn keep(job: &JobDirectory, allowance: &Allowance) -> Vec<String> {
    // Of most jobs there are none.
    if std::fs::remove_dir(job.file(MADE)).is_ok() {
        return Vec::new();
    }
    let made = match beneath::directory(&job.file(MADE)) {
        Err(Errno::NOENT) => return Vec::new(),
        Err(error) => return vec![format!("its artifacts: {}", describe(&error.into()))],
        Ok(made) => made,
    };
    // Whoever kept them was killed before the rest: they are whole, and kept once.
    let kept = match job.file(ARTIFACTS).is_dir() {
        true => Ok(Vec::new()),
        false => keep_all(job, &made, allowance),
    };
    match kept {
        Ok(troubles) => {
            // What a process that outlives the script writes there now is nobody's. It may be
            // faster than this, and the end must be told: what stays goes with the job.
            let _ = publish::remove_from(job.path(), MADE.as_ref(), publish::SWEEP);
            troubles
        }
        Err(error) => vec![format!("its artifacts are lost: {}", describe(&error))],
    }
}

/// Of what is kept now, nobody else may take the room: a file without content, as long as
/// all of it, is counted to the job while it is copied.
struct Claimed {
    /// What is left of it.
    bytes: u64,
    /// Of what there is no more.
    of: &'static str,
    file: NamedTempFile,
}

impl Claimed {
    /// Claims room for all that may be kept, or for as much of it as is left.
    fn of(
        job: &JobDirectory,
        made: &OwnedFd,
        names: &[CString],
        allowance: &Allowance,
    ) -> io::Result<Claimed> {
        let mut wanted = of_file(0);
        for name in names {
            let found = statat(made, name, AtFlags::SYMLINK_NOFOLLOW);
            let length = found.map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0));
            if length <= allowance.max_size {
                wanted = wanted.saturating_add(of_file(length));
            }
        }
        let part = allowance.part_of(wanted).map_err(io::Error::other)?;
        let file = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(job.path())?;
        file.as_file().set_len(part.bytes)?;
        Ok(Claimed { bytes: part.bytes.saturating_sub(of_file(0)), of: part.of, file })
    }

    /// So much of it is there as a copy by now, and counts as that.
    fn spend(&mut self, bytes: u64) -> io::Result<()> {
        self.bytes -= bytes;
        self.file.as_file().set_len(self.bytes)
    }
}

/// What lies there, in order: which are kept where not all fit is no chance. One more
/// than are kept, if there are more.
fn names(made: &OwnedFd) -> io::Result<Vec<CString>> {
    let names = Dir::read_from(made)?.map(|entry| entry.map(|entry| entry.file_name().to_owned()));
    let is_own = |name: &CString| {
        !matches!(name.as_bytes(), b"." | b"..") && name.as_bytes() != PACKAGES.as_bytes()
    };
    let names = names.filter(|name| name.as_ref().map_or(true, is_own)).take(KEPT + 1);
    let mut names = names.collect::<Result<Vec<CString>, Errno>>()?;
    names.sort_unstable();
    Ok(names)
}

fn keep_all(job: &JobDirectory, made: &OwnedFd, allowance: &Allowance) -> io::Result<Vec<String>> {
    let group = job.path().metadata()?.gid();
    let owner = rustix::fs::fstat(made)?.st_uid;
    let mut staged = None;
    let mut troubles = Vec::new();
    let mut left = None;
    let names = names(made)?;
    for (count, name) in names.iter().map(|name| name.as_bytes()).enumerate() {
        if count == KEPT {
            troubles.push(format!("of its artifacts {KEPT} are kept"));
            break;
        }
        let left = match &mut left {
            Some(left) => left,
            None => left.insert(Claimed::of(job, made, &names, allowance)?),
        };
        let staged = match &staged {
            Some(staged) => staged,
            None => staged
                .insert(tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir_in(job.path())?),
        };
        let path = Path::new(std::ffi::OsStr::from_bytes(name));
        let size = match own_file(made, path, owner) {
            Ok((_, size)) if size > allowance.max_size => {
                Err(format!("{} is too large", human_size(size)))
            }
            Ok((_, size)) if of_file(size) > left.bytes => {
                Err(format!("{} is more than is left of {}", human_size(size), left.of))
            }
            Ok((mut file, size)) => {
                let copied = copy(&mut file, size, &staged.path().join(path), group);
                copied.map(|()| of_file(size)).map_err(|error| describe(&error))
            }
            Err(reason) => Err(reason),
        };
        match size {
            Ok(size) => left.spend(size)?,
            Err(reason) if troubles.len() < NAMED => {
                troubles.push(format!("its artifact {} is not kept: {reason}", printable(name)));
            }
            Err(_) => {}
        }
    }
    if let Some(staged) = staged {
        publish(job, staged, group)?;
    }
    Ok(troubles)
}

/// Copies one, durably: the original goes, and the record says that it is kept. Of one
/// that does not fit nothing stays, so that others may.
fn copy(file: &mut File, size: u64, to: &Path, group: u32) -> io::Result<()> {
    let mut copy = create_empty(to, Readers::of_group(0o640, group))?;
    // No more than was stated: it may be growing.
    let copied = io::copy(&mut file.take(size), &mut copy).and_then(|_| copy.sync_all());
    if copied.is_err() {
        std::fs::remove_file(to)?;
    }
    copied
}

/// Gives the copies their name, all at once; it is durable before the originals go.
fn publish(job: &JobDirectory, staged: TempDir, group: u32) -> io::Result<()> {
    let opened = File::open(staged.path())?;
    std::os::unix::fs::fchown(&opened, None, Some(group))?;
    opened.set_permissions(Permissions::from_mode(0o750))?;
    opened.sync_all()?;
    std::fs::rename(staged.path(), job.file(ARTIFACTS))?;
    drop(staged.keep());
    File::open(job.path())?.sync_all()
}

/// A regular file of the job's user in the directory itself, and its length.
pub(super) fn own_file(made: &OwnedFd, name: &Path, owner: u32) -> Result<(File, u64), String> {
    let file = match beneath::open(made, name) {
        Err(Errno::LOOP) => return Err("it is a link".into()),
        other => other.map_err(|e| describe(&e.into()))?,
    };
    let metadata = file.metadata().map_err(|e| describe(&e))?;
    if !metadata.is_file() {
        return Err("it is not a regular file".into());
    }
    if metadata.uid() != owner {
        return Err("it is another user's".into());
    }
    Ok((file, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::base::paths::Places;
    use octo_core::base::record::Record;
    use octo_core::tentacle::job::{NewJob, Origin, Published};
    use octo_core::{JobId, PusherName};

    fn job(places: &Places) -> JobDirectory {
        let id = &JobId::generate().expect("an id");
        let received = octo_core::base::cli::utc_now();
        let origin = &Origin { pusher: None, by: "me@here".into(), received };
        let (request, script, secrets) = (None, None, None);
        let new =
            NewJob { id, origin, request, spec: b"command true\n", script, stdin: None, secrets };
        match new.publish(places).expect("published") {
            Published::New(job) => job,
            other => panic!("{other:?}"),
        }
    }

    /// Else who has half of max-store left could keep no more than a quarter at once.
    #[test]
    fn what_is_copied_counts_once() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        let job = job(&places);
        let grant = Record::new().with("name", PusherName::parse("ci").expect("a name"));
        job.publish_record("grant", &grant.with("max-store", "10M")).expect("grant");
        let allowance = Allowance::recorded(&places, &job);
        let path = job.file(MADE);
        std::fs::create_dir(&path).expect("mkdir");
        let sizes = [("a", 100_000), ("b", 1_000_000), ("c", 5_000_000)];
        for (name, size) in sizes {
            std::fs::write(path.join(name), vec![1; size]).expect("write");
        }
        let made = beneath::directory(&path).expect("open");
        let names = names(&made).expect("names");
        let left = || allowance.left().expect("left").bytes;
        let before = left();
        let mut claimed = Claimed::of(&job, &made, &names, &allowance).expect("claimed");
        let after = left();
        assert_eq!(before - after, claimed.bytes + of_file(0));
        let staged = job.file(".octo-tmp-staged");
        std::fs::create_dir(&staged).expect("mkdir");
        for (name, size) in sizes {
            std::fs::copy(path.join(name), staged.join(name)).expect("copied");
            claimed.spend(of_file(size as u64)).expect("spent");
            // Empty in the end, it is a block as any file.
            let over = if claimed.bytes == 0 { of_file(0) } else { 0 };
            assert_eq!(left(), after - over, "{name}");
        }
        assert_eq!(claimed.bytes, 0);
    }
}
