//! A copy of another machine's log: of the same form, checked line by line while it grows.
//!
//! Nothing that is in it is ever changed. What doesn't follow from its last line is kept
//! beside it, in FILE.conflict, and nothing goes on behind it.

use super::line::{AuditLine, Head};
use super::write::{BEGIN, CUT, TORN, torn_field};
use crate::base::appended::{self, Access};
use crate::base::error::{Error, Exit, Result};
use crate::base::paths::create_directory;
use crate::base::publish;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// So much of the end is looked at for what a crash left: more than is added at once, of
/// which a power cut may have kept the later pages and not the earlier ones.
const WINDOW: u64 = 2 << 20;

/// A copy that this process alone adds to.
#[derive(Debug)]
pub struct AuditCopy {
    path: PathBuf,
    file: File,
    /// Its last line, and the head that this is.
    last: Option<(Head, Vec<u8>)>,
}

/// What was wrong with lines that should have been added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disagreement {
    /// These lines are not there any more.
    Gone {
        /// The first of them.
        from: u64,
        /// The last.
        to: u64,
    },
    /// What came is not what follows the copy's last line: why.
    Other(String),
}

impl AuditCopy {
    /// Opens a copy, or begins one; what a crash tore off its end is cut off.
    ///
    /// # Errors
    /// Where it can't be written, isn't a log, or another process is adding to it (exit 75).
    pub fn open(path: &Path) -> Result<AuditCopy> {
        let directory = publish::parent(path);
        create_directory(directory, 0o700)?;
        loop {
            let file = appended::open_or_create(path, Access::Append, 0o600.into())?;
            appended::lock(&file, path, true)?;
            if appended::is_at(&file, path)? {
                publish::sync_directory(directory)?;
                let last = mend(&file, path)?;
                return Ok(AuditCopy { path: path.to_path_buf(), file, last });
            }
        }
    }

    /// Its last line's head; `None` of one that is empty.
    pub fn end(&self) -> Option<Head> {
        self.last.as_ref().map(|(head, _)| *head)
    }

    /// Where its file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds these lines as far as they follow, on the disk when this returns; how many they
    /// are, and what is wrong with the next. They may begin with the copy's own last line.
    /// A line that has the number of one of these heads has to be that.
    ///
    /// # Errors
    /// Where it can't be written: then nothing is added.
    pub fn add(&mut self, bytes: &[u8], heads: &[Head]) -> Result<(u64, Option<Disagreement>)> {
        let mut found = Adding { last: self.last.clone(), ..Adding::default() };
        let wrong = found.all(bytes, heads);
        let size = self.size()?;
        let written = self.file.write_all(&bytes[found.begin..found.end]);
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            let _ = self.file.set_len(size);
            return Err(Error::doing("write", &self.path, &error));
        }
        self.last = found.last;
        if let Some(Disagreement::Other(_)) = wrong {
            // The first of them is what is to be shown: it is never replaced.
            publish::create(&self.conflict(), &bytes[found.end..], 0o600)?;
        }
        Ok((found.lines, wrong))
    }

    /// Where what contradicts it is kept.
    pub fn conflict(&self) -> PathBuf {
        PathBuf::from(format!("{}.conflict", self.path.display()))
    }

    fn size(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|e| Error::io(&self.path, &e))?.len())
    }
}

/// How far lines follow.
#[derive(Debug, Default)]
struct Adding {
    last: Option<(Head, Vec<u8>)>,
    lines: u64,
    /// What is added of the bytes.
    begin: usize,
    end: usize,
    /// A line that is none, until the next says that a crash tore it.
    torn: Option<Vec<u8>>,
}

impl Adding {
    fn all(&mut self, bytes: &[u8], heads: &[Head]) -> Option<Disagreement> {
        let mut at = 0;
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            at += line.len();
            let wrong = match line.strip_suffix(b"\n") {
                None => Some("the last of these lines has no end".into()),
                Some(line) => match AuditLine::parse(line) {
                    None if self.torn.replace(line.to_vec()).is_none() => continue,
                    None => Some("two lines that are none stand there".into()),
                    Some(parsed) => match self.line(&parsed, line, heads) {
                        Ok(()) => None,
                        Err(wrong) => return Some(wrong),
                    },
                },
            };
            if let Some(wrong) = wrong {
                return Some(Disagreement::Other(wrong));
            }
            self.end = at;
            if self.lines == 0 {
                self.begin = at;
            }
        }
        let torn = self.torn.is_some();
        torn.then(|| Disagreement::Other("the last of these lines is none of a log".into()))
    }

    /// Takes a line that follows, or is the last one again.
    fn line(
        &mut self,
        line: &AuditLine<'_>,
        bytes: &[u8],
        heads: &[Head],
    ) -> std::result::Result<(), Disagreement> {
        let number = line.head.seq;
        let other = |reason: String| Err(Disagreement::Other(reason));
        let torn = self.torn.take();
        if let Some((end, last)) = &self.last
            && number == end.seq
            && self.end == 0
        {
            return match bytes == last.as_slice() {
                true => Ok(()),
                false => other(format!("line {number} is not the one that it was")),
            };
        }
        let closes = [BEGIN, TORN, CUT].iter().any(|event| line.event == event.as_bytes());
        let closed = line.field("torn").filter(|_| closes);
        if let Some(torn) = torn
            && closed != Some(torn_field(&torn))
        {
            return other(format!("what stands before line {number} is no line of a log"));
        }
        let named = line.head_field("previous").unwrap_or_else(Head::none);
        let previous = match &self.last {
            None if line.event == BEGIN.as_bytes() => named,
            None => return other(format!("line {number} is the first, but begins no file")),
            Some((end, _)) if number <= end.seq => {
                return other(format!("line {number} comes again, behind line {}", end.seq));
            }
            Some((end, _)) if number > end.seq + 1 => {
                let (from, to) = (end.seq + 1, number - 1);
                // What a rotation removed ends where a file begins.
                if self.lines == 0 && line.event == BEGIN.as_bytes() {
                    return Err(Disagreement::Gone { from, to });
                }
                return other(format!("lines {from} to {to} are left out"));
            }
            Some((end, _)) => *end,
        };
        if !line.follows(previous) {
            return other(format!("line {number} doesn't follow from the one before it"));
        }
        if heads.iter().any(|head| head.seq == number && head.hash != line.head.hash) {
            return other(format!("line {number} is not the one whose head was given out"));
        }
        self.last = Some((line.head, bytes.to_vec()));
        self.lines += 1;
        Ok(())
    }
}

/// Cuts off what a crash left behind the last line that follows from the one before it.
/// What is cut off stays beside the copy: somebody may have changed a line before it.
fn mend(file: &File, path: &Path) -> Result<Option<(Head, Vec<u8>)>> {
    let failed = |e: io::Error| Error::io(path, &e);
    let size = file.metadata().map_err(failed)?.len();
    let mut start = size.saturating_sub(WINDOW);
    // At most the window: it fits.
    let mut bytes = vec![0; (size - start) as usize];
    file.read_exact_at(&mut bytes, start).map_err(failed)?;
    if start > 0 {
        let first = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..first);
        start += first as u64;
    }
    let (end, last) = followed(&bytes, start == 0);
    if last.is_none() && (start > 0 || bytes.contains(&b'\n')) {
        let hint = format!("mv {0} {0}.damaged: the next call begins anew", path.display());
        let reason = "its end is not that of an audit log";
        return Err(Error::new(Exit::Data, path.display(), reason).hint(hint));
    }
    if end < bytes.len() {
        let torn = PathBuf::from(format!("{}.torn", path.display()));
        publish::replace(&torn, &bytes[end..], 0o600)?;
        file.set_len(start + end as u64).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    Ok(last)
}

/// The end of the last line up to which each follows from the one before it, and that line.
fn followed(bytes: &[u8], is_whole: bool) -> (usize, Option<(Head, Vec<u8>)>) {
    let (mut at, mut end) = (0, 0);
    let mut before: Option<Head> = None;
    let mut last = None;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        at += line.len();
        let Some(line) = line.strip_suffix(b"\n") else { break };
        let Some(parsed) = AuditLine::parse(line) else { continue };
        let named = || parsed.head_field("previous").unwrap_or_else(Head::none);
        match before.or_else(|| is_whole.then(named)) {
            Some(previous) if !parsed.follows(previous) => break,
            Some(_) => {
                last = Some((parsed.head, line.to_vec()));
                end = at;
            }
            // What it follows from is before the window.
            None => {}
        }
        before = Some(parsed.head);
    }
    (end, last)
}
