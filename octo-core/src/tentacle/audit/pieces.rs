//! The files of a log as of one moment, in the order of the chain.

use super::line::{AuditLine, Head, LONGEST};
use super::tail::{read_anew, rotated};
use super::write::{head_file, read_head};
use crate::base::appended::{self, Access};
use crate::base::error::{Error, Exit, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// So often a log may be rotated while its files are opened.
const TRIES: u32 = 1000;

/// One file, and how much of it there was.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) size: u64,
    first: Option<u64>,
}

/// All files, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub(super) files: Vec<Piece>,
    /// What STATE/audit.head says.
    pub(super) noted: Option<Head>,
}

impl Pieces {
    /// The log and what a rotation has left beside it.
    pub(super) fn of_log(path: &Path) -> Result<Pieces> {
        for _ in 0..TRIES {
            let mut pieces = Pieces::default();
            // Before the log: lines that come meanwhile are behind it.
            let noted = appended::open(&head_file(path), Access::Read)?;
            pieces.noted = noted.and_then(|file| read_head(&file));
            let log = appended::open(path, Access::Read)?;
            for other in rotated(path)? {
                if let Some(log) = &log
                    && appended::is_at(log, &other)?
                {
                    continue;
                }
                if let Some(file) = appended::open(&other, Access::Read)? {
                    pieces.files.push(Piece::new(other, file)?);
                }
            }
            pieces.sort();
            // Renamed while we looked: then it would be met twice, or not at all.
            match log {
                Some(log) if !appended::is_at(&log, path)? => continue,
                None if path.symlink_metadata().is_ok() => continue,
                Some(log) => pieces.files.push(Piece::new(path.to_path_buf(), log)?),
                None => {}
            }
            return Ok(pieces);
        }
        let reason = "is renamed again and again: nobody rotates a log so often";
        Err(Error::new(Exit::Data, path.display(), reason))
    }

    /// These files, wherever they are.
    pub(super) fn of(paths: &[PathBuf]) -> Result<Pieces> {
        let mut pieces = Pieces::default();
        for path in paths {
            let file = File::open(path).map_err(|e| Error::doing("open", path, &e))?;
            pieces.files.push(Piece::new(path.clone(), file)?);
        }
        pieces.sort();
        Ok(pieces)
    }

    fn sort(&mut self) {
        self.files.sort_by_key(|piece| piece.first.unwrap_or(u64::MAX));
    }
}

impl Piece {
    fn new(path: PathBuf, file: File) -> Result<Piece> {
        let begin = |size: u64| {
            let mut bytes = vec![0; size.min(4 * LONGEST as u64) as usize];
            file.read_exact_at(&mut bytes, 0).map(|()| (size, bytes))
        };
        let read = file.metadata().and_then(|found| read_anew(&file, found.len(), begin));
        let (size, bytes) = read.map_err(|e| Error::io(&path, &e))?;
        let first =
            bytes.split(|b| *b == b'\n').find_map(AuditLine::parse).map(|line| line.head.seq);
        Ok(Piece { path, file, size, first })
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
