//! One copy: what was seen of an application, when, and by which state of its journal a
//! reader knows whether that is still so.

use super::facts::{Facts, KEYS, Now, is_name};
use super::journal::JournalStat;
use super::looked::{Current, Found};
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
pub struct Released {
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

impl Released {
    /// What a look at a directory found, when a job was over: what that has begun and not
    /// ended was interrupted; what another has may go on.
    pub fn seen(mut blank: Released, found: &Found) -> Released {
        let mut is_behind = found.current == Current::Astray;
        let mut job = None;
        let now = found.now.as_ref().map(|now| Now::read(now, &blank.directory.application));
        if let Some(now) = now {
            let size = found.journal.map(|journal| journal.size);
            is_behind |= !now.is_sound || now.journal != size;
            blank.facts = now.facts;
            job = now.job;
        } else {
            is_behind |= found.journal.is_some() || found.current != Current::None;
        }
        let is_ours = job.is_some_and(|job| job == blank.job);
        let link = found.current.release();
        if blank.facts.get("release") != link {
            is_behind |= !blank.is_now(link, found.release.as_deref(), is_ours);
        }
        if link.is_none() && blank.facts.get("number").is_some_and(|number| number != "0") {
            // What was released is gone: that is no application without a release.
            blank.facts.say("result", "missing");
        }
        if is_ours {
            blank.facts.interrupt();
        }
        Released { journal: found.journal, is_behind, ..blank }
    }

    /// `current` is at another release than was written down: whoever switched was killed
    /// before he could, or is about to. Is all known that there is to know of it?
    fn is_now(&mut self, link: Option<&str>, release: Option<&[u8]>, is_ours: bool) -> bool {
        self.facts.forget_current();
        let Some(link) = link else { return true };
        let is_said = self.facts.say("release", link).is_some();
        let is_sound = release.is_some_and(|release| self.facts.of_release(release));
        let is_going_on = self.facts.get("last-result") == Some("started") && !is_ours;
        let result = if is_going_on { "started" } else { "interrupted" };
        self.facts.say("result", result).is_some() && is_said && is_sound
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
    pub fn of(record: &Record) -> Option<Released> {
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
        Some(Released {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn blank(path: &str) -> Released {
        Released {
            user: "app".into(),
            directory: Directory::parse(path).expect(path),
            as_of: "2026-01-01T00:00:00Z".into(),
            looked: 5,
            job: "20260101T000000-abcdefghijklm".into(),
            journal: None,
            is_behind: false,
            facts: Facts::default(),
        }
    }

    fn found(journal: u64, link: &str, now: &str, release: &str) -> Found {
        Found {
            journal: Some(JournalStat { inode: 2, size: journal, modified: -3 }),
            current: Current::Release(link.into()),
            now: Some(format!("octo-release 1\napplication shop\n{now}").into_bytes()),
            release: Some(release.as_bytes().to_vec()),
        }
    }

    #[test]
    fn a_directory_has_one_spelling() {
        let directory = Directory::parse("/srv//é b/shop/").expect("BASE/APP");
        assert_eq!((&directory.base[..], &directory.application[..]), ("/srv/é b", "shop"));
        assert_eq!(
            directory.name(),
            format!("shop@{}", &Digest::of("/srv/é b".as_bytes()).to_string()[..16])
        );
        assert_eq!(Directory::parse("/shop").expect("below /").base, "/");
        for bad in
            ["", "/", "shop", "./shop", "/srv/../shop", "/srv/..", "/srv/-x", "/srv/a b", "/a\n/x"]
        {
            assert_eq!(Directory::parse(bad), None, "{bad}");
        }
        assert_eq!(Directory::parse(&format!("/{}/x", "a".repeat(1000))), None);
        assert_eq!(Directory::parse(&format!("/srv/{}", "a".repeat(101))), None);
    }

    #[test]
    fn what_is_current_is_what_the_link_says() {
        let now = "journal 9\nversion 1.0\nrelease 1.0\nresult succeeded\nnames A\nnumber 4\n\
            verified 2026-01-01T00:00:00Z\nchanged 2\n";
        let seen = |found: &Found| Released::seen(blank("/srv/shop"), found);
        let copy = seen(&found(9, "1.0", now, "version 9.9\n"));
        assert_eq!((copy.is_behind, copy.facts.get("version")), (false, Some("1.0")));
        assert_eq!(copy.facts.get("changed"), Some("2"));
        assert!(seen(&found(10, "1.0", now, "")).is_behind, "the journal goes on");
        let copy = seen(&found(9, "2.0", now, "version 2.0\nat 2026-01-01T00:00:00Z\n"));
        let get = |key| copy.facts.get(key);
        assert_eq!((get("version"), get("release")), (Some("2.0"), Some("2.0")));
        assert_eq!((get("result"), get("number")), (Some("interrupted"), Some("4")));
        assert_eq!((get("since"), get("names")), (Some("2026-01-01T00:00:00Z"), None));
        // Of another release than the one that was verified nobody knows it.
        assert_eq!((get("verified"), get("changed")), (None, None));
        assert!(!copy.is_behind);
        let copy = seen(&found(9, "2.0", now, "version ..\n"));
        assert_eq!((copy.is_behind, copy.facts.get("version")), (true, None));
        // What was released once and is no more is not nothing.
        for (current, is_behind) in [(Current::None, false), (Current::Astray, true)] {
            let copy = seen(&Found { current, ..found(9, "", now, "") });
            assert_eq!((copy.is_behind, copy.facts.get("release")), (is_behind, None));
            assert_eq!(copy.facts.get("result"), Some("missing"));
        }
        let none = now.replace("number 4", "number 0");
        let copy = seen(&Found { current: Current::None, ..found(9, "", &none, "") });
        assert_eq!((copy.is_behind, copy.facts.get("result")), (false, None));
        assert!(seen(&Found { now: None, ..found(9, "1.0", "", "") }).is_behind);
    }

    /// Another may be at it yet: that it has begun is no news of its end.
    #[test]
    fn only_what_this_job_began_is_interrupted() {
        let ours = blank("/srv/shop").job;
        for (job, result) in [
            (format!("last-job {ours}\n"), "interrupted"),
            ("last-job 20260101T000000-bbbbbbbbbbbbb\n".into(), "started"),
            (String::new(), "started"),
        ] {
            let now = format!(
                "journal 9\nversion 1.0\nrelease 1.0\nresult started\nlast-result started\n{job}"
            );
            // Before it switched, behind that, and between the switch and its word on it.
            for link in ["1.0", "2.0"] {
                let copy =
                    Released::seen(blank("/srv/shop"), &found(9, link, &now, "version 2.0\n"));
                let get = |key| copy.facts.get(key);
                assert_eq!(
                    (get("result"), get("last-result")),
                    (Some(result), Some(result)),
                    "{job}"
                );
                assert!(!copy.is_behind);
            }
        }
    }

    #[test]
    fn a_copy_comes_back_and_a_damaged_one_is_none() {
        let now = "journal 9\nversion 1.0\nrelease 1.0\nnames A B\nback-names C\nby ann\n";
        for is_behind in [false, true] {
            let mut copy = Released::seen(blank("/srv/x y/shop"), &found(9, "1.0", now, ""));
            copy.is_behind = is_behind;
            let text = copy.record().encode();
            let read = |text: &str| Released::of(&Record::parse(text.as_bytes()).ok()?);
            assert_eq!(read(&text), Some(copy), "{text}");
            for (from, to) in [
                ("user app", "user app b"),
                ("base /srv/x%20y", "base /srv/../x"),
                ("base /srv/x%20y", "base srv"),
                ("application shop", "application ../shop"),
                ("as-of 2026", "as-of x2026"),
                ("looked 5", "looked five"),
                ("journal-stat 2 9 -3", "journal-stat 2 9"),
                ("version 1.0", "version ../1.0"),
                ("by ann", "by a%1Bnn"),
                ("job ", "jobb "),
            ] {
                let damaged = text.replace(from, to);
                assert_ne!(damaged, text, "{from}");
                assert_eq!(read(&damaged), None, "{to}");
            }
        }
    }
}
