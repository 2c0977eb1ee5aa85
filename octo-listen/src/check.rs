//! `--check-audit`: is the audit log as it was written?

use octo_core::base::cli::{Tool, print};
use octo_core::base::paths::Places;
use octo_core::tentacle::audit::{Audit, Head, verify_files};
use octo_core::{Exit, Result};
use std::path::PathBuf;

/// Checks the log of these places, or these files of one, and that these heads
/// (`SEQ:HASH`) are in it; says what is wrong, line by line.
///
/// # Errors
/// Where a file can't be read; exit 64 for what is no head.
pub(crate) fn check_audit(
    tool: &Tool,
    places: &Places,
    files: &[String],
    heads: &[String],
) -> Result<u8> {
    let heads = heads
        .iter()
        .map(|text| {
            Head::parse(text).ok_or_else(|| tool.misuse(format!("--head {text}: not SEQ:HASH")))
        })
        .collect::<Result<Vec<_>>>()?;
    let found = if files.is_empty() {
        Audit::at(places).verify(&heads)?
    } else {
        verify_files(&files.iter().map(PathBuf::from).collect::<Vec<_>>(), &heads)?
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
