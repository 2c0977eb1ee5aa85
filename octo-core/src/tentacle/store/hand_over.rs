//! How an object comes from a listener of another user into octo-exec's store: as an
//! upload, of which the sender is a file.

use super::upload::Names;
use super::{Begin, Limits, Object, ReceiveError, Store, StoreError, Who, remove};
use crate::base::beneath;
use crate::base::digest::Digest;
use crate::base::error::{Error, Result};
use crate::base::names::PusherName;
use crate::base::paths::{Places, read_bounded};
use crate::base::publish;
use crate::base::refusal::Refusal;
use crate::tentacle::layout;
use crate::tentacle::objects::{MAXIMUM_NAMES, names_below};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often an object that another job takes over is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long the end of a job, or an operator, waits for another upload of the same package: that
/// may drip for hours.
const ANOTHER_UPLOAD: Duration = Duration::from_secs(10);

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

    /// The file, whose owner may still be writing to it.
    pub fn into_file(self) -> File {
        self.file
    }
}

impl Store {
    /// Takes an object over for this pusher. The listener drops its copy as soon as it sees the
    /// names.
    ///
    /// # Errors
    /// Mismatch where its bytes are not those of its name; limit, full or io.
    pub fn take_over(
        &self,
        handed: Handed,
        pusher: &PusherName,
        limits: Limits<'_>,
    ) -> std::result::Result<(), StoreError> {
        let Handed { digest, file, size } = handed;
        let handed = (&digest, size);
        self.receive_file(handed, file, pusher, limits, Names::Last, None).map_err(|error| {
            match error.refusal {
                Refusal::Mismatch => {
                    let reason = format!(
                        "package {digest}: what the listener has by this name is another: {}: put \
                         it again",
                        error.reason
                    );
                    StoreError::new(Refusal::Mismatch, reason)
                }
                _ => error,
            }
        })
    }

    /// Copies a file into the store as this pusher's own. Whoever may write to it can't have
    /// other bytes believed: what is hashed is the copy.
    ///
    /// # Errors
    /// Mismatch where its bytes are not those of the sha256; limit, full or io.
    pub fn copy_in(
        &self,
        digest: &Digest,
        file: File,
        pusher: &PusherName,
        limits: Limits<'_>,
    ) -> std::result::Result<(), StoreError> {
        let size = file.metadata().map_err(|e| StoreError::io("read", &e))?.len();
        let patience = Some(ANOTHER_UPLOAD);
        self.receive_file((digest, size), file, pusher, limits, Names::First, patience)
    }

    /// As an upload of what its file states. One that another takes in for the same pusher
    /// right now is waited for, so long at most.
    fn receive_file(
        &self,
        (digest, size): (&Digest, u64),
        mut file: File,
        pusher: &PusherName,
        limits: Limits<'_>,
        names: Names,
        patience: Option<Duration>,
    ) -> std::result::Result<(), StoreError> {
        let began = Instant::now();
        let upload = loop {
            match self.begin(digest, size, pusher, limits, &mut None)? {
                Begin::Whole => return Ok(()),
                Begin::Upload(upload) => break upload,
                Begin::Busy if patience.is_some_and(|patience| began.elapsed() >= patience) => {
                    let reason = format!("package {digest}: another upload of it is under way");
                    return Err(StoreError::new(Refusal::Busy, reason));
                }
                Begin::Busy => std::thread::sleep(LOOK_AGAIN),
            }
        };
        let failed = |e: io::Error| StoreError::io("take it over", &e);
        file.seek(SeekFrom::Start(upload.offset())).map_err(failed)?;
        let received = upload.receive(&mut |buffer| file.read(buffer));
        let upload = received.map_err(|error| match error {
            ReceiveError::Sender(error) => failed(error),
            ReceiveError::Store(error) => error,
        })?;
        upload.finish_with(names)
    }

    /// Removes the objects of this store that octo-exec's has, whole, for all who put them
    /// here; for the listener. Their names stay as long as octo-exec has the object: they say
    /// what counts for whom, and a listener can't list octo-exec's.
    ///
    /// # Errors
    /// Where this store can't be read.
    pub fn drop_taken(&self, taken: &Store) -> Result<()> {
        // At the end of each job: what was dropped before, thousands maybe, is not looked at.
        match self.objects()?.iter().any(|object| taken.has_all_of(object)) {
            true => self.drop_all_taken(taken),
            false => Ok(()),
        }
    }

    /// The same, and removes the names of objects that octo-exec has no more, which count for
    /// nothing.
    ///
    /// # Errors
    /// As [`Store::drop_taken`].
    pub fn drop_all_taken(&self, taken: &Store) -> Result<()> {
        let is_stale = |digest: &Digest| matches!(taken.size(digest), Ok(None));
        let changing = self.change()?;
        for object in self.objects()?.iter().filter(|object| taken.has_all_of(object)) {
            remove(&self.path(&object.digest))?;
        }
        for digest in self.left_names()?.iter().filter(|digest| is_stale(digest)) {
            self.remove(digest, &changing)?;
        }
        publish::sync_directory(&self.directory)
    }

    /// Does this store have it whole, for all who put it in another?
    fn has_all_of(&self, object: &Object) -> bool {
        let holders = self.holders(&object.digest).unwrap_or_default();
        let is_whole = matches!(self.size(&object.digest), Ok(Some(size)) if size == object.size);
        is_whole && !holders.is_empty() && object.holders.iter().all(|name| holders.contains(name))
    }

    /// What of this pusher's octo-exec has taken over, for the listener of another user.
    pub(super) fn taken_of(&self, pusher: &PusherName) -> Result<Vec<(Digest, u64)>> {
        if !self.is_of_listener() {
            return Ok(Vec::new());
        }
        let taken = Store::at(&self.places);
        let sizes = self.left_names()?.into_iter().filter_map(|digest| {
            let size = taken.holds(&digest, Who::Pusher(pusher)).ok()??;
            Some((digest, size))
        });
        Ok(sizes.collect())
    }

    /// The names of objects that are gone from here.
    pub(super) fn left_names(&self) -> Result<Vec<Digest>> {
        let mut left = Vec::new();
        for name in names_below(&self.directory)? {
            let digest = name.strip_suffix(".by").and_then(Digest::parse);
            if let Some(digest) = digest
                && self.size(&digest)?.is_none()
            {
                left.push(digest);
            }
        }
        Ok(left)
    }

    /// Is it that of a listener of another user?
    pub(super) fn is_of_listener(&self) -> bool {
        self.directory != self.places.packages()
    }
}

/// The length of a plain file of the listener's own, of which there is one name: another's
/// must not be read in its stead.
fn own_size(places: &Places, file: &File) -> io::Result<Option<u64>> {
    let metadata = file.metadata()?;
    let own = metadata.uid() == layout::listener(places).uid && metadata.nlink() == 1;
    Ok((metadata.is_file() && own).then_some(metadata.len()))
}
