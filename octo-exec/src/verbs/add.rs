//! `octo-exec add`: a file of this machine into the package store.

use octo_core::base::cli::options::Said;
use octo_core::base::cli::print;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::paths::{Places, create_directory};
use octo_core::tentacle::store::{Begin, Limits, ReceiveError, Store, StoreError};
use octo_core::{Digest, PusherName};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// `add FILE`
pub(super) fn add(said: &Said, places: &Places) -> Result<u8> {
    let path = Path::new(&said.counted(1..=1)?[0]);
    print(&format!("{}\n", add_file(places, path)?))?;
    Ok(0)
}

/// Puts a file of this machine into the store, for the local operator: verified
/// and durable as any upload is.
pub(super) fn add_file(places: &Places, path: &Path) -> Result<Digest> {
    let io = |e: std::io::Error| Error::io(path, &e);
    let mut file = File::open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(Error::new(Exit::Data, path.display(), "is not a regular file"));
    }
    let (digest, size) = Digest::of_reader(&mut file).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    create_directory(&places.state, 0o711)?;
    let store = Store::open(places)?;
    let refused = |e: StoreError| Error::new(e.refusal.exit(), path.display(), e.reason);
    let operator = PusherName::local_operator();
    let limits = Limits { max_store: u64::MAX, any: true, coming: None };
    match store.begin(&digest, size, &operator, limits, &mut None).map_err(refused)? {
        Begin::Whole => {}
        Begin::Busy => {
            return Err(Error::new(Exit::Temporary, path.display(), "is being added by another"));
        }
        Begin::Upload(upload) => {
            file.seek(SeekFrom::Start(upload.offset())).map_err(io)?;
            let received = upload.receive(&mut |buffer| file.read(buffer));
            let upload = received.map_err(|e| match e {
                ReceiveError::Sender(error) => io(error),
                ReceiveError::Store(error) => refused(error),
            })?;
            upload.finish().map_err(refused)?;
        }
    }
    Ok(digest)
}
