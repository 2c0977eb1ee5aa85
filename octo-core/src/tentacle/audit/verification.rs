//! What comes of a check.

use super::line::Head;
use crate::base::problem::Problem;

/// What a check of the chain has found.
#[derive(Debug, Default)]
pub struct Verification {
    /// Lines that follow from the line before.
    pub lines: u64,
    /// The first line's number: above 1 where older files are not here.
    pub first: Option<u64>,
    /// The last line's number and hash.
    pub head: Option<Head>,
    /// What is wrong, as `path:line: reason`; empty if the chain is whole.
    pub faults: Vec<Problem>,
    /// So many more faults are not listed.
    pub more: u64,
    /// What is no fault but worth knowing: lines that a crash tore.
    pub notes: Vec<Problem>,
    /// Files that could not be looked at, as `path: reason`.
    pub unseen: Vec<String>,
    /// The lines up to this number may be in one of those.
    pub unseen_to: u64,
}

impl Verification {
    /// Is nothing wrong?
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }
}
