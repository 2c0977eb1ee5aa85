//! The release that is current, seen as the job's user: by its manifest, or file by file
//! where it has none.

use super::conf::{Conf, OCTO_CONF, above};
use crate::releases::look;
use crate::unpack::{Found, Item, Manifest, Walk};
use octo_core::Digest;
use octo_core::base::beneath;
use octo_core::base::cli::utc_now;
use octo_core::base::error::{Result, describe};
use octo_core::base::paths::read_bounded;
use octo_core::base::units::whole;
use octo_core::tentacle::changes::Current;
use octo_core::tentacle::releases::{self, Directory, Facts, Looked, Released};
use rustix::fd::OwnedFd;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A manifest of the largest release by default has half of it.
const LARGEST_MANIFEST: u64 = 64 << 20;
/// As many paths as a package may have.
pub(super) const MOST_PATHS: u64 = 200_000;
/// A hook or octo.conf that is longer is not compared line by line.
pub(super) const LARGEST_TEXT: u64 = 256 << 10;

/// What is at which path.
pub(super) type Items = BTreeMap<Vec<u8>, Item>;

/// What is released.
#[derive(Default)]
pub(super) struct Former {
    pub(super) current: Option<Current>,
    pub(super) items: Items,
    pub(super) conf: Conf,
    top: Option<OwnedFd>,
}

/// Which release is current, of what was seen; the error is why that isn't known.
pub(super) fn current(
    directory: &Directory,
    looked: Looked,
) -> std::result::Result<Option<Current>, String> {
    let found = match looked {
        Looked::Gone => return Ok(None),
        Looked::Failed(why) => return Err(format!("{}: {why}", directory.path().display())),
        Looked::Found(found) => found,
    };
    let release = match &found.current {
        releases::Current::None => return Ok(None),
        releases::Current::Astray => {
            let path = directory.path().join("current");
            return Err(format!("{}: leads to no release of it", path.display()));
        }
        releases::Current::Release(release) => release.clone(),
    };
    let blank = Released {
        user: String::new(),
        directory: directory.clone(),
        as_of: utc_now(),
        looked: 0,
        job: String::new(),
        journal: None,
        is_behind: false,
        facts: Facts::default(),
    };
    let facts = Released::seen(blank, &found).facts;
    Ok(Some(Current {
        release,
        number: facts.get("number").and_then(whole),
        package: facts.get("sha256").and_then(Digest::parse),
        by_manifest: false,
    }))
}

impl Former {
    /// # Errors
    /// Why it can't be seen.
    pub(super) fn read(directory: &Directory) -> std::result::Result<Former, String> {
        let path = directory.path();
        let looked = look::at(&path).unwrap_or_else(|e| Looked::Failed(describe(&e.into())));
        let Some(mut current) = current(directory, looked)? else { return Ok(Former::default()) };
        let release = path.join("releases").join(&current.release);
        let top = beneath::top(&path)
            .and_then(|top| {
                beneath::directory_in(top, &Path::new("releases").join(&current.release))
            })
            .map_err(|e| format!("{}: {}", release.display(), describe(&e.into())))?;
        let items = match manifest(&path, &current.release) {
            Some(manifest) => {
                current.by_manifest = true;
                manifest.map_err(|error| error.message)?.0
            }
            None => walked(&release).map_err(|error| error.message)?,
        };
        let mut former =
            Former { current: Some(current), items, conf: Conf::default(), top: Some(top) };
        if let Some(Ok(text)) = former.text(OCTO_CONF) {
            former.conf = Conf::parse(&text);
        }
        let conf = &former.conf;
        former.items.retain(|path, _| !conf.shares(path));
        Ok(former)
    }

    /// The bytes of a file of it, if there is one; the error is why they can't be shown.
    pub(super) fn text(&self, path: &[u8]) -> Option<std::result::Result<Vec<u8>, String>> {
        match self.items.get(path)? {
            Item::File(_) => {}
            Item::Link { .. } => return Some(Err("the release has a link there".into())),
            Item::Directory { .. } | Item::Other => {
                return Some(Err("the release has no file there".into()));
            }
        }
        let name = Path::new(OsStr::from_bytes(path));
        let read = || {
            let top = self.top.as_ref()?;
            let mut file = plain(beneath::open(top, name).ok()?)?;
            read_bounded(&mut file, name, LARGEST_TEXT).ok()
        };
        Some(read().ok_or_else(|| {
            format!("that of the release can't be read, or has more than {LARGEST_TEXT} bytes")
        }))
    }
}

/// What lies there is its user's: a FIFO is no file.
fn plain(file: File) -> Option<File> {
    file.metadata().is_ok_and(|found| found.is_file()).then_some(file)
}

/// The manifest, if there is one.
fn manifest(directory: &Path, release: &str) -> Option<Result<Manifest>> {
    let name = Path::new("manifests").join(release);
    let top = beneath::top(directory).ok()?;
    let mut file = plain(beneath::open(top, &name).ok()?)?;
    Some(Manifest::read_from(&mut file, &directory.join(name), LARGEST_MANIFEST))
}

fn walked(release: &Path) -> Result<Items> {
    let mut items = Items::new();
    Walk::new(release, MOST_PATHS).each(|path, found| {
        let (item, is_looked_into) = match found {
            Found::Item(item) => (item, true),
            Found::Other | Found::Closed => (Item::Other, false),
            Found::Odd => return Ok(false),
        };
        items.insert(path, item);
        Ok(is_looked_into)
    })?;
    Ok(items)
}

/// Adds the directories that paths need, where nothing says that they are there.
pub(super) fn with_directories<'a>(
    items: &mut Items,
    paths: impl Iterator<Item = &'a [u8]>,
    mode: u32,
) {
    for path in paths {
        if !items.contains_key(path) {
            items.insert(path.to_vec(), Item::Directory { mode });
        }
    }
}

/// All directories above these paths.
pub(super) fn implied(items: &Items) -> Vec<Vec<u8>> {
    let mut last: &[u8] = b"";
    let mut implied = Vec::new();
    for path in items.keys() {
        let directory = above(path).next().unwrap_or_default();
        // Of thousands in one directory the first one is enough.
        if directory != last {
            implied.extend(above(path).filter(|at| !items.contains_key(*at)).map(<[u8]>::to_vec));
            last = directory;
        }
    }
    implied
}
