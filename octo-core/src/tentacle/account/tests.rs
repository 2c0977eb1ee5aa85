//! Whatever happens to names and sums, nobody keeps more than is counted.

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
    let new = NewJob { id, origin: &origin, request, spec, script, stdin: None, secrets };
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
    let ci = pusher("ci");
    let jobs: Vec<JobDirectory> = (0..4).map(|_| new_job(&places, "ci", &[b'x'; 9000])).collect();
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
    jobs.iter().for_each(|job| settle(&places, job));
    let lines = |name: &str| std::fs::read_to_string(places.kept().join(name)).expect("lines");
    assert_eq!(lines("ci").lines().count(), 3);
    assert_eq!(underway::listed(&places).expect("names"), [jobs[3].id().clone()]);
    same();
    // Killed between the sum and the name: it is not added twice.
    underway::add(&places, jobs[2].id()).expect("added");
    settle(&places, &jobs[2]);
    assert_eq!(lines("ci").lines().count(), 3);
    same();
    // Torn, then added to.
    let append = |name: &str, text: &str| {
        let path = places.kept().join(name);
        let file = std::fs::OpenOptions::new().append(true).open(path);
        file.expect("open").write_all(text.as_bytes()).expect("write");
    };
    append("ci", "20260101T000000-abcdefghijklm 77 1");
    same();
    // Of another form: all is looked at.
    append("ci", &format!("\n{}\n", "x".repeat(5000)));
    same();
    let another = new_job(&places, "ci", &[b'x'; 9000]);
    end(&another);
    settle(&places, &another);
    assert!(!underway::is_built(&places));
    std::fs::remove_dir_all(another.path()).expect("removed");
    same();
    assert!(underway::is_built(&places));
    assert_eq!(lines("ci").lines().count(), 3);
    // Another boot: names and sums may be too few.
    underway::unset_built(&places).expect("unset");
    underway::remove(&places, jobs[3].id()).expect("removed");
    std::fs::remove_file(places.kept().join("ci")).expect("remove");
    same();
}

#[test]
fn what_is_on_its_way_counts_and_what_is_gone_is_given_back() {
    let top = tempfile::tempdir().expect("tempdir");
    let places = Places { config: top.path().join("c"), state: top.path().join("s") };
    let ci = pusher("ci");
    let jobs: Vec<JobDirectory> = (0..4).map(|_| new_job(&places, "ci", &[b'x'; 9000])).collect();
    let queued = kept(&places, &ci, &Coming::new()).expect("kept");
    for job in &jobs[..3] {
        end(job);
        settle(&places, job);
    }
    let fresh = kept(&places, &ci, &Coming::new()).expect("kept");
    let same = || {
        let kept = kept(&places, &ci, &Coming::new()).expect("kept");
        assert_eq!((kept.bytes, kept.under_way.len()), (fresh.bytes, 1));
    };
    let (there, away) = (jobs[0].id().clone(), JobId::generate().expect("an id"));
    let coming = Coming::from([(there, 1 << 30), (away.clone(), 5)]);
    let all = kept(&places, &ci, &coming).expect("kept");
    assert_eq!((all.bytes, all.under_way.contains(&away)), (fresh.bytes + 5, true));
    // What is gone is given back at the next look at all.
    for job in &jobs[..3] {
        mark_pruned(&places, job).expect("marked");
        std::fs::remove_dir_all(job.path()).expect("removed");
    }
    same();
    let left = kept_exactly(&places, &ci, &Coming::new()).expect("kept");
    assert_eq!((left.bytes, left.under_way.len()), (queued.bytes / 4, 1));
    let left = kept(&places, &ci, &Coming::new()).expect("kept");
    assert_eq!((left.bytes, left.under_way.len()), (queued.bytes / 4, 1));
}

/// A note counts before it is there.
#[test]
fn notes_add_up() {
    let top = tempfile::tempdir().expect("tempdir");
    let places = Places { config: top.path().join("c"), state: top.path().join("s") };
    let ci = pusher("ci");
    rebuild(&places).expect("built");
    let bytes = || kept(&places, &ci, &Coming::new()).expect("kept").bytes;
    for count in 1..=3 {
        let id = JobId::generate().expect("an id");
        add_note(&places, Some(&ci), id.as_str()).expect("added");
        add_note(&places, Some(&ci), id.as_str()).expect("there");
        assert_eq!(bytes(), count * of_file(0));
    }
    rebuild(&places).expect("built");
    assert_eq!(bytes(), 0);
    // Nobody looks at all before it lies there.
    let counted = add_note(&places, Some(&ci), "x").expect("added");
    let lock = layout::lock_file(&places, LOCK).expect("a lock");
    assert!(lock.try_lock().is_err());
    drop(counted);
    assert!(lock.try_lock().is_ok());
}

/// What names it too late, or takes the name too early, would let a pusher have more
/// jobs than its line says.
#[test]
fn at_no_moment_is_a_job_missed() {
    let top = tempfile::tempdir().expect("tempdir");
    let places = Places { config: top.path().join("c"), state: top.path().join("s") };
    let ci = pusher("ci");
    let first = new_job(&places, "ci", b"x");
    end(&first);
    rebuild(&places).expect("built");
    let least = kept(&places, &ci, &Coming::new()).expect("kept").bytes;
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                rebuild(&places).expect("built");
                let job = new_job(&places, "ci", b"x");
                assert!(underway::has(&places, job.id()));
                end(&job);
                settle(&places, &job);
            }
            is_over.store(true, order);
        });
        let mut last = least;
        while !is_over.load(order) {
            let there = JobDirectory::all(&places).expect("jobs").len() as u64;
            let kept = kept(&places, &ci, &Coming::new()).expect("kept").bytes;
            assert!(kept >= there * least, "{kept} of {there}");
            last = last.max(kept);
        }
        assert!(last >= 100 * least);
    });
    let all = kept_exactly(&places, &ci, &Coming::new()).expect("kept");
    assert_eq!((all.bytes, all.under_way.len()), (101 * least, 0));
}

/// Ten thousand jobs that are over are the end of one file to read.
#[test]
fn many_jobs_cost_little() {
    let top = tempfile::tempdir().expect("tempdir");
    let places = Places { config: top.path().join("c"), state: top.path().join("s") };
    layout::make(&places).expect("made");
    let mut lines = String::new();
    for count in 1..=10_000 {
        let id = JobId::generate().expect("an id");
        std::fs::create_dir(places.jobs().join(id.as_str())).expect("mkdir");
        lines.push_str(&format!("{id} 50000 {}\n", count * 50_000));
    }
    std::fs::write(places.kept().join("ci"), lines).expect("write");
    let count = || kept(&places, &pusher("ci"), &Coming::new()).expect("kept").bytes;
    // There is nothing in them: who looked into them would count nothing.
    assert_eq!(count(), 10_000 * 50_000);
    // Nor is any looked for.
    std::fs::rename(places.jobs(), top.path().join("away")).expect("renamed");
    std::fs::create_dir(places.jobs()).expect("mkdir");
    assert_eq!(count(), 10_000 * 50_000);
}
