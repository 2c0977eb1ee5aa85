//! A file that is to be put: opened once, read by the hashing thread and by the
//! workers at positions of their own, mostly from the page cache.

use crate::target::stop::Stop;
use octo_core::base::digest::{Digest, Hasher};
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::names::is_file_name;
use octo_core::patch::Bytes;
use rustix::fs::{Advice, FileType, Mode, OFlags, fadvise, fstat};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// One read of the file and one write of TLS.
pub(crate) const PIECE: usize = 256 * 1024;

/// A regular file, open.
#[derive(Debug)]
pub(crate) struct Source {
    file: File,
    pub(crate) name: String,
    /// Its path, from the root on.
    pub(crate) path: PathBuf,
    /// Its path, as it can be shown.
    pub(crate) shown: String,
    /// Its state when it was opened, and when that was.
    pub(crate) metadata: Metadata,
    pub(crate) opened: SystemTime,
}

impl Source {
    /// # Errors
    /// Exit 65 for what is missing or no file; 74 where it can't be read.
    pub(crate) fn open(path: &str) -> Result<Source> {
        let shown = printable(path.as_bytes());
        let wrong = |reason: &str| Error::new(Exit::Data, &shown, reason);
        let name = Path::new(path)
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|name| is_file_name(name.as_bytes()))
            .ok_or_else(|| wrong("has no file name"))?
            .to_string();
        let unreadable = |error: &io::Error| Error::io(Path::new(path), error);
        let opened = SystemTime::now();
        // Not blocking: opening a FIFO would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::open(path, flags, Mode::empty());
        let file = File::from(file.map_err(|error| unreadable(&error.into()))?);
        let stat = fstat(&file).map_err(|error| unreadable(&error.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => {
                return Err(wrong("is a directory").hint("octo-pack makes a package of it"));
            }
            _ => return Err(wrong("is not a regular file")),
        }
        let metadata = file.metadata().map_err(|error| unreadable(&error))?;
        // Only a hint to the kernel, which reads ahead twice as far.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        let path = std::path::absolute(path).map_err(|error| unreadable(&error))?;
        Ok(Source { file, name, path, shown, metadata, opened })
    }

    /// Its length when it was opened.
    pub(crate) fn size(&self) -> u64 {
        self.metadata.len()
    }

    /// # Errors
    /// As for reading; exit 130 when the person has had enough.
    pub(crate) fn hash(&self, stop: &Stop) -> Result<Digest> {
        let mut hasher = Hasher::new();
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        while at < self.size() {
            self.check(stop)?;
            let count = self.read(&mut piece, at)?;
            hasher.update(&piece[..count]);
            at += count as u64;
        }
        Ok(hasher.finish())
    }

    /// # Errors
    /// Exit 130 when the person has had enough.
    pub(crate) fn check(&self, stop: &Stop) -> Result<()> {
        match stop.is_set() {
            true => Err(Error::new(Exit::Cancelled, &self.shown, "cancelled")),
            false => Ok(()),
        }
    }

    /// Reads at a position, up to the length that the file had.
    ///
    /// # Errors
    /// Exit 65 where it became shorter; 74 where it can't be read.
    pub(crate) fn read(&self, piece: &mut [u8], at: u64) -> Result<usize> {
        let wanted = usize::try_from(self.size() - at).unwrap_or(usize::MAX).min(piece.len());
        loop {
            match self.file.read_at(&mut piece[..wanted], at) {
                Ok(0) => {
                    let reason = "became shorter while it was read";
                    return Err(Error::new(Exit::Data, &self.shown, reason));
                }
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(Path::new(&self.shown), &error)),
            }
        }
    }

    /// Fills all of a buffer from a position on.
    ///
    /// # Errors
    /// As [`Source::read`], in the form of the standard library.
    pub(crate) fn fill(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }

    /// What a patch reads of it.
    pub(crate) fn bytes<'a>(&self, read: Fill<'a>) -> Bytes<'a> {
        Bytes { size: self.size(), read }
    }
}

/// [`Source::fill`] of one of them.
pub(crate) type Fill<'a> = &'a dyn Fn(&mut [u8], u64) -> io::Result<()>;
