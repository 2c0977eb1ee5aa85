//! STATE/freezes/APP: an application that is not to be deployed for a while.

use super::facts::is_name;
use crate::base::cli::utc;
use crate::base::error::{Error, Exit, Result};
use crate::base::key::Form;
use crate::base::paths::{Places, if_there, read_bounded};
use crate::base::record::Record;
use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::path::Path;

/// A freeze is a reason and little else.
const LARGEST: u64 = 16 << 10;
/// So much is shown of a reason, in bytes.
const LONGEST_REASON: usize = 500;

/// Until when one holds that can't be read.
const FOR_EVER: &str = "9999-12-30T00:00:00Z";

/// A freeze that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// What is frozen.
    pub application: String,
    /// Until when, UTC.
    pub until: String,
    /// Who froze it.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Freeze {
    /// One of which nothing can be read.
    pub(super) fn damaged(application: String) -> Freeze {
        let reason = "its file can't be read: thaw it".to_string();
        Freeze { application, until: FOR_EVER.into(), by: "?".into(), reason }
    }
}

/// The freezes that hold now, by the names of their applications; and what is wrong with
/// files of others: each of those is a freeze until somebody looks, too, as it is for
/// octo-release.
///
/// # Errors
/// Where the directory is there and can't be read.
pub fn freezes(places: &Places, now: Timestamp) -> Result<(Vec<Freeze>, Vec<Error>)> {
    let directory = places.freezes();
    let (mut freezes, mut wrong) = (Vec::new(), Vec::new());
    let entries = if_there(&directory, std::fs::read_dir(&directory))?;
    for entry in entries.into_iter().flatten() {
        let entry = entry.map_err(|e| Error::io(&directory, &e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A file in the making is none of ours.
        if !is_name(&name) {
            continue;
        }
        match read(&entry.path(), name.clone()) {
            // Of one form, they are in order as text, too.
            Ok(Some(freeze)) if freeze.until > utc(now) => freezes.push(freeze),
            Ok(_) => {}
            Err(error) => {
                wrong.push(error);
                freezes.push(Freeze::damaged(name));
            }
        }
    }
    freezes.sort_unstable_by(|a, b| a.application.cmp(&b.application));
    Ok((freezes, wrong))
}

pub(super) fn read(path: &Path, application: String) -> Result<Option<Freeze>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(Into::into);
    // It may have been thawed meanwhile.
    let Some(opened) = if_there(path, opened)? else { return Ok(None) };
    let bytes = read_bounded(&mut File::from(opened), path, LARGEST)?;
    let damaged = || Error::new(Exit::Data, path.display(), "not of the form of octo-job(5)");
    let record = Record::parse(&bytes).map_err(|_| damaged())?;
    let text = |key| record.first(key).unwrap_or_default();
    let until = record.first("until").filter(|time| Form::Time.fits(time.as_bytes()));
    let reason = text("reason");
    let cut = (0..=LONGEST_REASON.min(reason.len())).rev().find(|at| reason.is_char_boundary(*at));
    Ok(Some(Freeze {
        application,
        until: until.ok_or_else(damaged)?.to_string(),
        by: text("by").chars().take(64).collect(),
        reason: reason[..cut.unwrap_or(0)].to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_freezes_nothing_and_what_is_damaged_does() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().into(), state: top.path().into() };
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().expect("a time");
        assert_eq!(freezes(&places, now).expect("none").0, []);
        std::fs::create_dir(places.freezes()).expect("mkdir");
        let write = |name: &str, text: &str| {
            std::fs::write(places.freezes().join(name), text).expect("write");
        };
        write("shop", "until 2026-01-02T00:00:01Z\nby ann\nat x\nreason black%20friday\n");
        write("past", "until 2026-01-02T00:00:00Z\nby ann\nreason x\n");
        write("cut", "until 2026-01-03T00:00:00Z\nby");
        write("never", "until never\n");
        write(".octo-tmp-x", "until 2026-01-03T00:00:00Z\n");
        write("long", &format!("until 2027-01-01T00:00:00Z\nreason {}\n", "%C3%A9".repeat(400)));
        std::os::unix::fs::symlink("shop", places.freezes().join("link")).expect("symlink");
        let (found, wrong) = freezes(&places, now).expect("read");
        let names: Vec<&str> = found.iter().map(|freeze| freeze.application.as_str()).collect();
        assert_eq!(names, ["cut", "link", "long", "never", "shop"]);
        assert_eq!(found[0], Freeze::damaged("cut".into()));
        assert_eq!(found[2].reason.len(), 500);
        let Freeze { application, until, by, reason } = &found[4];
        assert_eq!(
            [application, until, by, reason],
            ["shop", "2026-01-02T00:00:01Z", "ann", "black friday"]
        );
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }
}
