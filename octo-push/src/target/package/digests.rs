//! STATE/digests: what the sha256 of a file was, so that a package which hasn't
//! changed is not read twice.
//!
//! As git's index does: an entry counts while device, inode, size, mtime and
//! ctime are the same, and only if the file was at rest when it was opened to be
//! hashed: otherwise a change within the clock's grain would go unseen. A wrong
//! digest does no harm: the tentacle verifies what it gets.

use crate::target::package::signatures;
use crate::target::package::source::Source;
use crate::target::stop::Stop;
use octo_core::base::appended;
use octo_core::base::digest::Digest;
use octo_core::base::error::Result;
use octo_core::base::identity::FileStamp;
use octo_core::base::paths::{Places, create_directory};
use octo_core::base::publish;
use octo_core::base::record::Record;
use octo_core::trust::signed::Signature;
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// So many files are remembered.
const KEPT: usize = 256;
/// Hashing smaller files takes less time than remembering them.
const SMALLEST: u64 = 1 << 20;

/// The remembered digests.
#[derive(Debug)]
pub(crate) struct DigestCache {
    path: PathBuf,
    /// Oldest first.
    entries: Vec<Known>,
}

/// A file whose sha256 is remembered.
#[derive(Debug, Clone)]
struct Known {
    stamp: String,
    digest: Digest,
    name: String,
    /// Where it was; empty where that is no text.
    path: String,
}

impl DigestCache {
    /// Reads what is remembered; damage is nothing remembered.
    pub(crate) fn load(places: &Places) -> DigestCache {
        let path = places.state.join("digests");
        DigestCache { entries: read(&path), path }
    }

    /// The digest of a file in this state, if it is remembered.
    pub(crate) fn digest(&self, stamp: &FileStamp) -> Option<Digest> {
        let stamp = stamp.to_string();
        self.entries.iter().find(|e| e.stamp == stamp).map(|e| e.digest)
    }

    /// The name of the file that had this digest.
    pub(crate) fn name(&self, digest: &Digest) -> Option<&str> {
        self.entries.iter().rev().find(|e| e.digest == *digest).map(|e| e.name.as_str())
    }

    /// The signature of the file that had this digest.
    pub(crate) fn signature(&self, digest: &Digest) -> Option<Signature> {
        signatures::kept(publish::parent(&self.path), digest)
    }

    /// Remembers it.
    pub(crate) fn keep_signature(&self, digest: &Digest, signature: &Signature) {
        signatures::keep(publish::parent(&self.path), digest, signature);
    }

    /// Where the files are that had one of these names, the newest first.
    pub(crate) fn paths(&self, is_meant: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let meant = self.entries.iter().rev().filter(|e| !e.path.is_empty() && is_meant(&e.name));
        meant.map(|e| PathBuf::from(&e.path)).collect()
    }

    /// The digest of a file, remembered from now on.
    ///
    /// # Errors
    /// Where it can't be read.
    pub(crate) fn digest_of(&mut self, source: &Source) -> Result<Digest> {
        if let Some(known) = self.digest(&FileStamp::of(&source.metadata)) {
            return Ok(known);
        }
        let digest = source.hash(&Stop::default())?;
        self.keep(source, digest);
        Ok(digest)
    }

    /// Remembers a file. What can't be written is hashed again.
    pub(crate) fn keep(&mut self, source: &Source, digest: Digest) {
        let (metadata, path) = (&source.metadata, source.path.to_str().unwrap_or_default());
        self.keep_file(metadata, source.opened, digest, [&source.name, path]);
    }

    fn keep_file(
        &mut self,
        metadata: &Metadata,
        opened: SystemTime,
        digest: Digest,
        [name, path]: [&str; 2],
    ) {
        let stamp = FileStamp::of(metadata);
        if metadata.len() < SMALLEST || !stamp.is_at_rest_by_its_clock(opened) {
            return;
        }
        let (stamp, name, path) = (stamp.to_string(), name.to_string(), path.to_string());
        self.change(|entries| {
            entries.retain(|e| e.stamp != stamp);
            entries.push(Known {
                stamp: stamp.clone(),
                digest,
                name: name.clone(),
                path: path.clone(),
            });
            let excess = entries.len().saturating_sub(KEPT);
            entries.drain(..excess);
        });
    }

    /// Forgets a digest that proved wrong.
    pub(crate) fn forget(&mut self, digest: &Digest) {
        self.change(|entries| entries.retain(|e| e.digest != *digest));
    }

    /// Changes what is remembered here, and in the file, where others that ran meanwhile may
    /// have added something.
    fn change(&mut self, change: impl Fn(&mut Vec<Known>)) {
        change(&mut self.entries);
        let state = publish::parent(&self.path);
        if create_directory(state, 0o755).is_err() {
            return;
        }
        // Until it is closed. Where it can't be locked, what another one adds in this moment is
        // hashed again.
        let locked = File::open(state).ok();
        let _ = locked.as_ref().map(|directory| appended::lock(directory, state, true));
        let mut entries = read(&self.path);
        change(&mut entries);
        let mut record = Record::new();
        for Known { stamp, digest, name, path } in &entries {
            let digest = digest.to_string();
            record.push("file", &[stamp, &digest, name, path].map(|text| text.as_bytes()));
        }
        let _ = publish::replace(&self.path, record.encode().as_bytes(), 0o600);
        drop(locked);
    }
}

/// What is remembered in this file; damage is nothing remembered.
fn read(path: &Path) -> Vec<Known> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let record = Record::parse(&bytes).unwrap_or_default();
    let entry = |values: &[Vec<u8>]| {
        let text = |index: usize| String::from_utf8(values.get(index)?.clone()).ok();
        let digest = Digest::parse(&text(1)?)?;
        Some(Known { stamp: text(0)?, digest, name: text(2)?, path: text(3)? })
    };
    record.all("file").filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::time::Duration;

    const BIG: [&str; 2] = ["big", "/d/big"];

    #[test]
    fn only_files_at_rest_are_remembered() {
        let directory = tempfile::tempdir().expect("tempdir");
        let places = Places { config: "/c".into(), state: directory.path().join("s") };
        let path = directory.path().join("big");
        let file = File::create(&path).expect("create");
        file.set_len(SMALLEST).expect("size");
        let digest = Digest::of(b"x");
        let mut digests = DigestCache::load(&places);
        let fresh = fs::metadata(&path).expect("stat");
        // ctime can't be set back: fresh files are never at rest.
        digests.keep_file(&fresh, fresh.modified().expect("mtime"), digest, BIG);
        assert!(digests.entries.is_empty());
        let metadata = fs::metadata(&path).expect("stat");
        let later = SystemTime::now() + Duration::from_millis(3100);
        digests.keep_file(&metadata, later, digest, BIG);
        let mut digests = DigestCache::load(&places);
        assert_eq!(digests.digest(&FileStamp::of(&metadata)), Some(digest));
        assert_eq!(digests.name(&digest), Some("big"));
        assert_eq!(digests.paths(|name| name == "big"), [PathBuf::from("/d/big")]);
        assert!(digests.paths(|name| name == "other").is_empty());
        fs::write(&path, vec![1; SMALLEST as usize]).expect("write");
        let changed = fs::metadata(&path).expect("stat");
        assert_eq!(digests.digest(&FileStamp::of(&changed)), None);
        digests.forget(&digest);
        assert_eq!(DigestCache::load(&places).digest(&FileStamp::of(&metadata)), None);
    }

    #[test]
    fn what_others_remembered_meanwhile_stays() {
        let directory = tempfile::tempdir().expect("tempdir");
        let places = Places { config: "/c".into(), state: directory.path().join("s") };
        let later = SystemTime::now() + Duration::from_mins(1);
        let known = |name: &str| {
            let path = directory.path().join(name);
            File::create(&path).and_then(|file| file.set_len(SMALLEST)).expect("create");
            (fs::metadata(&path).expect("stat"), Digest::of(name.as_bytes()))
        };
        let ((one, of_one), (two, of_two)) = (known("one"), known("two"));
        // Both have read it before either has written it.
        let mut caches = [DigestCache::load(&places), DigestCache::load(&places)];
        caches[0].keep_file(&one, later, of_one, BIG);
        caches[1].keep_file(&two, later, of_two, BIG);
        let digests = DigestCache::load(&places);
        assert_eq!(digests.digest(&FileStamp::of(&one)), Some(of_one));
        assert_eq!(digests.digest(&FileStamp::of(&two)), Some(of_two));
        caches[0].forget(&of_one);
        let digests = DigestCache::load(&places);
        assert_eq!(digests.digest(&FileStamp::of(&one)), None);
        assert_eq!(digests.digest(&FileStamp::of(&two)), Some(of_two));
    }
}
