//! A job's output: `log` is the bytes as they came, `index` says which of them
//! are of which stream, and when.
//!
//! A line of `index` is `OFFSET LENGTH out|err MILLISECONDS`, written after the
//! bytes it speaks of: a reader believes the index, so that it never sees bytes
//! whose stream is not known yet.

use super::{End, EndKind, JobDirectory, JobLock};
use crate::base::digest::{Digest, Hasher};
use crate::base::error::{Error, Exit, Result};
use crate::base::publish;
use crate::base::units::whole;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// The word of the index and of the wire.
    pub fn word(self) -> &'static str {
        match self {
            Stream::Out => "out",
            Stream::Err => "err",
        }
    }

    /// The stream of this word.
    pub fn from_word(word: &str) -> Option<Stream> {
        [Stream::Out, Stream::Err].into_iter().find(|stream| stream.word() == word)
    }
}

/// The largest piece that a reader hands out, in bytes.
const MAXIMUM_CHUNK: usize = 256 * 1024;

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Of which stream.
    pub stream: Stream,
    /// Where it stands in the log.
    pub offset: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Who says how far an output may grow, besides its limit.
pub trait Room: std::fmt::Debug {
    /// An output of `length` bytes, log and index, is to become at least `wanted`: up to
    /// where may it? Nobody else takes that while the second value lives.
    ///
    /// # Errors
    /// Where there is no more room, and why; temporary where that can't be said now, after a
    /// moment's wait.
    fn claim(&self, length: u64, wanted: u64) -> Result<(u64, Box<dyn std::fmt::Debug>)>;
}

/// Writes a job's output; there is one writer, the holder of the job's lock.
#[derive(Debug)]
pub struct LogWriter {
    log: File,
    index: File,
    path: PathBuf,
    length: u64,
    /// The length of the index.
    indexed: u64,
    /// Of both.
    limit: u64,
    room: Option<Rc<dyn Room>>,
    /// So far both may grow without asking for room.
    claimed: u64,
    truncated: bool,
    /// Of what is in the log.
    hasher: Hasher,
    begun: Instant,
}

/// What a log came to.
#[derive(Debug)]
pub struct Finished {
    /// Its length in bytes.
    pub length: u64,
    /// The sha256 of all of it.
    pub digest: Digest,
    /// Was output beyond the limit thrown away?
    pub truncated: bool,
    /// It could not be made durable: what of it stays is not known.
    pub trouble: Option<Error>,
}

impl LogWriter {
    /// Starts an empty log; what would have it and its index pass `limit` bytes is counted
    /// out, and all that follows.
    ///
    /// # Errors
    /// Exit 73, naming the file.
    pub fn create(job: &JobDirectory, limit: u64, room: Option<Rc<dyn Room>>) -> Result<LogWriter> {
        let open = |name| {
            let path = job.file(name);
            let failed = |e| Error::doing("create", &path, &e);
            publish::create_empty(&path, job.readers().map_err(failed)?).map_err(failed)
        };
        Ok(LogWriter {
            log: open("log")?,
            index: open("index")?,
            path: job.file("log"),
            length: 0,
            indexed: 0,
            limit,
            claimed: if room.is_some() { 0 } else { u64::MAX },
            room,
            truncated: false,
            hasher: Hasher::new(),
            begun: Instant::now(),
        })
    }

    /// Appends a piece of output.
    ///
    /// # Errors
    /// Exit 74, naming the log; a full disk is said, and never ends the job. Where there is
    /// no more room, said once. Exit 75 where nobody knows now: nothing is kept of it, and
    /// the same is to be appended again before anything else, or the log to be cut.
    pub fn append(&mut self, stream: Stream, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() || self.truncated {
            return Ok(());
        }
        let taken = self.length + self.indexed;
        let left = self.limit - taken;
        // The line says how much is kept, and takes room itself.
        let most = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let time = self.begun.elapsed().as_millis();
        let line = |length: usize| format!("{} {length} {} {time}\n", self.length, stream.word());
        let room = left.saturating_sub(line(most).len() as u64);
        let kept = &bytes[..most.min(usize::try_from(room).unwrap_or(usize::MAX))];
        self.truncated = kept.len() < bytes.len();
        if kept.is_empty() {
            return Ok(());
        }
        let line = line(kept.len());
        let wanted = taken + (kept.len() + line.len()) as u64;
        let mut held = None;
        if let Some(room) = self.room.as_ref().filter(|_| wanted > self.claimed) {
            let claimed = room.claim(taken, wanted);
            // Nothing comes behind a gap; what comes again leaves none.
            let claimed =
                claimed.inspect_err(|error| self.truncated = error.exit != Exit::Temporary)?;
            self.claimed = claimed.0;
            held = Some(claimed.1);
        }
        let written = self.log.write_all(kept).and_then(|()| self.index.write_all(line.as_bytes()));
        drop(held);
        if let Err(error) = written {
            // Half a piece must not shift what follows: both files go back to
            // the last whole piece. Readers go by whole lines of the index alone.
            let _ = self.log.set_len(self.length);
            let _ = self.index.set_len(self.indexed);
            return Err(Error::doing("write", &self.path, &error));
        }
        self.hasher.update(kept);
        self.length += kept.len() as u64;
        self.indexed += line.len() as u64;
        Ok(())
    }

    /// What comes from now on is thrown away.
    pub fn cut(&mut self) {
        self.truncated = true;
    }

    /// Makes the output durable. A disk that fails here is no reason to forget
    /// how the job ended.
    pub fn finish(&mut self) -> Finished {
        let sync = || {
            self.log.sync_data()?;
            self.index.sync_data()
        };
        let failed = |e| Error::doing("keep", &self.path, &e);
        let trouble = match self.length {
            // Of a job that said nothing there is nothing to lose.
            0 => None,
            _ => sync().map_err(failed).and_then(|()| publish::sync_parent(&self.path)).err(),
        };
        let digest = self.hasher.clone().finish();
        Finished { length: self.length, digest, truncated: self.truncated, trouble }
    }
}

/// Reads a job's output from any offset, live or after the end.
#[derive(Debug)]
pub(super) struct LogReader {
    log: File,
    index: File,
    job: JobDirectory,
    /// Whole lines of the index, and how much of them was taken.
    lines: Vec<u8>,
    taken: usize,
    /// Where in the index those lines end.
    read: u64,
    /// What of the current line's piece is still to hand out.
    current: Option<(Stream, u64, u64)>,
    offset: u64,
}

/// The index is read in pieces of this size, which hold many lines.
const READ: usize = 4096;
/// A line is two numbers of 20 digits and a little: a longer one is not ours.
const LONGEST_LINE: usize = 128;

impl LogReader {
    /// A reader that hands out the log from `offset` on; `None` while there is
    /// no log yet.
    ///
    /// # Errors
    /// Where the files can't be opened.
    pub(super) fn open(job: &JobDirectory, offset: u64) -> Result<Option<LogReader>> {
        // The index is made last: where it is, the log is.
        let (Some(index), Some(log)) = (job.open("index")?, job.open("log")?) else {
            return Ok(None);
        };
        Ok(Some(LogReader {
            log,
            index,
            job: job.clone(),
            lines: Vec::new(),
            taken: 0,
            read: 0,
            current: None,
            offset,
        }))
    }

    /// The next piece, or `None` when all that is there was handed out.
    ///
    /// # Errors
    /// Exit 74 where reading fails, 65 where the index is not of its form.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        loop {
            if let Some((stream, start, end)) = self.current.take()
                && start < end
            {
                return self.read_piece(stream, start, end).map(Some);
            }
            let Some((stream, start, length)) = self.next_line()? else { return Ok(None) };
            let end = start.saturating_add(length);
            if end > self.offset {
                self.current = Some((stream, start.max(self.offset), end));
            }
        }
    }

    fn read_piece(&mut self, stream: Stream, start: u64, end: u64) -> Result<Chunk> {
        let length = (end - start).min(MAXIMUM_CHUNK as u64);
        let mut bytes = vec![0; length as usize];
        let read = self.log.read_exact_at(&mut bytes, start);
        read.map_err(|e| Error::io(&self.job.file("log"), &e))?;
        self.offset = start + length;
        self.current = Some((stream, self.offset, end));
        Ok(Chunk { stream, offset: start, bytes })
    }

    fn next_line(&mut self) -> Result<Option<(Stream, u64, u64)>> {
        if self.taken == self.lines.len() && !self.read_lines()? {
            return Ok(None);
        }
        let rest = &self.lines[self.taken..];
        let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |i| i + 1);
        let parsed = parse_line(&rest[..end]);
        self.taken += end;
        parsed.map(Some).ok_or_else(|| self.damaged())
    }

    /// Reads up to the last whole line and no further: a torn one may yet be
    /// taken back, by a writer whose disk was full for a moment.
    fn read_lines(&mut self) -> Result<bool> {
        let mut piece = vec![0; READ];
        let read = self.index.read_at(&mut piece, self.read);
        let count = read.map_err(|e| Error::io(&self.job.file("index"), &e))?;
        let whole = piece[..count].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        if count - whole >= LONGEST_LINE && whole == 0 {
            return Err(self.damaged());
        }
        // A follower that waits keeps no memory for lines that may never come.
        self.lines = piece[..whole].to_vec();
        self.taken = 0;
        self.read += whole as u64;
        Ok(whole > 0)
    }

    fn damaged(&self) -> Error {
        Error::new(Exit::Data, self.job.file("index").display(), "not of the form of octo-job(5)")
    }
}

fn parse_line(line: &[u8]) -> Option<(Stream, u64, u64)> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let mut fields = text.split(' ');
    let offset = whole(fields.next()?)?;
    let length = whole(fields.next()?)?;
    let stream = Stream::from_word(fields.next()?)?;
    whole(fields.next()?)?;
    fields.next().is_none().then_some((stream, offset, length))
}

/// Closes the log of a job whose writer died: bytes that the index doesn't speak
/// of are added to it as standard output, a torn line of the index goes.
///
/// # Errors
/// Where the files can't be read or written.
pub(super) fn settle(job: &JobDirectory) -> Result<u64> {
    let path = job.file("index");
    let io = |e: std::io::Error| Error::io(&path, &e);
    let (Some(mut index), Some(log)) = (job.open("index")?, job.open("log")?) else { return Ok(0) };
    let size = log.metadata().map_err(|e| Error::io(&job.file("log"), &e))?.len();
    let length = index.metadata().map_err(io)?.len();
    index.seek(SeekFrom::Start(length.saturating_sub(256))).map_err(io)?;
    let mut tail = Vec::new();
    (&mut index).take(256).read_to_end(&mut tail).map_err(io)?;
    let whole_part = tail.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let torn = (tail.len() - whole_part) as u64;
    let last = tail[..whole_part].strip_suffix(b"\n").unwrap_or(b"");
    let begin = last.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let covered = parse_line(&tail[begin..whole_part]).map_or(0, |(_, o, l)| o.saturating_add(l));
    let mut writer = File::options().write(true).open(&path).map_err(io)?;
    if torn > 0 {
        writer.set_len(length - torn).map_err(io)?;
    }
    writer.seek(SeekFrom::End(0)).map_err(io)?;
    if size > covered {
        writer.write_all(format!("{covered} {} out 0\n", size - covered).as_bytes()).map_err(io)?;
    }
    writer.sync_data().map_err(io)?;
    Ok(size.max(covered))
}

/// Closes the log of a job that was started and that nobody runs any more; its end, `lost`,
/// which is not written yet. For the holder of the job's lock, who has made sure that nobody
/// of it is left.
///
/// # Errors
/// Where the log can't be read or written.
pub fn lost(job: &JobDirectory, _held: &JobLock, reason: &str, strays: Vec<String>) -> Result<End> {
    let length = settle(job)?;
    Ok(End { strays, reason: Some(reason.into()), ..End::now(EndKind::Lost, length) })
}
