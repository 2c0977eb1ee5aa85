//! Lines that are removed: from an unsound file too, and wrong lines as well.

use super::locked::Edit;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::PusherName;
use crate::base::problem::Problem;
use crate::base::thumbprint::Thumbprint;
use crate::trust::Trust;
use crate::trust::file::owner::Owner;
use crate::trust::file::parse;
use std::path::Path;

/// Whose lines are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Those of one key.
    Thumbprint(Thumbprint),
    /// Those of a pusher, with all its keys.
    Name(PusherName),
}

/// What was removed, and what is still wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The lines, with the numbers that they had.
    pub lines: Vec<(usize, String)>,
    /// Nobody is let in as long as there are any.
    pub problems: Vec<Problem>,
}

/// Removes all lines of a thumbprint or a name, also from an unsound file.
///
/// # Errors
/// Exit 65 where there are none, 78 where the file can't be believed.
pub fn remove_lines(path: &Path, whose: &Whose) -> Result<Removed> {
    let edit = Edit::of_existing(path)?;
    let removed = remove(&edit, path, whose)?;
    if removed.lines.is_empty() {
        let whose = match whose {
            Whose::Thumbprint(thumbprint) => thumbprint.to_string(),
            Whose::Name(name) => name.to_string(),
        };
        return Err(no_line(path, &whose));
    }
    Ok(removed)
}

/// Removes all lines of the thumbprint `old` if `new` has a sound one. That `old`
/// has none any more is no error: this may be the second time.
///
/// # Errors
/// Exit 64 where both are the same, 65 where `new` has no such line, 78 where the
/// file can't be believed; it is then as it was.
pub fn remove_replaced(path: &Path, old: Thumbprint, new: Thumbprint) -> Result<Removed> {
    if old == new {
        return Err(Error::new(Exit::Usage, old, "can't replace itself"));
    }
    let edit = Edit::of_existing(path)?;
    let is_of_new = |bytes: &[u8]| {
        parse::line(1, bytes).is_ok_and(|line| line.is_some_and(|line| line.thumbprint == new))
    };
    if !edit.bytes.split(|b| *b == b'\n').any(is_of_new) {
        return Err(no_line(path, &new.to_string()).hint(format!("{old} stays trusted")));
    }
    remove(&edit, path, &Whose::Thumbprint(old))
}

fn no_line(path: &Path, whose: &str) -> Error {
    Error::new(Exit::Data, path.display(), format!("no line of {whose}"))
}

fn remove(edit: &Edit, path: &Path, whose: &Whose) -> Result<Removed> {
    let mut kept = Vec::with_capacity(edit.bytes.len());
    let mut lines = Vec::new();
    let mut number = 1;
    for piece in pieces(&edit.bytes) {
        let owner = Owner::of(piece);
        let is_theirs = match whose {
            Whose::Thumbprint(thumbprint) => owner.has_key(thumbprint),
            Whose::Name(name) => owner.has_name(name),
        };
        if is_theirs {
            lines.push((number, String::from_utf8_lossy(piece.trim_ascii()).into_owned()));
        } else {
            kept.extend_from_slice(piece);
        }
        number += usize::from(piece.ends_with(b"\n"));
    }
    if !lines.is_empty() {
        edit.commit(&kept)?;
    }
    let problems = Trust::parse(path, &kept).err().unwrap_or_default();
    Ok(Removed { lines, problems })
}

/// The lines of a file, their ends included. A CR alone is none, but whoever
/// mends the file will make one of it.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let ends = |at: usize| match rest[at] {
            b'\r' => rest.get(at + 1) != Some(&b'\n'),
            byte => byte == b'\n',
        };
        let end = (0..rest.len()).find(|at| ends(*at)).map_or(rest.len(), |at| at + 1);
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
