//! `octo-exec prune`: old jobs and packages go; never what runs, waits, is held
//! or is being sent.

use octo_core::Digest;
use octo_core::base::cli::options::{OptionGroup, Said, flag, value};
use octo_core::base::cli::{Tool, print};
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::base::publish::{TEMPORARY_PREFIX, sync_directory};
use octo_core::base::units::{Share, human_size, size};
use octo_core::tentacle::job::{self, JobDirectory, State, mark_pruned};
use octo_core::tentacle::store::{ABANDONED, Store};
use std::collections::HashSet;
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
        job::sweep(places)?;
    }
    let mut text = jobs(said.tool(), places, &rules)?;
    text.push_str(&packages(places, &rules)?);
    print(&text)?;
    Ok(0)
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

    fn is_short_of_space(&self, places: &Places) -> bool {
        let Some(free) = &self.free else { return false };
        let Ok(disk) = rustix::fs::statvfs(&places.state) else { return false };
        match free {
            Free::Bytes(bytes) => disk.f_bavail.saturating_mul(disk.f_frsize) < *bytes,
            Free::Percent(percent) => {
                disk.f_bavail.saturating_mul(100) < disk.f_blocks.saturating_mul(*percent)
            }
        }
    }

    /// Is this one to go? `index` counts from the newest.
    fn takes(&self, places: &Places, index: usize, age: Duration) -> bool {
        (index >= self.keep && age >= self.older) || self.is_short_of_space(places)
    }
}

fn age(time: std::io::Result<SystemTime>) -> Duration {
    time.ok().and_then(|time| time.elapsed().ok()).unwrap_or_default()
}

fn jobs(tool: &Tool, places: &Places, rules: &Rules) -> Result<String> {
    let mut text = String::new();
    let mut ended: Vec<(Duration, JobDirectory)> = Vec::new();
    for job in JobDirectory::all(places)? {
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
        if !rules.takes(places, index, age) {
            continue;
        }
        text.push_str(&format!("job {}\n", job.id()));
        if !rules.dry_run {
            remove(places, &job)?;
        }
    }
    Ok(text)
}

fn remove(places: &Places, job: &JobDirectory) -> Result<()> {
    let Some(_held) = job.try_hold()? else { return Ok(()) };
    // First the id is remembered: a repeat must find that it ran.
    mark_pruned(places, job.id())?;
    let aside = places.jobs().join(format!("{TEMPORARY_PREFIX}pruned-{}", job.id()));
    let io = |e: std::io::Error| Error::new(Exit::Io, job.path().display(), describe(&e));
    std::fs::rename(job.path(), &aside).map_err(io)?;
    sync_directory(&places.jobs())?;
    // A crash from here on leaves a directory that the next sweep takes.
    std::fs::remove_dir_all(&aside).map_err(io)
}

fn packages(places: &Places, rules: &Rules) -> Result<String> {
    let mut text = String::new();
    if !places.packages().is_dir() {
        return Ok(text);
    }
    let store = Store::open(places)?;
    if !rules.dry_run {
        store.sweep(ABANDONED)?;
    }
    // Held from the look at the jobs to the removal: no job can be published in
    // between that names one of these.
    let changing = store.change()?;
    let used = in_use(places)?;
    let mut objects = store.objects()?;
    objects.sort_by_key(|object| std::cmp::Reverse(object.used));
    for (index, object) in objects.iter().enumerate().rev() {
        if used.contains(&object.digest) || !rules.takes(places, index, age(Ok(object.used))) {
            continue;
        }
        text.push_str(&format!("package {} {}\n", object.digest, human_size(object.size)));
        if !rules.dry_run {
            store.remove(&object.digest, &changing)?;
        }
    }
    Ok(text)
}

/// The packages of jobs that are not over.
fn in_use(places: &Places) -> Result<HashSet<Digest>> {
    let mut used = HashSet::new();
    for job in JobDirectory::all(places)? {
        if !matches!(job.state(), Ok(State::Over(_)))
            && let Ok((spec, _)) = job.spec()
        {
            used.extend(spec.package.map(|(digest, _)| digest));
        }
    }
    Ok(used)
}
