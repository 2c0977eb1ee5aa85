//! One inotify instance for all that a process watches: a user may have 128 of them, and to
//! close one takes the kernel milliseconds. A thread reads it, and wakes whose directory
//! has changed.

use super::publish::TEMPORARY_PREFIX;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify::{
    CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The stack of the thread, which only reads and wakes.
const STACK: usize = 64 * 1024;

/// The instance, and who watches what.
#[derive(Debug)]
pub struct Watches {
    instance: OwnedFd,
    watched: Mutex<HashMap<i32, Vec<Watcher>>>,
}

/// What one who watches a directory waits for.
#[derive(Debug, Clone, Copy)]
pub struct News {
    /// What happens.
    pub events: WatchFlags,
    /// To which names; to any, where there are none. Who has an instance of his own is woken
    /// by all.
    pub names: &'static [&'static str],
}

impl From<WatchFlags> for News {
    fn from(events: WatchFlags) -> News {
        News { events, names: &[] }
    }
}

impl News {
    fn has(self, happened: ReadFlags, name: &[u8]) -> bool {
        self.events.bits() & happened.bits() != 0
            && (self.names.is_empty() || self.names.iter().any(|known| known.as_bytes() == name))
    }
}

/// Who is to be woken by what happens in a directory.
#[derive(Debug)]
struct Watcher {
    bell: Arc<Bell>,
    news: News,
}

/// What wakes one who waits.
#[derive(Debug)]
pub(super) struct Bell {
    pub(super) descriptor: OwnedFd,
    /// It rings until it is cleared: a thousand events are one system call.
    is_rung: AtomicBool,
}

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Bell { descriptor, is_rung: AtomicBool::new(false) })
    }

    fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::SeqCst) {
            let _ = rustix::io::write(&self.descriptor, &1_u64.to_ne_bytes());
        }
    }

    /// What rings before this returns is seen by the look that follows.
    pub(super) fn clear(&self) {
        // In this order: the other way round a ring in between would be the last.
        let _ = rustix::io::read(&self.descriptor, &mut [0; 8]);
        self.is_rung.store(false, Ordering::SeqCst);
    }
}

impl Watches {
    /// An instance, and its thread, which lives as long as the process; `None` where the
    /// kernel gives this user no more of them.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub fn start() -> io::Result<Option<Arc<Watches>>> {
        let Ok(instance) = init(CreateFlags::CLOEXEC) else { return Ok(None) };
        let watches = Arc::new(Watches { instance, watched: Mutex::default() });
        let thread = std::thread::Builder::new().name("watches".into()).stack_size(STACK);
        let read = Arc::clone(&watches);
        thread.spawn(move || read.read())?;
        Ok(Some(watches))
    }

    fn read(&self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.instance, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().unwrap_or_default().to_bytes();
                    // What is in the making is nobody's news: its rename is.
                    if !name.starts_with(TEMPORARY_PREFIX.as_bytes()) {
                        self.wake(event.wd(), event.events(), name);
                    }
                }
                Err(Errno::INTR) => {}
                // It can't be read any more: whoever waits looks once more, and sleeps.
                Err(_) => return self.wake(-1, ReadFlags::QUEUE_OVERFLOW, b""),
            }
        }
    }

    fn wake(&self, watch: i32, happened: ReadFlags, name: &[u8]) {
        let mut watched = self.watched();
        if happened.contains(ReadFlags::QUEUE_OVERFLOW) {
            watched.values().flatten().for_each(|watcher| watcher.bell.ring());
            return;
        }
        let is_gone = happened.contains(ReadFlags::IGNORED);
        for watcher in watched.get(&watch).into_iter().flatten() {
            if is_gone || watcher.news.has(happened, name) {
                watcher.bell.ring();
            }
        }
        if is_gone {
            watched.remove(&watch);
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<i32, Vec<Watcher>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rings this bell at such news, too; once a directory.
    pub(super) fn add(&self, bell: &Arc<Bell>, directory: &Path, news: News) -> io::Result<i32> {
        // Held from here on: what happens at once finds the bell.
        let mut watched = self.watched();
        // Of a directory there is one watch, for whatever anybody waits for in it.
        let watch = add_watch(&self.instance, directory, news.events | WatchFlags::MASK_ADD)?;
        let watchers = watched.entry(watch).or_default();
        match watchers.iter_mut().find(|watcher| Arc::ptr_eq(&watcher.bell, bell)) {
            Some(Watcher { news: known, .. }) => {
                let names = if known.names == news.names { news.names } else { &[] };
                *known = News { events: known.events | news.events, names };
            }
            None => watchers.push(Watcher { bell: Arc::clone(bell), news }),
        }
        Ok(watch)
    }

    /// Rings this bell no more for this directory, or for any.
    pub(super) fn forget(&self, bell: &Arc<Bell>, watch: Option<i32>) {
        self.watched().retain(|other, watchers| {
            if watch.is_none_or(|watch| watch == *other) {
                watchers.retain(|watcher| !Arc::ptr_eq(&watcher.bell, bell));
                if watchers.is_empty() {
                    // The directory may be gone, and its watch with it.
                    let _ = remove_watch(&self.instance, *other);
                }
            }
            !watchers.is_empty()
        });
    }
}
