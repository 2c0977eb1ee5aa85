//! What an archive is compressed with, by its first bytes, never by its name.

use super::xz::Xz;
use crate::stop::Stop;
use flate2::read::MultiGzDecoder;
use octo_core::base::error::{Error, Exit, Result};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The largest window of a Zstandard frame, 128 MiB as for zstd(1): a frame can ask for as
/// much memory as it likes.
const LARGEST_WINDOW: u32 = 27;

/// Opens an archive, to read what it holds unpacked. Members of gzip and frames of
/// Zstandard that follow each other are one, as for their programs; anything else behind
/// them is refused, which those only warn of.
///
/// # Errors
/// Exit 65 for what is no archive that this reads, 69 where xz(1) is missing; the system's.
pub(super) fn open(path: &Path, stop: &Stop) -> Result<Box<dyn Read>> {
    // A pipe that nobody writes to would be waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file = File::from(opened.map_err(|e| Error::io(path, &e.into()))?);
    let io = |e: std::io::Error| Error::io(path, &e);
    if !file.metadata().map_err(io)?.is_file() {
        return Err(Error::new(Exit::Data, path.display(), "is not a regular file"));
    }
    let mut begin = [0; 6];
    let length = file.read_at(&mut begin, 0).map_err(io)?;
    unpacked(path, file, &begin[..length], stop)
}

/// The same of what is open already, a pipe perhaps, and begins with these bytes.
///
/// # Errors
/// As [`open`].
pub(super) fn unpacked(
    path: &Path,
    file: File,
    begin: &[u8],
    stop: &Stop,
) -> Result<Box<dyn Read>> {
    let other = |what: &str| Error::new(Exit::Data, path.display(), format!("is {what}"));
    match begin {
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => zstandard(path, file),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Ok(Box::new(Xz::start(file, stop)?)),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => {
            Err(other("a zip archive").hint("octo-pack makes a package of it"))
        }
        [b'B', b'Z', b'h', ..] => Err(other("compressed with bzip2, which isn't read here")),
        _ => Ok(Box::new(file)),
    }
}

fn zstandard(path: &Path, file: File) -> Result<Box<dyn Read>> {
    let failed = |e: std::io::Error| Error::io(path, &e);
    let mut decoder = zstd::stream::read::Decoder::new(file).map_err(failed)?;
    decoder.window_log_max(LARGEST_WINDOW).map_err(failed)?;
    Ok(Box::new(decoder))
}
