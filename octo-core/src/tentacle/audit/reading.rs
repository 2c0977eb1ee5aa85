//! One file of a log, line by line, in a bounded memory.

use super::compressed::{self, Unpacked};
use super::line::{AuditLine, LONGEST};
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Take};
use std::path::Path;

/// Read at once.
const BUFFER: usize = 256 * 1024;
/// The longest line that is looked at; a longer one is none of ours.
pub(super) const LONGEST_READ: u64 = 4 * LONGEST as u64;
/// So much of what has no line end is passed over.
const MOST_SKIPPED: u64 = 64 << 20;

/// What is read of a file.
#[derive(Debug)]
enum Source {
    Plain(Take<File>),
    Unpacked(Unpacked),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Plain(file) => file.read(buffer),
            Source::Unpacked(unpacked) => unpacked.read(buffer),
        }
    }
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A line that has an end, or is whole without one.
    Line,
    /// One that is longer than ours are; its beginning.
    Long,
    /// The same, and what is behind it is not read: it has no end.
    Endless,
    /// What a crash left of a line, at the end of the file.
    Open,
    /// Nothing.
    End,
}

/// A file that is read, from its beginning to the size that it had.
#[derive(Debug)]
pub(super) struct Reading {
    reader: BufReader<Source>,
    /// The number of the line that was read last, from 1.
    pub(super) number: usize,
    /// That line, without its LF.
    pub(super) line: Vec<u8>,
}

impl Reading {
    /// # Errors
    /// The system's; of a compressed file, why it can't be looked at.
    pub(super) fn start(path: &Path, file: &File, size: u64) -> io::Result<Reading> {
        let source = match compressed::program(path) {
            Some(program) => Source::Unpacked(Unpacked::start(program, file)?),
            None => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                Source::Plain(file.take(size))
            }
        };
        let reader = BufReader::with_capacity(BUFFER, source);
        Ok(Reading { reader, number: 0, line: Vec::new() })
    }

    /// Reads on; the line is in [`Reading::line`].
    ///
    /// # Errors
    /// As those of [`Unpacked`], or the system's.
    pub(super) fn next(&mut self) -> io::Result<Next> {
        self.line.clear();
        let mut reader = (&mut self.reader).take(LONGEST_READ);
        let count = reader.read_until(b'\n', &mut self.line)? as u64;
        if count == 0 {
            return Ok(Next::End);
        }
        self.number += 1;
        if self.line.pop_if(|last| *last == b'\n').is_some() {
            return Ok(Next::Line);
        }
        if count == LONGEST_READ {
            let skipped = (&mut self.reader).take(MOST_SKIPPED).skip_until(b'\n')?;
            // Whose log it is may have made a hole of terabytes.
            return Ok(if skipped as u64 == MOST_SKIPPED { Next::Endless } else { Next::Long });
        }
        Ok(if AuditLine::parse(&self.line).is_some() { Next::Line } else { Next::Open })
    }
}

/// Why a file is not looked at, or that it is damaged.
#[derive(Debug)]
pub(super) enum Shut {
    /// Nothing is known of what is in it.
    Unseen(String),
    /// Who unpacks it says that it is not as it was.
    Damaged(String),
}

impl Shut {
    /// What this error says of a compressed file; `None` of any other.
    pub(super) fn of(path: &Path, error: &io::Error) -> Option<Shut> {
        compressed::program(path)?;
        Some(match error.kind() {
            ErrorKind::InvalidData => Shut::Damaged(format!("is damaged: {error}")),
            _ => Shut::Unseen(format!("is not looked at: {error}")),
        })
    }
}
