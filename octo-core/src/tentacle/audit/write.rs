//! Writing to the log: under the lock, behind the last line, on the disk
//! before it is said to be.

use super::compressed;
use super::line::{self, Head};
use super::tail::{Tail, rotated, tail};
use crate::base::appended::{self, Access};
use crate::base::digest::Digest;
use crate::base::error::{Error, Result};
use crate::base::paths::Places;
use crate::base::publish::{self, Readers};
use crate::tentacle::layout::{self, Owner, Side};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The one of a process who writes.
#[derive(Debug)]
pub(super) struct Writer {
    places: Places,
    side: Side,
    path: PathBuf,
    heads: PathBuf,
    files: Option<Files>,
    /// What this process wrote last: as long as the file has that size, nobody
    /// else has written.
    known: Option<(u64, Head)>,
}

#[derive(Debug)]
struct Files {
    log: File,
    head: File,
    /// Held by who writes. Not the log itself: whoever may read that could hold it.
    lock: File,
}

impl Writer {
    pub(super) fn new(places: &Places, side: Side) -> Writer {
        let path = log_file(places, side);
        let (places, heads) = (places.clone(), head_file(&path));
        Writer { places, side, heads, path, files: None, known: None }
    }

    /// Appends these events in order, with one fsync; their heads.
    pub(super) fn write(&mut self, events: &[String]) -> Result<Vec<Head>> {
        let files = self.take_locked()?;
        let written = self.append(&files, events);
        // Only files that are sound stay open; dropped, they are unlocked.
        if written.is_ok() {
            files.lock.unlock().map_err(|e| Error::io(&self.path, &e))?;
            self.files = Some(files);
        } else {
            self.known = None;
        }
        written
    }

    /// The files, the log locked and still of its name: a rotation may have
    /// come between opening and locking.
    fn take_locked(&mut self) -> Result<Files> {
        loop {
            let files = match self.files.take() {
                Some(files) => files,
                None => self.open()?,
            };
            appended::lock(&files.lock, &self.path, true)?;
            if appended::is_at(&files.log, &self.path)?
                && appended::is_at(&files.head, &self.heads)?
            {
                return Ok(files);
            }
            self.known = None;
        }
    }

    fn open(&self) -> Result<Files> {
        let readers = match self.side {
            Side::Executor => {
                layout::make(&self.places)?;
                layout::readers(&self.places, 0o640)
            }
            Side::Listener => {
                layout::make_for_listener(&self.places, Owner::this_process())?;
                Readers::from(0o640)
            }
        };
        Ok(Files {
            lock: lock_file(&self.places, self.side)?,
            log: appended::open_or_create(&self.path, Access::Append, readers)?,
            head: appended::open_or_create(&self.heads, Access::Write, readers)?,
        })
    }

    fn append(&mut self, files: &Files, events: &[String]) -> Result<Vec<Head>> {
        let failed = |e: &std::io::Error| Error::doing("write", &self.path, e);
        let size = files.log.metadata().map_err(|e| failed(&e))?.size();
        let now = now();
        let mut lines = Vec::new();
        let mut head = match self.known {
            Some((known, head)) if known == size => head,
            _ => self.link(files, size, &now, &mut lines)?,
        };
        let mut heads = Vec::with_capacity(events.len());
        for event in events {
            head = line::push(&mut lines, head, &now, event);
            heads.push(head);
        }
        let written = (&files.log).write_all(&lines).and_then(|()| files.log.sync_data());
        let written = written.map_err(|e| failed(&e)).and_then(|()| {
            if size == 0 {
                publish::sync_parent(&self.path)?;
            }
            write_head(&files.head, &self.heads, head)
        });
        if let Err(error) = written {
            // Half of it may be there. An fsync that failed is not tried again:
            // what it was to keep is taken back, since nothing of it is done.
            let _ = files.log.set_len(size);
            return Err(error);
        }
        self.known = Some((size + lines.len() as u64, head));
        Ok(heads)
    }

    /// The head to go on from, after records of what is not as it should be.
    fn link(&self, files: &Files, size: u64, now: &str, lines: &mut Vec<u8>) -> Result<Head> {
        let end = tail(&files.log, &self.path, size)?;
        let noted = read_head(&files.head);
        if end.open {
            lines.push(b'\n');
        }
        let Some(head) = end.head else {
            return self.begin(noted, &end, now, lines);
        };
        let torn = end.torn.as_deref().map(torn_field);
        let torn = torn.as_deref().map(|torn| ("torn", torn));
        // The head file is written behind the log: it can't be ahead, unless
        // lines were taken off the log.
        let ahead = |n: &Head| n.seq > head.seq || (n.seq == head.seq && *n != head);
        let Some(noted) = noted.filter(ahead) else {
            let Some(torn) = torn else { return Ok(head) };
            return Ok(line::push(lines, head, now, &line::event(TORN, &[torn])?));
        };
        let (previous, after) = (noted.to_string(), head.to_string());
        let mut fields = vec![("previous", previous.as_str()), ("after", after.as_str())];
        fields.extend(torn);
        Ok(line::push(lines, noted, now, &line::event(CUT, &fields)?))
    }

    /// The first line of a file: it names the head that the file before ended
    /// with, or none where the chain itself begins.
    fn begin(
        &self,
        noted: Option<Head>,
        end: &Tail,
        now: &str,
        lines: &mut Vec<u8>,
    ) -> Result<Head> {
        let mut previous = noted;
        for path in rotated(&self.path)? {
            // The head that is beside the log knows as much.
            if compressed::program(&path).is_some() {
                continue;
            }
            let Some(older) = appended::open(&path, Access::Read)? else { continue };
            let size = older.metadata().map_err(|e| Error::io(&path, &e))?.size();
            // What is no log is none of ours; the check names it.
            let Ok(Tail { head: Some(head), .. }) = tail(&older, &path, size) else {
                continue;
            };
            if previous.is_none_or(|previous| head.seq > previous.seq) {
                previous = Some(head);
            }
        }
        let torn = end.torn.as_deref().map(torn_field);
        let named = previous.map(|head| head.to_string());
        let mut fields = Vec::new();
        fields.extend(named.as_deref().map(|head| ("previous", head)));
        fields.extend(torn.as_deref().map(|torn| ("torn", torn)));
        let event = line::event(BEGIN, &fields)?;
        Ok(line::push(lines, previous.unwrap_or_else(Head::none), now, &event))
    }
}

/// The event that opens each file.
pub(super) const BEGIN: &str = "begin";
/// The event that closes a line which a crash tore.
pub(super) const TORN: &str = "torn";
/// The event behind the place where lines were taken off the end.
pub(super) const CUT: &str = "cut";

/// What binds a torn line into the chain: its length and digest.
pub(super) fn torn_field(torn: &[u8]) -> String {
    format!("{}:{}", torn.len(), Digest::of(torn))
}

/// The log of octo-exec, or the listener's.
pub(super) fn log_file(places: &Places, side: Side) -> PathBuf {
    match side {
        Side::Executor => places.audit(),
        Side::Listener => places.listen_audit(),
    }
}

/// What who writes holds; nobody else can open it.
pub(super) fn lock_file(places: &Places, side: Side) -> Result<File> {
    match side {
        Side::Executor => layout::lock_file(places, "audit"),
        Side::Listener => {
            let path = places.listen().join("audit.lock");
            appended::open_or_create(&path, Access::Append, Readers::from(0o600))
        }
    }
}

/// audit.head, beside audit.log.
pub(super) fn head_file(path: &Path) -> PathBuf {
    path.with_extension("head")
}

/// The head that was noted last; damage is none.
pub(super) fn read_head(file: &File) -> Option<Head> {
    let mut bytes = [0; 128];
    let count = file.read_at(&mut bytes, 0).ok()?;
    Head::parse(std::str::from_utf8(&bytes[..count]).ok()?.strip_suffix('\n')?)
}

/// Overwrites in place, within one sector and without an fsync: after a power
/// cut it is an older head, never one that the log doesn't have.
fn write_head(file: &File, path: &Path, head: Head) -> Result<()> {
    let text = format!("{head}\n");
    file.write_all_at(text.as_bytes(), 0)
        .and_then(|()| match file.metadata()?.size() {
            size if size > text.len() as u64 => file.set_len(text.len() as u64),
            _ => Ok(()),
        })
        .map_err(|e| Error::doing("write", path, &e))
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
