//! `--check-audit`: is the audit log as it was written?

use octo_core::audit::{Audit, verify_files};
use octo_core::cli::{Tool, print};
use octo_core::paths::Places;
use octo_core::{Exit, Result};
use std::path::PathBuf;

/// Checks the log of these places, or these files of one, and says what is
/// wrong, line by line.
///
/// # Errors
/// Where a file can't be read.
pub(crate) fn check_audit(tool: &Tool, places: &Places, files: &[String]) -> Result<u8> {
    let found = if files.is_empty() {
        Audit::at(places).verify(&[])?
    } else {
        verify_files(&files.iter().map(PathBuf::from).collect::<Vec<_>>(), &[])?
    };
    for problem in found.notes.iter().chain(&found.faults) {
        tool.say(problem);
    }
    if found.more > 0 {
        tool.say(format_args!("{} more faults", found.more));
    }
    let head = found.head.map_or("none".to_string(), |head| head.to_string());
    let from = found.first.unwrap_or(0);
    print(&format!("{} lines from {from} on, head {head}\n", found.lines))?;
    Ok(if found.is_whole() { 0 } else { Exit::Data.code() })
}
