//! Lines that are added: to a sound file, and only such as can decide.

use super::locked::Edit;
use crate::base::error::{Error, Exit, Result};
use crate::base::names::PusherName;
use crate::base::problem::Problem;
use crate::base::thumbprint::Thumbprint;
use crate::trust::warn::shadow_reason;
use crate::trust::{Trust, parse};
use std::path::Path;

/// A line that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The line's number.
    pub number: usize,
    /// The line itself.
    pub text: String,
    /// Older lines of the thumbprint: they decide while their conditions hold.
    pub older: Vec<usize>,
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
    Trust::parse(path, &edit.bytes).map_err(|problems| Problem::error(&problems))?;
    let mut bytes = edit.bytes.clone();
    if bytes.last().is_some_and(|last| *last != b'\n') {
        bytes.push(b'\n');
    }
    let number = bytes.iter().filter(|b| **b == b'\n').count() + 1;
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(b'\n');
    let trust = Trust::parse(path, &bytes).map_err(|problems| Problem::error(&problems))?;
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
    let older = trust.of(thumbprint).map(|line| line.number).filter(|n| *n != number).collect();
    Ok(Added { number, text, older })
}
