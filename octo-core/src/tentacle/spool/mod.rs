//! STATE/spool: the one way from the listener to octo-exec.
//!
//! ```text
//! STATE/spool/JOB          a request, until jobs/JOB or refused/JOB is there
//! STATE/spool/JOB.cancel   a cancel, until jobs/JOB/cancel or the job's end is there
//! ```
//!
//! The directory is the listener's. octo-exec opens one component of it, reads it once,
//! and believes nothing but the signature in it; it writes, locks and removes nothing.

mod entry;

pub use entry::{Entry, ReadEntry};

use super::job::{End, JobDirectory, Refused};
use super::layout;
use super::statement::{Asks, Statement};
use crate::base::beneath;
use crate::base::error::{Error, Exit, Result, describe};
use crate::base::names::JobId;
use crate::base::paths::{Places, if_there, read_bounded};
use crate::base::publish::{self, TEMPORARY_PREFIX, sync_directory};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The largest entry, in bytes.
pub const LARGEST: u64 = 38 << 20;

/// So often it is tried to take an entry over, before its pusher is told that it failed.
pub const TRIES: u32 = 3;

/// What the name of a cancel ends in.
const CANCEL: &str = ".cancel";

/// The name of an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName {
    /// The job that it is about.
    pub job: JobId,
    /// Is it a cancel?
    pub is_cancel: bool,
}

impl EntryName {
    /// A request for this job.
    pub fn request(job: &JobId) -> EntryName {
        EntryName { job: job.clone(), is_cancel: false }
    }

    /// A cancel of this job.
    pub fn cancel(job: &JobId) -> EntryName {
        EntryName { job: job.clone(), is_cancel: true }
    }

    /// The entry of this file name.
    pub fn parse(name: &str) -> Option<EntryName> {
        match name.strip_suffix(CANCEL) {
            Some(job) => Some(EntryName { job: JobId::parse(job)?, is_cancel: true }),
            None => Some(EntryName { job: JobId::parse(name)?, is_cancel: false }),
        }
    }

    /// Has octo-exec made of it what it will?
    pub fn is_done(&self, places: &Places) -> bool {
        self.done_in(places).is_some()
    }

    /// The directory in which it is to be seen that octo-exec has made of it what it will.
    fn done_in(&self, places: &Places) -> Option<PathBuf> {
        let job = JobDirectory::of(places, &self.job);
        let is_done = match self.is_cancel {
            true => job.file("cancel").exists() || job.file("end").exists(),
            false => job.exists(),
        };
        if is_done {
            return Some(if self.is_cancel { job.path().to_path_buf() } else { places.jobs() });
        }
        let name = self.to_string();
        let refused = Refused::read(places, &name).ok()??;
        // An id is refused for good; a job's end may be asked for again, by somebody else.
        let holds = !self.is_cancel || refused.is_of(places, &name);
        holds.then(|| places.refused())
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.job, if self.is_cancel { CANCEL } else { "" })
    }
}

/// The spool of one state directory.
#[derive(Debug, Clone)]
pub struct Spool {
    places: Places,
}

impl Spool {
    /// The spool of these places; nothing is opened before it is needed.
    pub fn at(places: &Places) -> Spool {
        Spool { places: places.clone() }
    }

    /// The directory itself, beneath STATE and on its file system: what somebody mounted
    /// there could be waited for without end.
    fn directory(&self) -> rustix::io::Result<OwnedFd> {
        beneath::directory_in(beneath::top(&self.places.state)?, Path::new("spool"))
    }

    fn path(&self, name: &EntryName) -> PathBuf {
        self.places.spool().join(name.to_string())
    }

    /// Hands an entry over, durably, unless one of its name is there: says whether.
    /// For the listener.
    ///
    /// # Errors
    /// Exit 73 or 74; then nothing of it is there.
    pub fn put(&self, name: &EntryName, entry: &Entry<'_>) -> Result<bool> {
        match self.try_to_put(name, entry) {
            // A listener that begins beside us has swept it.
            Err(_) if !self.holds(name) => self.try_to_put(name, entry),
            put => put,
        }
    }

    fn try_to_put(&self, name: &EntryName, entry: &Entry<'_>) -> Result<bool> {
        let (spool, path) = (self.places.spool(), self.path(name));
        let failed = |e: &io::Error| Error::doing("create", &path, e);
        // Its mode is 0600: secrets may be in it.
        let staged = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(&spool);
        let mut staged = staged.map_err(|e| failed(&e))?;
        let mut write = || {
            staged.write_all(entry.head().as_bytes())?;
            entry.parts().iter().try_for_each(|part| staged.write_all(part))?;
            staged.as_file().sync_all()
        };
        write().map_err(|e| failed(&e))?;
        match staged.persist_noclobber(&path) {
            Ok(_) => sync_directory(&spool).map(|()| true),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(failed(&error.error)),
        }
    }

    /// Makes the names in it durable: who handed one over may have been killed.
    ///
    /// # Errors
    /// Exit 74.
    pub fn sync(&self) -> Result<()> {
        sync_directory(&self.places.spool())
    }

    /// Takes an entry away; gone already is as good. For the listener.
    ///
    /// # Errors
    /// Where it is there and can't be removed.
    pub fn remove(&self, name: &EntryName) -> Result<()> {
        let path = self.path(name);
        if_there(&path, std::fs::remove_file(&path)).map(drop)
    }

    /// Takes those away that octo-exec has done with, once a crash can't undo that. For the
    /// listener.
    ///
    /// # Errors
    /// Where a directory can't be made durable.
    pub fn remove_done(&self, names: &[EntryName]) -> Result<()> {
        let done = names.iter().filter(|name| !self.is_undone_by_a_crash(name));
        let done: Vec<_> =
            done.filter_map(|name| Some((name.done_in(&self.places)?, name))).collect();
        let directories: BTreeSet<&PathBuf> = done.iter().map(|(directory, _)| directory).collect();
        // What has become of a job says that its name is durable.
        let jobs = self.places.jobs();
        for directory in directories.into_iter().filter(|directory| **directory != jobs) {
            // A job may have been pruned meanwhile.
            let synced = File::open(directory).and_then(|directory| directory.sync_all());
            if_there(directory, synced)?;
        }
        done.iter().try_for_each(|(_, name)| self.remove(name))
    }

    /// Is it a job by now that nothing else has become of? octo-exec makes its name durable
    /// before it makes anything more of it: until then a crash may take the job, and leave
    /// no more than this entry.
    pub fn is_undone_by_a_crash(&self, name: &EntryName) -> bool {
        let job = JobDirectory::of(&self.places, &name.job);
        let more = ["started", "waiting", "held", "end"];
        !name.is_cancel && job.exists() && !more.iter().any(|file| job.file(file).exists())
    }

    /// The same of all, and of what a killed listener was writing. For a listener that begins.
    ///
    /// # Errors
    /// As [`Spool::remove_done`], and where the spool can't be read.
    pub fn sweep(&self) -> Result<()> {
        publish::sweep(&self.places.spool());
        self.remove_done(&self.names()?)
    }

    /// The entries, the oldest by its id first. What has another name is none.
    ///
    /// # Errors
    /// Where the directory can't be read, or is a link; where there is none, none are.
    pub fn names(&self) -> Result<Vec<EntryName>> {
        let path = self.places.spool();
        let failed = |e: rustix::io::Errno| Error::io(&path, &e.into());
        let directory = match self.directory() {
            Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            names.extend(entry.file_name().to_str().ok().and_then(EntryName::parse));
        }
        names.sort();
        Ok(names)
    }

    /// The statement of an entry that is there, without reading what it is about.
    pub fn statement(&self, name: &EntryName) -> Option<Statement> {
        self.announced(name).map(|(statement, _)| statement)
    }

    /// The same, and how long its spec, script, standard input and secrets are, in
    /// bytes.
    pub fn announced(&self, name: &EntryName) -> Option<(Statement, [u64; 4])> {
        let directory = self.directory().ok()?;
        let file = beneath::open(&directory, Path::new(&name.to_string())).ok()?;
        let mut bytes = Vec::with_capacity(entry::BEGINNING as usize);
        file.take(entry::BEGINNING).read_to_end(&mut bytes).ok()?;
        entry::announced(&bytes)
    }

    /// What is noted of an entry that nobody could take over, by its own words: none of
    /// them is believed, so the note is as short-lived as any.
    pub fn given_up(&self, name: &EntryName, why: &str) -> Refused {
        let statement = self.statement(name);
        let spec = statement.as_ref().and_then(|statement| match statement.asks {
            Asks::Request(spec) => Some(spec),
            Asks::Cancel => None,
        });
        let pusher = statement.map(|statement| statement.pusher);
        Refused { pusher, spec, ..Refused::new(End::denied(Exit::Unavailable, why)) }
    }

    /// Is an entry of this name there?
    pub fn holds(&self, name: &EntryName) -> bool {
        beneath::look(&self.path(name)).is_ok()
    }

    /// Reads an entry: one component, once, whatever its owner has made of it.
    ///
    /// # Errors
    /// Exit 65 where it is no file of the spool's owner's alone, or none of the form; `None`
    /// where there is none.
    pub fn read(&self, name: &EntryName) -> Result<Option<ReadEntry>> {
        let (spool, path) = (self.places.spool(), self.path(name));
        let odd = |reason: &str| Error::new(Exit::Data, path.display(), reason);
        let directory = match self.directory() {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            other => other.map_err(|e| Error::io(&spool, &e.into()))?,
        };
        let mut file = match beneath::open(&directory, Path::new(&name.to_string())) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => return Err(odd("is a link")),
            other => other.map_err(|e| odd(&describe(&e.into())))?,
        };
        let metadata = file.metadata().map_err(|e| Error::io(&path, &e))?;
        if !metadata.is_file() {
            return Err(odd("is not a regular file"));
        }
        if metadata.uid() != layout::listener(&self.places).uid {
            return Err(odd("is owned by another user than the spool"));
        }
        if metadata.nlink() != 1 {
            return Err(odd("has a second name (a hard link)"));
        }
        if metadata.len() > LARGEST {
            return Err(odd(&format!("is larger than {LARGEST} bytes")));
        }
        let bytes = read_bounded(&mut file, &path, LARGEST)?;
        ReadEntry::parse(bytes).map(Some).map_err(|reason| odd(&reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tentacle::statement::Signed;
    use std::os::unix::fs::symlink;

    #[test]
    fn an_entry_is_handed_over_once_and_only_a_plain_file_is_one() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        layout::make_for_listener(&places, layout::Owner::this_process()).expect("made");
        let spool = Spool::at(&places);
        let id = || JobId::generate().expect("an id");
        let name = EntryName::request(&id());
        let signed = Signed { statement: b"s", signature: b"x", certificate: b"c" };
        let entry =
            Entry { address: None, signed, spec: b"e", script: b"", stdin: b"", secrets: b"" };
        assert!(spool.put(&name, &entry).expect("put"));
        assert!(!spool.put(&name, &entry).expect("put"));
        let read = spool.read(&name).expect("read").expect("there");
        assert_eq!(read.entry().spec, b"e");
        let cancel = EntryName::cancel(&name.job);
        assert_eq!(EntryName::parse(&cancel.to_string()), Some(cancel.clone()));
        assert!(spool.read(&cancel).expect("none").is_none());
        assert_eq!(spool.names().expect("names"), std::slice::from_ref(&name));

        type Make = fn(&Path, &Path);
        let odd: [(&str, Make); 5] = [
            ("is a link", |path, _| symlink("/etc/passwd", path).expect("symlink")),
            ("regular", |path, _| std::fs::create_dir(path).expect("mkdir")),
            ("second name", |path, other| std::fs::hard_link(other, path).expect("link")),
            ("larger", |path, _| {
                let file = File::create(path).expect("create");
                file.set_len(LARGEST + 1).expect("sparse");
            }),
            ("torn", |path, _| std::fs::write(path, "octo-spool 1 - 9").expect("write")),
        ];
        for (said, make) in odd {
            let name = EntryName::request(&id());
            make(&spool.path(&name), &top.path().join("s/spool").join(cancel.job.as_str()));
            let error = spool.read(&name).expect_err(said);
            assert!(error.message.contains(said), "{error}");
            let _ = std::fs::remove_file(spool.path(&name));
        }
        spool.remove(&name).expect("removed");
        spool.remove(&name).expect("gone");
    }

    /// A crash may take a job of which nothing more has become: its entry brings it back.
    #[test]
    fn an_entry_stays_until_something_has_become_of_its_job() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        layout::make_for_listener(&places, layout::Owner::this_process()).expect("made");
        let spool = Spool::at(&places);
        for file in ["held", "waiting", "started", "end"] {
            let id = JobId::generate().expect("an id");
            let name = EntryName::request(&id);
            let signed = Signed { statement: b"s", signature: b"x", certificate: b"c" };
            let entry =
                Entry { address: None, signed, spec: b"e", script: b"", stdin: b"", secrets: b"" };
            assert!(spool.put(&name, &entry).expect("put"));
            let job = JobDirectory::of(&places, &id);
            std::fs::create_dir_all(job.path()).expect("mkdir");
            spool.remove_done(std::slice::from_ref(&name)).expect("looked");
            assert!(name.is_done(&places) && spool.holds(&name), "{file}");
            std::fs::write(job.file(file), "").expect("write");
            spool.remove_done(std::slice::from_ref(&name)).expect("removed");
            assert!(!spool.holds(&name), "{file}");
        }
    }
}
