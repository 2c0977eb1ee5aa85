//! Verbs over the jobs of this machine: start, cancel, list, add.

use super::approve;
use crate::start;
use octo_core::base::cli::{Tool, print};
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Exit, Result};
use octo_core::base::operator;
use octo_core::base::paths::{Places, create_directory};
use octo_core::tentacle::job::{JobDirectory, State};
use octo_core::tentacle::store::{Begin, Limits, ReceiveError, Store, StoreError};
use octo_core::{Digest, JobId, PusherName};
use std::fmt::Write;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The job of this id, which must be there.
pub(super) fn named(tool: &Tool, places: &Places, text: &str) -> Result<JobDirectory> {
    let id = JobId::parse(text).ok_or_else(|| tool.misuse(format!("'{text}' is not a job id")))?;
    let job = JobDirectory::of(places, &id);
    if !job.exists() {
        return Err(Error::new(Exit::Data, format!("job {id}"), "there is no such job here")
            .hint(format!("{} list", tool.name)));
    }
    Ok(job)
}

/// `start`: every queued, lost and approved job.
pub(super) fn start(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse_untabled(&tool.options(), arguments)? else { return Ok(0) };
    if !matches.free.is_empty() {
        return Err(tool.misuse("start takes no arguments"));
    }
    start::all(places)?;
    Ok(0)
}

/// `cancel JOB`
pub(super) fn cancel(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse_untabled(&tool.options(), arguments)? else { return Ok(0) };
    let [id] = &matches.free[..] else { return Err(tool.misuse("cancel takes one job")) };
    let job = named(tool, places, id)?;
    if let State::Over(end) = job.state()? {
        tool.say(format!("job {id}: over already: {}", end.kind.word()));
        return Ok(0);
    }
    job.cancel(&operator::at_host())?;
    // Nobody may be there to see it: then whoever comes ends it at once.
    if !matches!(job.state()?, State::Running | State::Waiting(_)) {
        let _ = start::program(places, &job)?.wait();
    }
    Ok(0)
}

/// `list [--held]`
pub(super) fn list(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let mut options = tool.options();
    options.optflag("", "held", "");
    let Some(matches) = tool.parse_untabled(&options, arguments)? else { return Ok(0) };
    let mut text = String::new();
    for job in JobDirectory::all(places)? {
        match line(&job) {
            Ok((state, line)) => {
                let held = matches.opt_present("held");
                if !held || state == State::Held {
                    let _ = writeln!(text, "{line}");
                }
                if held && state == State::Held {
                    text.push_str(&to_approve(places, &job)?);
                }
            }
            Err(error) => tool.report(&error),
        }
    }
    print(&text)?;
    Ok(0)
}

fn line(job: &JobDirectory) -> Result<(State, String)> {
    let state = job.state()?;
    let request = job.request()?;
    let (spec, _) = job.spec()?;
    let who = request.pusher.map_or_else(|| "local".to_string(), |p| p.name.to_string());
    let code = match &state {
        State::Over(end) => end.kind.code().to_string(),
        _ => "-".into(),
    };
    let line = format!(
        "{} {:<9} {:>3} {} {} {} {}",
        job.id(),
        state.word(),
        code,
        request.received,
        who,
        printable(request.by.as_bytes()),
        spec.summary()
    );
    Ok((state, line))
}

/// What an approval of this job is about: digests, since when it waits, and how
/// its script differs from the one approved before.
fn to_approve(places: &Places, job: &JobDirectory) -> Result<String> {
    let mut text = String::new();
    for (key, values) in job.record("held")?.unwrap_or_default().lines() {
        let value = values.iter().map(|v| printable(v)).collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "    {key} {value}");
    }
    for line in approve::difference(places, job)?.lines().filter(|line| !line.is_empty()) {
        let _ = writeln!(text, "    {line}");
    }
    Ok(text)
}

/// `add FILE`
pub(super) fn add(tool: &Tool, places: &Places, arguments: &[String]) -> Result<u8> {
    let Some(matches) = tool.parse_untabled(&tool.options(), arguments)? else { return Ok(0) };
    let [path] = &matches.free[..] else { return Err(tool.misuse("add takes one file")) };
    print(&format!("{}\n", add_file(places, Path::new(path))?))?;
    Ok(0)
}

/// Puts a file of this machine into the store, for the local operator: verified
/// and durable as any upload is.
pub(super) fn add_file(places: &Places, path: &Path) -> Result<Digest> {
    let io = |e: std::io::Error| Error::io(path, &e);
    let mut file = File::open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(Error::new(Exit::Data, path.display(), "is not a regular file"));
    }
    let (digest, size) = Digest::of_reader(&mut file).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    create_directory(&places.state, 0o711)?;
    let store = Store::open(places)?;
    let refused = |e: StoreError| Error::new(e.refusal.exit(), path.display(), e.reason);
    let nobody = PusherName::parse("operator@localhost").expect("a name of the right form");
    let limits = Limits { max_store: u64::MAX, any: true };
    match store.begin(&digest, size, &nobody, limits, &mut None).map_err(refused)? {
        Begin::Whole => {}
        Begin::Busy => {
            return Err(Error::new(Exit::Temporary, path.display(), "is being added by another"));
        }
        Begin::Upload(upload) => {
            file.seek(SeekFrom::Start(upload.offset())).map_err(io)?;
            let received = upload.receive(&mut |buffer| file.read(buffer));
            let upload = received.map_err(|e| match e {
                ReceiveError::Sender(error) => io(error),
                ReceiveError::Store(error) => refused(error),
            })?;
            upload.finish().map_err(refused)?;
        }
    }
    Ok(digest)
}
