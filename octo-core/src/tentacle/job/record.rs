//! `record`: the one file of a job that is brought to the disk. What the job was published
//! from, what it was permitted, that it started and how it ended stands there, appended with
//! one sync a step:
//!
//! ```text
//! part NAME LENGTH SHA256
//! …LENGTH bytes, LF…
//! ```
//!
//! The files of these names are copies for whoever reads them, and nobody syncs them. A power
//! cut may tear them: then they are made anew, once a boot, before anybody of octo-exec's
//! reads them.

use super::{End, JobDirectory};
use crate::base::appended;
use crate::base::digest::Digest;
use crate::base::error::{Error, Result};
use crate::base::leader;
use crate::base::paths::Places;
use crate::base::publish::{self, Reserved};
use crate::base::record::Record;
use crate::base::units::whole;
use crate::tentacle::layout;
use crate::tentacle::seal::Sealed;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

/// Its name.
pub(super) const RECORD: &str = "record";
/// What octo-exec signs of the end, and its signature: octo-job(5).
pub const SEAL: &str = "end.seal";
/// The signature of [`SEAL`].
pub const SEAL_SIGNATURE: &str = "end.seal.sig";

/// What it may hold: a record that somebody forged names no other file.
const PARTS: [&str; 10] = [
    "origin",
    "spec",
    "request",
    "request.sig",
    "request.crt",
    "grant",
    "started",
    SEAL,
    SEAL_SIGNATURE,
    "end",
];
/// More than all that may be in one.
const LARGEST: u64 = 4 << 20;

/// Most are smaller.
const IN_ONE_READ: usize = 4096;

/// What a job's file of that name holds.
pub(super) type Part<'a> = (&'a str, &'a [u8]);

/// The bytes that say these.
pub(super) fn encode(parts: &[Part<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, part) in parts {
        let head = format!("part {name} {} {}\n", part.len(), Digest::of(part));
        bytes.extend([head.as_bytes(), part, b"\n"].concat());
    }
    bytes
}

/// The whole parts at the beginning, and where they end.
fn decode(bytes: &[u8]) -> (Vec<Part<'_>>, usize) {
    let (mut parts, mut at) = (Vec::new(), 0);
    while let Some((part, length)) = first(&bytes[at..]) {
        parts.push(part);
        at += length;
    }
    (parts, at)
}

fn first(bytes: &[u8]) -> Option<(Part<'_>, usize)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let mut words = std::str::from_utf8(&bytes[..end]).ok()?.strip_prefix("part ")?.split(' ');
    let name = words.next().filter(|name| PARTS.contains(name))?;
    let length = whole(words.next()?)?;
    let digest = words.next().and_then(Digest::parse)?;
    let rest = &bytes[end + 1..];
    let length = usize::try_from(length).ok()?;
    let part = rest.get(..length).filter(|part| Digest::of(part) == digest)?;
    (rest.get(length) == Some(&b'\n')).then_some(((name, part), end + length + 2))
}

impl JobDirectory {
    /// Appends these to the record, on the disk when this returns.
    ///
    /// # Errors
    /// Exit 73 or 74; what is there of them by then says nothing.
    fn keep(&self, parts: &[Part<'_>]) -> Result<()> {
        let path = self.file(RECORD);
        let failed = |e: &io::Error| Error::doing("write", &path, e);
        let mut file = match File::options().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Of a job that was taken over from elsewhere.
                return self.publish_bytes(RECORD, &encode(parts));
            }
            other => other.map_err(|e| failed(&e))?,
        };
        let mut bytes = Vec::with_capacity(IN_ONE_READ);
        (&mut file).take(LARGEST).read_to_end(&mut bytes).map_err(|e| failed(&e))?;
        // What a crash has torn is written over.
        let end = decode(&bytes).1 as u64;
        let mut write = || {
            file.seek(SeekFrom::Start(end))?;
            file.write_all(&encode(parts))?;
            let length = file.stream_position()?;
            file.set_len(length)?;
            file.sync_data()
        };
        let written = write();
        written.map_err(|e| {
            let _ = file.set_len(end);
            failed(&e)
        })
    }

    /// Publishes records, in their order: they are on the disk before anybody sees one.
    ///
    /// # Errors
    /// Exit 73 or 74.
    pub fn publish_records(&self, records: &[(&str, Record)]) -> Result<()> {
        let texts: Vec<(&str, String)> =
            records.iter().map(|(name, record)| (*name, record.encode())).collect();
        let parts: Vec<Part<'_>> =
            texts.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        self.keep(&parts)?;
        let readers = self.readers().map_err(|e| Error::io(self.path(), &e))?;
        parts.iter().try_for_each(|(name, part)| publish::copy(&self.file(name), part, readers))
    }

    /// Publishes the job's end, in the room that was kept for it, and before it what seals it:
    /// whoever sees the end looks for that next.
    ///
    /// # Errors
    /// Exit 73 or 74.
    pub fn publish_end(
        &self,
        end: &End,
        sealed: Option<&Sealed>,
        mut room: Option<Reserved>,
    ) -> Result<()> {
        let text = end.record().encode();
        let readers = self.readers().map_err(|e| Error::io(self.path(), &e))?;
        let path = self.file("end");
        let seal = sealed.map(|it| [(SEAL, &it.seal[..]), (SEAL_SIGNATURE, &it.signature)]);
        let mut parts: Vec<Part<'_>> = seal.into_iter().flatten().collect();
        if let Some(room) = room.as_mut().filter(|_| sealed.is_some()) {
            // The rest of the room is theirs, where the disk is full: without it an end that is
            // told is one that nobody can prove.
            room.shrink(text.len()).map_err(|e| Error::io(&path, &e))?;
        }
        parts.push(("end", text.as_bytes()));
        let kept = self.keep(&parts);
        for (name, part) in seal.into_iter().flatten() {
            let path = self.file(name);
            // Without them it is an end that nobody can prove, and is told all the same.
            let _ = match kept {
                Ok(()) => publish::copy(&path, part, readers),
                Err(_) => publish::replace(&path, part, readers),
            };
        }
        match (kept, room) {
            (Ok(()), None) => publish::copy(&path, text.as_bytes(), readers),
            (Ok(()), Some(room)) => room.copy(&path, text.as_bytes(), readers),
            // Without room for it there: the file itself is brought to the disk.
            (Err(_), Some(room)) => room.replace(&path, text.as_bytes(), readers),
            (Err(_), None) => publish::replace(&path, text.as_bytes(), readers),
        }
    }

    /// Makes the copies anew that are not what the record says.
    fn restore(&self) -> Result<()> {
        let Some(bytes) = self.read(RECORD, LARGEST)? else { return Ok(()) };
        let parts = decode(&bytes).0;
        for (at, (name, part)) in parts.iter().enumerate() {
            let is_last = parts[at + 1..].iter().all(|(other, _)| other != name);
            if is_last && std::fs::read(self.file(name)).ok().as_deref() != Some(part) {
                self.publish_bytes(name, part)?;
            }
        }
        Ok(())
    }
}

/// Makes anew what a power cut has torn of the copies in all jobs, once a boot. Others of
/// octo-exec's wait meanwhile.
///
/// # Errors
/// Where it can't be said whether that was done.
pub fn restore(places: &Places) -> Result<()> {
    if !places.locks().is_dir() {
        return Ok(());
    }
    let path = layout::lock_path(places, "boot");
    let mut seen = layout::lock_file(places, "boot")?;
    let failed = |e: io::Error| Error::io(&path, &e);
    let is_done = || {
        let mut boot = [0; 64];
        let count = File::open(&path).and_then(|file| file.read_at(&mut boot, 0));
        count.map(|count| boot[..count] == *leader::boot().as_bytes()).map_err(failed)
    };
    if is_done()? {
        return Ok(());
    }
    appended::lock(&seen, &path, true)?;
    if is_done()? {
        return Ok(());
    }
    let mut is_whole = true;
    for job in JobDirectory::all(places)? {
        is_whole &= job.restore().is_ok() || !job.exists();
    }
    // Where the disk is full it is tried again, and nobody is kept from making room.
    if is_whole {
        seen.set_len(0).map_err(failed)?;
        seen.write_all(leader::boot().as_bytes()).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_and_what_is_torn_is_none() {
        let all = [("origin", &b"by me\n"[..]), ("spec", b""), ("end", b"\0\xff\n\n")];
        let bytes = encode(&all);
        assert_eq!(decode(&bytes), (all.to_vec(), bytes.len()));
        let two = encode(&all[..2]);
        for cut in two.len()..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), (all[..2].to_vec(), two.len()), "{cut}");
        }
        for at in two.len()..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert_eq!(decode(&bytes).0, all[..2], "{at}");
        }
    }
}
