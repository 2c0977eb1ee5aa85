//! `octo-exec run`: the same job as a listener would make, by hand or from cron.

mod following;

use super::add::add_file;
use crate::start;
use following::{to_end, withdraw};
use octo_core::base::cli::options::Said;
use octo_core::base::cli::{Tool, print, utc_now};
use octo_core::base::error::{Error, Exit, Result, describe};
use octo_core::base::paths::{Places, create_directory};
use octo_core::base::record::Record;
use octo_core::base::{operator, result_file};
use octo_core::tentacle::job::{
    End, EndKind, JobDirectory, MAXIMUM_OUTPUTS, NewJob, Origin, Published,
};
use octo_core::tentacle::spec::draft::{Destination, Draft, Parts};
use octo_core::tentacle::spec::options::JobOptions;
use octo_core::tentacle::spec::variable_file::Programs;
use octo_core::tentacle::store::{Store, Who};
use octo_core::{Digest, JobId};
use std::path::{Path, PathBuf};

pub(super) fn run(said: &Said, places: &Places) -> Result<u8> {
    let options = JobOptions::read(said)?;
    let ends = ResultFiles::read(said)?;
    ends.check(&options)?;
    let id = match &options.job {
        Some(job) => job.clone(),
        None => {
            JobId::generate().map_err(|e| Error::new(Exit::Io, "random bytes", describe(&e)))?
        }
    };
    let (package, detach) = (options.package.clone(), options.detach);
    let draft = Draft::read(places, options, &[Destination::Here], Programs::Run)?;
    let package = package.map(|text| package_of(places, &text)).transpose()?;
    let parts = draft.parts(&id, Destination::Here, package, None)?;
    let (script, stdin) = (draft.script(Destination::Here), draft.stdin());
    let job = publish(places, &id, [script, stdin], &parts)?;
    if detach {
        start::detached(places, &job).map_err(|error| withdraw(&job, error))?;
        print(&format!("{id}\n"))?;
        return Ok(0);
    }
    ends.begin(&id).map_err(|error| withdraw(&job, error))?;
    let end = to_end(said.tool(), places, &job).map_err(|error| ends.settle(&job, error))?;
    ends.write(&job, &end)?;
    tell(said.tool(), &job, &end);
    Ok(end.kind.exit_status())
}

/// Of the file that says how it ended.
const MODE: u32 = 0o644;

/// Files that get what came of the job.
struct ResultFiles {
    end: Option<PathBuf>,
    outputs: Option<PathBuf>,
}

impl ResultFiles {
    fn read(said: &Said) -> Result<ResultFiles> {
        let path = |name| Ok(said.one(name)?.map(PathBuf::from));
        Ok(ResultFiles { end: path("end")?, outputs: path("outputs")? })
    }

    /// Nothing is touched: the run may still be refused.
    fn check(&self, options: &JobOptions) -> Result<()> {
        let inputs = options.inputs().map(|(option, file)| (option, PathBuf::from(file)));
        let end = self.end.iter().map(|path| ("--end", path.clone()));
        let outputs = self.outputs.iter().map(|path| ("--outputs", path.clone()));
        result_file::check_apart(inputs, end.chain(outputs))?;
        self.end.iter().chain(&self.outputs).try_for_each(|path| result_file::check(path))
    }

    /// When nothing can refuse the run any more: a file of an older run must not be
    /// taken for this one's, and none at all says that nothing was begun.
    fn begin(&self, id: &JobId) -> Result<()> {
        let files: Vec<PathBuf> = self.end.iter().chain(&self.outputs).cloned().collect();
        result_file::begin(&files)?;
        let status = Exit::UnknownEnd.code();
        let unknown = Record::new()
            .with("kind", "unknown")
            .with("code", status)
            .with("job", id)
            .with("origin", "tentacle")
            .with("status", status)
            .with("message", "begun, its end unknown");
        let unknown = unknown.encode().into_bytes();
        let files = self.end.iter().map(|path| (path.clone(), unknown.clone()));
        result_file::write_together(files.collect(), MODE)
    }

    /// We can't follow it: the file says how it ended if that is on record, also that it
    /// was refused, and else what it said before.
    fn settle(&self, job: &JobDirectory, error: Error) -> Error {
        if let Ok(Some(end)) = job.end() {
            // There is another error to be told.
            let _ = self.write(job, &end);
        }
        error
    }

    fn write(&self, job: &JobDirectory, end: &End) -> Result<()> {
        if let Some(path) = &self.outputs {
            let bytes = job.read("outputs", MAXIMUM_OUTPUTS)?.unwrap_or_default();
            result_file::write(path, &bytes, 0o600)?;
        }
        let Some(path) = &self.end else { return Ok(()) };
        let own = matches!(end.kind, EndKind::Exit(_) | EndKind::Signal(_));
        let record = end
            .record()
            .with("job", job.id())
            // The words of octo-push: one script reads the files of both.
            .with("origin", if own { "script" } else { "tentacle" })
            .with("status", end.kind.exit_status());
        result_file::write(path, record.encode().as_bytes(), MODE)
    }
}

/// A package in the store by its digest, or a file that is put there first.
fn package_of(places: &Places, text: &str) -> Result<(Digest, String)> {
    if let Some(digest) = Digest::parse(text) {
        if Store::at(places).holds(&digest, Who::Any)?.is_none() {
            return Err(Error::new(Exit::Data, text, "is not in the store")
                .hint("-p FILE puts a package there"));
        }
        return Ok((digest, text.to_string()));
    }
    let name = Path::new(text).file_name().and_then(|n| n.to_str()).unwrap_or(text).to_string();
    Ok((add_file(places, Path::new(text))?, name))
}

fn publish(
    places: &Places,
    id: &JobId,
    [script, stdin]: [Option<&[u8]>; 2],
    parts: &Parts,
) -> Result<JobDirectory> {
    create_directory(&places.state, 0o711)?;
    let origin = Origin { pusher: None, by: operator::at_host(), received: utc_now() };
    let secrets = Some(&parts.secrets[..]).filter(|bytes| !bytes.is_empty());
    let (origin, spec) = (&origin, &parts.spec);
    let new = NewJob { id, origin, request: None, spec, script, stdin, secrets };
    let object = format!("job {id}");
    match new.publish(places)? {
        Published::New(job) => Ok(job),
        Published::Exists(job) if job.spec_bytes()? == parts.spec => Ok(job),
        Published::Exists(_) => {
            Err(Error::new(Exit::Data, object, "the id is taken by another job"))
        }
        Published::Pruned => Err(Error::new(Exit::Data, object, "it ran, and was pruned")),
    }
}

fn tell(tool: &Tool, job: &JobDirectory, end: &End) {
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
}
