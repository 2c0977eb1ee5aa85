//! How an object comes from a listener of another user into octo-exec's store: copied
//! to the length that its file states, hashed in the same pass, once an object.

use super::upload::check_room;
use super::{Limits, MAXIMUM_NAMES, Store, StoreError, Who, remove};
use crate::base::beneath;
use crate::base::digest::{Digest, Hasher};
use crate::base::error::{Error, Result};
use crate::base::names::PusherName;
use crate::base::paths::{Places, read_bounded};
use crate::base::publish::{TEMPORARY_PREFIX, sync_directory};
use crate::base::refusal::Refusal;
use crate::base::units::human_size;
use crate::tentacle::layout;
use rustix::io::Errno;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// An object as a listener left it, opened and not yet believed.
#[derive(Debug)]
pub struct Handed {
    digest: Digest,
    file: File,
    size: u64,
}

impl Handed {
    /// The object of this name that a listener has received from this pusher, or from
    /// anybody.
    ///
    /// # Errors
    /// Where it is there and is no file of the listener's own.
    pub fn open(places: &Places, digest: &Digest, who: Who<'_>) -> Result<Option<Handed>> {
        if !layout::is_separated(places) {
            return Ok(None);
        }
        let path = places.listen();
        let state = beneath::top(&places.state);
        let listen = state.and_then(|state| beneath::directory_in(state, Path::new("listen")));
        let listen = match listen {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(|e| Error::io(&path, &e.into()))?,
        };
        let open = |name: String| match beneath::open(&listen, &Path::new("packages").join(&name)) {
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::io(&path.join("packages").join(name), &error.into())),
            Ok(file) => Ok(Some(file)),
        };
        if let Who::Pusher(pusher) = who {
            // Who has put it is the listener's word; which bytes it is, its name says.
            let Some(mut names) = open(format!("{digest}.by"))? else { return Ok(None) };
            if own_size(places, &names).map_err(|e| Error::io(&path, &e))?.is_none() {
                return Ok(None);
            }
            let names = read_bounded(&mut names, &path, MAXIMUM_NAMES)?;
            let is_holder = |line: &[u8]| line == pusher.as_str().as_bytes();
            if !names.split(|b| *b == b'\n').any(is_holder) {
                return Ok(None);
            }
        }
        let Some(file) = open(digest.to_string())? else { return Ok(None) };
        let size = own_size(places, &file).map_err(|e| Error::io(&path, &e))?;
        Ok(size.map(|size| Handed { digest: *digest, file, size }))
    }
}

impl Store {
    /// Takes an object over for this pusher.
    ///
    /// # Errors
    /// Mismatch where its bytes are not those of its name; limit, full or io.
    pub fn take_over(
        &self,
        mut handed: Handed,
        pusher: &PusherName,
        limits: Limits,
    ) -> std::result::Result<(), StoreError> {
        let changing = self.change()?;
        self.check_share(handed.size, pusher, limits, &|other| *other == handed.digest)?;
        drop(changing);
        check_room(&self.directory, handed.size)?;
        let failed = |e: io::Error| StoreError::io("take it over", &e);
        let mut staged = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempfile_in(&self.directory)
            .map_err(failed)?;
        let found = copy(&mut handed.file, staged.as_file_mut(), handed.size).map_err(failed)?;
        if found != handed.digest {
            let reason = format!(
                "package {}: what the listener has by this name has the sha256 {found}: put it again",
                handed.digest
            );
            return Err(StoreError::new(Refusal::Mismatch, reason));
        }
        let file = staged.as_file();
        file.set_permissions(Permissions::from_mode(0o444)).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let changing = self.change()?;
        // The names come last, when the object is durable: the listener drops its copy as
        // soon as it sees them. Those that a killed removal left permit nothing.
        if self.size(&handed.digest)?.is_none() {
            remove(&self.names(&handed.digest))?;
        }
        staged.persist(self.path(&handed.digest)).map_err(|e| failed(e.error))?;
        sync_directory(&self.directory)?;
        Ok(self.admit(&handed.digest, pusher, &changing)?)
    }

    /// Removes the objects of this store that octo-exec's has, whole, for all who put them
    /// here; for the listener.
    ///
    /// # Errors
    /// Where this store can't be read.
    pub fn drop_taken(&self, taken: &Store) -> Result<()> {
        let has = |object: &super::Object| {
            let holders = taken.holders(&object.digest).unwrap_or_default();
            let is_whole =
                matches!(taken.size(&object.digest), Ok(Some(size)) if size == object.size);
            is_whole
                && !holders.is_empty()
                && object.holders.iter().all(|name| holders.contains(name))
        };
        if !self.objects()?.iter().any(has) {
            return Ok(());
        }
        let changing = self.change()?;
        for object in self.objects()?.iter().filter(|object| has(object)) {
            self.remove(&object.digest, &changing)?;
        }
        Ok(())
    }
}

/// The length of a plain file of the listener's own, of which there is one name: another's
/// must not be read in its stead.
fn own_size(places: &Places, file: &File) -> io::Result<Option<u64>> {
    let metadata = file.metadata()?;
    let own = metadata.uid() == layout::listener(places).uid && metadata.nlink() == 1;
    Ok((metadata.is_file() && own).then_some(metadata.len()))
}

/// As many bytes as were stated, and not one more.
fn copy(from: &mut File, to: &mut File, size: u64) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut left = size;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = from.read(&mut buffer[..wanted])?;
        if count == 0 {
            let reason = format!("became shorter than {}", human_size(size));
            return Err(io::Error::other(reason));
        }
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        left -= count as u64;
    }
    Ok(hasher.finish())
}
