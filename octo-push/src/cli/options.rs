//! Options that every verb understands. They may stand before the verb, as the
//! manual shows them, or behind it: nobody remembers which side.

use crate::cli::argv;
use getopts::{Matches, Options};
use octo_core::base::cli::Tool;
use octo_core::base::error::Result;
use octo_core::base::paths::Places;
use octo_core::base::units::{Share, duration, whole};
use octo_core::targets::Shard;
use std::path::PathBuf;
use std::time::Duration;

/// What was said before or behind the verb, checked, no file touched yet.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    /// CONFIG and STATE.
    pub(crate) places: Places,
    /// `-i`
    pub(crate) identity: Option<PathBuf>,
    /// Each `-t`, as it was said.
    pub(crate) take: Vec<String>,
    /// Each `-x`, as it was said.
    pub(crate) leave: Vec<String>,
    /// `-a`
    pub(crate) all: bool,
    /// `--shard`
    pub(crate) shard: Option<Shard>,
    /// `-f`
    pub(crate) fanout: usize,
    /// `-w`: how long one target may take to be connected.
    pub(crate) wait: Duration,
    /// `--reconnect`, else `-w` where it was said, else two minutes: how long
    /// contact may be lost.
    pub(crate) outage: Duration,
    /// `--limit`: how long the whole of one target may take.
    pub(crate) limit: Option<Duration>,
    /// `--retries`: how often a connection that failed is tried again.
    pub(crate) retries: u32,
    /// `-P`, split.
    pub(crate) transport: Option<Vec<String>>,
    /// `--json`
    pub(crate) json: bool,
    /// `--record`
    pub(crate) record: Option<PathBuf>,
    /// `-g`
    pub(crate) gather: bool,
    /// `-q`
    pub(crate) quiet: bool,
    /// `-v`
    pub(crate) verbose: bool,
    /// `-n`
    pub(crate) dry_run: bool,
    /// `--batch` and its kin.
    pub(crate) rolling: Rolling,
}

/// In which steps a fleet is gone through, as it was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rolling {
    /// `--batch`: sizes, the last one repeats.
    pub(crate) batches: Vec<Share>,
    /// `--canary`
    pub(crate) canary: Option<String>,
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
}

impl Rolling {
    /// Was any of it said?
    pub(crate) fn is_said(&self) -> bool {
        *self != Rolling::default()
    }
}

/// Adds the common options to a verb's own.
pub(crate) fn declare(options: &mut Options) {
    options.optopt("i", "identity", "", "FILE");
    options.optmulti("t", "target", "", "SELECT");
    options.optmulti("x", "exclude", "", "SELECT");
    options.optflag("a", "all", "");
    options.optopt("", "shard", "", "K/N");
    options.optopt("f", "fanout", "", "N");
    options.optopt("w", "wait", "", "TIME");
    options.optopt("", "reconnect", "", "TIME");
    options.optopt("", "limit", "", "TIME");
    options.optopt("", "retries", "", "N");
    options.optopt("P", "transport", "", "COMMAND");
    options.optflag("", "json", "");
    options.optopt("", "record", "", "FILE");
    options.optflag("g", "gather", "");
    options.optflag("q", "quiet", "");
    options.optflag("v", "verbose", "");
    options.optflag("n", "dry-run", "");
    options.optopt("", "batch", "", "N[,N%]");
    options.optopt("", "canary", "", "TAG");
    options.optopt("", "pause", "", "TIME");
    options.optopt("", "max-failures", "", "N|P%");
    options.optflag("", "failed-first", "");
    options.optopt("", "min-healthy", "", "N|P%");
    options.optopt("", "gate", "", "COMMAND");
}

/// The common options, from before and from behind the verb.
///
/// # Errors
/// Exit 64, naming the option.
pub(crate) fn read(tool: &Tool, sides: &[&Matches]) -> Result<Common> {
    let flag = |name: &str| sides.iter().any(|side| side.opt_present(name));
    let many =
        |name: &str| -> Vec<String> { sides.iter().flat_map(|side| side.opt_strs(name)).collect() };
    let one = |name: &str| -> Result<Option<String>> {
        let mut values = many(name);
        if values.len() > 1 {
            return Err(tool.misuse(format!("option {} is given twice", spelled(name))));
        }
        Ok(values.pop())
    };
    let wrong = |name: &str, value: &str, what: &str| {
        tool.misuse(format!("{} {value}: not {what}", spelled(name)))
    };
    let time = |name: &str| -> Result<Option<Duration>> {
        let Some(text) = one(name)? else { return Ok(None) };
        let found = duration(&text);
        found.map(Some).ok_or_else(|| wrong(name, &text, "a time such as 30s, 5m, 1h or 2d"))
    };
    let number = |name: &str, default: u64, range: std::ops::RangeInclusive<u64>| -> Result<u64> {
        let Some(text) = one(name)? else { return Ok(default) };
        let found = whole(&text).filter(|n| range.contains(n));
        let what = format!("a number from {} to {}", range.start(), range.end());
        found.ok_or_else(|| wrong(name, &text, &what))
    };
    let share = |name: &str| -> Result<Option<Share>> {
        let Some(text) = one(name)? else { return Ok(None) };
        let found = Share::parse(&text);
        found.map(Some).ok_or_else(|| wrong(name, &text, "a number or a percentage such as 20%"))
    };
    let command = |name: &str| -> Result<Option<Vec<String>>> {
        let Some(text) = one(name)? else { return Ok(None) };
        let split = argv::split(&text);
        split.map(Some).map_err(|reason| tool.misuse(format!("{}: {reason}", spelled(name))))
    };

    let wait = time("wait")?;
    let batches = match one("batch")? {
        None => Vec::new(),
        Some(text) => text
            .split(',')
            .map(|size| Share::parse(size).filter(|s| *s != Share::Count(0)))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| wrong("batch", &text, "a list such as 1,5,20%"))?,
    };
    let shard = match one("shard")? {
        None => None,
        Some(text) => Some(
            Shard::parse(&text)
                .ok_or_else(|| wrong("shard", &text, "K/N, the Kth of N shares, from 1"))?,
        ),
    };
    let common = Common {
        places: Places::find(one("config")?, one("state")?)?,
        identity: one("identity")?.map(PathBuf::from),
        take: many("target"),
        leave: many("exclude"),
        all: flag("all"),
        shard,
        fanout: number("fanout", 64, 1..=4096)? as usize,
        wait: wait.unwrap_or(Duration::from_secs(15)),
        outage: time("reconnect")?.or(wait).unwrap_or(Duration::from_secs(120)),
        limit: time("limit")?,
        retries: number("retries", 0, 0..=1000)? as u32,
        transport: command("transport")?,
        json: flag("json"),
        record: one("record")?.map(PathBuf::from),
        gather: flag("gather"),
        quiet: flag("quiet"),
        verbose: flag("verbose"),
        dry_run: flag("dry-run"),
        rolling: Rolling {
            batches,
            canary: one("canary")?,
            pause: time("pause")?.unwrap_or_default(),
            max_failures: share("max-failures")?,
            failed_first: flag("failed-first"),
            min_healthy: share("min-healthy")?,
            gate: command("gate")?,
        },
    };
    let conflict = |one: &str, other: &str| {
        Err(tool.misuse(format!("{one} and {other} can't stand together")))
    };
    if common.all && !common.take.is_empty() {
        return conflict("-a", "-t");
    }
    if common.json && common.gather {
        return conflict("--json", "-g");
    }
    if common.quiet && common.verbose {
        return conflict("-q", "-v");
    }
    Ok(common)
}

/// An option as people type it.
fn spelled(name: &str) -> String {
    let letter = match name {
        "identity" => "-i",
        "fanout" => "-f",
        "wait" => "-w",
        "transport" => "-P",
        _ => return format!("--{name}"),
    };
    letter.to_string()
}
