//! Which packages are at hand of which a new one may be made: those that were named, those
//! of the same application beside it, and those that are remembered as put.

use crate::target::package::digests::DigestCache;
use crate::target::package::source::Source;
use octo_core::base::digest::Digest;
use octo_core::base::error::{Error, Result};
use octo_core::base::identity::FileStamp;
use octo_core::base::package_name::parts;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Smaller packages are sent sooner than a base is looked for.
const SMALLEST: u64 = 64 * 1024;

/// So many are looked at; of these each tentacle is offered a few.
const MOST: usize = 32;

/// So many that nobody named and whose sha256 is not remembered are hashed.
const MOST_HASHED: usize = 2;

/// Nor is hashed what nobody named and is so many times as large.
const LARGER: u64 = 4;

/// What is compressed as a whole has nothing in common with what it was before.
const HOPELESS: [&str; 5] = [".gz", ".tgz", ".xz", ".zst", ".zip"];

/// A package that may be at a tentacle already. It is not kept open: of a put of many
/// packages, with many bases each, few are ever read again.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) digest: Digest,
    path: PathBuf,
    stamp: FileStamp,
}

impl Base {
    /// Its bytes, if they are still those that were hashed.
    pub(crate) fn open(&self) -> Option<Source> {
        let source = Source::open(self.path.to_str()?).ok()?;
        (FileStamp::of(&source.metadata) == self.stamp).then_some(source)
    }
}

/// Can these be read, whatever is sent?
///
/// # Errors
/// Where one can't.
pub(crate) fn check(named: &[PathBuf]) -> Result<()> {
    named.iter().try_for_each(|named| match named.is_dir() {
        true => std::fs::read_dir(named).map(drop).map_err(|e| Error::io(named, &e)),
        false => Source::open(&named.to_string_lossy()).map(drop),
    })
}

/// The bases at hand for a package, the best first.
///
/// # Errors
/// Where one that was named can't be read.
pub(crate) fn find(
    package: &Source,
    named: &[PathBuf],
    digests: &mut DigestCache,
) -> Result<Vec<Base>> {
    let mut search =
        Search { package, digests, bases: Vec::new(), seen: HashSet::new(), hashed: 0 };
    let is_hopeless = HOPELESS.iter().any(|ending| package.name.ends_with(ending));
    if package.size() < SMALLEST {
        return Ok(Vec::new());
    }
    for named in named {
        if named.is_dir() {
            search.beside(named);
        } else {
            let source = Source::open(&named.to_string_lossy())?;
            let digest = search.digests.digest_of(&source)?;
            search.add(&source, digest);
        }
    }
    if !is_hopeless {
        if let Some(directory) = package.path.parent() {
            search.beside(directory);
        }
        let of_it = |name: &str| is_of(&package.name, name);
        search.digests.paths(of_it).iter().for_each(|path| search.look_at(path));
    }
    Ok(search.bases)
}

struct Search<'a> {
    package: &'a Source,
    digests: &'a mut DigestCache,
    bases: Vec<Base>,
    seen: HashSet<Digest>,
    hashed: usize,
}

impl Search<'_> {
    /// Those of the same application in a directory, the newest first.
    fn beside(&mut self, directory: &Path) {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let mut found: Vec<(SystemTime, PathBuf)> = entries
            .filter(|entry| {
                let name = entry.file_name();
                name.to_str().is_some_and(|name| is_of(&self.package.name, name))
            })
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        found.sort();
        found.iter().rev().for_each(|(_, path)| self.look_at(path));
    }

    /// What can't be read is none, and neither is what would take long to hash.
    fn look_at(&mut self, path: &Path) {
        if self.bases.len() == MOST || path == self.package.path {
            return;
        }
        let Some(source) = path.to_str().and_then(|path| Source::open(path).ok()) else { return };
        if self.digests.digest(&FileStamp::of(&source.metadata)).is_none() {
            // Anybody may have put something endless where packages lie.
            if self.hashed == MOST_HASHED || source.size() / LARGER > self.package.size() {
                return;
            }
            self.hashed += 1;
        }
        if let Ok(digest) = self.digests.digest_of(&source) {
            self.add(&source, digest);
        }
    }

    fn add(&mut self, source: &Source, digest: Digest) {
        if self.bases.len() < MOST && source.size() > 0 && self.seen.insert(digest) {
            let (path, stamp) = (source.path.clone(), FileStamp::of(&source.metadata));
            self.bases.push(Base { digest, path, stamp });
        }
    }
}

/// Is this the name of a package of the same application?
fn is_of(package: &str, other: &str) -> bool {
    match (parts(package), parts(other)) {
        (Ok((application, _)), Ok((same, _))) => application == same && package != other,
        _ => false,
    }
}
