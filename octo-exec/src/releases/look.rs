//! `octo-exec look`: becomes a job's user, and prints what is in the directories that it is
//! told of by standard input. It runs nobody else's program, and takes no descriptor along:
//! what lies there is its user's.

use crate::enter::identity::take_on;
use crate::enter::{message, read};
use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::Places;
use octo_core::base::{beneath, descriptors, no_core};
use octo_core::tentacle::releases::{Current, Found, JournalStat, Looked, MAXIMUM_META, is_name};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Access, AtFlags, accessat, statat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::canonicalize;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// While octo-release writes, it is looked at again, so often at most.
const TRIES: usize = 3;

/// The verb. What is printed of a directory is printed before the next is looked at.
pub(crate) fn look(said: &Said, _: &Places) -> Result<u8> {
    said.counted(0..=0)?;
    // Nobody of its user may trace it: it is in no cgroup of the job's.
    no_core::of_us();
    let failed = |error: io::Error| Error::new(Exit::Io, "look", describe(&error));
    let bytes = read().map_err(failed)?;
    let entry = message::parse(&bytes)
        .map_err(|wrong| Error::new(Exit::Data, "look: standard input", wrong))?;
    descriptors::stdin_is_null().map_err(failed)?;
    descriptors::close_others().map_err(failed)?;
    take_on(&entry.identity)?;
    for (index, path) in entry.words.iter().enumerate() {
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        let looked = at(path).unwrap_or_else(|error| Looked::Failed(describe(&error.into())));
        print(&looked.encode(index))?;
    }
    Ok(0)
}

/// What is in a directory, for this process's user.
///
/// # Errors
/// The system's, where he may not write there or it can't be read.
pub(crate) fn at(path: &Path) -> rustix::io::Result<Looked> {
    let directory = match beneath::top(path) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Looked::Gone),
        other => other?,
    };
    // Who can't write there has released nothing there: it is not to be copied as his.
    accessat(&directory, ".", Access::WRITE_OK, AtFlags::EACCESS)?;
    let mut now = meta(&directory, "now");
    for _ in 0..TRIES {
        let found = Found {
            journal: journal(&directory)?,
            current: current(path)?,
            now: now.clone(),
            release: None,
        };
        let again = meta(&directory, "now");
        if again == now {
            return Ok(with_release(&directory, found));
        }
        now = again;
    }
    Ok(Looked::Failed("it is written to all the time".into()))
}

fn with_release(directory: &OwnedFd, found: Found) -> Looked {
    if found == Found::default() {
        return Looked::Gone;
    }
    let release = found.current.release().and_then(|release| meta(directory, release));
    Looked::Found(Found { release, ..found })
}

fn journal(directory: &OwnedFd) -> rustix::io::Result<Option<JournalStat>> {
    match statat(directory, "journal", AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        other => Ok(JournalStat::of(&other?)),
    }
}

/// Where `current` leads to, as octo-release finds it: links may be absolute, and lead into a
/// release.
fn current(directory: &Path) -> rustix::io::Result<Current> {
    let current = directory.join("current");
    match beneath::look(&current) {
        Err(Errno::NOENT) => return Ok(Current::None),
        other => other?,
    };
    let place = canonicalize(current).ok();
    let releases = canonicalize(directory.join("releases")).ok();
    let name = place.zip(releases).and_then(|(place, releases)| {
        let below = place.strip_prefix(releases).ok()?;
        below.components().next()?.as_os_str().to_str().map(str::to_string)
    });
    Ok(name.filter(|name| is_name(name)).map_or(Current::Astray, Current::Release))
}

/// All of a file of meta. What can't be read, waits for a writer, or is too long, is there
/// and empty: of no form.
fn meta(directory: impl AsFd, name: &str) -> Option<Vec<u8>> {
    let file = match beneath::open(directory, &Path::new("meta").join(name)) {
        Err(Errno::NOENT) => return None,
        other => other.ok(),
    };
    let mut bytes = Vec::new();
    let read = file.map(|file| file.take(MAXIMUM_META + 1).read_to_end(&mut bytes));
    let is_whole = matches!(read, Some(Ok(length)) if length as u64 <= MAXIMUM_META);
    Some(if is_whole { bytes } else { Vec::new() })
}
