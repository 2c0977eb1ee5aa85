//! `--check-audit`: is the audit log as it was written?

use octo_core::base::cli::{Tool, print};
use octo_core::base::paths::Places;
use octo_core::tentacle::audit::{Audit, Head, Proof, Verification, verify_files};
use octo_core::tentacle::layout::Side;
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
    if files.is_empty() {
        return check_both(tool, places, &heads);
    }
    let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    tell(tool, "", &verify_files(&files, &heads)?)
}

/// Both logs of these places; a head may be in either.
fn check_both(tool: &Tool, places: &Places, heads: &[Head]) -> Result<u8> {
    let logs = [(places.audit(), Side::Executor), (places.listen_audit(), Side::Listener)];
    let mut code = 0;
    for (path, side) in logs {
        let audit = Audit::of(side, places);
        let own = heads.iter().copied().filter(|head| !is_in_other(places, side, *head));
        let found = audit.verify(&own.collect::<Vec<_>>())?;
        let found = tell(tool, &format!("{}: ", path.display()), &found)?;
        // What is wrong counts more than what is not seen.
        let rank = |code| (code == Exit::Data.code(), code);
        code = std::cmp::max_by_key(code, found, |code| rank(*code));
    }
    Ok(code)
}

/// Is the head in the other chain, or in what nobody can see of it? Then this one need not
/// have it.
fn is_in_other(places: &Places, side: Side, head: Head) -> bool {
    let other = match side {
        Side::Executor => Side::Listener,
        Side::Listener => Side::Executor,
    };
    matches!(Audit::of(other, places).proves(head), Ok(Proof::Holds | Proof::Unseen(_)))
}

fn tell(tool: &Tool, of: &str, found: &Verification) -> Result<u8> {
    for problem in found.notes.iter().chain(&found.faults) {
        tool.problem("", problem);
    }
    for unseen in &found.unseen {
        tool.say(unseen);
    }
    if found.more > 0 {
        tool.say(format_args!("{} more faults", found.more));
    }
    let head = found.head.map_or("none".to_string(), |head| head.to_string());
    let from = found.first.unwrap_or(0);
    print(&format!("{of}{} lines from {from} on, head {head}\n", found.lines))?;
    Ok(match (found.is_whole(), found.unseen.is_empty()) {
        (false, _) => Exit::Data.code(),
        (true, false) => Exit::Unavailable.code(),
        (true, true) => 0,
    })
}
