//! What a pusher keeps at a tentacle: his jobs, the notes on what was refused, and the
//! packages in octo-exec's store. What is under way is looked at; what is over, and each
//! package, is summed up once (STATE/kept). A sum may be too large, since what is removed is
//! not taken off it, and never too small: before anybody is refused, all that lies there is
//! looked at.

mod remembered;
#[cfg(test)]
mod tests;
mod weight;

pub use weight::{claim, of_file, of_new_job};

use super::job::{JobDirectory, Refused};
use super::{layout, objects, underway};
use crate::base::appended::lock_within;
use crate::base::digest::Digest;
use crate::base::error::Result;
use crate::base::names::{JobId, PusherName};
use crate::base::paths::Places;
use remembered::Line;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::time::Duration;

/// How long the account of a pusher is waited for: a job is published under it, on a disk
/// that may be slow, and several may come at once.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Who adds to sums, or makes them anew, locks this.
const LOCK: &str = "kept";

/// What one pusher keeps.
#[derive(Debug, Default)]
pub struct Kept {
    /// By its jobs and by notes, in bytes; where not all was looked at, by its packages in
    /// octo-exec's store, too.
    pub bytes: u64,
    /// Its jobs that are not over.
    pub under_way: HashSet<JobId>,
    /// What was on its way, where not all was looked at: what was removed may still count.
    pub(super) estimated_beside: Option<Coming>,
}

/// Held from looking at what a pusher keeps to adding to it: two can't both take the last
/// of a share. For octo-exec's user.
///
/// # Errors
/// Where the lock can't be taken.
pub fn lock(places: &Places, pusher: &PusherName) -> Result<File> {
    lock_for(PATIENCE, places, pusher)
}

/// As [`lock`], with another patience.
///
/// # Errors
/// As [`lock`]; temporary where others have it.
pub fn lock_for(patience: Duration, places: &Places, pusher: &PusherName) -> Result<File> {
    let name = format!("account-{pusher}");
    let file = layout::lock_file(places, &name)?;
    lock_within(patience, &file, &layout::lock_path(places, &name), true)?;
    Ok(file)
}

fn lock_sums(places: &Places) -> Result<File> {
    layout::make(places)?;
    let file = layout::lock_file(places, LOCK)?;
    lock_within(PATIENCE, &file, &layout::lock_path(places, LOCK), true)?;
    Ok(file)
}

/// Jobs that a listener has seen on their way to octo-exec, and their weights in bytes.
pub type Coming = HashMap<JobId, u64>;

/// What this pusher keeps, and what was on its way before: each counts once, though it may
/// arrive meanwhile. As quick with thousands of jobs that are over as with none.
///
/// # Errors
/// Where STATE can't be read.
pub fn kept(places: &Places, pusher: &PusherName, coming: &Coming) -> Result<Kept> {
    let is_own = layout::executor(places).uid == layout::Owner::this_process().uid;
    if is_own && !underway::is_built(places) {
        // Where the disk is full, each look is one at all of them.
        let _ = build(places, false);
    }
    match look_quickly(places, pusher, coming, is_own)? {
        Some(kept) => Ok(kept),
        // Octo-exec's user has not looked at all of them on this boot, and we may not.
        None => look_at_all(places, pusher, coming),
    }
}

/// The same, but for packages, and looks at all that lies there.
///
/// # Errors
/// As [`kept`].
pub fn kept_exactly(places: &Places, pusher: &PusherName, coming: &Coming) -> Result<Kept> {
    if layout::executor(places).uid == layout::Owner::this_process().uid {
        // Who comes next counts quickly, and right; but on a full disk.
        let _ = rebuild(places);
    }
    look_at_all(places, pusher, coming)
}

/// Looks at all that lies there, and makes the sums and the names of what is under way anew.
/// For octo-exec's user, when it starts, and when it has pruned.
///
/// # Errors
/// Where STATE can't be read or written.
pub fn rebuild(places: &Places) -> Result<()> {
    build(places, true)
}

/// A job is over: from here on its sum has it. For octo-exec's user, when all else is done;
/// what fails here is done by who counts next.
pub fn settle(places: &Places, job: &JobDirectory) {
    let Ok(lock) = layout::lock_file(places, LOCK) else { return };
    // Who makes all anew takes long, and takes this job with it.
    if lock.try_lock().is_err() || !underway::has(places, job.id()) {
        return;
    }
    if let Found::Over(line) = one(places, job.id().as_str())
        && remembered::add(places, &line).is_ok()
    {
        // In this order: killed in between, it counts twice, and not never.
        let _ = underway::remove(places, job.id());
    }
}

/// Counts the note that is about to be written on an entry of this pusher's. Nobody looks at
/// all notes while the result lives: from here on until it lies there.
///
/// # Errors
/// Where it can't be counted: then it must not be written.
pub fn add_note(places: &Places, owner: Option<&PusherName>, entry: &str) -> Result<File> {
    let alone = lock_sums(places)?;
    let name = format!("{}{entry}", remembered::NOTE);
    remembered::add(places, &Line { name, bytes: of_file(0), owner: owner.cloned() })?;
    Ok(alone)
}

/// Counts the package that is about to be in octo-exec's store, for this pusher. Nobody looks
/// at all packages while the result lives: from here on until it lies there.
///
/// # Errors
/// Where it can't be counted: then it must not get there.
pub fn add_package(
    places: &Places,
    owner: &PusherName,
    digest: &Digest,
    size: u64,
) -> Result<File> {
    let alone = lock_sums(places)?;
    let (name, bytes) = (remembered::package(digest), of_file(size));
    if remembered::add(places, &Line { name, bytes, owner: Some(owner.clone()) }).is_err() {
        // A disk that is full has room for less.
        underway::unset_built(places)?;
    }
    Ok(alone)
}

/// A package is about to become another length than all sums have: as [`add_package`].
///
/// # Errors
/// As [`add_package`].
pub fn forget_sums(places: &Places) -> Result<File> {
    let alone = lock_sums(places)?;
    underway::unset_built(places)?;
    Ok(alone)
}

/// What has come by now is in its job or its note, and on its way no more.
fn not_there(places: &Places, coming: &Coming) -> Coming {
    let is_there = |id: &JobId| {
        JobDirectory::of(places, id).exists() || places.refused().join(id.as_str()).exists()
    };
    coming.iter().filter(|(id, _)| !is_there(id)).map(|(id, bytes)| (id.clone(), *bytes)).collect()
}

/// `None` where names or sums may be too few.
fn look_quickly(
    places: &Places,
    pusher: &PusherName,
    coming: &Coming,
    is_own: bool,
) -> Result<Option<Kept>> {
    // In the order in which a job passes through: on its way, under way, in the sum. Where
    // it is not any more, it is seen in the next.
    let is_coming = not_there(places, coming);
    let Some(names) = underway::names(places)? else { return Ok(None) };
    let mut kept = Kept { estimated_beside: Some(coming.clone()), ..Kept::default() };
    let mut over = Vec::new();
    for id in names {
        let found = one(places, id.as_str());
        if matches!(found, Found::Over(_)) {
            over.push(JobDirectory::of(places, &id));
        }
        kept.add(pusher, found);
    }
    let Some(total) = remembered::total(places, pusher)? else { return Ok(None) };
    kept.bytes = kept.bytes.saturating_add(total);
    // Behind the sum: they would be in it, too.
    over.iter().filter(|_| is_own).for_each(|job| settle(places, job));
    kept.add_coming(is_coming);
    Ok(Some(kept))
}

fn look_at_all(places: &Places, pusher: &PusherName, coming: &Coming) -> Result<Kept> {
    let coming = not_there(places, coming);
    let lines = remembered::load(places)?;
    let mut kept = Kept::default();
    for name in remembered::names(places)? {
        match lines.get(&name) {
            Some((bytes, owner)) if owner == pusher.as_str() => {
                kept.bytes = kept.bytes.saturating_add(*bytes);
            }
            Some(_) => {}
            None => kept.add(pusher, one(places, &name)),
        }
    }
    kept.add_coming(coming);
    Ok(kept)
}

impl Kept {
    fn add(&mut self, pusher: &PusherName, found: Found) {
        let (owner, bytes) = match found {
            Found::Nothing => return,
            Found::Over(line) => (line.owner, line.bytes),
            Found::UnderWay(owner, id, job) => {
                if owner.as_ref() != Some(pusher) {
                    return;
                }
                self.under_way.insert(id);
                (owner, weight::of_job(&job, false))
            }
        };
        if owner.as_ref() == Some(pusher) {
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    fn add_coming(&mut self, coming: Coming) {
        for (job, bytes) in coming {
            self.bytes = self.bytes.saturating_add(bytes);
            self.under_way.insert(job);
        }
    }
}

/// Looks at all jobs, notes and packages; `again`, also where that was done on this boot.
fn build(places: &Places, again: bool) -> Result<()> {
    let _alone = lock_sums(places)?;
    if !again && underway::is_built(places) {
        return Ok(());
    }
    let before = underway::listed(places)?;
    let lines = remembered::load(places)?;
    let mut over = Vec::new();
    for name in remembered::names(places)? {
        if let Some((bytes, owner)) = lines.get(&name) {
            over.push((name, *bytes, owner.clone()));
            continue;
        }
        if let Some(id) = JobId::parse(&name)
            && !JobDirectory::of(places, &id).file("end").exists()
        {
            underway::add(places, &id)?;
        } else if let Found::Over(line) = one(places, &name) {
            over.push((name, line.bytes, remembered::word(line.owner.as_ref()).to_string()));
        }
    }
    for (digest, size, holders) in objects::each(&places.packages())? {
        let line = |holder: PusherName| {
            (remembered::package(&digest), of_file(size), holder.as_str().to_string())
        };
        over.extend(holders.into_iter().map(line));
    }
    remembered::replace(places, &over)?;
    let counted: HashSet<&str> = over.iter().map(|(name, ..)| name.as_str()).collect();
    for id in before.iter().filter(|id| counted.contains(id.as_str())) {
        underway::remove(places, id)?;
    }
    underway::set_built(places)
}

/// What something turned out to be.
enum Found {
    /// It is gone, or can't be read: what is damaged runs no more.
    Nothing,
    Over(Line),
    UnderWay(Option<PusherName>, JobId, JobDirectory),
}

/// Looks at a job or a note.
fn one(places: &Places, name: &str) -> Found {
    let (bytes, owner) = if let Some(entry) = name.strip_prefix(remembered::NOTE) {
        let Ok(Some(note)) = Refused::read(places, entry) else { return Found::Nothing };
        (of_file(0), note.name)
    } else {
        let Some(id) = JobId::parse(name) else { return Found::Nothing };
        let job = JobDirectory::of(places, &id);
        // Looked at first: when it is there, nothing else of the job grows any more.
        let is_over = job.file("end").exists();
        let Ok(owner) = job.owner() else { return Found::Nothing };
        if !is_over {
            return Found::UnderWay(owner, id, job);
        }
        (weight::of_job(&job, true), owner)
    };
    Found::Over(Line { name: name.to_string(), bytes, owner })
}
