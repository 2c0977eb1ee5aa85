//! The verbs of a tool: one row each, from which its dispatch, its help and the
//! refusal of other words follow.

use super::Tool;
use super::options::{OptionGroup, Order};
use crate::base::error::Error;
use crate::base::nearest::nearest;

/// A verb of a tool; `F` is what does it.
#[derive(Debug)]
pub struct VerbRow<F: 'static> {
    /// The word that people type.
    pub word: &'static str,
    /// Its arguments, for `--help`.
    pub arguments: &'static str,
    /// What it does, for `--help`.
    pub help: &'static str,
    /// Its own options.
    pub options: &'static [&'static OptionGroup],
    /// Where they may stand.
    pub order: Order,
    /// What does it.
    pub run: F,
}

/// The row of this word.
///
/// # Errors
/// Exit 64, with the nearest word.
pub fn find<F>(
    tool: &Tool,
    verbs: &'static [VerbRow<F>],
    word: &str,
) -> Result<&'static VerbRow<F>, Error> {
    if let Some(row) = verbs.iter().find(|row| row.word == word) {
        return Ok(row);
    }
    let meant = nearest(word, verbs.iter().map(|row| row.word));
    let meant = meant.map(|meant| format!("{} {meant} is one", tool.name));
    Err(tool.misspelt(format!("{word}: no such verb"), meant))
}

/// The verbs for [`super::help::Help`].
pub fn listed<F>(verbs: &'static [VerbRow<F>]) -> Vec<(String, &'static str)> {
    let spelled =
        |row: &VerbRow<F>| format!("{} {}", row.word, row.arguments).trim_end().to_string();
    verbs.iter().map(|row| (spelled(row), row.help)).collect()
}

/// The words, for a message that asks for one.
pub fn words<F>(verbs: &'static [VerbRow<F>]) -> String {
    verbs.iter().map(|row| row.word).collect::<Vec<_>>().join(", ")
}
