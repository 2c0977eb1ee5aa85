//! STATE/put: what was put at which tentacle, by its thumbprint, whatever its address is: of
//! many bases at hand those are offered first.
//!
//! A file a tentacle, named by its thumbprint; a sha256 a line, the newest first. It is
//! only a hint: what is lost or torn is none, and nothing waits for the disk.

use octo_core::base::digest::Digest;
use octo_core::base::paths::{Places, create_directory};
use octo_core::base::thumbprint::Thumbprint;
use octo_core::patch::MOST_BASES;
use std::io::Write;
use std::path::PathBuf;

/// A file is read up to this.
const LARGEST: usize = MOST_BASES * 65;

/// What was put at this tentacle, the newest first.
pub(super) fn held(places: &Places, tentacle: Thumbprint) -> Vec<Digest> {
    let bytes = std::fs::read(path(places, tentacle)).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LARGEST)]).into_owned();
    text.lines().filter_map(Digest::parse).collect()
}

/// Remembers that this is there now.
pub(super) fn hold(places: &Places, tentacle: Thumbprint, digest: Digest) {
    let mut all = held(places, tentacle);
    if all.first() == Some(&digest) {
        return;
    }
    all.retain(|other| *other != digest);
    all.insert(0, digest);
    all.truncate(MOST_BASES);
    let text: String = all.iter().map(|digest| format!("{digest}\n")).collect();
    let path = path(places, tentacle);
    let Some(directory) = path.parent() else { return };
    if create_directory(directory, 0o700).is_ok()
        && let Ok(mut file) = tempfile::NamedTempFile::new_in(directory)
        && file.write_all(text.as_bytes()).is_ok()
    {
        let _ = file.persist(&path);
    }
}

fn path(places: &Places, tentacle: Thumbprint) -> PathBuf {
    places.state.join("put").join(tentacle.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_come_first_and_no_more_than_are_offered() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: top.path().join("c"), state: top.path().join("s") };
        let (one, other) = (Thumbprint::of_certificate(b"1"), Thumbprint::of_certificate(b"2"));
        let digests: Vec<_> = (0..MOST_BASES + 2).map(|n| Digest::of(&[n as u8])).collect();
        digests.iter().for_each(|digest| hold(&places, one, *digest));
        hold(&places, one, digests[5]);
        let held_there = held(&places, one);
        assert_eq!(held_there.len(), MOST_BASES);
        assert_eq!(held_there[..3], [digests[5], digests[9], digests[8]]);
        assert_eq!(held(&places, other), []);
        std::fs::write(path(&places, one), b"torn").expect("write");
        assert_eq!(held(&places, one), []);
    }
}
