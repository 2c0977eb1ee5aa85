//! STATE/kept: a file a pusher, `-` for nobody's, with a line for each of its jobs that is
//! over, for each note, and for each package: `JOB BYTES TOTAL`, `refused/ENTRY BYTES TOTAL`,
//! `package/SHA256 BYTES TOTAL`. The last line's total is the sum of all: who counts reads the
//! end of one file, however many there are.
//! What goes is not taken off, but at the next look at all that is there: a total may be too
//! large, never too small.

use crate::base::appended::{self, Access};
use crate::base::digest::Digest;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::PusherName;
use crate::base::paths::{Places, if_there, read_bounded};
use crate::base::units::whole;
use crate::tentacle::objects::names_below;
use crate::tentacle::{layout, underway};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A million jobs. What is larger is none of ours, and counts as empty.
const LARGEST: u64 = 128 << 20;

/// So much of the end of a file is read for its last line, and for whether what is to be
/// added was added before: a line is no longer than a tenth of it.
const END: usize = 4096;

/// What the name of a note begins with.
pub(super) const NOTE: &str = "refused/";

/// What the name of a package begins with.
const PACKAGE: &str = "package/";

/// Whose is what nobody asked for, or nobody was verified to have asked for.
const NOBODY: &str = "-";

/// Something that is over, and whose it is.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) owner: Option<PusherName>,
}

/// What is known of each thing that is over: its bytes, and whose it is.
pub(super) type Lines = HashMap<String, (u64, String)>;

fn file_of(places: &Places, owner: Option<&PusherName>) -> PathBuf {
    places.kept().join(owner.map_or(NOBODY, PusherName::as_str))
}

/// The name, the bytes and the total of a line.
fn parse(line: &str) -> Option<(&str, u64, u64)> {
    let mut words = line.split(' ');
    let (name, bytes, total) = (words.next()?, words.next()?, words.next()?);
    Some((name, whole(bytes)?, whole(total)?)).filter(|_| words.next().is_none())
}

/// The end of a file: whole lines, but for the first.
struct End {
    text: String,
    is_open: bool,
    is_empty: bool,
}

impl End {
    fn of(file: &File, path: &Path) -> Result<End> {
        let failed = |e: std::io::Error| Error::io(path, &e);
        let size = file.metadata().map_err(failed)?.len();
        let from = size.saturating_sub(END as u64);
        let mut bytes = vec![0; (size - from) as usize];
        file.read_exact_at(&mut bytes, from).map_err(failed)?;
        let is_open = bytes.last().is_some_and(|last| *last != b'\n');
        // What was torn is no line, and what is in front may be half of one.
        let end = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let start = match from {
            0 => 0,
            _ => bytes.iter().position(|b| *b == b'\n').map_or(end, |start| start + 1),
        };
        let text = String::from_utf8_lossy(&bytes[start..end]).into_owned();
        Ok(End { text, is_open, is_empty: size == 0 })
    }

    /// The sum of all; `None` where the file doesn't say.
    fn total(&self) -> Option<u64> {
        match self.is_empty {
            true => Some(0),
            false => self.text.lines().rev().find_map(parse).map(|(_, _, total)| total),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.text.lines().filter_map(parse).any(|(known, _, _)| known == name)
    }
}

/// The sum of all that is over of this pusher; `None` where that has to be looked at.
pub(super) fn total(places: &Places, owner: &PusherName) -> Result<Option<u64>> {
    let path = file_of(places, Some(owner));
    match if_there(&path, File::open(&path))? {
        Some(file) => Ok(End::of(&file, &path)?.total()),
        None => Ok(Some(0)),
    }
}

/// Adds a line, once, for the holder of the lock. It is not made durable: after a power
/// cut all is looked at anew.
///
/// # Errors
/// Also where the file is damaged: then all is looked at anew.
pub(super) fn add(places: &Places, line: &Line) -> Result<()> {
    let path = file_of(places, line.owner.as_ref());
    let readers = layout::readers(places, 0o640);
    let mut file = appended::open_or_create(&path, Access::Append, readers)?;
    let end = End::of(&file, &path)?;
    // Who had added it was killed before it was noted elsewhere that it had.
    if end.has(&line.name) {
        return Ok(());
    }
    let Some(total) = end.total() else {
        underway::unset_built(places)?;
        return Err(Error::new(Exit::Io, path.display(), "not of the form of octo-job(5)"));
    };
    let torn = if end.is_open { "\n" } else { "" };
    let total = total.saturating_add(line.bytes);
    let text = format!("{torn}{} {} {total}\n", line.name, line.bytes);
    file.write_all(text.as_bytes()).map_err(|e| Error::doing("append to", &path, &e))
}

/// All lines of all pushers, but for packages: a look at all that is there is spared to look
/// into each.
pub(super) fn load(places: &Places) -> Result<Lines> {
    let mut lines = Lines::new();
    for owner in owners(places)? {
        let path = places.kept().join(&owner);
        let Some(mut file) = if_there(&path, File::open(&path))? else { continue };
        let bytes = read_bounded(&mut file, &path, LARGEST).unwrap_or_default();
        // Of one bad byte its line is lost alone; what a crash tore is no line.
        let text = String::from_utf8_lossy(&bytes);
        let whole_lines = text.rfind('\n').map_or("", |end| &text[..end]);
        for (name, bytes, _) in whole_lines.split('\n').filter_map(parse) {
            // Of several, and cheaply looked at.
            if !name.starts_with(PACKAGE) {
                lines.insert(name.to_string(), (bytes, owner.clone()));
            }
        }
    }
    Ok(lines)
}

/// Replaces all files by what is there, for the holder of the lock.
pub(super) fn replace(places: &Places, there: &[(String, u64, String)]) -> Result<()> {
    let mut texts: BTreeMap<&str, (u64, String)> = BTreeMap::new();
    for (name, bytes, owner) in there {
        let (total, text) = texts.entry(owner).or_default();
        *total = total.saturating_add(*bytes);
        // A String takes what it is given.
        let _ = writeln!(text, "{name} {bytes} {total}");
    }
    for (owner, (_, text)) in &texts {
        underway::write_unsynced(places, &places.kept().join(owner), text.as_bytes())?;
    }
    for owner in owners(places)?.iter().filter(|owner| !texts.contains_key(owner.as_str())) {
        let path = places.kept().join(owner);
        if_there(&path, std::fs::remove_file(&path))?;
    }
    Ok(())
}

/// Of whom there are files.
fn owners(places: &Places) -> Result<Vec<String>> {
    let mut owners = names_below(&places.kept())?;
    owners.retain(|name| name == NOBODY || PusherName::parse(name).is_some());
    Ok(owners)
}

/// As which a line's owner stands in [`Lines`].
pub(super) fn word(owner: Option<&PusherName>) -> &str {
    owner.map_or(NOBODY, PusherName::as_str)
}

/// As what a package stands in a line.
pub(super) fn package(digest: &Digest) -> String {
    format!("{PACKAGE}{digest}")
}

/// All jobs and notes, as a line names them.
pub(super) fn names(places: &Places) -> Result<Vec<String>> {
    let mut names = names_below(&places.jobs())?;
    let refused = names_below(&places.refused())?;
    names.extend(refused.into_iter().map(|entry| format!("{NOTE}{entry}")));
    Ok(names)
}
