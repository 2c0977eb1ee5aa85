//! The options of `run`, in octo-push and in octo-exec: one table, one reader.
//!
//! The two differ in this: octo-push alone can name a script of the target's
//! ([`BY_NAME`]), gives a target words of its own ([`EACH`]) and knows `%n`, the target's
//! name; a package that octo-exec is
//! given is put into the store here.

use super::order::{Order, check_reason};
use super::variables::{self, Variable};
use super::{LockRequest, MAXIMUM_LOCKS};
use crate::base::cli::options::{OptionGroup, Said, flag, value, values};
use crate::base::error::Result;
use crate::base::names::{JobId, LockName, is_file_name};
use crate::targets::{NameSet, words};
use std::collections::HashSet;
use std::time::Duration;

/// How long a lock is waited for, unless `--lock-wait` says otherwise.
const LOCK_WAIT: Duration = Duration::from_secs(300);

/// What a job is.
pub static JOB: OptionGroup = OptionGroup {
    title: "run",
    rows: &[
        value("c", "command", "COMMAND", "a command for /bin/sh, in place of a script"),
        value("p", "package", "FILE|SHA256", "with this package"),
        value("", "stdin", "FILE", "its standard input; - is ours"),
        values("e", "env", "NAME=VALUE", "a variable"),
        values("E", "env-file", "FILE", "variables, one NAME=VALUE a line"),
        values("S", "secrets", "FILE", "the same, hidden from records and output"),
        value("T", "timeout", "TIME", "end it after so long"),
        value("k", "grace", "TIME", "so long from TERM to KILL (10s)"),
        values("L", "lock", "NAME[:shared]", "wait for this lock and hold it"),
        value("W", "lock-wait", "TIME", "so long at most (5m)"),
        value("", "despite", "REASON", "deploy what is frozen there, if its line permits"),
        value("j", "job", "JOB", "with this id: repeating it runs nothing twice"),
        flag("D", "detach", "print its id and leave"),
    ],
};

/// A script that is there already.
pub static BY_NAME: OptionGroup = OptionGroup {
    title: "",
    rows: &[
        value("", "name", "NAME", "a script that the target's admin installed"),
        values("", "installed", "NAMES", "these targets run theirs of the script's name"),
    ],
};

/// What one target is told and another isn't.
pub static EACH: OptionGroup = OptionGroup {
    title: "",
    rows: &[
        value("", "each", "FILE", "more arguments, each ended by NUL; %n is the target's name"),
        values("", "frozen", "NAMES", "--despite is said to these targets alone"),
    ],
};

/// What is told of its end, in files.
pub static ENDS: OptionGroup = OptionGroup {
    title: "",
    rows: &[
        value("", "outputs", "FILE", "what it wrote to OCTO_OUTPUT goes to this file"),
        value("", "end", "FILE", "how it ended goes to this file"),
    ],
};

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A file here, `-` for standard input.
    Script(String),
    /// A text for /bin/sh.
    Command(String),
    /// A script of the target's.
    Named(String),
    /// Nothing: octo-exec does this itself.
    Order(Order),
}

/// What was said of a job, checked; no file is touched yet.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// What runs.
    pub what: What,
    /// `--installed`: targets on which the script is not sent, but run by its name.
    pub installed: NameSet,
    /// `--frozen`: the targets that `--despite` is for; none stands for all.
    pub frozen: NameSet,
    /// The arguments behind it.
    pub arguments: Vec<String>,
    /// `--each`: a file with further ones.
    pub each: Option<String>,
    /// `--package`: a file, or the sha256 of one that is there.
    pub package: Option<String>,
    /// `--stdin`: a file here, `-` for standard input.
    pub stdin: Option<String>,
    /// `--env`
    pub variables: Vec<Variable>,
    /// `--env-file`, in order.
    pub variable_files: Vec<String>,
    /// `--secrets`, in order.
    pub secret_files: Vec<String>,
    /// `--timeout`
    pub timeout: Option<Duration>,
    /// `--grace`
    pub grace: Option<Duration>,
    /// `--lock`, each with the wait of `--lock-wait`.
    pub locks: Vec<LockRequest>,
    /// `--despite`
    pub despite: Option<String>,
    /// `--job`
    pub job: Option<JobId>,
    /// `--detach`
    pub detach: bool,
}

impl JobOptions {
    /// Reads the options of [`JOB`], and [`BY_NAME`] and [`EACH`] where the tool has them.
    ///
    /// # Errors
    /// Exit 64, naming the option.
    pub fn read(said: &Said) -> Result<JobOptions> {
        let (what, arguments) = what(said)?;
        let wait = said.time("lock-wait")?.unwrap_or(LOCK_WAIT);
        let locks =
            said.many("lock").iter().map(|text| lock(said, text, wait)).collect::<Result<_>>();
        let frozen = names(said, "frozen")?;
        if !frozen.is_empty() && said.one("despite")?.is_none() {
            return Err(said.misuse("--frozen: only with --despite"));
        }
        let given = said.many("env");
        let given = given.iter().map(|text| variable(said, text));
        let options = JobOptions {
            installed: installed(said, &what)?,
            frozen,
            what,
            arguments,
            each: if said.knows("each") { said.one("each")? } else { None },
            package: said.one("package")?,
            stdin: said.one("stdin")?,
            variables: given.collect::<Result<_>>()?,
            variable_files: said.many("env-file"),
            secret_files: said.many("secrets"),
            timeout: said.time("timeout")?,
            grace: said.time("grace")?,
            locks: locks?,
            despite: said.one("despite")?,
            job: said.one("job")?.map(|text| said.job_id(&text)).transpose()?,
            detach: said.flag("detach"),
        };
        options.check(said)?;
        Ok(options)
    }

    /// Those of a job that only does this.
    pub fn of(what: What) -> JobOptions {
        JobOptions {
            installed: NameSet::default(),
            frozen: NameSet::default(),
            each: None,
            what,
            arguments: Vec::new(),
            package: None,
            stdin: None,
            variables: Vec::new(),
            variable_files: Vec::new(),
            secret_files: Vec::new(),
            timeout: None,
            grace: None,
            locks: Vec::new(),
            despite: None,
            job: None,
            detach: false,
        }
    }

    /// The files that it reads, each with what names it; `%n` is as it was said.
    pub fn inputs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let script = match &self.what {
            What::Script(path) => Some(("SCRIPT", path)),
            _ => None,
        };
        let package = self.package.iter().map(|file| ("--package", file));
        let stdin = self.stdin.iter().map(|file| ("--stdin", file));
        let variables = self.variable_files.iter().map(|file| ("--env-file", file));
        let secrets = self.secret_files.iter().map(|file| ("--secrets", file));
        let each = self.each.iter().map(|file| ("--each", file));
        let files = script
            .into_iter()
            .chain(each)
            .chain(package)
            .chain(stdin)
            .chain(variables)
            .chain(secrets);
        files.map(|(option, file)| (option, file.as_str())).filter(|(_, file)| *file != "-")
    }

    fn check(&self, said: &Said) -> Result<()> {
        let mut names = HashSet::new();
        if let Some(twice) = self.locks.iter().find(|lock| !names.insert(lock.name.as_str())) {
            return Err(said.misuse(format!("--lock {}: given twice", twice.name)));
        }
        if self.locks.len() > MAXIMUM_LOCKS {
            return Err(said.misuse(format!("--lock: {MAXIMUM_LOCKS} at most")));
        }
        let despite = self.despite.as_deref().map_or(Ok(()), check_reason);
        despite.map_err(|reason| said.misuse(format!("--despite: {reason}")))?;
        for end in ["end", "outputs", "output", "gather"] {
            if self.detach && said.knows(end) && said.flag(end) {
                let reason = format!("-D leaves before the end: it has no use for --{end}");
                return Err(said.misuse(reason));
            }
        }
        let script = usize::from(self.what == What::Script("-".into()));
        let files = self.variable_files.iter().chain(&self.secret_files);
        let files = files.chain(&self.each).chain(&self.stdin);
        if script + files.filter(|file| *file == "-").count() > 1 {
            return Err(said.misuse("standard input can be read once only"));
        }
        Ok(())
    }
}

/// The targets that an option names, where the tool has it.
fn names(said: &Said, option: &str) -> Result<NameSet> {
    if !said.knows(option) {
        return Ok(NameSet::default());
    }
    let mut names = Vec::new();
    for list in said.many(option) {
        names.extend(words(&list)?);
    }
    if names.iter().any(String::is_empty) {
        return Err(said.misuse(format!("--{option}: names joined by commas, none of them empty")));
    }
    NameSet::of(names.iter().map(String::as_str))
}

/// `--installed`, where the tool has it: only a script that is sent elsewhere has a name.
fn installed(said: &Said, what: &What) -> Result<NameSet> {
    let names = names(said, "installed")?;
    match what {
        What::Script(path) if path != "-" => Ok(names),
        _ if names.is_empty() => Ok(names),
        _ => Err(said.misuse("--installed: goes with a script's file, whose name it is")),
    }
}

fn what(said: &Said) -> Result<(What, Vec<String>)> {
    let mut arguments = said.arguments().to_vec();
    let by_name = said.knows("name");
    let name = if by_name { said.one("name")? } else { None };
    let what = match (said.one("command")?, name) {
        (Some(_), Some(_)) => {
            return Err(said.misuse("-c and --name can't stand together"));
        }
        (Some(text), None) => What::Command(text),
        (None, Some(name)) if is_file_name(name.as_bytes()) => What::Named(name),
        (None, Some(name)) => {
            return Err(said.misuse(format!("--name {name}: not a file name")));
        }
        (None, None) if arguments.is_empty() => {
            return Err(said.misuse(match by_name {
                true => "needs a script, -c COMMAND or --name NAME",
                false => "needs a script or -c COMMAND",
            }));
        }
        (None, None) => What::Script(arguments.remove(0)),
    };
    Ok((what, arguments))
}

/// No message shows a value: it may be a secret.
fn variable(said: &Said, text: &str) -> Result<Variable> {
    if !text.contains('=') {
        return Err(said.misuse(format!("--env {text}: not NAME=VALUE")));
    }
    variables::assignment(text.as_bytes())
        .map_err(|error| said.misuse(format!("--env: {}", error.message)))
}

fn lock(said: &Said, text: &str, wait: Duration) -> Result<LockRequest> {
    let (name, shared) = match text.strip_suffix(":shared") {
        Some(name) => (name, true),
        None => (text, false),
    };
    match LockName::parse(name) {
        Some(name) => Ok(LockRequest { name, shared, wait }),
        None => Err(said.misuse(format!("--lock {text}: not NAME or NAME:shared"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::cli::Tool;
    use crate::base::cli::options::Order;
    use crate::base::error::Exit;

    fn read(groups: &[&OptionGroup], words: &[&str]) -> Result<JobOptions> {
        const TOOL: Tool = Tool { name: "x", help: String::new };
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let said = TOOL.said(groups, &words, Order::BeforeArguments)?.expect("no --help");
        JobOptions::read(&said)
    }

    #[test]
    fn a_job_is_read_and_what_is_behind_its_script_is_the_scripts() {
        let words = ["-eA=b", "-L", "d:shared", "-W9", "-T", "1m", "x.sh", "-D", "-L"];
        let job = read(&[&JOB, &ENDS], &words).expect("ok");
        assert_eq!(job.what, What::Script("x.sh".into()));
        assert_eq!(job.arguments, ["-D", "-L"]);
        assert!(job.locks[0].shared && job.locks[0].wait.as_secs() == 9 && !job.detach);
        assert_eq!(job.timeout, Some(Duration::from_secs(60)));
        assert_eq!(job.variables[0].name.as_str(), "A");
        let job = read(&[&JOB, &ENDS], &["-c", "echo $1", "x"]).expect("ok");
        assert_eq!(job.what, What::Command("echo $1".into()));
        assert_eq!(job.arguments, ["x"]);
        let job = read(&[&JOB, &BY_NAME, &ENDS], &["--name", "x", "--", "-y"]).expect("ok");
        assert_eq!((job.what, job.arguments), (What::Named("x".into()), vec!["-y".to_string()]));
    }

    #[test]
    fn what_is_misused_is_named() {
        for (words, reason) in [
            (&[][..], "needs a script, -c COMMAND or --name NAME"),
            (&["-c", "a", "--name", "b"], "-c and --name can't stand together"),
            (&["--name", "../x"], "--name ../x: not a file name"),
            (&["-j", "x", "-c", "y"], "x: not a job id, as in 20260131T235959-abcdefghijklm"),
            (&["-L", "a:b", "y"], "--lock a:b: not NAME or NAME:shared"),
            (&["-L", "a:", "y"], "--lock a:: not NAME or NAME:shared"),
            (&["-L", "a", "-L", "a:shared", "y"], "--lock a: given twice"),
            (&["-D", "--end", "f", "y"], "-D leaves before the end: it has no use for --end"),
            (&["-S", "-", "-"], "standard input can be read once only"),
            (&["--stdin", "-", "-"], "standard input can be read once only"),
            (&["--stdin", "-", "-S", "-", "-c", "x"], "standard input can be read once only"),
            (&["-S", "-", "-E", "-", "-c", "x"], "standard input can be read once only"),
            (&["-e", "A", "y"], "--env A: not NAME=VALUE"),
            (&["-e", "A B=x", "y"], "--env: 'A B' is not a variable name ([A-Za-z_][A-Za-z0-9_]*)"),
            (&["--despite", "", "y"], "--despite: the reason is empty"),
            (&["-T", "x", "y"], "--timeout x: not a time such as 30s, 5m, 1h or 2d"),
        ] {
            let error = read(&[&JOB, &BY_NAME, &ENDS], words).expect_err(reason);
            assert_eq!((error.message.as_str(), error.exit), (reason, Exit::Usage));
        }
        let locks: Vec<String> = (0..65).map(|number| format!("-La{number}")).collect();
        let mut words: Vec<&str> = locks.iter().map(String::as_str).collect();
        words.push("y");
        let error = read(&[&JOB, &ENDS], &words).expect_err("too many");
        assert_eq!((error.message.as_str(), error.exit), ("--lock: 64 at most", Exit::Usage));
        read(&[&JOB, &ENDS], &words[1..]).expect("64 locks");
        let error = read(&[&JOB, &ENDS], &[]).expect_err("nothing to run");
        assert_eq!(error.message, "needs a script or -c COMMAND");
    }
}
