#![allow(clippy::unwrap_used)]

mod sums;

use super::*;
use crate::tentacle::account;
use std::os::unix::fs::PermissionsExt;

const LIMITS: Limits<'_> = Limits { max_store: 1 << 30, any: false, coming: None };

struct Scratch {
    _directory: tempfile::TempDir,
    store: Store,
}

fn scratch() -> Scratch {
    let directory = tempfile::tempdir().unwrap();
    let places =
        Places { config: directory.path().join("config"), state: directory.path().join("state") };
    Scratch { store: Store::open(&places).unwrap(), _directory: directory }
}

fn pusher(name: &str) -> PusherName {
    PusherName::parse(name).unwrap()
}

/// Not a multiple of any block or buffer, and more than the buffers hold.
fn package(length: usize) -> (Vec<u8>, Digest) {
    let bytes: Vec<u8> = (0..length).map(|i| (i * 7 + i / 251) as u8).collect();
    let digest = Digest::of(&bytes);
    (bytes, digest)
}

fn begin<'a>(store: &'a Store, bytes: &[u8], digest: &Digest, name: &str) -> Upload<'a> {
    match store.begin(digest, bytes.len() as u64, &pusher(name), LIMITS, &mut None).unwrap() {
        Begin::Upload(upload) => *upload,
        other => panic!("{other:?}"),
    }
}

/// Sends from the upload's offset on, and breaks off at `end`.
fn send<'a>(upload: Upload<'a>, bytes: &[u8], end: usize) -> Received<Upload<'a>> {
    let mut rest = &bytes[usize::try_from(upload.offset()).unwrap().min(end)..end];
    upload.receive(&mut |buffer| io::Read::read(&mut rest, buffer))
}

type Received<T> = std::result::Result<T, ReceiveError>;

fn put(store: &Store, bytes: &[u8], digest: &Digest, name: &str) {
    let upload = begin(store, bytes, digest, name);
    send(upload, bytes, bytes.len()).unwrap().finish().unwrap();
}

fn incoming(store: &Store) -> usize {
    std::fs::read_dir(store.incoming()).unwrap().count()
}

#[test]
fn what_was_put_is_there_whole_for_its_pusher_alone() {
    let scratch = scratch();
    let store = &scratch.store;
    for length in [0, 1, 4095, 4096, 4097, 5_000_001] {
        let (bytes, digest) = package(length);
        put(store, &bytes, &digest, "ci");
        assert_eq!(std::fs::read(store.path(&digest)).unwrap(), bytes, "{length}");
        let mode = store.path(&digest).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o444);
        assert_eq!(store.holds(&digest, Who::Pusher(&pusher("ci"))).unwrap(), Some(length as u64));
        assert_eq!(store.holds(&digest, Who::Pusher(&pusher("cron"))).unwrap(), None);
        assert_eq!(store.holds(&digest, Who::Any).unwrap(), Some(length as u64));
        let again = store.begin(&digest, length as u64, &pusher("ci"), LIMITS, &mut None).unwrap();
        assert!(matches!(again, Begin::Whole));
    }
    assert_eq!(incoming(store), 0);
}

#[test]
fn a_broken_upload_goes_on_where_it_was() {
    let scratch = scratch();
    let store = &scratch.store;
    let (bytes, digest) = package(3_000_001);
    for end in [0, 1, 4096, 4097, 600_000, 2_999_999, 3_000_000] {
        let upload = begin(store, &bytes, &digest, "ci");
        let broken = send(upload, &bytes, end).unwrap_err();
        assert!(matches!(broken, ReceiveError::Sender(_)), "{broken:?}");
        let upload = begin(store, &bytes, &digest, "ci");
        let expected = end - end % 4096;
        assert_eq!(upload.offset(), expected as u64);
        drop(upload);
        assert_eq!(store.progress(&digest, &pusher("ci")), expected as u64);
        // What was reserved for the rest is given back.
        let taken = store.usage(&pusher("ci"), &[]).unwrap();
        assert!(taken <= expected as u64 + 65536, "{taken} after {expected}");
    }
    put(store, &bytes, &digest, "ci");
    assert_eq!(std::fs::read(store.path(&digest)).unwrap(), bytes);
}

#[test]
fn whatever_lies_in_incoming_only_right_bytes_are_published() {
    let scratch = scratch();
    let store = &scratch.store;
    let (bytes, digest) = package(100_000);
    let path = store.partial(&digest, &pusher("ci"));
    let lies = |there: &[u8], offset: u64| {
        std::fs::write(&path, there).unwrap();
        let upload = begin(store, &bytes, &digest, "ci");
        assert_eq!(upload.offset(), offset);
        send(upload, &bytes, bytes.len()).unwrap().finish()
    };
    // Longer than the package: started anew. All there: nothing to send.
    let mut longer = bytes.clone();
    longer.push(0);
    lies(&longer, 0).unwrap();
    let digest_again = || store.change().and_then(|g| store.remove(&digest, &g)).unwrap();
    assert!(digest_again());
    lies(&bytes, 100_000).unwrap();
    // Killed between chmod and rename.
    assert!(digest_again());
    std::fs::write(&path, &bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    put(store, &bytes, &digest, "ci");
    // Wrong bytes: refused, and nothing of them stays.
    assert!(digest_again());
    let mut wrong = bytes.clone();
    wrong[5] ^= 1;
    let refused = lies(&wrong[..50_000], 49_152).unwrap_err();
    assert_eq!(refused.refusal, Refusal::Mismatch);
    assert_eq!(incoming(store), 0);
    assert_eq!(store.holds(&digest, Who::Any).unwrap(), None);
    put(store, &bytes, &digest, "ci");
}

#[test]
fn two_pushers_with_the_same_package_have_one_object() {
    let scratch = scratch();
    let store = &scratch.store;
    let (bytes, digest) = package(700_000);
    std::thread::scope(|scope| {
        for name in ["one", "two", "three"] {
            let (bytes, digest) = (&bytes, &digest);
            scope.spawn(move || put(store, bytes, digest, name));
        }
    });
    assert_eq!(store.objects().unwrap().len(), 1);
    assert_eq!(store.holders(&digest).unwrap().len(), 3);
    // Whole blocks count.
    assert_eq!(store.usage(&pusher("one"), &[]).unwrap(), 700_416);

    // The same pusher twice: one sends, the other is told.
    let (bytes, digest) = package(600_000);
    let first = begin(store, &bytes, &digest, "one");
    let second = store.begin(&digest, 600_000, &pusher("one"), LIMITS, &mut None).unwrap();
    assert!(matches!(second, Begin::Busy));
    assert_eq!(store.sweep(Duration::ZERO).unwrap(), 0);
    send(first, &bytes, bytes.len()).unwrap().finish().unwrap();
    let third = store.begin(&digest, 600_000, &pusher("one"), LIMITS, &mut None).unwrap();
    assert!(matches!(third, Begin::Whole));
}

/// Between its open and its lock, a partial file may be removed by its last
/// holder: who writes on has a file without a name.
#[test]
fn an_upload_never_goes_on_in_a_file_that_was_removed() {
    let scratch = scratch();
    let store = &scratch.store;
    let (bytes, digest) = package(10);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..300 {
                    // Dropped before a byte came: removed.
                    let begun = store.begin(&digest, 10, &pusher("ci"), LIMITS, &mut None).unwrap();
                    if let Begin::Upload(upload) = begun {
                        assert!(store.partial(&digest, &pusher("ci")).exists());
                        drop(upload);
                    }
                }
            });
        }
    });
    put(store, &bytes, &digest, "ci");
}

#[test]
fn shares_hold_for_what_is_announced_too() {
    let scratch = scratch();
    let store = &scratch.store;
    let limits = Limits { max_store: 1 << 20, any: false, coming: None };
    let (bytes, digest) = package(600_000);
    let first = store.begin(&digest, 600_000, &pusher("ci"), limits, &mut None).unwrap();
    assert!(matches!(first, Begin::Upload(_)));
    // Nothing has come yet; its space is taken all the same.
    let (_, other) = package(600_001);
    let refused = store.begin(&other, 600_001, &pusher("ci"), limits, &mut None).unwrap_err();
    assert_eq!(refused.refusal, Refusal::Limit);
    assert!(refused.reason.contains("max-store"), "{}", refused.reason);
    // The last byte of a share may be taken, and no more.
    for (size, fits) in [(1 << 20, true), ((1 << 20) + 1, false)] {
        let begun = store.begin(&other, size, &pusher("exact"), limits, &mut None);
        assert_eq!(begun.is_ok(), fits, "{size}");
    }
    // Another pusher has its own share; what is dropped is given back.
    assert!(store.begin(&other, 600_001, &pusher("cron"), limits, &mut None).is_ok());
    drop(first);
    assert_eq!(incoming(store), 0);
    put(store, &bytes, &digest, "ci");
    assert_eq!(store.usage(&pusher("ci"), &[digest]).unwrap(), 0);
    for size in [u64::MAX, i64::MAX as u64] {
        let all = Limits { max_store: u64::MAX, any: false, coming: None };
        let refused = store.begin(&other, size, &pusher("ci"), all, &mut None).unwrap_err();
        assert_eq!(refused.refusal, Refusal::Full, "{}", refused.reason);
    }
    assert_eq!(incoming(store), 0);
}

/// What came ahead of its sha256.
fn ahead<'a>(store: &'a Store, bytes: &[u8], name: &str, ends: &[usize]) -> Ahead<'a> {
    let mut ahead = store.ahead(bytes.len() as u64, &pusher(name), LIMITS).unwrap();
    for &end in ends {
        let mut rest = &bytes[usize::try_from(ahead.offset()).unwrap()..end];
        let length = rest.len() as u64;
        ahead = ahead.receive(length, &mut |buffer| io::Read::read(&mut rest, buffer)).unwrap();
    }
    ahead
}

#[test]
fn what_came_ahead_is_the_beginning_of_its_package_alone() {
    let scratch = scratch();
    let store = &scratch.store;
    let (bytes, digest) = package(3_000_001);
    let size = bytes.len() as u64;
    for ends in [&[][..], &[1], &[4096, 4097], &[262_144, 1_000_000], &[3_000_001]] {
        let mut came = Some(ahead(store, &bytes, "ci", ends));
        let begun = store.begin(&digest, size, &pusher("ci"), LIMITS, &mut came).unwrap();
        let Begin::Upload(upload) = begun else { panic!("{begun:?}") };
        assert_eq!(upload.offset(), ends.last().copied().unwrap_or(0) as u64);
        // From now on it is a partial upload as any other.
        assert!(store.partial(&digest, &pusher("ci")).exists() && incoming(store) == 1);
        send(*upload, &bytes, bytes.len()).unwrap().finish().unwrap();
        assert_eq!(std::fs::read(store.path(&digest)).unwrap(), bytes, "{ends:?}");
        // There already: thrown away.
        let mut needless = Some(ahead(store, &bytes, "ci", &[5000]));
        let again = store.begin(&digest, size, &pusher("ci"), LIMITS, &mut needless).unwrap();
        assert!(matches!(again, Begin::Whole) && needless.is_none());
        assert_eq!(incoming(store), 0);
        assert!(store.change().and_then(|g| store.remove(&digest, &g)).unwrap());
    }
}

#[test]
fn what_came_ahead_waits_for_another_connection_and_counts_once() {
    let scratch = scratch();
    let store = &scratch.store;
    let (bytes, digest) = package(600_000);
    let limits = Limits { max_store: 1_000_000, any: false, coming: None };
    let mut came = Some(ahead(store, &bytes, "ci", &[300_000]));
    let refused = store.ahead(600_000, &pusher("ci"), limits).unwrap_err();
    assert_eq!(refused.refusal, Refusal::Limit);
    // Its own room is not counted against it; another connection's upload is waited for.
    let first = begin(store, &bytes, &digest, "ci");
    let busy = store.begin(&digest, 600_000, &pusher("ci"), limits, &mut came).unwrap();
    assert!(matches!(busy, Begin::Busy) && came.is_some());
    assert!(send(first, &bytes, 200_000).is_err());
    let begun = store.begin(&digest, 600_000, &pusher("ci"), limits, &mut came).unwrap();
    assert!(matches!(&begun, Begin::Upload(upload) if upload.offset() == 300_000), "{begun:?}");
    // More was there: what came is thrown away.
    let Begin::Upload(upload) = begun else { return };
    assert!(send(*upload, &bytes, 500_000).is_err());
    let mut came = Some(ahead(store, &bytes, "ci", &[300_000]));
    let begun = store.begin(&digest, 600_000, &pusher("ci"), limits, &mut came).unwrap();
    assert!(matches!(begun, Begin::Upload(upload) if upload.offset() > 490_000));
    assert!(came.is_none());
    assert_eq!(incoming(store), 1);
}

#[test]
fn the_sweep_takes_what_is_old_and_nobody_writes() {
    let scratch = scratch();
    let store = &scratch.store;
    let (bytes, digest) = package(600_000);
    assert!(send(begin(store, &bytes, &digest, "ci"), &bytes, 10_000).is_err());
    assert_eq!(store.sweep(ABANDONED).unwrap(), 0);
    assert_eq!(store.sweep(Duration::ZERO).unwrap(), 1);
    assert_eq!(incoming(store), 0);
}

#[test]
fn a_damaged_object_is_put_anew() {
    let scratch = scratch();
    let store = &scratch.store;
    let (bytes, digest) = package(5000);
    put(store, &bytes, &digest, "ci");
    std::fs::remove_file(store.path(&digest)).unwrap();
    std::fs::write(store.path(&digest), "short").unwrap();
    put(store, &bytes, &digest, "ci");
    assert_eq!(std::fs::read(store.path(&digest)).unwrap(), bytes);
}

#[test]
fn a_lock_that_is_never_given_up_is_busy_some_time() {
    let scratch = scratch();
    let store = &scratch.store;
    let stopped = store.change().unwrap();
    for exclusive in [false, true] {
        let error = store.guard(Duration::from_millis(20), exclusive).unwrap_err();
        assert_eq!(error.exit, Exit::Temporary);
        assert!(error.message.contains(".lock: locked by another process"), "{error}");
        assert_eq!(StoreError::from(error).refusal, Refusal::Busy);
    }
    drop(stopped);
    let kept = store.keep().unwrap();
    assert!(store.guard(Duration::from_millis(20), false).is_ok());
    assert!(store.guard(Duration::from_millis(20), true).is_err());
    drop(kept);
}

/// Its own jobs may hold a pusher's account for long: that holds up nobody else's put.
#[test]
fn who_waits_for_an_account_keeps_the_store_for_nobody() {
    let scratch = scratch();
    let store = &scratch.store;
    let (ci, cron) = (pusher("ci"), pusher("cron"));
    let (bytes, digest) = package(5000);
    let waits: [&(dyn Fn() + Sync); 2] = [&|| drop(begin(store, &bytes, &digest, "ci")), &|| {
        drop(store.ahead(5000, &ci, LIMITS).unwrap())
    }];
    for wait in waits {
        let counting = account::lock(&store.places, &ci).unwrap();
        let path = layout::lock_path(&store.places, "account-ci").canonicalize().unwrap();
        let opened = || {
            let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            let open = open.filter_map(|fd| std::fs::read_link(fd.path()).ok());
            open.filter(|file| *file == path).count()
        };
        std::thread::scope(|scope| {
            let waiting = scope.spawn(wait);
            // It opens the account's lock, and then waits for it.
            while opened() < 2 && !waiting.is_finished() {
                std::thread::yield_now();
            }
            let is_free = store.guard(Duration::from_millis(20), true).is_ok();
            let is_held_up = !is_free || store.ahead(5000, &cron, LIMITS).is_err();
            let is_waiting = !waiting.is_finished();
            drop(counting);
            waiting.join().unwrap();
            assert!(is_waiting && !is_held_up);
        });
    }
}

#[test]
fn the_listener_drops_what_is_there_whole_for_all_who_put_it() {
    let (listener, executor) = (scratch(), scratch());
    let (own, taken) = (&listener.store, &executor.store);
    let (bytes, digest) = package(5000);
    put(own, &bytes, &digest, "ci");
    let is_dropped = || {
        own.drop_taken(taken).unwrap();
        !own.path(&digest).exists()
    };
    assert!(!is_dropped());
    // Names alone, as a removal leaves them that was killed; and with another object.
    let changing = taken.change().unwrap();
    taken.admit(&digest, &pusher("ci"), &changing).unwrap();
    assert!(!is_dropped());
    std::fs::write(taken.path(&digest), "short").unwrap();
    assert!(!is_dropped());
    std::fs::write(taken.path(&digest), &bytes).unwrap();
    put(own, &bytes, &digest, "cron");
    assert!(!is_dropped());
    taken.admit(&digest, &pusher("cron"), &changing).unwrap();
    assert!(is_dropped());
    // Names of what is gone there go when more is dropped, or all is looked at.
    assert_eq!(own.left_names().unwrap(), [digest]);
    taken.remove(&digest, &changing).unwrap();
    assert!(is_dropped() && own.left_names().unwrap() == [digest]);
    own.drop_all_taken(taken).unwrap();
    assert!(own.left_names().unwrap().is_empty());
}

#[test]
fn a_store_that_is_a_link_to_another_disk_is_listed() {
    let scratch = scratch();
    let (bytes, digest) = package(10);
    put(&scratch.store, &bytes, &digest, "ci");
    let link = scratch.store.directory.with_file_name("link");
    std::os::unix::fs::symlink("packages", &link).unwrap();
    let linked = Store { directory: link, ..scratch.store.clone() };
    assert_eq!(linked.objects().unwrap().len(), 1);
}
