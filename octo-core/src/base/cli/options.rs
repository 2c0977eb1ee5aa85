//! Options as rows of tables: what is parsed, what `--help` and the completion
//! offer and what the tidy test compares with the pages follow from them.
//!
//! One grammar for all tools, as POSIX and GNU have it: `-nq`, `-tweb`, `-t web`,
//! `--target=web`, `--target web`; options stand before or behind arguments, `--`
//! ends them; no long name is abbreviated.

use super::output::print;
use super::pasted;
use super::tool::Tool;
use crate::base::error::{Error, Result};
use crate::base::names::JobId;
use crate::base::nearest::nearest;
use crate::base::paths::Places;
use crate::base::units::{self, Share};
use getopts::{Fail, Matches, ParsingStyle};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct OptionRow {
    /// Its letter, or nothing.
    pub short: &'static str,
    /// Its long name, or nothing.
    pub long: &'static str,
    /// What its value is called; a flag has none.
    pub value: Option<&'static str>,
    /// May it be given several times?
    pub many: bool,
    /// What it does, for `--help`.
    pub help: &'static str,
}

impl OptionRow {
    /// The name by which [`Said`] has it: the long one, where there is one.
    pub fn name(&self) -> &'static str {
        if self.long.is_empty() { self.short } else { self.long }
    }
}

/// Options that belong together, under a heading of `--help`. A `static`: two of
/// a tool's verbs that take the same ones share the group, and it is listed once.
#[derive(Debug)]
pub struct OptionGroup {
    /// The heading, without its colon; nothing where it goes on with the group before.
    pub title: &'static str,
    /// The options.
    pub rows: &'static [OptionRow],
}

impl OptionGroup {
    /// Is there an option of this [`OptionRow::name`]?
    pub fn has(&self, name: &str) -> bool {
        self.rows.iter().any(|row| row.name() == name)
    }
}

/// A flag.
pub const fn flag(short: &'static str, long: &'static str, help: &'static str) -> OptionRow {
    OptionRow { short, long, value: None, many: false, help }
}

/// An option with a value.
pub const fn value(
    short: &'static str,
    long: &'static str,
    value: &'static str,
    help: &'static str,
) -> OptionRow {
    OptionRow { short, long, value: Some(value), many: false, help }
}

/// An option with a value that may be given several times.
pub const fn values(
    short: &'static str,
    long: &'static str,
    value: &'static str,
    help: &'static str,
) -> OptionRow {
    OptionRow { short, long, value: Some(value), many: true, help }
}

/// A job's id, for the message that asks for one.
const EXAMPLE: &str = "20260131T235959-abcdefghijklm";

/// What every tool has.
pub(crate) static COMMON: OptionGroup = OptionGroup {
    title: "everywhere",
    rows: &[
        value("", "config", "DIR", "instead of /etc/octo or ~/.config/octo"),
        value("", "state", "DIR", "instead of /var/lib/octo or ~/.local/state/octo"),
        flag("h", "help", "this text"),
        flag("", "version", "the version"),
    ],
};

/// Where options may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Before, between and behind the arguments.
    Anywhere,
    /// Before the first argument: what follows belongs to another program or a verb.
    BeforeArguments,
}

impl Tool {
    /// Parses by these tables and those that every tool has; answers `--help` and
    /// `--version` itself, then returns `None`.
    ///
    /// # Errors
    /// Exit 64, naming the option, and the nearest one where it is unknown.
    pub fn said(
        &self,
        groups: &[&OptionGroup],
        arguments: &[String],
        order: Order,
    ) -> Result<Option<Said<'_>>> {
        let matches = parse(self, "", groups, arguments, order)?;
        Ok(matches.map(|matches| Said::new(self, ("", ""), vec![matches])))
    }
}

/// As [`Tool::said`], of one side of a command line; `verb` is for messages,
/// nothing where none is known.
pub(super) fn parse(
    tool: &Tool,
    verb: &str,
    groups: &[&OptionGroup],
    arguments: &[String],
    order: Order,
) -> Result<Option<Matches>> {
    let mut options = getopts::Options::new();
    options.parsing_style(match order {
        Order::Anywhere => ParsingStyle::FloatingFrees,
        Order::BeforeArguments => ParsingStyle::StopAtFirstFree,
    });
    let rows = || groups.iter().copied().chain([&COMMON]).flat_map(|group| group.rows);
    for row in rows() {
        match (row.value, row.many) {
            (None, _) => options.optflag(row.short, row.long, ""),
            (Some(name), false) => options.optopt(row.short, row.long, "", name),
            (Some(name), true) => options.optmulti(row.short, row.long, "", name),
        };
    }
    let matches = options.parse(arguments).map_err(|fail| {
        let meant = match &fail {
            Fail::UnrecognizedOption(name) => nearest(name, rows().map(|row| row.long)),
            _ => None,
        };
        let of = if verb.is_empty() { String::new() } else { format!("{verb}: ") };
        tool.misspelt(of + &complaint(&fail), meant.map(|meant| format!("--{meant} is one")))
    })?;
    answered(tool, matches)
}

/// `None` where the question was for the help or the version, which are printed.
fn answered(tool: &Tool, matches: Matches) -> Result<Option<Matches>> {
    if matches.opt_present("help") {
        print(&(tool.help)())?;
        return Ok(None);
    }
    if matches.opt_present("version") {
        print(&format!("{} {}\n", tool.name, env!("CARGO_PKG_VERSION")))?;
        return Ok(None);
    }
    Ok(Some(matches))
}

/// What getopts found, in the words of our messages.
fn complaint(fail: &Fail) -> String {
    match fail {
        Fail::UnrecognizedOption(name) => format!("{}: no such option", dashed(name)),
        Fail::ArgumentMissing(name) => format!("{}: its value is missing", dashed(name)),
        Fail::UnexpectedArgument(name) => format!("{}: takes no value", dashed(name)),
        Fail::OptionDuplicated(name) => format!("{}: given twice", dashed(name)),
        Fail::OptionMissing(name) => format!("{}: missing", dashed(name)),
    }
}

/// `-t` or `--target`
pub(super) fn dashed(name: &str) -> String {
    format!("{}{name}", if name.chars().count() == 1 { "-" } else { "--" })
}

/// What was said, before a verb and behind it: nobody remembers which side.
#[derive(Debug)]
pub struct Said<'a> {
    tool: &'a Tool,
    /// The verb and its arguments, for messages; nothing where the tool has none.
    verb: &'static str,
    usage: &'static str,
    sides: Vec<Matches>,
}

impl<'a> Said<'a> {
    /// What was parsed, the last part with the arguments.
    pub(super) fn new(
        tool: &'a Tool,
        (verb, usage): (&'static str, &'static str),
        sides: Vec<Matches>,
    ) -> Said<'a> {
        Said { tool, verb, usage, sides }
    }

    /// The tool that was called.
    pub fn tool(&self) -> &'a Tool {
        self.tool
    }

    /// The arguments, options taken away.
    pub fn arguments(&self) -> &[String] {
        self.sides.last().map_or(&[], |side| &side.free)
    }

    /// The arguments, if there are so many.
    ///
    /// # Errors
    /// Exit 64 where one is missing, or too many.
    pub fn counted(&self, count: RangeInclusive<usize>) -> Result<&[String]> {
        let arguments = self.arguments();
        if arguments.len() < *count.start() {
            let usage = format!("{} {}", self.verb, self.usage);
            return Err(self.misuse(format!("an argument is missing: {}", usage.trim())));
        }
        match arguments.get(*count.end()) {
            Some(more) => Err(self.misuse(format!("{more}: one argument too many"))),
            None => Ok(arguments),
        }
    }

    /// The id of a job.
    ///
    /// # Errors
    /// Exit 64 for another word.
    pub fn job_id(&self, text: &str) -> Result<JobId> {
        let wrong = || self.misuse(format!("{text}: not a job id, as in {EXAMPLE}"));
        JobId::parse(text).ok_or_else(wrong)
    }

    /// Does a table have this option? Of one that no table has nothing is asked.
    pub fn knows(&self, name: &str) -> bool {
        self.sides.iter().any(|side| side.opt_defined(name))
    }

    /// Is this option given? By its long name, or its letter where it has none.
    pub fn flag(&self, name: &str) -> bool {
        self.having(name).any(|side| side.opt_present(name))
    }

    /// All values of an option, in their order.
    pub fn many(&self, name: &str) -> Vec<String> {
        self.having(name).flat_map(|side| side.opt_strs(name)).collect()
    }

    /// The value of an option.
    ///
    /// # Errors
    /// Exit 64 where it is given on both sides of the verb.
    pub fn one(&self, name: &str) -> Result<Option<String>> {
        let mut values = self.many(name);
        if values.len() > 1 {
            return Err(self.misuse(format!("{}: given twice", dashed(name))));
        }
        Ok(values.pop())
    }

    /// As [`Said::one`], a time such as 30s, 5m, 1h or 2d.
    ///
    /// # Errors
    /// Exit 64 for another value.
    pub fn time(&self, name: &str) -> Result<Option<Duration>> {
        self.parsed(name, "a time such as 30s, 5m, 1h or 2d", units::duration)
    }

    /// As [`Said::one`], a number in this range.
    ///
    /// # Errors
    /// Exit 64 for another value.
    pub fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>> {
        let what = match *range.end() {
            u64::MAX => "a number".to_string(),
            end => format!("a number from {} to {end}", range.start()),
        };
        self.parsed(name, &what, |text| units::whole(text).filter(|n| range.contains(n)))
    }

    /// As [`Said::one`], a number or a percentage.
    ///
    /// # Errors
    /// Exit 64 for another value.
    pub fn share(&self, name: &str) -> Result<Option<Share>> {
        self.parsed(name, "a number or a percentage such as 20%", Share::parse)
    }

    /// As [`Said::one`], read by a function; `what` it should be is for the message.
    ///
    /// # Errors
    /// Exit 64 for what the function doesn't take.
    pub fn parsed<T>(
        &self,
        name: &str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        match parse(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(self.misuse(format!("{} {text}: not {what}", dashed(name)))),
        }
    }

    /// Exit 64 where two options are given that contradict each other.
    ///
    /// # Errors
    /// That.
    pub fn apart(&self, one: &str, other: &str) -> Result<()> {
        if self.flag(one) && self.flag(other) {
            let (one, other) = (dashed(one), dashed(other));
            return Err(self.misuse(format!("{one} and {other} can't stand together")));
        }
        Ok(())
    }

    /// Exit 64, naming the verb.
    pub fn misuse(&self, message: impl Display) -> Error {
        let of = if self.verb.is_empty() { String::new() } else { format!("{}: ", self.verb) };
        self.tool.misuse(format!("{of}{message}"))
    }

    /// The sides whose tables know this option; the others would panic.
    fn having<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Matches> {
        debug_assert!(self.knows(name), "no table has {name}");
        self.sides.iter().filter(move |side| side.opt_defined(name))
    }
}

/// The configuration and state directories that the options name.
///
/// # Errors
/// As [`Places::find`], and exit 64 where one is given twice, or is empty.
pub fn places(said: &Said) -> Result<Places> {
    let directory = |name| match said.one(name)? {
        Some(path) if path.is_empty() => {
            Err(said.misuse(format!("{}: its value is empty", dashed(name))))
        }
        path => Ok(path),
    };
    let (config, state) = (directory("config")?, directory("state")?);
    let (given_config, given_state) = (config.is_some(), state.is_some());
    let places = Places::find(config, state)?;
    pasted::remember(&places, given_config, given_state);
    Ok(places)
}
