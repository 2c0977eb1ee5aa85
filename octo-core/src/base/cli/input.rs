//! Standard input, which can be read once.

use crate::base::error::{Error, Result};
use std::io::{StdinLock, stdin};
use std::sync::atomic::{AtomicBool, Ordering};

static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Standard input, for the first who asks for it: the second one would find it empty, and
/// take that for what it was told.
///
/// # Errors
/// Exit 64 for whoever comes later.
pub fn standard_input() -> Result<StdinLock<'static>> {
    if IS_TAKEN.swap(true, Ordering::Relaxed) {
        return Err(Error::usage("standard input (-) can be read once, and two want it")
            .hint("a file, or <(…), may stand for one of them"));
    }
    Ok(stdin().lock())
}
