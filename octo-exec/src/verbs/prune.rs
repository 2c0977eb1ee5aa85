//! `octo-exec prune`: old jobs and packages go; never what runs, waits, is held
//! or is being sent.

use octo_core::Digest;
use octo_core::base::beneath;
use octo_core::base::cli::options::{OptionGroup, Said, flag, value};
use octo_core::base::cli::{Tool, print};
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::base::publish::{self, TEMPORARY_PREFIX, sync_directory};
use octo_core::base::remove::PATIENCE;
use octo_core::base::units::{Share, human_size, size};
use octo_core::tentacle::job::{self, JobDirectory, State, forget_pruned, mark_pruned};
use octo_core::tentacle::releases::{self, Released};
use octo_core::tentacle::spec::Spec;
use octo_core::tentacle::spool::Spool;
use octo_core::tentacle::store::{ABANDONED, Object, Store};
use octo_core::tentacle::{account, underway};
use rustix::fs::{AtFlags, FileType};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What is to go.
struct Rules {
    /// Over for this long, and beyond `keep`.
    older: Duration,
    /// So many ended jobs stay, whatever their age; so many packages too.
    keep: usize,
    /// Jobs and packages go, the oldest first, until so much is free.
    free: Option<Free>,
    dry_run: bool,
}

enum Free {
    Bytes(u64),
    Percent(u64),
}

impl Free {
    /// Is less than that available on a disk of this size?
    fn is_missing(&self, disk: Disk) -> bool {
        match self {
            Free::Bytes(bytes) => disk.available < *bytes,
            Free::Percent(percent) => {
                disk.available.saturating_mul(100) < disk.size.saturating_mul(*percent)
            }
        }
    }
}

/// The room on a disk, in bytes.
#[derive(Clone, Copy)]
struct Disk {
    available: u64,
    size: u64,
}

impl Disk {
    /// The one that this directory is on.
    fn of(directory: &Path) -> Option<Disk> {
        let disk = rustix::fs::statvfs(directory).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Some(Disk { available: bytes(disk.f_bavail), size: bytes(disk.f_blocks) })
    }
}

pub(super) static PRUNE: OptionGroup = OptionGroup {
    title: "prune",
    rows: &[
        value("", "older", "TIME", "those that are over for so long (30d)"),
        value("", "keep", "N", "beyond the newest (100)"),
        value("", "free", "SIZE|P%", "and the oldest ones until so much is free"),
        flag("n", "dry-run", "only say what would go"),
    ],
};

pub(super) fn prune(said: &Said, places: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    let rules = Rules::read(said)?;
    if !rules.dry_run {
        job::sweep(places, PATIENCE)?;
    }
    let mut pruning = Pruning { places, rules, disk: Disk::of, kept: 0, text: String::new() };
    let code = pruning.jobs(said.tool())?;
    pruning.packages()?;
    if !pruning.rules.dry_run {
        forget_pruned(places, jiff::Timestamp::now())?;
        account::rebuild(places)?;
    }
    print(&pruning.text)?;
    Ok(code)
}

impl Rules {
    fn read(said: &Said) -> Result<Rules> {
        let free = |text: &str| match Share::parse(text) {
            Some(Share::Percent(percent)) => Some(Free::Percent(percent)),
            _ => size(text).map(Free::Bytes),
        };
        let keep = said.number("keep", 0..=u64::MAX)?.unwrap_or(100);
        Ok(Rules {
            older: said.time("older")?.unwrap_or(Duration::from_secs(30 * 86400)),
            keep: usize::try_from(keep).unwrap_or(usize::MAX),
            free: said.parsed("free", "a size such as 10G, or a percentage", free)?,
            dry_run: said.flag("dry-run"),
        })
    }
}

/// What goes, one by one.
struct Pruning<'a> {
    places: &'a Places,
    rules: Rules,
    disk: fn(&Path) -> Option<Disk>,
    /// What a dry run has named and left: so much more would be available.
    kept: u64,
    text: String,
}

fn age(time: std::io::Result<SystemTime>) -> Duration {
    time.ok().and_then(|time| time.elapsed().ok()).unwrap_or_default()
}

/// What the files below a directory take of the disk, about; nothing of one that can't
/// be read. A job's user may be moving things there: no name is followed.
fn size_of(directory: &Path) -> u64 {
    beneath::directory(directory).map_or(0, |directory| size_in(&directory, DEEPEST))
}

/// What lies deeper is not counted: somebody made it so to have us run out of something.
const DEEPEST: usize = 100;

fn size_in(directory: &OwnedFd, deeper: usize) -> u64 {
    if deeper == 0 {
        return 0;
    }
    let Ok(entries) = rustix::fs::Dir::read_from(directory) else { return 0 };
    let size = |entry: rustix::fs::DirEntry| {
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            return 0;
        }
        match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
                let path = Path::new(OsStr::from_bytes(name.to_bytes()));
                beneath::directory_in(directory, path)
                    .map_or(0, |below| size_in(&below, deeper - 1))
            }
            Ok(found) => u64::try_from(found.st_size).unwrap_or(0),
            Err(_) => 0,
        }
    };
    entries.flatten().map(size).sum()
}

impl Pruning<'_> {
    /// Is this one to go? `index` counts from the newest.
    fn takes(&self, index: usize, age: Duration) -> bool {
        (index >= self.rules.keep && age >= self.rules.older) || self.is_short_of_space()
    }

    fn is_short_of_space(&self) -> bool {
        let Some(free) = &self.rules.free else { return false };
        let Some(disk) = (self.disk)(&self.places.state) else { return false };
        free.is_missing(Disk { available: disk.available.saturating_add(self.kept), ..disk })
    }

    /// The exit status: what could not be removed has been said.
    fn jobs(&mut self, tool: &Tool) -> Result<u8> {
        let mut code = 0;
        let mut ended: Vec<(Duration, JobDirectory)> = Vec::new();
        for job in JobDirectory::all(self.places)? {
            match job.state() {
                Ok(State::Over(_)) => {
                    ended.push((age(job.file("end").metadata().and_then(|m| m.modified())), job))
                }
                Ok(_) => {}
                // One that can't be read is the sysadmin's to look at.
                Err(error) => tool.report(&error),
            }
        }
        ended.sort_by_key(|(age, _)| *age);
        // The oldest first, so that short space takes no more than it must.
        for (index, (age, job)) in ended.into_iter().enumerate().rev() {
            if !self.takes(index, age) {
                continue;
            }
            if self.rules.dry_run {
                self.kept += size_of(job.path());
            } else if let Err(error) = remove(self.places, &job) {
                // Its user may have left what can't be removed: that keeps no other job.
                tool.report(&error);
                code = error.exit.code();
                continue;
            }
            self.text.push_str(&format!("job {}\n", job.id()));
        }
        Ok(code)
    }

    fn packages(&mut self) -> Result<()> {
        if !self.places.packages().is_dir() {
            return Ok(());
        }
        let store = Store::open(self.places)?;
        if !self.rules.dry_run {
            store.sweep(ABANDONED)?;
        }
        // Held from the look at spool and jobs to the removal: no job can be published in
        // between that names one of these, nor handed over by a listener of this user. One
        // that another user's hands over is refused, and its package put again.
        let changing = store.change()?;
        let used = in_use(self.places)?;
        let mut objects = store.objects()?;
        objects.sort_by_key(|object| std::cmp::Reverse(object.used));
        // What the next version is made of goes last, and not for its age.
        let released = released(self.places)?;
        let is_base = |object: &Object| released.contains(&object.digest);
        let each = objects.iter().enumerate().rev();
        let (last, first): (Vec<_>, Vec<_>) = each.partition(|(_, object)| is_base(object));
        for (index, object) in first.into_iter().chain(last) {
            // Who wants none kept means these, too.
            let goes = match is_base(object) && self.rules.keep > 0 {
                true => self.is_short_of_space(),
                false => self.takes(index, age(Ok(object.used))),
            };
            if used.contains(&object.digest) || !goes {
                continue;
            }
            let size = human_size(object.size);
            self.text.push_str(&format!("package {} {size}\n", object.digest));
            if self.rules.dry_run {
                self.kept += object.size;
            } else {
                store.remove(&object.digest, &changing)?;
            }
        }
        Ok(())
    }
}

fn remove(places: &Places, job: &JobDirectory) -> Result<()> {
    let is_held = || {
        let reason = "its octo-exec still holds it; the next prune takes it";
        Error::new(Exit::Temporary, job.path().display(), reason)
    };
    let _held = job.try_hold()?.ok_or_else(is_held)?;
    // First the id is remembered: a repeat must find that it ran.
    mark_pruned(places, job)?;
    let aside = places.jobs().join(format!("{TEMPORARY_PREFIX}pruned-{}", job.id()));
    let io = |e: std::io::Error| Error::new(Exit::Io, job.path().display(), describe(&e));
    std::fs::rename(job.path(), &aside).map_err(io)?;
    underway::remove(places, job.id())?;
    sync_directory(&places.jobs())?;
    // A crash from here on leaves a directory that the next sweep takes.
    let removed =
        publish::remove_from(&places.jobs(), aside.file_name().unwrap_or_default(), PATIENCE);
    removed.map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => {
            let reason = "not all of it is gone yet; the next prune goes on: does a daemon of it \
                          add to its work directory?";
            Error::new(Exit::Temporary, job.path().display(), reason)
        }
        _ => io(error),
    })
}

/// The packages of what is released now, and of what was before: by the word of those whose
/// it is, which keeps them from no want of space.
fn released(places: &Places) -> Result<HashSet<Digest>> {
    let (copies, _) = releases::all(places, None)?;
    let of = |copy: &Released| {
        let said = ["sha256", "back-sha256"].map(|key| copy.facts.get(key).and_then(Digest::parse));
        said.into_iter().flatten().collect::<Vec<_>>()
    };
    Ok(copies.iter().flat_map(of).collect())
}

/// The packages of jobs that are not over, and of those that are still to be made. The
/// spool comes first: an entry leaves it when its job is there, which the second look sees.
fn in_use(places: &Places) -> Result<HashSet<Digest>> {
    let mut used = spooled(places)?;
    for job in JobDirectory::under_way(places)? {
        if let Ok((spec, _)) = job.spec() {
            used.extend(spec.package.map(|(digest, _)| digest));
        }
    }
    Ok(used)
}

/// The packages of what lies in the spool. Nobody has verified it: whoever lies there
/// keeps packages, and makes none go.
fn spooled(places: &Places) -> Result<HashSet<Digest>> {
    let spool = Spool::at(places);
    let mut used = HashSet::new();
    for name in spool.names()? {
        if name.is_cancel || name.is_done(places) {
            continue;
        }
        let read = match spool.read(&name) {
            // It becomes no job, and must not keep us from pruning.
            Err(error) if error.exit == Exit::Data => None,
            other => other?,
        };
        let spec = read.and_then(|read| Spec::parse(read.entry().spec).ok());
        used.extend(spec.and_then(|spec| spec.package).map(|(digest, _)| digest));
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::add::add_file;

    /// A disk that is full, and stays so.
    fn full(_: &Path) -> Option<Disk> {
        Some(Disk { available: 0, size: 10_000 })
    }

    #[test]
    fn a_dry_run_names_no_more_than_would_go() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("config"), state: top.path().join("state") };
        for byte in [1, 2, 3] {
            let path = top.path().join("package");
            std::fs::write(&path, [byte; 1000]).expect("write");
            add_file(&places, &path).expect("added");
        }
        for (free, named) in [
            (Free::Bytes(1), 1),
            (Free::Bytes(1001), 2),
            (Free::Percent(15), 2),
            (Free::Bytes(0), 0),
        ] {
            let (older, keep) = (Duration::MAX, usize::MAX);
            let rules = Rules { older, keep, free: Some(free), dry_run: true };
            let text = String::new();
            let mut pruning = Pruning { places: &places, rules, disk: full, kept: 0, text };
            pruning.packages().expect("pruned");
            assert_eq!(pruning.text.lines().count(), named, "{}", pruning.text);
        }
        assert_eq!(Store::at(&places).objects().expect("objects").len(), 3);
    }

    #[test]
    fn a_directory_is_as_large_as_what_is_in_it() {
        let top = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir(top.path().join("below")).expect("mkdir");
        std::fs::write(top.path().join("below/file"), [1; 100_000]).expect("write");
        std::os::unix::fs::symlink("/", top.path().join("link")).expect("symlink");
        let link = top.path().join("link").symlink_metadata().expect("stat").len();
        assert_eq!(size_of(top.path()), 100_000 + link);
    }
}
