//! The verbs and their own options; what contradicts itself is refused here,
//! before any file is touched.

use crate::cli::argv;
use crate::cli::options::{self, Common};
use crate::records::end_files;
use getopts::Matches;
use octo_core::base::cli::Tool;
use octo_core::base::error::{Error, Result};
use octo_core::base::names::{JobId, LockName, is_file_name};
use octo_core::base::units::duration;
use octo_core::tentacle::spec::LockRequest;
use octo_core::tentacle::spec::variables::{self, Variable};
use std::time::Duration;

/// How long a lock is waited for, unless `-W` says otherwise.
const LOCK_WAIT: Duration = Duration::from_secs(300);

/// What is to be done with the selected targets.
#[derive(Debug, Clone)]
pub(crate) enum Verb {
    /// Puts files into the package store.
    Put(Vec<String>),
    /// Runs a job.
    Run(Box<Run>),
    /// Follows a job from its beginning.
    Follow(JobId, Ends),
    /// Cancels a job.
    Cancel(JobId),
    /// Lists jobs.
    Jobs,
    /// Shows how a tentacle is.
    Status,
    /// Fetches artifacts, or lists them.
    Get(Get),
    /// Lists the scripts that are offered by name.
    Scripts,
    /// Shows the targets file.
    Targets,
    /// Shows the pusher's own journal.
    Journal(Vec<String>),
    /// Asks for the proof that a recorded audit head still stands.
    Audit,
}

/// `run`
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// What runs.
    pub(crate) what: What,
    /// The arguments behind it.
    pub(crate) arguments: Vec<String>,
    /// `-p`: a file, or the sha256 of one that is there.
    pub(crate) package: Option<String>,
    /// `-e`
    pub(crate) variables: Vec<Variable>,
    /// `-E`, in order.
    pub(crate) variable_files: Vec<String>,
    /// `-S`, in order.
    pub(crate) secret_files: Vec<String>,
    /// `-T`
    pub(crate) timeout: Option<Duration>,
    /// `-k`
    pub(crate) grace: Option<Duration>,
    /// `-L`, each with the wait of `-W`.
    pub(crate) locks: Vec<LockRequest>,
    /// `-j`
    pub(crate) job: Option<JobId>,
    /// `-D`
    pub(crate) detach: bool,
    /// Where its end is told.
    pub(crate) ends: Ends,
    /// Where among the words of the command line the verb stands.
    pub(crate) position: usize,
}

/// What `run` runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A file here, `-` for standard input.
    Script(String),
    /// A text for /bin/sh.
    Command(String),
    /// A script of the target's.
    Named(String),
}

/// Files that get what came of a job; `%n` in them is the target's name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends {
    /// `--end`: kind, code and origin.
    pub(crate) end: Option<String>,
    /// `--outputs`: the values that the script handed back.
    pub(crate) outputs: Option<String>,
    /// `-o`: its standard output.
    pub(crate) output: Option<String>,
}

/// `get`
#[derive(Debug, Clone)]
pub(crate) struct Get {
    /// Whose artifacts.
    pub(crate) job: JobId,
    /// Which; none: a list of them.
    pub(crate) artifacts: Vec<String>,
    /// `-o`: the directory they go to.
    pub(crate) directory: Option<String>,
}

/// Reads the whole command line; `None` where `--help` was answered.
///
/// # Errors
/// Exit 64, with a hint.
pub(crate) fn read(tool: &Tool, arguments: &[String]) -> Result<Option<(Common, Verb)>> {
    let mut front = tool.options();
    options::declare(&mut front);
    let Some(before) = tool.parse_untabled(&front, arguments)? else { return Ok(None) };
    let Some((word, rest)) = before.free.split_first() else {
        return Err(tool.misuse("which verb? put, run, follow, cancel, jobs, status, …"));
    };

    let mut own = tool.options();
    options::declare(&mut own);
    match word.as_str() {
        "run" => declare_run(&mut own),
        "follow" => declare_ends(&mut own),
        "get" => {
            own.optopt("o", "output", "", "DIR");
        }
        "put" | "cancel" | "jobs" | "status" | "scripts" | "targets" | "journal" | "audit" => {}
        _ => return Err(unknown_verb(tool, arguments, &before)),
    }
    let Some(behind) = tool.parse_untabled(&own, rest)? else { return Ok(None) };
    let dry_run = [&before, &behind].iter().any(|said| said.opt_present("dry-run"));
    if matches!(word.as_str(), "run" | "follow") && !dry_run {
        end_files::forget(&["end", "outputs"].map(|option| behind.opt_str(option)))?;
    }
    let common = options::read(tool, &[&before, &behind])?;
    let mut verb = read_verb(tool, word, &behind)?;
    if let Verb::Run(run) = &mut verb {
        run.position = arguments.len() - before.free.len();
    }
    check(tool, &common, &verb)?;
    Ok(Some((common, verb)))
}

fn declare_ends(options: &mut getopts::Options) {
    options.optopt("", "end", "", "FILE");
    options.optopt("", "outputs", "", "FILE");
    options.optopt("o", "output", "", "FILE");
}

fn declare_run(options: &mut getopts::Options) {
    declare_ends(options);
    options.optopt("p", "package", "", "FILE|SHA256");
    options.optmulti("e", "env", "", "NAME=VALUE");
    options.optmulti("E", "env-file", "", "FILE");
    options.optmulti("S", "secrets", "", "FILE");
    options.optopt("T", "timeout", "", "TIME");
    options.optopt("k", "grace", "", "TIME");
    options.optmulti("L", "lock", "", "NAME[:shared]");
    options.optopt("W", "lock-wait", "", "TIME");
    options.optopt("j", "job", "", "JOB");
    options.optflag("D", "detach", "");
    options.optopt("c", "command", "", "COMMAND");
    options.optopt("", "name", "", "NAME");
}

/// `octo-push -t web uptime`: what was meant is plain, but running it would
/// make every typing error of a verb a command for a fleet.
fn unknown_verb(tool: &Tool, arguments: &[String], before: &Matches) -> Error {
    let front = &arguments[..arguments.len() - before.free.len()];
    let front = front.iter().map(String::as_str);
    let command = before.free.join(" ");
    let meant = argv::join(["octo-push"].into_iter().chain(front).chain(["run", "-c", &command]));
    Error::usage(format!("{}: no such verb", before.free[0]))
        .hint(format!("to run a command: {meant}"))
        .hint(format!("{} --help", tool.name))
}

fn read_verb(tool: &Tool, word: &str, matches: &Matches) -> Result<Verb> {
    let free = &matches.free;
    let none = || {
        if free.is_empty() {
            return Ok(());
        }
        Err(tool.misuse(format!("{word} takes no argument, not {}", free[0])))
    };
    let job = || -> Result<JobId> {
        match free.first() {
            Some(text) => job_id(tool, text),
            None => Err(tool.misuse(format!("{word} needs a job id"))),
        }
    };
    let job_only = || match free.get(1) {
        Some(text) => Err(tool.misuse(format!("{word} takes one job, not {text} too"))),
        None => job(),
    };
    Ok(match word {
        "put" if free.is_empty() => return Err(tool.misuse("put needs a file")),
        "put" => Verb::Put(free.clone()),
        "run" => Verb::Run(Box::new(read_run(tool, matches)?)),
        "follow" => Verb::Follow(job_only()?, read_ends(matches)),
        "cancel" => Verb::Cancel(job_only()?),
        "get" => Verb::Get(Get {
            job: job()?,
            artifacts: free[1..].to_vec(),
            directory: matches.opt_str("o"),
        }),
        "journal" => Verb::Journal(free.clone()),
        "jobs" => none().map(|()| Verb::Jobs)?,
        "status" => none().map(|()| Verb::Status)?,
        "scripts" => none().map(|()| Verb::Scripts)?,
        "targets" => none().map(|()| Verb::Targets)?,
        _ => none().map(|()| Verb::Audit)?,
    })
}

fn read_ends(matches: &Matches) -> Ends {
    Ends {
        end: matches.opt_str("end"),
        outputs: matches.opt_str("outputs"),
        output: matches.opt_str("o"),
    }
}

fn read_run(tool: &Tool, matches: &Matches) -> Result<Run> {
    let time = |name: &str, letter: &str| -> Result<Option<Duration>> {
        let Some(text) = matches.opt_str(name) else { return Ok(None) };
        let found = duration(&text);
        found.map(Some).ok_or_else(|| tool.misuse(format!("-{letter} {text}: not a time")))
    };
    let mut arguments = matches.free.clone();
    let what = match (matches.opt_str("c"), matches.opt_str("name")) {
        (Some(_), Some(_)) => return Err(tool.misuse("-c and --name can't stand together")),
        (Some(text), None) => What::Command(text),
        (None, Some(name)) if is_file_name(name.as_bytes()) => What::Named(name),
        (None, Some(name)) => return Err(tool.misuse(format!("--name {name}: not a file name"))),
        (None, None) if arguments.is_empty() => {
            return Err(tool.misuse("run needs a script, -c COMMAND or --name NAME"));
        }
        (None, None) => What::Script(arguments.remove(0)),
    };
    let wait = time("lock-wait", "W")?.unwrap_or(LOCK_WAIT);
    let locks =
        matches.opt_strs("L").iter().map(|text| lock(tool, text, wait)).collect::<Result<_>>()?;
    let variables = matches
        .opt_strs("e")
        .iter()
        .map(|text| variables::assignment(text.as_bytes()))
        .collect::<Result<_>>()?;
    Ok(Run {
        what,
        arguments,
        package: matches.opt_str("p"),
        variables,
        variable_files: matches.opt_strs("E"),
        secret_files: matches.opt_strs("S"),
        timeout: time("timeout", "T")?,
        grace: time("grace", "k")?,
        locks,
        job: matches.opt_str("j").map(|text| job_id(tool, &text)).transpose()?,
        detach: matches.opt_present("D"),
        ends: read_ends(matches),
        position: 0,
    })
}

fn job_id(tool: &Tool, text: &str) -> Result<JobId> {
    JobId::parse(text).ok_or_else(|| {
        tool.misuse(format!("{text}: not a job id, as in 20260131T235959-abcdefghijklm"))
    })
}

fn lock(tool: &Tool, text: &str, wait: Duration) -> Result<LockRequest> {
    let (name, way) = text.split_once(':').unwrap_or((text, "exclusive"));
    let name = LockName::parse(name);
    match (name, way) {
        (Some(name), "shared" | "exclusive") => {
            Ok(LockRequest { name, shared: way == "shared", wait })
        }
        _ => Err(tool.misuse(format!("-L {text}: not NAME or NAME:shared"))),
    }
}

fn check(tool: &Tool, common: &Common, verb: &Verb) -> Result<()> {
    let streams = matches!(verb, Verb::Run(_) | Verb::Follow(..));
    if common.gather && !streams {
        return Err(tool.misuse("-g is for run and follow"));
    }
    let Verb::Run(run) = verb else {
        if common.rolling.is_said() {
            return Err(tool.misuse("--batch, --canary and their kin are for run"));
        }
        return Ok(());
    };
    if run.detach {
        let ends = &run.ends;
        if common.gather || ends.end.is_some() || ends.outputs.is_some() || ends.output.is_some() {
            return Err(tool.misuse("-D leaves before the end: no -g, --end, --outputs or -o"));
        }
        if common.rolling.is_said() {
            return Err(tool.misuse("-D leaves before the end: no batches"));
        }
    }
    let mut from_stdin = usize::from(run.what == What::Script("-".into()));
    from_stdin += run.variable_files.iter().chain(&run.secret_files).filter(|f| *f == "-").count();
    if from_stdin > 1 {
        return Err(tool.misuse("standard input can be read once only"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use octo_core::base::error::Exit;

    const TOOL: Tool = Tool { name: "octo-push", help: String::new };

    fn parse(line: &str) -> Result<(Common, Verb)> {
        let mut arguments =
            vec!["--config".to_string(), "/c".into(), "--state".into(), "/s".into()];
        arguments.extend(argv::split(line).expect(line));
        read(&TOOL, &arguments).map(|read| read.expect("not --help"))
    }

    #[test]
    fn options_stand_on_either_side_of_the_verb() {
        let (common, verb) =
            parse("-t web -x db -f 3 run -t prod -w 5 -e A=b -L d:shared -W 9 x.sh -t a")
                .expect("ok");
        assert_eq!(common.take, ["web", "prod"]);
        assert_eq!((common.fanout, common.wait.as_secs(), common.outage.as_secs()), (3, 5, 5));
        let Verb::Run(run) = verb else { panic!("not run") };
        assert_eq!(run.what, What::Script("x.sh".into()));
        assert_eq!(run.arguments, ["-t", "a"]);
        assert!(run.locks[0].shared && run.locks[0].wait.as_secs() == 9);
        let (_, verb) = parse("-a run -c 'echo $1' x").expect("ok");
        let Verb::Run(run) = verb else { panic!("not run") };
        assert_eq!((run.what, run.arguments), (What::Command("echo $1".into()), vec!["x".into()]));
    }

    #[test]
    fn misuse_is_told_before_anything_is_touched() {
        for (line, said) in [
            ("-t web uptime -p", "run -c 'uptime -p'"),
            ("-t web", "which verb"),
            ("-a -t web status", "-a and -t"),
            ("-q -v status", "-q and -v"),
            ("--json -g run -c x", "--json and -g"),
            ("-w 5x status", "-w 5x"),
            ("-f 0 status", "-f 0"),
            ("-w 1 status -w 2", "twice"),
            ("--batch 1,x run -c x", "--batch 1,x"),
            ("--batch 0 run -c x", "--batch 0"),
            ("--batch 1 status", "for run"),
            ("-P 'a \"b' status", "not closed"),
            ("--shard 0/3 status", "--shard"),
            ("-g status", "-g is for"),
            ("run", "needs a script"),
            ("run -c a --name b", "--name"),
            ("run --name ../x", "not a file name"),
            ("run -j x -c y", "not a job id"),
            ("run -L a:b -c y", "-L a:b"),
            ("run -D --end f -c y", "-D leaves"),
            ("run -S - -", "standard input"),
            ("run -e A -c y", "NAME=VALUE"),
            ("run -T x -c y", "-T x"),
            ("follow", "needs a job id"),
            ("follow ../../etc", "not a job id"),
            ("put", "needs a file"),
            ("status x", "no argument"),
        ] {
            let error = parse(line).expect_err(line);
            let hints = error.hints.join("\n");
            assert!(error.message.contains(said) || hints.contains(said), "{line}: {error}");
            assert_eq!(error.exit, Exit::Usage, "{line}");
        }
        assert_eq!(parse("run -e PATH=x -c y").expect_err("steers").exit, Exit::Refused);
    }
}
