//! `octo-exec run`: the same job as a listener would make, by hand or from cron.

use super::following::{to_end, withdraw};
use crate::start;
use getopts::Matches;
use octo_core::base::cli::{Tool, print};
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::no_core;
use octo_core::base::operator;
use octo_core::base::paths::{Places, create_directory, read_bounded};
use octo_core::base::units;
use octo_core::tentacle::job::{End, EndKind, JobDirectory, JobRequest, NewJob, Published};
use octo_core::tentacle::spec::seed::Seed;
use octo_core::tentacle::spec::variables;
use octo_core::tentacle::spec::{LockRequest, MAXIMUM_SCRIPT, Script, Spec, secrets};
use octo_core::tentacle::store::{Store, Who};
use octo_core::{Digest, JobId, LockName};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A job that is still to be published.
struct Wanted {
    spec: Spec,
    script: Option<Vec<u8>>,
    secrets: Option<Vec<u8>>,
}

/// The verb.
pub(super) fn run(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let mut options = tool.options();
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
    options.optflag("q", "quiet", "");
    options.optflag("v", "verbose", "");
    options.optflag("c", "command", "");
    options.optopt("", "outputs", "", "FILE");
    options.optopt("", "end", "", "FILE");
    let Some(matches) = tool.parse_untabled(&options, arguments)? else { return Ok(0) };
    forget_older(&matches)?;
    let id = match matches.opt_str("job") {
        Some(text) => {
            JobId::parse(&text).ok_or_else(|| tool.misuse(format!("'{text}' is not a job id")))?
        }
        None => {
            JobId::generate().map_err(|e| Error::new(Exit::Io, "random bytes", describe(&e)))?
        }
    };
    let wanted = wanted(tool, places, &id, &matches)?;
    let job = publish(places, &id, &wanted)?;
    if matches.opt_present("detach") {
        start::detached(places, &job).map_err(|error| withdraw(&job, error))?;
        print(&format!("{id}\n"))?;
        return Ok(0);
    }
    let end = to_end(tool, places, &job)?;
    finish(tool, &matches, &job, &end)
}

/// A file of an older run must not be taken for this one's, not even where this
/// one is refused for its options.
fn forget_older(matches: &Matches) -> Result<()> {
    for name in ["end", "outputs"] {
        let path = matches.opt_str(name).map(PathBuf::from).filter(|path| path.is_file());
        if let Some(path) = path {
            std::fs::remove_file(&path).map_err(|e| Error::doing("remove", &path, &e))?;
        }
    }
    Ok(())
}

fn wanted(tool: &Tool, places: &Places, id: &JobId, matches: &Matches) -> Result<Wanted> {
    let misuse = |text: String| tool.misuse(text);
    let time = |name: &str| -> Result<Option<std::time::Duration>> {
        let Some(text) = matches.opt_str(name) else { return Ok(None) };
        units::duration(&text)
            .map(Some)
            .ok_or_else(|| misuse(format!("{text}: not a time such as 30s, 5m, 1h or 2d")))
    };
    // What is misused is said before any file is touched.
    let (timeout, grace) = (time("timeout")?, time("grace")?);
    let wait = time("lock-wait")?.unwrap_or(std::time::Duration::from_secs(300));
    let Some((first, arguments)) = matches.free.split_first() else {
        return Err(misuse("no script is given".into()));
    };
    let files = matches.opt_strs("env-file").into_iter().chain(matches.opt_strs("secrets"));
    let script = (!matches.opt_present("command")).then(|| first.clone());
    if files.chain(script).filter(|file| file == "-").count() > 1 {
        return Err(misuse("standard input can be read once only".into()));
    }
    let leaves = matches.opt_present("detach");
    if leaves && (matches.opt_present("end") || matches.opt_present("outputs")) {
        return Err(misuse("-D leaves before the end: no --end or --outputs".into()));
    }
    let (script, bytes) = if matches.opt_present("command") {
        (Script::Command(first.clone()), None)
    } else {
        let (name, bytes) = read_script(first)?;
        (Script::Sent { digest: Digest::of(&bytes), name }, Some(bytes))
    };
    let mut spec = Spec::of(script);
    spec.arguments = arguments.iter().map(|a| a.clone().into_bytes()).collect();
    for path in matches.opt_strs("env-file") {
        spec.environment = variables::merge(&spec.environment, &variables::read(&path, false)?);
    }
    let given = matches.opt_strs("env");
    let given: Result<Vec<_>> =
        given.iter().map(|text| variables::assignment(text.as_bytes())).collect();
    spec.environment = variables::merge(&spec.environment, &given?);
    (spec.timeout, spec.grace) = (timeout, grace);
    for text in matches.opt_strs("lock") {
        let (name, shared) = match text.strip_suffix(":shared") {
            Some(name) => (name, true),
            None => (text.as_str(), false),
        };
        let name = LockName::parse(name)
            .ok_or_else(|| misuse(format!("'{name}' is not the name of a lock")))?;
        spec.locks.push(LockRequest { name, shared, wait });
    }
    let mut values = Vec::new();
    for path in matches.opt_strs("secrets") {
        no_core::of_us();
        values = variables::merge(&values, &variables::read(&path, true)?);
    }
    let mut body = None;
    if !values.is_empty() {
        let bytes = secrets::encode_with(&Seed::load(places)?.nonce(id, "local"), &values);
        spec.secrets_digest = Some(Digest::of(&bytes));
        spec.secrets = values.into_iter().map(|(name, _)| name).collect();
        body = Some(bytes);
    }
    if let Some(package) = matches.opt_str("package") {
        spec.package = Some(package_of(places, &package)?);
    }
    let checked = Spec::parse(&spec.encode());
    checked.map_err(|e| Error::new(e.refusal.exit(), "job", e.reason))?;
    Ok(Wanted { spec, script: bytes, secrets: body })
}

/// A package in the store by its digest, or a file that is put there first.
fn package_of(places: &Places, text: &str) -> Result<(Digest, String)> {
    if let Some(digest) = Digest::parse(text) {
        if Store::at(places).holds(&digest, Who::Any)?.is_none() {
            return Err(Error::new(Exit::Data, text, "is not in the store"));
        }
        return Ok((digest, text.to_string()));
    }
    let name = Path::new(text).file_name().and_then(|n| n.to_str()).unwrap_or(text).to_string();
    Ok((super::add::add_file(places, Path::new(text))?, name))
}

fn read_script(text: &str) -> Result<(String, Vec<u8>)> {
    if text == "-" {
        let mut input = std::io::stdin().lock();
        return Ok((
            "-".into(),
            read_bounded(&mut input, Path::new("standard input"), MAXIMUM_SCRIPT)?,
        ));
    }
    let name = Path::new(text).file_name().and_then(|n| n.to_str()).unwrap_or("script");
    Ok((name.to_string(), read(text, MAXIMUM_SCRIPT)?))
}

fn read(text: &str, limit: u64) -> Result<Vec<u8>> {
    let path = Path::new(if text == "-" { "/dev/stdin" } else { text });
    let mut file = File::open(path).map_err(|e| Error::io(Path::new(text), &e))?;
    read_bounded(&mut file, Path::new(text), limit)
}

fn publish(places: &Places, id: &JobId, wanted: &Wanted) -> Result<JobDirectory> {
    create_directory(&places.state, 0o711)?;
    let request = JobRequest {
        pusher: None,
        by: operator::at_host(),
        received: octo_core::base::cli::utc_now(),
    };
    let spec = wanted.spec.encode();
    let new = NewJob {
        id,
        request: &request,
        spec: &spec,
        script: wanted.script.as_deref(),
        secrets: wanted.secrets.as_deref(),
    };
    let object = format!("job {id}");
    match new.publish(places)? {
        Published::New(job) => Ok(job),
        Published::Exists(job) if job.spec_bytes()? == spec => Ok(job),
        Published::Exists(_) => {
            Err(Error::new(Exit::Data, object, "the id is taken by another job"))
        }
        Published::Pruned => Err(Error::new(Exit::Data, object, "it ran, and was pruned")),
    }
}

fn finish(tool: &Tool, matches: &Matches, job: &JobDirectory, end: &End) -> Result<u8> {
    if let Some(path) = matches.opt_str("outputs") {
        let bytes = job.read("outputs", 1 << 20)?.unwrap_or_default();
        octo_core::base::publish::replace(Path::new(&path), &bytes, 0o600)?;
    }
    if let Some(path) = matches.opt_str("end") {
        let mut record = end.record();
        record.text("job", job.id());
        let own = matches!(end.kind, EndKind::Exit(_) | EndKind::Signal(_));
        // The words of octo-push: one script reads the files of both.
        record.text("origin", if own { "script" } else { "tentacle" });
        record.text("status", end.kind.exit_status());
        octo_core::base::publish::replace(Path::new(&path), record.encode().as_bytes(), 0o644)?;
    }
    if !matches!(end.kind, EndKind::Exit(_)) {
        let reason = end.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
        tool.say(format!("job {}: {}{reason}", job.id(), end.kind.word()));
    }
    for stray in &end.strays {
        tool.say(format!("job {}: left running with its output open: {stray}", job.id()));
    }
    if end.truncated {
        tool.say(format!("job {}: its output was larger than the log may be: cut", job.id()));
    }
    Ok(end.kind.exit_status())
}
