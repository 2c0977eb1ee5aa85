//! `get`: a job's artifacts into a directory; without names, the list of them.
//!
//! A file appears whole or not at all, under the name that was asked for: what
//! the tentacle sends decides no path.

use crate::cli::call::Call;
use crate::fleet::fan_out::{self, FanOut};
use crate::fleet::listing::{list, shown};
use crate::fleet::select;
use crate::records::end_files::{self, named};
use crate::records::results::RunRecord;
use crate::target::attempts;
use crate::target::connection::client::TlsClient;
use crate::target::connection::client_error::ClientError;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::outcome::Outcome;
use crate::target::retry::Gain;
use octo_core::base::cli::options::{OptionGroup, value};
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Result};
use octo_core::base::names::{JobId, is_file_name};
use octo_core::base::paths::create_directory;
use octo_core::base::publish::{TEMPORARY_PREFIX, sync_directory};
use octo_core::base::units::human_size;
use octo_core::trust::Verb;
use octo_wire::Request;
use std::io::Write;
use std::path::Path;

pub(super) static GET: OptionGroup =
    OptionGroup { title: "get", rows: &[value("o", "output", "DIR", "the artifacts go there")] };

pub(super) fn run(call: &Call) -> Result<u8> {
    let arguments = call.said.counted(1..=usize::MAX)?;
    let job = call.said.job_id(&arguments[0])?;
    let artifacts = arguments[1..].to_vec();
    if let Some(artifact) = artifacts.iter().find(|name| !is_file_name(name.as_bytes())) {
        let shown = printable(artifact.as_bytes());
        return Err(call.said.misuse(format!("{shown}: an artifact's name is one file name")));
    }
    let output = call.said.one("output")?;
    let Some((screen, context, record)) = select::begin_of_job(call, &job)? else { return Ok(0) };
    let directory = directory_of(output, context.targets.len())?;
    let files = context.targets.iter().flat_map(|target| {
        let directory = named(&directory, target);
        artifacts.iter().map(move |artifact| ("-o", directory.join(artifact)))
    });
    end_files::check_files(&context.common, [], files)?;
    let wanted = Wanted { run: job, record, artifacts, directory };
    let fan_out = FanOut {
        what: "get".into(),
        journal: Some(Verb::Get),
        ..FanOut::asking(move |context, reporter| wanted.get(context, reporter))
    };
    fan_out::run(screen, context, fan_out)
}

fn directory_of(given: Option<String>, targets: usize) -> Result<String> {
    match given {
        Some(directory) if targets > 1 && !directory.contains("%n") => {
            Err(Error::usage(format!("-o {directory}: several targets need %n in it"))
                .hint("-o 'got/%n' gives each target its own directory"))
        }
        Some(directory) => Ok(directory),
        None if targets > 1 => Ok("%n".into()),
        None => Ok(".".into()),
    }
}

/// Artifacts that are wanted, and where.
#[derive(Debug)]
struct Wanted {
    run: JobId,
    record: RunRecord,
    artifacts: Vec<String>,
    directory: String,
}

impl Wanted {
    /// Gets them from the reporter's target.
    fn get(&self, context: &Context, reporter: &Reporter) -> Outcome {
        let job = self.record.job_of(context.name(reporter.target), &self.run);
        if self.artifacts.is_empty() {
            let request = Request::new(Verb::Get).with("job", job);
            return list(context, reporter, &request, |name, artifact| {
                let artifact_name = shown(artifact, "name", "?");
                format!("{name}: {artifact_name} {}\n", shown(artifact, "size", "?"))
            });
        }
        let directory = named(&self.directory, &context.targets[reporter.target]);
        let mut said = Vec::new();
        let got = attempts::transfer(context, reporter, |client, retry| {
            // What came over a connection that broke since is here, whole.
            for artifact in &self.artifacts[said.len()..] {
                let size = fetch(client, job, &directory, artifact)?;
                said.push(format!("{}, {}", printable(artifact.as_bytes()), human_size(size)));
                retry.gain(Gain::Files, said.len() as u64);
            }
            Ok(())
        });
        match got {
            Ok(()) => Outcome { message: format!("got {}", said.join("; ")), ..Outcome::done() },
            Err(error) => Outcome::failed(context, error),
        }
    }
}

fn fetch(
    client: &mut TlsClient<'_>,
    job: &JobId,
    directory: &Path,
    artifact: &str,
) -> std::result::Result<u64, ClientError> {
    let request = Request::new(Verb::Get).with("job", job).with("artifact", artifact);
    let size = client.ask(&request, b"")?.body();
    client.flows();
    create_directory(directory, 0o755).map_err(ClientError::Local)?;
    let path = directory.join(artifact);
    let here = |error: &std::io::Error| ClientError::Local(Error::doing("create", &path, error));
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .tempfile_in(directory)
        .map_err(|error| here(&error))?;
    client.pieces(size, |bytes| file.write_all(&bytes).map_err(|e| Error::io(&path, &e)))?;
    file.as_file().sync_all().map_err(|error| here(&error))?;
    file.persist(&path).map_err(|error| here(&error.error))?;
    sync_directory(directory).map_err(ClientError::Local)?;
    Ok(size)
}
