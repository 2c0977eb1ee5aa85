//! `octo-exec verify` and `octo-exec manifest`: a release on the disk beside its manifest.

use super::former::Earlier;
use super::manifest::{Item, Manifest};
use super::options::{entries, path};
use super::tree::Written;
use super::walk::{Found, Walk};
use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::encoding::encode;
use octo_core::base::error::{Error, Result};
use octo_core::base::paths::Places;
use rustix::fs::syncfs;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

/// `octo-exec verify MANIFEST DIRECTORY`: exit status 1 where they differ.
pub(crate) fn verify(said: &Said, _: &Places) -> Result<u8> {
    let [manifest, directory] = said.counted(2..=2)? else { return Ok(0) };
    let expected = Manifest::read(Path::new(manifest))?.0;
    let mut missing: BTreeSet<&Vec<u8>> = expected.keys().collect();
    let mut differences = BTreeMap::new();
    let walk = Walk::new(Path::new(directory), entries(said)?).beside(&expected);
    walk.each(|path, found| {
        missing.remove(&path);
        let Some(wanted) = expected.get(&path) else {
            // What is in a directory that was added is added with it.
            differences.insert(path, "added");
            return Ok(false);
        };
        let same_kind = matches!(
            (wanted, &found),
            (Item::Directory { .. }, Found::Item(Item::Directory { .. }))
        );
        if let (Item::Directory { .. }, Found::Closed) = (wanted, &found) {
            // What is in it is not gone because nobody can look.
            let below = [path.as_slice(), b"/"].concat();
            missing.retain(|other| !other.starts_with(&below));
        }
        if *wanted != Item::Other && !matches!(found, Found::Item(found) if is_same(wanted, &found))
        {
            differences.insert(path, "changed");
        }
        Ok(same_kind)
    })?;
    differences.extend(missing.into_iter().map(|path| (path.clone(), "removed")));
    if !said.flag("quiet") {
        let line = |(path, word): (&Vec<u8>, &&str)| format!("{word} {}\n", encode(path));
        print(&differences.iter().map(line).collect::<String>())?;
    }
    Ok(u8::from(!differences.is_empty()))
}

/// Times don't count: who only touches a file has changed nothing of it.
fn is_same(wanted: &Item, found: &Item) -> bool {
    match (wanted, found) {
        (Item::File(wanted), Item::File(found)) => {
            *wanted == Written { time: wanted.time, ..*found }
        }
        _ => wanted == found,
    }
}

/// `octo-exec manifest DIRECTORY FILE`: writes one of a release as it is, and has both on the
/// disk when it ends.
pub(crate) fn manifest(said: &Said, _: &Places) -> Result<u8> {
    let [directory, file] = said.counted(2..=2)? else { return Ok(0) };
    let directory = Path::new(directory);
    let earlier = path(said, "since")?.map(|path| Earlier::read(&path)).transpose()?;
    let mut manifest = Manifest::default();
    Walk::new(directory, entries(said)?).since(earlier).each(|path, found| match found {
        Found::Item(item) => {
            manifest.0.insert(path, item);
            Ok(true)
        }
        Found::Other | Found::Closed => {
            manifest.0.insert(path, Item::Other);
            Ok(false)
        }
        // It is gone again, or a file system of its own.
        Found::Odd => Ok(false),
    })?;
    manifest.write(Path::new(file))?;
    let synced = File::open(directory).and_then(|opened| Ok(syncfs(opened)?));
    synced.map_err(|e| Error::doing("write", directory, &e))?;
    Ok(0)
}
