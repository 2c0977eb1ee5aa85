//! Lines of a log, handed out from a number on: for a copy of it elsewhere.

use super::line::AuditLine;
use super::pieces::{Piece, Pieces};
use super::reading::{LONGEST_READ, Next, Reading, Shut};
use crate::base::error::{Error, Exit, Result};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// A log that is handed out, from one of its lines to the last that is on the disk.
#[derive(Debug)]
pub struct Lines {
    pieces: VecDeque<Piece>,
    reading: Option<(PathBuf, Reading)>,
    /// The number that comes next.
    next: u64,
    /// Behind this one a line may still be taken back.
    last: u64,
    is_begun: bool,
    /// What can't be looked at.
    unseen: Vec<String>,
    /// What was read and didn't fit.
    ready: Option<(u64, Vec<u8>)>,
    /// What ended it, to be told once all before it was given.
    failed: Option<Error>,
}

/// Some lines, whole and as they stand there.
#[derive(Debug, Default)]
pub struct Given {
    /// The lines, each with its LF; the last one is one of the log, and not torn.
    pub bytes: Vec<u8>,
    /// There are more of them.
    pub more: bool,
}

impl Lines {
    /// The lines of this log from this number on; where the oldest are gone, from the
    /// first that is there.
    ///
    /// # Errors
    /// Where a file can't be read.
    pub(super) fn from(path: &Path, seq: u64) -> Result<Lines> {
        let pieces = Pieces::since(path, seq)?;
        let unseen = pieces.unseen.iter();
        // All of the pieces before the one that begins behind the number are passed over.
        let before = pieces.files.iter().rposition(|piece| piece.first.is_some_and(|n| n <= seq));
        Ok(Lines {
            unseen: unseen.map(|file| format!("{}: {}", file.name(), file.reason)).collect(),
            pieces: pieces.files.into_iter().skip(before.unwrap_or(0)).collect(),
            reading: None,
            next: seq,
            last: pieces.noted.map_or(u64::MAX, |head| head.seq),
            is_begun: false,
            ready: None,
            failed: None,
        })
    }

    /// The number of the line that comes next.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// So many bytes of them at most, or one line.
    ///
    /// # Errors
    /// Exit 69 where what comes next may be in a file that can't be looked at, exit 65
    /// where what stands there is no log.
    pub fn give(&mut self, most: usize) -> Result<Given> {
        let mut given = Given::default();
        loop {
            let ready = match self.ready.take() {
                Some(ready) => ready,
                None => match self.failed.take().map_or_else(|| self.read(), Err) {
                    Ok(Some(ready)) => ready,
                    Ok(None) => return Ok(given),
                    Err(error) if given.bytes.is_empty() => return Err(error),
                    Err(error) => {
                        self.failed = Some(error);
                        given.more = true;
                        return Ok(given);
                    }
                },
            };
            let is_hidden = ready.0 > self.next && !self.unseen.is_empty();
            if is_hidden && given.bytes.is_empty() {
                let object = format!("line {}", self.next);
                return Err(Error::new(Exit::Unavailable, object, self.unseen.join("; ")));
            }
            let is_full = given.bytes.len() + ready.1.len() > most && !given.bytes.is_empty();
            if is_hidden || is_full {
                self.ready = Some(ready);
                given.more = true;
                return Ok(given);
            }
            self.is_begun = true;
            self.next = ready.0.saturating_add(1);
            given.bytes.extend_from_slice(&ready.1);
        }
    }

    /// The next line that is one, behind what a crash tore before it.
    fn read(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        let mut bytes = Vec::new();
        loop {
            let Some((path, mut reading)) = self.reading.take() else {
                let Some(piece) = self.pieces.pop_front() else { return Ok(None) };
                let reading = piece.reading().map_err(|e| shut(&piece.path, &e))?;
                self.reading = Some((piece.path, reading));
                continue;
            };
            match reading.next().map_err(|e| shut(&path, &e))? {
                Next::End | Next::Open => continue,
                Next::Line => {}
                Next::Long | Next::Endless => return Err(no_line(&path, &reading)),
            }
            let seq = AuditLine::parse(&reading.line).map(|line| line.head.seq);
            bytes.extend_from_slice(&reading.line);
            bytes.push(b'\n');
            if bytes.len() as u64 > LONGEST_READ {
                return Err(no_line(&path, &reading));
            }
            self.reading = Some((path, reading));
            match seq {
                None => {}
                Some(seq) if seq < self.next && !self.is_begun => bytes.clear(),
                Some(seq) if seq > self.last => {
                    self.pieces.clear();
                    self.reading = None;
                }
                Some(seq) => return Ok(Some((seq, bytes))),
            }
        }
    }
}

/// Why a file can't be handed out.
fn shut(path: &Path, error: &std::io::Error) -> Error {
    match Shut::of(path, error) {
        Some(Shut::Unseen(reason)) => Error::new(Exit::Unavailable, path.display(), reason),
        Some(Shut::Damaged(reason)) => Error::new(Exit::Data, path.display(), reason),
        None => Error::io(path, error),
    }
}

fn no_line(path: &Path, reading: &Reading) -> Error {
    let object = format!("{}:{}", path.display(), reading.number);
    Error::new(Exit::Data, object, "is no line of an audit log")
}
