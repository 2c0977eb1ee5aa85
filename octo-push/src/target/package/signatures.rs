//! STATE/signatures: the signature of each package that had one when it was named by its file,
//! for a run that names it by its sha256 alone.
//!
//! A file a package, named by its sha256. It is only a hint, and nothing waits for the disk:
//! what is lost, torn or forged is refused where signatures are asked for.

use octo_core::base::digest::Digest;
use octo_core::base::paths::{create_directory, read_bounded};
use octo_core::trust::signed::{MAXIMUM, Signature};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// So many are remembered.
const KEPT: usize = 256;

/// That of this package, if it is remembered.
pub(super) fn kept(state: &Path, digest: &Digest) -> Option<Signature> {
    let path = directory(state).join(digest.to_string());
    let bytes = read_bounded(&mut File::open(&path).ok()?, &path, MAXIMUM).ok()?;
    Signature::parse(std::str::from_utf8(&bytes).ok()?).ok()
}

/// Remembers it from now on, and forgets the oldest where there are too many.
pub(super) fn keep(state: &Path, digest: &Digest, signature: &Signature) {
    let directory = directory(state);
    if kept(state, digest).as_ref() == Some(signature) {
        return;
    }
    if create_directory(&directory, 0o700).is_ok()
        && let Ok(mut file) = tempfile::NamedTempFile::new_in(&directory)
        && file.write_all(signature.text().as_bytes()).is_ok()
        && file.persist(directory.join(digest.to_string())).is_ok()
    {
        forget_oldest(&directory);
    }
}

fn forget_oldest(directory: &Path) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut all: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    all.sort();
    for (_, path) in &all[..all.len().saturating_sub(KEPT)] {
        let _ = std::fs::remove_file(path);
    }
}

fn directory(state: &Path) -> PathBuf {
    state.join("signatures")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        let state = tempfile::tempdir().expect("tempdir");
        let state = state.path();
        let text = |comment: usize| {
            format!(
                "untrusted comment: x\nRUQ{}=\ntrusted comment: {comment}\n{}==\n",
                "A".repeat(96),
                "A".repeat(86)
            )
        };
        let one = Signature::parse(&text(1)).expect("a signature");
        let first = Digest::of(b"first");
        assert_eq!(kept(state, &first), None);
        keep(state, &first, &one);
        assert_eq!(kept(state, &first), Some(one.clone()));
        let path = directory(state).join(first.to_string());
        let old = SystemTime::UNIX_EPOCH;
        File::options().append(true).open(&path).and_then(|f| f.set_modified(old)).expect("aged");
        for number in 0..KEPT {
            keep(state, &Digest::of(&number.to_le_bytes()), &one);
        }
        assert_eq!(kept(state, &first), None);
        assert_eq!(std::fs::read_dir(directory(state)).expect("a directory").count(), KEPT);
        std::fs::write(&path, text(2).replace("trusted", "twisted")).expect("write");
        assert_eq!(kept(state, &first), None);
    }
}
