//! `get`: a job's artifacts into a directory; without names, the list of them.
//!
//! A file appears whole or not at all, under the name that was asked for: what
//! the tentacle sends decides no path.

use crate::cli::run::Get;
use crate::target::connection::client::TlsClient;
use crate::target::connection::client_error::ClientError;
use crate::target::context::Context;
use crate::target::event::Reporter;
use crate::target::listing;
use crate::target::outcome::Outcome;
use crate::target::retry;
use octo_core::base::encoding::printable;
use octo_core::base::error::{Error, Result};
use octo_core::base::names::{JobId, is_file_name};
use octo_core::base::paths::create_directory;
use octo_core::base::publish::{TEMPORARY_PREFIX, sync_directory};
use octo_core::base::units::human_size;
use octo_core::targets::Target;
use octo_core::trust::Verb;
use octo_wire::Request;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Artifacts that are wanted, and where.
#[derive(Debug)]
pub(crate) struct Wanted {
    job: JobId,
    artifacts: Vec<String>,
    directory: String,
}

impl Wanted {
    /// Checks names and directory before any connection.
    ///
    /// # Errors
    /// Exit 64.
    pub(crate) fn check(get: Get, targets: usize) -> Result<Wanted> {
        for artifact in &get.artifacts {
            if !is_file_name(artifact.as_bytes()) {
                let shown = printable(artifact.as_bytes());
                return Err(Error::usage(format!("{shown}: an artifact's name is one file name")));
            }
        }
        let directory = match get.directory {
            Some(directory) if targets > 1 && !directory.contains("%n") => {
                return Err(Error::usage(format!("-o {directory}: several targets need %n in it"))
                    .hint("-o 'got/%n' gives each target its own directory"));
            }
            Some(directory) => directory,
            None if targets > 1 => "%n".into(),
            None => ".".into(),
        };
        Ok(Wanted { job: get.job, artifacts: get.artifacts, directory })
    }

    /// Gets them from the reporter's target.
    pub(crate) fn get(&self, context: &Context, reporter: &Reporter) -> Outcome {
        if self.artifacts.is_empty() {
            let request = Request::new(Verb::Get).with("job", &self.job);
            return listing::list(context, reporter, &request, |name, artifact| {
                let artifact_name = listing::shown(artifact, "name", "?");
                format!("{name}: {artifact_name} {}\n", listing::shown(artifact, "size", "?"))
            });
        }
        let directory = self.directory_for(&context.targets[reporter.target]);
        let mut said = Vec::new();
        let got = retry::ask(context, reporter, |client| {
            said.clear();
            for artifact in &self.artifacts {
                let size = self.fetch(client, &directory, artifact)?;
                said.push(format!("{}, {}", printable(artifact.as_bytes()), human_size(size)));
            }
            Ok(())
        });
        match got {
            Ok(()) => Outcome { message: format!("got {}", said.join("; ")), ..Outcome::done() },
            Err(error) => Outcome::failed(context, error),
        }
    }

    fn directory_for(&self, target: &Target) -> PathBuf {
        PathBuf::from(self.directory.replace("%n", target.name.as_str()))
    }

    fn fetch(
        &self,
        client: &mut TlsClient<'_>,
        directory: &Path,
        artifact: &str,
    ) -> std::result::Result<u64, ClientError> {
        let request = Request::new(Verb::Get).with("job", &self.job).with("artifact", artifact);
        let size = client.ask(&request, b"")?.body();
        create_directory(directory, 0o755).map_err(ClientError::Local)?;
        let path = directory.join(artifact);
        let here =
            |error: &std::io::Error| ClientError::Local(Error::doing("create", &path, error));
        let mut file = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempfile_in(directory)
            .map_err(|error| here(&error))?;
        client.pieces(size, |bytes| file.write_all(bytes).map_err(|e| Error::io(&path, &e)))?;
        file.as_file().sync_all().map_err(|error| here(&error))?;
        file.persist(&path).map_err(|error| here(&error.error))?;
        sync_directory(directory).map_err(ClientError::Local)?;
        Ok(size)
    }
}
