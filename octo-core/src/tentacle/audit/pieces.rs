//! The files of a log as of one moment, in the order of the chain.

use super::line::{AuditLine, Head, LONGEST};
use super::tail::rotated;
use super::write::{head_file, read_head};
use crate::base::appended::{self, Access};
use crate::base::error::{Error, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

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
        let log = loop {
            let Some(log) = appended::open(path, Access::Read)? else { break None };
            appended::lock(&log, path, false)?;
            if appended::is_at(&log, path)? {
                break Some(log);
            }
        };
        // While the lock is held nothing is appended, but the log may be
        // renamed: then it is met twice.
        let mut pieces = Pieces::default();
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
        let noted = appended::open(&head_file(path), Access::Read)?;
        pieces.noted = noted.and_then(|file| read_head(&file));
        if let Some(log) = log {
            let piece = Piece::new(path.to_path_buf(), log)?;
            piece.file.unlock().map_err(|e| Error::io(path, &e))?;
            pieces.files.push(piece);
        }
        Ok(pieces)
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
        let failed = |e: &std::io::Error| Error::io(&path, e);
        let size = file.metadata().map_err(|e| failed(&e))?.len();
        let mut bytes = vec![0; size.min(4 * LONGEST as u64) as usize];
        file.read_exact_at(&mut bytes, 0).map_err(|e| failed(&e))?;
        let first =
            bytes.split(|b| *b == b'\n').find_map(AuditLine::parse).map(|line| line.head.seq);
        Ok(Piece { path, file, size, first })
    }
}
