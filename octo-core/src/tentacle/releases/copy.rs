//! One copy: what was seen of an application, when, and by which state of its journal a
//! reader knows whether that is still so.

use super::facts::{Facts, KEYS, Now, is_name};
use super::journal::JournalStat;
use super::looked::Found;
use crate::base::digest::Digest;
use crate::base::encoding::is_hidden;
use crate::base::key::Form;
use crate::base::record::Record;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The longest BASE, in bytes: with all else it fits a line of the wire, whatever it is of.
const LONGEST_BASE: usize = 1000;

/// Where an application is: BASE/APP.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Directory {
    /// The name of the directory, and the application's.
    pub application: String,
    /// The directory above it.
    pub base: String,
}

/// What was seen of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// As whom it was looked at: who ran octo-release.
    pub user: String,
    /// Where it is.
    pub directory: Directory,
    /// When it was looked at, RFC 3339.
    pub as_of: String,
    /// The same, in nanoseconds since 1970: of two looks the later one counts.
    pub looked: i128,
    /// Of which job's end.
    pub job: String,
    /// The journal as it was then; `None` where there was none.
    pub journal: Option<JournalStat>,
    /// What is here isn't all of what the journal says, or was not of its form.
    pub is_behind: bool,
    /// What is known.
    pub facts: Facts,
}

impl Directory {
    /// What `releases=` names, if it can be BASE/APP: an absolute path, in its one spelling
    /// but for slashes.
    pub fn parse(path: &str) -> Option<Directory> {
        let path = Path::new(path);
        let mut spelt = PathBuf::new();
        for component in path.components() {
            match component {
                Component::RootDir | Component::Normal(_) => spelt.push(component),
                _ => return None,
            }
        }
        let application = spelt.file_name()?.to_str().filter(|name| is_name(name))?;
        let base = spelt.parent()?.to_str()?;
        let is_sound = base.starts_with('/')
            && base.len() <= LONGEST_BASE
            && application.len() <= 100
            && !base.chars().any(is_hidden);
        is_sound.then(|| Directory { application: application.into(), base: base.into() })
    }

    /// The directory.
    pub fn path(&self) -> PathBuf {
        Path::new(&self.base).join(&self.application)
    }

    /// The name of its copy among those of a user: APP@HEX.
    pub fn name(&self) -> String {
        let digest = Digest::of(Path::new(&self.base).as_os_str().as_bytes()).to_string();
        format!("{}@{}", self.application, &digest[..16])
    }
}

impl Copy {
    /// What a look at a directory found, begun at this time; `since` is when the job started
    /// that has ended: what it began and didn't end was interrupted.
    pub fn seen(mut blank: Copy, found: &Found, since: Option<&str>) -> Copy {
        let mut is_behind = false;
        let now = found.now.as_ref().map(|now| Now::read(now, &blank.directory.application));
        if let Some(now) = now {
            let size = found.journal.map(|journal| journal.size);
            is_behind = !now.is_sound || now.journal != size;
            blank.facts = now.facts;
        } else {
            is_behind |= found.journal.is_some() || found.link.is_some();
        }
        let link = found.link.as_deref();
        if blank.facts.get("release") != link {
            is_behind |= !blank.is_now(link, found.release.as_deref());
        }
        if let Some(since) = since {
            blank.facts.interrupt(since);
        }
        Copy { journal: found.journal, is_behind, ..blank }
    }

    /// `current` is at another release than was written down: whoever switched was killed
    /// before he could. Is all known that there is to know of it?
    fn is_now(&mut self, link: Option<&str>, release: Option<&[u8]>) -> bool {
        self.facts.forget_current();
        let Some(link) = link else { return true };
        let is_said = self.facts.say("release", link).is_some();
        let is_sound = release.is_some_and(|release| self.facts.of_release(release));
        self.facts.say("result", "interrupted").is_some() && is_said && is_sound
    }

    /// The record of it.
    pub fn record(&self) -> Record {
        let Directory { application, base } = &self.directory;
        let mut record = Record::new()
            .with("user", &self.user)
            .with("base", base)
            .with("as-of", &self.as_of)
            .with("looked", self.looked)
            .with("job", &self.job);
        if let Some(journal) = &self.journal {
            let fields = journal.fields();
            let fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
            record.push("journal-stat", &fields);
        }
        let record = record
            .with_each("behind", self.is_behind.then_some("yes"))
            .with("application", application);
        self.facts.each().fold(record, |record, (key, value)| record.with(key, value))
    }

    /// The copy of a record; `None` for any other form.
    pub fn of(record: &Record) -> Option<Copy> {
        let text = |key| record.first(key).map(str::to_string);
        let directory = Directory { application: text("application")?, base: text("base")? };
        let mut facts = Facts::default();
        for (key, _) in KEYS {
            if let Some(value) = record.first(key) {
                facts.say(key, value)?;
            }
        }
        let journal = match record.all("journal-stat").next() {
            Some(fields) => Some(JournalStat::parse(fields)?),
            None => None,
        };
        Some(Copy {
            user: text("user")?,
            as_of: text("as-of").filter(|time| Form::Time.fits(time.as_bytes()))?,
            looked: record.first("looked")?.parse().ok()?,
            job: text("job")?,
            journal,
            is_behind: record.first("behind").is_some(),
            facts,
            directory: Directory::parse(directory.path().to_str()?).filter(|d| *d == directory)?,
        })
    }
}
