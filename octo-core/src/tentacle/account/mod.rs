//! What a pusher keeps at a tentacle besides packages: his jobs, and the notes on what was
//! refused. A sum over what lies there, never a number that is counted up and down: it
//! can't drift. What a job that is over weighs is remembered, so that thousands of them
//! cost one small file.

mod remembered;
mod weight;

pub use weight::{claim, of_file, of_new_job};

use super::job::{JobDirectory, Refused};
use super::layout;
use crate::base::appended::lock_within;
use crate::base::error::Result;
use crate::base::names::{JobId, PusherName};
use crate::base::paths::Places;
use remembered::{Line, Remembered};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::time::Duration;

/// How long the account of a pusher is waited for: a job is published under it, on a disk
/// that may be slow, and several may come at once.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// What one pusher keeps.
#[derive(Debug, Default)]
pub struct Kept {
    /// By its jobs and by notes, in bytes.
    pub bytes: u64,
    /// Its jobs that are not over.
    pub under_way: HashSet<JobId>,
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

/// Jobs that a listener has seen on their way to octo-exec, and their weights in bytes.
pub type Coming = HashMap<JobId, u64>;

/// Looks at all that lies there of this pusher, and at what was on its way before: each
/// counts once, though it may arrive meanwhile.
///
/// # Errors
/// Where STATE can't be read.
pub fn kept(places: &Places, pusher: &PusherName, coming: &Coming) -> Result<Kept> {
    let mut coming = coming.clone();
    let mut kept = look(places, pusher, &mut |_| {}, &mut coming)?;
    for (job, bytes) in coming {
        kept.bytes = kept.bytes.saturating_add(bytes);
        kept.under_way.insert(job);
    }
    Ok(kept)
}

/// The same, and remembers what is over. For octo-exec's user.
///
/// # Errors
/// As [`kept`].
pub fn kept_and_remembered(places: &Places, pusher: &PusherName) -> Result<Kept> {
    let mut new = Vec::new();
    let kept = look(places, pusher, &mut |line| new.push(line), &mut Coming::new())?;
    // What is not remembered is looked at again.
    let _ = remembered::add(places, &new);
    Ok(kept)
}

/// Forgets what does not lie there any more. For octo-exec's user, who has pruned.
///
/// # Errors
/// Where the file can't be replaced; it is as good as before.
pub fn forget_gone(places: &Places) -> Result<()> {
    remembered::forget_gone(places)
}

/// What is there is taken out of `coming`.
fn look(
    places: &Places,
    pusher: &PusherName,
    new: &mut dyn FnMut(Line),
    coming: &mut Coming,
) -> Result<Kept> {
    let remembered = Remembered::load(places)?;
    let lines = remembered.lines();
    let mut kept = Kept::default();
    for name in remembered::names(places)? {
        let arrived = name.strip_prefix(remembered::NOTE).unwrap_or(&name);
        if !coming.is_empty()
            && let Some(id) = JobId::parse(arrived)
        {
            coming.remove(&id);
        }
        let found = match lines.get(name.as_str()) {
            Some((bytes, owner)) if *owner == pusher.as_str() => Found::Over(*bytes),
            Some(_) => Found::OfOthers,
            None => one(places, pusher, &name, new),
        };
        let bytes = match found {
            Found::OfOthers => 0,
            Found::Over(bytes) => bytes,
            Found::UnderWay(id, bytes) => {
                kept.under_way.insert(id);
                bytes
            }
        };
        kept.bytes = kept.bytes.saturating_add(bytes);
    }
    Ok(kept)
}

/// What something turned out to be.
enum Found {
    OfOthers,
    Over(u64),
    UnderWay(JobId, u64),
}

/// Looks at one that is not remembered.
fn one(places: &Places, pusher: &PusherName, name: &str, new: &mut dyn FnMut(Line)) -> Found {
    let (bytes, owner) = if let Some(entry) = name.strip_prefix(remembered::NOTE) {
        let Ok(Some(note)) = Refused::read(places, entry) else { return Found::OfOthers };
        (of_file(0), note.name)
    } else {
        let Some(id) = JobId::parse(name) else { return Found::OfOthers };
        let job = JobDirectory::of(places, &id);
        // Looked at first: when it is there, nothing else of the job grows any more.
        let is_over = job.file("end").exists();
        // One that is gone meanwhile keeps nothing; one that is damaged runs no more.
        let Ok(owner) = job.owner() else { return Found::OfOthers };
        if !is_over {
            let is_own = owner.as_ref() == Some(pusher);
            return match is_own {
                true => Found::UnderWay(id, weight::of_job(&job, false)),
                false => Found::OfOthers,
            };
        }
        (weight::of_job(&job, true), owner)
    };
    let is_own = owner.as_ref() == Some(pusher);
    new(Line { name: name.to_string(), bytes, owner: owner.map(|name| name.to_string()) });
    if is_own { Found::Over(bytes) } else { Found::OfOthers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Thumbprint;
    use crate::tentacle::job::{End, EndKind, NewJob, Origin, Published, Pusher, mark_pruned};
    use std::io::Write;

    fn pusher(name: &str) -> PusherName {
        PusherName::parse(name).expect("a name")
    }

    fn new_job(places: &Places, name: &str, spec: &[u8]) -> JobDirectory {
        let thumbprint = Thumbprint::of_certificate(name.as_bytes());
        let pusher = Some(Pusher { thumbprint, name: pusher(name), address: None });
        let origin = Origin { pusher, by: "me@here".into(), received: crate::base::cli::utc_now() };
        let id = &JobId::generate().expect("an id");
        let (request, script, secrets) = (None, None, None);
        let new = NewJob { id, origin: &origin, request, spec, script, secrets };
        match new.publish(places).expect("published") {
            Published::New(job) => job,
            other => panic!("{other:?}"),
        }
    }

    fn end(job: &JobDirectory) {
        job.publish_record("end", &End::now(EndKind::Exit(0), 0).record()).expect("an end");
    }

    /// Whatever becomes of the file that remembers, the sum is that of what lies there.
    #[test]
    fn what_is_remembered_changes_no_sum() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        let (ci, cron) = (pusher("ci"), pusher("cron"));
        let jobs: Vec<JobDirectory> =
            (0..4).map(|_| new_job(&places, "ci", &[b'x'; 9000])).collect();
        end(&new_job(&places, "cron", b"x"));
        let queued = kept(&places, &ci, &Coming::new()).expect("kept");
        assert_eq!(queued.under_way.len(), 4);
        jobs[..3].iter().for_each(end);
        std::fs::create_dir(jobs[0].file("work")).expect("mkdir");
        std::fs::write(jobs[0].file("work/large"), [1; 100_000]).expect("write");
        let fresh = kept(&places, &ci, &Coming::new()).expect("kept");
        assert!(fresh.bytes < queued.bytes && fresh.bytes > 4 * 12_288, "{fresh:?}");
        assert_eq!(fresh.under_way.len(), 1);
        let same = || {
            let kept = kept(&places, &ci, &Coming::new()).expect("kept");
            assert_eq!((kept.bytes, kept.under_way.len()), (fresh.bytes, 1));
        };
        kept_and_remembered(&places, &ci).expect("kept");
        assert_eq!(
            std::fs::read_to_string(places.kept()).expect("lines").matches(" ci").count(),
            3
        );
        same();
        // Torn, then added to; of another form; twice the same; lost.
        let append = |text: &str| {
            let file = std::fs::OpenOptions::new().append(true).open(places.kept());
            file.expect("open").write_all(text.as_bytes()).expect("write");
        };
        append("20260101T000000-abcdefghijklm 77");
        same();
        end(&new_job(&places, "cron", b"x"));
        kept_and_remembered(&places, &cron).expect("kept");
        append("x\n1 2 3 4\n20260101T000000-abcdefghijklm 5000 ci\n");
        let text = std::fs::read_to_string(places.kept()).expect("lines");
        append(&text);
        same();
        forget_gone(&places).expect("forgotten");
        assert_eq!(std::fs::read_to_string(places.kept()).expect("lines").lines().count(), 5);
        same();
        std::fs::remove_file(places.kept()).expect("remove");
        same();
        // What is on its way counts until it has come.
        let (there, away) = (jobs[0].id().clone(), JobId::generate().expect("an id"));
        let coming = Coming::from([(there, 1 << 30), (away.clone(), 5)]);
        let all = kept(&places, &ci, &coming).expect("kept");
        assert_eq!((all.bytes, all.under_way.contains(&away)), (fresh.bytes + 5, true));
        // What is gone is given back, remembered or not.
        kept_and_remembered(&places, &ci).expect("kept");
        for job in &jobs[..3] {
            mark_pruned(&places, job).expect("marked");
            std::fs::remove_dir_all(job.path()).expect("removed");
        }
        let left = kept(&places, &ci, &Coming::new()).expect("kept");
        assert_eq!((left.bytes, left.under_way.len()), (queued.bytes / 4, 1));
    }

    /// A byte of another form takes its line alone: what is known is not added again.
    #[test]
    fn of_one_bad_byte_one_line_is_lost() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        let ci = pusher("ci");
        (0..3).for_each(|_| end(&new_job(&places, "ci", b"x")));
        let whole = kept_and_remembered(&places, &ci).expect("kept");
        let file = std::fs::OpenOptions::new().append(true).open(places.kept());
        file.expect("open").write_all(b"\xff 1 ci\n").expect("write");
        let length = || std::fs::metadata(places.kept()).expect("a file").len();
        let before = length();
        assert_eq!(kept_and_remembered(&places, &ci).expect("kept").bytes, whole.bytes);
        assert_eq!(length(), before);
    }

    /// Ten thousand jobs that are over are one file to read.
    #[test]
    fn many_jobs_cost_little() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        layout::make(&places).expect("made");
        let mut lines = String::new();
        for _ in 0..10_000 {
            let id = JobId::generate().expect("an id");
            std::fs::create_dir(places.jobs().join(id.as_str())).expect("mkdir");
            lines.push_str(&format!("{id} 50000 ci\n"));
        }
        std::fs::write(places.kept(), lines).expect("write");
        // There is nothing in them: who looked into them would count nothing.
        let kept = kept(&places, &pusher("ci"), &Coming::new()).expect("kept");
        assert_eq!(kept.bytes, 10_000 * 50_000);
    }
}
