//! Packages in the sums of STATE/kept: too many at times, never too few.

use super::*;
use crate::tentacle::account::{Coming, rebuild};
use crate::tentacle::underway;
use std::sync::atomic::{AtomicBool, Ordering};

fn kept(store: &Store, name: &str) -> u64 {
    store.kept(&pusher(name), &Coming::new(), &[]).unwrap().bytes
}

fn exactly(store: &Store, name: &str) -> u64 {
    store.usage(&pusher(name), &[]).unwrap()
}

fn lines(store: &Store, name: &str) -> usize {
    let text = std::fs::read_to_string(store.places.kept().join(name)).unwrap_or_default();
    text.lines().filter(|line| line.starts_with("package/")).count()
}

/// Makes one that differs in this number.
fn numbered(number: usize, length: usize) -> (Vec<u8>, Digest) {
    let mut bytes = vec![7; length];
    bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
    let digest = Digest::of(&bytes);
    (bytes, digest)
}

#[test]
fn what_is_removed_counts_until_somebody_would_be_refused() {
    let scratch = scratch();
    let store = &scratch.store;
    rebuild(&store.places).unwrap();
    let packages: Vec<_> = (0..3).map(|number| numbered(number, 100_000)).collect();
    for (bytes, digest) in &packages {
        put(store, bytes, digest, "ci");
    }
    put(store, &packages[0].0, &packages[0].1, "cron");
    let one = account::of_file(100_000);
    assert_eq!((kept(store, "ci"), kept(store, "cron")), (3 * one, one));
    assert_eq!((lines(store, "ci"), lines(store, "cron")), (3, 1));
    store.remove(&packages[0].1, &store.change().unwrap()).unwrap();
    assert_eq!((kept(store, "ci"), exactly(store, "ci")), (3 * one, 2 * one));
    // There is room for one more, whatever the sum says, and not for two.
    let limits = Limits { max_store: 3 * one, any: false, coming: None };
    let (_, digest) = numbered(9, 10);
    let ask = |size| store.begin(&digest, size, &pusher("ci"), limits, &mut None);
    assert_eq!(ask(2 * one).unwrap_err().refusal, Refusal::Limit);
    assert_eq!(kept(store, "ci"), 2 * one);
    assert!(ask(one).is_ok());
    // What another user's prune has removed is not the others' any more.
    assert_eq!((kept(store, "cron"), lines(store, "cron")), (0, 0));
    // Put again, it counts again.
    put(store, &packages[0].0, &packages[0].1, "ci");
    assert_eq!((kept(store, "ci"), exactly(store, "ci")), (3 * one, 3 * one));
}

#[test]
fn a_crash_before_an_object_is_there_leaves_a_sum_that_is_too_large() {
    let scratch = scratch();
    let store = &scratch.store;
    rebuild(&store.places).unwrap();
    let (bytes, digest) = numbered(0, 100_000);
    let one = account::of_file(100_000);
    drop(store.count(&digest, 100_000, None, &pusher("ci")).unwrap());
    assert_eq!((kept(store, "ci"), exactly(store, "ci")), (one, 0));
    // It is not counted twice.
    put(store, &bytes, &digest, "ci");
    assert_eq!((kept(store, "ci"), exactly(store, "ci")), (one, one));
    // Names without an object, as a killed removal leaves them, permit and count nothing.
    std::fs::remove_file(store.path(&digest)).unwrap();
    rebuild(&store.places).unwrap();
    assert_eq!(kept(store, "ci"), 0);
    put(store, &bytes, &digest, "ci");
    assert_eq!(kept(store, "ci"), one);
}

#[test]
fn who_looks_at_all_waits_for_what_is_counted_and_not_there_yet() {
    let scratch = scratch();
    let store = &scratch.store;
    rebuild(&store.places).unwrap();
    let (bytes, digest) = numbered(0, 100_000);
    let counted = store.count(&digest, 100_000, None, &pusher("ci")).unwrap();
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| rebuild(&store.places).unwrap());
        let lock = layout::lock_path(&store.places, "kept").canonicalize().unwrap();
        let opened = || {
            let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            let open = open.filter_map(|fd| std::fs::read_link(fd.path()).ok());
            open.filter(|file| *file == lock).count()
        };
        while opened() < 2 && !looking.is_finished() {
            std::thread::yield_now();
        }
        assert!(!looking.is_finished());
        std::fs::write(store.names(&digest), "ci\n").unwrap();
        std::fs::write(store.path(&digest), &bytes).unwrap();
        drop(counted);
        looking.join().unwrap();
    });
    assert_eq!(kept(store, "ci"), account::of_file(100_000));
}

#[test]
fn an_object_that_grows_to_its_length_counts_for_all_who_have_it() {
    let scratch = scratch();
    let store = &scratch.store;
    let (bytes, digest) = numbered(0, 100_000);
    for name in ["ci", "cron"] {
        put(store, &bytes, &digest, name);
    }
    std::fs::remove_file(store.path(&digest)).unwrap();
    std::fs::write(store.path(&digest), "short").unwrap();
    rebuild(&store.places).unwrap();
    assert_eq!((kept(store, "ci"), kept(store, "cron")), (4096, 4096));
    put(store, &bytes, &digest, "ci");
    let one = account::of_file(100_000);
    assert_eq!((kept(store, "ci"), kept(store, "cron")), (one, one));
    // Sums that can't be added to hold no more.
    std::fs::write(store.places.kept().join("ci"), "x".repeat(5000)).unwrap();
    let (bytes, digest) = numbered(1, 100_000);
    put(store, &bytes, &digest, "ci");
    assert!(!underway::is_built(&store.places));
    assert_eq!(kept(store, "ci"), 2 * one);
}

/// Neither what comes nor who looks at all meanwhile lets a pusher have more than its share.
#[test]
fn at_no_moment_is_a_package_missed() {
    let scratch = scratch();
    let store = &scratch.store;
    rebuild(&store.places).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..20 {
                let (bytes, digest) = numbered(number, 10_000);
                put(store, &bytes, &digest, "ci");
            }
            is_over.store(true, Ordering::Relaxed);
        });
        scope.spawn(|| {
            let mut seen = 0;
            while !is_over.load(Ordering::Relaxed) {
                // Once a line: who looks at all all the time lets nobody add.
                match lines(store, "ci") {
                    same if same == seen => std::thread::yield_now(),
                    more => {
                        rebuild(&store.places).unwrap();
                        seen = more;
                    }
                }
            }
        });
        while !is_over.load(Ordering::Relaxed) {
            let there = objects::of(&store.directory, &pusher("ci")).unwrap().len() as u64;
            let kept = kept(store, "ci");
            assert!(kept >= there * account::of_file(10_000), "{kept} of {there}");
        }
    });
    assert_eq!(kept(store, "ci"), 20 * account::of_file(10_000));
}

/// Ten thousand packages are the end of one file to read.
#[test]
fn many_packages_cost_little() {
    let scratch = scratch();
    let store = &scratch.store;
    rebuild(&store.places).unwrap();
    let (bytes, digest) = numbered(0, 10_000);
    put(store, &bytes, &digest, "ci");
    std::fs::rename(store.path(&digest), store.directory.join("away")).unwrap();
    assert_eq!((kept(store, "ci"), exactly(store, "ci")), (account::of_file(10_000), 0));
}
