//! STATE/digests: what the sha256 of a file was, so that a package which hasn't
//! changed is not read twice.
//!
//! As git's index does: an entry counts while device, inode, size, mtime and
//! ctime are the same, and only if the file was at rest when it was opened to be
//! hashed: otherwise a change within the clock's grain would go unseen. A wrong
//! digest does no harm: the tentacle verifies what it gets.

use octo_core::base::digest::Digest;
use octo_core::base::identity::FileStamp;
use octo_core::base::paths::{Places, create_directory};
use octo_core::base::publish;
use octo_core::base::record::Record;
use std::fs::Metadata;
use std::path::PathBuf;
use std::time::SystemTime;

/// So many files are remembered.
const KEPT: usize = 256;
/// Hashing smaller files takes less time than remembering them.
const SMALLEST: u64 = 4 << 20;

/// The remembered digests.
#[derive(Debug)]
pub(crate) struct DigestCache {
    path: PathBuf,
    /// Oldest first: stamp, digest, name.
    entries: Vec<(String, Digest, String)>,
}

impl DigestCache {
    /// Reads what is remembered; damage is nothing remembered.
    pub(crate) fn load(places: &Places) -> DigestCache {
        let path = places.state.join("digests");
        let bytes = std::fs::read(&path).unwrap_or_default();
        let record = Record::parse(&bytes).unwrap_or_default();
        let entry = |values: &[Vec<u8>]| {
            let text = |index: usize| String::from_utf8(values.get(index)?.clone()).ok();
            Some((text(0)?, Digest::parse(&text(1)?)?, text(2)?))
        };
        let entries = record.all("file").filter_map(entry).collect();
        DigestCache { path, entries }
    }

    /// The digest of a file in this state, if it is remembered.
    pub(crate) fn digest(&self, stamp: &FileStamp) -> Option<Digest> {
        let stamp = stamp.to_string();
        self.entries.iter().find(|e| e.0 == stamp).map(|e| e.1)
    }

    /// The name of the file that had this digest.
    pub(crate) fn name(&self, digest: &Digest) -> Option<&str> {
        self.entries.iter().rev().find(|e| e.1 == *digest).map(|e| e.2.as_str())
    }

    /// Remembers a file that was opened then. What can't be written is hashed again.
    pub(crate) fn keep(
        &mut self,
        metadata: &Metadata,
        opened: SystemTime,
        digest: Digest,
        name: &str,
    ) {
        let stamp = FileStamp::of(metadata);
        if metadata.len() < SMALLEST || !stamp.is_at_rest(opened) {
            return;
        }
        let stamp = stamp.to_string();
        self.entries.retain(|e| e.0 != stamp);
        self.entries.push((stamp, digest, name.to_string()));
        let excess = self.entries.len().saturating_sub(KEPT);
        self.entries.drain(..excess);
        self.write();
    }

    /// Forgets a digest that proved wrong.
    pub(crate) fn forget(&mut self, digest: &Digest) {
        self.entries.retain(|e| e.1 != *digest);
        self.write();
    }

    fn write(&self) {
        let mut record = Record::new();
        for (stamp, digest, name) in &self.entries {
            record
                .push("file", &[stamp.as_bytes(), digest.to_string().as_bytes(), name.as_bytes()]);
        }
        if let Some(directory) = self.path.parent()
            && create_directory(directory, 0o755).is_ok()
        {
            let _ = publish::replace(&self.path, record.encode().as_bytes(), 0o600);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::time::Duration;

    #[test]
    fn only_files_at_rest_are_remembered() {
        let directory = tempfile::tempdir().expect("tempdir");
        let places = Places { config: "/c".into(), state: directory.path().join("s") };
        let path = directory.path().join("big");
        let file = File::create(&path).expect("create");
        file.set_len(SMALLEST).expect("size");
        let digest = Digest::of(b"x");
        let mut digests = DigestCache::load(&places);
        digests.keep(&fs::metadata(&path).expect("stat"), SystemTime::now(), digest, "big");
        // ctime can't be set back: fresh files are never at rest.
        assert!(digests.entries.is_empty());
        let metadata = fs::metadata(&path).expect("stat");
        let later = SystemTime::now() + Duration::from_millis(3100);
        digests.keep(&metadata, later, digest, "big");
        let mut digests = DigestCache::load(&places);
        assert_eq!(digests.digest(&FileStamp::of(&metadata)), Some(digest));
        assert_eq!(digests.name(&digest), Some("big"));
        fs::write(&path, vec![1; SMALLEST as usize]).expect("write");
        let changed = fs::metadata(&path).expect("stat");
        assert_eq!(digests.digest(&FileStamp::of(&changed)), None);
        digests.forget(&digest);
        assert_eq!(DigestCache::load(&places).digest(&FileStamp::of(&metadata)), None);
    }
}
