//! The values of a line's options: how each is read and shown. Errors say what a
//! value is, or what is wrong with an item of a list.

use super::environment::VariablePattern;
use super::verb::{AllowWord, Verb};
use crate::base::encoding::printable;
use crate::base::names::{LockName, VariableName};
use crate::base::units;
use jiff::civil::Date;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::path::PathBuf;
use std::time::Duration;

/// A hundred thousand processors: more than there are, and no product overflows.
const MOST_PERCENT: u64 = 10_000_000;
/// So much of a wrong value is shown, in characters.
const SHOWN: usize = 60;

/// The words of allow=.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allow {
    /// To ask how the machine is.
    pub status: bool,
    /// To store packages.
    pub put: bool,
    /// To run scripts, and what belongs to its own jobs.
    pub run: bool,
    /// To freeze applications, and to thaw them.
    pub freeze: bool,
    /// To deploy what is frozen.
    pub despite: bool,
    /// To look at what others have waiting, to approve and to deny it.
    pub approve: bool,
    /// To copy the audit logs.
    pub audit: bool,
    /// Everything, and other pushers' jobs too.
    pub any: bool,
}

impl Default for Allow {
    fn default() -> Allow {
        Allow {
            status: true,
            put: true,
            run: true,
            freeze: false,
            despite: false,
            approve: false,
            audit: false,
            any: false,
        }
    }
}

impl Allow {
    /// Do these words bring this verb?
    pub fn covers(self, verb: Verb) -> bool {
        let brought = match verb.row().allow {
            AllowWord::Nothing => true,
            AllowWord::Status => self.status,
            AllowWord::Put => self.put,
            AllowWord::Run => self.run,
            AllowWord::Freeze => self.freeze,
            AllowWord::Approve => self.approve,
            AllowWord::AnyJob => self.run || self.freeze || self.approve,
            AllowWord::Audit => self.audit,
        };
        brought || self.any
    }

    /// What these words let a pusher do, by the words: all but to look.
    pub fn offers(self) -> impl Iterator<Item = &'static str> {
        let is_offered = move |(word, is_said): &(&'static str, bool)| {
            !["status", "audit", "any"].contains(word) && (*is_said || self.any)
        };
        self.words().into_iter().filter(is_offered).map(|(word, _)| word)
    }

    /// May jobs deploy what is frozen?
    pub fn covers_despite(self) -> bool {
        self.despite || self.any
    }

    fn words(self) -> [(&'static str, bool); 8] {
        let Allow { status, put, run, freeze, despite, approve, audit, any } = self;
        [
            ("status", status),
            ("put", put),
            ("run", run),
            ("freeze", freeze),
            ("despite", despite),
            ("approve", approve),
            ("audit", audit),
            ("any", any),
        ]
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.words().iter().filter(|w| w.1).map(|w| w.0).collect();
        out.write_str(&words.join(","))
    }
}

/// `key=VALUE: what is wrong`.
pub(super) fn wrong(key: &str, value: &str, wrong: &str) -> String {
    let cut = value.char_indices().nth(SHOWN).map(|(end, _)| end);
    let shown = printable(&value.as_bytes()[..cut.unwrap_or(value.len())]);
    format!("{key}={shown}{}: {wrong}", if cut.is_some() { "…" } else { "" })
}

/// Double quotes enclose a whole value; inside there are no escapes.
pub(super) fn unquoted(raw: &str) -> Result<&str, String> {
    let inner = match raw.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or("the closing quote doesn't end the value")?,
        None => raw,
    };
    if inner.contains('"') {
        return Err("a double quote can only enclose a whole value".into());
    }
    Ok(inner)
}

/// `NAME=VALUE`, `"NAME=VALUE"` or `NAME="VALUE"`.
pub(super) fn variable(key: &str, raw: &str) -> Result<(VariableName, String), String> {
    let quoted = raw.starts_with('"');
    let whole = if quoted { unquoted(raw)? } else { raw };
    let (name, value) =
        whole.split_once('=').ok_or_else(|| format!("{key} needs a variable: {key}=NAME=VALUE"))?;
    let value = if quoted { value } else { unquoted(value)? };
    let name = VariableName::parse(name)
        .ok_or_else(|| wrong(key, name, "not a variable name ([A-Za-z_][A-Za-z0-9_]*)"))?;
    Ok((name, value.to_string()))
}

/// The parts of a list, each once.
pub(super) fn each<T: Clone + Eq + Hash>(
    value: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut all = Vec::new();
    let mut seen = HashSet::new();
    for part in value.split(',') {
        let item = parse(part)?;
        if !seen.insert(item.clone()) {
            return Err(format!("{} stands there twice", printable(part.as_bytes())));
        }
        all.push(item);
    }
    Ok(all)
}

pub(super) fn allow(value: &str) -> Result<Allow, String> {
    let known = Allow::default().words().map(|(word, _)| word);
    let words = each(value, |word| {
        known.into_iter().find(|known| *known == word).ok_or_else(|| {
            format!("'{}' is none of {}", printable(word.as_bytes()), known.join(", "))
        })
    })?;
    let has = |word| words.contains(&word);
    Ok(Allow {
        status: has("status"),
        put: has("put"),
        run: has("run"),
        freeze: has("freeze"),
        despite: has("despite"),
        approve: has("approve"),
        audit: has("audit"),
        any: has("any"),
    })
}

/// A date in the one form YYYY-MM-DD.
pub(super) fn date(text: &str) -> Result<Date, String> {
    let bytes = text.as_bytes();
    let right = bytes.len() == 10
        && bytes.iter().enumerate().all(|(i, b)| match i {
            4 | 7 => *b == b'-',
            _ => b.is_ascii_digit(),
        });
    right.then(|| text.parse().ok()).flatten().ok_or_else(|| "not a date such as 2027-06-30".into())
}

/// Names as useradd(8) makes them, and those of directories (`first.last`).
pub(super) fn user(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let right = text.len() <= 64
        && bytes.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(b));
    right.then(|| text.to_string()).ok_or_else(|| "not a user's name".into())
}

pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    let absolute = text.starts_with('/').then(|| PathBuf::from(text));
    absolute.ok_or_else(|| "a directory begins with /".into())
}

pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    let absolute = text.starts_with('/').then(|| PathBuf::from(text));
    absolute.ok_or_else(|| "a file begins with /".into())
}

/// Names of locks; the empty list is none at all.
pub(super) fn locks(text: &str) -> Result<Vec<LockName>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    each(text, |name| {
        LockName::parse(name)
            .ok_or_else(|| format!("'{}' is not a lock's name", printable(name.as_bytes())))
    })
}

/// Patterns of variables; the empty list is none at all.
pub(super) fn patterns(text: &str) -> Result<Vec<VariablePattern>, String> {
    if text.is_empty() { Ok(Vec::new()) } else { each(text, VariablePattern::parse) }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).ok_or_else(|| "not a duration such as 30s, 5m, 1h".into())
}

/// A duration that a job can take.
pub(super) fn time_limit(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("no job ends in no time; leave it out for no limit".into()),
        limit => Ok(limit),
    }
}

pub(super) fn size(text: &str) -> Result<u64, String> {
    units::size(text).ok_or_else(|| "not a size such as 64K, 10M, 2G".into())
}

pub(super) fn count(text: &str) -> Result<u64, String> {
    units::whole(text).ok_or_else(|| "not a number".into())
}

/// Memory that a program can run in.
pub(super) fn memory(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("no program runs in no memory; leave it out for no limit".into()),
        size => Ok(size),
    }
}

/// `N%` of one processor; more than one has more than a hundred.
pub(super) fn percent(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').and_then(units::whole);
    let share = number.filter(|number| (1..=MOST_PERCENT).contains(number));
    let share = share.and_then(|share| u32::try_from(share).ok());
    share.ok_or_else(|| format!("not a share of one processor from 1% to {MOST_PERCENT}%"))
}

/// How many people have to approve: more than a few never come together.
pub(super) fn approvals(text: &str) -> Result<u8, String> {
    let count = units::whole(text).and_then(|count| u8::try_from(count).ok());
    count.filter(|count| (1..=9).contains(count)).ok_or_else(|| "not a number from 1 to 9".into())
}

/// How many processes and threads; with none nothing runs.
pub(super) fn tasks(text: &str) -> Result<u64, String> {
    let tasks = count(text).ok().filter(|tasks| *tasks > 0);
    tasks.ok_or_else(|| "not a number of processes and threads from 1 on".into())
}

/// A size in the largest unit that says it exactly.
pub(super) fn size_text(bytes: u64) -> String {
    let exact = |shift: u32| bytes > 0 && bytes.is_multiple_of(1 << shift);
    let unit = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')].into_iter().find(|u| exact(u.0));
    unit.map_or(bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

/// A list as the file has it.
pub(super) fn list<T: ToString>(items: Option<&[T]>) -> Vec<String> {
    one(items.map(|items| items.iter().map(T::to_string).collect::<Vec<_>>().join(",")))
}

pub(super) fn one<T: ToString>(value: Option<T>) -> Vec<String> {
    value.iter().map(T::to_string).collect()
}

pub(super) fn yes_or_no(value: bool) -> Vec<String> {
    vec![if value { "yes" } else { "no" }.into()]
}
