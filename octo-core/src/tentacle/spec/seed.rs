//! STATE/seed: the secret from which the bytes are made that hide the digest of a
//! job's secrets.
//!
//! Repeating a job must give the same spec, so those bytes can't be random; and
//! nobody else may guess them, or a short secret could be found by its digest.

use crate::base::digest::Hasher;
use crate::base::error::{Error, Exit, Result, describe};
use crate::base::names::{JobId, random_bytes};
use crate::base::paths::{Places, create_directory};
use crate::base::publish;
use std::fs::File;
use std::io::Read;

/// 32 random bytes of this installation's own, made once.
pub(super) struct Seed([u8; 32]);

impl Seed {
    /// Reads it; makes it where it isn't there.
    ///
    /// # Errors
    /// Exit 73 or 74.
    pub(super) fn load(places: &Places) -> Result<Seed> {
        let path = places.state.join("seed");
        create_directory(&places.state, 0o755)?;
        if !path.exists() {
            let mut fresh = [0; 32];
            random_bytes(&mut fresh)
                .map_err(|error| Error::new(Exit::Io, "random bytes", describe(&error)))?;
            publish::create(&path, &fresh, 0o600)?;
        }
        let mut seed = [0; 32];
        File::open(&path)
            .and_then(|mut file| file.read_exact(&mut seed))
            .map_err(|error| Error::io(&path, &error))?;
        Ok(Seed(seed))
    }

    /// The bytes for this job at this target.
    pub(super) fn nonce(&self, job: &JobId, target: &str) -> [u8; 32] {
        let mut hasher = Hasher::new();
        hasher.update(b"octo secrets\0");
        hasher.update(&self.0);
        hasher.update(job.as_str().as_bytes());
        hasher.update(b"\0");
        hasher.update(target.as_bytes());
        *hasher.finish().as_bytes()
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Seed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_many_nonces() {
        let top = tempfile::tempdir().expect("tempdir");
        let places = Places { config: "/c".into(), state: top.path().join("s") };
        let seed = Seed::load(&places).expect("made");
        let again = Seed::load(&places).expect("read");
        let job = JobId::parse("20260101T000000-abcdefghijklm").expect("an id");
        let other = JobId::parse("20260101T000000-abcdefghijkln").expect("an id");
        assert_eq!(seed.nonce(&job, "web1"), again.nonce(&job, "web1"));
        assert_ne!(seed.nonce(&job, "web1"), seed.nonce(&job, "web2"));
        assert_ne!(seed.nonce(&job, "web1"), seed.nonce(&other, "web1"));
    }
}
