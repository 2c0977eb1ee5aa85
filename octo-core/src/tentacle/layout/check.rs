//! Is STATE as the table says? Looks, and changes nothing.

use super::rights::{Kind, Parties, Right, mode_of, type_of};
use super::{ROWS, names_in};
use crate::base::beneath;
use crate::base::error::{Error, Exit};
use crate::base::names::JobId;
use crate::base::paths::Places;
use rustix::fs::{AtFlags, FileType, OFlags, Stat, openat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Of so many jobs, the newest, each record is looked at; of all others the directory.
const NEWEST: usize = 2000;

/// Says what is not as it should be, one by one; returns who the two users are, or `None`
/// where there is no STATE.
pub fn check(places: &Places, report: &mut dyn FnMut(&Error)) -> Option<Parties> {
    let state = match beneath::look(&places.state) {
        Err(Errno::NOENT | Errno::NOTDIR) => return None,
        other => other,
    };
    let parties = Parties::of(places);
    let mut checking = Checking { places, parties, report };
    checking.state(state);
    Some(parties)
}

struct Checking<'a> {
    places: &'a Places,
    parties: Parties,
    report: &'a mut dyn FnMut(&Error),
}

/// A directory that can be looked into.
struct Opened {
    directory: OwnedFd,
    names: Vec<String>,
}

impl Checking<'_> {
    fn say(&mut self, path: &Path, reason: impl std::fmt::Display) {
        (self.report)(&Error::new(Exit::Configuration, path.display(), reason));
    }

    fn failed(&mut self, path: &Path, error: Errno) {
        let error = match error {
            Errno::ACCESS | Errno::PERM => {
                let uid = geteuid().as_raw();
                let reason = format!("can't be looked at by uid {uid}");
                Error::new(Exit::Configuration, path.display(), reason).hint("run this as root")
            }
            other => Error::io(path, &other.into()),
        };
        (self.report)(&error);
    }

    fn state(&mut self, state: rustix::io::Result<Stat>) {
        let path = &self.places.state;
        match state {
            Err(error) => return self.failed(path, error),
            Ok(stat) if type_of(&stat) != FileType::Directory => {
                return self.say(path, "is not a directory");
            }
            Ok(stat) if mode_of(&stat) & 0o1022 != 0 => {
                self.say(path, format!("has mode {:04o}, not 0711", mode_of(&stat)));
            }
            Ok(stat) if self.parties.are_separated() && mode_of(&stat) & 0o001 == 0 => {
                let reason = format!("has mode {:04o}, not 0711: the listener", mode_of(&stat));
                self.say(path, reason + " can't pass");
            }
            Ok(_) => {}
        }
        for row in ROWS {
            let path = (row.path)(self.places);
            let right = self.parties.row(row);
            if self.one(&path, row.kind, &right) {
                self.inside(&path);
            }
        }
        let old = self.places.state.join("listen.lock");
        if beneath::look(&old).is_ok() {
            self.say(&old, "is of an older version");
        }
    }

    /// Is there something that can be looked into?
    fn one(&mut self, path: &Path, kind: FileType, right: &Right) -> bool {
        match beneath::look(path) {
            // What is missing is made by whoever needs it.
            Err(Errno::NOENT) => false,
            Err(error) => {
                self.failed(path, error);
                false
            }
            Ok(stat) => self.is_of(path, &stat, kind, right) && kind == FileType::Directory,
        }
    }

    /// Is it of this kind? Says what else is wrong with it, too.
    fn is_of(&mut self, path: &Path, stat: &Stat, kind: FileType, right: &Right) -> bool {
        if type_of(stat) != kind {
            let wanted = match kind {
                FileType::Directory => "is not a directory",
                FileType::Socket => "is not a socket",
                _ => "is not a regular file",
            };
            self.say(path, wanted);
            return false;
        }
        if let Some(fault) = right.fault(stat) {
            self.say(path, fault);
        }
        true
    }

    fn inside(&mut self, path: &Path) {
        if path == self.places.jobs() {
            self.jobs(path);
        } else if path == self.places.packages() {
            self.files(path, Kind::in_store);
            let own = self.parties.executor;
            let right = Right { uid: own.uid, gid: None, modes: [0o700; 4] };
            self.one(&path.join("incoming"), FileType::Directory, &right);
        } else if path == self.places.refused() || path == self.places.pruned() {
            self.files(path, Kind::in_records);
        } else if path == self.places.kept() || path == self.places.underway() {
            self.files(path, Kind::in_accounts);
        } else if path == self.places.freezes() {
            self.files(path, Kind::in_freezes);
        } else if path == self.places.releases() {
            let users = self.open(path).map(|opened| opened.names).unwrap_or_default();
            let right = self.parties.directory(0o750);
            for copies in users.iter().map(|user| path.join(user)) {
                if self.one(&copies, FileType::Directory, &right) {
                    self.files(&copies, Kind::in_records);
                }
            }
        }
    }

    fn open(&mut self, path: &Path) -> Option<Opened> {
        let opened = beneath::directory(path)
            .and_then(|directory| Ok(Opened { names: names_in(&directory)?, directory }));
        opened.map_err(|error| self.failed(path, error)).ok()
    }

    fn files(&mut self, path: &Path, kind: fn(&str) -> Kind) {
        let Some(opened) = self.open(path) else { return };
        for name in &opened.names {
            self.file(path, &opened.directory, name, kind(name));
        }
    }

    fn file(&mut self, path: &Path, directory: &OwnedFd, name: &str, kind: Kind) {
        let Some(right) = self.parties.right(kind) else { return };
        let wanted = match kind {
            Kind::Artifacts => FileType::Directory,
            _ => FileType::RegularFile,
        };
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            // It may be over, and gone.
            Err(Errno::NOENT) => {}
            Err(error) => self.failed(&path.join(name), error),
            Ok(stat) => {
                self.is_of(&path.join(name), &stat, wanted, &right);
            }
        }
    }

    fn jobs(&mut self, path: &Path) {
        let Some(mut opened) = self.open(path) else { return };
        if opened.names.iter().any(|name| name == "pruned") {
            self.say(&path.join("pruned"), "is of an older version");
        }
        opened.names.retain(|name| JobId::parse(name).is_some());
        opened.names.sort_unstable();
        let right = self.parties.directory(0o751);
        for (index, name) in opened.names.iter().rev().enumerate() {
            let job = path.join(name);
            let stat = match statat(&opened.directory, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                other => other,
            };
            match stat {
                Err(error) => self.failed(&job, error),
                Ok(stat) if !self.is_of(&job, &stat, FileType::Directory, &right) => {}
                Ok(_) if index < NEWEST => self.job(&opened.directory, &job, name),
                Ok(_) => {}
            }
        }
    }

    fn job(&mut self, jobs: &OwnedFd, path: &Path, name: &str) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(jobs, name, flags, rustix::fs::Mode::empty())
            .and_then(|directory| Ok(Opened { names: names_in(&directory)?, directory }));
        let opened = match opened {
            Err(Errno::NOENT) => return,
            Err(error) => return self.failed(path, error),
            Ok(opened) => opened,
        };
        let has = |wanted: &str| opened.names.iter().any(|name| name == wanted);
        if !has("origin") && has("request") {
            self.say(path, "is of an older version: it has no origin");
        }
        let is_over = has("end");
        for name in &opened.names {
            let kind = Kind::in_job(name);
            // Until the job is over that directory of an older version is the job's own.
            if kind != Kind::Artifacts || is_over {
                self.file(path, &opened.directory, name, kind);
            }
        }
    }
}
