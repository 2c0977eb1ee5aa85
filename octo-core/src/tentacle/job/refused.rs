//! STATE/refused: what octo-exec found in the spool and made no job of, and why. The
//! listener tells it to whoever asks for the job, as its end.

use super::End;
use super::pruned::BEYOND;
use crate::base::beneath;
use crate::base::cli::utc;
use crate::base::digest::Digest;
use crate::base::error::{Error, Exit, Result};
use crate::base::identity::FileIdentity;
use crate::base::names::{JobId, PusherName};
use crate::base::paths::{Places, if_there, read_bounded};
use crate::base::publish;
use crate::base::record::Record;
use crate::base::thumbprint::Thumbprint;
use crate::tentacle::layout;
use crate::tentacle::seal::Sealed;
use crate::tentacle::statement::HOLDS_FOR;
use jiff::Timestamp;
use std::fs::File;
use std::path::PathBuf;

/// So many notes are kept, the newest.
const KEPT: usize = 1000;
/// A note is a reason and few numbers.
const LARGEST: u64 = 64 * 1024;

/// Why an entry of the spool became no job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// `denied`, with its code and reason.
    pub end: End,
    /// Who asked, by the words of the entry: nothing of it was believed.
    pub pusher: Option<Thumbprint>,
    /// What the pusher is called, where its signature was verified: in its account the
    /// note counts.
    pub name: Option<PusherName>,
    /// The spec that was spooled.
    pub spec: Option<Digest>,
    /// Until when the statement holds, where its signature was verified: so long the note
    /// must stay, or the same statement could be spooled once more and run.
    pub until: Option<Timestamp>,
    /// Which file it was, as [`refuse`] found it.
    pub identity: Option<String>,
    /// What seals the end, where [`Refused::is_lasting`]: one that is told without is proved
    /// by nothing.
    pub sealed: Option<Sealed>,
}

fn sealed(record: &Record) -> Option<Sealed> {
    let bytes = |key| Some(record.all(key).next()?.concat());
    Some(Sealed { seal: bytes("seal")?, signature: bytes("seal-sig")? })
}

fn identity(places: &Places, entry: &str) -> Option<String> {
    FileIdentity::of(&places.spool().join(entry)).map(|identity| identity.to_string())
}

impl Refused {
    /// Of an entry of which nothing else is known.
    pub fn new(end: End) -> Refused {
        let (pusher, name, spec, until) = (None, None, None, None);
        Refused { end, pusher, name, spec, until, identity: None, sealed: None }
    }

    /// The note on this entry, named `JOB` or `JOB.cancel`, if there is one.
    ///
    /// # Errors
    /// Where it can't be read or understood.
    pub fn read(places: &Places, entry: &str) -> Result<Option<Refused>> {
        let path = places.refused().join(entry);
        let Some(mut file) = if_there(&path, File::open(&path))? else { return Ok(None) };
        let bytes = read_bounded(&mut file, &path, LARGEST)?;
        let damaged = || Error::new(Exit::Data, path.display(), "not of the form of octo-job(5)");
        let record = Record::parse(&bytes).map_err(|_| damaged())?;
        Ok(Some(Refused {
            end: End::of(&record).ok_or_else(damaged)?,
            pusher: record.first("pusher").and_then(|text| Thumbprint::parse(text).ok()),
            name: record.first("name").and_then(PusherName::parse),
            spec: record.first("spec").and_then(Digest::parse),
            until: record.first("until").and_then(|text| text.parse().ok()),
            identity: record.first("entry").map(str::to_string),
            sealed: sealed(&record),
        }))
    }

    /// Is it about the entry that now has this name, or about none any more?
    pub fn is_of(&self, places: &Places, entry: &str) -> bool {
        identity(places, entry).is_none_or(|identity| self.identity == Some(identity))
    }

    /// Does it stay for as long as any statement about its entry may be taken up? Only then
    /// is its end certain.
    pub fn is_lasting(&self) -> bool {
        let enough = Timestamp::now().saturating_add(HOLDS_FOR).unwrap_or(Timestamp::MAX);
        self.stays_until().is_some_and(|until| until >= enough)
    }

    /// `None` where nobody signed its entry: then only while it is one of the newest.
    fn stays_until(&self) -> Option<Timestamp> {
        self.until.map(|until| until.saturating_add(BEYOND).unwrap_or(Timestamp::MAX))
    }

    /// The note on a request.
    ///
    /// # Errors
    /// As [`Refused::read`].
    pub fn of(places: &Places, id: &JobId) -> Result<Option<Refused>> {
        Refused::read(places, id.as_str())
    }
}

/// Writes the note on an entry of the spool. On a request the first one stays.
///
/// # Errors
/// Exit 73 or 74.
pub fn refuse(places: &Places, entry: &str, refused: &Refused) -> Result<()> {
    layout::make(places)?;
    let mut record = refused
        .end
        .record()
        .with_each("pusher", refused.pusher)
        .with_each("name", refused.name.as_ref())
        .with_each("spec", refused.spec)
        .with_each("until", refused.until.map(utc))
        .with_each("entry", identity(places, entry));
    if let Some(Sealed { seal, signature }) = &refused.sealed {
        record.push("seal", &[seal]);
        record.push("seal-sig", &[signature]);
    }
    let record = record.encode();
    let path = places.refused().join(entry);
    let readers = layout::readers(places, 0o640);
    match JobId::parse(entry) {
        Some(_) => publish::create(&path, record.as_bytes(), readers).map(drop)?,
        None => publish::replace(&path, record.as_bytes(), readers)?,
    }
    forget_oldest(places);
    Ok(())
}

/// Whoever spools without end fills no disk by it. What still lies in the spool keeps its
/// note: without, it would be tried and refused again and again, and fill the audit log.
fn forget_oldest(places: &Places) {
    let Ok(entries) = std::fs::read_dir(places.refused()) else { return };
    let mut notes: Vec<(std::time::SystemTime, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    if notes.len() <= KEPT {
        return;
    }
    notes.sort();
    for (_, path) in &notes[..notes.len() - KEPT] {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let refused = Refused::read(places, name).ok().flatten();
        let until = refused.and_then(|refused| refused.stays_until());
        let holds = until.is_some_and(|until| until >= Timestamp::now());
        if holds || beneath::look(&places.spool().join(name)).is_ok() {
            continue;
        }
        // Another octo-exec may be doing the same.
        let _ = std::fs::remove_file(path);
    }
}
