//! Lines that are added: to a sound file, and only such as can decide.

use super::locked::Edit;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::PusherName;
use crate::base::problem::Problem;
use crate::base::thumbprint::Thumbprint;
use crate::trust::file::parse;
use crate::trust::warn::shadow_reason;
use crate::trust::{LARGEST, Line, Trust};
use std::collections::HashSet;
use std::path::Path;

/// A line that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The line's number.
    pub number: usize,
    /// The line itself.
    pub text: String,
}

/// Adds a line at the end; makes the file, and its directory, where there is none.
///
/// # Errors
/// Exit 64 where the options are wrong, 65 where an older line always decides
/// instead, 78 where the file is unsound; it is then as it was.
pub fn add_line(
    path: &Path,
    thumbprint: Thumbprint,
    name: &PusherName,
    options: &str,
) -> Result<Added> {
    let mut text = format!("{thumbprint} {name}");
    if !options.trim().is_empty() {
        text.push(' ');
        text.push_str(options.trim());
    }
    if text.contains('\n') {
        return Err(Error::new(Exit::Usage, "options", "a line break is in them"));
    }
    parse::line(1, text.as_bytes()).map_err(|reason| {
        Error::new(Exit::Usage, "options", reason).hint("octo-trust(5) describes the options")
    })?;

    let edit = Edit::begin(path)?;
    sound(path, &edit.bytes)?;
    let number = next_number(&edit.bytes);
    let bytes = with_lines(&edit.bytes, std::slice::from_ref(&text));
    fits(path, &bytes)?;
    let trust = sound(path, &bytes)?;
    if let Some(shadowed) = trust.unreachable().iter().find(|u| u.line.number == number) {
        let mut error = Error::new(
            Exit::Data,
            path.display(),
            format!("not added, as it {}", shadow_reason(&shadowed.by)),
        );
        for line in &shadowed.by {
            error = error.hint(format!("line {}: {}", line.number, line.text));
        }
        return Err(error.hint(format!("octo-keys distrust {thumbprint}, or edit that line")));
    }
    edit.commit(&bytes)?;
    Ok(Added { number, text })
}

/// Adds for the thumbprint `new` what `old` has: the same names and options, in
/// the same order. A line that could never decide, as one of `new` holds whenever
/// it would, is left out; so nothing is added twice.
///
/// # Errors
/// Exit 65 where `old` has no line, 78 where the file is unsound; it is then as
/// it was.
pub fn add_like(path: &Path, old: Thumbprint, new: Thumbprint) -> Result<Vec<Added>> {
    let edit = Edit::of_existing(path)?;
    let mut trust = sound(path, &edit.bytes)?;
    let first = next_number(&edit.bytes);
    let likes: Vec<Line> =
        trust.of(old).zip(first..).map(|(line, number)| line.like(new, number)).collect();
    if likes.is_empty() {
        return Err(Error::new(Exit::Data, path.display(), format!("no line of {old}")));
    }
    trust.lines = trust.lines.iter().chain(&likes).cloned().collect();
    let idle: HashSet<usize> = trust.unreachable().iter().map(|u| u.line.number).collect();
    let missing = likes.into_iter().filter(|line| !idle.contains(&line.number));
    let texts: Vec<String> = missing.map(|line| line.text).collect();
    if !texts.is_empty() {
        let bytes = with_lines(&edit.bytes, &texts);
        fits(path, &bytes)?;
        sound(path, &bytes)?;
        edit.commit(&bytes)?;
    }
    Ok(texts.into_iter().zip(first..).map(|(text, number)| Added { number, text }).collect())
}

/// The lines of these bytes.
fn sound(path: &Path, bytes: &[u8]) -> Result<Trust> {
    Trust::parse(path, bytes).map_err(|problems| Problem::error(&problems))
}

/// A file that is too large lets nobody in, whoever was in it before.
fn fits(path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.len() as u64 <= LARGEST {
        return Ok(());
    }
    let reason = format!("not added: the file would be larger than {LARGEST} bytes");
    Err(Error::new(Exit::Configuration, path.display(), reason)
        .hint("octo-keys distrust takes lines away"))
}

/// The number of the next line behind these bytes.
fn next_number(bytes: &[u8]) -> usize {
    let ends = bytes.iter().filter(|b| **b == b'\n').count();
    ends + 1 + usize::from(bytes.last().is_some_and(|last| *last != b'\n'))
}

/// These bytes with more lines behind them.
fn with_lines(bytes: &[u8], lines: &[String]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.last().is_some_and(|last| *last != b'\n') {
        bytes.push(b'\n');
    }
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}
