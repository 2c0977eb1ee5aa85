//! The files of a log as of one moment, in the order of the chain.

use super::compressed;
use super::line::{AuditLine, Head, LONGEST};
use super::reading::{Next, Reading, Shut};
use super::tail::{read_anew, rotated};
use super::write::{head_file, read_head};
use crate::base::appended;
use crate::base::error::{Error, Exit, Result};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// So often a log may be rotated while its files are opened.
const TRIES: u32 = 1000;
/// So many lines of a compressed file are looked at for the first that is one.
const FIRST_LINES: usize = 8;

/// One file, and how much of it there was.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) path: PathBuf,
    file: File,
    pub(super) size: u64,
    pub(super) first: Option<u64>,
}

/// A file that is there and can't be looked at.
#[derive(Debug)]
pub(super) struct Unseen {
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

impl Unseen {
    /// Its name, without the directory: that is nobody's who only gets lines.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// All files, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub(super) files: Vec<Piece>,
    /// Those of which nobody knows where in the chain they are.
    pub(super) unseen: Vec<Unseen>,
    /// What STATE/audit.head says.
    pub(super) noted: Option<Head>,
    /// The log itself is among them, and not empty.
    pub(super) is_log_here: bool,
}

impl Pieces {
    /// The log and what a rotation has left beside it.
    pub(super) fn of_log(path: &Path) -> Result<Pieces> {
        for _ in 0..TRIES {
            let mut pieces = Pieces::default();
            // Before the log: lines that come meanwhile are behind it.
            let noted = appended::open(&head_file(path), appended::Access::Read)?;
            pieces.noted = noted.and_then(|file| read_head(&file));
            let log = appended::open(path, appended::Access::Read)?;
            if !pieces.add_rotated(path, log.as_ref())? {
                continue;
            }
            pieces.sort();
            // Renamed while we looked: then it would be met twice, or not at all.
            match log {
                Some(log) if !appended::is_at(&log, path)? => continue,
                None if path.symlink_metadata().is_ok() => continue,
                Some(log) => {
                    let log = Piece::new(path.to_path_buf(), log).map_err(Unopened::into_error)?;
                    pieces.is_log_here = log.size > 0;
                    pieces.files.push(log);
                }
                None => {}
            }
            return Ok(pieces);
        }
        let reason = "is renamed again and again: nobody rotates a log so often";
        Err(Error::new(Exit::Data, path.display(), reason))
    }

    /// What of the chain from this number on is needed: the log alone, where that has it.
    pub(super) fn since(path: &Path, seq: u64) -> Result<Pieces> {
        let noted = appended::open(&head_file(path), appended::Access::Read)?;
        let noted = noted.and_then(|file| read_head(&file));
        if let Some(file) = appended::open(path, appended::Access::Read)? {
            let log = Piece::new(path.to_path_buf(), file).map_err(Unopened::into_error)?;
            if log.first.is_some_and(|first| first <= seq) {
                return Ok(Pieces {
                    files: vec![log],
                    noted,
                    is_log_here: true,
                    ..Pieces::default()
                });
            }
        }
        Pieces::of_log(path)
    }

    /// Adds what a rotation has left; false where one came between.
    fn add_rotated(&mut self, path: &Path, log: Option<&File>) -> Result<bool> {
        let mut seen = HashSet::new();
        for other in rotated(path)? {
            if let Some(log) = log
                && appended::is_at(log, &other)?
            {
                continue;
            }
            // Who may not read one is no worse off than who has no program for it.
            if access(&other, Access::READ_OK) == Err(Errno::ACCESS) {
                let reason = "is not looked at: permission denied".into();
                self.unseen.push(Unseen { path: other, reason });
                continue;
            }
            let Some(file) = appended::open(&other, appended::Access::Read)? else {
                return Ok(false);
            };
            let found = file.metadata().map_err(|e| Error::io(&other, &e))?;
            if !seen.insert((found.dev(), found.ino())) {
                return Ok(false);
            }
            self.add(other, file)?;
        }
        Ok(true)
    }

    fn add(&mut self, path: PathBuf, file: File) -> Result<()> {
        match Piece::new(path.clone(), file) {
            Ok(piece) => self.files.push(piece),
            Err(Unopened::Unseen(reason)) => self.unseen.push(Unseen { path, reason }),
            Err(Unopened::Failed(error)) => return Err(error),
        }
        Ok(())
    }

    /// These files, wherever they are.
    pub(super) fn of(paths: &[PathBuf]) -> Result<Pieces> {
        let mut pieces = Pieces::default();
        for path in paths {
            let file = File::open(path).map_err(|e| Error::doing("open", path, &e))?;
            pieces.add(path.clone(), file)?;
        }
        pieces.sort();
        Ok(pieces)
    }

    fn sort(&mut self) {
        self.files.sort_by_key(|piece| piece.first.unwrap_or(u64::MAX));
    }
}

/// Why a file is no piece.
enum Unopened {
    Unseen(String),
    Failed(Error),
}

impl Unopened {
    fn into_error(self) -> Error {
        match self {
            Unopened::Failed(error) => error,
            Unopened::Unseen(reason) => Error::new(Exit::Unavailable, "audit", reason),
        }
    }
}

impl Piece {
    fn new(path: PathBuf, file: File) -> std::result::Result<Piece, Unopened> {
        let found = match compressed::program(&path) {
            Some(_) => Piece::first_unpacked(&path, &file)?,
            None => Piece::first(&file).map_err(|e| Unopened::Failed(Error::io(&path, &e)))?,
        };
        let (size, first) = found;
        Ok(Piece { path, file, size, first })
    }

    /// Begins to read it.
    ///
    /// # Errors
    /// As [`Reading::start`].
    pub(super) fn reading(&self) -> io::Result<Reading> {
        Reading::start(&self.path, &self.file, self.size)
    }

    fn first(file: &File) -> io::Result<(u64, Option<u64>)> {
        let begin = |size: u64| {
            let mut bytes = vec![0; size.min(4 * LONGEST as u64) as usize];
            file.read_exact_at(&mut bytes, 0).map(|()| (size, bytes))
        };
        let (size, bytes) = read_anew(file, file.metadata()?.len(), begin)?;
        let first =
            bytes.split(|b| *b == b'\n').find_map(AuditLine::parse).map(|line| line.head.seq);
        Ok((size, first))
    }

    /// One that is damaged is a piece all the same: who reads it says so.
    fn first_unpacked(
        path: &Path,
        file: &File,
    ) -> std::result::Result<(u64, Option<u64>), Unopened> {
        let first = || -> io::Result<Option<u64>> {
            let mut reading = Reading::start(path, file, 0)?;
            while reading.number < FIRST_LINES && reading.next()? != Next::End {
                if let Some(line) = AuditLine::parse(&reading.line) {
                    return Ok(Some(line.head.seq));
                }
            }
            Ok(None)
        };
        match first() {
            Ok(first) => Ok((0, first)),
            Err(error) => match Shut::of(path, &error) {
                Some(Shut::Unseen(reason)) => Err(Unopened::Unseen(reason)),
                _ => Ok((0, None)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Its lines come and are taken back, as where a disk is full, while others look.
    #[test]
    fn a_log_that_becomes_shorter_is_read_all_the_same() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("audit.log");
        std::fs::write(&path, [b'x'; 1000]).expect("write");
        let log = File::options().write(true).open(&path).expect("open");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    log.set_len(2000).and_then(|()| log.set_len(1000)).expect("a length");
                }
            });
            let mut sizes = (0..5_000).map(|_| {
                let pieces = Pieces::of_log(&path).map(|pieces| pieces.files[0].size);
                pieces.map_err(|error| error.message)
            });
            let odd = sizes.find(|size| !matches!(size, Ok(1000 | 2000)));
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(odd, None);
        });
    }
}
