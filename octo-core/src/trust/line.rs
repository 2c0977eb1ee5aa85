//! One line of the trust file: its fields, their defaults, its options.

use super::verb::AllowWord;
use super::{Network, Verb, Windows};
use crate::base::encoding::printable;
use crate::base::names::{LockName, PusherName, VariableName};
use crate::base::thumbprint::Thumbprint;
use crate::base::units;
use jiff::Zoned;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A line of the trust file: a pusher, the conditions, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: usize,
    /// As it stands in the file.
    pub text: String,
    /// By what the pusher is recognised.
    pub thumbprint: Thumbprint,
    /// What the pusher is called; its jobs and objects are kept under this name.
    pub name: PusherName,
    /// from=: the networks it may come from; `None` is anywhere.
    pub from: Option<Vec<Network>>,
    /// expires=: the last day, in UTC, on which the line holds.
    pub expires: Option<Date>,
    /// allow=: the verbs.
    pub allow: Allow,
    /// user=: whom its jobs run as.
    pub user: Option<String>,
    /// sudo: its jobs may gain privileges.
    pub sudo: bool,
    /// scripts=: the directory whose scripts it may name; it may send none.
    pub scripts: Option<PathBuf>,
    /// window=: when a run may start.
    pub windows: Option<Windows>,
    /// hold: a run waits for a local operator's approval.
    pub hold: bool,
    /// set=: variables of its jobs that it can't override.
    pub set: Vec<(VariableName, String)>,
    /// locks=: the named locks it may take; `None` is any.
    pub locks: Option<Vec<LockName>>,
    /// max-wait=: the longest wait for a lock.
    pub max_wait: Duration,
    /// max-size=: the largest object it may put, in bytes.
    pub max_size: u64,
    /// max-store=: how much it may keep in the store, in bytes.
    pub max_store: u64,
    /// max-jobs=: how many of its jobs may be under way at once.
    pub max_jobs: u64,
    /// max-log=: the largest output of a job that is kept, in bytes.
    pub max_log: u64,
    /// timeout=: the longest time limit of a job; `None` is no limit.
    pub timeout: Option<Duration>,
}

/// The words of allow=.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allow {
    /// To ask how the machine is.
    pub status: bool,
    /// To store packages.
    pub put: bool,
    /// To run scripts, and what belongs to its own jobs.
    pub run: bool,
    /// Everything, and other pushers' jobs too.
    pub any: bool,
}

impl Default for Allow {
    fn default() -> Allow {
        Allow { status: true, put: true, run: true, any: false }
    }
}

impl Line {
    /// A line without options.
    pub(super) fn new(number: usize, text: &str, thumbprint: Thumbprint, name: PusherName) -> Line {
        Line {
            number,
            text: text.to_string(),
            thumbprint,
            name,
            from: None,
            expires: None,
            allow: Allow::default(),
            user: None,
            sudo: false,
            scripts: None,
            windows: None,
            hold: false,
            set: Vec::new(),
            locks: None,
            max_wait: Duration::from_secs(300),
            max_size: 4 << 30,
            max_store: 20 << 30,
            max_jobs: 64,
            max_log: 1 << 30,
            timeout: None,
        }
    }

    /// Does the line hold for a pusher from this address at this time? If not:
    /// the option that doesn't, and why.
    ///
    /// # Errors
    /// The first condition that fails.
    pub fn holds(&self, address: Option<IpAddr>, at: &Zoned) -> Result<(), (&'static str, String)> {
        if let Some(networks) = &self.from {
            let Some(address) = address else {
                return Err(("from", "the pusher has no address".into()));
            };
            if !networks.iter().any(|network| network.contains(address)) {
                let address = address.to_canonical();
                return Err(("from", format!("{address} is in none of its networks")));
            }
        }
        match self.expires {
            Some(day) if at.with_time_zone(TimeZone::UTC).date() > day => {
                Err(("expires", format!("it expired at the end of {day} (UTC)")))
            }
            _ => Ok(()),
        }
    }

    /// Does allow= cover this verb?
    pub fn allows(&self, verb: Verb) -> bool {
        let brought = match verb.row().allow {
            AllowWord::Nothing => true,
            AllowWord::Status => self.allow.status,
            AllowWord::Put => self.allow.put,
            AllowWord::Run => self.allow.run,
        };
        brought || self.allow.any
    }

    /// Does it see, follow and cancel other pushers' jobs too?
    pub fn sees_all_jobs(&self) -> bool {
        self.allow.any
    }

    /// May it touch a job of the pusher of this name?
    pub fn sees_jobs_of(&self, owner: &PusherName) -> bool {
        self.sees_all_jobs() || self.name == *owner
    }

    /// Takes one option; a value is as it stands in the file, quotes included.
    pub(super) fn set_option(&mut self, key: &str, value: Option<&str>) -> Result<(), String> {
        if matches!(key, "sudo" | "hold") {
            if value.is_some() {
                return Err(format!("{key} takes no value"));
            }
            *(if key == "sudo" { &mut self.sudo } else { &mut self.hold }) = true;
            return Ok(());
        }
        if !KEYS.contains(&key) {
            return Err(unknown(key));
        }
        let raw = value.ok_or_else(|| format!("{key} needs a value: {key}=…"))?;
        if key == "set" {
            return self.add_variable(raw);
        }
        let value = unquote(raw)?;
        let wrong = |what: &str| format!("{key}={}: {what}", printable(value.as_bytes()));
        let duration = || units::duration(value).ok_or_else(|| wrong("a duration is 30s, 5m, 1h"));
        let size = || units::size(value).ok_or_else(|| wrong("a size is 64K, 10M, 2G"));
        match key {
            "from" => self.from = Some(each(value, Network::parse)?),
            "expires" => {
                self.expires = Some(date(value).ok_or_else(|| wrong("a date is 2027-06-30"))?)
            }
            "allow" => self.allow = parse_allow(value)?,
            "user" => {
                let user = is_user(value).then(|| value.to_string());
                self.user = Some(user.ok_or_else(|| wrong("not a user's name"))?);
            }
            "scripts" => {
                let absolute = value.starts_with('/').then(|| PathBuf::from(value));
                self.scripts = Some(absolute.ok_or_else(|| wrong("a directory begins with /"))?);
            }
            "window" => {
                self.windows = Some(Windows::parse(value).map_err(|r| format!("window: {r}"))?)
            }
            "locks" if value.is_empty() => self.locks = Some(Vec::new()),
            "locks" => {
                self.locks = Some(each(value, |name| {
                    LockName::parse(name).ok_or_else(|| {
                        format!("'{}' is not a lock's name", printable(name.as_bytes()))
                    })
                })?);
            }
            "max-wait" => self.max_wait = duration()?,
            "max-size" => self.max_size = size()?,
            "max-store" => self.max_store = size()?,
            "max-jobs" => self.max_jobs = units::whole(value).ok_or_else(|| wrong("a number"))?,
            "max-log" => self.max_log = size()?,
            "timeout" => {
                let limit = duration()?;
                if limit.is_zero() {
                    return Err(wrong("no job ends in no time; leave it out for no limit"));
                }
                self.timeout = Some(limit);
            }
            _ => return Err(unknown(key)),
        }
        Ok(())
    }

    /// `NAME=VALUE`, `"NAME=VALUE"` or `NAME="VALUE"`.
    fn add_variable(&mut self, raw: &str) -> Result<(), String> {
        let whole = if raw.starts_with('"') { unquote(raw)? } else { raw };
        let (name, value) = whole.split_once('=').ok_or("set needs a variable: set=NAME=VALUE")?;
        let value = if raw.starts_with('"') { value } else { unquote(value)? };
        let name = VariableName::parse(name).ok_or_else(|| {
            format!("set: '{}' is not a variable name", printable(name.as_bytes()))
        })?;
        if self.set.iter().any(|(other, _)| *other == name) {
            return Err(format!("set={name} stands there twice"));
        }
        self.set.push((name, value.to_string()));
        Ok(())
    }
}

/// The options that take a value.
const KEYS: [&str; 14] = [
    "from",
    "expires",
    "allow",
    "user",
    "scripts",
    "window",
    "set",
    "locks",
    "max-wait",
    "max-size",
    "max-store",
    "max-jobs",
    "max-log",
    "timeout",
];

fn unknown(key: &str) -> String {
    if key.starts_with('#') {
        return "a comment is a line of its own".into();
    }
    format!(
        "unknown option '{}' (from expires allow user sudo scripts window hold set locks max-wait \
         max-size max-store max-jobs max-log timeout)",
        printable(key.as_bytes())
    )
}

/// Double quotes enclose a whole value; inside there are no escapes.
fn unquote(raw: &str) -> Result<&str, String> {
    let inner = match raw.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or("the closing quote doesn't end the value")?,
        None => raw,
    };
    if inner.contains('"') {
        return Err("a double quote can only enclose a whole value".into());
    }
    Ok(inner)
}

/// The parts of a list, each once.
fn each<T: PartialEq>(
    value: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut all = Vec::new();
    for part in value.split(',') {
        let item = parse(part)?;
        if all.contains(&item) {
            return Err(format!("{} stands there twice", printable(part.as_bytes())));
        }
        all.push(item);
    }
    Ok(all)
}

fn parse_allow(value: &str) -> Result<Allow, String> {
    let words = each(value, |word| {
        ["status", "put", "run", "any"].into_iter().find(|known| *known == word).ok_or_else(|| {
            format!("allow: '{}' is none of status, put, run, any", printable(word.as_bytes()))
        })
    })?;
    let has = |word| words.contains(&word);
    Ok(Allow { status: has("status"), put: has("put"), run: has("run"), any: has("any") })
}

/// A date in the one form YYYY-MM-DD.
fn date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    let right = bytes.len() == 10
        && bytes.iter().enumerate().all(|(i, b)| match i {
            4 | 7 => *b == b'-',
            _ => b.is_ascii_digit(),
        });
    right.then(|| text.parse().ok()).flatten()
}

/// Names as useradd(8) makes them, and those of directories (`first.last`).
fn is_user(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.len() <= 64
        && bytes.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(b))
}
