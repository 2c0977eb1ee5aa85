//! In which steps a fleet is gone through.

use crate::cli::argv;
use octo_core::base::cli::options::{OptionGroup, Said, flag, value, values};
use octo_core::base::error::Result;
use octo_core::base::units::Share;
use octo_core::targets::{names_file, words};
use std::collections::HashSet;
use std::time::Duration;

/// Any of these makes `run` go through the targets in batches.
pub(crate) static ROLLING: OptionGroup = OptionGroup {
    title: "rolling (run)",
    rows: &[
        value("", "batch", "SIZES", "in batches, as in 1,5,20%: the last one repeats"),
        value("", "canary", "SELECT", "these first, as one batch"),
        value("", "pause", "TIME", "between two batches"),
        value("", "max-failures", "N|P%", "so many may fail before it stops"),
        value("", "min-healthy", "N|P%", "so many stay untouched or done at any time"),
        flag("", "failed-first", "those that failed in the last run come first"),
        value("", "gate", "COMMAND", "decides after each batch whether to go on"),
        value("", "before", "COMMAND", "before each batch; if it fails, the batch isn't begun"),
        value("", "after", "COMMAND", "after each batch and its gate, whatever came of them"),
        values("", "unreachable", "SELECT", "these don't answer: failed, and not asked"),
    ],
};

/// What was said of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rolling {
    /// `--batch`: sizes, the last one repeats.
    pub(crate) batches: Vec<Share>,
    /// `--canary`
    pub(crate) canary: Option<String>,
    /// Whom that means, also of those that are not selected: known with the targets.
    pub(crate) canaries: HashSet<String>,
    /// `--pause`
    pub(crate) pause: Duration,
    /// `--max-failures`
    pub(crate) max_failures: Option<Share>,
    /// `--failed-first`
    pub(crate) failed_first: bool,
    /// `--min-healthy`
    pub(crate) min_healthy: Option<Share>,
    /// `--gate`, split.
    pub(crate) gate: Option<Vec<String>>,
    /// `--before`, split.
    pub(crate) before: Option<Vec<String>>,
    /// `--after`, split.
    pub(crate) after: Option<Vec<String>>,
    /// Each `--unreachable`, as it was said.
    pub(crate) unreachable: Vec<String>,
}

impl Rolling {
    pub(crate) fn read(said: &Said) -> Result<Rolling> {
        Ok(Rolling {
            batches: said.parsed("batch", SIZES, sizes)?.unwrap_or_default(),
            canary: said.one("canary")?,
            canaries: HashSet::new(),
            pause: said.time("pause")?.unwrap_or_default(),
            max_failures: said.share("max-failures")?,
            failed_first: said.flag("failed-first"),
            min_healthy: said.share("min-healthy")?,
            gate: argv::said(said, "gate")?,
            before: argv::said(said, "before")?,
            after: argv::said(said, "after")?,
            unreachable: unreachable(said)?,
        })
    }

    /// Was any of it said?
    pub(crate) fn is_said(&self) -> bool {
        *self != Rolling::default()
    }
}

fn unreachable(said: &Said) -> Result<Vec<String>> {
    let lists = said.many("unreachable");
    // A file is read later, when there is something to look its names up in.
    for list in lists.iter().filter(|list| names_file(list).is_none()) {
        if words(list)?.iter().any(String::is_empty) {
            let reason = "--unreachable: names joined by commas, none of them empty";
            return Err(said.misuse(reason));
        }
    }
    Ok(lists)
}

/// What [`sizes`] reads, for messages.
pub(crate) const SIZES: &str = "a list such as 1,5,20%";

/// The sizes of batches, as `--batch` takes them.
pub(crate) fn sizes(text: &str) -> Option<Vec<Share>> {
    let sizes = text.split(',').map(Share::parse);
    sizes.map(|size| size.filter(|size| *size != Share::Count(0))).collect()
}
