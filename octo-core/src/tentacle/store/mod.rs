//! The package store: objects named by their sha256, whole and verified, each
//! with the names of those who may use it.
//!
//! ```text
//! STATE/packages/<sha256>                    an object, 0444
//! STATE/packages/<sha256>.by                 who put it, one name a line
//! STATE/packages/incoming/<sha256>.<pusher>  a partial upload, locked by its writer
//! STATE/packages/incoming/ahead-<random>.<pusher>  the beginning of a file whose
//!                                            sender is still hashing it
//! STATE/packages/.lock                       held while the lists above are changed
//! STATE/listen/packages/                     the same, of a listener of another user
//! ```
//!
//! Whoever wants to use an object has sent all of its bytes once: knowing a
//! sha256 is no permission, and what another pusher put is not shown to exist.

mod ahead;
mod begin;
mod hand_over;
mod pipeline;
mod share;
#[cfg(test)]
mod tests;
mod upload;

pub use ahead::Ahead;
pub use begin::Begin;
pub use hand_over::Handed;
pub use share::{Left, Limits};
pub use upload::{ReceiveError, Upload, check_room, free_beside_reserve};

use crate::base::appended::{self, Access, lock_within};
use crate::base::digest::Digest;
use crate::base::error::{Error, Exit, Result, describe};
use crate::base::names::PusherName;
use crate::base::paths::{Places, create_directory};
use crate::base::publish::{self, Readers};
use crate::base::refusal::Refusal;
use crate::tentacle::objects::names_below;
use crate::tentacle::{layout, objects};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// An untouched partial upload older than this is swept.
pub const ABANDONED: Duration = Duration::from_secs(7 * 86400);

/// How long the store's lock is waited for: a prune that was stopped (Ctrl-Z) must
/// not hold every pusher's connection for ever. Who changes the store is kept
/// informed meanwhile, who only looks must be answered before it is lost.
const CHANGING: Duration = Duration::from_secs(300);
const KEEPING: Duration = Duration::from_secs(30);

/// The packages of one state directory.
#[derive(Debug, Clone)]
pub struct Store {
    places: Places,
    directory: PathBuf,
}

/// Whose objects are meant.
#[derive(Debug, Clone, Copy)]
pub enum Who<'a> {
    /// This pusher's own.
    Pusher(&'a PusherName),
    /// Everybody's: a line with allow=any, or the machine's own operator.
    Any,
}

/// Why the store can't do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    /// What the pusher is told.
    pub refusal: Refusal,
    /// In words.
    pub reason: String,
}

/// An object, as `prune` judges it.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last put or used.
    pub used: SystemTime,
    /// Who may use it.
    pub holders: Vec<PusherName>,
}

/// What the file names of beginnings begin with.
const AHEAD: &str = "ahead-";

/// What lies in incoming/.
struct Partial {
    digest: Digest,
    pusher: PusherName,
    path: PathBuf,
    /// Its digest is no digest, but a random name.
    ahead: bool,
}

impl Partial {
    fn of(incoming: &Path, name: &str) -> Option<Partial> {
        let path = incoming.join(name);
        let ahead = name.strip_prefix(AHEAD);
        let (digest, pusher) = ahead.unwrap_or(name).split_once('.')?;
        let (digest, pusher) = (Digest::parse(digest)?, PusherName::parse(pusher)?);
        Some(Partial { digest, pusher, path, ahead: ahead.is_some() })
    }
}

/// Held while objects must not go (shared), or while they are removed and added.
#[derive(Debug)]
pub struct Guard {
    _lock: File,
}

impl Store {
    /// The store of octo-exec in these places; creates nothing.
    pub fn at(places: &Places) -> Store {
        Store { places: places.clone(), directory: places.packages() }
    }

    /// The store of a listener that is another user than octo-exec: what it received
    /// stays there until octo-exec has taken it over.
    pub fn of_listener(places: &Places) -> Store {
        Store { places: places.clone(), directory: places.listen().join("packages") }
    }

    /// The store of octo-exec, its directories created.
    ///
    /// # Errors
    /// Where they can't be created, exit 73.
    pub fn open(places: &Places) -> Result<Store> {
        layout::make(places)?;
        Store::at(places).with_directories()
    }

    /// The same store, its directories created.
    ///
    /// # Errors
    /// Where they can't be created, exit 73.
    pub fn with_directories(self) -> Result<Store> {
        // Jobs of other users reach an object whose sha256 they were told, and
        // can't list what else there is.
        create_directory(&self.directory, 0o711)?;
        create_directory(&self.incoming(), 0o700)?;
        Ok(self)
    }

    /// Where an object is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.to_string())
    }

    /// The length of an object that is there and that `who` may use.
    ///
    /// # Errors
    /// Where its list of names can't be read.
    pub fn holds(&self, digest: &Digest, who: Who<'_>) -> Result<Option<u64>> {
        let Some(size) = self.size(digest)? else { return Ok(None) };
        let may = match who {
            Who::Any => true,
            Who::Pusher(pusher) => self.holders(digest)?.contains(pusher),
        };
        Ok(may.then_some(size))
    }

    /// Is there an object of this length that `who` may use? As much as that tells no more
    /// than [`Store::holds`] of each would.
    ///
    /// # Errors
    /// Where the directory can't be read.
    pub fn has_of_size(&self, size: u64, who: Who<'_>) -> Result<bool> {
        for name in names_below(&self.directory)? {
            if let Some(digest) = Digest::parse(&name)
                && self.size(&digest)? == Some(size)
                && self.holds(&digest, who)?.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Who may use an object; empty where nobody put it.
    ///
    /// # Errors
    /// Where the list can't be read.
    pub fn holders(&self, digest: &Digest) -> Result<Vec<PusherName>> {
        objects::holders(&self.directory, digest)
    }

    /// All objects.
    ///
    /// # Errors
    /// Where the directory can't be read.
    pub fn objects(&self) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        for name in names_below(&self.directory)? {
            let Some(digest) = Digest::parse(&name) else { continue };
            let Some(size) = self.size(&digest)? else { continue };
            let used = |path: PathBuf| path.metadata().and_then(|m| m.modified());
            objects.push(Object {
                digest,
                size,
                used: used(self.names(&digest))
                    .or_else(|_| used(self.path(&digest)))
                    .unwrap_or(SystemTime::UNIX_EPOCH),
                holders: self.holders(&digest)?,
            });
        }
        Ok(objects)
    }

    /// Keeps all objects where they are while the guard lives: from looking at
    /// one to publishing the job that names it.
    ///
    /// # Errors
    /// Where the store's lock can't be opened.
    pub fn keep(&self) -> Result<Guard> {
        self.guard(KEEPING, false)
    }

    /// Keeps everybody else from adding, using and removing while the guard lives.
    ///
    /// # Errors
    /// Where the store's lock can't be opened.
    pub fn change(&self) -> Result<Guard> {
        self.guard(CHANGING, true)
    }

    fn guard(&self, patience: Duration, exclusive: bool) -> Result<Guard> {
        let path = self.directory.join(".lock");
        let file = appended::open_or_create(&path, Access::Append, Readers::from(0o600))?;
        lock_within(patience, &file, &path, exclusive)?;
        Ok(Guard { _lock: file })
    }

    /// Removes an object and its names; says whether there was one. For whoever
    /// prunes, and for whoever found that its bytes are no longer its sha256's.
    ///
    /// # Errors
    /// Where it can't be removed.
    pub fn remove(&self, digest: &Digest, _changing: &Guard) -> Result<bool> {
        // Without the object its names permit nothing: they go last.
        let removed = remove(&self.path(digest))?;
        if remove(&self.names(digest))? || removed {
            publish::sync_directory(&self.directory)?;
        }
        Ok(removed)
    }

    /// Removes partial uploads that nobody is writing and nobody has touched for
    /// `age`, and what crashed publishers left. Says how many.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn sweep(&self, age: Duration) -> Result<usize> {
        let _changing = self.change()?;
        publish::sweep(&self.directory);
        let mut swept = 0;
        for partial in self.partials()? {
            swept += usize::from(sweep_one(&partial.path, age)?);
        }
        Ok(swept)
    }

    fn incoming(&self) -> PathBuf {
        self.directory.join("incoming")
    }

    /// The partial upload of this object by this pusher.
    fn partial(&self, digest: &Digest, pusher: &PusherName) -> PathBuf {
        self.incoming().join(format!("{digest}.{pusher}"))
    }

    /// A file without a name on the store's own disk, for what is received and not yet looked
    /// at.
    ///
    /// # Errors
    /// Where none can be made.
    pub fn scratch(&self) -> io::Result<File> {
        tempfile::tempfile_in(self.incoming())
    }

    /// Throws away a partial upload that nobody writes: its bytes are not what they should be.
    pub fn discard(&self, digest: &Digest, pusher: &PusherName) {
        let _ = sweep_one(&self.partial(digest, pusher), Duration::ZERO);
    }

    /// The bytes that a partial upload has so far; how those who wait for
    /// another connection of the same pusher see that it goes on.
    pub fn progress(&self, digest: &Digest, pusher: &PusherName) -> u64 {
        self.partial(digest, pusher).metadata().map_or(0, |m| m.len())
    }

    fn partials(&self) -> Result<Vec<Partial>> {
        let incoming = self.incoming();
        let names = names_below(&incoming)?;
        Ok(names.iter().filter_map(|name| Partial::of(&incoming, name)).collect())
    }

    fn names(&self, digest: &Digest) -> PathBuf {
        objects::names(&self.directory, digest)
    }

    fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        objects::size(&self.directory, digest)
    }

    /// Adds a name to an object's list: all of its bytes were seen.
    fn admit(&self, digest: &Digest, pusher: &PusherName, _changing: &Guard) -> Result<()> {
        let mut holders = self.holders(digest)?;
        if !holders.contains(pusher) {
            holders.push(pusher.clone());
            let text: String = holders.iter().map(|name| format!("{name}\n")).collect();
            // In octo-exec's store its listener reads it, by the directory's group.
            let group = self.directory.metadata().map_err(|e| Error::io(&self.directory, &e))?;
            let readers = Readers::of_group(0o640, group.gid());
            publish::replace(&self.names(digest), text.as_bytes(), readers)?;
        }
        Ok(())
    }

    /// Notes that an object was put again, or used, so that pruning by age keeps it.
    pub fn touch(&self, digest: &Digest) {
        // One without names goes by its own age: see `objects`.
        let names = File::open(self.names(digest));
        if let Ok(file) = names.or_else(|_| File::open(self.path(digest))) {
            // Only its age for pruning hangs on it.
            let _ = file.set_modified(SystemTime::now());
        }
    }
}

impl StoreError {
    fn new(refusal: Refusal, reason: impl Into<String>) -> StoreError {
        StoreError { refusal, reason: reason.into() }
    }

    /// What an I/O error means to the pusher; its own share and the disk are
    /// both `full`.
    pub fn io(action: &str, error: &io::Error) -> StoreError {
        let refusal = match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Refusal::Full,
            _ => Refusal::Io,
        };
        StoreError::new(refusal, format!("can't {action}: {}", describe(error)))
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> StoreError {
        let refusal = if error.exit == Exit::Temporary { Refusal::Busy } else { Refusal::Io };
        StoreError::new(refusal, error.message)
    }
}

/// Removes a partial upload that is as old as that and that nobody writes.
fn sweep_one(path: &Path, age: Duration) -> Result<bool> {
    let Ok(file) = File::open(path) else { return Ok(false) };
    let old = file
        .metadata()
        .and_then(|m| m.modified())
        .is_ok_and(|time| time.elapsed().is_ok_and(|passed| passed >= age));
    // A writer may have come between: its lock says so.
    Ok(old && file.try_lock().is_ok() && remove(path)?)
}

fn remove(path: &Path) -> Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::doing("remove", path, &error)),
    }
}
