//! What a line of the trust file can say: one row an option. Parsing, the refusal
//! of unknown words, `octo-keys explain`, the warnings of `octo-keys check`, the
//! record of what a job was granted and the tidy test follow from it.

use super::environment::VariablePattern;
use super::values::{self, Allow};
use super::{Network, Verb, Windows};
use crate::base::encoding::printable;
use crate::base::names::{LockName, VariableName};
use crate::base::nearest::nearest;
use crate::base::units::human_duration;
use jiff::civil::Date;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

/// The options of a line, with what holds where it doesn't say them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The networks that the pusher may come from; `None` is anywhere.
    pub from: Option<Vec<Network>>,
    /// The last day, in UTC, on which the line holds.
    pub expires: Option<Date>,
    /// The verbs.
    pub allow: Allow,
    /// Whom jobs run as.
    pub user: Option<String>,
    /// Jobs may gain privileges.
    pub sudo: bool,
    /// The directory whose scripts the pusher may name; it may send none.
    pub scripts: Option<PathBuf>,
    /// Scripts that are run by name may be given standard input.
    pub stdin: bool,
    /// The file of keys of which one must have signed the package of a run.
    pub signed: Option<PathBuf>,
    /// When a run may start.
    pub window: Option<Windows>,
    /// How many must approve a run before it starts; 0 is nobody.
    pub hold: u8,
    /// The variables and secrets that the pusher may give to jobs; `None` is none where
    /// scripts= is said, else all that aren't forbidden.
    pub env: Option<Vec<VariablePattern>>,
    /// Variables of jobs that the pusher can't give.
    pub set: Vec<(VariableName, String)>,
    /// The named locks that jobs may take; `None` is any.
    pub locks: Option<Vec<LockName>>,
    /// The longest wait for a lock.
    pub max_wait: Duration,
    /// The largest object that the pusher may send or get, in bytes.
    pub max_size: u64,
    /// How much it may keep, packages and jobs together, in bytes.
    pub max_store: u64,
    /// How many of its jobs may be under way at once.
    pub max_jobs: u64,
    /// The largest output of a job that is kept, in bytes.
    pub max_log: u64,
    /// The longest time limit of a job; `None` is no limit.
    pub timeout: Option<Duration>,
    /// The memory that all processes of a job may have together, in bytes.
    pub memory: Option<u64>,
    /// The processor time of a job, in percent of one processor.
    pub cpu: Option<u32>,
    /// The processes and threads that a job may have at once.
    pub tasks: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            from: None,
            expires: None,
            allow: Allow::default(),
            user: None,
            sudo: false,
            scripts: None,
            stdin: false,
            signed: None,
            window: None,
            hold: 0,
            env: None,
            set: Vec::new(),
            locks: None,
            max_wait: Duration::from_secs(300),
            max_size: 4 << 30,
            max_store: 20 << 30,
            max_jobs: 64,
            max_log: 1 << 30,
            timeout: None,
            memory: None,
            cpu: None,
            tasks: None,
        }
    }
}

/// All that is said about an option in one place.
#[derive(Debug)]
pub struct TrustOption {
    /// The word, or what stands before the `=`.
    pub key: &'static str,
    takes: Takes,
    /// Its values as the file spells them; none where nothing is said.
    show: fn(&Options) -> Vec<String>,
    /// What holds where nothing is said, in words; empty where `show` says it.
    pub otherwise: &'static str,
    /// The verbs that it bounds. Conditions of the whole line bound none.
    pub bounds: &'static [Verb],
}

/// How an option is written, and what takes it.
#[derive(Debug)]
enum Takes {
    /// The word alone.
    Nothing(fn(&mut Options)),
    /// `key=VALUE`; the error says what a value is.
    Value(fn(&mut Options, &str) -> Result<(), String>),
    /// The word alone, or `key=VALUE`.
    Either(fn(&mut Options), fn(&mut Options, &str) -> Result<(), String>),
    /// `key=NAME=VALUE`, once a name.
    Variable(fn(&mut Options, VariableName, String)),
}

/// In the order of [`Options`].
static ROWS: &[TrustOption] = &[
    value("from", |options, value| {
        values::each(value, Network::parse).map(|networks| options.from = Some(networks))
    })
    .shown(|options| values::list(options.from.as_deref()))
    .otherwise("anywhere"),
    value("expires", |options, value| values::date(value).map(|day| options.expires = Some(day)))
        .shown(|options| values::one(options.expires))
        .otherwise("never"),
    value("allow", |options, value| values::allow(value).map(|words| options.allow = words))
        .shown(|options| vec![options.allow.to_string()]),
    value("user", |options, value| values::user(value).map(|user| options.user = Some(user)))
        .shown(|options| values::one(options.user.as_ref()))
        .otherwise("whoever starts it")
        .bounds(RUN),
    word("sudo", |options| options.sudo = true)
        .shown(|options| values::yes_or_no(options.sudo))
        .bounds(RUN),
    value("scripts", |options, value| {
        values::directory(value).map(|directory| options.scripts = Some(directory))
    })
    .shown(|options| values::one(options.scripts.as_ref().map(|path| path.display())))
    .otherwise("any that it sends")
    .bounds(RUN),
    word("stdin", |options| options.stdin = true)
        .shown(|options| values::yes_or_no(options.stdin))
        .bounds(RUN),
    value("signed", |options, value| values::file(value).map(|file| options.signed = Some(file)))
        .shown(|options| values::one(options.signed.as_ref().map(|path| path.display())))
        .otherwise("packages need no signature")
        .bounds(RUN),
    value("window", |options, value| {
        Windows::parse(value).map(|windows| options.window = Some(windows))
    })
    .shown(|options| values::one(options.window.as_ref()))
    .otherwise("at any time")
    .bounds(RUN),
    option(
        "hold",
        Takes::Either(
            |options| options.hold = 1,
            |options, value| values::approvals(value).map(|count| options.hold = count),
        ),
    )
    .shown(|options| match options.hold {
        0 | 1 => values::yes_or_no(options.hold == 1),
        count => vec![count.to_string()],
    })
    .bounds(RUN),
    value("env", |options, value| values::patterns(value).map(|all| options.env = Some(all)))
        .shown(|options| values::list(options.env.as_deref()))
        .otherwise("none with scripts=, else all but those that choose code or configuration")
        .bounds(RUN),
    option("set", Takes::Variable(|options, name, value| options.set.push((name, value))))
        .shown(|options| {
            options.set.iter().map(|(name, value)| format!("{name}={value}")).collect()
        })
        .otherwise("nothing")
        .bounds(RUN),
    value("locks", |options, value| values::locks(value).map(|names| options.locks = Some(names)))
        .shown(|options| values::list(options.locks.as_deref()))
        .otherwise("any")
        .bounds(RUN),
    value("max-wait", |options, value| values::duration(value).map(|wait| options.max_wait = wait))
        .shown(|options| vec![human_duration(options.max_wait)])
        .bounds(RUN),
    value("max-size", |options, value| values::size(value).map(|size| options.max_size = size))
        .shown(|options| vec![values::size_text(options.max_size)])
        .bounds(&[Verb::Put, Verb::Run, Verb::Get]),
    value("max-store", |options, value| values::size(value).map(|size| options.max_store = size))
        .shown(|options| vec![values::size_text(options.max_store)])
        .bounds(&[Verb::Put, Verb::Run, Verb::Freeze, Verb::Approve]),
    value("max-jobs", |options, value| values::count(value).map(|jobs| options.max_jobs = jobs))
        .shown(|options| vec![options.max_jobs.to_string()])
        .bounds(RUN),
    value("max-log", |options, value| values::size(value).map(|size| options.max_log = size))
        .shown(|options| vec![values::size_text(options.max_log)])
        .bounds(RUN),
    value("timeout", |options, value| {
        values::time_limit(value).map(|limit| options.timeout = Some(limit))
    })
    .shown(|options| values::one(options.timeout.map(human_duration)))
    .otherwise("no limit")
    .bounds(RUN),
    value("memory", |options, value| values::memory(value).map(|size| options.memory = Some(size)))
        .shown(|options| values::one(options.memory.map(values::size_text)))
        .otherwise("what the machine has")
        .bounds(RUN),
    value("cpu", |options, value| values::percent(value).map(|share| options.cpu = Some(share)))
        .shown(|options| values::one(options.cpu.map(|share| format!("{share}%"))))
        .otherwise("what the machine has")
        .bounds(RUN),
    value("tasks", |options, value| values::tasks(value).map(|tasks| options.tasks = Some(tasks)))
        .shown(|options| values::one(options.tasks))
        .otherwise("what the machine has")
        .bounds(RUN),
];

/// Those that are about runs alone.
const RUN: &[Verb] = &[Verb::Run];

const fn word(key: &'static str, take: fn(&mut Options)) -> TrustOption {
    option(key, Takes::Nothing(take))
}

const fn value(
    key: &'static str,
    take: fn(&mut Options, &str) -> Result<(), String>,
) -> TrustOption {
    option(key, Takes::Value(take))
}

const fn option(key: &'static str, takes: Takes) -> TrustOption {
    TrustOption { key, takes, show: |_| Vec::new(), otherwise: "", bounds: &[] }
}

impl TrustOption {
    const fn shown(self, show: fn(&Options) -> Vec<String>) -> TrustOption {
        TrustOption { show, ..self }
    }

    const fn otherwise(self, otherwise: &'static str) -> TrustOption {
        TrustOption { otherwise, ..self }
    }

    const fn bounds(self, bounds: &'static [Verb]) -> TrustOption {
        TrustOption { bounds, ..self }
    }

    /// All of them, in the order in which they are told.
    pub fn all() -> impl Iterator<Item = &'static TrustOption> {
        ROWS.iter()
    }

    /// How it is written, as far as its value: `hold`, `user=`.
    pub fn written(&self) -> String {
        match self.takes {
            Takes::Nothing(_) | Takes::Either(..) => self.key.to_string(),
            Takes::Value(_) | Takes::Variable(_) => format!("{}=", self.key),
        }
    }

    /// Its values as the file spells them; none where these options don't say it.
    pub fn values(&self, options: &Options) -> Vec<String> {
        (self.show)(options)
    }

    /// Does nothing come of it where no run is permitted?
    pub fn is_for_runs(&self) -> bool {
        self.bounds == [Verb::Run]
    }
}

impl Options {
    /// The options of these words, as they stand in the file, quotes included.
    ///
    /// # Errors
    /// What is wrong with the first wrong one.
    pub(super) fn read<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Options, String> {
        let mut options = Options::default();
        let mut said = HashSet::new();
        for word in words {
            let given = options.take(word)?;
            if let Some(twice) = said.replace(given) {
                return Err(format!("{twice} stands there twice"));
            }
        }
        Ok(options)
    }

    /// Takes one word, and says what may not be said again.
    fn take(&mut self, word: &str) -> Result<String, String> {
        let (key, raw) = match word.split_once('=') {
            Some((key, raw)) => (key, Some(raw)),
            None => (word, None),
        };
        let row = ROWS.iter().find(|row| row.key == key).ok_or_else(|| unknown(key))?;
        match (&row.takes, raw) {
            (Takes::Nothing(take) | Takes::Either(take, _), None) => take(self),
            (Takes::Nothing(_), Some(_)) => return Err(format!("{key} takes no value")),
            (_, None) => return Err(format!("{key} needs a value: {key}=…")),
            (Takes::Value(take) | Takes::Either(_, take), Some(raw)) => {
                let value = values::unquoted(raw)?;
                take(self, value).map_err(|wrong| values::wrong(key, value, &wrong))?;
            }
            (Takes::Variable(take), Some(raw)) => {
                let (name, value) = values::variable(key, raw)?;
                let said = format!("{key}={name}");
                take(self, name, value);
                return Ok(said);
            }
        }
        Ok(key.to_string())
    }
}

fn unknown(key: &str) -> String {
    if key.starts_with('#') {
        return "a comment is a line of its own".into();
    }
    let keys: Vec<&str> = ROWS.iter().map(|row| row.key).collect();
    let near = nearest(key, keys.iter().copied());
    let near = near.map(|near| format!(": {near} is one")).unwrap_or_default();
    format!("unknown option '{}'{near} ({})", printable(key.as_bytes()), keys.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: &str = "from=10.0.0.0/8,::1/128 expires=2027-06-30 allow=put,run,freeze,despite,approve user=app sudo \
        scripts=/srv/scripts stdin signed=/etc/keys window=22:00-05:00 hold=2 env=A,APP_* set=A=1 set=B= locks=db,web max-wait=1m \
        max-size=1K max-store=2000 max-jobs=3 max-log=4M timeout=2h memory=64M cpu=150% tasks=32";

    /// What is shown is what the file would say, so that a record can be read.
    #[test]
    fn what_is_shown_reads_back() {
        let options = Options::read(EVERYTHING.split_whitespace()).expect("sound");
        let mut words = Vec::new();
        for row in ROWS {
            let given = row.values(&options);
            assert_ne!(given, row.values(&Options::default()), "{} isn't tried", row.key);
            words.extend(given.iter().map(|value| match &row.takes {
                Takes::Nothing(_) => row.key.to_string(),
                _ => format!("{}={value}", row.key),
            }));
        }
        assert_eq!(words.join(" "), EVERYTHING.split_whitespace().collect::<Vec<_>>().join(" "));
        // An option without a value by default says in words what holds.
        for row in ROWS {
            let silent = row.values(&Options::default()).is_empty();
            assert_eq!(silent, !row.otherwise.is_empty(), "{}", row.key);
        }
    }

    #[test]
    fn every_field_is_an_option() {
        let shown = format!("{:#?}", Options::default());
        let fields =
            shown.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
        let fields = fields.filter_map(|line| line.split_once(": "));
        let fields: Vec<String> = fields.map(|(name, _)| name.trim().replace('_', "-")).collect();
        assert_eq!(fields, ROWS.iter().map(|row| row.key).collect::<Vec<_>>());
    }

    #[test]
    fn an_unknown_word_is_named_with_the_nearest() {
        let unknown = |word| Options::read([word]).expect_err(word);
        assert!(
            unknown("tiemout=1h").starts_with("unknown option 'tiemout': timeout is one (from ")
        );
        assert!(unknown("oops").starts_with("unknown option 'oops' (from expires "));
    }
}
