//! STATE/releases: octo-exec writes it, the listener reads it.

use super::released::{Directory, Released};
use crate::base::beneath;
use crate::base::error::{Error, Exit, Result, describe};
use crate::base::names::{has_hidden, is_file_name};
use crate::base::paths::{Places, if_there, read_bounded};
use crate::base::publish::{self, TEMPORARY_PREFIX};
use crate::base::record::Record;
use crate::tentacle::layout::{self, Owner};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// So many are kept of a user: those that were looked at last.
pub const MAXIMUM_COPIES: usize = 1000;

/// No copy of ours is larger.
const LARGEST: u64 = 64 << 10;

/// What comes of a look at a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This is what was seen.
    Seen(Box<Released>),
    /// It is gone.
    Gone(Directory),
    /// It couldn't be looked at: what is known may not be so any more.
    Unseen(Directory),
}

/// The copies of all users, or of one; and what is wrong with others.
///
/// # Errors
/// Where a directory is there and can't be read.
pub fn all(places: &Places, user: Option<&str>) -> Result<(Vec<Released>, Vec<Error>)> {
    let (mut copies, mut wrong) = (Vec::new(), Vec::new());
    let users = match user {
        Some(user) => vec![user.to_string()],
        None => names(&places.releases())?,
    };
    for user in users.iter().filter(|user| is_user(user)) {
        let directory = of_user(places, user);
        for name in names(&directory)? {
            match read(&directory.join(name)) {
                Ok(Some(copy)) => copies.push(copy),
                Ok(None) => {}
                Err(error) => wrong.push(error),
            }
        }
    }
    copies.sort_unstable_by(|a, b| (&a.directory, &a.user).cmp(&(&b.directory, &b.user)));
    Ok((copies, wrong))
}

/// Where those of a user are.
pub fn of_user(places: &Places, user: &str) -> PathBuf {
    places.releases().join(user)
}

/// Takes over what was seen as this user in a look that began then, in nanoseconds since
/// 1970; for octo-exec. Of two looks the one that began later counts, in whichever order they
/// come here.
///
/// # Errors
/// Where it can't be written; what is there then stays.
pub fn apply(places: &Places, user: &str, changes: Vec<Change>, looked: i128) -> Result<()> {
    if !is_user(user) {
        let reason = "has a name under which nothing can be kept";
        return Err(Error::new(Exit::Configuration, format!("user {user}"), reason));
    }
    layout::make(places)?;
    let _lock = layout::lock(places, "releases")?;
    let now = jiff::Timestamp::now().as_nanosecond();
    let directory = of_user(places, user);
    let mut written: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for change in changes {
        let place = match &change {
            Change::Seen(copy) => &copy.directory,
            Change::Gone(place) | Change::Unseen(place) => place,
        };
        let name = place.name();
        let path = directory.join(&name);
        // One that is damaged is as if it weren't there.
        let known = read(&path).ok().flatten();
        // After a clock that went back, what was looked at "later" must not stay for ever.
        if known.as_ref().is_some_and(|known| known.looked > looked && known.looked <= now) {
            continue;
        }
        match (change, known) {
            (Change::Seen(copy), _) => {
                written.insert(name, copy.record().encode().into_bytes());
            }
            (Change::Gone(_), _) => remove(&path)?,
            (Change::Unseen(_), Some(known)) => {
                let copy = Released { is_behind: true, ..known };
                written.insert(name, copy.record().encode().into_bytes());
            }
            (Change::Unseen(_), None) => {}
        }
    }
    if written.is_empty() {
        return Ok(());
    }
    make(places, &directory)?;
    publish::sweep(&directory);
    drop_oldest(&directory, &written)?;
    let files: Vec<(&str, &[u8])> =
        written.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    publish::replace_all(&directory, &files, layout::readers(places, 0o640))
}

/// Makes a user's directory where it isn't there.
fn make(places: &Places, directory: &Path) -> Result<()> {
    if beneath::look(directory).is_ok() {
        return Ok(());
    }
    let (uid, gid) = (layout::executor(places).uid, layout::listener(places).gid);
    layout::make_directory(directory, Owner { uid, gid }, 0o750)
}

/// Leaves room for what is to be written.
fn drop_oldest(directory: &Path, written: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    let mut others = names(directory)?;
    others.retain(|name| !written.contains_key(name));
    let more = (others.len() + written.len()).saturating_sub(MAXIMUM_COPIES);
    if more == 0 {
        return Ok(());
    }
    let looked = |name: &String| {
        let copy = read(&directory.join(name)).ok().flatten();
        copy.map_or(i128::MIN, |copy| copy.looked)
    };
    others.sort_by_cached_key(looked);
    others.iter().take(more).try_for_each(|name| remove(&directory.join(name)))
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::doing("remove", path, &error))
        }
        _ => Ok(()),
    }
}

/// The names in a directory, but those in the making; none where it isn't there.
fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = if_there(directory, std::fs::read_dir(directory))?;
    let mut names = Vec::new();
    for entry in entries.into_iter().flatten() {
        let entry = entry.map_err(|e| Error::io(directory, &e))?;
        names.extend(entry.file_name().into_string());
    }
    names.retain(|name| !name.starts_with(TEMPORARY_PREFIX));
    Ok(names)
}

/// May a directory have this user's name?
fn is_user(user: &str) -> bool {
    is_file_name(user.as_bytes()) && !user.starts_with('.') && !has_hidden(user)
}

fn read(path: &Path) -> Result<Option<Released>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(Error::new(Exit::Io, path.display(), describe(&error.into()))),
    };
    let bytes = read_bounded(&mut file, path, LARGEST)?;
    let record = Record::parse(&bytes).ok();
    let copy = record.as_ref().and_then(Released::of);
    copy.map(Some)
        .ok_or_else(|| Error::new(Exit::Data, path.display(), "not of the form of octo-job(5)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tentacle::releases::Facts;

    fn places(top: &Path) -> Places {
        Places { config: top.join("c"), state: top.join("s") }
    }

    fn copy(path: &str, looked: i128) -> Released {
        Released {
            user: "app".into(),
            directory: Directory::parse(path).expect(path),
            as_of: "2026-01-01T00:00:00Z".into(),
            looked,
            job: "20260101T000000-abcdefghijklm".into(),
            journal: None,
            is_behind: false,
            facts: Facts::default(),
        }
    }

    fn seen(copy: &Released) -> Change {
        Change::Seen(Box::new(copy.clone()))
    }

    /// Two jobs that end at once bring what they saw in any order.
    #[test]
    fn of_two_looks_the_later_one_counts() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = places(top.path());
        let known = || all(&places, Some("app")).expect("read").0;
        let (early, late) = (copy("/srv/shop", 5), copy("/srv/shop", 6));
        let put = |change, looked| apply(&places, "app", vec![change], looked).expect("applied");
        put(seen(&late), 6);
        put(seen(&early), 5);
        put(Change::Gone(early.directory.clone()), 5);
        put(Change::Unseen(early.directory.clone()), 5);
        assert_eq!(known(), std::slice::from_ref(&late));
        put(Change::Unseen(late.directory.clone()), 7);
        assert_eq!(known(), [Released { is_behind: true, ..late.clone() }]);
        put(Change::Gone(late.directory.clone()), 8);
        put(Change::Unseen(late.directory), 9);
        assert_eq!(known(), []);
        // The clock went back: what is of a time to come gives way.
        let ahead = copy("/srv/shop", i128::from(i64::MAX));
        put(seen(&ahead), ahead.looked);
        put(seen(&early), 5);
        assert_eq!(known(), [early]);
        for user in ["..", ".x", "a/b", "", "a\n"] {
            assert!(apply(&places, user, Vec::new(), 1).is_err(), "{user}");
        }
    }

    #[test]
    fn a_user_has_so_many_the_newest() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = places(top.path());
        apply(&places, "app", vec![seen(&copy("/srv/a0", 100))], 100).expect("applied");
        let directory = of_user(&places, "app");
        for number in 1..MAXIMUM_COPIES {
            let copy = copy(&format!("/srv/a{number}"), 100 + number as i128);
            let path = directory.join(copy.directory.name());
            std::fs::write(path, copy.record().encode()).expect("write");
        }
        std::fs::write(directory.join("damaged"), "x").expect("write");
        let new = [copy("/srv/new", 50), copy("/srv/a1", 9000)];
        apply(&places, "app", new.iter().map(seen).collect(), 9000).expect("applied");
        let (known, wrong) = all(&places, None).expect("read");
        let has = |name: &str| known.iter().any(|copy| copy.directory.application == name);
        assert_eq!((known.len(), wrong.len()), (MAXIMUM_COPIES, 0));
        assert!(has("new") && has("a1") && has("a2") && !has("a0"));
    }
}
