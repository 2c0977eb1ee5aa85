//! Reading the whole chain and naming what is wrong with it.
//!
//! A line is right if its hash follows from the line before. One that doesn't
//! is named and remembered: a line that follows from it shows whether it was
//! edited, moved, or stands behind a hole, so that no damage is told twice.

use super::line::{AuditLine, Head, hash};
use super::pieces::{Piece, Pieces};
use super::reading::{Next, Shut};
use super::verification::Verification;
use super::write::{BEGIN, CUT, TORN, torn_field};
use crate::base::error::{Error, Result};
use crate::base::problem::Problem;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

/// So many faults are told line by line, the rest is counted.
const TOLD: usize = 100;
/// So many lines that don't follow are remembered.
const STRAYS: usize = 64;
/// Checks these files of one log, in whatever order they are named, and that
/// these heads are in the chain.
///
/// # Errors
/// Where a file can't be read; what is wrong with the chain is the answer.
pub fn verify_files(paths: &[PathBuf], heads: &[Head]) -> Result<Verification> {
    verify(Pieces::of(paths)?, heads)
}

pub(super) fn verify(pieces: Pieces, heads: &[Head]) -> Result<Verification> {
    let mut check = Check {
        wanted: heads.to_vec(),
        noted: pieces.noted,
        is_log_here: pieces.is_log_here,
        ..Check::default()
    };
    // After a power cut the noted head may be an older one: then it is in the
    // chain like any other.
    check.wanted.extend(pieces.noted);
    for unseen in pieces.unseen {
        check.unseen(&unseen.path, &unseen.reason);
    }
    let mut last = None;
    for piece in pieces.files {
        check.file(&piece)?;
        last = Some(piece.path);
    }
    check.end(last.as_deref());
    Ok(check.found)
}

#[derive(Debug, Default)]
struct Check {
    found: Verification,
    /// The last line that is right.
    good: Option<Head>,
    strays: VecDeque<Stray>,
    wanted: Vec<Head>,
    noted: Option<Head>,
    /// A line that is none, until the next one says that a crash tore it.
    torn: Option<(Problem, String)>,
    /// Lines that are none since the last that is one.
    unread: u64,
    /// The file's lines begin with the next one.
    at_start: bool,
    /// The last line read, and where.
    last: Vec<u8>,
    last_number: usize,
    /// So many holes may be what is in files that nobody looked at.
    holes: usize,
    /// The log itself is among the files: behind its last line nothing is in another one.
    is_log_here: bool,
}

/// A line that doesn't follow.
#[derive(Debug)]
struct Stray {
    head: Head,
    /// Its place among the faults, if it is told there.
    fault: Option<usize>,
    /// Nothing that is a line came after it yet.
    is_last: bool,
}

impl Check {
    fn file(&mut self, piece: &Piece) -> Result<()> {
        let path = &piece.path;
        self.at_start = true;
        let mut reading = match piece.reading() {
            Ok(reading) => reading,
            Err(error) => return self.shut(path, 0, &error),
        };
        loop {
            match reading.next() {
                Ok(Next::End) => break,
                Ok(Next::Line) => self.line(path, reading.number, &reading.line),
                Ok(Next::Long) => self.unreadable(path, reading.number, &reading.line),
                Ok(Next::Endless) => {
                    self.unreadable(path, reading.number, &reading.line);
                    let reason = "is no line, and has no end: what is behind it is not read";
                    self.tell(Problem::new(path, reading.number, &reading.line, reason));
                    break;
                }
                Ok(Next::Open) => {
                    let reason = "a crash tore this line: it is not closed yet";
                    let note = Problem::new(path, reading.number, &reading.line, reason);
                    self.found.notes.push(note);
                }
                Err(error) => return self.shut(path, reading.number, &error),
            }
            std::mem::swap(&mut self.last, &mut reading.line);
            self.last_number = reading.number;
        }
        self.tell_torn();
        Ok(())
    }

    /// A file that can't be read, or not to its end.
    fn shut(&mut self, path: &Path, number: usize, error: &io::Error) -> Result<()> {
        self.tell_torn();
        match Shut::of(path, error) {
            None => return Err(Error::io(path, error)),
            Some(Shut::Unseen(reason)) => self.unseen(path, &reason),
            Some(Shut::Damaged(reason)) => self.tell(Problem::new(path, number, b"", reason)),
        }
        Ok(())
    }

    fn unseen(&mut self, path: &Path, reason: &str) {
        self.found.unseen.push(format!("{}: {reason}", path.display()));
        self.holes += 1;
    }

    /// May lines up to this number be in a file that nobody looked at? Each is one hole.
    fn is_unseen(&mut self, to: u64) -> bool {
        let is_one = self.holes > 0;
        if is_one {
            self.holes -= 1;
            self.found.unseen_to = self.found.unseen_to.max(to);
        }
        is_one
    }

    fn line(&mut self, path: &Path, number: usize, bytes: &[u8]) {
        let Some(line) = AuditLine::parse(bytes) else {
            return self.unreadable(path, number, bytes);
        };
        let fault = |reason: String| Problem::new(path, number, bytes, reason);
        self.closes(&line, &fault);
        if std::mem::take(&mut self.at_start) && !self.goes_on(&line, &fault) {
            // There is nothing to check it by: the chain is taken up here.
            self.unread = 0;
            return self.accept(&line, &fault);
        }
        let good = self.good.unwrap_or_else(Head::none);
        let unread = std::mem::take(&mut self.unread);
        if hash(good.hash, line.body) == line.head.hash {
            if line.head.seq != good.seq + 1 {
                let reason = format!(
                    "is number {}, but comes behind {}: the numbers were forged",
                    line.head.seq, good.seq
                );
                self.tell(fault(reason));
            }
            self.accept(&line, &fault);
        } else if line.event == CUT.as_bytes()
            && let Some(previous) = line.head_field("previous").filter(|p| line.follows(*p))
        {
            let reason = if previous.seq > good.seq {
                format!(
                    "{} before this line were cut off the log's end while nobody wrote to it",
                    numbers(good.seq + 1, previous.seq)
                )
            } else {
                format!("number {} before this line was replaced", previous.seq)
            };
            self.tell(fault(reason));
            self.accept(&line, &fault);
        } else if self.follows_stray(&line) {
            self.accept(&line, &fault);
        } else if unread > 0 && line.head.seq == good.seq + unread + 1 {
            // The hash before is not to be read: that line has its fault.
            self.accept(&line, &fault);
        } else {
            self.stray(&line, good, &fault);
        }
    }

    /// The first line of a file: it names the end of the file before. False if
    /// there is nothing that it could follow.
    fn goes_on(&mut self, line: &AuditLine<'_>, fault: &dyn Fn(String) -> Problem) -> bool {
        let begins = line.event == BEGIN.as_bytes();
        let named = line.head_field("previous").unwrap_or_else(Head::none);
        let Some(good) = self.good else {
            self.found.first = Some(line.head.seq);
            self.good = Some(named);
            self.wanted.retain(|head| *head != named);
            if !begins && line.head.seq != self.unread + 1 {
                self.tell(fault("is the first line, but lines before it are missing".into()));
            } else if !begins && line.head.seq == 1 {
                self.tell(fault("was edited: a log begins with `begin`".into()));
            }
            return begins;
        };
        if begins && named != good {
            if named.seq > good.seq && self.is_unseen(named.seq) {
                self.good = Some(named);
                self.wanted.retain(|head| *head != named);
                return true;
            }
            let reason = if named.seq > good.seq {
                let missing = numbers(good.seq + 1, named.seq);
                format!("{missing} before this file are missing: cut off, or in a file not here")
            } else {
                let (from, end) = (named.seq, good.seq);
                format!("this file goes on from {from}, but the file before ends with {end}")
            };
            self.tell(fault(reason));
            self.good = Some(named);
        }
        true
    }

    /// A record that closes a torn line, and the line before it.
    fn closes(&mut self, line: &AuditLine<'_>, fault: &dyn Fn(String) -> Problem) {
        let field = [BEGIN, TORN, CUT].iter().any(|event| line.event == event.as_bytes());
        let field = if field { line.field("torn") } else { None };
        match (field, self.torn.take()) {
            (Some(field), Some((problem, torn))) if field == torn => {
                let reason = "a crash tore this line: it is closed by the next".into();
                self.found.notes.push(Problem { reason, ..problem });
                self.unread = 0;
            }
            (Some(_), Some((problem, _))) => {
                let reason = "was changed after the next line had closed it as torn".into();
                self.tell(Problem { reason, ..problem });
                self.unread = 0;
            }
            (Some(_), None) => {
                self.tell(fault("closes a torn line that was removed".into()));
            }
            (None, torn) => {
                self.torn = torn;
                self.tell_torn();
            }
        }
    }

    /// A line that is none: torn, if the next one says so.
    fn unreadable(&mut self, path: &Path, number: usize, bytes: &[u8]) {
        self.tell_torn();
        self.unread += 1;
        let problem = Problem::new(path, number, bytes, "is no line of an audit log");
        self.torn = Some((problem, torn_field(bytes)));
    }

    fn tell_torn(&mut self) {
        if let Some((problem, _)) = self.torn.take() {
            self.tell(problem);
        }
    }

    /// Does it come behind a line that itself doesn't follow?
    fn follows_stray(&mut self, line: &AuditLine<'_>) -> bool {
        let found = self.strays.iter().position(|stray| {
            (stray.is_last || stray.head.seq.checked_add(1) == Some(line.head.seq))
                && hash(stray.head.hash, line.body) == line.head.hash
        });
        let Some(index) = found else { return false };
        if let Some(stray) = self.strays.remove(index)
            && !stray.is_last
            && let Some(fault) = stray.fault.and_then(|fault| self.found.faults.get_mut(fault))
        {
            fault.reason = format!(
                "is out of order: number {} belongs before the line of number {}",
                stray.head.seq, line.head.seq
            );
        }
        true
    }

    fn stray(&mut self, line: &AuditLine<'_>, good: Head, fault: &dyn Fn(String) -> Problem) {
        let expected = good.seq + 1;
        let seq = line.head.seq;
        let reason = if seq == expected {
            "was edited, or put in place of another: its hash doesn't follow from the line before"
                .to_string()
        } else if seq > expected {
            format!("{} before this line are missing", numbers(expected, seq - 1))
        } else {
            format!("was inserted or moved here: it is number {seq}, behind {}", good.seq)
        };
        for stray in &mut self.strays {
            stray.is_last = false;
        }
        let index = self.found.faults.len();
        self.tell(fault(reason));
        let told = (self.found.faults.len() > index).then_some(index);
        // The line is there, if not as it was: what is wrong is told.
        self.wanted.retain(|head| *head != line.head);
        self.strays.push_back(Stray { head: line.head, fault: told, is_last: true });
        if self.strays.len() > STRAYS {
            self.strays.pop_front();
        }
    }

    fn accept(&mut self, line: &AuditLine<'_>, fault: &dyn Fn(String) -> Problem) {
        for stray in &mut self.strays {
            stray.is_last = false;
        }
        self.good = Some(line.head);
        self.found.lines += 1;
        if self.wanted.is_empty() {
            return;
        }
        let wanted = std::mem::take(&mut self.wanted);
        for head in wanted {
            if head.seq != line.head.seq {
                self.wanted.push(head);
            } else if head != line.head {
                self.tell(fault(format!(
                    "is not the line that number {} was when its head {} was given out",
                    head.seq, head.hash
                )));
            }
        }
    }

    /// What only the end of all files shows.
    fn end(&mut self, path: Option<&Path>) {
        let last = self.strays.back().filter(|stray| stray.is_last).map(|stray| stray.head);
        self.found.head = self
            .good
            .into_iter()
            .chain(last)
            .max_by_key(|head| head.seq)
            .filter(|head| head.seq > 0);
        let first = self.found.first;
        let end = self.found.head.map_or(0, |head| head.seq);
        if first.is_none_or(|first| first > 1) && self.holes > 0 {
            let before = first.map_or(u64::MAX, |first| first - 1);
            self.found.unseen_to = self.found.unseen_to.max(before);
        }
        let is_open = self.holes > 0 && !self.is_log_here;
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.sort_by_key(|head| head.seq);
        wanted.dedup();
        let line = std::mem::take(&mut self.last);
        let path = path.unwrap_or(Path::new("audit.log"));
        for head in wanted {
            if head.seq <= self.found.unseen_to && head.seq < end || is_open && head.seq > end {
                self.found.unseen_to = self.found.unseen_to.max(head.seq);
                continue;
            }
            let reason = if self.last_number == 0 {
                format!("the log is empty, but number {} was written", head.seq)
            } else if head.seq > end {
                format!(
                    "is the last line, but number {} was written: {} were cut off the end",
                    head.seq,
                    numbers(end + 1, head.seq)
                )
            } else if first.is_some_and(|first| head.seq < first) {
                if self.noted == Some(head) {
                    continue;
                }
                format!("number {} was in an older file, which is not here", head.seq)
            } else {
                // Its place is in a hole that is told already.
                format!("number {} with the hash {} is not in the log", head.seq, head.hash)
            };
            self.tell(Problem::new(path, self.last_number, &line, reason));
        }
    }

    fn tell(&mut self, fault: Problem) {
        if self.found.faults.len() < TOLD {
            self.found.faults.push(fault);
        } else {
            self.found.more += 1;
        }
    }
}

fn numbers(from: u64, to: u64) -> String {
    match to.saturating_sub(from) {
        0 => format!("number {from}"),
        _ => format!("numbers {from} to {to}"),
    }
}
