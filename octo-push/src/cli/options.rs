//! Options of more than one verb. They may stand before the verb, as the manual
//! shows them, or behind it: nobody remembers which side.

use crate::cli::argv;
use crate::cli::rates::Rates;
use crate::cli::rolling::{ROLLING, Rolling};
use octo_core::base::cli::options::{OptionGroup, OptionRow, Said, flag, value, values};
use octo_core::base::cli::places;
use octo_core::base::error::Result;
use octo_core::base::paths::Places;
use octo_core::targets::{Shard, TargetsFile};
use octo_core::tentacle::spec::options::ENDS;
use std::path::PathBuf;
use std::time::Duration;

/// Which targets.
pub(crate) static WHICH: OptionGroup = OptionGroup {
    title: "which targets",
    rows: &[
        values("t", "target", "SELECT", "names or tags joined by commas; several intersect"),
        values("x", "exclude", "SELECT", "but not these"),
        flag("a", "all", "all of CONFIG/targets, or of --targets"),
        value("", "targets", "FILE|-", "these targets, not those of CONFIG"),
        value("", "shard", "K/N", "every Nth of them, from the Kth on"),
    ],
};

/// Who asks.
pub(crate) const IDENTITY: OptionRow =
    value("i", "identity", "FILE", "this identity, not CONFIG/identity.pem; may be a pipe");
/// How long connecting may take.
pub(crate) const WAIT: OptionRow = value("w", "wait", "TIME", "bound of each connecting (15s)");
/// Where nobody says so.
pub(crate) const USUAL_WAIT: Duration = Duration::from_secs(15);
/// By which way.
pub(crate) const TRANSPORT: OptionRow =
    value("P", "transport", "COMMAND", "a program is the connection");

/// How they are reached, and what is shown.
pub(crate) static HOW: OptionGroup = OptionGroup {
    title: "how",
    rows: &[
        IDENTITY,
        value("f", "fanout", "N", "so many targets at once (64)"),
        WAIT,
        value("", "reconnect", "TIME", "how long contact may be lost (--wait, else 2m)"),
        value("", "limit", "TIME", "how long to stay with one target (questions: 1m)"),
        value("", "retries", "N", "how often a failed connection is tried again (0)"),
        value("", "bwlimit", "RATE|EACH,ALL", "send no more bytes a second, as in 10M"),
        TRANSPORT,
        flag("", "json", "one object a line on standard output"),
        value("", "record", "FILE", "the same objects to this file"),
        flag("q", "quiet", "nothing on success, the whole output of what failed"),
        flag("v", "verbose", "say more"),
        flag("n", "dry-run", "say what would be done, connect to nobody"),
    ],
};

/// What a package that is sent may be made of.
pub(crate) static PATCH: OptionGroup = OptionGroup {
    title: "",
    rows: &[values("", "patch-from", "FILE|DIR", "send the difference to what is there of these")],
};

/// Where the output of jobs goes.
pub(crate) static FOLLOWED: OptionGroup = OptionGroup {
    title: "run and follow",
    rows: &[
        flag("g", "gather", "equal outputs once, as web[1-3,7]"),
        value("o", "output", "FILE", "its standard output goes to this file"),
    ],
};

/// What may stand before the verb.
pub(crate) static SHARED: &[&OptionGroup] = &[&WHICH, &HOW, &PATCH, &FOLLOWED, &ENDS, &ROLLING];

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
    /// `--targets`
    pub(crate) targets: Option<TargetsFile>,
    /// `--shard`
    pub(crate) shard: Option<Shard>,
    /// `-f`
    pub(crate) fanout: usize,
    /// `-w`: how long one target may take to be connected.
    pub(crate) wait: Duration,
    /// `--reconnect`, else `-w` where it was said, else two minutes: how long
    /// contact may be lost.
    pub(crate) outage: Duration,
    /// `--limit`: how long the whole of one target may take; a question a minute.
    pub(crate) limit: Option<Duration>,
    /// `--bwlimit`: how many bytes a second are sent.
    pub(crate) rates: Option<Rates>,
    /// `--retries`: how often a connection that failed is tried again.
    pub(crate) retries: u32,
    /// Each `--patch-from`.
    pub(crate) patch_from: Vec<PathBuf>,
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

impl Common {
    /// `--targets`, to stand in front of more words in a hint; nothing where it wasn't said.
    pub(crate) fn targets_said(&self) -> String {
        let word = match &self.targets {
            None => return String::new(),
            Some(TargetsFile::Input) => "-".into(),
            // It can't be read again.
            Some(TargetsFile::Path(path)) if TargetsFile::is_open(path) => "TARGETS".into(),
            Some(TargetsFile::Path(path)) => argv::quote(&path.to_string_lossy()),
        };
        format!("--targets {word} ")
    }

    /// Reads them, from before and from behind the verb.
    pub(crate) fn read(said: &Said) -> Result<Common> {
        for (one, other) in
            [("all", "target"), ("json", "gather"), ("json", "dry-run"), ("quiet", "verbose")]
        {
            said.apart(one, other)?;
        }
        let wait = said.time("wait")?;
        Ok(Common {
            places: places(said)?,
            identity: said.one("identity")?.map(PathBuf::from),
            take: said.many("target"),
            leave: said.many("exclude"),
            all: said.flag("all"),
            targets: TargetsFile::of(said.one("targets")?),
            shard: said.parsed("shard", Shard::FORM, Shard::parse)?,
            fanout: said.number("fanout", 1..=4096)?.unwrap_or(64) as usize,
            wait: wait.unwrap_or(USUAL_WAIT),
            outage: said.time("reconnect")?.or(wait).unwrap_or(Duration::from_secs(120)),
            limit: said.time("limit")?,
            rates: said.parsed("bwlimit", Rates::FORM, Rates::parse)?,
            retries: said.number("retries", 0..=1000)?.unwrap_or(0) as u32,
            patch_from: said.many("patch-from").into_iter().map(PathBuf::from).collect(),
            transport: argv::said(said, "transport")?,
            json: said.flag("json"),
            record: said.one("record")?.map(PathBuf::from),
            gather: said.flag("gather"),
            quiet: said.flag("quiet"),
            verbose: said.flag("verbose"),
            dry_run: said.flag("dry-run"),
            rolling: Rolling::read(said)?,
        })
    }
}
