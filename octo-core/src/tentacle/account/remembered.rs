//! STATE/kept: what each job that is over weighs, and each note, a line each: `JOB BYTES
//! PUSHER`, `refused/ENTRY BYTES PUSHER`; `-` is nobody's. It spares looking into each of
//! them. Whatever is missing in it is looked at, and what is gone counts no more: it may
//! be lost, torn or removed at any time.

use crate::base::appended::{self, Access};
use crate::base::error::{Error, Result};
use crate::base::paths::{Places, if_there, read_bounded};
use crate::base::publish;
use crate::base::units::whole;
use crate::tentacle::layout;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// A million jobs. What is larger is none of ours, and counts as empty.
const LARGEST: u64 = 128 << 20;

/// Who makes and who replaces the file locks this.
const LOCK: &str = "kept";

/// A line that is to be added.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Whose; nobody's where a job was started by hand, or nobody was verified.
    pub(super) owner: Option<String>,
}

/// The file, read whole.
pub(super) struct Remembered {
    text: String,
}

/// Its lines by their first words.
pub(super) type Lines<'a> = HashMap<&'a str, (u64, &'a str)>;

impl Remembered {
    pub(super) fn load(places: &Places) -> Result<Remembered> {
        let path = places.kept();
        let bytes = match if_there(&path, File::open(&path))? {
            Some(mut file) => read_bounded(&mut file, &path, LARGEST).unwrap_or_default(),
            None => Vec::new(),
        };
        // Of one bad byte its line is lost alone: were all, each count would add them anew.
        Ok(Remembered { text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    /// What a crash tore is no line.
    pub(super) fn lines(&self) -> Lines<'_> {
        let whole_lines = self.text.rfind('\n').map_or("", |end| &self.text[..end]);
        whole_lines.split('\n').filter_map(parse).collect()
    }
}

fn parse(line: &str) -> Option<(&str, (u64, &str))> {
    let mut words = line.split(' ');
    let (name, bytes, owner) = (words.next()?, words.next()?, words.next()?);
    Some((name, (whole(bytes)?, owner))).filter(|_| words.next().is_none())
}

/// Adds these lines. Nothing is made durable: what is lost is looked at again.
pub(super) fn add(places: &Places, new: &[Line]) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let path = places.kept();
    layout::make(places)?;
    let _alone = layout::lock(places, LOCK)?;
    let readers = layout::readers(places, 0o640);
    let mut file = appended::open_or_create(&path, Access::Append, readers)?;
    // A longer one isn't read: each count would add to it what it doesn't find there.
    if file.metadata().is_ok_and(|found| found.len() >= LARGEST) {
        return Ok(());
    }
    // A first LF ends what a crash tore: an empty line is none.
    let mut text = String::from("\n");
    for Line { name, bytes, owner } in new {
        let owner = owner.as_deref().unwrap_or("-");
        // A String takes what it is given.
        let _ = writeln!(text, "{name} {bytes} {owner}");
    }
    file.write_all(text.as_bytes()).map_err(|e| Error::doing("append to", &path, &e))
}

/// Drops the lines of what does not lie there any more.
pub(super) fn forget_gone(places: &Places) -> Result<()> {
    let path = places.kept();
    if !path.exists() {
        return Ok(());
    }
    let _alone = layout::lock(places, LOCK)?;
    let there: HashSet<String> = names(places)?.into_iter().collect();
    let remembered = Remembered::load(places)?;
    let mut text = String::new();
    for (name, (bytes, owner)) in remembered.lines() {
        if there.contains(name) {
            let _ = writeln!(text, "{name} {bytes} {owner}");
        }
    }
    publish::replace(&path, text.as_bytes(), layout::readers(places, 0o640))
}

/// All that a line can be about, as a line names it.
pub(super) fn names(places: &Places) -> Result<Vec<String>> {
    let mut names = names_in(&places.jobs())?;
    let refused = names_in(&places.refused())?;
    names.extend(refused.into_iter().map(|entry| format!("{NOTE}{entry}")));
    Ok(names)
}

/// What the name of a note begins with.
pub(super) const NOTE: &str = "refused/";

fn names_in(path: &Path) -> Result<Vec<String>> {
    let Some(directory) = if_there(path, File::open(path))? else { return Ok(Vec::new()) };
    layout::names_in(directory).map_err(|e| Error::io(path, &e.into()))
}
