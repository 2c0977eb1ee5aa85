//! Command lines as options' values (`-P`, `--gate`), and quoted for a shell
//! where one is printed to be pasted.

use octo_core::base::argv::split;
pub(crate) use octo_core::base::argv::{join, quote};
use octo_core::base::cli::options::Said;
use octo_core::base::error;

/// The command line that is the value of this option.
///
/// # Errors
/// Exit 64 as for [`split`], naming the option.
pub(crate) fn said(said: &Said, option: &str) -> error::Result<Option<Vec<String>>> {
    let Some(text) = said.one(option)? else { return Ok(None) };
    split(&text).map(Some).map_err(|reason| said.misuse(format!("--{option}: {reason}")))
}
